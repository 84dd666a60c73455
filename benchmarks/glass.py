"""Glass that is not decoded: how many places, whether a place that is classified is among them, time won.

    python benchmarks/glass.py --slide SLIDE... [--mpp UM] [--pictures PICTURE...] [--drawn N] [--rounds 3]

--slide: slides with levels of their own. --pictures: slides and images without, whose pixels are laid on
glass, with levels made of them by area means and by single pixels. --drawn: number of slides of thin strands,
pale sheets and single flecks. Every place is decoded, and judged by the paper's tissue rule.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import tifffile
from harness import save
from numpy.typing import NDArray

from her2edge import SlideReader, Tile
from her2edge.ordered import in_order
from her2edge.quality import background_kind
from her2edge.runtime import Host
from her2edge.slide import GlassMap, TileSize, read_image
from her2edge.slide.images import IMAGE_SUFFIXES
from her2edge.text import percent
from her2edge.tissue import TissueFilter, measure_light

RULE, SPEC = TissueFilter(), TileSize(512, 0.25)
SIDE, DOWNS, MOST = 6144, (4, 16), 2560  # pixels: of a made slide, its levels, of a picture
GLASS, NOISE = 243, 1.5

Pixels = NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slide", type=Path, nargs="*", default=[])
    parser.add_argument("--mpp", type=float, help="um per pixel, where a slide does not state it")
    parser.add_argument("--pictures", type=Path, nargs="*", default=[])
    parser.add_argument("--drawn", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--save", metavar="NAME", help="keep the result in benchmarks/results/NAME.json")
    given = parser.parse_args()
    found = [measured(path, given.mpp, given.rounds) for path in given.slide]
    with tempfile.TemporaryDirectory(prefix="her2edge-") as folder:
        found += [measured(path, None, 0) for path in made(Path(folder), given.pictures, given.drawn)]
    wrong, kinds = sum(one["wrong"] for one in found), sum(one["other_kind"] for one in found)
    places, skipped = sum(one["places"] for one in found), sum(one["not_decoded"] for one in found)
    print(
        f"{len(found)} slides, {places} places, {skipped} not decoded: {wrong} of them would be classified, "
        f"{kinds} are background of another kind than glass"
    )
    if given.save:
        print(save("glass", {"slides": found}, given.save))


def measured(path: Path, mpp: float | None, rounds: int) -> dict[str, Any]:
    """One slide: counts, and seconds of reading it with and without the map; rounds: 0: not timed."""
    readers = Host().readers
    with SlideReader(path, default_mpp=mpp) as slide:
        glass = slide.glass(SPEC, RULE.brightest_tissue, readers)
        outcomes = Counter(_judged(slide, glass, readers))
        name, spent = slide.name, [_seconds(slide, readers) for _ in range(rounds)]
    places, skipped = outcomes.total(), sum(n for (left_out, _), n in outcomes.items() if left_out)
    background = places - outcomes[False, "classified"] - outcomes[True, "classified"]
    wrong = outcomes[True, "classified"]
    found: dict[str, Any] = {
        "slide": name,
        "level": glass is not None,
        "places": places,
        "background": background,
        "not_decoded": skipped,
        "wrong": wrong,
        "other_kind": skipped - wrong - outcomes[True, "glass"],
        "glass_decoded": outcomes[False, "glass"],
    }
    share = percent(skipped / places)
    line = (
        f"{name}: {places} places, {background} background, {skipped} not decoded ({share}), "
        f"{wrong} of them would be classified, {found['other_kind']} of another kind than glass"
    )
    if rounds:
        every, looking, rest = (median(times) for times in zip(*spent, strict=True))
        found |= {"seconds_all": every, "seconds_map": looking, "seconds_rest": rest}
        line += f"; reading all {every:.1f} s, map {looking:.2f} s and the rest {rest:.1f} s"
        line += f": {every / (looking + rest):.2f} times"
    print(line)
    return found


def _judged(slide: SlideReader, glass: GlassMap | None, readers: int) -> Iterator[tuple[bool, str]]:
    """Of each place that can be read whether it is left out, and what the full resolution says."""

    def judge(tile: object) -> str | None:
        if not isinstance(tile, Tile):
            return None
        rows, columns = tile.valid or tile.pixels.shape[:2]
        light = measure_light(RULE, tile.pixels[:rows, :columns])
        if light.background < RULE.share:
            return "classified"
        return background_kind(light.glass, light.background, RULE).value

    tiles = in_order(judge, slide.tiles(SPEC), 2, 2 * readers, readers=readers)
    for place, kind in zip(slide.grid(SPEC), tiles, strict=True):
        if kind is not None:
            yield glass is not None and place in glass, kind


def _seconds(slide: SlideReader, readers: int) -> tuple[float, float, float]:
    """Reading all; the map; reading the rest."""
    times = [time.perf_counter()]
    _read(slide, None, readers)
    times.append(time.perf_counter())
    glass = slide.glass(SPEC, RULE.brightest_tissue, readers)
    times.append(time.perf_counter())
    _read(slide, glass, readers)
    times.append(time.perf_counter())
    return times[1] - times[0], times[2] - times[1], times[3] - times[2]


def _read(slide: SlideReader, glass: GlassMap | None, readers: int) -> None:
    for _ in in_order(lambda _: None, slide.tiles(SPEC, glass=glass), 2, 2 * readers, readers=readers):
        pass


def made(folder: Path, pictures: list[Path], drawn: int) -> Iterator[Path]:
    """Slides of pictures, and drawn ones, each with levels of both kinds."""
    canvases = [(path.stem, _laid_out(path)) for path in pictures]
    canvases += [(f"drawn-{seed}", _drawn(seed)) for seed in range(drawn)]
    for name, pixels in canvases:
        for kind in ("area", "nearest"):
            yield _write(folder / f"{name}-{kind}.tif", pixels, kind)


def _glass(rng: np.random.Generator) -> Pixels:
    noise = rng.normal(GLASS, NOISE, (SIDE, SIDE, 1))
    return np.clip(noise, 0, 255).astype(np.uint8).repeat(3, axis=2)


def _laid_out(path: Path) -> Pixels:
    """A picture on glass, off the grid of tiles, whole and in strips."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        picture = read_image(path)[:MOST, :MOST]
    else:
        with SlideReader(path, default_mpp=SPEC.mpp) as slide:
            assert slide.mpp is not None
            tile = next(slide.tiles(TileSize(MOST, slide.mpp)))
            assert isinstance(tile, Tile)
            assert tile.valid is not None
            picture = tile.pixels[: tile.valid[0], : tile.valid[1]]
    pixels = _glass(np.random.default_rng(0))
    rows, columns = picture.shape[:2]
    pixels[300 : 300 + rows, 410 : 410 + columns] = picture
    for n, width in enumerate((3, 10, 40, 150, 210)):  # what thin tissue is, and a tile of 41 % of it
        left = 3300 + 512 * n
        strip = picture[:, : min(width, columns)]
        pixels[200 : 200 + rows, left : left + strip.shape[1]] = strip
    return pixels


def _drawn(seed: int) -> Pixels:
    """Strands, sheets and flecks of every grey on half of the places."""
    rng = np.random.default_rng(seed)
    pixels = _glass(rng)
    for n in range((SIDE // 512) ** 2 // 2):
        row, column = (512 * int(v) for v in rng.integers(0, SIDE // 512, 2))
        part, grey = pixels[row : row + 512, column : column + 512], int(rng.integers(60, 235))
        if n % 3 == 0:
            side = int(rng.choice([4, 8, 16, 32]))
            share = 0.41 if n % 2 else float(rng.uniform(0.01, 0.7))
            chosen = rng.random((512 // side, 512 // side)) < share
            part[chosen.repeat(side, axis=0).repeat(side, axis=1)] = min(grey, 179) if n % 2 else grey
        elif n % 3 == 1:
            pitch = int(rng.integers(4, 100))
            for start in range(0, 512, pitch):
                part[:, start : start + max(1, int(pitch * rng.uniform(0.05, 0.6)))] = grey
        else:
            part[: int(rng.integers(1, 512)), : int(rng.integers(1, 512))] = (grey, max(0, grey - 15), grey)
    return pixels


def _write(path: Path, pixels: Pixels, kind: str) -> Path:
    with tifffile.TiffWriter(path) as file:
        for down in (1, *DOWNS):
            size = (SIDE // down, SIDE // down)
            level = (
                pixels[::down, ::down]
                if kind == "nearest"
                else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
            )
            density = 1e4 / (SPEC.mpp * down)
            file.write(
                np.ascontiguousarray(level), tile=(512, 512), photometric="rgb", metadata=None,
                subfiletype=int(down > 1), resolution=(density, density), resolutionunit="CENTIMETER",
            )  # fmt: skip
    return path


if __name__ == "__main__":
    main()
