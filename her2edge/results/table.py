"""tiles.csv: one line per tile, RFC 4180, UTF-8."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from her2edge.tables import Cell, read_csv, write_csv
from her2edge.tile import Background, Outcome, TileResult

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


def read_table(data: bytes, labels: Sequence[str]) -> Iterator[TileResult]:
    """The inverse of `write_table`, to the decimals that are written; notice and seconds are not read.

    Raises ValueError where the columns are not those of these labels, or a cell is not of its kind.
    """
    chances = _chances(labels)
    for row in read_csv(data, columns(labels)):
        values = [row[name] for name in chances]
        yield TileResult(
            slide=row["slide"],
            x=float(row["x"]),
            y=float(row["y"]),
            span=(float(row["width"]), float(row["height"])),
            outcome=Outcome(row["outcome"]),
            probabilities=np.array(values, np.float32) if all(values) else None,
            label=row["label"] or None,
            background=Background(row["background"]) if row["background"] else None,
            stain_status=row["stain_status"] or None,
            stain_source=row["stain_source"] or None,
            quality=tuple(row["quality"].split()),
            pooled=row["pooled"] == "true",
            error=row["error"] or None,
            confidence=_number(row["confidence"]),
            tissue_fraction=_number(row["tissue_fraction"]),
            glass_fraction=_number(row["glass_fraction"]),
            novelty=_number(row["novelty"]),
        )


def _number(cell: str) -> float | None:
    return float(cell) if cell else None


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
