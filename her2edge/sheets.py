"""Tables as spreadsheets save them: CSV with `,` or `;`, a byte order mark or none, decimal commas.

The one reader of lists that people make: of slides (`cohort`), of tiles. UTF-8 only: another encoding is
named, and refused.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from her2edge.errors import Her2EdgeError
from her2edge.tables import restored
from her2edge.text import first_line, shown

__all__ = ["Sheet", "SheetRow", "missing_columns", "read_sheet"]

_SAVE = "save it as `CSV UTF-8`"


@dataclass(frozen=True, slots=True)
class SheetRow:
    """number: in a spreadsheet, the columns' names being 1. line: the last that it has in the file."""

    number: int
    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Sheet:
    """header: names of the columns as they are written. rows: those below in which a cell is filled in.

    semicolons: `;` stands between cells, so that a comma in a number is its decimal one.
    """

    header: tuple[str, ...]
    rows: tuple[SheetRow, ...]
    semicolons: bool

    @property
    def names(self) -> list[str]:
        """Of the columns, in lower case."""
        return [one.lower() for one in self.header]

    def number(self, text: str) -> str:
        """A cell with its decimal comma, if it may have one, as a point."""
        return text.replace(",", ".") if self.semicolons else text


def read_sheet(data: bytes, name: str, form: str, wrong: type[Her2EdgeError]) -> Sheet:
    """All cells, without white space around them and without the quote that `tables.defused` puts first.

    name: the file's, for messages. form: what it should be. Raises `wrong` for another encoding, a
    spreadsheet's own file, tabs, or what is no CSV.
    """
    text = _text(data, name, form, wrong)
    excel = re.match(r"sep=([,;])\r?\n", text)  # Excel's own first line
    text = "\n" + text[excel.end() :] if excel else text  # rows keep their numbers
    first = text.lstrip("\r\n").split("\n", 1)[0]
    separator = excel[1] if excel else ";" if _bare(first).count(";") > _bare(first).count(",") else ","
    if "\t" in _bare(first) and separator not in first:
        raise wrong(f"{name}: found a tab between columns, expected `,` or `;`: save it as CSV")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: list[SheetRow] = []
    try:
        for number, cells in enumerate(reader, start=1):
            row = SheetRow(number, reader.line_num, tuple(restored(cell).strip() for cell in cells))
            if any(row.cells):
                rows.append(row)
    except csv.Error as error:
        raise wrong(f"{name}: this is not a CSV file ({first_line(error)}), expected {form}") from error
    return Sheet(rows[0].cells if rows else (), tuple(rows[1:]), separator == ";")


def missing_columns(header: Sequence[str], needed: Sequence[str], example: Sequence[str]) -> str:
    """What a message says of a table that lacks some of the columns that are needed: all of them, those that
    it has, and two lines that would do; empty where none is missing."""
    names = {one.lower() for one in header}
    missing = [one for one in needed if one not in names]
    if not missing:
        return ""
    there = shown(", ".join(header[:8]))[:120] + (", ..." if len(header) > 8 else "")
    return (
        f"found the columns {there or '(none)'}, without {', '.join(missing)}, expected at least "
        f'{", ".join(needed)}: e.g. "{",".join(needed)}" and below it "{",".join(example)}"'
    )


def _bare(line: str) -> str:
    """A line without what is in quotes."""
    return re.sub(r'"[^"]*"', "", line)


def _text(data: bytes, name: str, form: str, wrong: type[Her2EdgeError]) -> str:
    """Decode; other encodings are refused by the name that they most likely have."""
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise wrong(f"{name}: found a spreadsheet file, expected {form}: {_SAVE}")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:4096]:
        raise wrong(f"{name}: found UTF-16 or binary data, expected UTF-8: {_SAVE}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        raise wrong(
            f"{name} row {row}: found byte 0x{data[error.start]:02X}, as Windows-1252 or Latin-1 has it, "
            f"expected UTF-8: {_SAVE}"
        ) from error
