"""StainMode: how the stains of tiles are handled."""

from __future__ import annotations

from enum import StrEnum

from her2edge.errors import OptionError


class StainMode(StrEnum):
    """How the stains of tiles are handled; the values are the words of model and result files.

    per_tile: each tile by its own fit, the paper's way. slide: every tile by one fit of its slide.
    off: tiles keep their colours. given: every tile by a fit the caller has; a StainFit chooses it.
    """

    PER_TILE = "per_tile"
    SLIDE = "slide"
    OFF = "off"
    GIVEN = "given"


BY_WORD = (StainMode.PER_TILE, StainMode.SLIDE, StainMode.OFF)


def stain_mode(choice: object, among: tuple[StainMode, ...] = BY_WORD, otherwise: str = "") -> StainMode:
    """The mode of that name: Python's word (`per_tile`), or the command's (`per-tile`).

    among: the modes to choose from. otherwise: other values the caller takes, for the message.
    Raises OptionError naming the words.
    """
    name = choice.replace("-", "_") if isinstance(choice, str) else choice
    for mode in among:
        if name == mode:
            return mode
    words = ", ".join(among) + (otherwise and f" or {otherwise}")
    raise OptionError(f"found stain={choice!r}, expected {words}")
