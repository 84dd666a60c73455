"""The quality of a tile, measured of its own pixels: no other tile, no stain mode, no fit has a say."""

from __future__ import annotations

from her2edge.quality.codes import Figures, Quality, judge_quality
from her2edge.quality.limits import QualityLimits
from her2edge.tile import Pixels


def measure_quality(pixels: Pixels, valid: tuple[int, int], limits: QualityLimits) -> Quality:
    """Codes and figures of a tissue tile by the limits of a model.

    pixels: (h, w, 3) uint8 RGB, C-order, as the slide has them; valid: (rows, columns) in 1..h, 1..w. The
    caller has checked both. Whatever the pixels, there are codes and no exception.
    """
    figures = measure_figures(pixels, valid)
    return Quality(judge_quality(figures, limits), figures)


def measure_figures(pixels: Pixels, valid: tuple[int, int]) -> Figures:
    """Stub."""
    import numpy as np

    inside = pixels[: valid[0], : valid[1]]
    n = pixels.shape[0] * pixels.shape[1]
    return Figures(
        inside.shape[0] * inside.shape[1] / n,
        float((inside.min(axis=2) >= 235).mean()),
        float((inside[..., 0] >= 254).mean()),
        0.0,
        0.0,
        float((inside.max(axis=2) < 70).mean()),
        None,
        None,
        1.0,
        bool((inside.std(axis=(0, 1)) > 3).any()),
    )
