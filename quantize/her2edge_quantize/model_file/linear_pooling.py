"""A pooling fitted on calibration slides: which number of a slide's tiles speaks for which label.

A ridge multinomial on the logarithms of mean and top-tenth mean; scikit-learn fits it, and only here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from her2edge.answer.pooling import OFFSET, linear_features, slide_probabilities
from her2edge.answer.sets import FEWEST_OF_A_CLASS
from her2edge.errors import OptionError
from her2edge.extras import needs_extra
from her2edge.model.slide_records import FEWEST_SLIDES, Pooling

Floats = NDArray[np.float64]


def fit_linear(
    means: Floats, tops: Floats, truth: NDArray[np.int64], labels: tuple[str, ...]
) -> tuple[Pooling, Floats]:
    """The pooling of all slides, and each slide's probabilities by a fit that left it out, (slides, labels).

    means, tops: (slides, labels), as in SlideAnswer. truth: (slides,) index of each slide's label.
    Raises OptionError for fewer than 30 slides or 9 of a label, and where such fits do worse on the slide
    they left out than the mean, by log loss; RuntimeUnavailable without scikit-learn.
    """
    counts = np.bincount(truth, minlength=len(labels))
    if len(truth) < FEWEST_SLIDES or counts.min() < FEWEST_OF_A_CLASS:
        each = ", ".join(f"{label} {count}" for label, count in zip(labels, counts, strict=True))
        raise OptionError(
            f"found {len(truth)} slides ({each}), expected {FEWEST_SLIDES} or more for --pooling linear, and "
            f"{FEWEST_OF_A_CLASS} of each label: use --pooling mean"
        )
    out = np.empty_like(means)
    for n in range(len(truth)):
        others = np.arange(len(truth)) != n
        fit = _fit(means[others], tops[others], truth[others], len(labels))
        out[n] = slide_probabilities(means[n], tops[n], fit)
    fitted, plain = log_loss(out, truth), log_loss(means, truth)
    if not fitted < plain:
        raise OptionError(
            f"found linear pooling no better than the mean on slides left out (log loss {fitted:.3f}, mean "
            f"{plain:.3f}), expected a lower one: use --pooling mean"
        )
    return _fit(means, tops, truth, len(labels)), out


def log_loss(chances: Floats, truth: NDArray[np.int64]) -> float:
    """Mean of -log p of the true label; p is at least 1e-4, as in linear pooling itself."""
    return float(-np.log(np.maximum(chances[np.arange(len(truth)), truth], OFFSET)).mean())


def _fit(means: Floats, tops: Floats, truth: NDArray[np.int64], labels: int) -> Pooling:
    with needs_extra("quantize"):
        from sklearn.linear_model import LogisticRegression
    rule = LogisticRegression(C=1.0, class_weight="balanced", max_iter=10_000)
    rule.fit(linear_features(means, tops), truth)
    rows, intercepts = np.asarray(rule.coef_), np.asarray(rule.intercept_)
    if labels == 2:  # one row, for the second against the first
        rows, intercepts = np.vstack([-rows / 2, rows / 2]), np.concatenate([-intercepts / 2, intercepts / 2])
    return Pooling(
        kind="linear",
        coefficients=tuple(tuple(map(float, row)) for row in rows),
        intercepts=tuple(map(float, intercepts)),
        slides=len(truth),
    )
