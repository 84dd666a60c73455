"""What is said where memory is short: also before her2edge itself could be loaded, so it imports nothing."""

TRY_AGAIN = 75
_SLIDES = (
    "nothing is lost: end other programs or take fewer --interpreters, and run the same command again to "
    "resume"
)
_EPOCHS = (
    "whole epochs are kept: end other programs, and run the same command again to resume after the last one"
)
_AFTER = {"classify": _SLIDES, "watch": _SLIDES, "train": _EPOCHS, "study": _EPOCHS}


def out_of_memory(arguments: list[str]) -> str:
    """The line that says that memory ran out and what to do, which depends on what the verb keeps."""
    verb = next((one for one in arguments if not one.startswith("-")), "")
    advice = _AFTER.get(verb, "end other programs, and run the same command again")
    return f"her2edge: found no more memory: {advice}"
