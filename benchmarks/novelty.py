"""What the novelty limit lets through: on tissue like the training's, on other tissue; what it costs.

    .venv/bin/python benchmarks/novelty.py [--shared ../shared/data] [--save NAME]

Counts tiles and slides above the demo model's limit: synthetic slides that no fit has seen, drawn whole and
cut as the SDK cuts, and real images. Then fits it on the BreCaHAD images, each of them a slide, and counts
those that are far when left out. int8 weights beside float ones, both fitted on synthetic slides drawn here:
AUROC of other synthetic slides against real tissue.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from harness import save, take_turns
from numpy.typing import NDArray

from her2edge import MacenkoNormalizer, Model, SlideReader, Tile
from her2edge.answer.pooling import MIN_TISSUE_TILES
from her2edge.errors import RuntimeUnavailable
from her2edge.model.novelty import Novelty
from her2edge.prepare import Preparation
from her2edge.runtime import RUNTIMES, Runtime, installed, open_runtime
from her2edge.slide.images import read_image
from her2edge.stain import StainMode
from her2edge.tile import Pixels, UnreadableTile
from her2edge_quantize.model_file.novelty import FAR, FittedNovelty, fit_novelty, novelty_bytes
from her2edge_training.synthetic import LABELS, SlideModel, make_cohort, make_slide_image, make_tile

WHOLE_SLIDES, WHOLE_TILES, WHOLE_SEED = 48, 4, 501  # of the fit: tiles of tissue, as the demo's training has
CUT_SLIDES, CUT_SIDE, CUT_SEED = 33, 3, 733  # of the fit: slides with glass around the tissue; side in tiles
HELD_SLIDES, HELD_SIDE, HELD_SEED = 32, 5, 901  # held out, of as many tiles as real slides have at least:
HELD_TILES, MOST_CANVASES = 30, 12
HELD = "held-out synthetic slides"
EDGE = 0.40  # of glass: such a tile has the code `edge`, and novelty is not asked
TIMED = 200


@dataclass(frozen=True, eq=False)
class Set:
    """means: (tiles, channels) float32; labels: (tiles,) the class the network names; slides: (tiles,)."""

    means: NDArray[np.float32]
    labels: NDArray[np.intp]
    slides: NDArray[np.str_]


class Reader:
    """Tiles of a slide to their feature means, prepared as the SDK does."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.runtime: Runtime = open_runtime("litert", model, 1)
        normalizer = None
        if model.stain_mode is not StainMode.OFF:
            normalizer = MacenkoNormalizer(model.manifest.stain.profile, model.stain_target)
        self._prepared = Preparation(model.tile_px, model.mpp, model.tissue_filter, normalizer)

    def inputs(self, tiles: Iterable[Tile | UnreadableTile]) -> Iterator[Pixels]:
        """What the network sees of tissue tiles that are not mostly glass."""
        for tile in tiles:
            if isinstance(tile, Tile) and glass(tile.pixels) <= EDGE:
                pixels = self._prepared.prepare(self._prepared.check(tile))[1]
                if pixels is not None:
                    yield pixels

    def read(self, slides: Iterable[tuple[str, Iterable[Tile | UnreadableTile]]]) -> Set:
        """All slides' tissue tiles."""
        means, labels, names = [], [], []
        for name, tiles in slides:
            for pixels in self.inputs(tiles):
                logits, mean = self.runtime.logits_and_mean(pixels)
                means.append(mean)
                labels.append(int(logits.argmax()))
                names.append(name)
        return Set(np.stack(means), np.array(labels), np.array(names))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data"
    )
    parser.add_argument("--save", metavar="NAME", help="keep the result in benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    model = Model.demo()
    own = model.novelty
    assert own is not None
    reader = Reader(model)
    fit = reader.read(training(model))
    fitted = fit_novelty(fit.means, fit.labels, fit.slides, len(model.manifest.labels))
    sets = {HELD: reader.read(held_out(model))}
    sets |= {name: reader.read(slides) for name, slides in real(model, arguments.shared).items()}
    result: dict[str, Any] = {
        "model": model.manifest.name,
        "member_bytes": len(novelty_bytes(own)),
        "fit": msgspec.to_builtins(model.manifest.novelty),
        "sets": {name: counts(own, one) for name, one in sets.items()},
    }
    if "BreCaHAD" in sets:
        result |= breast(sets["BreCaHAD"], len(model.manifest.labels))
        result["auroc_int8_less_float"] = int8_beside_float(fit, fitted, sets)
    result["cost"] = cost(model, own)
    print(msgspec.json.format(msgspec.json.encode(result)).decode())
    if arguments.save:
        print(save("novelty", result, arguments.save))


def training(model: Model) -> Iterator[tuple[str, Iterator[Tile]]]:
    """What the limit is fitted on: whole tiles, and slides as a lab cuts them."""
    for slide in make_cohort(WHOLE_SLIDES, seed=WHOLE_SEED):
        tiles = (make_tile(slide, i, model.tile_px, model.mpp).pixels for i in range(WHOLE_TILES))
        yield slide.name, (Tile(pixels) for pixels in tiles)
    yield from drawn(model, CUT_SLIDES, CUT_SIDE, CUT_SEED)


def drawn(model: Model, count: int, side: int, seed: int) -> Iterator[tuple[str, Iterator[Tile]]]:
    """Pieces of tissue on glass, cut without regard to them."""
    size = side * model.tile_px
    for slide in make_cohort(count, seed=seed):
        image = make_slide_image(slide, size, size, model.mpp).pixels
        yield f"{seed}-{slide.name}", cut(image, model.tile_px)


def held_out(model: Model) -> Iterator[tuple[str, Iterator[Tile]]]:
    """Slides that no fit has seen, of HELD_TILES tiles of tissue or more.

    A slide is a row of canvases, each a little higher than the last: the same tissue drawn anew.
    """
    for slide in make_cohort(HELD_SLIDES, seed=HELD_SEED):
        yield f"{HELD_SEED}-{slide.name}", _tissue(model, slide)


def _tissue(model: Model, slide: SlideModel) -> Iterator[Tile]:
    size, count = HELD_SIDE * model.tile_px, 0
    for k in range(MOST_CANVASES):
        if count >= HELD_TILES:
            return
        image = make_slide_image(slide, size, size + 16 * k, model.mpp).pixels
        for tile in cut(image, model.tile_px):
            if glass(tile.pixels) <= EDGE and not model.tissue_filter.is_background(tile.pixels):
                count += 1
                yield tile


def real(model: Model, shared: Path) -> dict[str, list[tuple[str, Iterator[Tile | UnreadableTile]]]]:
    """Real tissue that no part of the demo has seen; what is not there is left out."""
    slides = {"CMU-1 (squamous)": ("cmu-1-small-region.svs", None)}
    slides |= {"TCGA (head and neck)": ("tcga-cr-7395-01a-01-ts1.svs", model.mpp)}
    sets: dict[str, list[tuple[str, Iterator[Tile | UnreadableTile]]]] = {
        name: [(file, read_slide(shared / "wsi" / file, mpp, model))]
        for name, (file, mpp) in slides.items()
        if (shared / "wsi" / file).exists()
    }
    images = sorted((shared / "tiles").glob("brecahad-*.jpg"))
    if images:
        sets["BreCaHAD"] = [(image.stem, cut(read_image(image), model.tile_px)) for image in images]
    return sets


def read_slide(path: Path, mpp: float | None, model: Model) -> Iterator[Tile | UnreadableTile]:
    with SlideReader(path, mpp=mpp) as slide:
        yield from slide.tiles(model)


def cut(image: Pixels, size: int) -> Iterator[Tile]:
    """Whole tiles of an image at the model's scale, row by row."""
    for y in range(0, image.shape[0] - size + 1, size):
        for x in range(0, image.shape[1] - size + 1, size):
            yield Tile(np.ascontiguousarray(image[y : y + size, x : x + size]))


def glass(pixels: Pixels) -> float:
    """Share of pixels that are bright without colour, 0..1."""
    least, most = pixels.min(axis=2), pixels.max(axis=2).astype(int)
    return float(np.mean((least >= 225) & (most >= 235) & (most - least < 20)))


def counts(novelty: Novelty, one: Set) -> dict[str, Any]:
    """Tiles above the limit; slides with most of their tiles there, of those with enough for an answer."""
    scores = np.array([novelty.score(mean) for mean in one.means])
    above = [scores[one.slides == name] > 1 for name in np.unique(one.slides)]
    shares = np.array([of.mean() for of in above])
    judged = np.array([len(of) >= MIN_TISSUE_TILES for of in above])
    return {
        "tiles": len(scores),
        "tiles_above": int((scores > 1).sum()),
        "median_score": round(float(np.median(scores)), 3),
        "slides": len(shares),
        "tiles_of_the_smallest_slide": min(len(of) for of in above),
        "slides_judged": int(judged.sum()),
        "slides_far": int((judged & (shares > FAR)).sum()),
        "largest_share": round(float(shares[judged].max()), 3) if judged.any() else None,
        "slides_above_a_fifth": int((shares > 0.2).sum()),
    }


def breast(one: Set, labels: int) -> dict[str, Any]:
    """BreCaHAD as the training tissue: its images, each left out once."""
    fitted = fit_novelty(one.means, one.labels, one.slides, labels, fewest=2)
    return {"fitted_on_brecahad": msgspec.to_builtins(fitted.record)}


def int8_beside_float(fit: Set, fitted: FittedNovelty, sets: dict[str, Set]) -> dict[str, float]:
    """AUROC by the member's weights less that by scikit-learn's PCA in float64, held-out against each set."""
    from sklearn.decomposition import PCA
    from sklearn.metrics import roc_auc_score

    pca = PCA(fitted.record.components).fit(fit.means.astype(np.float64))
    z = pca.transform(fit.means.astype(np.float64))
    places = np.stack([z[fit.labels == k].mean(axis=0) for k in range(len(LABELS))])

    def exact(means: NDArray[np.float32]) -> NDArray[np.float64]:
        apart = pca.transform(means.astype(np.float64))[:, np.newaxis] - places
        return (apart**2 / pca.explained_variance_).sum(axis=2).min(axis=1)

    def stored(means: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.array([fitted.novelty.distance(mean) for mean in means])

    usual, differences = sets[HELD].means, {}
    for name, one in sets.items():
        if one.means is not usual:
            truth = np.r_[np.zeros(len(usual)), np.ones(len(one.means))]
            a, b = (roc_auc_score(truth, np.r_[f(usual), f(one.means)]) for f in (stored, exact))
            differences[name] = round(float(a - b), 5)
    return differences


class Still:
    """An interpreter whose network does nothing: what is left of a call is what a runtime does around it."""

    def __init__(self, interpreter: Any) -> None:
        self._interpreter = interpreter

    def __getattr__(self, name: str) -> Any:
        return (lambda **_: None) if name in ("invoke", "infer") else getattr(self._interpreter, name)


def cost(model: Model, novelty: Novelty) -> dict[str, Any]:
    """Milliseconds that novelty adds to a tile's logits, by runtime; the network stands still."""
    tiles, times = [model.golden.tiles[0]] * TIMED, {}
    for name in installed(RUNTIMES):
        try:
            runtime: Any = open_runtime(name, model, 1)
        except RuntimeUnavailable:
            continue
        runtime.logits(tiles[0])
        held = "_request" if name == "openvino" else "_interpreter"
        setattr(runtime, held, Still(getattr(runtime, held)))

        def scored(pixels: Pixels, runtime: Runtime = runtime) -> None:
            novelty.score(runtime.logits_and_mean(pixels)[1])

        spent = take_turns({"logits": runtime.logits, "novelty": scored}, tiles, clock=time.process_time)
        added = np.median(np.subtract(spent["novelty"], spent["logits"]))
        times[name] = {"added_ms": round(float(added), 4)}
    return times


if __name__ == "__main__":
    main()
