"""The page of a large slide: seconds and bytes at 20,000 tiles, with Grad-CAM maps by the demo model.

    .venv/bin/python benchmarks/report.py [--side 142]

A slide of side x side tiles of 512 px is made, 1.5 GB for a while: drawn tissue, a pyramid of
JPEG tiles of quality 80. Results are made by hand: every class, everything that is left out. The model says
something else of these tiles; they are explained all the same. The first page of a process, and a second.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import tifffile
from large_slide import _canvases, _cut, _jpeg, _say_jpeg, _write_level

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

import made_results

from her2edge.report import gallery, write_report

TILE, MPP, SCALE = 512, 0.25, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=142, help="tiles across and down")
    side = parser.parse_args().side
    gallery._differs = lambda _now, _kept: False
    with tempfile.TemporaryDirectory() as scratch:
        slide = Path(scratch) / "slide.tif"
        make_slide(slide, side)
        model = Path(str(resources.files("her2edge.data") / "demo-int8.tflite"))
        results = made_results.mixed(side, side)
        folder = made_results.write(Path(scratch), results, side, side, slide=slide, mpp=MPP, model=model)
        for nth in ("first", "second"):
            wall, processor = time.perf_counter(), time.process_time()
            made = write_report(folder, slide=slide)
            wall, processor = time.perf_counter() - wall, time.process_time() - processor
            assert not made.left_out, made.left_out
            print(f"{nth}: {wall:.1f} s, of processor time {processor:.1f} s")
        page = made.path.read_bytes()
        print(f"{side * side:,} tiles: {len(page):,} bytes, {page.count(b'data:image/')} pictures")


def make_slide(path: Path, side: int) -> None:
    """Full tissue: the same few tiles in another order in every row."""
    pictures = [
        canvas[top : top + TILE, left : left + TILE]
        for label in _canvases(0)
        for canvas in label
        for top in (0, 512, 1024)
        for left in (0, 512, 1024)
    ]
    stored = [_jpeg(np.ascontiguousarray(one)) for one in pictures]
    small = [cv2.resize(one, (TILE // SCALE,) * 2, interpolation=cv2.INTER_AREA) for one in pictures]
    order = np.random.default_rng(1).integers(len(pictures), size=(side, side))

    def tiles() -> Iterator[bytes]:
        yield from (stored[one] for one in order.ravel())

    level = np.vstack([np.hstack([small[one] for one in row]) for row in order])
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        _write_level(file, tiles(), (side * TILE, side * TILE), MPP, smaller=False)
        mpp = MPP * SCALE
        while True:
            _write_level(file, _cut(level), level.shape[:2], mpp, smaller=True)
            if max(level.shape[:2]) <= 4 * TILE:
                break
            level = cv2.resize(level, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
            mpp *= 4
    _say_jpeg(path)


if __name__ == "__main__":
    main()
