"""her2edge explain MODEL TILE... --out DIR: what in a tile speaks for a class, as a network sees it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click

from her2edge import Her2EdgeError, Model, Options, Tile, TileClassifier
from her2edge.errors import OptionError, OutputError, StainError
from her2edge.explain import Explanation, label_index
from her2edge.extras import needs_extra, quiet_tensorflow
from her2edge.files import check_folder, ensure_folder, forget, write_bytes
from her2edge.results import notice
from her2edge.results.explain_sheet import draw_explanation, probability, words
from her2edge.results.fit_tiles import fit_tiles
from her2edge.results.notices import DEMO_NOTICE
from her2edge.slide import encode_png, read_image
from her2edge.stain import StainMode
from her2edge.tables import Cell, write_csv
from her2edge.text import shown
from her2edge.tile import RESEARCH_USE, Pixels
from her2edge_cli import exits
from her2edge_cli.images import FreeNames, image_files, refuse_own_input, say
from her2edge_cli.options import stain_choice
from her2edge_cli.paths import PATH


@dataclass(frozen=True, eq=False)
class Explainer:
    """A model that explains tiles: its `explain`, its labels, and the notice its outputs carry.

    unfitted: the classifier that still wants one stain fit of all tiles, if it is one.
    """

    explain: Callable[[Tile, str | None], Explanation]
    labels: tuple[str, ...]
    notice: str
    unfitted: TileClassifier | None = None


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
    metavar="per-tile|slide|off|FIT.json",
    help="Stain normalisation of a .tflite's tiles, as in `classify`; slide: one fit of all the tiles given. "
    "Default: what the model was trained on.",
)
def explain(
    model_path: Path, tiles: tuple[Path, ...], out: Path, label: str | None, stain: str | None
) -> int:
    """Show what in a tile speaks for a class.

    The method is Grad-CAM (Selvaraju et al. 2017). A map explains the network, not the tissue.

    MODEL is a .tflite, the folder of a training run or a .keras file. A TILE is an image of the model's size
    and scale, or a folder of them. Writes a picture of each tile beside its map, and explain.csv.
    """
    check_folder(out)
    explainer = _open(model_path, stain)
    if label is not None:
        label_index(label, explainer.labels)
    refuse_own_input(tiles, out)
    ensure_folder(out)
    forget(out, "explain.csv")
    codes: list[int] = []
    files = [path for path, _ in image_files(tiles, codes)]
    if explainer.unfitted is not None:
        explainer = _fitted(explainer, explainer.unfitted, files)
    click.echo(f"her2edge: {explainer.notice}", err=True)
    names = FreeNames()
    rows = [_explain(path, explainer, label, out, names, codes) for path in files]
    if not any(row.explanation for row in rows):
        return codes[0]
    _write_table(out / "explain.csv", rows, explainer)
    click.echo(f"table: {shown(str(out / 'explain.csv'))}")
    return exits.PARTLY if codes else exits.DONE


def _open(path: Path, stain: str | None) -> Explainer:
    """A model file by its head, in closed form; a Keras network by gradient."""
    if not (path.is_dir() or path.suffix.lower() == ".keras"):
        model = Model.load(path)
        options = Options(stain=None if stain is None else stain_choice(stain))
        classifier = TileClassifier(model, options)
        of_all = classifier.stain_mode is StainMode.SLIDE
        return Explainer(
            classifier.explain, model.manifest.labels, notice(model), classifier if of_all else None
        )
    if stain is not None:
        raise OptionError(f"found --stain {stain}, expected none: a run normalises as its recipe says")
    quiet_tensorflow()
    with needs_extra("train"):
        from her2edge_training.run.explain import load_explainer
    network = load_explainer(path)
    words_below = f"{RESEARCH_USE} {DEMO_NOTICE}" if network.demo else RESEARCH_USE
    return Explainer(network.explain, network.labels, words_below)


def _fitted(explainer: Explainer, classifier: TileClassifier, files: list[Path]) -> Explainer:
    """All tiles by one fit of them; their own colours, as in `classify`, where they hold no two stains."""
    model = classifier.model
    try:
        fit = fit_tiles(_pixels(files, model.tile_px), model.manifest.stain.profile, model.tissue_filter)
        classifier, stains = classifier.with_stain(fit), "Stains: one fit of all the tiles given."
    except StainError as error:
        classifier = classifier.with_stain(StainMode.OFF)
        stains = f"Stains: tiles keep their own colours: {error}."
    return replace(explainer, explain=classifier.explain, notice=f"{explainer.notice} {stains}")


def _pixels(files: list[Path], tile_px: int) -> Iterator[Pixels]:
    """Tiles of the model's size; those that cannot be read are named when their turn comes."""
    for path in files:
        with contextlib.suppress(Her2EdgeError):
            pixels = read_image(path)
            if pixels.shape[:2] == (tile_px, tile_px):
                yield pixels


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


def _write_table(path: Path, rows: list[Row], explainer: Explainer) -> None:
    """explain.csv: peak is the map's largest value, in units of the logit."""
    chances = [f"p {label}" for label in explainer.labels]
    answer = ("label", "probability", "peak", "predicted", *chances, "tissue_fraction", "stain_status")
    formats = dict.fromkeys(("probability", *chances, "tissue_fraction"), ".6f") | {"peak": ".6g"}
    write_csv(
        path,
        ("tile", "file", *answer, "error", "notice"),
        (
            (row.name, row.file, *_cells(row, explainer, len(answer)), row.error, explainer.notice)
            for row in rows
        ),
        formats,
    )


def _cells(row: Row, explainer: Explainer, count: int) -> list[Cell]:
    """The answer's columns, empty where there is none."""
    if row.explanation is None:
        return [None] * count
    result = row.explanation.result
    chances = () if result.probabilities is None else map(float, result.probabilities)
    return [
        row.explanation.label,
        probability(row.explanation, explainer.labels),
        float(row.explanation.map.max()),
        result.label,
        *chances,
        result.tissue_fraction,
        result.stain_status,
    ]
