"""What a page is made of, whatever it is written as: sections of lines and a table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Link:
    """A text that leads to a file; href: relative to the page, quoted."""

    text: str
    href: str


Cell = str | Link


@dataclass(frozen=True)
class Table:
    """Names of the columns, and the cells below. numbers: the first column that is of numbers, if any."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numbers: int | None = None


@dataclass(frozen=True)
class Section:
    """A heading, a table, and what is said of it. warning: to be looked at. lines: plain text."""

    title: str
    lines: tuple[str, ...] = ()
    table: Table | None = None
    warning: bool = False


@dataclass(frozen=True)
class Page:
    """title, notice: above everything. sign: what whoever signs fills in."""

    title: str
    notice: str
    sections: tuple[Section, ...]
    sign: tuple[str, ...]
    statement: str
