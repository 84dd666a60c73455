"""her2edge tiles SLIDE... --annotations X.geojson --out DIR: annotated regions become labelled tiles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from her2edge.extras import needs_extra
from her2edge.files import check_folder
from her2edge.regions.classes import EXCLUDE, IGNORE
from her2edge_cli import exits
from her2edge_cli.inputs import cohort_option, open_cohort, slides_given
from her2edge_cli.paths import PATH
from her2edge_cli.progress import counter
from her2edge_training.classes import extended, read_table
from her2edge_training.recipes import load_recipe

if TYPE_CHECKING:
    from her2edge_training.cohort.cut_report import ClassCount, CutReport


@click.command(
    epilog="Classes named like the labels are known, e.g. 0, 1+, 2+, HER2 3+, negative, equivocal, positive. "
    f"CLASS={EXCLUDE} cuts a class out of every region: what lies in it is no tile. QuPath's ignored classes "
    f"(Ignore*, Artefact*, ...) mean that. CLASS={IGNORE} leaves a class out, as if it were not drawn: it "
    "labels nothing, but a region around it still labels the tiles in it."
)
@click.argument("paths", nargs=-1, type=PATH, metavar="SLIDE...")
@click.option(
    "--annotations", required=True, type=PATH, metavar="GEOJSON|DIR",
    help="QuPath's export of the one slide, or a folder with <SLIDE>.geojson for each, with or without the "
    "slide's suffix; .json, .gz and .zip too.",
)  # fmt: skip
@click.option(
    "--redo", multiple=True, type=PATH, metavar="SLIDE",
    help="Cut this slide again: its new tiles replace those in DIR; patient and site stay where nothing else "
    "says them. May be repeated.",
)  # fmt: skip
@click.option("--out", required=True, type=PATH, metavar="DIR", help="Folder for tiles/ and cohort.csv.")
@click.option(
    "--recipe", default="paper_se_resnet50", show_default=True,
    help="Recipe that sets tile size, scale, tissue limit and table of classes.",
)  # fmt: skip
@click.option("--tile-px", type=click.IntRange(min=16), help="Side of a tile. Default: the recipe's.")
@click.option(
    "--tile-mpp", type=float, metavar="UM", help="um per pixel of the tiles. Default: the recipe's."
)
@click.option(
    "--mpp",
    type=float,
    metavar="UM",
    help="um per pixel of the slides at level 0, if the files do not state it.",
)
@click.option(
    "--min-inside", type=float, default=1.0, show_default=True, metavar="SHARE",
    help="Least share of a tile inside regions of one label; 1: the whole tile.",
)  # fmt: skip
@click.option(
    "--label", "pairs", multiple=True, metavar="CLASS=LABEL",
    help=f'A class of the annotations and its label, e.g. "strong=3+", or ={EXCLUDE} (cut it out, e.g. '
    f'"Necrosis={EXCLUDE}"), or ={IGNORE} (as if not drawn). May be repeated.',
)  # fmt: skip
@click.option("--labels", type=PATH, metavar="JSON", help='The same as a file: {"class": "label", ...}.')
@cohort_option
@click.option(
    "--patient",
    default="",
    help="Patient the slides are from, where no list says. Default: each slide is its own.",
)
@click.option("--site", default="", help="Hospital or scanner the slides are from, where no list says.")
def tiles(
    paths: tuple[Path, ...],
    annotations: Path,
    redo: tuple[Path, ...],
    out: Path,
    recipe: str,
    tile_px: int | None,
    tile_mpp: float | None,
    mpp: float | None,
    min_inside: float,
    pairs: tuple[str, ...],
    labels: Path | None,
    cohort_path: Path | None,
    patient: str,
    site: str,
) -> int:
    """Cut annotated regions of slides into tiles.

    The tiles are labelled, to train on. They do not overlap, lie wholly inside a region and pass the tissue
    filter. If DIR holds tiles that were cut alike, new ones are added: run once per patient or site, or let
    --cohort tell them. A SLIDE may be a folder of slides.
    """
    if paths and redo:
        raise click.UsageError("Give either 'SLIDE...' or '--redo', not both.")
    check_folder(out)
    chosen = load_recipe(recipe)
    table = extended(chosen.classes, read_table(labels) if labels else ())
    table = extended(table, (_pair(text) for text in pairs))
    with needs_extra("train"):
        from her2edge_training.cohort.contact_sheets import CONTACT
        from her2edge_training.cohort.cut import cut_tiles
        from her2edge_training.cohort.cut_slide import OVERVIEWS
        from her2edge_training.cohort.plan import Cutting, Origin, plan_tiles
        from her2edge_training.cohort.tile_list import NAME
    side, scale = tile_px or chosen.tile_px, chosen.mpp if tile_mpp is None else tile_mpp
    cutting = Cutting(side, scale, min_inside, chosen.max_background_share)
    codes: list[int] = []
    named = redo or paths
    slides = slides_given(named, open_cohort(cohort_path, must_exist=not named), cutting.tile_px, out, codes)
    if not slides:
        return codes[0]
    plan = plan_tiles(slides, annotations, cutting, table, labels=chosen.labels, mpp=mpp)
    with counter("tiles") as progress:
        report = cut_tiles(plan, out, Origin(patient, site), redo=bool(redo), progress=progress)
    for line in _lines(report):
        click.echo(line)
    click.echo(f"look at what was cut: {out / CONTACT}, {out / OVERVIEWS}")
    click.echo(f"tile list: {out / NAME}")
    lost = codes or any(slide.unreadable for slide in report.slides)
    return exits.PARTLY if lost else exits.DONE


def _pair(text: str) -> tuple[str, str]:
    name, equals, label = text.rpartition("=")
    if not (name.strip() and equals):
        raise click.BadParameter(
            f'found {text!r}, expected CLASS=LABEL, e.g. "HER2 3+=3+"', param_hint="--label"
        )
    return name, label.strip()


def _lines(report: CutReport) -> Iterator[str]:
    """The paper's table, tiles before and after the tissue filter, and what was left out."""
    counts = [count for slide in report.slides for count in slide.classes]
    rows = [
        (
            label,
            sum(count.inside for count in counts if count.label == label),
            sum(count.tissue for count in counts if count.label == label),
        )
        for label in dict.fromkeys(count.label for count in counts)
    ]
    rows.append(("all", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    yield f"{'label':8}{'in regions':>12}{'with tissue':>13}"
    for label, inside, tissue in rows:
        yield f"{label:8}{inside:12}{tissue:13}"
    slides = report.slides
    for number, words in (
        (
            sum(slide.repaired for slide in slides),
            "region(s) crossed or overlapped themselves and were repaired",
        ),
        (sum(slide.left_out for slide in slides), "object(s) without area or no annotation were left out"),
        (
            sum(slide.stray_rings for slide in slides),
            "outline(s) or hole(s) of fewer than four points were left out",
        ),
        (
            sum(slide.other_plane for slide in slides),
            "object(s) on another plane (z or t is not 0) were left out",
        ),
        (sum(slide.outside for slide in slides), "region(s) lie off their slide"),
        (sum(slide.two_labels for slide in slides), "tile(s) in regions of two labels were left out"),
        (sum(slide.excluded for slide in slides), "tile(s) in excluded regions were left out"),
        (
            sum(slide.black for slide in slides),
            "tile(s) in regions are mostly black padding and were left out",
        ),
        (
            sum(count.no_stain for count in counts),
            "tile(s) of tissue in regions show no two stains and were left out"
            + _by_label(counts, "no_stain"),
        ),
        (sum(len(slide.unreadable) for slide in slides), "tile(s) cannot be decoded: see tiles.json"),
    ):
        if number:
            yield f"{number} {words}"
    for kind, words in (("glass", "glass"), ("pale", "pale tissue"), ("too_little", "too little tissue")):
        if text := _by_label(counts, kind):
            yield f"background, {words}{text}"
    for code in dict.fromkeys(code for count in counts for code in count.quality):
        yield f"of the tiles cut, {code}{_by_label(counts, code)}"


def _by_label(counts: Sequence[ClassCount], what: str) -> str:
    """ ": 2+ 3, 3+ 1", the tiles of each label with this code or left out for it; empty for none."""
    tiles: Counter[str] = Counter()
    for count in counts:
        tiles[count.label] += count.quality.get(what, 0) or getattr(count, what, 0)
    shown = ", ".join(f"{label} {number}" for label, number in tiles.items() if number)
    return f": {shown}" if shown else ""
