"""Tables: CSV (RFC 4180, UTF-8) whose cells no spreadsheet takes for formulas (OWASP), and Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from her2edge.files import atomic

Cell = str | int | float | None
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def defused(text: str) -> str:
    """`text`, led by a quote where it would begin as a formula does."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def restored(cell: str) -> str:
    """The text that was `defused`."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell


def csv_bytes(
    columns: Sequence[str], rows: Iterable[Sequence[Cell]], formats: Mapping[str, str] | None = None
) -> bytes:
    """A table as CSV: text is defused, None is empty, a number is written by its column's format."""
    text = io.StringIO(newline="")
    _write(text, columns, rows, formats or {})
    return text.getvalue().encode()


def write_csv(
    path: Path,
    columns: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    formats: Mapping[str, str] | None = None,
) -> None:
    """`csv_bytes` into a file, row by row, whole or not at all. Raises OutputError."""
    with atomic(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        _write(text, columns, rows, formats or {})
        text.flush()
        text.detach()


def read_csv(data: bytes, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a table that has at least these columns, its cells `restored`.

    Raises ValueError that says what is wrong: no UTF-8, no CSV, a column missing, a row that is too short.
    """
    table = _read(data, columns)
    for number, row in enumerate(table, start=1):
        if any(row[name] is None for name in columns):
            raise ValueError(f"found row {number} of too few cells")
    return [{name: restored(cell or "") for name, cell in row.items()} for row in table]


def _read(data: bytes, columns: Sequence[str]) -> list[dict[str, str | None]]:
    rows = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
    try:
        missing = [name for name in columns if name not in (rows.fieldnames or ())]
        if missing:
            raise ValueError(f"found no column {', '.join(missing)}")
        return [{name: row[name] for name in row if name is not None} for row in rows]
    except csv.Error as error:
        raise ValueError(str(error)) from error


def markdown(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """The lines of a Markdown table."""
    yield _line(columns)
    yield "|---" * len(columns) + "|"
    yield from map(_line, rows)


def _line(cells: Sequence[object]) -> str:
    texts = (str(cell).replace("|", "\\|") for cell in cells)
    return "".join(f"| {text} " if text else "| " for text in texts) + "|"


def _write(
    text: io.StringIO | io.TextIOWrapper,
    columns: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    formats: Mapping[str, str],
) -> None:
    table = csv.writer(text, lineterminator="\n")
    table.writerow(map(defused, columns))
    by_place = [formats.get(name, "") for name in columns]
    for row in rows:
        table.writerow([_cell(cell, form) for cell, form in zip(row, by_place, strict=True)])


def _cell(cell: Cell, form: str) -> str:
    if cell is None:
        return ""
    return defused(cell) if isinstance(cell, str) else format(cell, form)
