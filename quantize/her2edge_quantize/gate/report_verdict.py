"""A verdict as rows of the report's tables."""

from __future__ import annotations

from collections.abc import Iterator

from her2edge.model.records import Verdict
from her2edge.text import percent
from her2edge_quantize.gate.way_out import fewest_patients

COLUMNS = ("", "found", "95 % interval", "limit")
Row = tuple[object, ...]


def judged_rows(verdict: Verdict, beside: str = "float32") -> Iterator[Row]:
    """What the gate decides by. beside: what the model is held against."""
    limits = verdict.limits
    yield (
        "tiles with another class",
        f"{verdict.flips} ({percent(verdict.flips / verdict.tiles, 2)})",
        interval(verdict.flip_interval),
        percent(limits.flips, None),
    )
    before, now = percent(verdict.accuracy + verdict.accuracy_drop, 2), percent(verdict.accuracy, 2)
    yield (
        "accuracy lost",
        f"{points(verdict.accuracy_drop)} ({beside} {before}, now {now})",
        interval(verdict.accuracy_drop_interval, "points"),
        f"{100 * limits.accuracy_drop:g} points",
    )
    changed = f"{verdict.changed_slides} of {verdict.assessed_slides}"
    yield "slide labels changed", changed, "", limits.changed_slides
    yield "tiles", verdict.tiles, "", f"at least {limits.tiles}"
    yield "patients", verdict.patients, "", f"at least {fewest_patients(limits)}"


def points(share: float) -> str:
    """A share of tiles as percentage points."""
    return f"{100 * share:.2f} points"


def interval(ends: tuple[float, float], unit: str = "%") -> str:
    """Both ends of a share, in per cent or points."""
    return f"{100 * ends[0]:.2f}..{100 * ends[1]:.2f} {unit}"
