"""Limits of a model: 1 % of clean tiles at most, never laxer than stated or stricter than defaults."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from her2edge.quality import Code, Figures, QualityLimits, judge_quality
from her2edge_quantize.model_file.limits import LAXEST, LEAST_TILES, fit_quality_limits

CRISP = Figures(
    inside=1.0, glass=0.0, over_exposed=0.0, pen_green=0.0, pen_blue=0.0, pen_black=0.0,
    blur_full=0.1, blur_half=0.5, blur_quarter=0.6, blur_eighth=4.0, grid=1.0, stains=True,
)  # fmt: skip


def test_crisp_tissue_has_the_defaults_and_so_have_too_few_tiles():
    assert fit_quality_limits([CRISP] * LEAST_TILES) == QualityLimits()
    assert fit_quality_limits([replace(CRISP, blur_half=0.16)] * (LEAST_TILES - 1)) == QualityLimits()
    assert fit_quality_limits([]) == QualityLimits()


def test_limits_give_way_for_soft_tissue_so_that_one_in_a_hundred_is_kept_out():
    rng = np.random.default_rng(2)
    soft = [
        replace(
            CRISP, blur_full=full, blur_half=half, blur_quarter=quarter, blur_eighth=eighth,
            pen_blue=blue, over_exposed=over, grid=grid,
        )
        for full, half, quarter, eighth, blue, over, grid in rng.uniform(
            (0.021, 0.16, 0.195, 0.92, 0.0, 0.0, 1.0), (0.04, 0.3, 0.6, 4.0, 0.045, 0.028, 1.9), (1000, 7)
        ).tolist()
    ]  # fmt: skip
    limits = fit_quality_limits(soft)
    for code in (Code.BLURRED, Code.PEN, Code.OVER_EXPOSED, Code.COMPRESSED):
        assert np.mean([code in judge_quality(one, limits) for one in soft]) <= 0.01
        assert np.mean([code in judge_quality(one, QualityLimits()) for one in soft]) > 0.05


def test_no_tissue_makes_limits_laxer_than_stated():
    spoilt = Figures(1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.001, 0.01, 0.01, 0.01, 9.0, True)
    assert fit_quality_limits([spoilt] * 500) == LAXEST


def test_tiles_without_stains_have_no_say_and_tiles_without_detail_none_in_blur():
    flat = replace(CRISP, stains=False, pen_black=1.0)
    assert fit_quality_limits([flat] * 500 + [CRISP] * 500) == QualityLimits()
    none = replace(CRISP, blur_full=None, blur_half=None, blur_quarter=None, blur_eighth=None)
    assert fit_quality_limits([none] * 500) == QualityLimits()


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 5), min_size=5, max_size=20))
@settings(deadline=None, max_examples=40)
def test_every_limit_lies_between_the_default_and_the_laxest(values):
    tiles = [
        replace(CRISP, pen_green=a, pen_blue=b, over_exposed=c, blur_half=d, blur_eighth=2 * d, grid=1 + e)
        for a, b, c, d, e in values
    ]
    limits = msgspec.to_builtins(fit_quality_limits(tiles * 50))
    default, laxest = msgspec.to_builtins(QualityLimits()), msgspec.to_builtins(LAXEST)
    for name, value in limits.items():
        assert min(default[name], laxest[name]) <= value <= max(default[name], laxest[name])
