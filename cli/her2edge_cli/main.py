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
from her2edge_cli.agree import agree
from her2edge_cli.bench import bench
from her2edge_cli.calibrate import calibrate
from her2edge_cli.classify import classify
from her2edge_cli.cohort import cohort
from her2edge_cli.demo import demo
from her2edge_cli.dicom import dicom
from her2edge_cli.distil import distil
from her2edge_cli.doctor import doctor
from her2edge_cli.evaluate import evaluate
from her2edge_cli.explain import explain
from her2edge_cli.inspect_model import inspect_model
from her2edge_cli.memory import TRY_AGAIN, is_short, out_of_memory
from her2edge_cli.parts import Parts
from her2edge_cli.quantize import quantize
from her2edge_cli.recipe import recipe
from her2edge_cli.register import register
from her2edge_cli.report import report
from her2edge_cli.sections import Sections
from her2edge_cli.sign import keygen, sign, trust, verify
from her2edge_cli.stain import stain
from her2edge_cli.stopping import stoppable
from her2edge_cli.streams import lenient_streams
from her2edge_cli.synthesize import synthesize
from her2edge_cli.tiles import tiles
from her2edge_cli.train import study, train
from her2edge_cli.usage import usage_line
from her2edge_cli.watch import watch


def _print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    runtimes = ", ".join(f"{name} {version}" for name, version in runtime_versions().items())
    click.echo(
        f"her2edge {__version__} (Python {platform.python_version()}; {runtimes or 'no runtime installed'})"
    )
    context.exit()


SECTIONS = {
    "Use": (classify, watch, cohort, report, agree, explain, stain, dicom, demo),
    "Make a model": (
        register,
        tiles,
        synthesize,
        recipe,
        train,
        distil,
        study,
        evaluate,
        quantize,
        calibrate,
    ),
    "Trust": (inspect_model, verify, trust, sign, keygen),
    "Machine": (doctor, bench),
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
