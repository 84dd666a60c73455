"""A command group whose help lists its commands in sections, and which imports a command when it is used."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from her2edge.text import meant

SUMMARY = 50  # characters of a command's first sentence, at most: none is cut at 80 columns


class Commands(UserDict[str, click.Command]):
    """Commands by their names; each is imported when it is first asked for.

    places: where each is: "module", which has it under its own name, or "module:name".
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        super().__init__()
        self._places = dict(places)
        self.data = dict.fromkeys(places)  # type: ignore[assignment]  # None: not yet

    def __getitem__(self, name: str) -> click.Command:
        command = self.data[name]
        if command is None:
            module, _, attribute = self._places[name].partition(":")
            command = self.data[name] = getattr(import_module(module), attribute or name)
        return command


class Sections(click.Group):
    """A group of the commands in `sections`, by their headings; a command is in one of them.

    sections: heading to the places of its commands by name, as Commands has them. The first sentence of a
    command's docstring is its summary.
    """

    def __init__(self, *, sections: Mapping[str, Mapping[str, str]], **more: Any) -> None:
        places = {name: place for some in sections.values() for name, place in some.items()}
        super().__init__(commands=Commands(places), **more)
        self._names = {title: tuple(some) for title, some in sections.items()}

    @property
    def sections(self) -> dict[str, tuple[click.Command, ...]]:
        """The commands under each heading."""
        return {title: tuple(self.commands[name] for name in names) for title, names in self._names.items()}

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, but of a command that there is not it says the nearest."""
        name = args[0]
        if name[:1] != "-" and self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            raise click.UsageError(
                f"found command {name!r}{meant(name, self.commands)}, expected one of those that "
                f"`{ctx.command_path} -h` lists",
                ctx,
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """A heading and a list for each section, as they were given."""
        del ctx
        width = max(map(len, self.commands))
        for title, commands in self.sections.items():
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (f"{command.name:<{width}}", command.get_short_help_str(SUMMARY))
                        for command in commands
                    ]
                )
