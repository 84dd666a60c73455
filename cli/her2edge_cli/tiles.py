"""her2edge tiles: annotated regions, scored slides or class folders become labelled tiles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from her2edge.extras import needs_extra
from her2edge.files import check_folder
from her2edge.regions.classes import EXCLUDE, IGNORE
from her2edge.text import from_disk
from her2edge_cli import exits
from her2edge_cli.cut_lines import print_report
from her2edge_cli.inputs import cohort_option, open_cohort, slides_given
from her2edge_cli.paths import PATH
from her2edge_cli.progress import counter
from her2edge_training.classes import extended, read_table
from her2edge_training.cohort.patients import PATIENT_PATTERN
from her2edge_training.recipes import load_recipe

if TYPE_CHECKING:
    from her2edge.cohort import CohortSlide
    from her2edge.regions.classes import Table
    from her2edge_training.cohort.plan import Cutting, Plan


@click.command(
    epilog="Classes named like the labels are known, e.g. 0, 1+, 2+, HER2 3+, negative, equivocal, positive. "
    f"CLASS={EXCLUDE} cuts a class out of every region: no tiles are cut there. QuPath's ignored classes "
    f"(Ignore*, Artefact*, ...) are excluded too. CLASS={IGNORE} leaves a class out, as if it were not "
    f"drawn: it "
    "labels nothing, but a region around it still labels the tiles in it."
)
@click.argument("paths", nargs=-1, type=PATH, metavar="[SLIDE...]")
@click.option(
    "--annotations", type=PATH, metavar="GEOJSON|DIR",
    help="QuPath's export of the one slide, or a folder with <SLIDE>.geojson for each, with or without the "
    "slide's suffix; .json, .gz and .zip too. Without it, every tile of a slide gets the score in --cohort.",
)  # fmt: skip
@click.option(
    "--from-folders", type=PATH, metavar="DATA",
    help="Folder of class folders, DATA/3+/...: of slides, or of tile images, which are taken as they are.",
)  # fmt: skip
@click.option(
    "--patient-pattern", metavar="REGEX",
    help="Start of a file's name, in its class folder, that names the patient; a group `slide` names the "
    f"slide. Default: {PATIENT_PATTERN!r}, everything before the first _ or /.",
)  # fmt: skip
@click.option(
    "--redo", multiple=True, type=PATH, metavar="SLIDE",
    help="Cut this slide again: the new tiles replace those in DIR; patient and site stay unless "
    "given. With --from-folders: the name of a slide, or of a patient's tile images. May be "
    "repeated.",
)  # fmt: skip
@click.option("--out", required=True, type=PATH, metavar="DIR", help="Folder for tiles/ and cohort.csv.")
@click.option(
    "--recipe", default="paper_se_resnet50", show_default=True,
    help="Recipe that sets tile size, scale, tissue limit and table of classes.",
)  # fmt: skip
@click.option(
    "--tiles-per-slide", type=click.IntRange(min=1), metavar="N",
    help="Cut at most N tiles of a slide, spread over it. Default: all, which may be gigabytes for "
    "a whole slide.",
)  # fmt: skip
@click.option("--tile-px", type=click.IntRange(min=16), help="Side of a tile. Default: the recipe's.")
@click.option(
    "--tile-mpp", type=float, metavar="UM", help="um per pixel of the tiles. Default: the recipe's."
)
@click.option(
    "--mpp",
    type=float,
    metavar="UM",
    help="um per pixel of the slides at level 0, if the files do not state it; of tile images.",
)
@click.option(
    "--min-inside", type=float, default=1.0, show_default=True, metavar="SHARE",
    help="Least share of a tile inside regions of one label; 1: the whole tile.",
)  # fmt: skip
@click.option(
    "--label", "pairs", multiple=True, metavar="CLASS=LABEL",
    help=f'A class, score or class folder and its label, e.g. "strong=3+", or ={EXCLUDE} (cut it out, e.g. '
    f'"Necrosis={EXCLUDE}"), or ={IGNORE} (as if it were not drawn). May be repeated.',
)  # fmt: skip
@click.option("--labels", type=PATH, metavar="JSON", help='The same as a file: {"class": "label", ...}.')
@cohort_option
@click.option(
    "--patient",
    default="",
    help="Patient of the slides, if no list names one. Default: each slide is a patient of its own.",
)
@click.option("--site", default="", help="Hospital or scanner of the slides, if no list names one.")
def tiles(
    paths: tuple[Path, ...],
    annotations: Path | None,
    from_folders: Path | None,
    patient_pattern: str | None,
    redo: tuple[Path, ...],
    out: Path,
    recipe: str,
    tiles_per_slide: int | None,
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
    """Make labelled tiles to train on.

    Labels come from regions drawn in QuPath, from scores of slides in a list, or from the names of class
    folders; a label of a whole slide is a weak one. Tiles do not overlap, lie wholly inside a region and pass
    the tissue filter. If DIR holds tiles cut in the same way, new ones are added: run once per patient or
    site, or let --cohort name them. A SLIDE may be a folder of slides. Look at DIR/contact and DIR/overviews.
    """
    named = redo or paths
    _check_usage(paths, redo, from_folders, annotations, cohort_path, patient_pattern)
    if min_inside != 1 and annotations is None:
        raise click.UsageError(
            "found --min-inside without --annotations, which it needs: without regions, tiles are cut from "
            "the whole slide"
        )
    check_folder(out)
    chosen = load_recipe(recipe)
    table = extended(chosen.classes, read_table(labels) if labels else ())
    table = extended(table, (_pair(text) for text in pairs))
    with needs_extra("train"):
        from her2edge_training.cohort.class_folders import plan_folders
        from her2edge_training.cohort.contact_sheets import CONTACT
        from her2edge_training.cohort.cut import cut_tiles
        from her2edge_training.cohort.cut_slide import OVERVIEWS
        from her2edge_training.cohort.plan import Cutting, Origin
        from her2edge_training.cohort.tile_list import NAME
    side, scale = tile_px or chosen.tile_px, chosen.mpp if tile_mpp is None else tile_mpp
    cutting = Cutting(side, scale, min_inside, chosen.max_background_share, tiles_per_slide)
    codes: list[int] = []
    origin = Origin(patient, site)
    if from_folders:
        plan = plan_folders(
            from_folders, cutting, table, labels=chosen.labels, mpp=mpp,
            pattern=patient_pattern or PATIENT_PATTERN, origin=origin, leave_out=out,
        )  # fmt: skip
        if redo:
            plan = plan.only([from_disk(path.name) for path in redo])
    else:
        cohort = open_cohort(cohort_path, must_exist=not named)
        slides = slides_given(named, cohort, cutting.tile_px, out, codes)
        if not slides:
            return codes[0]
        plan = _plan(slides, annotations, cutting, table, chosen.labels, mpp)
    for line in plan.notes:
        click.echo(line)
    with counter("tiles") as progress:
        report = cut_tiles(plan, out, origin, redo=bool(redo), progress=progress)
    print_report(report)
    unnamed = sum(not (slide.origin.patient or patient) for slide in plan.slides)
    if unnamed and not redo:
        click.echo(f"{unnamed} slide(s) without a patient: each counts as one of its own")
    click.echo(f"look at what was cut: {out / CONTACT}" + (f", {out / OVERVIEWS}" if plan.slides else ""))
    click.echo(f"tile list: {out / NAME}")
    lost = codes or any(slide.unreadable for slide in report.slides)
    return exits.PARTLY if lost else exits.DONE


def _plan(
    slides: Sequence[CohortSlide],
    annotations: Path | None,
    cutting: Cutting,
    table: Table,
    labels: tuple[str, ...],
    mpp: float | None,
) -> Plan:
    from her2edge_training.cohort.annotated import plan_tiles
    from her2edge_training.cohort.whole import plan_scored

    if annotations is None:
        return plan_scored(slides, cutting, table, labels=labels, mpp=mpp)
    return plan_tiles(slides, annotations, cutting, table, labels=labels, mpp=mpp)


def _check_usage(
    paths: tuple[Path, ...],
    redo: tuple[Path, ...],
    from_folders: Path | None,
    annotations: Path | None,
    cohort: Path | None,
    pattern: str | None,
) -> None:
    if paths and redo:
        raise click.UsageError("found both SLIDE and --redo, which each name the slides: leave one out")
    if from_folders and (paths or annotations or cohort):
        raise click.UsageError(
            "found --from-folders with SLIDE, --annotations or --cohort, expected it alone: leave these out"
        )
    if pattern and not from_folders:
        raise click.UsageError(
            "found --patient-pattern without --from-folders, which it needs: --cohort names patients too"
        )
    if not (from_folders or annotations or cohort):
        raise click.UsageError(
            "found nothing that gives the labels, expected --annotations (regions), --cohort (scores) or "
            "--from-folders (class folders): add one of them"
        )


def _pair(text: str) -> tuple[str, str]:
    name, equals, label = text.rpartition("=")
    if not (name.strip() and equals):
        raise click.UsageError(f'found --label {text!r}, expected CLASS=LABEL, e.g. "HER2 3+=3+"')
    return name, label.strip()
