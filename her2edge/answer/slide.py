"""answer_slide: what the tiles of a slide say together. Research use only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from her2edge.answer import reasons as why
from her2edge.answer.answer import Reason, ReasonCode, Settled, Share, SlideAnswer, Status, TileCounts
from her2edge.answer.interval import distinct, effective_tiles, share_interval
from her2edge.answer.pooling import (
    MIN_TISSUE_TILES,
    check_fewest,
    mean_probabilities,
    slide_probabilities,
    top_tenth_probabilities,
)
from her2edge.answer.promise import promise_of
from her2edge.answer.sets import prediction_set, why_uncalibrated
from her2edge.answer.tally import Tally
from her2edge.model.file import Model
from her2edge.model.protocol import SlideProtocol, TilesRead
from her2edge.model.slide_records import CalibrationSlides
from her2edge.quality import Code
from her2edge.text import folded
from her2edge.tile import Background, Outcome, TileResult

HETEROGENEOUS = 0.1  # share of the slide that a second class has for certain


def answer_slide(
    results: Iterable[TileResult],
    model: Model,
    *,
    min_tissue_tiles: int = MIN_TISSUE_TILES,
    settled: Settled | None = None,
    read: TilesRead | None = None,
    enlarged: float | None = None,
    scanner: str | None = None,
    site: str | None = None,
    extra_reasons: Sequence[Reason] = (),
) -> SlideAnswer:
    """Read the results of one slide once, in any order, and sum them up.

    At most 20 bytes are kept of a tile. The label is that of the slide's largest probability, which the model
    pools of the tiles that vote (`TileResult.pooled`); what makes a slide not assessable is in `ReasonCode`.

    min_tissue_tiles: with fewer tiles that vote, 1 or more, the slide is not assessable.
    settled: what `Settling.verdict` says, where the slide was read in random order. Where that was decided
        before the last place, label and slide rules are taken from it, not judged again on what was read.
    read: how the tiles were read, see `her2edge.results.tiles_read`. None: not stated; then a calibrated
        model states no error.
    enlarged: how many times tiles were enlarged, where the slide is coarser than the model wants.
    scanner, site: where the slide comes from, to be held against the model's calibration; None: not known.
    extra_reasons: why the slide is not assessable, beyond its tiles: it has no two stains, say.
    Raises OptionError for a minimum out of range or results of another model.
    """
    check_fewest(min_tissue_tiles)
    manifest = model.manifest
    labels = manifest.labels
    tally = Tally.of(results, labels)
    means, tops = (of(tally.probabilities) for of in (mean_probabilities, top_tenth_probabilities))
    pooled = slide_probabilities(means, tops, manifest.pooling) if tally.pooled else means
    probabilities = _by_label(labels, pooled)
    shares, effective, on_grid = _shares(tally)
    protocol = SlideProtocol(
        tiles=read,
        stopping=None if settled is None else settled.rule,
        limits_sha256=manifest.limits_sha256,
        min_tissue_tiles=min_tissue_tiles,
    )
    uncalibrated = why_uncalibrated(manifest, protocol)
    calibration = manifest.calibration_slides if uncalibrated is None else None
    chosen: tuple[str, ...] = (labels[int(np.argmax(pooled))],) if tally.pooled else ()
    if settled is not None and settled.label is not None:
        chosen = (settled.label,)  # for which the error is stated
    said = [*why.of_tiles(tally, manifest.limits, min_tissue_tiles, settled)]
    said += [*why.of_interval(shares, tally.pooled, on_grid, effective), *why.of_settling(settled)]
    said += _facts(enlarged)
    if uncalibrated is not None:
        said.append(Reason(ReasonCode.UNCALIBRATED, uncalibrated))
    if calibration is not None and tally.pooled:
        chosen = prediction_set(probabilities, calibration.scores, calibration.alpha)
        said += [*why.of_set(chosen, labels), *_origin(calibration, scanner, site, enlarged)]
    order = list(ReasonCode)
    said = [*extra_reasons, *sorted(said, key=lambda reason: order.index(reason.code))]
    grave = bool(extra_reasons) or any(reason.code in why.NOT_ASSESSABLE for reason in said)
    best = int(np.argmax(pooled))
    return SlideAnswer(
        status=_status(() if grave else chosen),
        labels=() if grave else chosen,
        reasons=tuple(said),
        probabilities=probabilities,
        means=_by_label(labels, means),
        top_tenths=_by_label(labels, tops),
        shares=shares,
        effective_tiles=effective,
        tiles=_counts(tally, settled),
        novelty=tally.novel / tally.judged if tally.judged else None,
        tissue_classified=tally.classified_area / tally.tissue_area if tally.tissue_area > 0 else None,
        heterogeneous=any(
            (shares[label].low or 0.0) > HETEROGENEOUS for k, label in enumerate(labels) if k != best
        ),
        settled=settled,
        calibration=None if calibration is None else calibration.patients,
        promise=None if calibration is None else promise_of(calibration, manifest.pooling),
        tile_majority=max(labels, key=lambda label: shares[label].share) if tally.pooled else None,
        protocol=protocol,
    )


def _by_label(labels: tuple[str, ...], values: NDArray[np.float64]) -> dict[str, float]:
    return {label: float(value) for label, value in zip(labels, values, strict=True)}


def _status(labels: tuple[str, ...]) -> Status:
    return (Status.NOT_ASSESSABLE, Status.ANSWERED)[len(labels)] if len(labels) < 2 else Status.AMBIGUOUS


def _shares(tally: Tally) -> tuple[dict[str, Share], float | None, bool]:
    """Shares of the labels with their intervals, the effective tiles, whether the tiles lie on one grid.

    A label's interval goes by how alike neighbours are in having it. The slide's number is the smallest.
    """
    labels, n = tally.labels, tally.pooled
    if not n:
        return {label: Share(0.0) for label in labels}, None, True
    classes = tally.probabilities.argmax(axis=1)
    has = classes == np.arange(len(labels))[:, np.newaxis]
    columns, rows = tally.places
    on_grid = tally.on_grid and distinct(columns, rows)
    worth = effective_tiles(columns, rows, has) if on_grid else (None,) * len(labels)
    shares = {}
    for label, hits, own in zip(labels, has, worth, strict=True):
        share = float(hits.sum()) / n
        shares[label] = Share(share, *(share_interval(share, own) or (None, None)))
    effective = min((own.tiles for own in worth if own is not None), default=None)
    return shares, effective, on_grid


def _counts(tally: Tally, settled: Settled | None) -> TileCounts:
    read = tally.outcomes.total()
    unread = 0 if settled is None else max(0, settled.tiles_total - read)
    return TileCounts(
        total=read + unread,
        outcomes={outcome.value: tally.outcomes[outcome] for outcome in Outcome},
        unread=unread,
        background={kind.value: tally.background[kind] for kind in Background},
        pooled=tally.pooled,
        left_out=dict(sorted(tally.left_out.items())),
        codes={code.value: tally.codes[code] for code in Code},
    )


def _facts(enlarged: float | None) -> list[Reason]:
    if enlarged is None:
        return []
    sentence = f"The slide is coarser than the model needs: tiles were enlarged {enlarged:.2f} times."
    return [Reason(ReasonCode.UPSAMPLED, sentence)]


def _origin(
    calibration: CalibrationSlides, scanner: str | None, site: str | None, enlarged: float | None
) -> list[Reason]:
    """Where the slide comes from, if no calibration slide does; what is not stated is not known."""
    unknown = [
        f"the {what} {repr(given) if given else 'is not stated'}"
        for what, given, known in (
            ("scanner", scanner, calibration.scanners),
            ("site", site, calibration.sites),
        )
        if known and folded(given or "") not in set(map(folded, known))
    ]
    if enlarged is not None and not calibration.enlarged:
        unknown.append("its tiles are enlarged")
    if not unknown:
        return []
    sentence = (
        f"No calibration slide is like this one: {' and '.join(unknown)}. The set's error may be larger."
    )
    return [Reason(ReasonCode.UNKNOWN_SCANNER, sentence)]
