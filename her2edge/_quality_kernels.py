"""Numba loops that look at a tile's quality: the rules of `_kernels` hold here too.

    rgb    (3 n,) uint8     interleaved R, G, B
    grey   (h, w) uint8     as OpenCV has it, (9798 R + 19235 G + 3735 B + 16384) >> 15
    plane  (h, w) int16     sums of grey over 1, 4 or 16 pixels

All sums are whole numbers, so they are the same whatever the width of the vectors.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from her2edge._jit import kernel

Array = Any  # Numba types arrays at the call
BLOCK = 1024
COUNTED = 255  # blocks that a byte can count
GLASS_GREY, GLASS_COLOUR = 235, 16  # grey at least; brightest channel over darkest at most
TISSUE_GREY = 215  # grey below
BLACK_TOP, BLACK_COLOUR = 85, 30  # brightest channel, and over darkest, below
ROWS, CELL = 8, 16  # ink is looked for in every so many rows, clear ink in cells of so many pixels


@kernel
def bright_and_glass(
    rgb: Array, low: int, high: int, planes: Array, seen: Array, grey: Array, out: Array
) -> None:
    """grey (n,), and out (2,) int64: how many pixels have grey in low..high; how many are glass.

    Channels are taken apart first: one stride of three, and every loop after it is dense. Scratch: planes
    (4, BLOCK) uint8, seen (2, BLOCK) uint8.
    """
    bright, glass = seen[0], seen[1]
    red, green, blue, colour = planes[0], planes[1], planes[2], planes[3]
    seen[:] = 0
    out[:] = 0
    least, most = np.uint8(low), np.uint8(high)
    pixels = grey.size
    for start in range(0, pixels, BLOCK):
        size = min(BLOCK, pixels - start)
        here, light = rgb[3 * start : 3 * (start + size)], grey[start : start + size]
        for i in range(size):
            red[i], green[i], blue[i] = here[3 * i], here[3 * i + 1], here[3 * i + 2]
        for i in range(size):
            r, g, b = np.int32(red[i]), np.int32(green[i]), np.int32(blue[i])
            light[i] = (9798 * r + 19235 * g + 3735 * b + 16384) >> 15
        for i in range(size):
            colour[i] = max(red[i], max(green[i], blue[i])) - min(red[i], min(green[i], blue[i]))
        for i in range(size):
            bright[i] += (light[i] >= least) & (light[i] <= most)
        for i in range(size):
            glass[i] += (light[i] >= GLASS_GREY) & (colour[i] <= GLASS_COLOUR)
        if start // BLOCK % COUNTED == COUNTED - 1:
            _empty(seen, out)
    _empty(seen, out)


@kernel
def ink(rgb: Array, grey: Array, channels: Array, seen: Array, cells: Array, out: Array) -> None:
    """out (4,) int64: pixels of over-exposed tissue, of green, blue, black ink, in every ROWS-th row.

    cells (2, h // CELL, w // CELL) int32: sums of red, of blue in the same rows, of cells of CELL x CELL
    pixels; h and w of rgb (h, w, 3). Scratch: channels (5, BLOCK) int16, seen (4, BLOCK) uint8. Loops
    that write one array each: with more, LLVM gives up telling them apart and vectorises none.
    """
    red, green, blue, top, colour = channels[0], channels[1], channels[2], channels[3], channels[4]
    over, green_ink, blue_ink, black_ink = seen[0], seen[1], seen[2], seen[3]
    seen[:] = 0
    out[:] = 0
    cells[:] = 0
    counted = 0
    height, width = grey.shape
    for y in range(0, height, ROWS):
        for start in range(0, width, BLOCK):
            size = min(BLOCK, width - start)
            here, light = rgb[y, 3 * start : 3 * (start + size)], grey[y, start : start + size]
            for i in range(size):
                red[i], green[i], blue[i] = here[3 * i], here[3 * i + 1], here[3 * i + 2]
            for i in range(size):
                top[i] = max(red[i], max(green[i], blue[i]))
            for i in range(size):
                colour[i] = top[i] - min(red[i], min(green[i], blue[i]))
            for i in range(size):
                over[i] += (light[i] < TISSUE_GREY) & (red[i] >= 254)
            for i in range(size):
                green_ink[i] += (green[i] > red[i] + 15) & (green[i] + 10 >= blue[i])
            for i in range(size):
                blue_ink[i] += (blue[i] > red[i] + 60) & (green[i] + 10 >= red[i])
            for i in range(size):
                black_ink[i] += (top[i] < BLACK_TOP) & (colour[i] < BLACK_COLOUR)
            if y // CELL < cells.shape[1]:
                reds, blues = cells[0, y // CELL], cells[1, y // CELL]
                for k in range(size // CELL):
                    a = c = np.int32(0)
                    for i in range(CELL * k, CELL * (k + 1)):
                        a += np.int32(red[i])
                        c += np.int32(blue[i])
                    reds[start // CELL + k] += a
                    blues[start // CELL + k] += c
            counted += 1
            if counted == COUNTED:
                _empty(seen, out)
                counted = 0
    _empty(seen, out)


@kernel
def _empty(seen: Array, out: Array) -> None:
    """out (k,) += the sum of each row of seen (k, BLOCK), which is 0 then."""
    for k in range(out.size):
        for i in range(seen.shape[1]):
            out[k] += seen[k, i]
    seen[:] = 0


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
def second_differences(
    plane: Array, density: Array, limit: int, strip: int, period: int, rows: Array, parts: Array, out: Array
) -> None:
    """out (12,) float64: of the density of inner pixels below `limit`, sums over second differences.

    The number of pixels; sums of xx, yy, xy; of xx xx, yy yy, xy xy, xx yy, xx xy, yy xy; of dd and dd dd.
    xx: left + right - 2 here; yy: the same up and down; xy: the four corners, + - - +; dd: xx of the
    rows above and below - 2 xx. density: int16, of each value of the plane. Of each `period` rows the first
    `strip` are looked at. Scratch: rows (3, w) int16, parts (5, w) int32.
    """
    height, width = plane.shape
    out[:] = 0
    for y in range(height):
        if y % period >= strip:
            continue
        row, here = rows[y % 3], plane[y]
        for x in range(width):
            row[x] = density[here[x]]
        if y % period < 2:
            continue
        _differences(rows[(y - 2) % 3], rows[(y - 1) % 3], row, plane[y - 1], limit, parts)
        _products(parts, width - 2, out)


@kernel
def _differences(above: Array, middle: Array, below: Array, values: Array, limit: int, parts: Array) -> None:
    """parts (5, w): 1, xx, yy, xy, dd of the inner pixels below `limit`, 0 of the others."""
    tissue, xxs, yys, xys, dds = parts[0], parts[1], parts[2], parts[3], parts[4]
    size = values.size - 2
    for x in range(size):
        tissue[x] = values[x + 1] < limit
    for x in range(size):
        xxs[x] = (np.int32(middle[x]) + np.int32(middle[x + 2]) - 2 * np.int32(middle[x + 1])) * tissue[x]
    for x in range(size):
        yys[x] = (np.int32(above[x + 1]) + np.int32(below[x + 1]) - 2 * np.int32(middle[x + 1])) * tissue[x]
    for x in range(size):
        falling = np.int32(above[x]) + np.int32(below[x + 2])
        xys[x] = (falling - np.int32(above[x + 2]) - np.int32(below[x])) * tissue[x]
    for x in range(size):
        falling = np.int32(above[x]) + np.int32(below[x + 2])
        corners = falling + np.int32(above[x + 2]) + np.int32(below[x])
        dds[x] = (corners - 4 * np.int32(middle[x + 1])) * tissue[x] - 2 * (xxs[x] + yys[x])


@kernel(fastmath={"contract", "reassoc", "nsz"})
def _products(parts: Array, size: int, out: Array) -> None:
    """out (12,) += what `second_differences` says. All are whole numbers below 2^53: no order rounds them."""
    tissue, xxs, yys, xys, dds = parts[0], parts[1], parts[2], parts[3], parts[4]
    count = s0 = s1 = s2 = s3 = p00 = p11 = p22 = p01 = p02 = p12 = p33 = 0.0
    for x in range(size):
        xx, yy, xy, dd = float(xxs[x]), float(yys[x]), float(xys[x]), float(dds[x])
        count += float(tissue[x])
        s0 += xx
        s1 += yy
        s2 += xy
        s3 += dd
        p00 += xx * xx
        p11 += yy * yy
        p22 += xy * xy
        p01 += xx * yy
        p02 += xx * xy
        p12 += yy * xy
        p33 += dd * dd
    for k, value in enumerate((count, s0, s1, s2, p00, p11, p22, p01, p02, p12, s3, p33)):
        out[k] += value


@kernel
def direction_energies(sums: Array, weights: Array, noise: Array, out: Array) -> None:
    """out (4, d): variance of second differences at four sizes in d directions, less that of white noise.

    sums: (4, 12) of `second_differences` at full, 1/2, 1/4, 1/8 size. weights: (d, 6) of the six products in
    each direction; noise: (d,) what noise of variance 1 in dd at full size has there. No energy is below 0.
    """
    count = max(1.0, sums[0, 0])
    fine = sums[0, 11] / count - (sums[0, 10] / count) ** 2
    for size in range(4):
        count = max(1.0, sums[size, 0])
        x, y, z = sums[size, 1] / count, sums[size, 2] / count, sums[size, 3] / count
        xx, yy, zz = (
            sums[size, 4] / count - x * x,
            sums[size, 5] / count - y * y,
            sums[size, 6] / count - z * z,
        )
        xy, xz, yz = (
            sums[size, 7] / count - x * y,
            sums[size, 8] / count - x * z,
            sums[size, 9] / count - y * z,
        )
        for k in range(weights.shape[0]):
            w = weights[k]
            energy = w[0] * xx + w[1] * yy + w[2] * zz + w[3] * xy + w[4] * xz + w[5] * yz
            out[size, k] = max(0.0, energy - noise[k] * fine / 4.0**size)


@kernel
def least_ratio(fine: Array, coarse: Array, turn: int) -> float:
    """The least of fine[k] over coarse[k + turn], modulo their size, where that is above 0; NaN: nowhere."""
    least = math.nan
    for k in range(fine.size):
        under = coarse[(k + turn) % fine.size]
        if under > 0 and not fine[k] / under >= least:
            least = fine[k] / under
    return least


@kernel
def contrast_sums(plane: Array, density: Array, limit: int, out: Array) -> None:
    """out (3,) int64: inner pixels below `limit`, the sum of their density and of its squares."""
    count = total = squares = np.int64(0)
    for y in range(1, plane.shape[0] - 1):
        row = plane[y]
        for x in range(1, plane.shape[1] - 1):
            value = np.int64(density[row[x]]) if row[x] < limit else np.int64(0)
            count += row[x] < limit
            total += value
            squares += value * value
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
