"""Numba loops that look at a tile's quality: the rules of `_kernels` hold here too.

    rgb    (3 n,) uint8     interleaved R, G, B
    grey   (h, w) uint8     as OpenCV has it, (9798 R + 19235 G + 3735 B + 16384) >> 15
    plane  (h, w) int16     sums of grey over 1, 4 or 16 pixels

All sums are whole numbers, so they are the same whatever the width of the vectors.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from her2edge._jit import kernel

Array = Any  # Numba types arrays at the call
BLOCK = 256
GLASS_GREY, GLASS_COLOUR = 235, 16  # grey at least; brightest channel over darkest at most
TISSUE_GREY = 215  # grey below
BLACK_TOP, BLACK_COLOUR = 85, 30  # brightest channel, and over darkest, below


@kernel
def bright_and_glass(rgb: Array, low: int, high: int, block: Array, seen: Array, out: Array) -> None:
    """out (2,) int64: how many pixels have low <= 9798 R + 19235 G + 3735 B < high; how many are glass.

    Scratch: block (2, BLOCK) int32, seen (2, BLOCK) int32.
    """
    light, colour = block[0], block[1]
    bright, glass = seen[0], seen[1]
    seen[:] = 0
    pixels = rgb.size // 3
    for start in range(0, pixels, BLOCK):
        size = min(BLOCK, pixels - start)
        here = rgb[3 * start : 3 * (start + size)]
        for i in range(size):
            red, green, blue = np.int32(here[3 * i]), np.int32(here[3 * i + 1]), np.int32(here[3 * i + 2])
            light[i] = 9798 * red + 19235 * green + 3735 * blue
            colour[i] = max(red, max(green, blue)) - min(red, min(green, blue))
        for i in range(size):
            bright[i] += (light[i] >= low) & (light[i] < high)
            glass[i] += (light[i] >= (GLASS_GREY << 15) - 16384) & (colour[i] <= GLASS_COLOUR)
    _totals(seen, out)


@kernel
def look(rgb: Array, channels: Array, seen: Array, grey: Array, out: Array) -> None:
    """grey (n,), and out (5,) int64: pixels of glass, over-exposed tissue; ink on every second pixel.

    Ink is green, blue, black. Scratch: channels (8, BLOCK) int16, seen (5, BLOCK) int32. Differences are
    stored before they are compared: Numba reckons in 64 bits, and LLVM makes 16 of what is stored as such.
    """
    red, green, blue, colour = channels[0], channels[1], channels[2], channels[3]
    top, over_red, over_blue, blueness = channels[4], channels[5], channels[6], channels[7]
    glass, over, green_ink, blue_ink, black_ink = seen[0], seen[1], seen[2], seen[3], seen[4]
    seen[:] = 0
    pixels = rgb.size // 3
    for start in range(0, pixels, BLOCK):
        size = min(BLOCK, pixels - start)
        here, light = rgb[3 * start : 3 * (start + size)], grey[start : start + size]
        for i in range(size):
            r, g, b = np.int32(here[3 * i]), np.int32(here[3 * i + 1]), np.int32(here[3 * i + 2])
            light[i] = (9798 * r + 19235 * g + 3735 * b + 16384) >> 15
            red[i], green[i], blue[i] = r, g, b
        for i in range(size):
            top[i] = max(red[i], max(green[i], blue[i]))
            colour[i] = top[i] - min(red[i], min(green[i], blue[i]))
        for i in range(size):
            glass[i] += (light[i] >= GLASS_GREY) & (colour[i] <= GLASS_COLOUR)
            over[i] += (light[i] < TISSUE_GREY) & (red[i] >= 254)
        half = (size + 1) // 2
        for k in range(half):
            over_red[k] = green[2 * k] - red[2 * k]
            over_blue[k] = green[2 * k] - blue[2 * k]
            blueness[k] = blue[2 * k] - red[2 * k]
        for k in range(half):
            green_ink[k] += (over_red[k] > 15) & (over_blue[k] >= -10)
            blue_ink[k] += (blueness[k] > 60) & (over_red[k] >= -10)
            black_ink[k] += (top[2 * k] < BLACK_TOP) & (colour[2 * k] < BLACK_COLOUR)
    _totals(seen, out)


@kernel
def _totals(seen: Array, out: Array) -> None:
    """out (k,): the sum of each row of seen (k, BLOCK)."""
    for k in range(out.size):
        out[k] = 0
        for i in range(seen.shape[1]):
            out[k] += seen[k, i]


@kernel
def halve(plane: Array, out: Array) -> None:
    """out (h, w) int16: the sum of each 2 x 2 pixels of the plane; a last odd row or column is left out."""
    for y in range(out.shape[0]):
        above, below, row = plane[2 * y], plane[2 * y + 1], out[y]
        for x in range(out.shape[1]):
            row[x] = (
                np.int16(above[2 * x])
                + np.int16(above[2 * x + 1])
                + np.int16(below[2 * x])
                + np.int16(below[2 * x + 1])
            )


@kernel
def laplacian_sums(
    plane: Array, density: Array, limit: int, strip: int, period: int, rows: Array, out: Array
) -> None:
    """out (3,) int64: inner pixels below `limit`, sum and squares of the Laplacian of their density.

    density: int16, of each value of the plane. Of each `period` rows the first `strip` are looked at.
    Scratch: rows (3, w) int16.
    """
    height, width = plane.shape
    count = total = squares = np.int64(0)
    for y in range(height):
        if y % period >= strip:
            continue
        row, here = rows[y % 3], plane[y]
        for x in range(width):
            row[x] = density[here[x]]
        if y % period < 2:
            continue
        above, middle, values = rows[(y - 2) % 3], rows[(y - 1) % 3], plane[y - 1]
        for x in range(1, width - 1):
            four = np.int32(above[x]) + np.int32(row[x]) + np.int32(middle[x - 1]) + np.int32(middle[x + 1])
            laplacian = four - 4 * np.int32(middle[x])
            laplacian = laplacian if values[x] < limit else np.int32(0)
            count += values[x] < limit
            total += laplacian
            squares += np.int64(laplacian * laplacian)
    out[0], out[1], out[2] = count, total, squares


@kernel
def grid_steps(grey: Array, column: Array, across: Array, down: Array) -> None:
    """across, down (8,) int64: sums of steps between neighbours, by the place of the first modulo 8.

    across looks at every second row. Scratch: column (w,) int32.
    """
    height, width = grey.shape
    across[:] = 0
    down[:] = 0
    column[:] = 0
    for y in range(0, height, 2):
        row = grey[y]
        for x in range(width - 1):
            column[x] += abs(np.int16(row[x + 1]) - np.int16(row[x]))
    for x in range(width - 1):
        across[x % 8] += column[x]
    for y in range(height - 1):
        row, below = grey[y], grey[y + 1]
        total = np.int32(0)
        for x in range(width):
            total += abs(np.int16(below[x]) - np.int16(row[x]))
        down[y % 8] += total


@kernel
def sample_density(rgb: Array, step: int, od: Array, brightest: int, out: Array, tissue: Array) -> None:
    """Every step-th pixel of every step-th row of (h, w, 3): its od in out (3, n), and whether it is tissue.

    tissue (n,) uint8: 1 where no channel is above `brightest`.
    """
    i = 0
    for y in range(0, rgb.shape[0], step):
        row = rgb[y]
        for x in range(0, rgb.shape[1], step):
            red, green, blue = row[x, 0], row[x, 1], row[x, 2]
            out[0, i], out[1, i], out[2, i] = od[red], od[green], od[blue]
            tissue[i] = (red <= brightest) & (green <= brightest) & (blue <= brightest)
            i += 1
