"""Exit codes, after sysexits.h, and the line that goes with them; docs/how-to/troubleshooting.md has all."""

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
from her2edge_cli.stopping import INTERRUPTED as INTERRUPTED

DONE, BUG, USAGE, PARTLY = 0, 1, 2, 3
BAD_INPUT, MISSING_INPUT, NO_OUTPUT, IO_ERROR, REFUSED = 65, 66, 73, 74, 78
BROKEN_PIPE = 141

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


def exit_code(error: Exception | None) -> int:
    """The exit code that stands for an error; an error of another family, or a crash (None), is a bug."""
    if not isinstance(error, Her2EdgeError):
        return BUG
    return next((code for kind, code in _CODES if isinstance(error, kind)), BAD_INPUT)


def complain(error: Her2EdgeError) -> int:
    """Print the error as one line on stderr and return its exit code."""
    click.echo(f"her2edge: {error}", err=True)
    return exit_code(error)
