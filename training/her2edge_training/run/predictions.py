"""RUN/predictions.csv: what the trained network says of every held-out tile, for every later score.

Columns: part, tile, slide, patient, site, label, and a logit for each label, as text that gives the same
float32 back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2edge.tables import csv_bytes, read_csv
from her2edge_training.cohort.tile_list import TileRecord, group_of

_COLUMNS = ("part", "tile", "slide", "patient", "site", "label")


@dataclass(frozen=True, eq=False)
class PartLogits:
    """What the network said of a part's tiles, in their order. logits: (n, classes) float32."""

    part: str
    records: tuple[TileRecord, ...]
    logits: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Predictions:
    """One part of a run, n tiles.

    labels: (classes,) names. actual: (n,) int class index, -1 where a tile has no label.
    logits: (n, classes) float32.
    slides, groups, sites: (n,) str; groups are what a split keeps together, patients or slides.
    """

    labels: tuple[str, ...]
    actual: NDArray[np.int64]
    logits: NDArray[np.float32]
    slides: NDArray[np.str_]
    groups: NDArray[np.str_]
    sites: NDArray[np.str_]

    @classmethod
    def of(
        cls, records: Sequence[TileRecord], logits: NDArray[np.float32], labels: tuple[str, ...]
    ) -> Predictions:
        """Of tiles at hand and (n, classes) logits in their order."""
        return cls(
            labels=labels,
            actual=np.array(
                [labels.index(record.label) if record.label else -1 for record in records], dtype=np.int64
            ),
            logits=logits,
            slides=np.array([record.slide for record in records]),
            groups=np.array([record.group for record in records]),
            sites=np.array([record.site for record in records]),
        )

    def only(self, chosen: NDArray[np.bool_]) -> Predictions:
        """The tiles where `chosen` (n,) is true."""
        return Predictions(
            labels=self.labels,
            actual=self.actual[chosen],
            logits=self.logits[chosen],
            slides=self.slides[chosen],
            groups=self.groups[chosen],
            sites=self.sites[chosen],
        )


def predictions_bytes(parts: Iterable[PartLogits], labels: Sequence[str]) -> bytes:
    """The table."""
    logits = [f"logit {label}" for label in labels]
    rows = (
        (part.part, record.tile, record.slide, record.patient, record.site, record.label, *values)
        for part in parts
        for record, values in zip(part.records, part.logits.tolist(), strict=True)
    )
    return csv_bytes((*_COLUMNS, *logits), rows, dict.fromkeys(logits, ".9g"))


def read_predictions(data: bytes, part: str, labels: tuple[str, ...]) -> Predictions:
    """One part of the table back; raises ValueError where it is damaged or has no tile of the part."""
    columns = [f"logit {label}" for label in labels]
    rows = [row for row in read_csv(data, (*_COLUMNS, *columns)) if row["part"] == part]
    if not rows:
        raise ValueError(f"found no tile of the {part} part")
    logits = np.array([[float(row[name]) for name in columns] for row in rows], dtype=np.float32)
    return Predictions(
        labels=labels,
        actual=np.array([labels.index(row["label"]) for row in rows], dtype=np.int64),
        logits=logits,
        slides=np.array([row["slide"] for row in rows]),
        groups=np.array([group_of(row["patient"], row["slide"]) for row in rows]),
        sites=np.array([row["site"] for row in rows]),
    )
