"""What the files of a run folder hold, as frozen records. Needs no Keras."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from msgspec import UNSET, UnsetType

from her2edge.model.patients import TrainingPatients
from her2edge.model.records import Scheme
from her2edge_training.cohort.split import PARTS, SplitAssignment
from her2edge_training.cohort.tile_list import group_of

GATE = "gate"  # the part that `hold_back` makes
RUN_PARTS = (*PARTS, GATE)


@dataclass(frozen=True, slots=True)
class SplitRow:
    """A row of split.csv: a tile and the part it is in, one of RUN_PARTS."""

    tile: str
    slide: str
    patient: str
    label: str
    part: str

    @property
    def group(self) -> str:
        """As `TileRecord.group`."""
        return group_of(self.patient, self.slide)


def split_rows(assignment: SplitAssignment) -> tuple[SplitRow, ...]:
    """What split.csv says of an assignment: one row per tile in the tile list's order."""
    return tuple(
        SplitRow(record.tile, record.slide, record.patient, record.label, part)
        for record, part in zip(assignment.records, assignment.parts, strict=True)
    )


@dataclass(frozen=True, slots=True)
class Epoch:
    """A row of log.csv. epoch, stage: from 1; tile_px: side of its crops; losses: cross entropy, nats; of a
    student the divergence from its teacher, and accuracy the share of its teacher's classes.

    learning_rate: at its beginning; seconds: it took.
    """

    epoch: int
    stage: int
    tile_px: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    learning_rate: float
    seconds: float


class Score(msgspec.Struct, frozen=True):
    """Tile-level result of one part.

    accuracy:  share of tiles whose most probable class is right, 0..1.
    tiles, slides, patients: numbers; patients counts the slides that name no patient as one each.
    per_class: tiles of each actual class, in label order; recall the same, share found.
    confusion: confusion[a][p] tiles of actual class a predicted as p.
    """

    accuracy: float
    tiles: int
    slides: int
    patients: int
    per_class: tuple[int, ...]
    recall: tuple[float, ...]
    confusion: tuple[tuple[int, ...], ...]


class Metrics(msgspec.Struct, frozen=True):
    """metrics.json, which a run writes last. protocol: of recipe.PROTOCOLS."""

    recipe: str
    protocol: str
    labels: tuple[str, ...]
    tile_px: int
    epochs: int
    left_out_as_background: int
    validation: Score
    test: Score


class FormerFile(msgspec.Struct, frozen=True, kw_only=True):
    """The model file that a training began with, by its manifest. patients: unset: it does not say."""

    name: str
    version: str
    scheme: Scheme
    patients: TrainingPatients | UnsetType = UNSET


class StartedFrom(msgspec.Struct, frozen=True):
    """The former run whose best weights a training began with, or the model file.

    recipe: by which those were trained. seconds: that one's epochs took; 0 where a model file does not say.
    weights_sha256: of best.weights.h5, or of the whole model file. model_file: unset: it was a run.
    """

    recipe: str
    seconds: float
    weights_sha256: str
    model_file: FormerFile | UnsetType = UNSET

    @property
    def states_patients(self) -> bool:
        """Whether it is known of whom these weights learnt: a run always tells, a model file may not."""
        if self.model_file is UNSET:
            return True
        patients = self.model_file.patients
        return patients is not UNSET and patients.others is UNSET


class TaughtBy(msgspec.Struct, frozen=True, kw_only=True):
    """The teacher whose answers a student learnt.

    teacher: name and version of a model file, recipe of a run. teacher_sha256: of the whole file, or of the
    run's model.keras. demo: it knows synthetic tissue only. temperature: of both softmaxes of the loss.
    unlabelled: tiles of all parts whose label is the teacher's answer. background: tiles that the teacher
    calls background, left out. patients: whom the teacher learnt from; unset: it does not say.
    """

    teacher: str
    teacher_sha256: str
    demo: bool
    temperature: float
    unlabelled: int
    background: int
    patients: TrainingPatients | UnsetType = UNSET


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """environment.json: what a run was made with; no host name and no absolute path.

    packages: versions, None where one is not installed. devices: as Keras names them. label_from: numbers of
    tiles by what says their label, unset where the list does not say. begun: the day, UTC; older runs do not
    say. taught_by: unset: it learnt from labels.
    """

    packages: dict[str, str | None]
    python: str = ""
    system: str
    backend: str
    devices: tuple[str, ...] = ()
    precision: str = msgspec.field(name="float", default="float32")
    seed: int = 0
    tile_list_sha256: str = msgspec.field(name="manifest_sha256")
    weights_sha256: str | None = None
    started_from: StartedFrom | None = None
    label_from: dict[str, int] | UnsetType = UNSET
    begun: datetime.date | UnsetType = UNSET
    taught_by: TaughtBy | UnsetType = UNSET

    def essence(self) -> Environment:
        """Without what may differ between two processes of a run, which moves last digits of numbers."""
        return msgspec.structs.replace(self, packages={}, python="", system="", devices=(), begun=UNSET)


@dataclass(frozen=True)
class Progress:
    """Where a run stands after an epoch; part of checkpoint.npz.

    stage, stage_epochs: the stage (from 1) and its epochs done; epochs: those of the run.
    seconds, stage_seconds: spent so far, of a time limit that goes on counting.
    best_rank, best_epoch: as in `limits.Best`; best, wait, cooldown: of ReduceLROnPlateau.
    """

    stage: int
    stage_epochs: int
    epochs: int
    seconds: float
    stage_seconds: float
    best_rank: tuple[float, float]
    best_epoch: int
    best: float
    wait: int
    cooldown: int


def crossing_groups(rows: Sequence[SplitRow]) -> list[str]:
    """Patients and slides that stand in two parts, sorted."""
    parts: dict[str, set[str]] = {}
    for row in rows:
        for group in (row.group, f"slide:{row.slide}"):
            parts.setdefault(group, set()).add(row.part)
    return sorted(group for group, own in parts.items() if len(own) > 1)
