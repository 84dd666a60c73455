"""Why the gate refuses a model, from its figures."""

from __future__ import annotations

from collections.abc import Iterator

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
        or verdict.accuracy_drop > limits.accuracy_drop
        or verdict.changed_slides > limits.changed_slides
    )


def too_few(verdict: Verdict) -> bool:
    """Whether the tiles that judge, or their patients, are fewer than the limits ask for."""
    limits = verdict.limits
    return verdict.tiles < limits.tiles or verdict.patients < fewest_patients(limits)


def reasons(verdict: Verdict) -> Iterator[str]:
    """Why a verdict refuses, a line each, with the way out; none where it passes."""
    limits = verdict.limits
    if too_few(verdict):
        yield f"not shown: {few_tiles(verdict.tiles, verdict.patients, limits)}"
    if verdict.flip_interval[1] > limits.flips:
        yield (
            f"up to {percent(verdict.flip_interval[1], 2)} of tiles may get another class (found "
            f"{verdict.flips} of {verdict.tiles}), limit {percent(limits.flips, None)}"
        )
        if not too_few(verdict):
            yield more_patients(verdict)
    if verdict.accuracy_drop > limits.accuracy_drop:
        yield (
            f"accuracy falls by {100 * verdict.accuracy_drop:.2f} points, limit "
            f"{100 * limits.accuracy_drop:g}"
        )
    if verdict.changed_slides > limits.changed_slides:
        yield (
            f"{verdict.changed_slides} of {verdict.assessed_slides} slide labels change, "
            f"limit {limits.changed_slides}"
        )
    if not verdict.assessed_slides:
        yield f"no slide has the {MIN_TISSUE_TILES} held-out tiles that a slide label takes"
