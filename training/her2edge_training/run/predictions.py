"""RUN/predictions.csv: what the trained network says of every held-out tile, for every later score.

Columns: part, tile, slide, patient, site, label, and a logit for each label, as text that gives the same
float32 back.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import MissingInputError, ModelError
from her2edge.tables import defused, restored
from her2edge_training.cohort.tile_list import TileRecord, group_of

_COLUMNS = ("part", "tile", "slide", "patient", "site", "label")


@dataclass(frozen=True, eq=False)
class Predictions:
    """One part of a run, n tiles.

    labels: (classes,) names. actual: (n,) int class index. logits: (n, classes) float32.
    slides, groups, sites: (n,) str; groups are what a split keeps together, patients or slides.
    """

    labels: tuple[str, ...]
    actual: NDArray[np.int64]
    logits: NDArray[np.float32]
    slides: NDArray[np.str_]
    groups: NDArray[np.str_]
    sites: NDArray[np.str_]


def with_features(model: Any) -> Any:
    """The network with its pooled features as a second output, for `predict`."""
    from her2edge_training.network.backend import keras

    return keras.Model(model.inputs, [model.outputs[0], model.get_layer("pool").output])


def predict(both: Any, sequence: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(n, classes) logits and (n, channels) pooled features, float32, of a TileSequence in its order.

    both: `with_features` of a network, made once: it is compiled once, then.
    """
    from her2edge_training.cohort.dataset import typed_errors

    with typed_errors(sequence):
        found = both.predict(sequence, verbose=0)
    n = len(sequence.records)  # what fills up the last batch is left out
    logits, pooled = (np.asarray(rows[:n], dtype=np.float32) for rows in found)
    return logits, pooled


def prediction_rows(
    part: str, records: Sequence[TileRecord], logits: NDArray[np.float32]
) -> list[tuple[str, ...]]:
    """Rows of the table for one part."""
    return [
        (part, *(defused(getattr(record, name)) for name in _COLUMNS[1:]), *(f"{x:.9g}" for x in row))
        for record, row in zip(records, logits, strict=True)
    ]


def predictions_csv(rows: Iterable[Sequence[str]], labels: Sequence[str]) -> bytes:
    """The table's bytes."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*_COLUMNS, *(f"logit {label}" for label in labels)))
    writer.writerows(rows)
    return text.getvalue().encode()


def read_predictions(run: Path, part: str, labels: tuple[str, ...]) -> Predictions:
    """Read one part back; raises MissingInputError, or ModelError where the table is damaged."""
    path = run / "predictions.csv"
    if not path.is_file():
        raise MissingInputError(f"{run.name}: found no predictions.csv, expected a finished training run")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["part"] == part]
        logits = [[float(row[f"logit {label}"]) for label in labels] for row in rows]
        actual = [labels.index(row["label"]) for row in rows]
        columns = {name: [restored(row[name]) for row in rows] for name in ("slide", "patient", "site")}
    except (KeyError, ValueError, TypeError, UnicodeDecodeError, csv.Error) as error:
        raise ModelError(f"{run.name}/predictions.csv cannot be read ({error!r}): train again") from error
    if not rows:
        raise ModelError(f"{run.name}/predictions.csv has no tile of the {part} part: train again")
    groups = [group_of(p, s) for p, s in zip(columns["patient"], columns["slide"], strict=True)]
    return Predictions(
        labels=labels,
        actual=np.array(actual, dtype=np.int64),
        logits=np.array(logits, dtype=np.float32),
        slides=np.array(columns["slide"]),
        groups=np.array(groups),
        sites=np.array(columns["site"]),
    )
