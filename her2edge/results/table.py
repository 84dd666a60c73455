"""tiles.csv: one line per tile, RFC 4180, UTF-8."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from her2edge.tables import Cell, write_csv
from her2edge.tile import LABELS, TileResult

_CHANCES = tuple(f"p {label}" for label in LABELS)
COLUMNS = (
    "slide",
    "x",
    "y",
    "width",
    "height",
    "outcome",
    "label",
    "confidence",
    *_CHANCES,
    "tissue_fraction",
    "stain_status",
    "stain_source",
    "error",
    "notice",
)
_FORMATS = dict.fromkeys(("x", "y", "width", "height"), ".2f") | dict.fromkeys(
    ("confidence", *_CHANCES, "tissue_fraction"), ".6f"
)


def write_table(path: Path, results: Iterable[TileResult], notice: str) -> None:
    """Write results as CSV; x, y, width and height are level-0 pixels, origin top left."""
    write_csv(path, COLUMNS, (_row(result, notice) for result in results), _FORMATS)


def _row(result: TileResult, notice: str) -> list[Cell]:
    chances = [None] * len(LABELS) if result.probabilities is None else map(float, result.probabilities)
    return [
        result.slide,
        result.x,
        result.y,
        *result.span,
        result.outcome.value,
        result.label,
        result.confidence,
        *chances,
        result.tissue_fraction,
        result.stain_status,
        result.stain_source,
        result.error,
        notice,
    ]
