"""What happens to a tile before a network sees it, and how its logits become a result. One way for all."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import NewType

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import ModelError, TileError
from her2edge.probability import probabilities
from her2edge.quality import QualityLimits, background_kind, keeping_out, measure_quality
from her2edge.stain import MacenkoNormalizer, StainFit, StainResult, StainSource
from her2edge.stain.normalizer import normalize_checked
from her2edge.tile import (
    Outcome,
    Pixels,
    Seconds,
    Tile,
    TileResult,
    UnreadableTile,
    check_pixels,
    check_valid,
)
from her2edge.tissue import TissueFilter, measure_light

MPP_TOLERANCE = 0.02  # a tile's um per pixel may differ from the model's by this share
USUAL = QualityLimits()  # of a model file that states none

# A Tile that `Preparation.check` let through: its pixels are C-ordered, `valid` is (rows, columns). Nobody
# behind it looks at their form again.
CheckedTile = NewType("CheckedTile", Tile)


@dataclass(frozen=True, eq=False)
class Preparation:
    """The check of a tile, the tissue filter, the quality of the picture, the stain normalisation.

    tile_px, mpp: side of a tile in pixels, and its scale.
    normalizer: None: the tile keeps its colours. fit: a StainFit for every tile; None: each by itself,
        and `fallback` for one that has none.
    quality: beyond which figures a tile gets a code.
    """

    tile_px: int
    mpp: float
    tissue: TissueFilter
    normalizer: MacenkoNormalizer | None
    fit: StainFit | None = None
    fallback: StainFit | None = None
    quality: QualityLimits = USUAL

    def prepare(self, tile: CheckedTile) -> tuple[TileResult, Pixels | None]:
        """The result as far as it goes without the network, and (tile_px, tile_px, 3) uint8 RGB to show it.

        Pixels are None where the tile is background: the network never sees it.
        """
        started = time.perf_counter()
        pixels = tile.pixels
        valid = tile.valid or (pixels.shape[0], pixels.shape[1])
        light = measure_light(self.tissue, pixels[: valid[0], : valid[1]])
        background, glass = light.background, light.glass
        filtered = time.perf_counter()
        result = TileResult(
            tile.slide,
            tile.x,
            tile.y,
            span_of(tile),
            Outcome.BACKGROUND,
            tissue_fraction=1 - background,
            glass_fraction=glass,
            seconds=Seconds(filtered - started),
        )
        if background >= self.tissue.share:
            return replace(result, background=background_kind(glass, background, self.tissue)), None
        codes = measure_quality(pixels, valid, self.quality, light).codes
        measured = time.perf_counter()
        stained = self._stained(pixels, valid)
        seconds = Seconds(filtered - started, measured - filtered, time.perf_counter() - measured)
        result = replace(
            result,
            outcome=Outcome.CLASSIFIED,
            stain_status=None if stained is None else stained.status,
            stain_source=None if stained is None else stained.source,
            stain_strength=None if stained is None else own_strength(stained),
            quality=codes,
            seconds=seconds,
        )
        return result, pixels if stained is None else stained.pixels

    def _stained(self, pixels: Pixels, valid: tuple[int, int]) -> StainResult | None:
        if self.normalizer is None:
            return None
        return normalize_checked(self.normalizer, pixels, valid, self.fit, self.fallback)

    def admit(self, item: Tile | UnreadableTile | Pixels) -> CheckedTile | UnreadableTile:
        """`check` for a stream: what does not fit the model is an UnreadableTile that says why."""
        if isinstance(item, UnreadableTile):
            return item
        tile = item if isinstance(item, Tile) else Tile(item)
        try:
            return self.check(tile)
        except TileError as error:
            return UnreadableTile(str(error), tile.x, tile.y, span_of(tile), tile.mpp, tile.slide)

    def check(self, tile: Tile) -> CheckedTile:
        """The tile, if it fits the model: (tile_px, tile_px, 3) uint8 RGB at its scale. Raises TileError."""
        pixels = check_pixels(tile.pixels)
        size, mpp = self.tile_px, self.mpp
        if pixels.shape[:2] != (size, size):
            height, width = pixels.shape[:2]
            raise TileError(
                f"found a tile of {width}x{height} px, expected {size}x{size} px at {mpp} um per pixel: "
                "cut it again, or read the slide with SlideReader"
            )
        if tile.mpp is not None and not (
            isinstance(tile.mpp, int | float) and abs(tile.mpp / mpp - 1) <= MPP_TOLERANCE
        ):
            raise TileError(
                f"found a tile at {tile.mpp!r} um per pixel, expected {mpp}: resample it, "
                "or read the slide with SlideReader"
            )
        return CheckedTile(replace(tile, pixels=pixels, valid=check_valid(tile.valid, size, size)))


def answered(
    result: TileResult,
    logits: NDArray[np.float32],
    labels: tuple[str, ...],
    temperature: float,
    infer_seconds: float,
    novelty: float | None = None,
) -> TileResult:
    """`result` of `prepare` with what the network says: (classes,) float32 logits in label order.

    Raises ModelError where the logits make no probabilities: they are no finite numbers.
    """
    with np.errstate(invalid="ignore"):
        chances = probabilities(logits, temperature)
    if not np.isfinite(chances).all():
        raise ModelError("the network gives logits that are not finite numbers")
    best = int(np.argmax(chances))
    return replace(
        result,
        probabilities=chances,
        label=labels[best],
        confidence=float(chances[best]),
        novelty=novelty,
        pooled=votes(result, novelty),
        seconds=replace(result.seconds, infer=infer_seconds),
    )


def own_strength(stained: StainResult) -> tuple[float, float] | None:
    """99th percentiles of haematoxylin and eosin by the tile's own fit; None where it has none."""
    if stained.fit is None or stained.source != StainSource.TILE:
        return None
    haematoxylin, eosin = stained.fit.max_concentration.tolist()
    return haematoxylin, eosin


def votes(result: TileResult, novelty: float | None) -> bool:
    """Whether a classified tile counts for the slide answer.

    Its own pixels, the model file and a stain fit made before the first tile decide, never another tile: a
    reading in random order that stops early rests on it.
    """
    usable = not keeping_out(result.quality)
    return usable and result.stain_source != StainSource.NONE and (novelty is None or novelty <= 1)


def span_of(tile: Tile | UnreadableTile) -> tuple[float, float]:
    """(width, height) in the level-0 frame, pixels; (0, 0) where the tile has neither span nor pixels."""
    if tile.span is not None:
        return tile.span
    if isinstance(tile, UnreadableTile) or not isinstance(tile.pixels, np.ndarray) or tile.pixels.ndim < 2:
        return 0.0, 0.0
    height, width = tile.pixels.shape[:2]
    return float(width), float(height)
