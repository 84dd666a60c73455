"""The nouns that travel: a tile of pixels, and what became of it."""

from __future__ import annotations

import contextlib
import operator
from dataclasses import dataclass, fields
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import TileError

Pixels = NDArray[np.uint8]

# Negative, equivocal, positive; 0 and 1+ are one class. This order everywhere.
LABELS = ("0/1+", "2+", "3+")

RESEARCH_USE = "Research use only. Not for diagnosis."


class Outcome(StrEnum):
    """What became of a tile: exactly one of these, always."""

    CLASSIFIED = "classified"
    BACKGROUND = "background"
    FAILED = "failed"
    DROPPED = "dropped"
    CANCELLED = "cancelled"


class Background(StrEnum):
    """What a background tile shows: the paper's grey rule excludes all three, the answer tells them apart.

    glass: hardly anything but glass. pale: tissue, but too bright for the rule, fat say. too_little: some
    tissue, less than the rule wants. not_decoded: glass, as a coarse level of the slide shows; its pixels
    were not looked at, nor whether they can be read.
    """

    GLASS = "glass"
    PALE = "pale"
    TOO_LITTLE = "too_little"
    NOT_DECODED = "not_decoded"


@dataclass(frozen=True, eq=False)
class Tile:
    """Pixels and where they come from.

    pixels: (h, w, 3) uint8 RGB, C-order.
    x, y:   top-left corner in the level-0 frame of the slide, pixels, origin top left; floats where
            the scale is not whole.
    span:   (width, height) covered in the level-0 frame, pixels; None means the size of `pixels`.
    mpp:    um per pixel of `pixels`; None means: taken to be the model's.
    valid:  (rows, columns) of `pixels` that lie inside the slide, counted from the top left; the rest
            is white padding, left out of tissue share and stain fit. None means all.
    slide:  name of the slide; for a tile from a folder its path relative to that folder.
    """

    pixels: Pixels
    x: float = 0.0
    y: float = 0.0
    span: tuple[float, float] | None = None
    mpp: float | None = None
    valid: tuple[int, int] | None = None
    slide: str = ""


@dataclass(frozen=True)
class UnreadableTile:
    """A place on the grid whose pixels could not be read; it goes through a stream as `failed`."""

    error: str
    x: float = 0.0
    y: float = 0.0
    span: tuple[float, float] | None = None
    mpp: float | None = None
    slide: str = ""


@dataclass(frozen=True)
class GlassPlace(UnreadableTile):
    """A place on the grid that a coarse level shows to be glass, and that nobody tried to read; it goes
    through a stream as `background`."""

    error: str = ""


@dataclass(frozen=True)
class Seconds:
    """Time spent on one tile, seconds on the monotonic clock, per stage."""

    filter: float = 0.0
    quality: float = 0.0
    stain: float = 0.0
    infer: float = 0.0


# As they are called in run.json, metrics, bench and the tables, too.
TILE_STAGES = tuple(stage.name for stage in fields(Seconds))


@dataclass(frozen=True, eq=False)
class TileResult:
    """What became of one tile. `slide, x, y, span` are its key, as in `Tile`.

    probabilities: (labels,) float32, two to four in the model's label order, summing to 1; None unless
        classified.
    label, confidence: the most probable class and its probability (ties: the first label); None
        unless classified.
    tissue_fraction: 1 - background share of the valid part, 0..1; None where not measured.
    stain_status, stain_source: see `her2edge.stain.StainStatus`; None where not normalised.
    glass_fraction: share of the valid part that is bright without colour, 0..1; None where not measured.
    background: what a background tile shows; None for every other outcome. Where it is `not_decoded`, nothing
        was measured.
    quality: codes of what is wrong with the picture, as in `her2edge.quality.Code`; empty where nothing is.
    novelty: distance from the tissue the model was trained on over the model's limit: above 1 is far from it.
        None where the tile was not classified, or the model has no such limit.
    pooled: whether the tile counts for the slide answer.
    stain_strength: 99th percentiles of haematoxylin and eosin by the tile's own fit, optical density; None
        where it has none of its own.
    error: one line, only where the outcome is `failed`, `dropped` or `cancelled`.
    """

    slide: str
    x: float
    y: float
    span: tuple[float, float]
    outcome: Outcome
    probabilities: NDArray[np.float32] | None = None
    label: str | None = None
    confidence: float | None = None
    tissue_fraction: float | None = None
    stain_status: str | None = None
    stain_source: str | None = None
    glass_fraction: float | None = None
    background: Background | None = None
    quality: tuple[str, ...] = ()
    novelty: float | None = None
    pooled: bool = False
    stain_strength: tuple[float, float] | None = None
    error: str | None = None
    seconds: Seconds = Seconds()


def check_pixels(pixels: object) -> Pixels:
    """Return `pixels` as a C-ordered (h, w, 3) uint8 array, h and w at least 1.

    Channel order inside the last axis cannot be seen from an array: RGB is taken at its word.
    Raises TileError for another type, dtype, number of axes or channels.
    """
    if not isinstance(pixels, np.ndarray):
        raise TileError(f"found a {type(pixels).__name__}, expected a NumPy array (h, w, 3) uint8 RGB")
    expected = f"found an array {pixels.shape} of {pixels.dtype}, expected (h, w, 3) uint8 RGB"
    if pixels.dtype != np.uint8:
        raise TileError(f"{expected}: convert to 0..255 uint8 first")
    if pixels.ndim != 3:
        raise TileError(f"{expected}: greyscale or batched arrays are not tiles; pass one RGB tile")
    if pixels.shape[2] != 3:
        if pixels.shape[2] == 4:
            raise TileError(f"{expected}: composite RGBA over white and drop the alpha channel")
        if pixels.shape[0] == 3:
            raise TileError(f"{expected}: channels come first here; use numpy.moveaxis(tile, 0, -1)")
        raise TileError(f"{expected}: pass the three colour channels")
    if 0 in pixels.shape:
        raise TileError(f"{expected}: the array is empty")
    return np.ascontiguousarray(pixels)


def check_inside(pixels: object, valid: tuple[int, int] | None) -> Pixels:
    """The part of a tile inside the slide, (rows, columns, 3) uint8 RGB, a view; raises TileError."""
    checked = check_pixels(pixels)
    rows, columns = check_valid(valid, *checked.shape[:2])
    return checked[:rows, :columns]


def check_valid(valid: tuple[int, int] | None, height: int, width: int) -> tuple[int, int]:
    """Return (rows, columns) inside the slide; raises TileError outside 1..height, 1..width."""
    if valid is None:
        return height, width
    with contextlib.suppress(TypeError, ValueError):
        rows, columns = (operator.index(side) for side in valid)
        if 1 <= rows <= height and 1 <= columns <= width:
            return rows, columns
    raise TileError(f"found valid={valid!r}, expected (rows in 1..{height}, columns in 1..{width})")
