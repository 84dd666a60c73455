"""TileClassifier: tiles in, one result for each out. `classify` and `stream` take a tile the same way."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import Her2EdgeError, OptionError, StainError
from her2edge.explain import Explanation, background_error, class_map, label_index
from her2edge.feed import BLOCK, FeedOptions, TileFeed
from her2edge.feed.state import State
from her2edge.model.file import Model
from her2edge.ordered import in_order
from her2edge.prepare import USUAL, CheckedTile, Preparation, answered, span_of
from her2edge.processes import OneProcess
from her2edge.runtime import DEFAULT, Engine
from her2edge.runtime.protocol import mean_features
from her2edge.stain import MacenkoNormalizer, StainFit, StainMode, stain_mode
from her2edge.tile import Background, GlassPlace, Outcome, Pixels, Tile, TileResult, UnreadableTile

STAIN_MODES = (StainMode.PER_TILE, StainMode.SLIDE, StainMode.OFF)
READ_AHEAD = 16  # tiles at most; enough to bridge a run of some fifty background tiles
READ_AHEAD_BYTES = 12 << 20  # of pixels, which 16 tiles of 512 px have; larger ones are fewer
MOST_READERS = 256


def read_ahead(tile_px: int, readers: int) -> int:
    """How many tiles a stream holds that were read before they are asked for."""
    fitting = READ_AHEAD_BYTES // (3 * tile_px**2)
    return max(min(READ_AHEAD, fitting), 2 * readers)


@dataclass(frozen=True, eq=False)
class Options:
    """What the caller may choose; None means the model's own value, or what suits the machine.

    threads: inference threads of each interpreter, 1 or more; never more than the machine has cores for.
    interpreters: number of tiles at a time, each on an interpreter of its own; same results, same order.
        None for both: what `her2edge doctor --tune` measured, else one interpreter, at most 4 threads.
    readers: tiles of a slide that are read at the same time, 1..256; same results, same order. None: one a
        core, at most 16. More may help where a slide lies on a slow share.
    runtime: "litert", "openvino", "tflite-runtime", or "tuned": the fastest that `doctor --tune` found.
    self_test: run the model's golden tiles first, and refuse a runtime that disagrees with them.
    stain:   StainMode.PER_TILE (the paper's way) or OFF, or a StainFit used for every tile, as `fit_slide`
        makes it; a mode's word, "off", does as well. SLIDE: a fit that `classify_slide` makes of each slide.
    fallback: with "per_tile", the StainFit of a tile that has none of its own. None: it keeps its pixels.
    """

    threads: int | None = None
    interpreters: int | None = None
    runtime: str = DEFAULT
    self_test: bool = True
    stain: StainMode | str | StainFit | None = None
    fallback: StainFit | None = None
    readers: int | None = None

    def __post_init__(self) -> None:
        for name in ("threads", "interpreters"):
            count = getattr(self, name)
            if count is not None and not (isinstance(count, int) and count >= 1):
                raise OptionError(f"found {name}={count!r}, expected a whole number, 1 or more")
        if not (
            self.readers is None or (isinstance(self.readers, int) and 1 <= self.readers <= MOST_READERS)
        ):
            raise OptionError(f"found readers={self.readers!r}, expected a whole number in 1..{MOST_READERS}")
        if not isinstance(self.self_test, bool):
            raise OptionError(f"found self_test={self.self_test!r}, expected True or False")
        if not (self.fallback is None or isinstance(self.fallback, StainFit)):
            raise OptionError(f"found fallback={self.fallback!r}, expected a StainFit or None")
        if not (self.stain is None or isinstance(self.stain, StainFit)):
            object.__setattr__(self, "stain", stain_mode(self.stain, STAIN_MODES, "a StainFit"))


class TileClassifier(OneProcess):
    """Reads HER2 classes from H&E tiles with one model. Research use only.

    engine: the model as it was started before; None: it is started as the options say.

    plan, use: how the model runs here, and the part of it that results depend on.
    ahead: tiles that are prepared while others are in the network.
    readers: tiles of a slide that are read at the same time.
    tested: what the self-test found, None where it was left out.

    Raises what `open_runtime`, `make_plan` and `self_test` raise. May be shared by threads: tiles wait in
    line for an interpreter. What a signal handler raises, Ctrl-C say, costs the call that it comes into and
    nothing else. Not to be shared by processes: a forked one gets InferenceError, pickle OneProcessError.
    """

    def __init__(self, model: Model, options: Options | None = None, *, engine: Engine | None = None) -> None:
        self.model = model
        self.options = options = options or Options()
        self._preparation = self._make_preparation()
        self.engine = engine or Engine.start(
            model,
            options.runtime,
            options.threads,
            options.interpreters,
            test=options.self_test,
            readers=options.readers,
            meanwhile=self._load_kernels,
        )
        self.plan, self.use = self.engine.plan, self.engine.use
        self.ahead, self.tested = self.engine.ahead, self.engine.tested
        self.readers = self.engine.readers

    def _load_kernels(self) -> None:
        """Those that a tile needs before the network, by one of the model's own."""
        self._preparation.prepare(self._check(self.model.golden.tiles[0]))

    def with_stain(self, stain: StainMode | str | StainFit) -> TileClassifier:
        """The same model on the same runtime, with another stain option, as in Options."""
        return TileClassifier(self.model, replace(self.options, stain=stain), engine=self.engine)

    def _make_preparation(self) -> Preparation:
        model, stain = self.model, self.options.stain
        return Preparation(
            tile_px=model.tile_px,
            mpp=model.mpp,
            tissue=model.tissue_filter,
            normalizer=self._make_normalizer(),
            fit=stain if isinstance(stain, StainFit) else None,
            fallback=self.options.fallback,
            quality=model.manifest.quality or USUAL,
        )

    def _make_normalizer(self) -> MacenkoNormalizer | None:
        """What the options and the model ask for, None where it is off."""
        if self.stain_mode in (StainMode.SLIDE, StainMode.OFF):
            return None
        normalizer = MacenkoNormalizer(self.model.manifest.stain.profile, self.model.stain_target)
        for fit in (self.options.stain, self.options.fallback):
            if isinstance(fit, StainFit) and fit.profile != normalizer.profile:
                raise StainError(
                    f"found a stain fit of profile {fit.profile!r}, the model needs {normalizer.profile!r}: "
                    "fit it again"
                )
        return normalizer

    @property
    def stain_mode(self) -> StainMode:
        """How the stains of tiles are handled: as the options say, else as the model does."""
        if isinstance(self.options.stain, StainFit):
            return StainMode.GIVEN
        return self.model.stain_mode if self.options.stain is None else StainMode(self.options.stain)

    def _check_use(self) -> None:
        """Raises OptionError where the stain fit of the whole slide is still to be made, InferenceError in a
        forked process."""
        self.engine.process.check()
        if self.stain_mode is StainMode.SLIDE:
            raise OptionError(
                "found stain=slide without a slide to fit: use her2edge.classify_slide (`her2edge "
                "classify`), or give the fit: Options(stain=her2edge.results.fit_slide(slide)) or "
                "--stain FIT.json"
            )

    def classify(self, tile: Tile | Pixels) -> TileResult:
        """Classify one tile: a Tile, or an (h, w, 3) uint8 RGB array at the model's size and scale.

        Raises TileError where the tile does not fit; `stream` reports the same as a failed tile. This and
        the other doors for tiles raise OptionError in the stain mode `slide`, which needs a slide.
        """
        self._check_use()
        return self._answer(self._check(tile))

    def stream(self, tiles: Iterable[Tile | UnreadableTile | Pixels]) -> Generator[TileResult, None, None]:
        """Yield one result per tile, in order, lazily; a tile that cannot be used is `failed`, not an error.

        While tiles are in the network, `ahead` others are prepared in threads of their own, and up to
        16 more are read in another, fewer where 12 MiB hold no more, so that no interpreter waits, not for a
        run of background either. What `SlideReader.tiles` gives is read in `readers` threads: as many tiles,
        or two for each, are held at most. A result is there as soon as it is made, though the next tile be
        long in coming. What the iterable itself raises passes through, after the results of all tiles before
        it.
        """
        self._check_use()
        lanes, ahead = self.plan.interpreters + self.ahead, read_ahead(self.model.tile_px, self.readers)
        return in_order(self._take, tiles, lanes, ahead, readers=self.readers)

    def feed(
        self,
        on_result: Callable[[TileResult], object] | None = None,
        *,
        capacity: int = 64,
        policy: str = BLOCK,
        max_wait: float | None = None,
        remember: int = 4096,
    ) -> TileFeed:
        """Open a feed for software that pushes tiles as they appear; see `TileFeed`, and `FeedOptions` for
        what the arguments mean. Tiles go the way of `stream`. Raises OptionError.
        """
        self._check_use()
        options = FeedOptions(capacity, policy, max_wait, remember)
        lanes = self.plan.interpreters + self.ahead
        return TileFeed(State(options, lanes), self._answer, self._preparation.admit, on_result)

    def explain(self, tile: Tile | Pixels, label: str | None = None) -> Explanation:
        """Where the network found what speaks for `label`: Grad-CAM, see `her2edge.explain`.

        The tile goes the way of `classify`, and the network runs once. label: None: the class predicted.

        Raises OptionError for an unknown label, InferenceError, ModelError where the network gives no
        finite numbers, and TileError where the tile does not fit or is background: the network never sees
        that, so nothing can be explained.
        """
        self._check_use()
        chosen = None if label is None else label_index(label, self.model.manifest.labels)
        return self.engine.servant.call(partial(self._explain, self._check(tile), chosen))

    def _explain(self, tile: CheckedTile, chosen: int | None) -> Explanation:
        labels = self.model.manifest.labels
        result, pixels = self._preparation.prepare(tile)
        if pixels is None:
            raise background_error(result)
        started = time.perf_counter()
        logits, features = self.engine.runtime.logits_and_features(pixels)
        score = None
        if self.model.novelty is not None:
            score = self.model.novelty.score(mean_features(features, self.model.manifest.features))
        result = self._answered(result, logits, score, started)
        index = labels.index(str(result.label)) if chosen is None else chosen
        return Explanation(class_map(features, self.model.head, index), labels[index], result)

    @property
    def stain(self) -> dict[str, Any]:
        """How tiles are normalised, as result files record it: mode, profile, target and a given fit."""
        fit, normalizer = self._preparation.fit, self._preparation.normalizer
        if normalizer is None:
            return {"mode": self.stain_mode}
        record = {"profile": normalizer.profile, "target": self.model.stain_target.to_dict()}
        if fit is not None:
            return {"mode": StainMode.GIVEN} | record | {"fit": fit.to_dict()}
        if self.options.fallback is not None:
            record["fallback"] = self.options.fallback.to_dict()
        return {"mode": StainMode.PER_TILE} | record

    def _check(self, tile: Tile | Pixels) -> CheckedTile:
        return self._preparation.check(tile if isinstance(tile, Tile) else Tile(tile))

    def _take(self, item: Tile | UnreadableTile | Pixels) -> TileResult:
        return self._answer(self._preparation.admit(item))

    def _answer(self, tile: CheckedTile | UnreadableTile) -> TileResult:
        if isinstance(tile, GlassPlace):
            return _glass(tile)
        if isinstance(tile, UnreadableTile):
            return _failed(tile, tile.error)
        self.engine.process.check()
        try:
            return self.engine.servant.call(partial(self._classify, tile))
        except Her2EdgeError as error:
            return _failed(tile, str(error))

    def _classify(self, tile: CheckedTile) -> TileResult:
        result, pixels = self._preparation.prepare(tile)
        if pixels is None:
            return result
        with self.engine.turn:  # waiting for one is no inference
            started = time.perf_counter()
            if self.model.novelty is None:
                return self._answered(result, self.engine.runtime.logits(pixels), None, started)
            logits, mean = self.engine.runtime.logits_and_mean(pixels)
            return self._answered(result, logits, self.model.novelty.score(mean), started)

    def _answered(
        self, result: TileResult, logits: NDArray[np.float32], novelty: float | None, started: float
    ) -> TileResult:
        manifest, infer = self.model.manifest, time.perf_counter() - started
        return answered(result, logits, manifest.labels, manifest.temperature, infer, novelty)


def _glass(place: GlassPlace) -> TileResult:
    return TileResult(
        place.slide,
        place.x,
        place.y,
        span_of(place),
        Outcome.BACKGROUND,
        background=Background.NOT_DECODED,
    )


def _failed(tile: Tile | UnreadableTile, error: str) -> TileResult:
    return TileResult(tile.slide, tile.x, tile.y, span_of(tile), Outcome.FAILED, error=error)
