"""Numba loops and nothing else: arrays in, `out` written. No checks, no defaults, no allocation.

Every loop is single-threaded and releases the GIL. The NumPy twin of each, its specification, is in
tests/support/naive.py. Shapes, for n pixels:

    rgb      (3 n,) uint8       interleaved R, G, B: a flat array lets LLVM see the stride of three
    od       (256,) T           optical density of each grey value; T, float32 or float64, is the precision
    density  (3, n) T           optical density, one plane per channel
    mask     (n,) uint8         1 for tissue
    values   (n,) T

Inner loops run over blocks that stay in the first-level cache, in a form that LLVM vectorises.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from her2edge._jit import kernel

Array = Any  # Numba types arrays at the call
BLOCK = 256
GROUP = 32
STRIP = 16384
CENTRE = 7 / 16  # of the exponents that give light, in eighths: -1/8..1


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


@kernel
def optical_density(rgb: Array, od: Array, out: Array) -> None:
    """out (3, n): od of each channel, one plane each."""
    red, green, blue = out[0], out[1], out[2]
    for i in range(red.size):
        red[i] = od[rgb[3 * i]]
        green[i] = od[rgb[3 * i + 1]]
        blue[i] = od[rgb[3 * i + 2]]


@kernel(fastmath={"contract", "reassoc", "nsz"})
def tissue_moments(density: Array, mask: Array, out: Array) -> None:
    """out (9,) float64: three sums and six products (00 01 02 11 12 22) of the tissue pixels' OD."""
    real = density.dtype.type
    out[:] = 0.0
    for start in range(0, mask.size, BLOCK):
        red, green, blue = density[0, start:], density[1, start:], density[2, start:]
        tissue = mask[start:]
        s0 = s1 = s2 = p00 = p01 = p02 = p11 = p12 = p22 = real(0)
        for i in range(min(BLOCK, tissue.size)):
            weight = real(tissue[i])
            a, b, c = red[i] * weight, green[i] * weight, blue[i] * weight
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


@kernel(fastmath={"contract"})
def tissue_turns(density: Array, mask: Array, plane: Array, out: Array) -> None:
    """out (n,): the direction of each pixel's OD in the (3, 2) plane; NaN off tissue.

    The direction of (x, y) is copysign(1 - x / (|x| + |y|), y), -2..2: it grows with atan2(y, x) all
    the way round and costs one division.
    """
    real = density.dtype.type
    x0, x1, x2 = plane[0, 0], plane[1, 0], plane[2, 0]
    y0, y1, y2 = plane[0, 1], plane[1, 1], plane[2, 1]
    none, zero, one, tiny = real(math.nan), real(0), real(1), real(1e-30)
    red, green, blue = density[0], density[1], density[2]
    for i in range(out.size):
        x = red[i] * x0 + green[i] * x1 + blue[i] * x2
        y = red[i] * y0 + green[i] * y1 + blue[i] * y2
        turn = one - x / (abs(x) + abs(y) + tiny)
        turn = turn if y >= zero else -turn
        out[i] = turn if mask[i] != 0 else none


@kernel(fastmath={"contract"})
def concentration(density: Array, unmix: Array, out: Array) -> None:
    """out (n,): unmix (3,) . OD, the amount of one stain in every pixel."""
    u0, u1, u2 = unmix[0], unmix[1], unmix[2]
    red, green, blue = density[0], density[1], density[2]
    for i in range(out.size):
        out[i] = red[i] * u0 + green[i] * u1 + blue[i] * u2


@kernel
def keep_from(values: Array, sign: float, limit: float, out: Array) -> int:
    """out[:k]: sign * values where that is `limit` or more, in their order; returns k.

    Groups without any, nearly all of them, are passed over.
    """
    kept = 0
    for start in range(0, values.size, GROUP):
        end = min(start + GROUP, values.size)
        within = 0
        for i in range(start, end):
            within += sign * values[i] >= limit
        if within:
            for i in range(start, end):
                if sign * values[i] >= limit:
                    out[kept] = sign * values[i]
                    kept += 1
    return kept


@kernel(fastmath={"contract"})
def _eighth_power(exponent: float, bounds: Array, c: Any) -> Any:
    """The light of one channel, 0..255: 2^(8 t) with t the exponent within its bounds."""
    t = min(max(exponent, bounds[1]), bounds[2])
    power = c[0] + t * (c[1] + t * (c[2] + t * (c[3] + t * (c[4] + t * (c[5] + t * (c[6] + t * c[7]))))))
    power *= power
    power *= power
    power *= power
    return np.uint8(np.int32(power * bounds[3]))


@kernel(fastmath={"contract"})
def restain(density: Array, mix: Array, bounds: Array, light: Array, out: Array) -> None:
    """out (3 n,) uint8: min(255, trunc(white * exp(-(M (3, 3) @ OD)))).

    In eighths of powers of two: mix = M log2(e) / 8; bounds (4,) = log2(white) / 8 - CENTRE, the least and
    the greatest exponent (light below 1 and below 256), 2^(8 CENTRE). A polynomial gives 2^t for t within
    9/16 of 0; squared three times it is 2^(8 t), to 2e-9 of itself. No branch and no bit trick, so LLVM
    vectorises it. Scratch: light (3, BLOCK) uint8.
    """
    real = density.dtype.type
    coefficients = (  # Chebyshev interpolation of 2^t on -9/16..9/16: relative error 1.5e-10
        real(0.999999999896171),
        real(0.6931471805519562),
        real(0.24022651745939705),
        real(0.055504109472955185),
        real(0.009617963224108465),
        real(0.0013333430464246958),
        real(0.00015487354104675878),
        real(1.5317263654207332e-05),
    )
    shift = bounds[0]
    m00, m01, m02 = mix[0, 0], mix[0, 1], mix[0, 2]
    m10, m11, m12 = mix[1, 0], mix[1, 1], mix[1, 2]
    m20, m21, m22 = mix[2, 0], mix[2, 1], mix[2, 2]
    red_light, green_light, blue_light = light[0], light[1], light[2]
    pixels = density.shape[1]
    for start in range(0, pixels, BLOCK):
        size = min(BLOCK, pixels - start)
        red, green, blue = density[0, start:], density[1, start:], density[2, start:]
        for i in range(size):
            r, g, b = red[i], green[i], blue[i]
            red_light[i] = _eighth_power(shift - (m00 * r + m01 * g + m02 * b), bounds, coefficients)
            green_light[i] = _eighth_power(shift - (m10 * r + m11 * g + m12 * b), bounds, coefficients)
            blue_light[i] = _eighth_power(shift - (m20 * r + m21 * g + m22 * b), bounds, coefficients)
        there = out[3 * start :]
        for i in range(size):
            there[3 * i] = red_light[i]
            there[3 * i + 1] = green_light[i]
            there[3 * i + 2] = blue_light[i]


@kernel
def restain_whole(
    rgb: Array,
    od: Array,
    mask: Array,
    mix: Array,
    bounds: Array,
    density: Array,
    light: Array,
    part: Array,
    moments: Array,
    out: Array,
) -> None:
    """`optical_density`, `tissue_moments` and `restain` in one go, for a matrix known beforehand.

    Strip by strip, so that the planes of optical density never leave the second-level cache. Scratch: density
    (3 STRIP,) T, light (3, BLOCK) uint8, part (9,) float64.
    """
    moments[:] = 0.0
    for start in range(0, mask.size, STRIP):
        size = min(STRIP, mask.size - start)
        planes = density[: 3 * size].reshape((3, size))
        optical_density(rgb[3 * start :], od, planes)
        tissue_moments(planes, mask[start : start + size], part)
        for k in range(9):
            moments[k] += part[k]
        restain(planes, mix, bounds, light, out[3 * start :])


@kernel
def column_sums(values: Array, out: Array) -> None:
    """out (columns,) int32: the sum of each column of (rows, columns) whole numbers."""
    out[:] = 0
    for i in range(values.shape[0]):
        row = values[i]
        for k in range(out.size):
            out[k] += np.int32(row[k])


@kernel
def symmetric_eigen(a: Array, values: Array, vectors: Array) -> None:
    """Eigenvalues (3,) ascending and eigenvectors (3, 3, columns) of the symmetric (3, 3) `a`, destroyed.

    Cyclic Jacobi rotations (Golub and Van Loan, Matrix Computations, 8.5): the same answer on every
    platform, whatever linear-algebra library NumPy was built with.
    """
    for i in range(3):
        for j in range(3):
            vectors[i, j] = 1.0 if i == j else 0.0
    for _ in range(32):
        if abs(a[0, 1]) + abs(a[0, 2]) + abs(a[1, 2]) == 0.0:
            break
        for p in range(2):
            for q in range(p + 1, 3):
                if a[p, q] == 0.0:
                    continue
                theta = (a[q, q] - a[p, p]) / (2.0 * a[p, q])
                t = math.copysign(1.0, theta) / (abs(theta) + math.sqrt(theta * theta + 1.0))
                c = 1.0 / math.sqrt(t * t + 1.0)
                s = t * c
                for k in range(3):
                    kp, kq = a[k, p], a[k, q]
                    a[k, p], a[k, q] = c * kp - s * kq, s * kp + c * kq
                for k in range(3):
                    pk, qk = a[p, k], a[q, k]
                    a[p, k], a[q, k] = c * pk - s * qk, s * pk + c * qk
                a[p, q] = a[q, p] = 0.0
                for k in range(3):
                    kp, kq = vectors[k, p], vectors[k, q]
                    vectors[k, p], vectors[k, q] = c * kp - s * kq, s * kp + c * kq
    for i in range(3):
        values[i] = a[i, i]
    for i in range(2):  # selection sort of three
        low = i
        for j in range(i + 1, 3):
            if values[j] < values[low]:
                low = j
        if low != i:
            values[i], values[low] = values[low], values[i]
            for k in range(3):
                vectors[k, i], vectors[k, low] = vectors[k, low], vectors[k, i]


@kernel
def principal_axes(moments: Array, count: int, covariance: Array, values: Array, vectors: Array) -> None:
    """Eigenvalues and eigenvectors, see `symmetric_eigen`, of the covariance (ddof 1) with these moments.

    moments: (9,) of `count` pixels, see `tissue_moments`. Scratch: covariance (3, 3).
    """
    k = 3
    for i in range(3):
        for j in range(i, 3):
            value = (moments[k] - moments[i] * moments[j] / count) / (count - 1)
            covariance[i, j] = covariance[j, i] = value
            k += 1
    symmetric_eigen(covariance, values, vectors)


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
