"""her2edge dicom RESULTS... --source PATH --out DIR"""

from __future__ import annotations

import os
from pathlib import Path

import click

from her2edge import Her2EdgeError
from her2edge.dicom import write_dicom
from her2edge.errors import MissingInputError
from her2edge.files import check_folder, ensure_folder
from her2edge.results.owner import RUN
from her2edge.text import shown
from her2edge_cli import exits
from her2edge_cli.held import hold_folder
from her2edge_cli.paths import PATH


@click.command()
@click.argument("results", nargs=-1, required=True, type=PATH, metavar="RESULTS...")
@click.option(
    "--source",
    required=True,
    type=PATH,
    metavar="PATH",
    help="The slide in DICOM, or a folder that contains it. The slide is found by its content.",
)
@click.option(
    "--out",
    required=True,
    type=PATH,
    metavar="DIR",
    help="Folder for the objects. Each slide gets its own inside, named like its results folder.",
)
def dicom(results: tuple[Path, ...], source: Path, out: Path) -> int:
    """Write results as DICOM objects beside their slide.

    RESULTS is the results folder of a slide, as `her2edge classify` makes it, or a folder of them. The slide
    must be the one that was classified, and be stored in DICOM: convert others first, and classify the
    converted slide.

    Writes per slide: annotations.dcm (Microscopy Bulk Simple Annotations: a polygon for each tissue tile,
    with its probabilities) and report.dcm (a structured report by TID 1500: the answer, what it rests on, the
    model). The report is preliminary and not verified. Writing again gives the same objects.

    Patient and specimen are those of the slide. There is no --pseudonym: de-identify the slide first.
    """
    check_folder(out)
    hold_folder(out)
    codes = _write(results, source, out)
    if set(codes) == {exits.DONE}:
        return exits.DONE
    return exits.PARTLY if exits.DONE in codes else codes[0]


def _write(results: tuple[Path, ...], source: Path, out: Path) -> list[int]:
    """Write the objects of every slide; returns what became of each, as an exit code."""
    codes: list[int] = []
    for folder in (one for place in results for one in _slides(place, codes)):
        try:
            place = out / folder.name
            ensure_folder(place, inside=out)
            for path in write_dicom(folder, source, place):
                click.echo(shown(str(path)))
        except Her2EdgeError as error:
            codes.append(exits.complain(error))
        else:
            codes.append(exits.DONE)
    return codes


def _slides(place: Path, codes: list[int]) -> list[Path]:
    """The slides' folders of a folder of results; itself where it holds none, for the message."""
    place = Path(os.path.abspath(place))  # noqa: PTH100 - so that it has a name
    if os.path.isfile(place / RUN) or not os.path.isdir(place):  # noqa: PTH112, PTH113 - Path's raise for a name too long
        return [place]
    try:
        inside = sorted(path for path in place.iterdir() if (path / RUN).is_file())
    except OSError as error:
        missing = MissingInputError(
            f"{place.name}: cannot be listed ({error.strerror}): check its permissions"
        )
        codes.append(exits.complain(missing))
        return []
    return inside or [place]
