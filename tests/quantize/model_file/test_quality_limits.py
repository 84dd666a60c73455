"""Limits of a model: 1 % of clean tiles at most, never laxer than stated or stricter than defaults."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from her2edge.model.slide_records import QualityRecord
from her2edge.quality import Code, Figures, QualityLimits, judge_quality
from her2edge_quantize.model_file.limits import LAXEST, LEAST_SLIDES, LEAST_TILES, FittedQuality
from her2edge_quantize.model_file.limits import fit_quality_limits as fit_slides

CRISP = Figures(
    inside=1.0, glass=0.0, over_exposed=0.0, pen_green=0.0, pen_blue=0.0, pen_black=0.0, pen_clear=0.0,
    blur_full=0.1, blur_half=0.5, blur_quarter=0.6, blur_eighth=4.0, blur_along=0.7, grid=1.0, stains=True,
)  # fmt: skip


def spread(tiles: list[Figures], slides: int = 20) -> FittedQuality:
    """Fitted as if of so many slides, in turns."""
    return fit_slides(tiles, [f"s{i % slides}" for i in range(len(tiles))])


def fit_quality_limits(tiles: list[Figures]) -> QualityLimits:
    return spread(tiles).limits


def test_one_blurred_slide_moves_no_limit_and_is_counted_on_the_card() -> None:
    """Of 20 slides one is out of focus: were its tiles believed, the limits would be the laxest."""
    blurred = replace(CRISP, blur_full=0.005, blur_half=0.05, blur_quarter=0.1, pen_black=0.2)
    tiles = [blurred if i % 20 == 3 else CRISP for i in range(400)]
    fitted = spread(tiles)
    assert fitted.limits == QualityLimits()
    assert fitted.record == QualityRecord(kept_out=20, tiles=400, low_slides=1, slides=20)


def test_a_scanner_that_is_soft_on_most_slides_moves_the_limits() -> None:
    soft = replace(CRISP, blur_half=0.16)
    fitted = spread([soft if i % 20 < 12 else CRISP for i in range(400)])
    assert fitted.limits == QualityLimits(blur_half=0.16)
    assert fitted.record == QualityRecord(kept_out=0, tiles=400, low_slides=0, slides=20)


def test_limits_of_a_slide_left_out_are_those_of_the_others() -> None:
    """One slide is less than half soft: it moves the limit, but not where it is left out."""
    tiles = [replace(CRISP, blur_half=0.16) if i % 20 == 3 and i < 180 else CRISP for i in range(400)]
    fitted = spread(tiles)
    assert fitted.limits.blur_half == 0.16
    assert fitted.record == QualityRecord(kept_out=9, tiles=400, low_slides=1, slides=20)


def test_the_defaults_stay_where_few_slides_would_be_the_scanner() -> None:
    soft = [replace(CRISP, blur_half=0.16)] * 400
    assert spread(soft, LEAST_SLIDES - 1) == FittedQuality(QualityLimits(), None)
    assert spread(soft, LEAST_SLIDES).limits.blur_half == 0.16


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
            (0.021, 0.155, 0.195, 0.92, 0.0, 0.0, 1.0), (0.04, 0.3, 0.6, 4.0, 0.045, 0.028, 1.9), (1000, 7)
        ).tolist()
    ]  # fmt: skip
    limits = fit_quality_limits(soft)
    for code in (Code.BLURRED, Code.PEN, Code.OVER_EXPOSED, Code.COMPRESSED):
        assert np.mean([code in judge_quality(one, limits) for one in soft]) <= 0.01
        assert np.mean([code in judge_quality(one, QualityLimits()) for one in soft]) > 0.05


def test_no_tissue_makes_limits_laxer_than_stated():
    spoilt = Figures(1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.001, 0.01, 0.01, 0.01, 0.01, 9.0, True)
    assert fit_quality_limits([spoilt] * 500) == LAXEST


def test_tiles_without_stains_have_no_say_and_tiles_without_detail_none_in_blur():
    flat = replace(CRISP, stains=False, pen_black=1.0)
    assert fit_quality_limits([flat] * 500 + [CRISP] * 500) == QualityLimits()
    none = replace(
        CRISP, blur_full=None, blur_half=None, blur_quarter=None, blur_eighth=None, blur_along=None
    )
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
