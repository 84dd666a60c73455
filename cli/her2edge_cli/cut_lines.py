"""What `her2edge tiles` prints of the tiles that it cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from her2edge_training.cohort.label_from import WEAK

if TYPE_CHECKING:
    from her2edge_training.cohort.cut_report import ClassCount, CutReport


def print_report(report: CutReport) -> None:
    """On standard output."""
    for line in _lines(report):
        click.echo(line)


def _lines(report: CutReport) -> Iterator[str]:
    """The paper's table, tiles before and after the tissue filter, and what was left out."""
    counts = [count for slide in report.slides for count in slide.classes]
    rows = [
        (
            label,
            sum(count.inside for count in counts if count.label == label),
            sum(count.tissue for count in counts if count.label == label),
        )
        for label in dict.fromkeys(count.label for count in counts)
    ]
    rows.append(("all", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    drawn = any(slide.label_from == "regions" for slide in report.slides)
    yield f"{'label':8}{'in regions' if drawn else 'tiles':>12}{'with tissue':>13}"
    for label, inside, tissue in rows:
        yield f"{label:8}{inside:12}{tissue:13}"
    slides = report.slides
    for number, words in (
        (
            sum(slide.repaired for slide in slides),
            "region(s) crossed or overlapped themselves and were repaired",
        ),
        (
            sum(slide.left_out for slide in slides),
            "object(s) without area, or that are not annotations, were left out",
        ),
        (
            sum(slide.stray_rings for slide in slides),
            "outline(s) or hole(s) of fewer than four points were left out",
        ),
        (
            sum(slide.other_plane for slide in slides),
            "object(s) on another plane (z or t is not 0) were left out",
        ),
        (sum(slide.outside for slide in slides), "region(s) lie outside their slide"),
        (sum(slide.two_labels for slide in slides), "tile(s) in regions of two labels were left out"),
        (sum(slide.excluded for slide in slides), "tile(s) in excluded regions were left out"),
        (
            sum(slide.black for slide in slides),
            "tile(s) in regions are mostly black padding and were left out",
        ),
        (
            sum(count.no_stain for count in counts),
            "tile(s) of tissue in regions show no two stains and were left out"
            + _by_label(counts, "no_stain"),
        ),
        (
            sum(slide.passed_over for slide in slides),
            "tile(s) were not looked at: their slides have as many as --tiles-per-slide asks for",
        ),
        (sum(len(slide.unreadable) for slide in slides), "tile(s) cannot be decoded: see tiles.json"),
    ):
        if number:
            yield f"{number} {words}"
    for source, words in WEAK.items():
        if weak := sum(slide.label_from == source for slide in slides):
            yield f"weak labels: all tiles of {weak} slide(s) have {words}, tumour or not"
    for kind, words in (("glass", "glass"), ("pale", "pale tissue"), ("too_little", "too little tissue")):
        if text := _by_label(counts, kind):
            yield f"background, {words}{text}"
    for code in dict.fromkeys(code for count in counts for code in count.quality):
        yield f"of the tiles cut, {code}{_by_label(counts, code)}"


def _by_label(counts: Sequence[ClassCount], what: str) -> str:
    """ ": 2+ 3, 3+ 1", the tiles of each label with this code or left out for it; empty for none."""
    tiles: Counter[str] = Counter()
    for count in counts:
        tiles[count.label] += count.quality.get(what, 0) or getattr(count, what, 0)
    shown = ", ".join(f"{label} {number}" for label, number in tiles.items() if number)
    return f": {shown}" if shown else ""
