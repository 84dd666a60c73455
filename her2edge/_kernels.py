"""Numba loops and nothing else: arrays in, `out` written. No checks, no defaults, no allocation.

Every loop is single-threaded and releases the GIL. The NumPy twin of each, its specification, is in
tests/naive.py. `pixels` is always (n, 3) uint8, `od` the (256,) optical density of each grey value.
"""

from __future__ import annotations

import math
from typing import Any

from numba import njit

Array = Any  # Numba types arrays at the call


@njit(nogil=True, cache=True)
def tissue_moments(pixels: Array, od: Array, beta: float, out: Array) -> None:
    """out (10,) float64: count, three sums, six products (00 01 02 11 12 22) of the tissue pixels' OD."""
    n = 0
    s0 = s1 = s2 = 0.0
    p00 = p01 = p02 = p11 = p12 = p22 = 0.0
    for i in range(pixels.shape[0]):
        a = od[pixels[i, 0]]
        b = od[pixels[i, 1]]
        c = od[pixels[i, 2]]
        if a >= beta and b >= beta and c >= beta:
            n += 1
            s0 += a
            s1 += b
            s2 += c
            p00 += a * a
            p01 += a * b
            p02 += a * c
            p11 += b * b
            p12 += b * c
            p22 += c * c
    out[0] = n
    out[1], out[2], out[3] = s0, s1, s2
    out[4], out[5], out[6], out[7], out[8], out[9] = p00, p01, p02, p11, p12, p22


@njit(nogil=True, cache=True)
def tissue_angles(pixels: Array, od: Array, beta: float, plane: Array, out: Array) -> None:
    """out (tissue pixels,) float64: angle, radians, of each tissue pixel's OD in the (3, 2) plane."""
    k = 0
    for i in range(pixels.shape[0]):
        a = od[pixels[i, 0]]
        b = od[pixels[i, 1]]
        c = od[pixels[i, 2]]
        if a >= beta and b >= beta and c >= beta:
            first = a * plane[0, 0] + b * plane[1, 0] + c * plane[2, 0]
            second = a * plane[0, 1] + b * plane[1, 1] + c * plane[2, 1]
            out[k] = math.atan2(second, first)
            k += 1


@njit(nogil=True, cache=True)
def concentrations(pixels: Array, od: Array, unmix: Array, out: Array) -> None:
    """out (2, n) float64: unmix (2, 3) @ OD, the amount of each stain in every pixel."""
    for i in range(pixels.shape[0]):
        a = od[pixels[i, 0]]
        b = od[pixels[i, 1]]
        c = od[pixels[i, 2]]
        out[0, i] = unmix[0, 0] * a + unmix[0, 1] * b + unmix[0, 2] * c
        out[1, i] = unmix[1, 0] * a + unmix[1, 1] * b + unmix[1, 2] * c


@njit(nogil=True, cache=True)
def restain(pixels: Array, od: Array, mix: Array, white: float, out: Array) -> None:
    """out (n, 3) uint8: trunc(min(255, white * exp(-(mix (3, 3) @ OD))))."""
    ceiling = -math.log(256.0 / white)  # any exponent below it ends at 255: no overflow on the way
    for i in range(pixels.shape[0]):
        a = od[pixels[i, 0]]
        b = od[pixels[i, 1]]
        c = od[pixels[i, 2]]
        for j in range(3):
            density = max(mix[j, 0] * a + mix[j, 1] * b + mix[j, 2] * c, ceiling)
            out[i, j] = int(min(255.0, white * math.exp(-density)))


@njit(nogil=True, cache=True)
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
