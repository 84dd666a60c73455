"""her2edge classify SLIDE... --out DIR"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import click

from her2edge import Her2EdgeError, SlideRun
from her2edge.cohort import CohortSlide
from her2edge.extras import require_modules
from her2edge.report import write_report
from her2edge.results.owner import PAGE
from her2edge_cli import exits
from her2edge_cli.announce import Announcer
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
    help="Begin with the first tile, whatever a former run left: complete results, or the journal of an "
    "interrupted run.",
)
@click.option(
    "--report",
    "with_report",
    is_flag=True,
    help="Also make a page of each slide, report.html, as `her2edge report` does; extra `report`.",
)
def classify(
    paths: tuple[Path, ...], cohort_path: Path | None, fresh: bool, with_report: bool, reading: Reading
) -> int:
    """Classify slides, plain images or folders of tiles.

    A SLIDE may be a folder of slides, or be left out where --cohort lists them. A folder is a list of slides
    if it holds a file of a format that only slides have, a TIFF stored in tiles and longer than one tile of
    the model, or only pictures longer than two; other folders hold the tiles of one slide.

    Writes per slide: tiles.csv, tiles.geojson (QuPath), heatmap.png, summary.json and run.json.
    A folder of tiles has no places on a slide: it gets no GeoJSON and no heatmap.

    Nothing is lost when a run is interrupted: run the same command again to resume, to the same files.
    Finished slides are skipped; of slides with failed tiles only these are read again. With another model,
    runtime, version or option that results depend on, a slide is begun afresh.
    """
    if with_report:
        require_modules("report", "jinja2")
    announcer = Announcer.of(reading)
    cohort = open_cohort(cohort_path, must_exist=not paths)
    codes: list[int] = []
    tile_px, out = reading.classifier.model.tile_px, reading.choices.out
    slides = slides_given(paths, cohort, tile_px, out, codes, announcer.failed)
    codes += [_one(slide, reading, announcer, fresh, with_report) for slide in announcer.each(slides)]
    done = [code for code in codes if code in (exits.DONE, exits.PARTLY)]
    if done == [exits.DONE] * len(codes):
        return exits.DONE
    return exits.PARTLY if done else codes[0]


def _one(slide: CohortSlide, reading: Reading, announcer: Announcer, fresh: bool, with_report: bool) -> int:
    """Classify a slide and say what became of it; returns its exit code."""
    try:
        run = reading.run(slide, fresh=fresh, fill_in=slide.row > 0)
    except Her2EdgeError as error:
        return announcer.failed(slide.path, error)
    run, wrong = _with_page(run, slide.path, reading) if with_report else (run, None)
    code = announcer.done(run, slide.patient)
    if wrong is not None:
        exits.complain(wrong)
    return code if wrong is None else exits.PARTLY


def _with_page(run: SlideRun, slide: Path, reading: Reading) -> tuple[SlideRun, Her2EdgeError | None]:
    """The run with its page among its files, and why there is none: a page costs no results."""
    page = run.folder / PAGE
    try:
        if not (run.complete_before and os.path.isfile(page)):  # noqa: PTH113 - raises nothing
            for sentence in write_report(run.folder, slide=slide, model=reading.classifier).left_out:
                say(f"{run.name}: {sentence}")
    except Her2EdgeError as error:
        return run, error
    return replace(run, files=(*run.files, page)), None
