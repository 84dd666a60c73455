"""Cohort: the list of slides that every verb reads, a CSV.

Columns slide, patient, site, mpp, score, in any order and case; only `slide` is needed.

    slide                path of the slide; where it is relative, from the list's own folder
    patient, site        whom and where it is from; empty where that is not known
    mpp                  um per pixel at level 0, 0.05..20; empty: the file's own
    score                what a pathologist scored, as it was written; empty where nobody did

UTF-8, with or without byte order mark; `,` or `;` between cells; a decimal comma in mpp where that is `;`.
Rows without any cell filled in are passed over. Other columns are not used, and named.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from her2edge.errors import Her2EdgeError, MissingInputError
from her2edge.files import read_input
from her2edge.sheets import Sheet, SheetRow, missing_columns, read_sheet
from her2edge.slide.parts import name_of
from her2edge.slide.scale import MPP_RANGE
from her2edge.text import shown

__all__ = ["COLUMNS", "Cohort", "CohortError", "CohortSlide", "is_slide_list", "read_cohort"]

COLUMNS = ("slide", "patient", "site", "mpp", "score")
_FORM = "a list of slides: a CSV in UTF-8 with a column slide, and patient, site, mpp, score where known"
_TILE_COLUMNS = {"tile", "label"}  # those of a tile list, which has a column slide as well
_NUMBER = re.compile(r"\d+(\.\d*)?|\.\d+")
_LIMIT = 64 << 20  # bytes
_MANY = 3  # missing files that are named


class CohortError(Her2EdgeError, ValueError):
    """A list of slides that cannot be read, or contradicts itself; names the row."""


@dataclass(frozen=True)
class CohortSlide:
    """A row: a slide and what is known of it; texts are empty, mpp is None where nothing is.

    row: its number in a spreadsheet, the columns' names being row 1. mpp: um per pixel at level 0. listed:
    the path as the list has it, the same on every machine.
    """

    path: Path
    row: int
    patient: str = ""
    site: str = ""
    mpp: float | None = None
    score: str = ""
    listed: str = ""

    @property
    def name(self) -> str:
        """As `SlideReader.name` of the same file."""
        return name_of(self.path)


@dataclass(frozen=True, eq=False)
class Cohort:
    """A list of slides in its order. unused: names of columns that mean nothing here. sha256: of the
    file, hex."""

    path: Path
    slides: tuple[CohortSlide, ...]
    unused: tuple[str, ...] = ()
    sha256: str = ""

    def __len__(self) -> int:
        return len(self.slides)

    def __iter__(self) -> Iterator[CohortSlide]:
        return iter(self.slides)

    def find(self, slide: str | os.PathLike[str]) -> CohortSlide | None:
        """The row of this very file, else the one row of its name whose own file is not there, else None."""
        row = self._by_path.get(os.path.realpath(slide))
        if row is None:
            row = self._by_name.get(name_of(Path(slide)))
            if row is not None and os.path.exists(row.path):  # noqa: PTH110 - Path.exists() raises
                return None  # another file of that name is meant
        return row

    @cached_property
    def _by_path(self) -> Mapping[str, CohortSlide]:
        return {os.path.realpath(slide.path): slide for slide in self.slides}

    @cached_property
    def _by_name(self) -> Mapping[str, CohortSlide]:
        """Names that two rows share tell nothing."""
        names: dict[str, list[CohortSlide]] = {}
        for slide in self.slides:
            names.setdefault(slide.name, []).append(slide)
        return {name: slides[0] for name, slides in names.items() if len(slides) == 1}


def read_cohort(path: str | os.PathLike[str], *, must_exist: bool = True) -> Cohort:
    """Read and check a list of slides.

    must_exist: every slide must be there; False where slides are still to arrive.

    Raises MissingInputError where the list, a row or a slide is not there; CohortError for another encoding,
    what is no such list, an empty slide cell, a slide listed twice, an mpp that is no number or out of range:
    one line that names the row.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 - Path.absolute() keeps ".."
    name = shown(path.name)
    data = read_input(path, _LIMIT, _FORM, CohortError)
    sheet = read_sheet(data, name, _FORM, CohortError)
    columns = _columns(sheet, name)
    _check_widths(sheet, name)
    slides = tuple(_slide(path, row, columns, sheet) for row in sheet.rows)
    if not slides:
        raise MissingInputError(f"{name}: found no slides below the column names, expected {_FORM}")
    _check_once(slides, name)
    if must_exist:
        _check_there(slides, name)
    unused = tuple(shown(one) for one in sheet.header if one and one.lower() not in COLUMNS)
    return Cohort(path, slides, unused, hashlib.sha256(data).hexdigest())


def is_slide_list(data: bytes) -> bool:
    """Whether these bytes look like a list of slides, and not like another table; for messages."""
    try:
        names = set(read_sheet(data, "", _FORM, CohortError).names)
    except CohortError:
        return False
    return "slide" in names and not names >= _TILE_COLUMNS


def _columns(sheet: Sheet, name: str) -> dict[str, int]:
    """Where each known column is."""
    names = sheet.names
    columns = {column: names.index(column) for column in COLUMNS if column in names}
    twice = [column for column in columns if names.count(column) > 1]
    if twice:
        raise CohortError(f"{name}: found two columns {twice[0]}, expected one: remove one")
    if set(names) >= _TILE_COLUMNS:
        raise CohortError(
            f"{name}: found a list of tiles (its columns: {shown(', '.join(sheet.header[:10]))}), expected "
            f"{_FORM}; tile lists are what `her2edge train`, `study` and `quantize` take as --data"
        )
    if "slide" not in columns:
        raise CohortError(f"{name}: {missing_columns(sheet.header, ('slide',), ('case.svs',))}; {_FORM}")
    return columns


def _check_widths(sheet: Sheet, name: str) -> None:
    width = len(sheet.header)
    for row in sheet.rows:
        if any(row.cells[width:]):
            raise CohortError(
                f"{name} row {row.number}: found {len(row.cells)} cells, expected {width}, one for each "
                f"column: put quotes around cells that contain a separator; with decimal commas, separate "
                f"cells by `;`"
            )


def _slide(path: Path, row: SheetRow, columns: Mapping[str, int], sheet: Sheet) -> CohortSlide:
    where, cells = f"{shown(path.name)} row {row.number}", row.cells
    text = {name: cells[at] if at < len(cells) else "" for name, at in columns.items()}
    slide = text["slide"]
    if not slide or "\0" in slide:
        raise CohortError(
            f"{where}: found {'a slide that is no path' if slide else 'no slide'}, expected a path: fill it "
            f"in, or remove the row"
        )
    return CohortSlide(
        path=Path(os.path.abspath(path.parent / slide)),  # noqa: PTH100 - as above
        row=row.number,
        patient=text.get("patient", ""),
        site=text.get("site", ""),
        mpp=_mpp(text.get("mpp", ""), sheet, where),
        score=text.get("score", ""),
        listed=slide,
    )


def _mpp(text: str, sheet: Sheet, where: str) -> float | None:
    if not text:
        return None
    low, high = MPP_RANGE
    number = sheet.number(text)
    if not (_NUMBER.fullmatch(number) and low <= float(number) <= high):
        hint = (
            "" if sheet.semicolons or "," not in text else "; a decimal comma needs `;` between the columns"
        )
        raise CohortError(
            f"{where}: found mpp {text!r}, expected um per pixel in {low}..{high}, e.g. 0.25 at 40x, or "
            f"nothing{hint}"
        )
    return float(number)


def _check_once(slides: tuple[CohortSlide, ...], name: str) -> None:
    rows: dict[str, int] = {}
    for slide in slides:
        first = rows.setdefault(os.path.realpath(slide.path), slide.row)
        if first != slide.row:
            raise CohortError(
                f"{name} row {slide.row}: found {slide.name}, which row {first} lists already: keep one row "
                f"for each slide"
            )


def _check_there(slides: tuple[CohortSlide, ...], name: str) -> None:
    absent = [slide for slide in slides if not os.path.exists(slide.path)]  # noqa: PTH110 - raises nothing
    if absent:
        named = ", ".join(f"{slide.name} (row {slide.row})" for slide in absent[:_MANY])
        more = f" and {len(absent) - _MANY} more" if len(absent) > _MANY else ""
        raise MissingInputError(
            f"{name}: no such slide: {named}{more}: relative paths start from the folder of the list"
        )
