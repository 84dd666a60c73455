"""Which of a slide's levels are smaller pictures of the whole, and by how much, across and down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Size = tuple[int, int]  # (width, height), pixels


@dataclass(frozen=True)
class Level:
    """One resolution; pixel (row, column) covers columns [column * across, (column + 1) * across) and rows
    [row * down, (row + 1) * down) of level 0.

    stated: by what OpenSlide divides a place in level 0 to find it in this level.
    """

    width: int
    height: int
    across: float = 1.0
    down: float = 1.0
    stated: float = 1.0

    @property
    def downsample(self) -> float:
        """Level-0 pixels per pixel on the coarser axis."""
        return max(self.across, self.down)


def plan_levels(sizes: Sequence[Size], stated: Sequence[float], rounding: int = 1) -> dict[int, Level]:
    """By their number those of OpenSlide's levels that are smaller pictures of level 0; level 0 always.

    OpenSlide states the mean of both ratios (4.0023 for 4 where sizes were rounded down), and takes for a
    level whatever a file marks as one. rounding: pixels by which a side may be off.
    """
    planned = {0: Level(*sizes[0], stated=stated[0])}
    for number, size in enumerate(sizes[1:], start=1):
        ratios = _ratios(sizes[0], size, rounding)
        if ratios is not None:
            planned[number] = Level(*size, *ratios, stated[number])
    return planned


def _ratios(full: Size, size: Size, rounding: int) -> tuple[float, float] | None:
    """(across, down), level-0 pixels per pixel: the same whole number where a side off by less than a pixel
    explains both, else each side's own; None where they differ by more."""
    low, high = _between(full, size, rounding)
    if not low < high:
        return None
    whole = _whole_between(*_between(full, size, 1), sum(_own(full, size)) / 2)
    return (float(whole), float(whole)) if whole else _own(full, size)


def _own(full: Size, size: Size) -> tuple[float, float]:
    return full[0] / size[0], full[1] / size[1]


def _between(full: Size, size: Size, rounding: int) -> tuple[float, float]:
    """The ratios with which both sides come out less than `rounding` pixels off lie between these two."""
    lows = [long / (short + rounding) for long, short in zip(full, size, strict=True)]
    highs = [
        long / (short - rounding) if short > rounding else math.inf
        for long, short in zip(full, size, strict=True)
    ]
    return max(lows), min(highs)


def _whole_between(low: float, high: float, near: float) -> int | None:
    """The whole number between: a power of two, which most pyramids have, else the one nearest to `near`."""
    if near >= 1:
        power = 1 << round(math.log2(near))
        if low < power < high:
            return power
    closest = (
        min(max(round(near), math.floor(low) + 1), math.ceil(high) - 1) if high < math.inf else round(near)
    )
    return closest if closest >= 1 and low < closest < high else None
