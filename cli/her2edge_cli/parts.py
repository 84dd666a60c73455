"""What the commands work with: this machine and the SDK, unless `main` is given others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

import her2edge
from her2edge import SlideRun
from her2edge.runtime import Host
from her2edge_cli.streams import Streams

if TYPE_CHECKING:
    from her2edge_cli.measure.whole import Fresh


@dataclass(frozen=True)
class Parts:
    """classify_slide: what `classify` and `watch` call for a slide. host: what `doctor` examines, and whose
    profiles are looked at for a faster runtime.

    fresh: the processes that `bench` starts, None: its own. streams: what the command says goes to these.
    """

    classify_slide: Callable[..., SlideRun] = her2edge.classify_slide
    host: Host = field(default_factory=Host)
    fresh: Fresh | None = None
    streams: Streams = field(default_factory=Streams)


def parts() -> Parts:
    """Those of the command that runs."""
    return click.get_current_context().find_object(Parts) or Parts()
