"""Why the gate refuses a model, from its figures."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import UNSET

from her2edge.answer import MIN_TISSUE_TILES
from her2edge.model.records import Verdict
from her2edge.text import percent
from her2edge_quantize.gate.way_out import few_tiles, fewest_patients, more_patients


def worth_a_trial(verdict: Verdict) -> bool:
    """Whether layers in float are worth trying: refused, and not only because there were too few tiles."""
    limits = verdict.limits
    return (
        (bool(verdict.reasons) and not too_few(verdict) and verdict.assessed_slides > 0)
        or verdict.flips > limits.flips * verdict.tiles
        or loss(verdict) > limits.accuracy_drop
        or verdict.changed_slides > limits.changed_slides
    )


def loss(verdict: Verdict) -> float:
    """The loss of accuracy, a share, that the limit is held against.

    The loss found where as many tiles have a label as the limits ask for. One tile of a hundred is more than
    the limit already, so of fewer the lower end of the interval: the loss that they show for sure.
    """
    labelled = verdict.tiles if verdict.labelled is UNSET else verdict.labelled
    return verdict.accuracy_drop if labelled >= verdict.limits.tiles else verdict.accuracy_drop_interval[0]


def too_few(verdict: Verdict) -> bool:
    """Whether the tiles that judge, or their patients, are fewer than the limits ask for."""
    limits = verdict.limits
    return verdict.tiles < limits.tiles or verdict.patients < fewest_patients(limits)


def reasons(verdict: Verdict, *, judged: bool = True) -> Iterator[str]:
    """Why a verdict refuses, a line each, with the way out; none where it passes.

    judged: False where all its tiles chose the checkpoint, or the epoch of training for int8: none counts.
    """
    limits = verdict.limits
    tiles, patients = (verdict.tiles, verdict.patients) if judged else (0, 0)
    if not judged or too_few(verdict):
        yield f"not shown: {few_tiles(tiles, patients, limits)}"
    if verdict.flip_interval[1] > limits.flips:
        yield (
            f"up to {percent(verdict.flip_interval[1], 2)} of tiles may get another class (found "
            f"{verdict.flips} of {verdict.tiles}), limit {percent(limits.flips, None)}"
        )
        if judged and not too_few(verdict):
            yield more_patients(verdict)
    if (lost := loss(verdict)) > limits.accuracy_drop:
        at_least = "at least " * (lost != verdict.accuracy_drop)
        yield f"accuracy falls by {at_least}{100 * lost:.2f} points, limit {100 * limits.accuracy_drop:g}"
    if verdict.changed_slides > limits.changed_slides:
        yield (
            f"{verdict.changed_slides} of {verdict.assessed_slides} slide labels change, "
            f"limit {limits.changed_slides}"
        )
    if not verdict.assessed_slides:
        yield f"no slide has the {MIN_TISSUE_TILES} held-out tiles that a slide label takes"
