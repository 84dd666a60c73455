"""A command group whose help lists its commands in sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from her2edge.text import meant

SUMMARY = 50  # characters of a command's first sentence, at most: none is cut at 80 columns


class Sections(click.Group):
    """A group of the commands in `sections`, by their headings; a command is in one of them.

    The first sentence of a command's docstring is its summary.
    """

    def __init__(self, *arguments: Any, sections: Mapping[str, Sequence[click.Command]], **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.sections = {title: tuple(commands) for title, commands in sections.items()}
        for commands in self.sections.values():
            for command in commands:
                self.add_command(command)

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
