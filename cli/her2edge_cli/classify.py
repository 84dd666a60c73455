"""her2edge classify SLIDE... --out DIR"""

from __future__ import annotations

import os
from pathlib import Path

import click

from her2edge import Her2EdgeError
from her2edge.cohort import CohortSlide
from her2edge.results.owner import INDEX, SHEET
from her2edge_cli import exits
from her2edge_cli.announce import Announcer
from her2edge_cli.beside import Beside, beside_options, complain
from her2edge_cli.drawn import Drawn
from her2edge_cli.inputs import cohort_option, open_cohort, say, slides_given
from her2edge_cli.options import Reading, reading_options
from her2edge_cli.paths import PATH


@click.command()
@click.argument("paths", nargs=-1, type=PATH, metavar="SLIDE...")
@reading_options
@cohort_option
@click.option(
    "--fresh",
    is_flag=True,
    help="Start over, even if an earlier run left complete results or the journal of an interrupted run.",
)
@click.option(
    "--region", type=PATH, metavar="GEOJSON|DIR",
    help="Read only tiles wholly inside regions: QuPath's export of the one slide, or a folder with "
    "<SLIDE>.geojson for each, as in `tiles`.",
)  # fmt: skip
@click.option(
    "--class", "classes", multiple=True, metavar="CLASS",
    help="With --region: only regions of this class, e.g. Tumor. May be repeated. Default: all classes but "
    "those that QuPath ignores, which are cut out.",
)  # fmt: skip
@beside_options
def classify(
    paths: tuple[Path, ...],
    cohort_path: Path | None,
    fresh: bool,
    region: Path | None,
    classes: tuple[str, ...],
    beside: Beside,
    reading: Reading,
) -> int:
    """Classify slides, plain images or folders of tiles.

    A SLIDE may be a folder of slides, or be left out where --cohort lists them. A folder counts as slides if
    it holds a file in a format that only slides have, a TIFF stored in tiles and longer than one tile of the
    model, or only pictures longer than two tiles. Any other folder holds the tiles of one slide.

    Writes per slide: tiles.csv, tiles.geojson (QuPath), heatmap.png, summary.json and run.json.
    A folder of tiles has no places on a slide: it gets no GeoJSON and no heatmap.

    Nothing is lost when a run is interrupted: run the same command again to resume, to the same files.
    Finished slides are skipped; of slides with failed tiles only these are read again. With another model,
    runtime, version, regions or option that results depend on, a slide is begun afresh.
    """
    announcer = Announcer.of(reading)
    cohort = open_cohort(cohort_path, must_exist=not paths)
    codes: list[int] = []
    tile_px, out = reading.classifier.model.tile_px, reading.choices.out
    slides = slides_given(paths, cohort, tile_px, out, codes, announcer.failed)
    drawn = Drawn.of(region, classes, slides)
    codes += [_one(slide, reading, announcer, fresh, drawn, beside) for slide in announcer.each(slides)]
    _say_outdated(out, announcer)
    done = [code for code in codes if code in (exits.DONE, exits.PARTLY)]
    if done == [exits.DONE] * len(codes):
        return exits.DONE
    return exits.PARTLY if done else codes[0]


def _say_outdated(out: Path, announcer: Announcer) -> None:
    """That a table of slides was made before slides were classified."""
    if announcer.tally.done > announcer.tally.before and os.path.lexists(out / INDEX):
        say(f"{INDEX} and {SHEET} show earlier results: make them again with her2edge report")


def _one(
    slide: CohortSlide,
    reading: Reading,
    announcer: Announcer,
    fresh: bool,
    drawn: Drawn | None,
    beside: Beside,
) -> int:
    """Classify a slide and say what became of it; returns its exit code."""
    try:
        beside.check(slide.path)
        regions = None if drawn is None else drawn.regions(slide.path)
        run = reading.run(slide, fresh=fresh, fill_in=slide.row > 0, regions=regions)
    except Her2EdgeError as error:
        return announcer.failed(slide.path, error)
    run, wrong = beside.write(run, slide.path, reading)
    return complain(wrong, announcer.done(run, slide.patient))
