"""What is said where memory is short: also before her2edge is loaded, so it imports none of it."""

import mmap

TRY_AGAIN = 75
_SLIDES = (
    "nothing is lost: end other programs or take fewer --interpreters, and run the same command again to "
    "resume"
)
_EPOCHS = (
    "whole epochs are kept: end other programs, and run the same command again to resume after the last one"
)
_AFTER = {"classify": _SLIDES, "watch": _SLIDES, "cohort": _SLIDES, "train": _EPOCHS, "study": _EPOCHS}


def is_short() -> bool:
    """`her2edge.memory.is_short`, where her2edge itself could not be loaded."""
    try:
        mmap.mmap(-1, 256 << 20).close()
    except (OSError, ValueError, MemoryError):
        return True
    return False


def out_of_memory(arguments: list[str]) -> str:
    """The line that says that memory ran out and what to do, which depends on what the verb keeps."""
    verb = next((one for one in arguments if not one.startswith("-")), "")
    advice = _AFTER.get(verb, "end other programs, and run the same command again")
    return f"her2edge: found no more memory: {advice}"
