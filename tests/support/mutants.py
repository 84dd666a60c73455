"""Damaged files by the thousand, in a process of its own: how many it made, how long the longest took.

python mutants.py KIND COUNT SEED FOLDER FILE
"""

from __future__ import annotations

import resource
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from her2edge import Model, SlideReader
from her2edge.errors import Her2EdgeError
from her2edge.regions.annotations import read_annotation
from her2edge.slide.grid import TileSize
from her2edge.stain import StainFit

HEAD = 600  # half of the damage is done here, where the structure of most formats is
TILES = 2


def mutate(whole: bytes, random: np.random.Generator) -> bytes:
    """Some bytes changed, a part cut off, left out, doubled or zeroed."""
    data = bytearray(whole)
    limit = min(len(data), HEAD) if random.random() < 0.5 else len(data)
    start = int(random.integers(0, limit))
    end = min(len(data), start + int(random.integers(1, 64)))
    kind = random.integers(0, 6)
    if kind <= 1:
        for at in random.integers(0, limit, int(random.integers(1, 9))):
            data[at] = int(random.integers(0, 256))
    elif kind == 2:
        del data[start:]
    elif kind == 3:
        del data[start:end]
    elif kind == 4:
        data[start:start] = data[start:end]
    else:
        data[start:end] = random.choice([b"\x00", b"\xff"]) * (end - start)
    return bytes(data)


def damaged(kind: str, whole: bytes, random: np.random.Generator) -> bytes:
    """The file damaged anywhere; of a part of a model that is named, behind the hashes."""
    if kind in READERS:
        return mutate(whole, random)
    import behind_hash

    return behind_hash.damaged(kind, random)


def reader(kind: str) -> Callable[[Path], object]:
    """What is done with a file of the kind."""
    if kind in READERS:
        return READERS[kind]
    import behind_hash

    return behind_hash.load_and_use(kind)


def read_slide(path: Path) -> None:
    """Open it, read the first tiles and its thumbnail."""
    with SlideReader(path, mpp=0.5) as slide:
        for _, _tile in zip(range(TILES), slide.tiles(TileSize(256, 0.5)), strict=False):
            pass
        slide.thumbnail(64)


READERS: dict[str, Callable[[Path], object]] = {
    "slide": read_slide,
    "model": Model.load,
    "geojson": read_annotation,
    "stain": StainFit.load,
}


def main() -> None:
    kind, count, seed, folder, source = sys.argv[1:]
    random, longest, refused, read = np.random.default_rng(int(seed)), 0.0, 0, reader(kind)
    warnings.simplefilter("ignore")
    read(Path(source))  # a file that is refused undamaged would show nothing
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    whole = Path(source).read_bytes()
    path = Path(folder) / f"mutant{Path(source).suffix}"
    for _ in range(int(count)):
        path.write_bytes(damaged(kind, whole, random))
        began = time.monotonic()
        try:
            read(path)
        except Her2EdgeError as error:
            refused += 1
            if not str(error).isprintable():
                raise AssertionError(repr(error)) from error
        longest = max(longest, time.monotonic() - began)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    sys.stdout.write(f"{count} {refused} {longest:.3f} {grown >> 10}\n")  # MiB on Linux


if __name__ == "__main__":
    main()
