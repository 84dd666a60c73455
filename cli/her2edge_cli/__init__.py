"""The her2edge command: a thin skin over the packages below it."""

import sys

from her2edge_cli.memory import TRY_AGAIN, out_of_memory


def run() -> None:
    """Entry point of the `her2edge` script; without the cli extra it says what to install."""
    try:
        from her2edge_cli.main import main
        from her2edge_cli.quiet import without_chatter
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich"):
            raise
        sys.stderr.write(
            f"her2edge: found no {error.name}, expected the extra `cli`: "
            'install it with `pip install "her2edge[cli,slides]"`\n'
        )
        raise SystemExit(78) from None
    except MemoryError:
        sys.stderr.write(f"{out_of_memory(sys.argv[1:])}\n")
        raise SystemExit(TRY_AGAIN) from None
    with without_chatter():
        code = main()
    raise SystemExit(code)
