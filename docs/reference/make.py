"""Writes the command reference from the commands' own --help; `--check` only says if it is current.

.venv/bin/python docs/reference/make.py [--check]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import click

from her2edge_cli.main import cli

PAGE = Path(__file__).with_name("commands.md")
WIDTH = 100  # characters of a line of help, whatever the terminal
HEAD = """# Commands

What each `her2edge COMMAND --help` says, at this version. This page is made by `make docs`; do not edit it.
For exit codes see the [README](../../README.md), for Tab in a shell [shell completion](shell-completion.md).
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check, current = parser.parse_args().check, page()
    if not check:
        PAGE.write_text(current, encoding="utf-8")
    elif not PAGE.exists() or current != PAGE.read_text(encoding="utf-8"):
        raise SystemExit(f"{PAGE}: run docs/reference/make.py")


def page() -> str:
    """The whole page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    group = _context("her2edge", cli)
    yield HEAD
    yield from _help(group)
    for title, commands in cli.sections.items():
        yield f"## {title}\n"
        for command in commands:
            yield f"### her2edge {command.name}\n"
            yield from _help(_context(str(command.name), command, group))


def _context(name: str, command: click.Command, parent: click.Context | None = None) -> click.Context:
    return click.Context(
        command, parent, name, terminal_width=WIDTH, max_content_width=WIDTH, **command.context_settings
    )


def _help(context: click.Context) -> Iterator[str]:
    yield "```text"
    yield context.get_help().rstrip()
    yield "```\n"


if __name__ == "__main__":
    main()
