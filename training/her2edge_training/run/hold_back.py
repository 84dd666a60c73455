"""The part of a run that judges a conversion later: tiles that neither train, nor choose, nor score.

Tiles that chose the checkpoint look better than others, so the gate of `quantize` takes none of them. Where
the validation part has patients enough, half of them are held back for it, as the part "gate" of split.csv;
a smaller cohort brings other patients as `quantize --gate-data`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import replace

from her2edge.model.records import GATE_PATIENTS, Limits
from her2edge_training.cohort.split import SplitAssignment
from her2edge_training.cohort.tile_list import TileRecord
from her2edge_training.run.records import GATE

_TILES = Limits().tiles


def hold_back(assignment: SplitAssignment) -> SplitAssignment:
    """Half of the validation part, patient by patient (of a tile-random split tile by tile), class by class.

    The same assignment where the half would have fewer than GATE_PATIENTS patients, or either half lack a
    class of the part. The same seed and tiles give the same half.
    """
    validation = assignment.select("validation")
    of_tiles = assignment.protocol == "tile-random"
    unit = {record.tile: record.tile if of_tiles else record.group for record in validation}
    labels = {unit[record.tile]: record.label for record in validation}
    ordered = sorted(labels, key=lambda one: (labels[one], _shuffled(assignment.seed, one)))
    held = {one for number, one in enumerate(ordered) if number % 2}
    judging = [record for record in validation if unit[record.tile] in held]
    choosing = [record for record in validation if unit[record.tile] not in held]
    if _patients(judging) < GATE_PATIENTS or _classes(judging) != _classes(choosing):
        return assignment
    tiles = {record.tile for record in judging}
    parts = (
        GATE if record.tile in tiles else part
        for record, part in zip(assignment.records, assignment.parts, strict=True)
    )
    return replace(assignment, parts=tuple(parts))


def gate_line(assignment: SplitAssignment) -> str:
    """What the gate will ask for, what is held back for it, and what is to be brought beside that."""
    held = assignment.select(GATE)
    tiles, patients = len(held), _patients(held)
    asked = f"the gate of quantize will ask for {_TILES} tiles of {GATE_PATIENTS} patients that chose nothing"
    if tiles >= _TILES and patients >= GATE_PATIENTS:
        return f"{asked}: {tiles} tiles of {patients} patients are held back for it"
    more = max(GATE_PATIENTS - patients, 0) or math.ceil((_TILES - tiles) * GATE_PATIENTS / _TILES)
    each = math.ceil((_TILES - tiles) / more)
    here = f"{tiles} tiles of {patients} patients are held back" if held else "none can be held back here"
    return (
        f"{asked}: {here}, so have {more} other patients ready with {each} tiles of each, as slides or tiles "
        "without labels (quantize --gate-data)"
    )


def _shuffled(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}\n{name}".encode(errors="surrogateescape")).hexdigest()


def _patients(records: Iterable[TileRecord]) -> int:
    return len({record.group for record in records})


def _classes(records: Iterable[TileRecord]) -> set[str]:
    return {record.label for record in records}
