"""What the manifest fixes of the slide answer: limits, pooling, calibration, novelty, a student's teacher."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from her2edge.model.protocol import SlideProtocol
from her2edge.model.records import Count, Record, Sha256, Temperature

Share = Annotated[float, Meta(ge=0, le=1)]
Finite = Annotated[float, Meta(ge=-1e6, le=1e6)]
Whole = Annotated[int, Meta(ge=1)]
Text = Annotated[str, Meta(min_length=1)]
Part = Literal["train", "validation"]
FEWEST_SLIDES = 30  # for a fitted pooling


class AnswerLimits(Record, frozen=True, kw_only=True):
    """Above which shares, 0..1, a slide answer says more than its label.

    far_from_training: share of tiles above the novelty limit, of the tissue tiles that no quality code keeps
               out: not assessable; novel: said.
    kept_out:  share of tissue tiles that a quality code keeps out, or whose stains could not be fitted
               where nothing else is wrong: not assessable.
    failed:    share of tiles that could not be read or classified: said.
    tissue:    below this share of the tissue classified: said.
    """

    far_from_training: Share = 0.5
    novel: Share = 0.2
    kept_out: Share = 0.3
    failed: Share = 0.05
    tissue: Share = 0.5


class Pooling(Record, frozen=True, kw_only=True):
    """How tiles become the slide's probabilities, x, one for each label, in label order.

    mean:   x is the mean of the tiles' probabilities; nothing is fitted.
    linear: softmax(coefficients @ log(v + 1e-4) + intercepts); v (2 labels,): the means, then, label by
            label, the mean of the tenth of tiles where that label's probability is highest.
    slides: that it was fitted on; they trained nothing.
    """

    kind: Literal["mean", "linear"] = "mean"
    coefficients: tuple[tuple[Finite, ...], ...] = ()
    intercepts: tuple[Finite, ...] = ()
    slides: Count = 0


class CalibrationSlides(Record, frozen=True, kw_only=True):
    """Slides that the prediction sets go by: one of each patient, none of which trained anything.

    scores:  1 - probability of the true label, 0..1, ascending, by label.
    alpha:   of Mondrian conformal prediction; level: what the sets promise, 1 - alpha, or 1 - 2 alpha where
             a fitted pooling was scored by leaving patients out.
    sites, scanners: where they come from. enlarged: tiles of some of them were, the slide being coarser than
             the model wants. protocol: how all of them were read and scored.
    """

    scores: dict[str, tuple[Share, ...]]
    alpha: Annotated[float, Meta(gt=0, lt=0.5)] = 0.10
    level: Annotated[float, Meta(gt=0, lt=1)] = 0.90
    sites: tuple[str, ...] = ()
    scanners: tuple[str, ...] = ()
    enlarged: bool = False
    protocol: SlideProtocol

    @property
    def patients(self) -> dict[str, int]:
        """Patients by label."""
        return {label: len(scores) for label, scores in self.scores.items()}


class NoveltyRecord(Record, frozen=True, kw_only=True):
    """What the member novelty.npz was fitted on.

    quantile: of the distances of tiles whose slides were left out of the fit; the limit.
    far_slides: of `slides`, those with most tiles above the limit when fit and limit were made without them.
    parts: of the run's tiles.
    """

    quantile: Annotated[float, Meta(gt=0, lt=1)] = 0.95
    far_slides: Count
    slides: Whole
    tiles: Whole
    components: Whole
    parts: tuple[Part, ...]

    @property
    def false_alarms(self) -> float:
        """Share of slides called far from training that are not, one slide left out at a time, 0..1."""
        return self.far_slides / self.slides


class QualityRecord(Record, frozen=True, kw_only=True):
    """What quality limits made without a slide would have done to its tiles, for all slides of their fit.

    kept_out: of `tiles`, those blurred, inked or over-exposed by such limits. low_slides: of `slides`, those
    with so many of them that the slide would not have been assessable.
    """

    kept_out: Count
    tiles: Whole
    low_slides: Count
    slides: Whole


class DistilledFrom(Record, frozen=True, kw_only=True):
    """The teacher of a student network: its file or weights, the temperature, the tiles it taught on."""

    teacher: Text
    teacher_sha256: Sha256
    temperature: Temperature
    transfer_set: Text
    transfer_sha256: Sha256
    tiles: Whole
