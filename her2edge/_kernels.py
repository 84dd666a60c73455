"""Numba loops and nothing else: arrays in, `out` written. No checks, no defaults, no allocation.

Every loop is single-threaded and releases the GIL. The NumPy twin of each, its specification, is in
tests/support/naive.py. Shapes, for n pixels:

    rgb      (3 n,) uint8       interleaved R, G, B: a flat array lets LLVM see the stride of three
    od       (256,) T           optical density of each grey value; T, float32 or float64, is the precision
    red, green, blue  (n,) T    optical density, a plane of each channel; density (3, n) T: all three
    mask     (n,) uint8         1 for tissue
    values   (2, BLOCK) T       two figures of each pixel

Inner loops run over blocks that stay in the first-level cache, in a form that LLVM vectorises.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from her2edge._jit import kernel

Array = Any  # Numba types arrays at the call
SUMMED = 256  # pixels whose moments are summed in their own precision
WORD = 8
BLOCK = 1024
STRIP = 16384  # pixels whose planes of optical density stay in the second-level cache


@kernel
def dark_mask(rgb: Array, brightest: int, out: Array) -> None:
    """out (n,) uint8: 1 where no channel is above `brightest`."""
    for i in range(out.size):
        out[i] = (rgb[3 * i] <= brightest) & (rgb[3 * i + 1] <= brightest) & (rgb[3 * i + 2] <= brightest)


@kernel
def colour_histogram(rgb: Array, out: Array) -> None:
    """out (128, 128, 128) int64 += the number of pixels of each colour, two grey values a bin."""
    for i in range(rgb.size // 3):
        out[rgb[3 * i] >> 1, rgb[3 * i + 1] >> 1, rgb[3 * i + 2] >> 1] += 1


@kernel(fastmath={"contract"})
def _absorbance(grey: int, log_white: float) -> Any:
    """log_white - ln(grey + 1) in float32, to 1e-6.

    The bits of a float hold its exponent e above the fraction f, for (1 + f) 2^e: as a whole number, 2^23
    times 127 + e + f. ln is e + f times ln 2, plus f times a polynomial, the one of its degree with the least
    error, 2e-7, at the fractions that 1..256 have.
    """
    bits = np.float32(np.int32(np.int32(grey) + np.int32(1))).view(np.int32)
    f = np.int32((bits & 0x7FFFFF) | 0x3F800000).view(np.float32) - np.float32(1)
    c = (
        np.float32(0.3068345857),
        np.float32(-0.4994865),
        np.float32(0.3283530402),
        np.float32(-0.2262735153),
        np.float32(0.135307853),
        np.float32(-0.0556645297),
        np.float32(0.01092948899),
    )
    bent = c[0] + f * (c[1] + f * (c[2] + f * (c[3] + f * (c[4] + f * (c[5] + f * c[6])))))
    straight = np.float32(np.int32(bits - 0x3F800000)) * np.float32(8.262958294867817e-08)
    return log_white - straight - f * bent


@kernel(fastmath={"contract"})
def _absorbances(grey: Array, log_white: float, out: Array) -> None:
    for i in range(out.size):
        out[i] = _absorbance(grey[i], log_white)


@kernel
def optical_density(rgb: Array, od: Array, grey: Array, red: Array, green: Array, blue: Array) -> None:
    """red, green, blue: od of each channel; where od is (1,), od - ln(grey value + 1), in float32.

    No processor reads a table for many pixels at once, so the logarithm itself is twice as fast with AVX-512,
    and as fast without. Scratch: grey (3, BLOCK) uint8.
    """
    if od.size > 1:
        for i in range(red.size):
            red[i] = od[rgb[3 * i]]
            green[i] = od[rgb[3 * i + 1]]
            blue[i] = od[rgb[3 * i + 2]]
        return
    log_white = np.float32(od[0])
    reds, greens, blues = grey[0], grey[1], grey[2]
    for start in range(0, red.size, BLOCK):
        size = min(BLOCK, red.size - start)
        here = rgb[3 * start : 3 * (start + size)]
        for i in range(size):
            reds[i], greens[i], blues[i] = here[3 * i], here[3 * i + 1], here[3 * i + 2]
        _absorbances(reds, log_white, red[start : start + size])
        _absorbances(greens, log_white, green[start : start + size])
        _absorbances(blues, log_white, blue[start : start + size])


@kernel(fastmath={"contract", "reassoc", "nsz"})
def tissue_moments(red: Array, green: Array, blue: Array, mask: Array, out: Array) -> None:
    """out (9,) float64 += three sums and six products (00 01 02 11 12 22) of the tissue pixels' OD."""
    real = red.dtype.type
    for start in range(0, mask.size, SUMMED):
        reds, greens, blues, tissue = red[start:], green[start:], blue[start:], mask[start:]
        s0 = s1 = s2 = p00 = p01 = p02 = p11 = p12 = p22 = real(0)
        for i in range(min(SUMMED, tissue.size)):
            weight = real(tissue[i])
            a, b, c = reds[i] * weight, greens[i] * weight, blues[i] * weight
            s0 += a
            s1 += b
            s2 += c
            p00 += a * a
            p01 += a * b
            p02 += a * c
            p11 += b * b
            p12 += b * c
            p22 += c * c
        out[0] += s0
        out[1] += s1
        out[2] += s2
        out[3] += p00
        out[4] += p01
        out[5] += p02
        out[6] += p11
        out[7] += p12
        out[8] += p22


@kernel
def _look(
    rgb: Array, brightest: int, od: Array, grey: Array, mask: Array,
    red: Array, green: Array, blue: Array, moments: Array,
) -> int:  # fmt: skip
    """One strip of `look`."""
    if brightest >= 0:
        dark_mask(rgb, np.uint8(brightest), mask)
    optical_density(rgb, od, grey, red, green, blue)
    tissue_moments(red, green, blue, mask, moments)
    count = np.int32(0)
    for i in range(mask.size):
        count = np.int32(count + mask[i])
    return int(count)


@kernel
def look(
    rgb: Array, brightest: int, od: Array, grey: Array, mask: Array, density: Array, moments: Array
) -> int:
    """`dark_mask`, `optical_density`, `tissue_moments` in one go; returns how many pixels are tissue.

    Where `brightest` is below 0, mask is given. Strip by strip, so that what one pass has written the next
    one finds in the second-level cache. Scratch: grey (3, BLOCK) uint8.
    """
    moments[:] = 0.0
    count = 0
    for start in range(0, mask.size, STRIP):
        end = min(start + STRIP, mask.size)
        red, green, blue = density[0, start:end], density[1, start:end], density[2, start:end]
        here, tissue = rgb[3 * start : 3 * end], mask[start:end]
        count += _look(here, brightest, od, grey, tissue, red, green, blue, moments)
    return count


@kernel(fastmath={"contract"})
def tissue_turns(red: Array, green: Array, blue: Array, mask: Array, plane: Array, out: Array) -> None:
    """out (n,): the direction of each pixel's OD in the (3, 2) plane; NaN off tissue.

    The direction of (x, y) is copysign(1 - x / (|x| + |y|), y), -2..2: it grows with atan2(y, x) all
    the way round and costs one division.
    """
    real = red.dtype.type
    x0, x1, x2 = plane[0, 0], plane[1, 0], plane[2, 0]
    y0, y1, y2 = plane[0, 1], plane[1, 1], plane[2, 1]
    none, zero, one, tiny = real(math.nan), real(0), real(1), real(1e-30)
    for i in range(out.size):
        x = red[i] * x0 + green[i] * x1 + blue[i] * x2
        y = red[i] * y0 + green[i] * y1 + blue[i] * y2
        turn = one - x / (abs(x) + abs(y) + tiny)
        turn = turn if y >= zero else -turn
        out[i] = turn if mask[i] != 0 else none


@kernel(fastmath={"contract"})
def concentration(red: Array, green: Array, blue: Array, unmix: Array, out: Array) -> None:
    """out (n,): unmix (3,) . OD, the amount of one stain in every pixel."""
    u0, u1, u2 = unmix[0], unmix[1], unmix[2]
    for i in range(out.size):
        out[i] = red[i] * u0 + green[i] * u1 + blue[i] * u2


@kernel
def keep_tops(values: Array, limits: Array, flags: Array, words: Array, tops: Array, kept: Array) -> None:
    """tops[r, kept[r]:]: what of values[r] is limits[r] or more, in its order; adds to kept (2,) int64.

    Words of pixels without any, nearly all of them, are skipped, and within one nothing depends on a
    guess: each value is written, and the next one over it unless it is kept. Hence tops (2, pixels + 1) T.
    Scratch: flags (BLOCK,) uint8, and the same memory as words (BLOCK / WORD,) int64.
    """
    first, second, firsts, seconds = values[0], values[1], tops[0], tops[1]
    least, least_second = limits[0], limits[1]
    for i in range(BLOCK):
        flags[i] = (first[i] >= least) | (second[i] >= least_second)
    a, b = kept[0], kept[1]
    for word in range(words.size):
        if words[word] != 0:
            for i in range(WORD * word, WORD * (word + 1)):
                firsts[a] = first[i]
                a += first[i] >= least
                seconds[b] = second[i]
                b += second[i] >= least_second
    kept[0], kept[1] = a, b


@kernel
def top_turns(
    density: Array, mask: Array, plane: Array, limits: Array,
    values: Array, flags: Array, words: Array, tops: Array, kept: Array,
) -> None:  # fmt: skip
    """`keep_tops` of each pixel's turn, see `tissue_turns`, with its sign changed and as it is."""
    kept[:] = 0
    for start in range(0, mask.size, BLOCK):
        size = min(BLOCK, mask.size - start)
        red, green, blue = density[0, start:], density[1, start:], density[2, start:]
        back, turn = values[0], values[1]
        tissue_turns(red, green, blue, mask[start:], plane, turn[:size])
        turn[size:] = math.nan
        for i in range(BLOCK):
            back[i] = -turn[i]
        keep_tops(values, limits, flags, words, tops, kept)


@kernel
def top_concentrations(
    density: Array, unmix: Array, limits: Array,
    values: Array, flags: Array, words: Array, tops: Array, kept: Array,
) -> None:  # fmt: skip
    """`keep_tops` of the amounts of both stains, unmix (2, 3) . OD."""
    kept[:] = 0
    pixels = density.shape[1]
    for start in range(0, pixels, BLOCK):
        size = min(BLOCK, pixels - start)
        red, green, blue = density[0, start:], density[1, start:], density[2, start:]
        for stain in range(2):
            amount = values[stain]
            concentration(red, green, blue, unmix[stain], amount[:size])
            amount[size:] = math.nan
        keep_tops(values, limits, flags, words, tops, kept)


@kernel(fastmath={"contract"})
def _eighth_power(exponent: float, bounds: Array, powers: Any) -> Any:
    """The light of one channel, 0..255: 2^(8 t) with t the exponent within its bounds."""
    t = min(max(exponent, bounds[1]), bounds[2])
    power = powers[len(powers) - 1]
    for k in range(len(powers) - 2, -1, -1):
        power = powers[k] + t * power
    power *= power
    power *= power
    power *= power
    return np.uint8(np.int32(power))


@kernel(fastmath={"contract"})
def restain(
    red: Array, green: Array, blue: Array, mix: Array, bounds: Array, powers: Any, light: Array, out: Array
) -> None:
    """out (3 n,) uint8: min(255, trunc(white * exp(M (3, 3) @ OD))).

    In eighths of powers of two: mix = M log2(e) / 8; bounds (3,) = log2(white) / 8 - CENTRE, the least and
    the greatest exponent (light below 1 and below 256). A polynomial, powers (a tuple of T), gives
    2^(CENTRE + t) for t within 9/16 of 0; squared three times it is light. No branch and no bit trick, so
    LLVM vectorises it. Scratch: light (3, BLOCK) uint8.
    """
    shift = bounds[0]
    m00, m01, m02 = mix[0, 0], mix[0, 1], mix[0, 2]
    m10, m11, m12 = mix[1, 0], mix[1, 1], mix[1, 2]
    m20, m21, m22 = mix[2, 0], mix[2, 1], mix[2, 2]
    red_light, green_light, blue_light = light[0], light[1], light[2]
    for start in range(0, red.size, BLOCK):
        size = min(BLOCK, red.size - start)
        reds, greens, blues = red[start:], green[start:], blue[start:]
        for i in range(size):
            r, g, b = reds[i], greens[i], blues[i]
            red_light[i] = _eighth_power(shift + m00 * r + m01 * g + m02 * b, bounds, powers)
            green_light[i] = _eighth_power(shift + m10 * r + m11 * g + m12 * b, bounds, powers)
            blue_light[i] = _eighth_power(shift + m20 * r + m21 * g + m22 * b, bounds, powers)
        there = out[3 * start :]
        for i in range(size):
            there[3 * i] = red_light[i]
            there[3 * i + 1] = green_light[i]
            there[3 * i + 2] = blue_light[i]


@kernel
def restain_whole(
    rgb: Array, brightest: int, od: Array, grey: Array, mask: Array, strip: Array, moments: Array,
    mix: Array, bounds: Array, powers: Any, light: Array, out: Array,
) -> int:  # fmt: skip
    """`look` and `restain` in one go, for a matrix known beforehand; returns how many pixels are tissue.

    Scratch: grey, light (3, BLOCK) uint8, strip (3, STRIP) T.
    """
    moments[:] = 0.0
    count = 0
    for start in range(0, mask.size, STRIP):
        end = min(start + STRIP, mask.size)
        red, green, blue = strip[0, : end - start], strip[1, : end - start], strip[2, : end - start]
        here, tissue = rgb[3 * start : 3 * end], mask[start:end]
        count += _look(here, brightest, od, grey, tissue, red, green, blue, moments)
        restain(red, green, blue, mix, bounds, powers, light, out[3 * start : 3 * end])
    return count


@kernel
def restain_crop(
    rgb: Array, start: int, width: int, down: int, right: int, od: Array, grey: Array, row: Array,
    strip: Array, mix: Array, bounds: Array, powers: Any, light: Array, out: Array,
) -> None:  # fmt: skip
    """`optical_density` and `restain` of a crop, row by row: out (h, w, 3) uint8, C-order.

    The crop's first pixel is the `start`-th of `rgb`, whose rows are `width` pixels long. down, right: 1, or
    -1 for rows and columns in the other order. Scratch: grey, light (3, BLOCK) uint8, row (3 w,) uint8, strip
    (3, w) T.
    """
    height, side = out.shape[0], out.shape[1]
    flat = out.reshape(-1)
    red, green, blue = strip[0], strip[1], strip[2]
    for top in range(height):
        y = top if down == 1 else height - 1 - top
        first = 3 * (start + y * width)
        here = rgb[first : first + 3 * side]
        if right == 1:
            row[:] = here
        else:
            for x in range(side):
                for c in range(3):
                    row[3 * x + c] = here[3 * (side - 1 - x) + c]
        optical_density(row, od, grey, red, green, blue)
        restain(red, green, blue, mix, bounds, powers, light, flat[3 * top * side : 3 * (top + 1) * side])


@kernel
def column_sums(values: Array, out: Array) -> None:
    """out (columns,) int32: the sum of each column of (rows, columns) whole numbers."""
    out[:] = 0
    for i in range(values.shape[0]):
        row = values[i]
        for k in range(out.size):
            out[k] += np.int32(row[k])


@kernel
def pack_stem(rgb: Array, table: Array, border: int, shifted: Array, words: Array, out: Array) -> None:
    """out (h/2 + 3, w/2, 2, 3) int64: what a 7x7 convolution of stride 2 reads of (h, w, 3) uint8 `rgb`.

    out[r, j, k], as bytes, are the 8 pixels from column 2j on of row 2r + k of the tile in a frame of 3
    pixels; channel c of a pixel is table[c, grey value], (3, 256) int8, of the frame `border`. Scratch:
    shifted (4, size) int8, size at least 3 (w + 6) and a multiple of 8, and the same memory as words
    (4, size / 8) int64: a framed row four times, each 6 bytes on, so that 24 bytes are three whole words.
    """
    height, width = rgb.shape[0], rgb.shape[1]
    red, green, blue = table[0], table[1], table[2]
    size = shifted.shape[1]
    for y in range(height + 6):
        framed = shifted[0]
        if y == 0 or y == height + 3:
            framed[:] = border
        if 3 <= y < height + 3:
            row, inside = rgb[y - 3], framed[9:]
            for x in range(width):
                inside[3 * x] = red[row[x, 0]]
                inside[3 * x + 1] = green[row[x, 1]]
                inside[3 * x + 2] = blue[row[x, 2]]
        for s in range(1, 4):
            for i in range(size - 6 * s):
                shifted[s, i] = framed[6 * s + i]
        there, k = out[y >> 1], y & 1
        for j in range(width >> 1):
            s, start = j & 3, 3 * (j >> 2)
            there[j, k, 0] = words[s, start]
            there[j, k, 1] = words[s, start + 1]
            there[j, k, 2] = words[s, start + 2]
