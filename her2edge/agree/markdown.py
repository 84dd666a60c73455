"""A page as Markdown. Names of files and patients are text, whatever marks are in them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from her2edge import tables
from her2edge.agree.blocks import Cell, Link, Page, Section, Table
from her2edge.text import one_line

_BLANK = "\\_" * 40
_MARKS = re.compile(r"([\\`*_{}\[\]<>#&~!])")  # `|` is the table's


def page_markdown(page: Page) -> str:
    """The page, a line end last."""
    return "\n".join(_lines(page)) + "\n"


def _lines(page: Page) -> Iterator[str]:
    yield f"# {escaped(page.title)}\n"
    yield f"**{escaped(page.notice)}**\n"
    for section in page.sections:
        yield from _section(section)
    yield "## To sign\n"
    yield f"{escaped(page.statement)}\n"
    for line in page.sign:
        yield f"{escaped(line)}: {_BLANK}\n"


def _section(section: Section) -> Iterator[str]:
    yield f"## {escaped(section.title)}\n"
    for line in section.lines:
        yield f"* **{escaped(line)}**" if section.warning else f"{escaped(line)}\n"
    if section.warning:
        yield ""
    if section.table is not None:
        yield from _table(section.table)
        yield ""


def _table(table: Table) -> Iterator[str]:
    yield from tables.markdown(
        [escaped(name) for name in table.columns], [[_cell(cell) for cell in row] for row in table.rows]
    )


def _cell(cell: Cell) -> str:
    if isinstance(cell, Link):
        return f"[{escaped(cell.text)}](<{cell.href}>)"
    return escaped(cell)


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _MARKS.sub(r"\\\1", one_line(text))
