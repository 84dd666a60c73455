"""her2edge explain MODEL TILE... --out DIR: where a network found what speaks for a class."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from her2edge import Her2EdgeError, Model, Options, Tile, TileClassifier
from her2edge.errors import OptionError, OutputError
from her2edge.explain import Explanation, label_index
from her2edge.extras import missing_extra
from her2edge.files import ensure_folder, forget, write_bytes
from her2edge.results import notice
from her2edge.results.explain_sheet import draw_explanation, probability, words
from her2edge.results.record import DEMO_NOTICE
from her2edge.slide import encode_png, read_image
from her2edge.tables import defused
from her2edge.text import shown
from her2edge.tile import RESEARCH_USE
from her2edge_cli import exits
from her2edge_cli.images import FreeNames, image_files, refuse_own_input, say
from her2edge_cli.options import stain_choice
from her2edge_cli.paths import PATH


@dataclass(frozen=True)
class Explainer:
    """A model that explains tiles: its `explain`, its labels, and the notice its outputs carry."""

    explain: Callable[[Tile, str | None], Explanation]
    labels: tuple[str, ...]
    notice: str


@dataclass(frozen=True)
class Row:
    """A tile in explain.csv: its picture and its explanation, or the error."""

    name: str
    file: str = ""
    explanation: Explanation | None = None
    error: str = ""


@click.command()
@click.argument("model_path", type=PATH, metavar="MODEL")
@click.argument("tiles", nargs=-1, required=True, type=PATH, metavar="TILE...")
@click.option(
    "--out", required=True, type=PATH, metavar="DIR", help="Folder for the pictures and explain.csv."
)
@click.option("--class", "label", metavar="LABEL", help="Class to explain. Default: the one predicted.")
@click.option(
    "--stain",
    metavar="per-tile|off|FIT.json",
    help="Stain normalisation of a .tflite's tiles, as in `classify`. Default: the model's own.",
)
def explain(
    model_path: Path, tiles: tuple[Path, ...], out: Path, label: str | None, stain: str | None
) -> int:
    """Show where a network found what speaks for a class (Grad-CAM, Selvaraju et al. 2017).

    MODEL is a .tflite, the folder of a training run or a .keras file; a TILE is an image of the model's
    size and scale, or a folder of them. Writes a picture of each tile beside its map, and explain.csv.
    A map explains the network, not the tissue.
    """
    explainer = _open(model_path, stain)
    if label is not None:
        label_index(label, explainer.labels)
    refuse_own_input(tiles, out)
    ensure_folder(out)
    forget(out, "explain.csv")
    click.echo(f"her2edge: {explainer.notice}", err=True)
    codes: list[int] = []
    files = image_files(tiles, codes)
    names = FreeNames()
    rows = [_explain(path, explainer, label, out, names, codes) for path in files]
    if not any(row.explanation for row in rows):
        return codes[0]
    write_bytes(out / "explain.csv", _table(rows, explainer))
    click.echo(f"table: {shown(str(out / 'explain.csv'))}")
    return exits.PARTLY if codes else exits.DONE


def _open(path: Path, stain: str | None) -> Explainer:
    """A model file by its head, in closed form; a Keras network by gradient."""
    if not (path.is_dir() or path.suffix.lower() == ".keras"):
        model = Model.load(path)
        options = Options(stain=None if stain is None else stain_choice(stain))
        return Explainer(TileClassifier(model, options).explain, model.manifest.labels, notice(model))
    if stain is not None:
        raise OptionError(f"found --stain {stain}, expected none: a run normalises as its recipe says")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        from her2edge_training.network.explain import NetworkExplainer
    except ImportError as error:
        raise missing_extra("train", error) from error
    network = NetworkExplainer.load(path)
    said = f"{RESEARCH_USE} {DEMO_NOTICE}" if network.demo else RESEARCH_USE
    return Explainer(network.explain, network.labels, said)


def _explain(
    path: Path, explainer: Explainer, label: str | None, out: Path, names: FreeNames, codes: list[int]
) -> Row:
    """Explain one tile and write its picture; a tile that cannot be used costs that tile."""
    name = shown(path.name)
    try:
        pixels = read_image(path)
        explanation = explainer.explain(Tile(pixels, slide=name), label)
        picture = draw_explanation(explanation, pixels, explainer.labels, explainer.notice)
        file = names.of(path)
        write_bytes(out / file, encode_png(picture))
    except OutputError:
        raise  # the next tile would fare no better
    except Her2EdgeError as error:
        codes.append(say(error, name))
        return Row(name, error=str(error))
    click.echo(f"{name}: {words(explanation, explainer.labels)}: {shown(str(out / file))}")
    return Row(name, file, explanation)


def _table(rows: list[Row], explainer: Explainer) -> bytes:
    """explain.csv: peak is the map's largest value, in units of the logit."""
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    chances = [f"p {label}" for label in explainer.labels]
    found = ("label", "probability", "peak", "predicted", *chances, "tissue_fraction", "stain_status")
    table.writerow(("tile", "file", *found, "error", "notice"))
    for row in rows:
        cells = _cells(row.explanation, explainer) if row.explanation else [""] * len(found)
        table.writerow([defused(row.name), row.file, *cells, defused(row.error), explainer.notice])
    return text.getvalue().encode()


def _cells(explanation: Explanation, explainer: Explainer) -> list[str]:
    result = explanation.result
    chances = [] if result.probabilities is None else [f"{chance:.6f}" for chance in result.probabilities]
    return [
        explanation.label,
        f"{probability(explanation, explainer.labels):.6f}",
        f"{explanation.map.max():.6g}",
        result.label or "",
        *chances,
        f"{result.tissue_fraction:.6f}",
        result.stain_status or "",
    ]
