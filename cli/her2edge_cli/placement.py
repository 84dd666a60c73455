"""The options that say how a model runs on this machine, the same for each verb that runs one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from her2edge.classifier import MOST_READERS
from her2edge.runtime import DEFAULT, RUNTIMES, TUNED

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--threads",
        type=click.IntRange(min=1),
        help="Threads of each interpreter. Default: as `her2edge doctor --tune` measured, else one for each "
        "core, at most 4.",
    ),
    click.option(
        "--interpreters",
        type=click.IntRange(min=1),
        help="Interpreters side by side, each for one tile at a time. Default: as measured, else 1.",
    ),
    click.option(
        "--readers",
        type=click.IntRange(min=1, max=MOST_READERS),
        help="Tiles of a slide that are read at the same time. Default: one for each core, at most 16; more "
        "may "
        "help where slides lie on a slow share.",
    ),
    click.option(
        "--runtime",
        type=click.Choice([*RUNTIMES, TUNED]),
        default=DEFAULT,
        show_default=True,
        help="Runtime of the model; tuned: the fastest that `her2edge doctor --tune` measured here.",
    ),
)


def placement_options(command: Command) -> Command:
    """--threads, --interpreters, --readers and --runtime, as her2edge.Options has them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
