"""Exit codes, after sysexits.h: what a script can tell from them stands in the README."""

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
INTERRUPTED, TERMINATED = 130, 143

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


def exit_code(error: Her2EdgeError) -> int:
    """The exit code that stands for an error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), BAD_INPUT)
