"""Which slides a command is to work on: files, folders of slides or of tiles, and a list of slides."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import click

from her2edge import Her2EdgeError
from her2edge.cohort import COLUMNS, Cohort, CohortSlide, read_cohort
from her2edge.errors import SlideReadError
from her2edge.slide import look_into
from her2edge.text import shown
from her2edge_cli import exits
from her2edge_cli.paths import PATH

Refuse = Callable[[Path, Her2EdgeError], int]  # says why an input is not used; returns its exit code

cohort_option = click.option(
    "--cohort",
    "cohort_path",
    type=PATH,
    metavar="FILE",
    help=f"List of slides: a CSV of the columns {', '.join(COLUMNS)}, of which only slide is needed.",
)


def open_cohort(path: Path | None, *, must_exist: bool = True) -> Cohort | None:
    """The list of slides, its unused columns said; None where none is given. Raises as `read_cohort`."""
    if path is None:
        return None
    cohort = read_cohort(path, must_exist=must_exist)
    if cohort.unused:
        say(f"{shown(path.name)}: not used are the columns {', '.join(cohort.unused)}")
    return cohort


def _complain(path: Path, error: Her2EdgeError) -> int:  # noqa: ARG001 - as Refuse has it
    return exits.complain(error)


def slides_given(
    paths: Iterable[Path],
    cohort: Cohort | None,
    tile_px: int,
    out: Path,
    codes: list[int],
    refuse: Refuse = _complain,
) -> list[CohortSlide]:
    """The slides of files, folders and a list; row 0 for those that no list has.

    Without a path: all of the list. A folder of tiles is one. What cannot be used is said by `refuse`, and
    adds its exit code. Raises UsageError where neither a path nor a list is given.
    """
    paths = list(paths)
    if not paths:
        if cohort is None:
            raise click.UsageError(
                "found no SLIDE, expected a slide, a folder of them or --cohort with a list of them: name one"
            )
        return list(cohort)
    files = [file for path in paths for file in files_of(path, tile_px, out, codes, refuse)]
    taken: dict[int, Path] = {}
    return [listed(file, cohort, taken) for file in files]


def files_of(path: Path, tile_px: int, out: Path, codes: list[int], refuse: Refuse = _complain) -> list[Path]:
    """A file, a folder of tiles or each slide of a folder; what is left out is said, as above."""
    if not os.path.isdir(path):  # noqa: PTH112 - Path.is_dir() raises where a folder may not be entered
        return [path]
    try:
        contents = look_into(path, tile_px, leave_out=out)
    except Her2EdgeError as error:
        codes.append(refuse(path, error))
        return []
    if contents.slides or contents.left_out:
        say(str(contents))
    for name in contents.unlisted:
        unlisted = SlideReadError(f"{name}: the folder cannot be listed: check its permissions")
        codes.append(refuse(path / name, unlisted))
    return list(contents.slides) or [path]


def listed(path: Path, cohort: Cohort | None, taken: dict[int, Path]) -> CohortSlide:
    """The slide as the list has it, by its path or its name; that it is not in the list is said.

    taken: which file each row was for; a row is never for two: one name may be that of two patients.
    """
    slide = None if cohort is None else cohort.find(path)
    if slide is not None and taken.setdefault(slide.row, path) == path:
        return replace(slide, path=path)
    if slide is not None:
        say(
            f"{shown(str(path))}: row {slide.row} of the list is that of {shown(str(taken[slide.row]))}, of "
            "the same name: it is not used here; write paths into the list"
        )
    elif cohort is not None:
        say(
            f"{shown(path.name)} is not in {shown(cohort.path.name)}, or by a name that two slides have there"
        )
    return CohortSlide(path, row=0)


def say(text: str) -> None:
    """A line on stderr."""
    click.echo(f"her2edge: {text}", err=True)
