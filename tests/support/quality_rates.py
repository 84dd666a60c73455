"""How often clean tiles get a code, by source, and how often artefacts do: the tables of quality limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import artefacts
import numpy as np
from shared_data import SHARED

from her2edge import SlideReader, TissueFilter
from her2edge.quality import Code, Figures, QualityLimits, judge_quality, measure_figures
from her2edge.slide import list_images, read_image
from her2edge.tile import Pixels, Tile
from her2edge_training import synthetic

Tiles = Sequence[tuple[Pixels, tuple[int, int]]]
Inks = Mapping[str, Sequence[tuple[int, int, int]]]
SIDE = 512
KEEP_OUT = tuple(code for code in Code if code not in (Code.EDGE, Code.COMPRESSED))
_RULE = TissueFilter()


def shared_tiles() -> dict[str, Tiles]:
    """Tissue tiles of 512 px of the shared images and slides, by source; BreCaHAD's images are one each."""
    found: dict[str, Tiles] = {}
    for folder in ("tiles", "pairs", "stain"):
        for path in list_images(SHARED / folder):
            if ".ihc." not in path.name:
                found[path.stem] = _crops(read_image(path))
    for name, mpp in (("cmu-1-small-region.svs", None), ("tcga-cr-7395-01a-01-ts1.svs", 0.25)):
        with SlideReader(SHARED / "wsi" / name, mpp=mpp) as slide:
            found[name] = _tissue(
                [(t.pixels, t.valid or (SIDE, SIDE)) for t in slide.sample(SIDE, 400) if isinstance(t, Tile)]
            )
    return {source: tiles for source, tiles in sorted(found.items()) if tiles}


def synthetic_tiles(slides: int = 2, side: int = SIDE, seed: int = 700) -> dict[str, Tiles]:
    """Tiles of synthetic tissue, by site."""
    return {
        site.name: _tissue(
            [
                (
                    synthetic.make_tile(synthetic.make_slide_model(label, site, seed + i), i, side).pixels,
                    (side, side),
                )
                for i in range(slides)
                for label in synthetic.LABELS
            ]
        )
        for site in synthetic.SITES
    }


def halves(sources: Mapping[str, Tiles]) -> tuple[dict[str, Tiles], dict[str, Tiles]]:
    """Every second source, and the others."""
    names = sorted(sources)
    return {name: sources[name] for name in names[::2]}, {name: sources[name] for name in names[1::2]}


def changes(inks: Inks, width: int, seed: int) -> dict[str, tuple[Code, Callable[[Pixels, int], Pixels]]]:
    """By what is drawn: the code it should get, and the drawing of a tile and its number."""
    drawn: dict[str, tuple[Code, Callable[[Pixels, int], Pixels]]] = {}
    for sigma in (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 12.0, 20.0, 40.0):
        drawn[f"blur, sigma {sigma:g} px"] = Code.BLURRED, partial(_blurred, sigma)
    for sigma in (3.0, 5.0, 8.0, 20.0, 40.0):
        for sd in (2.0, 5.0):
            words = f"blur, sigma {sigma:g} px, noise {sd:g}"
            drawn[words] = Code.BLURRED, partial(_blurred_noisy, sigma, sd, seed)
        drawn[f"blur, sigma {sigma:g} px, JPEG 50"] = Code.BLURRED, partial(_blurred_stored, sigma, 50)
    for sigma, sd in ((1.5, 5.0), (2.0, 5.0), (3.0, 10.0), (5.0, 10.0)):
        words = f"blur, sigma {sigma:g} px, noise {sd:g}"
        drawn[words] = Code.BLURRED, partial(_blurred_noisy, sigma, sd, seed)
    for length in (5.0, 8.0, 12.0, 20.0, 40.0):
        drawn[f"moved {length:g} px"] = Code.BLURRED, partial(_moved, length, seed)
    drawn["moved 12 px, noise 5"] = Code.BLURRED, partial(_moved_noisy, 12.0, 5.0, seed)
    drawn["moved 12 px, JPEG 50"] = Code.BLURRED, partial(_moved_stored, 12.0, 50, seed)
    drawn["light x 1.4"] = Code.OVER_EXPOSED, lambda pixels, _: artefacts.brighter(pixels, 1.4)
    for clear in (False, True):
        for name, colours in inks.items():
            words = f"{name} ink, {width} px" + (", clear" if clear else "")
            drawn[words] = Code.PEN, partial(_inked, colours, width, seed, clear)
    return drawn


def clean_rates(
    figures: Mapping[str, Sequence[Figures]], limits: QualityLimits
) -> dict[str, dict[str, float]]:
    """By source, the share of clean tiles with each code."""
    return {
        source: {
            code.value: float(np.mean([code.value in judge_quality(one, limits) for one in tiles]))
            for code in Code
        }
        for source, tiles in figures.items()
    }


def least_and_most(figures: Mapping[str, Sequence[Figures]]) -> dict[str, float]:
    """Of all clean tiles, the least figure of each blur, and the largest share of each ink."""
    every = [one for tiles in figures.values() for one in tiles]
    names = [name for name in Figures.__dataclass_fields__ if name.startswith(("blur", "pen"))]
    return {
        name: float((min if name.startswith("blur") else max)(values))
        for name in names
        if (values := [value for one in every if (value := getattr(one, name)) is not None])
    }


def measured(sources: Mapping[str, Tiles]) -> dict[str, list[Figures]]:
    return {source: [measure_figures(*tile) for tile in tiles] for source, tiles in sources.items()}


def found_rates(
    sources: Mapping[str, Tiles], limits: QualityLimits, inks: Inks, width: int, seed: int
) -> dict[str, tuple[int, float]]:
    """By what is drawn, how many tiles pass the tissue filter still, and the share of them with its code."""
    rates: dict[str, tuple[int, float]] = {}
    for words, (code, draw) in changes(inks, width, seed).items():
        tiles = [tile for one in sources.values() for tile in one]
        drawn = _tissue([(draw(pixels, i), valid) for i, (pixels, valid) in enumerate(tiles)])
        hits = [code.value in judge_quality(measure_figures(*tile), limits) for tile in drawn]
        rates[words] = len(hits), float(np.mean(hits)) if hits else 1.0
    return rates


def tables(clean: Mapping[str, Mapping[str, float]], found: Mapping[str, tuple[int, float]]) -> str:
    lines = [f"{'clean tissue with a code':34}" + "".join(f"{code.value:>13}" for code in Code)]
    lines += [
        f"{source[:33]:34}" + "".join(f"{share:13.1%}" for share in shares.values())
        for source, shares in clean.items()
    ]
    lines += ["", f"{'artefacts found':34}{'tiles':>8}{'found':>10}"]
    lines += [f"{words:34}{tiles:8}{share:10.1%}" for words, (tiles, share) in found.items()]
    return "\n".join(lines)


def _blurred(sigma: float, pixels: Pixels, _: int) -> Pixels:
    return artefacts.blurred(pixels, sigma)


def _blurred_noisy(sigma: float, sd: float, seed: int, pixels: Pixels, i: int) -> Pixels:
    return artefacts.noisy(artefacts.blurred(pixels, sigma), sd, seed + i)


def _blurred_stored(sigma: float, quality: int, pixels: Pixels, _: int) -> Pixels:
    return artefacts.stored(artefacts.blurred(pixels, sigma), quality)


def _moved(length: float, seed: int, pixels: Pixels, i: int) -> Pixels:
    return artefacts.moved(pixels, length, float(np.random.default_rng(seed + i).uniform(0, np.pi)))


def _moved_noisy(length: float, sd: float, seed: int, pixels: Pixels, i: int) -> Pixels:
    return artefacts.noisy(_moved(length, seed, pixels, i), sd, seed + i)


def _moved_stored(length: float, quality: int, seed: int, pixels: Pixels, i: int) -> Pixels:
    return artefacts.stored(_moved(length, seed, pixels, i), quality)


def _inked(
    colours: Sequence[tuple[int, int, int]], width: int, seed: int, clear: bool, pixels: Pixels, i: int
) -> Pixels:
    return artefacts.stroke(pixels, colours[i % len(colours)], width, seed + i, clear=clear)


def _crops(image: Pixels) -> Tiles:
    height, width = image.shape[:2]
    if min(height, width) < SIDE:
        return _tissue([(np.ascontiguousarray(image), (height, width))])
    return _tissue(
        [
            (np.ascontiguousarray(image[y : y + SIDE, x : x + SIDE]), (SIDE, SIDE))
            for y in range(0, height - SIDE + 1, SIDE)
            for x in range(0, width - SIDE + 1, SIDE)
        ]
    )


def _tissue(tiles: Tiles) -> Tiles:
    return [(pixels, valid) for pixels, valid in tiles if not _RULE.is_background(pixels, valid)]
