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

import csv
import hashlib
import io
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from her2edge.errors import Her2EdgeError, MissingInputError
from her2edge.files import read_input
from her2edge.slide.parts import name_of
from her2edge.slide.scale import MPP_RANGE
from her2edge.tables import restored
from her2edge.text import first_line, shown

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

    row: its number in a spreadsheet, the columns' names being row 1. mpp: um per pixel at level 0.
    """

    path: Path
    row: int
    patient: str = ""
    site: str = ""
    mpp: float | None = None
    score: str = ""

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
    header, rows, comma = _table(data, name)
    columns = _columns(header, name)
    _check_widths(header, rows, name)
    slides = tuple(_slide(path, number, cells, columns, comma) for number, cells in rows)
    if not slides:
        raise MissingInputError(f"{name}: found no slide below the names of the columns, expected {_FORM}")
    _check_once(slides, name)
    if must_exist:
        _check_there(slides, name)
    unused = tuple(shown(one) for one in header if one.strip() and one.strip().lower() not in COLUMNS)
    return Cohort(path, slides, unused, hashlib.sha256(data).hexdigest())


def is_slide_list(data: bytes) -> bool:
    """Whether these bytes look like a list of slides, and not like another table; for messages."""
    try:
        header, _, _ = _table(data, "")
    except CohortError:
        return False
    names = {one.strip().lower() for one in header}
    return "slide" in names and not names >= _TILE_COLUMNS


def _table(data: bytes, name: str) -> tuple[list[str], list[tuple[int, list[str]]], bool]:
    """(names of the columns, (number of the row, its cells) of those below, whether `;` stands between)."""
    text = _text(data, name)
    excel = re.match(r"sep=([,;])\r?\n", text)  # Excel's own first line
    text = "\n" + text[excel.end() :] if excel else text  # rows keep their numbers
    first = text.lstrip("\r\n").split("\n", 1)[0]
    separator = excel[1] if excel else ";" if _bare(first).count(";") > _bare(first).count(",") else ","
    if "\t" in _bare(first) and separator not in first:
        raise CohortError(f"{name}: found a tab between columns, expected `,` or `;`: save it as CSV")
    try:
        rows = [
            (number, [restored(cell).strip() for cell in cells])
            for number, cells in enumerate(
                csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True), start=1
            )
        ]
    except csv.Error as error:
        raise CohortError(f"{name}: found no CSV ({first_line(error)}), expected {_FORM}") from error
    rows = [(number, cells) for number, cells in rows if any(cells)]
    header = rows[0][1] if rows else []
    return header, rows[1:], separator == ";"


def _bare(line: str) -> str:
    """A line without what is in quotes."""
    return re.sub(r'"[^"]*"', "", line)


def _text(data: bytes, name: str) -> str:
    """Decode; other encodings are refused by the name that they most likely have."""
    save = "save it as `CSV UTF-8`"
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise CohortError(f"{name}: found a spreadsheet's own file, expected {_FORM}: {save}")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:4096]:
        raise CohortError(f"{name}: found UTF-16 or binary data, expected UTF-8: {save}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        raise CohortError(
            f"{name} row {row}: found byte 0x{data[error.start]:02X}, as Windows-1252 or Latin-1 has it, "
            f"expected UTF-8: {save}"
        ) from error


def _columns(header: list[str], name: str) -> dict[str, int]:
    """Where each known column is."""
    names = [one.lower() for one in header]
    columns = {column: names.index(column) for column in COLUMNS if column in names}
    twice = [column for column in columns if names.count(column) > 1]
    if twice:
        raise CohortError(f"{name}: found two columns {twice[0]}, expected one: remove one")
    if set(names) >= _TILE_COLUMNS:
        raise CohortError(
            f"{name}: found a list of tiles (its columns: {_some(header)}), expected {_FORM}; tile lists are "
            "what `her2edge train`, `study` and `quantize` take as --data"
        )
    if "slide" not in columns:
        raise CohortError(f"{name}: found the columns {_some(header) or 'none'}, expected {_FORM}")
    return columns


def _check_widths(header: list[str], rows: list[tuple[int, list[str]]], name: str) -> None:
    for number, cells in rows:
        if any(cells[len(header) :]):
            raise CohortError(
                f"{name} row {number}: found {len(cells)} cells, expected {len(header)}, one for each "
                "column: put cells that hold a separator into quotes; a decimal comma needs `;` between them"
            )


def _some(names: list[str]) -> str:
    return shown(", ".join(names[:8]))[:120] + (", ..." if len(names) > 8 else "")


def _slide(path: Path, number: int, cells: list[str], columns: Mapping[str, int], comma: bool) -> CohortSlide:
    where = f"{shown(path.name)} row {number}"
    text = {name: cells[at] if at < len(cells) else "" for name, at in columns.items()}
    slide = text["slide"]
    if not slide or "\0" in slide:
        raise CohortError(
            f"{where}: found {'a slide that is no path' if slide else 'no slide'}, expected the path of one: "
            "fill it in, or remove the row"
        )
    return CohortSlide(
        path=Path(os.path.abspath(path.parent / slide)),  # noqa: PTH100 - as above
        row=number,
        patient=text.get("patient", ""),
        site=text.get("site", ""),
        mpp=_mpp(text.get("mpp", ""), comma, where),
        score=text.get("score", ""),
    )


def _mpp(text: str, comma: bool, where: str) -> float | None:
    if not text:
        return None
    low, high = MPP_RANGE
    number = text.replace(",", ".") if comma else text
    if not (_NUMBER.fullmatch(number) and low <= float(number) <= high):
        hint = "" if comma or "," not in text else "; a decimal comma needs `;` between the columns"
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
                f"{name} row {slide.row}: found {slide.name}, which row {first} lists already: keep one "
                "row for a slide"
            )


def _check_there(slides: tuple[CohortSlide, ...], name: str) -> None:
    absent = [slide for slide in slides if not os.path.exists(slide.path)]  # noqa: PTH110 - raises nothing
    if absent:
        named = ", ".join(f"{slide.name} (row {slide.row})" for slide in absent[:_MANY])
        more = f" and {len(absent) - _MANY} more" if len(absent) > _MANY else ""
        raise MissingInputError(
            f"{name}: no such slide: {named}{more}: relative paths start from the folder of the list"
        )
