"""What a 512 px tile costs to read: OpenSlide, what we add to it, and its JPEG tiles decoded directly.

    .venv/bin/python benchmarks/decode.py --slide SLIDE.svs [--save NAME]

SLIDE is a TIFF whose tiles are JPEG; tifffile, a development dependency, finds them. Processor time, so that
other load matters little. "Directly" is the least that any reader could take: the stored tiles that a tile
touches, decoded by OpenCV and not put together, their colours not converted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import cv2
import numpy as np
import openslide
import tifffile
from harness import save

from her2edge.slide.images import over_white

SIDE = 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slide", required=True)
    parser.add_argument("--save", metavar="NAME", help="keep the result in benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    slide = openslide.OpenSlide(arguments.slide)
    width, height = slide.dimensions
    places = [(x, y) for y in range(0, height - SIDE, SIDE) for x in range(0, width - SIDE, SIDE)]
    regions = [slide.read_region(place, 0, (SIDE, SIDE)) for place in places]
    arrays = [np.asarray(region) for region in regions]
    slide = openslide.OpenSlide(arguments.slide)  # its cache empty again
    stored, touched = stored_tiles(arguments.slide)
    result = {
        "OpenSlide read_region": milliseconds(lambda p: slide.read_region(p, 0, (SIDE, SIDE)), places),
        "its image as an array": milliseconds(np.asarray, regions),
        "RGBA to RGB": milliseconds(over_white, arrays),
        "JPEG tiles directly": milliseconds(
            lambda place: [cv2.imdecode(stored(n), cv2.IMREAD_COLOR) for n in touched(*place)], places
        ),
    }
    for name, took in result.items():
        print(f"{name:24} {took:6.2f} ms")
    if arguments.save:
        print(save("decode", {"slide_tiles": len(places), "times": result}, arguments.save))


def stored_tiles(path: str) -> tuple[Callable[[int], Any], Callable[[int, int], Iterator[int]]]:
    """The bytes of stored tile n as a whole JPEG file; the numbers of those that a tile at (x, y) touches."""
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        offsets, counts = page.dataoffsets, page.databytecounts
        tables, side = page.jpegtables, page.tilewidth
        across = -(-page.imagewidth // side)
        assert (page.compression, page.tilelength) == (7, side), "expected square JPEG tiles"
    with open(path, "rb") as file:  # noqa: PTH123 - beside tifffile's
        data = file.read()

    def stored(number: int) -> Any:
        jpeg = data[offsets[number] : offsets[number] + counts[number]]
        return np.frombuffer(tables[:-2] + jpeg[2:] if tables else jpeg, np.uint8)

    def touched(x: int, y: int) -> Iterator[int]:
        columns = range(x // side, (x + SIDE - 1) // side + 1)
        rows = range(y // side, (y + SIDE - 1) // side + 1)
        return (row * across + column for row in rows for column in columns)

    return stored, touched


def milliseconds(function: Callable[[Any], object], inputs: list[Any]) -> float:
    """Median processor time over the inputs."""
    spent = []
    for one in inputs:
        began = time.process_time()
        function(one)
        spent.append(1e3 * (time.process_time() - began))
    return round(median(spent), 3)


if __name__ == "__main__":
    main()
