"""Exit codes, after sysexits.h, and the one line that goes with them; the README says what each means."""

from __future__ import annotations

import click

from her2edge.errors import (
    Her2EdgeError,
    InferenceError,
    MissingInputError,
    ModelError,
    OptionError,
    OutputError,
    OutputWriteError,
    RuntimeUnavailable,
)

DONE, BUG, USAGE, PARTLY = 0, 1, 2, 3
BAD_INPUT, MISSING_INPUT, NO_OUTPUT, IO_ERROR, TRY_AGAIN, REFUSED = 65, 66, 73, 74, 75, 78
INTERRUPTED, BROKEN_PIPE, TERMINATED = 130, 141, 143

# The first match counts; the rest of the family is bad input.
_CODES: tuple[tuple[type[Her2EdgeError], int], ...] = (
    (OutputWriteError, IO_ERROR),
    (OutputError, NO_OUTPUT),
    (MissingInputError, MISSING_INPUT),
    (ModelError, REFUSED),
    (RuntimeUnavailable, REFUSED),
    (InferenceError, BUG),
    (OptionError, USAGE),
)

_SLIDES = (
    "nothing is lost: end other programs or take fewer --interpreters, and run the same command again to "
    "resume"
)
_EPOCHS = (
    "whole epochs are kept: end other programs, and run the same command again to resume after the last one"
)
_AFTER_MEMORY = {"classify": _SLIDES, "watch": _SLIDES, "train": _EPOCHS, "study": _EPOCHS}


def exit_code(error: Exception | None) -> int:
    """The exit code that stands for an error; an error of another family, or a crash (None), is a bug."""
    if not isinstance(error, Her2EdgeError):
        return BUG
    return next((code for kind, code in _CODES if isinstance(error, kind)), BAD_INPUT)


def complain(error: Her2EdgeError) -> int:
    """Print the error as one line on stderr and return its exit code."""
    click.echo(f"her2edge: {error}", err=True)
    return exit_code(error)


def out_of_memory(verb: str) -> int:
    """Say that memory ran out and what to do, which depends on what the verb keeps; returns the exit code."""
    advice = _AFTER_MEMORY.get(verb, "end other programs, and run the same command again")
    click.echo(f"her2edge: found no more memory: {advice}", err=True)
    return TRY_AGAIN
