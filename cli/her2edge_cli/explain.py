"""her2edge explain SLIDE|TILE... --out DIR: what in a tile speaks for a class, as a network sees it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click

from her2edge import Her2EdgeError, Model, Options, SlideReader, Tile, TileClassifier
from her2edge.errors import OptionError, OutputError, StainError
from her2edge.explain import Explanation, label_index
from her2edge.extras import needs_extra, quiet_tensorflow
from her2edge.files import check_folder, forget
from her2edge.results import notice
from her2edge.results.explain_slide import TOP, explain_slide
from her2edge.results.fit_tiles import fit_tiles
from her2edge.results.notices import DEMO_NOTICE
from her2edge.slide import is_slide, read_image
from her2edge.stain import StainMode
from her2edge.text import shown
from her2edge.tile import RESEARCH_USE, Pixels
from her2edge_cli import exits
from her2edge_cli.explain_rows import TABLE, Row, Sheet, say_wrong
from her2edge_cli.held import hold_folder
from her2edge_cli.images import FreeNames, image_files, refuse_own_input, say
from her2edge_cli.inputs import files_of
from her2edge_cli.options import stain_choice
from her2edge_cli.paths import PATH
from her2edge_cli.progress import counter


@dataclass(frozen=True, eq=False)
class Explainer:
    """A model that explains tiles: its `explain`, its labels, and the notice its outputs carry.

    mpp: um per pixel of its tiles. classifier: that of a model file, which explains slides too; None for a
    Keras network.
    """

    explain: Callable[[Tile, str | None], Explanation]
    labels: tuple[str, ...]
    notice: str
    mpp: float
    classifier: TileClassifier | None = None


@dataclass(frozen=True)
class Work:
    """What is explained: a class (None: the one predicted), tiles of each end, um per pixel or None."""

    label: str | None
    top: int
    mpp: float | None


@click.command()
@click.argument("paths", nargs=-1, required=True, type=PATH, metavar="SLIDE|TILE...")
@click.option("--out", required=True, type=PATH, metavar="DIR", help=f"Folder for the pictures and {TABLE}.")
@click.option(
    "--model",
    "model_path",
    type=PATH,
    metavar="MODEL",
    help="A .tflite, the folder of a training run or a .keras file. Default: the embedded demo model.",
)
@click.option(
    "--label",
    metavar="LABEL",
    help="Class to explain. Default: the predicted one; for a slide, that of most tiles.",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=TOP,
    show_default=True,
    help="For a slide: show this many tiles with the highest probability of the class, and as many "
    "with the lowest.",
)
@click.option(
    "--mpp", type=float, metavar="UM", help="um per pixel of slides, where the file does not state it."
)
@click.option(
    "--stain",
    metavar="per-tile|slide|off|FIT.json",
    help="Stain normalisation of a .tflite's tiles, as in `classify`; slide: one fit of all the tiles given. "
    "Default: what the model was trained on.",
)
def explain(
    paths: tuple[Path, ...],
    out: Path,
    model_path: Path | None,
    label: str | None,
    top: int,
    mpp: float | None,
    stain: str | None,
) -> int:
    """Show what in a tile speaks for a class.

    The method is Grad-CAM (Selvaraju et al. 2017). A map explains the network, not the tissue.

    A TILE is an image of the model's size and scale, or a folder of them. For a SLIDE, or each slide of a
    folder, it shows the tiles that the network is most and least sure of. Files are named after their places,
    in level-0 pixels. Writes a picture of each tile beside its map, and explain.csv.
    """
    check_folder(out)
    _refuse_models(paths)
    explainer = _open(model_path, stain)
    if label is not None:
        label_index(label, explainer.labels)
    codes: list[int] = []
    slides, images = _sorted(paths, explainer, out, codes)
    refuse_own_input(images, out)
    hold_folder(out)
    forget(out, TABLE)
    files = [path for path, _ in image_files(images, codes)]
    if files and explainer.classifier is not None:
        explainer = _fitted(explainer, explainer.classifier, files)
    click.echo(f"her2edge: {explainer.notice}", err=True)
    sheet, names = Sheet(out, explainer.labels, explainer.notice, explainer.mpp), FreeNames()
    rows = [_explain(path, explainer, label, sheet, names) for path in files]
    codes += say_wrong(rows)
    for slide in slides:
        of_slide = _explain_slide(slide, explainer, Work(label, top, mpp), sheet, names, codes)
        codes += say_wrong(of_slide)
        rows += of_slide
    if not any(row.explanation for row in rows):
        return codes[0]
    sheet.write_table(rows)
    return exits.PARTLY if codes else exits.DONE


def _refuse_models(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.suffix.lower() in (".tflite", ".keras") or os.path.isfile(path / "recipe.json"):  # noqa: PTH113 - Path's raises for a name too long
            raise OptionError(
                f"{path.name} is a model, expected slides or tiles: pass the model with --model"
            )


def _open(path: Path | None, stain: str | None) -> Explainer:
    """A model file by its head, in closed form; a Keras network by gradient."""
    if path is None or not (os.path.isdir(path) or path.suffix.lower() == ".keras"):  # noqa: PTH112 - Path's raises for a name too long
        model = Model.load(path) if path else Model.demo()
        options = Options(stain=None if stain is None else stain_choice(stain))
        classifier = TileClassifier(model, options)
        return Explainer(classifier.explain, model.manifest.labels, notice(model), model.mpp, classifier)
    if stain is not None:
        raise OptionError(f"found --stain {stain}, expected none: a run normalises as its recipe says")
    quiet_tensorflow()
    with needs_extra("train"):
        from her2edge_training.run.explain import load_explainer
    network = load_explainer(path)
    words_below = f"{RESEARCH_USE} {DEMO_NOTICE}" if network.demo else RESEARCH_USE
    return Explainer(network.explain, network.labels, words_below, network.mpp)


def _sorted(
    paths: Iterable[Path], explainer: Explainer, out: Path, codes: list[int]
) -> tuple[list[Path], list[Path]]:
    """(slides, tiles and folders of tiles); a Keras network takes tiles only."""
    classifier = explainer.classifier
    if classifier is None:
        return [], list(paths)
    tile_px = classifier.model.tile_px
    files = [file for path in paths for file in files_of(path, tile_px, out, codes)]
    slides = [file for file in files if not os.path.isdir(file) and is_slide(file, tile_px)]  # noqa: PTH112 - Path's raises for a name too long
    chosen = set(slides)
    return slides, [file for file in files if file not in chosen]


def _fitted(explainer: Explainer, classifier: TileClassifier, files: list[Path]) -> Explainer:
    """All tiles by one fit of them, where the model wants it; their own colours, as in `classify`, where they
    hold no two stains. Slides keep the classifier: each has a fit of its own."""
    if classifier.stain_mode is not StainMode.SLIDE:
        return explainer
    model = classifier.model
    try:
        fit = fit_tiles(_pixels(files, model.tile_px), model.manifest.stain.profile, model.tissue_filter)
        fitted, stains = classifier.with_stain(fit), "Stains: one fit of all the tiles given."
    except StainError as error:
        fitted = classifier.with_stain(StainMode.OFF)
        stains = f"Stains: tiles keep their own colours: {error}."
    return replace(explainer, explain=fitted.explain, notice=f"{explainer.notice} {stains}")


def _pixels(files: list[Path], tile_px: int) -> Iterator[Pixels]:
    """Tiles of the model's size; those that cannot be read are named when their turn comes."""
    for path in files:
        with contextlib.suppress(Her2EdgeError):
            pixels = read_image(path)
            if pixels.shape[:2] == (tile_px, tile_px):
                yield pixels


def _explain(path: Path, explainer: Explainer, label: str | None, sheet: Sheet, names: FreeNames) -> Row:
    """Explain one tile and write its picture; a tile that cannot be used costs that tile."""
    name = shown(path.name)
    try:
        pixels = read_image(path)
        explanation = explainer.explain(Tile(pixels, slide=name), label)
        file = names.of(path)
        sheet.draw(file, explanation, pixels, name)
    except OutputError:
        raise  # the next tile would fare no better
    except Her2EdgeError as error:
        return Row(name, error=error)
    return Row(name, file, explanation)


def _explain_slide(
    path: Path, explainer: Explainer, work: Work, sheet: Sheet, names: FreeNames, codes: list[int]
) -> list[Row]:
    """Explain the chosen tiles of a slide; a slide that cannot be used costs that slide."""
    assert explainer.classifier is not None  # noqa: S101 - a Keras network has no slides
    rows: list[Row] = []
    try:
        with SlideReader(path, mpp=work.mpp) as slide:
            with counter(path) as progress:
                whole = explain_slide(
                    slide, explainer.classifier, work.label, top=work.top, progress=progress
                )
            lost = f", {whole.failed} failed" if whole.failed else ""
            click.echo(f"{slide.name}: {whole.label}, {whole.tissue} tiles of tissue{lost}")
            for tile in whole.chosen:
                at = f"{round(tile.x)}-{round(tile.y)}"
                row = Row(slide.name, "", tile.explanation, tile.error, tile.which, tile.x, tile.y)
                if tile.explanation is not None and tile.pixels is not None:
                    file = names.of(Path(f"{slide.name}-{tile.which}-{tile.rank:02}-{at}.png"))
                    about = f"  {tile.which} {tile.rank} at ({tile.x:.0f}, {tile.y:.0f})"
                    sheet.draw(file, tile.explanation, tile.pixels, about)
                    row = replace(row, file=file)
                rows.append(row)
    except OutputError:
        raise
    except Her2EdgeError as error:
        codes.append(say(error, shown(path.name)))
    return rows
