"""The Beta distribution's quantile, without SciPy."""

from __future__ import annotations

import math

_TINY = 1e-300
_ITERATIONS = 100_000  # some square roots of the larger parameter are needed


def beta_quantile(p: float, a: float, b: float) -> float:
    """The x of 0..1 below which a share p, 0..1, of Beta(a, b) lies; a, b above 0.

    Newton's steps where they stay between the ends known so far, else the middle.
    """
    if p <= 0 or p >= 1:
        return float(p >= 1)
    a, b = float(a), float(b)
    constant = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    low, high, x = 0.0, 1.0, a / (a + b)
    for _ in range(200):
        log_x, log_rest = math.log(x), math.log1p(-x)
        too_much = _below(x, a, b, constant + a * log_x + b * log_rest) - p
        low, high = (low, x) if too_much > 0 else (x, high)
        slope = math.exp(min(700.0, constant + (a - 1) * log_x + (b - 1) * log_rest))
        step = x - too_much / slope if slope > 0 else low
        step = step if low < step < high else (low + high) / 2
        if abs(step - x) <= 1e-15 * step or not low < step < high:
            return step
        x = step
    return x


def _below(x: float, a: float, b: float, log_factor: float) -> float:
    """I_x(a, b); log_factor: of x^a (1 - x)^b / B(a, b)."""
    if x > (a + 1) / (a + b + 2):
        return 1 - math.exp(log_factor) * _fraction(1 - x, b, a) / b
    return math.exp(log_factor) * _fraction(x, a, b) / a


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of I_x(a, b) by Lentz's way (Press et al. 2007, Numerical Recipes, 6.4)."""
    c, d = 1.0, 1 / _nonzero(1 - (a + b) * x / (a + 1))
    product = d
    for m in range(1, _ITERATIONS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d, c = 1 / _nonzero(1 + even * d), _nonzero(1 + even / c)
        product *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d, c = 1 / _nonzero(1 + odd * d), _nonzero(1 + odd / c)
        product *= d * c
        if abs(d * c - 1) < 1e-15:
            break
    return product


def _nonzero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
