"""Makes a large slide: 60,000 x 50,000 px of synthetic tissue on glass, a tiled JPEG pyramid of about 0.6 GB.

    .venv/bin/python benchmarks/large_slide.py large.tif [--width 60000 --height 50000] [--shares 0.7 0.2 0.1]

The classes lie in patches some tiles wide: each place has the class of a random field, so that their shares
of the tissue are those asked for. The same bytes for the same arguments and the same OpenCV.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from her2edge.tile import LABELS
from her2edge_training.synthetic import SITES, make_cohort, make_tile

TILE = 512
MPP = 0.25
CANVAS = 1536  # px of a canvas that tiles are cropped from, each at a place of its own
CANVASES = 3  # of each class
SCALE = 4  # between levels
CORRELATION = 6.0  # tiles: how far classes reach
QUALITY = 80

Image = NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path)
    parser.add_argument("--width", type=int, default=60_000)
    parser.add_argument("--height", type=int, default=50_000)
    parser.add_argument("--shares", type=float, nargs=3, default=(0.7, 0.2, 0.1), help="in label order")
    parser.add_argument("--tissue", type=float, default=0.4, help="share of the slide that is tissue")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    make_large_slide(
        arguments.path, arguments.width, arguments.height, arguments.shares, arguments.tissue, arguments.seed
    )
    print(f"{arguments.path}: {arguments.path.stat().st_size / 1e6:.0f} MB")


def make_large_slide(
    path: Path, width: int, height: int, shares: tuple[float, float, float], tissue: float, seed: int
) -> None:
    """Write the pyramid; shares: of the tissue, in label order, summing to 1; tissue: of the slide."""
    rng = np.random.default_rng(seed)
    rows, columns = -(-height // TILE), -(-width // TILE)
    field = _field(rng, (rows, columns), max(rows, columns) / 8)
    wall = float(np.quantile(field, 1 - tissue))
    classes = np.digitize(_rank(_field(rng, (rows, columns), CORRELATION)), np.cumsum(shares)[:2])
    canvases = _canvases(seed)
    small = np.full((rows * TILE // SCALE, columns * TILE // SCALE, 3), 255, np.uint8)

    def tiles() -> Iterator[bytes]:
        for row in range(rows):
            for column in range(columns):
                pixels = _tile(rng, field, wall, (row, column), canvases[classes[row, column]])
                side = TILE // SCALE
                small[row * side : (row + 1) * side, column * side : (column + 1) * side] = cv2.resize(
                    pixels, (side, side), interpolation=cv2.INTER_AREA
                )
                yield _jpeg(pixels)

    with tifffile.TiffWriter(path, bigtiff=True) as file:
        _write_level(file, tiles(), (height, width), MPP, smaller=False)
        level, mpp = small[: height // SCALE, : width // SCALE], MPP * SCALE
        while True:
            _write_level(file, _cut(level), level.shape[:2], mpp, smaller=True)
            if max(level.shape[:2]) <= 4 * TILE:
                break
            size = level.shape[1] // SCALE, level.shape[0] // SCALE
            level, mpp = cv2.resize(level, size, interpolation=cv2.INTER_AREA), mpp * SCALE
    _say_jpeg(path)


def _write_level(
    file: tifffile.TiffWriter, tiles: Iterator[bytes], shape: tuple[int, int], mpp: float, *, smaller: bool
) -> None:
    file.write(
        tiles,
        shape=(*shape, 3),
        dtype=np.uint8,
        tile=(TILE, TILE),
        photometric="rgb",
        compression="zlib",  # which the tiles are not: tifffile alone has no JPEG, see _say_jpeg
        metadata=None,
        resolution=(1e4 / mpp, 1e4 / mpp),
        resolutionunit="CENTIMETER",
        subfiletype=1 if smaller else 0,
    )


def _say_jpeg(path: Path) -> None:
    """Correct the tags: tiles are JPEGs, YCbCr with a quarter of the colour, as the TIFF default has it."""
    with tifffile.TiffFile(path, mode="r+") as file:
        for page in file.pages:
            page.tags["Compression"].overwrite(7)
            page.tags["PhotometricInterpretation"].overwrite(6)


def _canvases(seed: int) -> list[list[Image]]:
    """By label, pictures of full tissue of slides of their own."""
    cohort = make_cohort(CANVASES * len(LABELS), SITES[:1], seed)
    return [
        [make_tile(model, 0, CANVAS, MPP).pixels for model in cohort if model.label == label]
        for label in LABELS
    ]


def _tile(
    rng: np.random.Generator,
    field: NDArray[np.float32],
    wall: float,
    place: tuple[int, int],
    canvases: list[Image],
) -> Image:
    """A tile of tissue, of glass, or of the edge between them."""
    row, column = place
    glass = np.clip(rng.normal(243, 1.5, (TILE, TILE, 1)), 0, 255).astype(np.uint8).repeat(3, axis=2)
    around = np.pad(field, 1, mode="edge")[row : row + 3, column : column + 3]
    inside = cv2.resize(around, (3 * TILE, 3 * TILE), interpolation=cv2.INTER_LINEAR)
    inside = inside[TILE : 2 * TILE, TILE : 2 * TILE] > wall
    if not inside.any():
        return glass
    canvas = canvases[int(rng.integers(len(canvases)))]
    top, left = (int(value) for value in rng.integers(0, CANVAS - TILE, 2))
    pixels = np.rot90(canvas[top : top + TILE, left : left + TILE], int(rng.integers(4)))
    return np.where(inside[..., None], pixels, glass).astype(np.uint8)


def _cut(picture: Image) -> Iterator[bytes]:
    height, width = picture.shape[:2]
    padded = np.pad(picture, ((0, -height % TILE), (0, -width % TILE), (0, 0)), mode="edge")
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            yield _jpeg(padded[top : top + TILE, left : left + TILE])


def _jpeg(pixels: Image) -> bytes:
    kept, data = cv2.imencode(
        ".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    )
    assert kept
    return data.tobytes()


def _field(rng: np.random.Generator, shape: tuple[int, int], reach: float) -> NDArray[np.float32]:
    """A smooth random field whose values are alike over `reach` places."""
    white = rng.standard_normal(shape).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(white, (0, 0), reach, borderType=cv2.BORDER_REFLECT), np.float32)


def _rank(field: NDArray[np.float32]) -> NDArray[np.float64]:
    """Each value's rank, 0..1."""
    ranks = np.empty(field.size)
    ranks[np.argsort(field, axis=None)] = (np.arange(field.size) + 0.5) / field.size
    return ranks.reshape(field.shape)


if __name__ == "__main__":
    main()
