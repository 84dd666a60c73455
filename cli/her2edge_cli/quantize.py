"""her2edge quantize RUN --data MANIFEST --scheme SCHEME --out MODEL; TensorFlow is imported late."""

from __future__ import annotations

import os
from pathlib import Path

import click

from her2edge.extras import missing_extra
from her2edge.model.manifest import Limits, Scheme
from her2edge_cli.paths import PATH
from her2edge_quantize.convert.edge import EXPORTS, Export
from her2edge_quantize.convert.export import SCHEMES


@click.command()
@click.argument("run", type=PATH)
@click.option(
    "--data", required=True, type=PATH, metavar="MANIFEST", help="manifest.csv the run was trained on."
)
@click.option(
    "--scheme",
    required=True,
    type=click.Choice(SCHEMES),
    help="See quantize/README.md.",
)
@click.option("--out", required=True, type=PATH, metavar="MODEL", help="The .tflite to write.")
@click.option("--name", help="Name in the manifest. Default: recipe and scheme.")
@click.option(
    "--export",
    type=click.Choice(EXPORTS),
    default="portable",
    show_default=True,
    help="fast: the SDK packs tiles for the stem, other TFLite users cannot (int8 of a ResNet).",
)
@click.option("--demo", is_flag=True, help="Mark the model as one that knows synthetic tissue only.")
@click.option(
    "--gate-data",
    type=PATH,
    metavar="MANIFEST",
    help="More held-out tiles, of other patients than the run's.",
)
@click.option(
    "--max-flips",
    type=click.FloatRange(0, 100),
    default=1.0,
    show_default=True,
    metavar="PERCENT",
    help="Tiles that may get another class than in float32.",
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
    "--keep-float", is_flag=True, help="int8 with squeeze-excite, depth-wise layers, head in float."
)
@click.option("--accept-loss", is_flag=True, help="Write a model that the gate refuses; the file says so.")
@click.option("--qat-epochs", type=click.IntRange(min=1), help="Epochs of training for int8 (int8-qat).")
@click.option(
    "--qat-minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Stop that training after so long, then convert.",
)
def quantize(
    run: Path,
    data: Path,
    scheme: Scheme,
    out: Path,
    name: str | None,
    export: Export,
    demo: bool,
    gate_data: Path | None,
    max_flips: float,
    max_drop: float,
    keep_float: bool,
    accept_loss: bool,
    qat_epochs: int | None,
    qat_minutes: float | None,
) -> None:
    """Make a verified .tflite from a training run, if it agrees with float32 on held-out tiles.

    The gate's report stands beside MODEL: .report.json, .report.md, .report.png. Beyond the limits the exit
    code is 78 and no model is written.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        from her2edge_quantize.qat.options import QatOptions
        from her2edge_quantize.quantize import quantize as run_quantize
    except ImportError as error:
        raise missing_extra("quantize", error) from error
    qat = None
    if qat_epochs is not None or qat_minutes is not None:
        usual = QatOptions()
        qat = QatOptions(epochs=qat_epochs or usual.epochs, minutes=qat_minutes or usual.minutes)
    path = run_quantize(
        run,
        data,
        scheme,
        out,
        name=name,
        demo=demo,
        export=export,
        gate_data=gate_data,
        limits=Limits(flips=max_flips / 100, accuracy_drop=max_drop / 100),
        keep_float=keep_float,
        accept_loss=accept_loss,
        qat=qat,
        report=click.echo,
    )
    click.echo(f"model: {path}")
