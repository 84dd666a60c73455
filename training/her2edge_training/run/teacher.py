"""A teacher: a model file or a finished run whose answers a student learns, on crops of any size."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec import UNSET, UnsetType
from msgspec.structs import replace
from numpy.typing import NDArray

from her2edge.errors import MissingInputError, OptionError
from her2edge.files import look, sha256_of
from her2edge.model.file import Model
from her2edge.model.patients import TrainingPatients
from her2edge.stain.mode import StainMode
from her2edge.text import shown
from her2edge.tile import Pixels
from her2edge.tissue import TissueFilter
from her2edge_training.cohort.split import SplitAssignment
from her2edge_training.recipe import Recipe, Stain
from her2edge_training.run.former_model import learnt_from
from her2edge_training.run.records import GATE, TaughtBy
from her2edge_training.run.trained import TrainedRun
from her2edge_training.synthetic import SITES

EXPECTED = "a teacher: a model file made by `her2edge quantize`, or the folder of a finished training run"
_SCALE_TOLERANCE = 0.05  # share, as for tiles

Answer = Callable[[Pixels], NDArray[np.float32]]
"""(n, t, t, 3) uint8 RGB network inputs in, (n, classes) float32 logits out; may be called by threads."""


@dataclass(frozen=True, eq=False)
class Teacher:
    """What a student must have in common with its teacher, whom that learnt from, and its answers.

    sha256: of the whole model file, or of the run's model.keras. tissue: the rule it was trained behind.
    temperature: of its own probabilities, 1 for a run.
    open: its answers to crops of this side in pixels, by this many threads at a time.
    """

    name: str
    sha256: str
    demo: bool
    labels: tuple[str, ...]
    tile_px: int
    mpp: float
    stain: Stain
    tissue: TissueFilter
    patients: TrainingPatients | UnsetType
    open: Callable[[int, int], Answer]
    temperature: float = 1.0

    def refuse_other_student(self, recipe: Recipe) -> None:
        """Raise OptionError where a student by this recipe would read other tiles or say other labels."""
        same = {
            "labels": self.labels == recipe.labels,
            "tile size": self.tile_px == recipe.tile_px,
            "um per pixel": abs(self.mpp / recipe.mpp - 1) <= _SCALE_TOLERANCE,
            "stain mode": self.stain.mode == recipe.stain.mode,
            "stain profile": self.stain.mode is StainMode.OFF or self.stain.profile == recipe.stain.profile,
        }
        other = [name for name, equal in same.items() if not equal]
        if other:
            raise OptionError(
                f"found a teacher of another {', '.join(other)} ({', '.join(map(shown, self.labels))}; "
                f"{self.tile_px} px at {self.mpp:g} um per pixel; stains {self.stain.mode}) than the student "
                f"({', '.join(recipe.labels)}; {recipe.tile_px} px at {recipe.mpp:g}; {recipe.stain.mode}), "
                "expected the same: `her2edge recipe NAME > my.py` prints a recipe to change"
            )


def read_teacher(path: str | Path) -> Teacher:
    """Read a model file, whoever signed it (it is run on no patient's slide here), or a finished run.

    Raises MissingInputError where nothing is there, ModelError for a file that is not what was packed,
    OptionError for stains that no recipe has, RunFolderError for a run that is damaged or not finished.
    """
    path = Path(path)
    kind = look(path, EXPECTED, OptionError)
    if kind is None:
        raise MissingInputError(f"nothing at {path}, expected {EXPECTED}")
    return _of_file(path) if kind == "file" else _of_run(path)


def _of_file(path: Path) -> Teacher:
    model = Model.load(path, trust="anyone")
    manifest = model.manifest

    def answers(tile_px: int, threads: int) -> Answer:
        from her2edge.runtime import CropRuntime, Pool

        pool = Pool([CropRuntime(model, 1, tile_px) for _ in range(threads)])
        return lambda pixels: np.stack([pool.logits(tile) for tile in pixels])

    return Teacher(
        name=f"{manifest.name} {manifest.version}",
        sha256=model.sha256,
        demo=manifest.demo,
        labels=manifest.labels,
        tile_px=model.tile_px,
        mpp=model.mpp,
        stain=Stain(model.stain_mode, manifest.stain.profile),
        tissue=model.tissue_filter,
        patients=manifest.training_patients,
        open=answers,
        temperature=manifest.temperature,
    )


def _of_run(path: Path) -> Teacher:
    run = TrainedRun.read(path)
    recipe = run.recipe
    synthetic = tuple(f"-{site.name}" for site in SITES)
    groups = {row.group for row in run.split if row.part not in ("test", GATE)}

    def answers(tile_px: int, _threads: int) -> Answer:
        from her2edge_training.network.networks import load_trained
        from her2edge_training.network.resized import resized

        network, one = resized(load_trained(run.network), tile_px), threading.Lock()

        def ask(pixels: Pixels) -> NDArray[np.float32]:
            with one:  # Keras networks are not for two threads
                return np.asarray(network.predict_on_batch(pixels.astype(np.float32)), np.float32)

        return ask

    return Teacher(
        name=recipe.name,
        sha256=sha256_of(run.network),
        demo=any(row.slide.endswith(synthetic) for row in run.split),
        labels=recipe.labels,
        tile_px=recipe.tile_px,
        mpp=recipe.mpp,
        stain=recipe.stain,
        tissue=TissueFilter(share=recipe.max_background_share),
        patients=TrainingPatients.of(run.environment.tile_list_sha256, groups),
        open=answers,
    )


@dataclass(frozen=True, eq=False)
class Lesson:
    """A teacher and the temperature at which its answers are learnt, 0.001..1000, or OptionError."""

    teacher: Teacher
    temperature: float = 4.0

    def __post_init__(self) -> None:
        if not 1e-3 <= self.temperature <= 1e3:
            raise OptionError(f"found temperature={self.temperature}, expected 0.001 to 1000; 4 is usual")

    def record(self, unlabelled: int, background: int) -> TaughtBy:
        """For environment.json; numbers of tiles, as `TaughtBy` has them."""
        teacher = self.teacher
        return TaughtBy(
            teacher=teacher.name,
            teacher_sha256=teacher.sha256,
            demo=teacher.demo,
            temperature=self.temperature,
            unlabelled=unlabelled,
            background=background,
            patients=teacher.patients,
        )

    def refuse_leak(self, assignment: SplitAssignment) -> None:
        """Raise OptionError where the test part, or that of the gate, has a patient whom the teacher learnt
        from: it has learnt these answers, and agreement with it would be flattered. The validation part may:
        it scores nothing."""
        scored = (*assignment.select("test"), *assignment.select(GATE))
        crossing = learnt_from(scored, self.teacher.patients)
        if crossing:
            raise OptionError(
                f"found {len(crossing)} patients to score whom the teacher learnt from (first "
                f"{crossing[0]}), expected none: use other slides, or split as the teacher's run did (its "
                f"seed and shares)"
            )

    def words(self) -> list[str]:
        """Who teaches, how, and a warning where the teacher does not say whom it learnt from."""
        teacher = self.teacher
        who = f"{shown(teacher.name)}, SHA-256 {teacher.sha256[:12]}, temperature {self.temperature:g}"
        lines = [f"teacher: {who}; loss: divergence from its answers, accuracy: share of its classes"]
        if teacher.patients is UNSET or teacher.patients.others is not UNSET:
            lines.append(
                "warning: the teacher does not say, or not in full, which patients it learnt from: that none "
                "of them is scored here could not be checked"
            )
        return lines

    def named(self, recipe: Recipe) -> Recipe:
        """The recipe under a name of its own: nothing pools a student with a network that learnt labels."""
        name = f"{recipe.name}+teacher={self.teacher.sha256[:8]}+temperature={self.temperature:g}"
        return replace(recipe, name=name)
