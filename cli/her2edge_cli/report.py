"""her2edge report RESULTS"""

from __future__ import annotations

import os
from pathlib import Path

import click

from her2edge import Model
from her2edge.errors import MissingInputError
from her2edge.extras import require_modules
from her2edge.files import look
from her2edge.listing.entries import DONE
from her2edge.report import Index, ResultsError, write_index, write_report
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
    help="The slide, or a folder in which slides are found by name (DICOM: by content). Default: "
    "the paths in --cohort; without either, pages have no pictures of slides.",
)
@click.option(
    "--model",
    "model_path",
    type=PATH,
    metavar="MODEL",
    help="The .tflite that made the results, for Grad-CAM maps and the facts about the model. "
    "Default: the embedded demo model, if it made them.",
)
@cohort_option
@click.option(
    "--pseudonym",
    is_flag=True,
    help="Replace slide names by the first 12 digits of their fingerprints, and name no file. For "
    "many slides, --out must name a folder for these pages only; pseudonyms.csv, beside the "
    "results, says which slide is which.",
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
    """Make pages of results to read and print.

    RESULTS is the results folder of one slide, or the --out of `classify` or `watch`. One slide gets
    report.html. Many also get index.html and results.csv, which list unfinished and missing slides too, and
    known scores of --cohort beside the answers.

    A page is one file: it needs no network and runs no script. Only the pictures are read from the slide
    again. A slide or model other than that of the results is refused.
    """
    require_modules("report", "jinja2")
    if out is not None:
        hold_folder(out)
    if look(results, "a folder of results", ResultsError) != "folder":
        raise MissingInputError(
            f"{results.name}: found no such folder, expected the --out folder of "
            "`her2edge classify`: check the path"
        )
    if out is None:
        hold_folder(results)
    one = _is_of_one(results)
    if one and cohort_path is not None:
        raise click.UsageError(
            "found --cohort with the results of one slide: give the folder above it, or leave --cohort out"
        )
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
