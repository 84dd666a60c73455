"""SlideAnswer: what the tiles of a slide say together, with what is not known of it. Research use only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from her2edge.model.protocol import SlideProtocol, StoppingRule


class Status(StrEnum):
    """How far an answer goes. One label: answered; two or more: ambiguous; none: not assessable."""

    ANSWERED = "answered"
    AMBIGUOUS = "ambiguous"
    NOT_ASSESSABLE = "not_assessable"


class ReasonCode(StrEnum):
    """Why an answer is what it is. The words are stable: they are never renamed.

    In the order of gravity: causes before what follows from them. The first four make a slide not
    assessable; the others are said and change no status. The first of those is that nobody looked whether
    the tissue is like the training's: only a few reasons are printed.
    """

    FAR_FROM_TRAINING = "far_from_training"
    LOW_QUALITY = "low_quality"
    TOO_LITTLE_TISSUE = "too_little_tissue"
    NO_CLASS = "no_class"
    NO_NOVELTY = "no_novelty"
    NO_STAIN = "no_stain"
    EDGE = "edge"
    OVER_EXPOSED = "over_exposed"
    BLURRED = "blurred"
    PEN = "pen"
    COMPRESSED = "compressed"
    NOVEL = "novel"
    PALE_TISSUE = "pale_tissue"
    FAILED_TILES = "failed_tiles"
    UPSAMPLED = "upsampled"
    UNKNOWN_SCANNER = "unknown_scanner"
    NO_GRID = "no_grid"
    TOO_FEW_REGIONS = "too_few_regions"
    NOT_SETTLED = "not_settled"
    UNCALIBRATED = "uncalibrated"
    ALL_CLASSES = "all_classes"
    CONTRADICTORY = "contradictory"


@dataclass(frozen=True)
class Reason:
    """A code for programs and one plain sentence for people."""

    code: ReasonCode
    sentence: str


@dataclass(frozen=True)
class Share:
    """Share of the pooled tiles that a label has, 0..1; low, high: its 95 % interval.

    None, both: the slide has no interval, which a reason says, or too few tiles have the label, or lack it.
    """

    share: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class TileCounts:
    """Every tile of the slide, counted.

    total: places of the grid. outcomes: by outcome, all five named. unread: places a settled answer left.
    total = sum of outcomes + unread. background: background tiles by kind. pooled: tiles that vote.
    left_out: classified tiles that do not, each under its first code (`her2edge.quality.Code`, then
    "novel", then "unfitted" where nothing else is wrong than that its stains could not be fitted): pooled +
    left_out = classified. codes: classified tiles that have a code, `compressed` among them; a tile of two
    codes stands under both.
    """

    total: int
    outcomes: dict[str, int]
    unread: int
    background: dict[str, int]
    pooled: int
    left_out: dict[str, int]
    codes: dict[str, int]


@dataclass(frozen=True)
class Settled:
    """What a reading in random order, stopped early, is good for.

    settled: label and slide rules were decided, or every place was read. label: the one decided, of the
    largest mean probability; None where it is open, or the slide is not assessable. error: at most the chance
    that reading every tile would have given another label, 0..1; 0 where every place was read. minimum:
    tissue tiles read at least. tiles_seen, tiles_total: places read, places of the grid. at_most: by label,
    the share of the voting tissue that it has at most, 95 % each. refused: the slide rule that makes the
    slide not assessable, `far_from_training` or `low_quality`; None: neither does, or it is open. rule: when
    the reading was to stop.
    """

    settled: bool
    label: str | None
    error: float
    minimum: int
    tiles_seen: int
    tiles_total: int
    at_most: dict[str, float]
    refused: ReasonCode | None = None
    rule: StoppingRule | None = None

    @property
    def stopped_early(self) -> bool:
        """Whether label and slide rules were decided with places unread: the tiles do not judge again."""
        return self.settled and self.tiles_seen < self.tiles_total


@dataclass(frozen=True)
class Promise:
    """How often a prediction set holds the truth, by the calibration slides.

    level: of patients, 0..1, on average over calibrations. low: in 5 % of calibrations of this size it is
    below this for the worst label; None where that is not known: after a fitted pooling. fitted_on: slides
    that the pooling was fitted on, 0 for the mean.
    """

    level: float
    low: float | None
    fitted_on: int = 0


@dataclass(frozen=True)
class SlideAnswer:
    """The answer of a slide.

    labels: the prediction set, in label order. Without calibration, that of the largest mean probability.
    reasons: what limits the answer, the gravest first.
    probabilities: of the slide, by label, as the model pools its tiles; all 0 where nothing is pooled.
    means, top_tenths: over pooled tiles, by label, the mean of its probability, and that of the tenth of
        tiles where it is highest: what the slide's probabilities are made of.
    shares: of pooled tiles by their most probable class. effective_tiles: how many independent tiles they are
        worth, since neighbours are alike; None where it cannot be told.
    novelty: share of tiles above the novelty limit, of the classified tiles that no quality code keeps out,
        0..1; None for a model without one.
    tissue_classified: tissue in classified tiles over all tissue, by area, 0..1; None where there is none.
    heterogeneous: a second class has more than a tenth of the slide for certain.
    calibration: patients by label that the prediction set was calibrated on; None: uncalibrated.
    promise: what that set is good for; None: uncalibrated.
    tile_majority: the class of most pooled tiles, which is no answer; None where there are none.
    protocol: how its tiles were read and scored.
    """

    status: Status
    labels: tuple[str, ...]
    reasons: tuple[Reason, ...]
    probabilities: dict[str, float]
    means: dict[str, float]
    top_tenths: dict[str, float]
    shares: dict[str, Share]
    effective_tiles: float | None
    tiles: TileCounts
    novelty: float | None
    tissue_classified: float | None
    heterogeneous: bool
    settled: Settled | None
    calibration: dict[str, int] | None
    promise: Promise | None
    tile_majority: str | None
    protocol: SlideProtocol

    @property
    def assessable(self) -> bool:
        """Whether the answer holds a label."""
        return self.status is not Status.NOT_ASSESSABLE
