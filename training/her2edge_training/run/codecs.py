"""The bytes of a run's tables and JSON files, from records and back. Each raises ValueError for damage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, fields
from typing import Any, TypeVar

from her2edge.files import parse_json
from her2edge.tables import csv_bytes, read_csv
from her2edge_training.cohort.screen import Unreadable
from her2edge_training.cohort.store import Checked
from her2edge_training.recipe import PROTOCOLS
from her2edge_training.run.records import RUN_PARTS, Environment, Epoch, Metrics, SplitRow

Record = TypeVar("Record", SplitRow, Epoch, Checked, Unreadable)

_FORMATS = dict.fromkeys(("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"), ".6g") | {
    "seconds": ".1f"
}  # of the log


def columns_of(kind: type[Any]) -> tuple[str, ...]:
    """The columns of a record's table are its fields."""
    return tuple(field.name for field in fields(kind))


def table_bytes(kind: type[Record], rows: Iterable[Record]) -> bytes:
    """A table of records as CSV."""
    return csv_bytes(columns_of(kind), map(astuple, rows), _FORMATS)


def read_table(kind: type[Record], data: bytes) -> tuple[Record, ...]:
    """Records of `table_bytes`; raises ValueError for a cell that is no number where one belongs."""
    kinds = {field.name: _KINDS[str(field.type)] for field in fields(kind)}
    return tuple(
        kind(**{name: own(row[name]) for name, own in kinds.items()}) for row in read_csv(data, tuple(kinds))
    )


_KINDS: dict[str, type[Any]] = {"str": str, "int": int, "float": float}  # as annotations are written


def read_split(data: bytes) -> tuple[SplitRow, ...]:
    """split.csv: each tile once, in a part that there is."""
    rows = read_table(SplitRow, data)
    if len({row.tile for row in rows}) != len(rows):
        raise ValueError("found a tile twice")
    unknown = {row.part for row in rows} - set(RUN_PARTS)
    if unknown:
        raise ValueError(f"found part {min(unknown)!r}, expected one of {', '.join(RUN_PARTS)}")
    return rows


def log_lines(data: bytes, epochs: int) -> bytes:
    """The log's heading and its first `epochs` epochs: a line that was being written may be torn."""
    return b"".join(data.splitlines(keepends=True)[: 1 + epochs])


def read_metrics(data: bytes) -> Metrics:
    """metrics.json, its numbers those of as many classes as it has labels."""
    metrics = parse_json(data, Metrics)
    if metrics.protocol not in PROTOCOLS:
        raise ValueError(f"found protocol {metrics.protocol!r}, expected one of {', '.join(PROTOCOLS)}")
    for score in (metrics.validation, metrics.test):
        sides: Sequence[Sequence[object]] = (score.per_class, score.recall, *score.confusion, score.confusion)
        if {len(side) for side in sides} != {len(metrics.labels)}:
            raise ValueError(f"found scores of other classes than {', '.join(metrics.labels)}")
    return metrics


def read_environment(data: bytes) -> Environment:
    """environment.json."""
    return parse_json(data, Environment)
