"""What sets promise: the Beta quantile of one calibration, in words."""

import pytest
from scipy.stats import beta

from her2edge.answer.answer import Promise
from her2edge.answer.promise import basis_words, lowest_level, promise_line, promise_of
from her2edge.model.protocol import SlideProtocol, TilesRead
from her2edge.model.slide_records import CalibrationSlides, Pooling

PROTOCOL = SlideProtocol(tiles=TilesRead(stain="per_tile"), limits_sha256="0" * 64, min_tissue_tiles=10)


@pytest.mark.parametrize(
    ("count", "percent"), [(9, 72), (12, 78), (14, 81), (19, 77), (29, 80), (38, 84), (59, 83)]
)
def test_the_lowest_level_is_the_quantile_of_its_beta(count, percent):
    allowed = (count + 1) // 10
    assert lowest_level(count, 0.1) == pytest.approx(beta.ppf(0.05, count + 1 - allowed, allowed), abs=1e-12)
    assert round(100 * lowest_level(count, 0.1)) == percent


def test_a_set_that_always_holds_the_label_is_never_below():
    assert lowest_level(8, 0.1) == 1.0


def calibration(*counts, level=0.9):
    scores = {label: (0.1,) * n for label, n in zip(("a", "b", "c"), counts, strict=True)}
    return CalibrationSlides(scores=scores, level=level, protocol=PROTOCOL)


def test_the_worst_label_speaks_whether_or_not_it_has_the_fewest_slides():
    assert promise_of(calibration(14, 19, 38), None).low == pytest.approx(beta.ppf(0.05, 18, 2))


def test_the_words_name_counts_and_the_level_of_an_unlucky_calibration():
    patients = {"a": 9, "b": 12}
    assert promise_line(Promise(0.9, 0.7169), patients) == (
        "90 % (9 to 12 slides per class; such a calibration may be as low as 72 %)"
    )


def test_a_fitted_pooling_promises_80_percent_and_states_no_quantile():
    rows = ((0.0,) * 6,) * 3
    pooling = Pooling(kind="linear", coefficients=rows, intercepts=(0.0,) * 3, slides=36)
    promise = promise_of(calibration(12, 12, 12, level=0.8), pooling)
    assert promise == Promise(0.8, None, 36)
    assert "fitted on 36 slides" in basis_words(promise, {"a": 12})
