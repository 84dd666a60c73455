"""What both sides read: tiles for the stain kernels (real ones too, if there are any), a slide per model."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from her2edge import Model
from her2edge.slide import read_image
from her2edge.stain import MacenkoNormalizer
from her2edge_training import synthetic

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT.parent / "shared" / "data" / "tiles"
REAL_SLIDE = REAL.with_name("wsi") / "cmu-1-small-region.svs"
SIDE, REAL_TILES = 256, 6
sys.path.append(str(ROOT / "tests" / "support"))
Pixels = NDArray[np.uint8]


def stain_inputs(folder: Path) -> tuple[Path, Path, int]:
    """(tiles, target, how many of the tiles are real)."""
    drawn, real = list(synthetic_tiles()), list(real_tiles())
    tiles, target = folder / "tiles.npz", folder / "target.json"
    named: dict[str, Any] = {f"tile_{number:02}": one for number, one in enumerate([*drawn, *real])}
    np.savez(tiles, **named)
    MacenkoNormalizer("tiatoolbox").fit(drawn[0]).save(target)
    return tiles, target, len(real)


def synthetic_tiles() -> Iterator[Pixels]:
    """(SIDE, SIDE, 3) uint8 RGB of every class and site."""
    for number, label in enumerate(synthetic.LABELS):
        for site in synthetic.SITES:
            model = synthetic.make_slide_model(label, site, 60 + number)
            yield synthetic.make_tile(model, number, SIDE, 0.25).pixels


def real_tiles() -> Iterator[Pixels]:
    """(2 SIDE, 2 SIDE, 3) uint8 RGB, the upper left corner of each."""
    for path in sorted(REAL.glob("*.jpg"))[:REAL_TILES]:
        yield np.ascontiguousarray(read_image(path)[: 2 * SIDE, : 2 * SIDE])


def slides_to_watch(folder: Path, model: Path) -> tuple[str, ...]:
    """Slides that OpenSlide reads: a drawn one in tiles and levels, and a real one if there is one; names."""
    from pyramids import write_pyramid

    folder.mkdir()
    mpp = draw_slide(folder.with_suffix(".png"), model, 6, 4)
    write_pyramid(folder / "drawn.tif", read_image(folder.with_suffix(".png")), mpp=mpp)
    if REAL_SLIDE.exists():
        shutil.copy(REAL_SLIDE, folder)
    return tuple(sorted(path.name for path in folder.iterdir()))


def draw_slide(path: Path, model: Path, columns: int, rows: int) -> float:
    """A synthetic slide as PNG of so many of the model's tiles; um per pixel."""
    read = Model.load(model, trust="anyone")
    drawn = synthetic.make_slide_model("3+", synthetic.SITES[1], 7)
    pixels = synthetic.make_slide_image(drawn, read.tile_px * columns, read.tile_px * rows, read.mpp).pixels
    cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    return read.mpp
