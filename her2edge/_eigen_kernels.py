"""Numba loops as in `_kernels`: eigenvalues and eigenvectors of a covariance of three channels."""

from __future__ import annotations

import math
from typing import Any

from her2edge._jit import kernel

Array = Any  # Numba types arrays at the call


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
