"""What the manifest fixes of the slide answer: limits, pooling, calibration, novelty, a student's teacher."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from her2edge.model.protocol import SlideProtocol
from her2edge.model.records import Count, Record, Sha256, Temperature, Verdict

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


class StudentLimits(Record, frozen=True, kw_only=True):
    """What a student must show beside its teacher, apart from the gate's own `Limits`.

    slides: at least, of the tiles that judge. sure: probability, 0..1, of its class below which the teacher
    is unsure of a tile. unsure_tiles, unsure_slides: at least, of such tiles. agreement: share of them, at
    least, that student and teacher call alike. share: by which the number of tiles in a class between the
    first and the last may differ from the teacher's, of the teacher's.
    """

    slides: Count = 100
    sure: Share = 0.9
    unsure_tiles: Count = 200
    unsure_slides: Count = 60
    agreement: Share = 0.9
    share: Share = 0.1


class Unsure(Record, frozen=True, kw_only=True):
    """A student beside its teacher where that is unsure, or on tissue that was brought as such.

    below: tiles of which the teacher is less sure than `limits.sure`. agree: tiles that both call alike;
    interval: 95 %, of that share. turned: tiles that the teacher calls alike when they are turned by 90
    degrees: more is not to be had. teacher_classes, classes: tiles of each label, by teacher and student.
    """

    tiles: Count
    slides: Count
    below: Count
    agree: Count
    interval: tuple[float, float]
    turned: Count
    teacher_classes: tuple[Count, ...]
    classes: tuple[Count, ...]
    limits: StudentLimits


class DistilledFrom(Record, frozen=True, kw_only=True):
    """The teacher of a student network: its file or weights, the temperature, the tiles it taught on.

    teacher_sha256: of the whole model file, or of the run's model.keras. transfer_sha256: of the tile list.
    tiles: of the training part; unlabelled: of all parts, whose label is the teacher's answer.
    beside_teacher: the gate's verdict with the teacher in the place of float32; unsure: where that is unsure.
    """

    teacher: Text
    teacher_sha256: Sha256
    temperature: Temperature
    transfer_set: Text
    transfer_sha256: Sha256
    tiles: Whole
    unlabelled: Count = 0
    beside_teacher: Verdict | UnsetType = UNSET
    unsure: Unsure | UnsetType = UNSET
