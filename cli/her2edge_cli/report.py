"""her2edge report RESULTS"""

from __future__ import annotations

import os
from pathlib import Path

import click

from her2edge import Model
from her2edge.errors import MissingInputError
from her2edge.extras import require_modules
from her2edge.files import look
from her2edge.report import Index, ResultsError, write_index, write_report
from her2edge.report.entries import DONE
from her2edge.results.owner import PAGE, RUN, SUMMARY
from her2edge.text import shown
from her2edge_cli import exits
from her2edge_cli.held import hold_folder
from her2edge_cli.inputs import cohort_option, open_cohort, say
from her2edge_cli.paths import PATH
from her2edge_cli.progress import counter


@click.command()
@click.argument("results", type=PATH, metavar="RESULTS")
@click.option(
    "--slide",
    "slides",
    type=PATH,
    metavar="PATH",
    help="The slide, or a folder where slides are looked for by name, those in DICOM by content. Default: "
    "where --cohort has them; else pages have no pictures of slides.",
)
@click.option(
    "--model",
    "model_path",
    type=PATH,
    metavar="MODEL",
    help="The .tflite that the results are of, for Grad-CAM and its facts. Default: the embedded demo model, "
    "where they are of that.",
)
@cohort_option
@click.option(
    "--pseudonym",
    is_flag=True,
    help="Write the first 12 digits of a slide's fingerprint for its name, and name no file. Of many slides: "
    "--out is needed, a folder for them alone; which is which is in pseudonyms.csv beside the results.",
)
@click.option(
    "--out",
    type=PATH,
    metavar="DIR",
    help="Folder for the pages. Default: the results' own folders.",
)
def report(
    results: Path,
    slides: Path | None,
    model_path: Path | None,
    cohort_path: Path | None,
    pseudonym: bool,
    out: Path | None,
) -> int:
    """Make pages of results, for people and print.

    RESULTS is a slide's own folder of results, or the folder of many, as --out of `classify` and `watch` was.
    Of one slide: report.html. Of many: also index.html and results.csv, where unfinished and missing slides
    are listed too, and known scores of a --cohort stand beside the answers.

    A page is one file: it needs no network and runs no script. The pictures are read from the slide, nothing
    else is computed again. A slide or model that the results are not of is refused.
    """
    require_modules("report", "jinja2")
    if out is not None:
        hold_folder(out)
    if look(results, "a folder of results", ResultsError) != "folder":
        raise MissingInputError(f"{results.name}: found no such folder, expected one of results")
    if out is None:
        hold_folder(results)
    one = _is_of_one(results)
    if one and cohort_path is not None:
        raise click.UsageError("found --cohort with the results of one slide: give the folder above it")
    cohort = open_cohort(cohort_path, must_exist=False)
    model = Model.load(model_path) if model_path else None
    if one:
        return _one(results, slides, model, pseudonym, out)
    with counter(results) as progress:
        index = write_index(
            results,
            slides=slides,
            model=model,
            cohort=cohort,
            pseudonym=pseudonym,
            out=out,
            progress=progress,
        )
    return _told(index)


def _is_of_one(results: Path) -> bool:
    return any(os.path.lexists(results / name) for name in (RUN, SUMMARY, "tiles.csv"))


def _one(results: Path, slide: Path | None, model: Model | None, pseudonym: bool, out: Path | None) -> int:
    """The page of one slide; 3 where a slide that was given is not on it."""
    page = None if out is None else out / PAGE
    made = write_report(results, slide=slide, model=model, pseudonym=pseudonym, out=page)
    for sentence in made.left_out:
        say(sentence)
    click.echo(shown(str(made.path)))
    return exits.DONE if slide is None or made.pictured else exits.PARTLY


def _told(index: Index) -> int:
    """What became of many; 3 where a page could not be made, or a slide has no results."""
    for problem in index.problems:
        say(problem)
    click.echo(", ".join(f"{count} {state}" for state, count in sorted(index.states.items())))
    for path in index.files[:2]:
        click.echo(shown(str(path)))
    return exits.PARTLY if index.problems or set(index.states) != {DONE} else exits.DONE
