"""The her2edge command: a thin skin over the packages below it."""

import contextlib
import signal
import sys

from her2edge_cli.memory import TRY_AGAIN, is_short, out_of_memory
from her2edge_cli.stopping import INTERRUPTED, stoppable


def run() -> None:
    """Entry point of the `her2edge` script; without the cli extra it says what to install.

    Also while it loads, which takes seconds, it ends in one line and an exit code.
    """
    try:
        with stoppable():
            code = _command()
    except KeyboardInterrupt:
        code = _say("her2edge: interrupted", INTERRUPTED)
    except Exception as error:
        if not isinstance(error, MemoryError) and not is_short():
            raise
        code = _say(out_of_memory(sys.argv[1:]), TRY_AGAIN)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # what is left is the interpreter's: no traceback of it
    raise SystemExit(code)


def _command() -> int:
    from her2edge_cli.quiet import fill_descriptors, without_chatter

    fill_descriptors()
    try:
        from her2edge_cli.main import main

        with without_chatter():
            return main()
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in ("click", "rich"):
            raise
        return _say(
            f"her2edge: found no {name}, expected the extra `cli`: "
            'install it with `pip install "her2edge[cli,slides]"`',
            78,
        )


def _say(line: str, code: int) -> int:
    """A line on stderr, as far as there is one; returns the code."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    return code
