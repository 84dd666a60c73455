"""DICOM: what a 512 px tile costs to read by OpenSlide and by wsidicom; size and time of written objects.

    .venv/bin/python benchmarks/dicom.py [--slide FOLDER] [--tiles 5000]

FOLDER holds one slide in DICOM that both read, a converted one say; without it, drawn tissue in JPEG tiles of
240 px. Both readers go through her2edge's own sources, in turns, on the same places; processor time. The
objects are of 5,000 tiles, of which nine in ten vote, in a slide of 40,960 px.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import numpy as np
from harness import describe, ratio, take_turns

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

import dicom_results
import slide_results
import tiny
from vl_slides import Slide, write_slide

from her2edge.dicom.lazy import packages
from her2edge.dicom.source import DicomSlide, read_slide
from her2edge.dicom.write import make_objects
from her2edge.results.read_back import Results, read_results
from her2edge.slide.dicom_source import WsidicomSource
from her2edge.slide.parts import slide_files
from her2edge.slide.sources import OpenSlideSource, Source
from her2edge_training import synthetic

SIDE, WIDTH = 512, 40_960


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slide", type=Path, metavar="FOLDER")
    parser.add_argument("--tiles", type=int, default=5000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        reading(arguments.slide or drawn(folder / "drawn"))
        writing(folder, arguments.tiles)


def drawn(folder: Path) -> Path:
    """A slide of drawn tissue."""
    model = synthetic.make_slide_model("3+", synthetic.SITES[1], 7)
    pixels = synthetic.make_slide_image(model, 7 * SIDE, 7 * SIDE, tiny.MPP).pixels
    write_slide(folder, pixels, Slide("jpeg", tile=240, mpp=tiny.MPP))
    return folder


def reading(folder: Path) -> None:
    """Print what a tile costs by either reader."""
    path = next(path for path in sorted(folder.iterdir()) if path.suffix == ".dcm")
    readers: dict[str, Source] = {
        "OpenSlide": OpenSlideSource(path),
        "wsidicom": WsidicomSource(path, slide_files(path)),
    }
    width, height = readers["OpenSlide"].dimensions
    places = [(x, y) for y in range(0, height - SIDE, SIDE) for x in range(0, width - SIDE, SIDE)]
    for place in places:
        one, other = (reader.read(0, *place, SIDE, SIDE) for reader in readers.values())
        assert np.array_equal(one, other)
    spent = take_turns(
        {name: lambda at, r=reader: r.read(0, *at, SIDE, SIDE) for name, reader in readers.items()},
        places, rounds=5, clock=time.process_time,
    )  # fmt: skip
    for name, times in describe(spent).items():
        print(f"read a tile of {SIDE} px, {name:10} {times['median_ms']:6.2f} ms of processor time")
    print(f"wsidicom is {ratio(spent, 'OpenSlide', 'wsidicom')} times as fast; pixels are equal")


def writing(folder: Path, tiles: int) -> None:
    """Print size and time of the objects of so many tiles."""
    done = dicom_results.classified(folder / "small")
    modules = packages()
    slide = read_slide(next(done.source.glob("*-l0-*")), modules)
    large = DicomSlide(slide.image, WIDTH, WIDTH)
    results = many(read_results(done.results), tiles)
    took = []
    for _ in range(5):
        began = time.process_time()
        data = make_objects(results, large, modules)
        took.append(time.process_time() - began)
    for name, one in data.items():
        print(f"{name} of {tiles} tiles: {len(one):,} bytes")
    print(f"both made in {min(took):.2f}..{max(took):.2f} s of processor time, the first the longest")


def many(results: Results, tiles: int) -> Results:
    """The same with so many tiles."""
    random = np.random.default_rng(1)
    columns = WIDTH // SIDE
    made = [
        slide_results.tile(n, columns, int(random.integers(3)), sure=0.7, pooled=bool(random.random() < 0.9))
        for n in range(tiles)
    ]
    info = msgspec.structs.replace(results.summary.slide, width=WIDTH, height=WIDTH)
    return Results(
        results.folder, msgspec.structs.replace(results.summary, slide=info), results.run, tuple(made)
    )


if __name__ == "__main__":
    main()
