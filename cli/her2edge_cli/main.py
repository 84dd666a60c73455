"""The command group and the one boundary where the library's errors become messages."""

from __future__ import annotations

import logging
import platform
import sys
from collections.abc import Sequence
from dataclasses import replace

import click

from her2edge import Her2EdgeError, __version__
from her2edge.runtime import runtime_versions
from her2edge_cli import exits
from her2edge_cli.memory import TRY_AGAIN, is_short, out_of_memory
from her2edge_cli.parts import Parts
from her2edge_cli.sections import Sections
from her2edge_cli.stopping import stoppable
from her2edge_cli.streams import lenient_streams
from her2edge_cli.usage import usage_line


def _print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    runtimes = ", ".join(f"{name} {version}" for name, version in runtime_versions().items())
    click.echo(
        f"her2edge {__version__} (Python {platform.python_version()}; {runtimes or 'no runtime installed'})"
    )
    context.exit()


def _of(module: str, *names: str) -> dict[str, str]:
    return dict.fromkeys(names, f"her2edge_cli.{module}")


def _verbs(*names: str) -> dict[str, str]:
    """Each in a module of its own name."""
    return {name: f"her2edge_cli.{name}" for name in names}


SECTIONS = {
    "Use": _verbs("classify", "watch", "cohort", "report", "agree", "explain", "stain", "dicom", "demo"),
    "Make a model": {
        **_verbs("register", "tiles", "synthesize", "recipe", "train", "distil"),
        **_of("train", "study"),
        **_verbs("evaluate", "quantize", "calibrate"),
    },
    "Trust": {
        **_of("inspect_model:inspect_model", "inspect"),
        **_of("sign", "verify", "trust", "sign", "keygen"),
    },
    "Machine": _verbs("doctor", "bench"),
}


@click.group(
    cls=Sections,
    sections=SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Every command has its own -h. Exit codes: docs/how-to/troubleshooting.md.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show versions and exit.",
)
def cli() -> None:
    """HER2 status (0/1+, 2+, 3+) from routine H&E tissue, offline.

    Research use only. Not for diagnosis.
    """


def main(arguments: Sequence[str] | None = None, parts: Parts | None = None) -> int:
    """Run the command line and return the exit code; a her2edge error becomes one line on stderr.

    parts: what the commands work with; None: this machine and the SDK.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    _log_to_stderr()
    with lenient_streams() as streams:
        return streams.exit_code(_run(arguments, replace(parts or Parts(), streams=streams)))


def _run(arguments: list[str], parts: Parts) -> int:
    try:
        with stoppable():
            result = cli.main(arguments, prog_name="her2edge", standalone_mode=False, obj=parts)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        click.echo(f"her2edge: {usage_line(error)}", err=True)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("her2edge: interrupted", err=True)
        return exits.INTERRUPTED
    except Her2EdgeError as error:
        return exits.complain(error)
    except Exception as error:  # libraries have any error for memory that is short
        if not isinstance(error, MemoryError) and not is_short():
            raise
        click.echo(out_of_memory(arguments), err=True)
        return TRY_AGAIN
    return result if isinstance(result, int) else exits.DONE


class _Lines(logging.Handler):
    """A line on stderr for each record, led by its level unless that is INFO; a bug with its traceback."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        click.echo(f"her2edge: {level}{self.format(record)}", err=True)


def _log_to_stderr() -> None:
    logger = logging.getLogger("her2edge")
    if not logger.handlers:
        logger.addHandler(_Lines())
        logger.setLevel(logging.INFO)
