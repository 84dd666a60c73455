"""The tables of the slide answer: intervals, sets, drift, settling. `tables.py` puts them into documents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from speed import where

from her2edge.tables import markdown
from her2edge.text import percent

FEWEST_INTERVALS = 20  # of which a coverage is printed


def coverage(found: dict[str, Any]) -> Iterator[str]:
    """How often intervals of a slide answer hold the true share."""
    shares = ", ".join(percent(share) for share in found["shares"])
    yield (
        f"{found['maps']:,} maps of each kind a line, true shares of {shares} in turns. For each kind: "
        f"slides with an interval, and how many of those hold (-: fewer than {FEWEST_INTERVALS} intervals):"
    )
    yield ""
    kinds = list(found["rows"][1]["kinds"])
    columns = (
        "slide",
        "tiles",
        "likeness, tiles",
        "room for regions",
        "worth",
        *kinds,
        "as independent tiles",
    )
    rows = []
    for one in found["rows"]:
        size = "none" if one["length"] == 0 else f"{one['length']}"
        room = "-" if one["regions"] is None else f"{one['regions']:,.0f}" if one["regions"] >= 1 else "< 1"
        worth = "-" if one["effective"] is None else f"{one['effective']:,}"
        cells = (_given_and_holds(one["kinds"].get(kind), found["maps"]) for kind in kinds)
        rows.append(
            (one["form"], f"{one['tiles']:,}", size, room, worth, *cells, percent(one["independent"]))
        )
    yield from markdown(columns, rows)


def _given_and_holds(one: dict[str, Any] | None, maps: int) -> str:
    if one is None:
        return "as Gaussian"
    few = one["coverage"] is None or one["given"] * maps < FEWEST_INTERVALS
    return f"{percent(one['given'])}, {'-' if few else percent(one['coverage'])}"


def drift(found: dict[str, Any]) -> Iterator[str]:
    """How often the monthly comparison raises an alarm, and finds a change."""
    months = found["months"]
    yield (
        f"{months:,} months of each line without a change, {months // 5:,} of each with one; an alarm is "
        "a flag on something that did not change:"
    )
    yield ""
    columns = ("what changed", "slides of the baseline", "of the month", "found", "an alarm")
    yield from markdown(
        columns,
        (
            (
                one["change"],
                one["baseline"],
                one["month"],
                "-" if one["change"] == "no change" else percent(one["found"]),
                percent(one["false"], 1),
            )
            for one in found["rows"]
        ),
    )


def calibrated(found: dict[str, Any]) -> Iterator[str]:
    """How often calibrated sets hold the truth."""
    sets = sum(one["sets"] for one in found["rows"])
    unlike = sum(one["sets_unlike_crepes"] for one in found["rows"])
    yield (
        f"{found['repeats']} calibrations of each size on simulated slides, each tried on {found['others']} "
        f"other patients; {unlike} of {sets:,} sets differ from those of crepes:"
    )
    yield ""
    columns = (
        "slides of each label",
        "sets hold the truth",
        "labels in a set",
        "single labels",
        "all labels",
    )
    shares = ("single", "all_labels")
    yield from markdown(
        columns,
        (
            (
                one["of_each"],
                percent(one["coverage"], 1),
                f"{one['mean_size']:.2f}",
                *(percent(one[name], 1) for name in shares),
            )
            for one in found["rows"]
        ),
    )


def settled(found: dict[str, Any]) -> Iterator[str]:
    """A large slide read until its answer is settled, beside every tile of it."""
    slide, decoding = found["slide"], found["decoding"]
    across, down = slide["pixels"]
    yield f"A drawn slide of {across:,} x {down:,} px, {slide['places']:,} places; {where(found)}:"
    yield ""
    rows = []
    for one in found["runs"]:
        stopped, every = one["settled"], one["all"]
        reckoned = f" (reckoned from {every['from_tiles']:,} tiles)" if every["extrapolated"] else ""
        seconds = (f"{stopped['seconds']:.1f}", f"{every['seconds']:.0f}{reckoned}")
        rows.append((one["cores"], stopped["tiles"], *seconds))
    yield from markdown(("cores", "tiles until settled", "seconds", "seconds for every tile"), rows)
    yield ""
    yield (
        f"Reading in random order takes {decoding['ratio_cold']:.2f} times as long as row by row where the "
        f"file was not in memory, {decoding['ratio_warm']:.2f} times where it was."
    )


def settle(found: dict[str, Any]) -> Iterator[str]:
    """How many tiles settle an answer."""
    yield (
        f"Maps of {found['tiles']:,} tiles, error {percent(found['error'], None)}; tiles until settled, "
        "median, in brackets for nine in ten maps:"
    )
    yield ""
    columns = (
        "shares of the labels",
        "likeness, tiles",
        "maps",
        "label alone",
        "`Settle()`",
        "wrong",
        "wrong row by row",
    )
    rows = []
    for one in found["rows"]:
        shares = " ".join(percent(share / 100) for share in one["shares"])
        size = "none" if one["length"] == 0 else f"sigma {one['length']}"
        alone = f"{one['median']:,} ({one['p90']:,})"
        whole = f"{one['with_rules']:,} ({one['with_rules_p90']:,})"
        rows.append((shares, size, one["maps"], alone, whole, one["wrong"], percent(one["wrong_row_by_row"])))
    yield from markdown(columns, rows)
