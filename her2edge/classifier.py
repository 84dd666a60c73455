"""TileClassifier: tiles in, one result for each out. `stream` is the primitive; `classify` loops over it."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from her2edge.errors import Her2EdgeError, OptionError, StainError, TileError
from her2edge.model import Model
from her2edge.probability import probabilities
from her2edge.runtime import open_runtime
from her2edge.stain import MacenkoNormalizer, StainFit
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

STAIN_MODES = ("per_tile", "off")
MPP_TOLERANCE = 0.02  # a tile's um per pixel may differ from the model's by this share


@dataclass(frozen=True, eq=False)
class Options:
    """What the caller may choose; None means the model's own value, or what suits the machine.

    threads: inference threads, 1 or more. None: the machine's cores, at most 4.
    runtime: "litert".
    stain:   "per_tile" (the paper's way), "off", or a StainFit used for every tile, as `fit_slide` makes it.
    fallback: with "per_tile", the StainFit of a tile that has none of its own. None: it keeps its pixels.
    """

    threads: int | None = None
    runtime: str = "litert"
    stain: str | StainFit | None = None
    fallback: StainFit | None = None

    def __post_init__(self) -> None:
        if self.threads is not None and not (isinstance(self.threads, int) and self.threads >= 1):
            raise OptionError(f"found threads={self.threads!r}, expected a whole number, 1 or more")
        if not (self.fallback is None or isinstance(self.fallback, StainFit)):
            raise OptionError(f"found fallback={self.fallback!r}, expected a StainFit or None")
        if not (self.stain is None or isinstance(self.stain, StainFit) or self.stain in STAIN_MODES):
            raise OptionError(f"found stain={self.stain!r}, expected {', '.join(STAIN_MODES)} or a StainFit")


class TileClassifier:
    """Reads HER2 classes from H&E tiles with one model. Research use only.

    Raises what `open_runtime` raises. May be shared by threads: tiles wait in line for the network.
    """

    def __init__(self, model: Model, options: Options | None = None) -> None:
        self.model = model
        self.options = options or Options()
        self._normalizer = self._make_normalizer()
        self._filter = model.tissue_filter
        self.threads = self.options.threads or min(4, os.cpu_count() or 1)
        self._runtime = open_runtime(self.options.runtime, model, self.threads)

    def with_stain(self, stain: str | StainFit) -> TileClassifier:
        """The same model on the same runtime, with another stain option, as in Options."""
        other = copy.copy(self)
        other.options = replace(self.options, stain=stain)
        other._normalizer = other._make_normalizer()
        return other

    def _make_normalizer(self) -> MacenkoNormalizer | None:
        """What the options and the model ask for, None where it is off."""
        manifest = self.model.manifest
        mode = manifest.stain.mode if self.options.stain is None else self.options.stain
        if mode == "slide":
            raise OptionError(
                "the model wants one stain fit for a whole slide: pass "
                'Options(stain=her2edge.fit_slide(slide)), or choose Options(stain="per_tile")'
            )
        if mode == "off":
            return None
        normalizer = MacenkoNormalizer(manifest.stain.profile, self.model.stain_target)
        for fit in (mode, self.options.fallback):
            if isinstance(fit, StainFit) and fit.profile != normalizer.profile:
                raise StainError(
                    f"found a stain fit of profile {fit.profile!r}, the model needs {normalizer.profile!r}: "
                    "fit it again"
                )
        return normalizer

    @property
    def _fit(self) -> StainFit | None:
        return self.options.stain if isinstance(self.options.stain, StainFit) else None

    def classify(self, tile: Tile | Pixels) -> TileResult:
        """Classify one tile: a Tile, or an (h, w, 3) uint8 RGB array at the model's size and scale.

        Raises TileError where the tile does not fit; `stream` reports the same as a failed tile.
        """
        tile = tile if isinstance(tile, Tile) else Tile(tile)
        self._check(tile)
        return next(self.stream((tile,)))

    def stream(self, tiles: Iterable[Tile | UnreadableTile | Pixels]) -> Iterator[TileResult]:
        """Yield one result per tile, in order, lazily; a tile that cannot be used is `failed`, not an error.

        What the iterable itself raises passes through.
        """
        for item in tiles:
            if isinstance(item, UnreadableTile):
                yield _failed(item, item.error)
                continue
            tile = item if isinstance(item, Tile) else Tile(item)
            try:
                yield self._classify(tile)
            except Her2EdgeError as error:
                yield _failed(tile, str(error))

    @property
    def stain(self) -> dict[str, Any]:
        """How tiles are normalised, as result files record it: mode, profile, target and a given fit."""
        if self._normalizer is None:
            return {"mode": "off"}
        record = {"profile": self._normalizer.profile, "target": self.model.stain_target.to_dict()}
        if self._fit is not None:
            return {"mode": "given"} | record | {"fit": self._fit.to_dict()}
        if self.options.fallback is not None:
            record["fallback"] = self.options.fallback.to_dict()
        return {"mode": "per_tile"} | record

    def _classify(self, tile: Tile) -> TileResult:
        started = time.perf_counter()
        pixels = self._check(tile)
        background = self._filter.background_share(pixels, tile.valid)
        filtered = time.perf_counter()
        key = (tile.slide, tile.x, tile.y, _span(tile))
        if background >= self._filter.share:
            seconds = Seconds(filter=filtered - started)
            return TileResult(*key, Outcome.BACKGROUND, tissue_fraction=1 - background, seconds=seconds)
        status = source = None
        if self._normalizer is not None:
            stained = self._normalizer.normalize(
                pixels, valid=tile.valid, fit=self._fit, fallback=self.options.fallback
            )
            pixels, status, source = stained.pixels, stained.status, stained.source
        normalized = time.perf_counter()
        chances = probabilities(self._runtime.logits(pixels), self.model.manifest.temperature)
        seconds = Seconds(filtered - started, normalized - filtered, time.perf_counter() - normalized)
        best = int(np.argmax(chances))
        return TileResult(
            *key,
            Outcome.CLASSIFIED,
            probabilities=chances,
            label=self.model.manifest.labels[best],
            confidence=float(chances[best]),
            tissue_fraction=1 - background,
            stain_status=status,
            stain_source=source,
            seconds=seconds,
        )

    def _check(self, tile: Tile) -> Pixels:
        """The tile's pixels, if they fit the model; raises TileError."""
        pixels = check_pixels(tile.pixels)
        size, mpp = self.model.tile_px, self.model.um_per_pixel
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
        check_valid(tile.valid, size, size)
        return pixels


def _span(tile: Tile) -> tuple[float, float]:
    if tile.span is not None:
        return tile.span
    if not isinstance(tile.pixels, np.ndarray) or tile.pixels.ndim < 2:
        return 0.0, 0.0
    height, width = tile.pixels.shape[:2]
    return float(width), float(height)


def _failed(tile: Tile | UnreadableTile, error: str) -> TileResult:
    span = _span(tile) if isinstance(tile, Tile) else tile.span or (0.0, 0.0)
    return TileResult(tile.slide, tile.x, tile.y, span, Outcome.FAILED, error=error)
