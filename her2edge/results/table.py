"""tiles.csv: one line per tile, RFC 4180, UTF-8."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from her2edge.tables import Cell, write_csv
from her2edge.tile import TileResult

_KEY = ("slide", "x", "y", "width", "height", "outcome", "label", "confidence")
_MEASURED = (
    "tissue_fraction",
    "glass_fraction",
    "background",
    "stain_status",
    "stain_source",
    "quality",
    "novelty",
    "pooled",
    "error",
    "notice",
)
_PLACES = dict.fromkeys(("x", "y", "width", "height"), ".2f")
_SHARES = ("confidence", "tissue_fraction", "glass_fraction", "novelty")


def columns(labels: Sequence[str]) -> tuple[str, ...]:
    """The names of the columns for a model of these labels."""
    return (*_KEY, *_chances(labels), *_MEASURED)


def write_table(path: Path, results: Iterable[TileResult], labels: Sequence[str], notice: str) -> None:
    """Write results as CSV; x, y, width and height are level-0 pixels, origin top left.

    labels: the model's, a probability column each. quality: the codes, a space between two. pooled: true or
    false for a classified tile.
    """
    formats = _PLACES | dict.fromkeys((*_SHARES, *_chances(labels)), ".6f")
    rows = (_row(result, len(labels), notice) for result in results)
    write_csv(path, columns(labels), rows, formats)


def _chances(labels: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"p {label}" for label in labels)


def _row(result: TileResult, labels: int, notice: str) -> list[Cell]:
    chances = [None] * labels if result.probabilities is None else map(float, result.probabilities)
    voted = None if result.probabilities is None else str(result.pooled).lower()
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
        result.glass_fraction,
        None if result.background is None else result.background.value,
        result.stain_status,
        result.stain_source,
        " ".join(result.quality) or None,
        result.novelty,
        voted,
        result.error,
        notice,
    ]
