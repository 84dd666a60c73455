"""Figures of a tile: those of the NumPy twin, for any pixels, with the JIT on and off."""

from __future__ import annotations

import math
from dataclasses import asdict

import artefacts
import naive
import numpy as np
import pytest
from drawn import two_stains
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from her2edge.quality import (
    Code,
    QualityLimits,
    background_kind,
    judge_quality,
    measure_figures,
    measure_quality,
)
from her2edge.tissue import TissueFilter, measure_light

LIMITS = QualityLimits()
TISSUE = np.ascontiguousarray(two_stains(96, 100)[..., ::-1])
LARGE = np.ascontiguousarray(two_stains(260, 300)[..., ::-1])  # enough of it to tell directions apart
TILES = arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3)))


def check_figures(pixels):
    figures = asdict(measure_figures(pixels, pixels.shape[:2]))
    for name, expected in naive.quality_figures(pixels).items():
        assert figures[name] == (None if expected is None else pytest.approx(expected, rel=1e-9, abs=1e-12))


@given(TILES)
@settings(deadline=None, max_examples=60)
def test_figures_of_any_tile_are_those_of_the_twin(pixels):
    check_figures(pixels)


@pytest.mark.parametrize(
    "pixels",
    [
        TISSUE,
        artefacts.blurred(TISSUE, 2),
        artefacts.brighter(TISSUE, 1.6),
        artefacts.stroke(TISSUE, (20, 130, 70), 20, 1),
        artefacts.stroke(TISSUE, (30, 50, 170), 20, 2),
        artefacts.stroke(TISSUE, (30, 50, 170), 20, 2, clear=True),
        LARGE,
        artefacts.noisy(artefacts.moved(LARGE, 9, 0.4), 5, 1),
        artefacts.stroke(TISSUE, (30, 30, 34), 20, 3),
        np.random.default_rng(1).integers(0, 256, TISSUE.shape, np.uint8),
    ],
)
def test_figures_of_tissue_and_of_what_spoils_it_are_those_of_the_twin(pixels):
    check_figures(pixels)


@given(TILES, st.integers(0, 9), st.integers(0, 9), st.integers(0, 255))
@settings(deadline=None, max_examples=60)
def test_any_tile_has_codes_in_their_order_and_padding_changes_none_but_edge(pixels, below, beside, grey):
    rows, columns = pixels.shape[:2]
    whole = measure_quality(pixels, (rows, columns), LIMITS)
    assert all(value is None or math.isfinite(value) for value in asdict(whole.figures).values())
    assert list(whole.codes) == [code.value for code in Code if code.value in whole.codes]
    padded = np.pad(pixels, ((0, below), (0, beside), (0, 0)), constant_values=grey)
    part = measure_quality(padded, (rows, columns), LIMITS)
    assert set(whole.codes) ^ set(part.codes) <= {"edge"}
    inside = rows * columns / ((rows + below) * (columns + beside))
    assert ("edge" in part.codes) == (inside < 0.75 or part.figures.glass > 0.4)


def test_codes_depend_on_the_limits_and_figures_alone():
    figures = measure_figures(artefacts.stroke(TISSUE, (20, 130, 70), 20, 1), TISSUE.shape[:2])
    assert judge_quality(figures, LIMITS) == ("pen",)
    assert judge_quality(figures, QualityLimits(pen_green=figures.pen_green, pen_blue=1, pen_clear=1)) == ()


@given(TILES, st.integers(0, 255), st.integers(0, 255))
@settings(deadline=None, max_examples=60)
def test_bright_pixels_and_glass_are_counted_between_inclusive_bounds(pixels, one, other):
    low, high = sorted((one, other))
    light = measure_light(TissueFilter(low=low, high=high), pixels)
    grey = (pixels.astype(int) @ np.array((9798, 19235, 3735)) + 16384) >> 15
    assert light.background == ((grey >= low) & (grey <= high)).mean()
    assert (light.grey == grey).all()
    assert light.glass == naive.quality_figures(pixels)["glass"]


@pytest.mark.parametrize(
    ("glass", "background", "kind"),
    [(1.0, 1.0, "glass"), (0.96, 0.97, "glass"), (0.94, 0.95, "too_little"), (0.65, 0.7, "too_little"),
     (0.6, 0.7, "too_little"), (0.59, 0.7, "pale"), (0.0, 0.6, "pale"), (0.0, 1.0, "pale")],
)  # fmt: skip
def test_background_is_glass_pale_tissue_or_too_little_of_it(glass, background, kind):
    assert background_kind(glass, background) == kind
