"""A student beside its teacher: two more figures of the gate, none of which replaces the one beside float32.

    (a) the conversion beside the student's own float network: `verdict.judge`, as of every network
    (b) the conversion beside the teacher on tiles that judge: the same rules, on slides enough
    (c) how often the two agree where the teacher is unsure, or on tissue between classes (`--unsure-data`),
        beside the teacher on the same tiles turned by 90 degrees, and how large both make each class

(b) is blind where the teacher is sure of nearly every tile. Every student of a trial made the class in the
middle smaller, which (b) did not see: so (c) is asked for as well.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from her2edge.errors import ModelError, OptionError
from her2edge.model.records import Limits, Verdict
from her2edge.model.slide_records import DistilledFrom, StudentLimits, Unsure
from her2edge.probability import probabilities
from her2edge.text import shown
from her2edge_quantize.gate.gate_store import gate_inputs
from her2edge_quantize.gate.held_out import HeldOut
from her2edge_quantize.gate.reference import keep_answers, reference_key
from her2edge_quantize.gate.verdict import judge
from her2edge_quantize.options import Report
from her2edge_training.cohort.tile_list import TileListError, TileRecord
from her2edge_training.evaluation.intervals import share_interval
from her2edge_training.run.former_model import learnt_from
from her2edge_training.run.predictions import Predictions
from her2edge_training.run.teacher import Teacher, read_teacher
from her2edge_training.run.trained import TrainedRun

Logits = NDArray[np.float32]
THREADS = 2


def teacher_of(run: TrainedRun, path: Path | None) -> Teacher | None:
    """The teacher of a student's run; None for a run that learnt labels.

    Raises OptionError where a student has none given, or a teacher is given for another run; ModelError where
    it is not the one that taught; and what `read_teacher` raises.
    """
    taught_by = run.environment.taught_by
    if not isinstance(taught_by, msgspec.Struct):
        if path is not None:
            raise OptionError("found a teacher for a run that learnt from labels, expected none")
        return None
    who = f"{shown(taught_by.teacher)} (SHA-256 {taught_by.teacher_sha256[:12]})"
    if path is None:
        raise OptionError(
            f"found the run of a student, whose gate also needs its teacher, expected {who}: pass --teacher"
        )
    teacher = read_teacher(path)
    if teacher.sha256 != taught_by.teacher_sha256:
        raise ModelError(
            f"{path.name}: found another teacher ({shown(teacher.name)}, SHA-256 {teacher.sha256[:12]}), "
            f"expected the one that taught: {who}"
        )
    return teacher


def refuse_pupils(tiles: tuple[TileRecord, ...], teacher: Teacher) -> None:
    """Raise TileListError where the teacher learnt from a patient whose tiles are to judge."""
    known = learnt_from(tiles, teacher.patients)
    if known:
        raise TileListError(
            f"found {len(known)} patients for the gate whom the teacher learnt from (first {known[0]}), "
            "expected other patients: on these the student would agree too well"
        )


@dataclass(frozen=True, eq=False)
class School:
    """What the teacher says of the tiles that judge, and of `unsure` tissue; arrays of n tiles.

    logits: (n, classes); turned: of the same tiles, a quarter turn; NaN where it was not asked.
    judges, unsure: (n,) which tiles are for (b), and for (c).
    """

    teacher: Teacher
    reference: Predictions
    turned: Logits
    judges: NDArray[np.bool_]
    unsure: NDArray[np.bool_]
    below: NDArray[np.bool_]

    def beside(
        self, student: Logits, temperature: float, limits: Limits, own: StudentLimits
    ) -> tuple[Verdict, Unsure]:
        """(b) and (c) of a student's (n, classes) logits, without their reasons."""
        verdict = judge(self.reference, student, temperature, limits, self.judges)
        return verdict, self._unsure(student, own)

    def _unsure(self, student: Logits, limits: StudentLimits) -> Unsure:
        here, labels = self.unsure, len(self.reference.labels)
        own = self.reference.only(here)
        taught, given, turned = (
            rows[here].argmax(axis=1) for rows in (self.reference.logits, student, self.turned)
        )
        agree = taught == given
        return Unsure(
            tiles=len(agree),
            slides=len({*zip(own.groups.tolist(), own.slides.tolist(), strict=True)}),
            below=int(np.count_nonzero(self.below & here)),
            agree=int(np.count_nonzero(agree)),
            interval=share_interval(agree, own.groups) if len(agree) else (0.0, 1.0),
            turned=int(np.count_nonzero(taught == turned)),
            teacher_classes=tuple(np.bincount(taught, minlength=labels).tolist()),
            classes=tuple(np.bincount(given, minlength=labels).tolist()),
            limits=limits,
        )


def ask_teacher(
    teacher: Teacher,
    run: TrainedRun,
    held: HeldOut,
    labels: Predictions,
    limits: StudentLimits,
    report: Report,
) -> School:
    """Ask the teacher of the tiles that judge and of unsure tissue; what it said before is kept in the run.

    labels: n held-out tiles with labels, slides and patients, in their order.
    """
    asked = held.judges | held.unsure_tiles
    records = tuple(record for record, one in zip(held.records, asked, strict=True) if one)
    report(f"the teacher reads {len(records)} held-out tiles")
    straight = _answers(teacher, run, records, turned=False)
    logits = np.full_like(labels.logits, np.nan)
    logits[asked] = straight
    sure = probabilities(straight, teacher.temperature).max(axis=1) >= limits.sure
    below = np.zeros(len(asked), bool)
    below[asked] = ~sure
    unsure = held.unsure_tiles | (held.judges & below)
    again = tuple(record for record, one in zip(held.records, unsure, strict=True) if one)
    turned = np.full_like(logits, np.nan)
    turned[unsure] = _answers(teacher, run, again, turned=True)
    logits[~asked] = labels.logits[~asked]  # of tiles that judge nothing: not looked at
    return School(teacher, replace(labels, logits=logits), turned, held.judges, unsure, below)


def _answers(teacher: Teacher, run: TrainedRun, records: tuple[TileRecord, ...], *, turned: bool) -> Logits:
    """(n, classes) float32 logits of whole tiles, as they are or a quarter turn of each."""
    classes = len(teacher.labels)
    if not records:
        return np.empty((0, classes), np.float32)
    key = reference_key(run, records)
    if key is not None:
        key = hashlib.sha256(f"{key} {teacher.sha256} {turned}".encode()).hexdigest()[:16]
        kept = run.folder.reference(key, len(records), classes)
        if kept is not None:
            return kept
    answer = teacher.open(run.recipe.tile_px, THREADS)
    turn = (lambda tile: np.ascontiguousarray(np.rot90(tile))) if turned else (lambda tile: tile)
    tiles = gate_inputs(records, run.recipe)
    logits = np.concatenate([answer(turn(tile)[np.newaxis]) for tile in tiles])
    if key is not None:
        keep_answers(run.folder, key, logits)
    return logits


def distilled(base: DistilledFrom, verdict: Verdict, unsure: Unsure) -> DistilledFrom:
    """What the manifest says of the teacher, with both figures."""
    return msgspec.structs.replace(base, beside_teacher=verdict, unsure=unsure)
