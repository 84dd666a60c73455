"""Writes what the code says of itself into pages; `--check` only says if they are current.

commands.md: each command's own --help. ../recipes.md: the fields of a recipe and the published weight
files, between `<!-- fields -->`, `<!-- weight files -->` and `<!-- end -->`.

.venv/bin/python docs/reference/make.py [--check]
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import click

from her2edge.tables import markdown
from her2edge_cli.main import cli
from her2edge_training.explained import fields_tables
from her2edge_training.network.weight_files import FILES
from her2edge_training.recipes import load_recipe

PAGE = Path(__file__).with_name("commands.md")
RECIPES = Path(__file__).parents[1] / "recipes.md"
WIDTH = 100  # characters of a line of help, whatever the terminal
HEAD = """# Commands

What each `her2edge COMMAND --help` says, at this version. This page is made by `make docs`; do not edit it.
See also [exit codes](exit-codes.md), and for Tab in a shell [shell completion](shell-completion.md).
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    for path, current in ((PAGE, page()), (RECIPES, recipes(RECIPES.read_text(encoding="utf-8")))):
        if not check:
            path.write_text(current, encoding="utf-8")
        elif not path.exists() or current != path.read_text(encoding="utf-8"):
            raise SystemExit(f"{path}: run docs/reference/make.py")


def recipes(text: str) -> str:
    """The page of recipes with its tables made anew."""
    files = {file.name: file for file in FILES.values()}
    weights = markdown(
        ("network", "file", "MD5", "from"),
        ((file.network, f"`{name}`", f"`{file.md5}`", file.url) for name, file in files.items()),
    )
    tables = {"weight files": "\n".join(weights), "fields": fields_tables(load_recipe("paper_se_resnet50"))}
    for name, table in tables.items():
        made = f"<!-- {name} -->\n\n{table}\n\n<!-- end -->"
        text, count = re.subn(rf"<!-- {name} -->.*?<!-- end -->", lambda _: made, text, flags=re.DOTALL)  # noqa: B023
        if count != 1:
            raise SystemExit(f"{RECIPES}: expected <!-- {name} --> once")
    return text


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
