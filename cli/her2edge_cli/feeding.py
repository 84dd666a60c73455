"""Options that say how tiles reach a network that is trained: threads, memory, a cache on a disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from her2edge_cli.paths import PATH

F = TypeVar("F", bound=Callable[..., Any])

_workers = click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Threads that make batches. Default: one for each core, 16 at most.",
)
_cache_mib = click.option(
    "--cache-mib",
    type=click.IntRange(min=0),
    help="Memory for tiles, MiB. Default: half of what is free.",
)
_cache = click.option(
    "--cache",
    type=PATH,
    metavar="DIR",
    help="Keep normalised tiles in this folder, on a fast local disk, so that they are decoded "
    "once for all trainings. A tile of 512 px takes 0.75 MiB.",
)


def feeding(command: F) -> F:
    """--workers, --cache-mib and --cache, of every verb that trains."""
    return _workers(_cache_mib(_cache(command)))
