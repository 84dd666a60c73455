"""tiles.csv: one line per tile, RFC 4180, UTF-8."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from her2edge.files import atomic
from her2edge.tables import defused
from her2edge.tile import LABELS, TileResult

COLUMNS = (
    "slide",
    "x",
    "y",
    "width",
    "height",
    "outcome",
    "label",
    "confidence",
    *(f"p {label}" for label in LABELS),
    "tissue_fraction",
    "stain_status",
    "stain_source",
    "error",
    "notice",
)


def write_table(path: Path, results: Iterable[TileResult], notice: str) -> None:
    """Write results as CSV; x, y, width and height are level-0 pixels, origin top left."""
    with atomic(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for result in results:
            writer.writerow(_row(result, notice))
        text.flush()
        text.detach()


def _row(result: TileResult, notice: str) -> list[str]:
    chances = ["" for _ in LABELS] if result.probabilities is None else map(_share, result.probabilities)
    return [
        defused(result.slide),
        *(f"{value:.2f}" for value in (result.x, result.y, *result.span)),
        result.outcome.value,
        result.label or "",
        _share(result.confidence),
        *chances,
        _share(result.tissue_fraction),
        result.stain_status or "",
        result.stain_source or "",
        defused(result.error or ""),
        notice,
    ]


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"
