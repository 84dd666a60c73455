"""her2edge quantize RUN --data CSV --scheme SCHEME --out MODEL; TensorFlow is imported late."""

from __future__ import annotations

from pathlib import Path

import click

from her2edge.extras import needs_extra, quiet_tensorflow
from her2edge.model.records import Limits, Scheme
from her2edge_cli.paths import PATH
from her2edge_quantize.options import EXPORTS, SCHEMES, Export, QatOptions, QuantizeOptions


@click.command()
@click.argument("run", type=PATH)
@click.option(
    "--data", required=True, type=PATH, metavar="CSV", help="Tile list that the run was trained on."
)
@click.option(
    "--scheme",
    required=True,
    type=click.Choice(SCHEMES),
    help="Number format of the model; quantize/README.md compares them.",
)
@click.option("--out", required=True, type=PATH, metavar="MODEL", help="The .tflite to write.")
@click.option("--name", help="Name of the model. Default: recipe and scheme.")
@click.option(
    "--export",
    type=click.Choice(EXPORTS),
    default="portable",
    show_default=True,
    help="portable: any TFLite runtime reads the file. fast: only her2edge reads it, sooner (int8 ResNets).",
)
@click.option("--demo", is_flag=True, help="Mark the model as one that knows synthetic tissue only.")
@click.option(
    "--gate-data",
    type=PATH,
    multiple=True,
    metavar="SLIDE|DIR|CSV",
    help="Slides, folders or lists of slides or tiles of other patients, for the gate; may be repeated.",
)
@click.option(
    "--teacher",
    type=PATH,
    metavar="MODEL|RUN",
    help="For a student (`her2edge distil`): the model or run that taught it.",
)
@click.option(
    "--unsure-data",
    type=PATH,
    multiple=True,
    metavar="SLIDE|DIR|CSV",
    help="For a student: like --gate-data, with tissue that lies between classes. May be repeated.",
)
@click.option(
    "--max-flips",
    type=click.FloatRange(0, 100),
    default=1.0,
    show_default=True,
    metavar="PERCENT",
    help="Largest share of tiles that may get another class than in float32.",
)
@click.option(
    "--max-drop",
    type=click.FloatRange(0, 100),
    default=0.5,
    show_default=True,
    metavar="POINTS",
    help="Accuracy that may be lost.",
)
@click.option(
    "--keep-float",
    is_flag=True,
    help="Leave squeeze-excite and depth-wise layers and the head of an int8 model in float.",
)
@click.option(
    "--accept-loss", is_flag=True, help="Write the model even if the gate refuses it. The file then says so."
)
@click.option("--qat-epochs", type=click.IntRange(min=1), help="Epochs of training for int8 (int8-qat).")
@click.option(
    "--qat-minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Stop that training after this long, then convert.",
)
def quantize(
    run: Path,
    data: Path,
    scheme: Scheme,
    out: Path,
    name: str | None,
    export: Export,
    demo: bool,
    gate_data: tuple[Path, ...],
    teacher: Path | None,
    unsure_data: tuple[Path, ...],
    max_flips: float,
    max_drop: float,
    keep_float: bool,
    accept_loss: bool,
    qat_epochs: int | None,
    qat_minutes: float | None,
) -> None:
    """Make a verified .tflite from a training run.

    The gate compares the model with the float32 network, on 2,000 tiles of 60 patients that had no part in
    the training (--gate-data). They need no labels. Its report lies beside MODEL: .report.json, .report.md
    and .report.png. Beyond the limits no model is written, and the exit code is 78.

    The gate also compares a student with its teacher: on those tiles, which must be of 100 slides, and on 200
    tiles of 60 slides where the teacher is unsure (--unsure-data). See docs/student.md.
    """
    options = QuantizeOptions(
        scheme=scheme,
        export=export,
        name=name,
        demo=demo,
        gate_data=gate_data,
        teacher=teacher,
        unsure_data=unsure_data,
        limits=Limits(flips=max_flips / 100, accuracy_drop=max_drop / 100),
        accept_loss=accept_loss,
        keep_float=keep_float,
        qat=_qat(qat_epochs, qat_minutes),
    )
    quiet_tensorflow()
    with needs_extra("quantize"):
        from her2edge_quantize.quantize import quantize as run_quantize

    path = run_quantize(run, data, out, options, report=click.echo)
    click.echo(f"model: {path}")


def _qat(epochs: int | None, minutes: float | None) -> QatOptions | None:
    """How weights are trained for int8, None where the command does not say."""
    if epochs is None and minutes is None:
        return None
    usual = QatOptions()
    return QatOptions(epochs=epochs or usual.epochs, minutes=minutes or usual.minutes)
