"""Why an answer is what it is, each in one plain sentence with its numbers."""

from __future__ import annotations

from collections.abc import Iterator

from her2edge.answer.answer import Reason, ReasonCode, Settled, Share, SlideAnswer
from her2edge.answer.interval import FEWEST
from her2edge.answer.tally import Tally
from her2edge.answer.votes import NOVEL
from her2edge.model.slide_records import AnswerLimits
from her2edge.quality import Code
from her2edge.text import percent
from her2edge.tile import Outcome

SAID_ABOVE = dict.fromkeys(Code, 0.1) | {Code.COMPRESSED: 0.5}  # share of the classified tiles
_WORDS = {
    Code.NO_STAIN: "show no two stains",
    Code.EDGE: "lie at the edge of glass or slide",
    Code.OVER_EXPOSED: "are over-exposed",
    Code.BLURRED: "are blurred",
    Code.PEN: "show pen marks",
    Code.COMPRESSED: "show the traces of strong compression",
}
NOT_ASSESSABLE = (
    ReasonCode.FAR_FROM_TRAINING,
    ReasonCode.LOW_QUALITY,
    ReasonCode.TOO_LITTLE_TISSUE,
    ReasonCode.NO_CLASS,
)


def has_set(answer: SlideAnswer) -> bool:
    """Whether the answer is a calibrated set, an empty one too: of a slide that is not assessable for another
    reason nothing is promised, and it calibrates nothing."""
    return answer.calibration is not None and not refused_otherwise(answer)


def refused_otherwise(answer: SlideAnswer) -> bool:
    """Whether the slide is not assessable for another reason than an empty set."""
    other = set(NOT_ASSESSABLE) - {ReasonCode.NO_CLASS}
    return any(reason.code in other for reason in answer.reasons)


def of_tiles(
    tally: Tally, limits: AnswerLimits, min_tissue_tiles: int, settled: Settled | None = None
) -> Iterator[Reason]:
    """What the tiles themselves say against the answer; of a reading stopped early, `settled` judges."""
    classified = tally.outcomes[Outcome.CLASSIFIED]
    yield from _novelty(tally, limits, min_tissue_tiles, settled)
    poor = sum(count for why, count in tally.left_out.items() if why != NOVEL)
    if _refuses(ReasonCode.LOW_QUALITY, settled, poor > limits.kept_out * classified):
        kinds = ", ".join(
            f"{why.replace('_', ' ')} {n}" for why, n in tally.left_out.most_common() if why != NOVEL
        )
        yield Reason(
            ReasonCode.LOW_QUALITY,
            f"{_part(poor, classified)} of the tissue tiles{_read(settled)} are of too low quality to vote"
            f"{f' ({kinds})' if kinds else ''}; {_limit(limits.kept_out, settled)}.",
        )
    if tally.pooled < min_tissue_tiles:
        votes = (
            f"{tally.pooled} of {classified} tissue tiles can vote" if classified else "0 tiles are tissue"
        )
        yield Reason(
            ReasonCode.TOO_LITTLE_TISSUE,
            f"{votes}; an answer needs {min_tissue_tiles}.",
        )
    for code in Code:
        count = tally.codes[code]
        if count > SAID_ABOVE[code] * classified:
            yield Reason(ReasonCode(code), f"{_part(count, classified)} of the tissue tiles {_WORDS[code]}.")
    if tally.measured and tally.classified_area < limits.tissue * tally.tissue_area:
        share = tally.classified_area / tally.tissue_area
        yield Reason(
            ReasonCode.PALE_TISSUE,
            f"Classified {percent(share)} of the tissue: the rest is too pale (fat, for example) or too "
            f"little.",
        )
    lost = {one: tally.outcomes[one] for one in (Outcome.FAILED, Outcome.DROPPED, Outcome.CANCELLED)}
    total, none = tally.outcomes.total(), sum(lost.values())
    if none > limits.failed * total:
        kinds = ", ".join(f"{n} {one}" for one, n in lost.items() if n)
        yield Reason(ReasonCode.FAILED_TILES, f"{_part(none, total)} of the tiles have no result ({kinds}).")


def of_interval(
    shares: dict[str, Share], pooled: int, on_grid: bool, effective: float | None
) -> Iterator[Reason]:
    """Why no label has an interval. effective: what the pooled tiles are worth."""
    if not pooled or any(share.low is not None for share in shares.values()):
        return
    if not on_grid:
        yield Reason(ReasonCode.NO_GRID, "The tiles do not lie on one grid, so no interval can be stated.")
        return
    if any(share.share == 1 for share in shares.values()):
        sentence = f"All {pooled} tiles that vote have one label: they do not show how alike neighbours are"
    elif effective is None:
        sentence = f"The {pooled} tiles that vote lie in too few regions to show how alike neighbours are"
    else:
        sentence = (
            f"Neighbouring tiles are so alike that {pooled} are worth {effective:.0f} independent ones, "
            f"and fewer than {FEWEST:.0f} of these have some label, or lack it"
        )
    yield Reason(ReasonCode.TOO_FEW_REGIONS, f"{sentence}. No interval can be stated.")


def of_settling(settled: Settled | None) -> Iterator[Reason]:
    """The reading ended before the answer was decided."""
    if settled is not None and not settled.settled:
        yield Reason(
            ReasonCode.NOT_SETTLED,
            f"Reading stopped after {settled.tiles_seen} of {settled.tiles_total} tiles, before the answer "
            "was settled: label and slide rules go by the tiles read, without a stated error.",
        )


def of_set(labels: tuple[str, ...], in_order: tuple[str, ...]) -> Iterator[Reason]:
    """What is odd about a prediction set. in_order: all labels, in the order of severity."""
    if not labels:
        yield Reason(ReasonCode.NO_CLASS, "The slide is unlike the calibration slides of every label.")
    elif len(labels) == len(in_order):
        yield Reason(ReasonCode.ALL_CLASSES, "No label can be excluded.")
    else:
        places = [in_order.index(label) for label in labels]
        if places[-1] - places[0] >= len(places):
            gap = [label for label in in_order[places[0] : places[-1]] if label not in labels]
            yield Reason(
                ReasonCode.CONTRADICTORY,
                f"{' and '.join(labels)} are both possible, {' and '.join(gap)} between them is not.",
            )


def _novelty(tally: Tally, limits: AnswerLimits, fewest: int, settled: Settled | None) -> Iterator[Reason]:
    """Fewer tiles than an answer needs say nothing of a slide: they are neighbours, and one witness."""
    far = tally.judged >= fewest and tally.novel > limits.far_from_training * tally.judged
    refused = _refuses(ReasonCode.FAR_FROM_TRAINING, settled, far)
    if not tally.judged and not refused:
        if tally.pooled:
            yield Reason(
                ReasonCode.NO_NOVELTY,
                "The model cannot tell whether the tissue is like what it was trained on.",
            )
        return
    said = (
        f"{_part(tally.novel, tally.judged)} of the tissue tiles without a quality code{_read(settled)} are "
        "unlike what the model was trained on"
    )
    if refused:
        limit = _limit(limits.far_from_training, settled)
        yield Reason(ReasonCode.FAR_FROM_TRAINING, f"{said}; {limit}.")
    elif tally.novel > limits.novel * tally.judged:
        yield Reason(ReasonCode.NOVEL, f"{said}; they do not vote.")


def _refuses(code: ReasonCode, settled: Settled | None, by_tiles: bool) -> bool:
    """Whether a slide rule refuses: by what was settled of the whole slide, else by the tiles at hand."""
    return settled.refused is code if settled is not None and settled.stopped_early else by_tiles


def _limit(share: float, settled: Settled | None) -> str:
    """What a slide rule allows, and that it is the whole slide which breaks it, where few tiles were read."""
    if settled is not None and settled.stopped_early:
        return f"of all tiles, more than {percent(share)} are"
    return f"at most {percent(share)} may be"


def _read(settled: Settled | None) -> str:
    return " read" if settled is not None and settled.stopped_early else ""


def _part(count: int, total: int) -> str:
    return f"{count} of {total} ({percent(count / max(1, total))})"
