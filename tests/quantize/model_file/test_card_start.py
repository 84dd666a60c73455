"""The card says where training began, and no folder of anybody's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import UNSET, UnsetType
from msgspec.structs import replace as changed

from her2edge.model.patients import TrainingPatients
from her2edge_quantize.model_file.card import start_weights, training_text
from her2edge_quantize.model_file.describe import describe
from her2edge_training.run.records import FormerFile, StartedFrom
from her2edge_training.run.trained import TrainedRun

FIRST = Path(__file__).resolve().parents[2] / "data" / "first" / "run"


@pytest.mark.parametrize(
    ("weights", "digest", "says"),
    [
        (None, None, "random"),
        ("imagenet", "ab12", "imagenet, file with SHA-256 ab12"),
        ("imagenet", None, "imagenet"),  # of a run of before the hash was kept
        ("/home/me/own.h5", "ab12", "file with SHA-256 ab12"),
        ("/home/me/own.h5", None, "own.h5"),
    ],
)
def test_the_start_of_training_is_named(weights: str | None, digest: str | None, says: str) -> None:
    run = TrainedRun.read(FIRST)
    environment = changed(run.environment, weights_sha256=digest)
    recipe = changed(run.recipe, weights=weights)
    assert start_weights(replace(run, environment=environment, recipe=recipe)) == says


def test_the_card_says_where_labels_are_from() -> None:
    run = TrainedRun.read(FIRST)
    assert training_text(run).endswith("; the tile list does not say where its labels are from.")
    environment = changed(run.environment, label_from={"slide_folder": 36})
    text = training_text(replace(run, environment=environment))
    assert text.endswith("labels: 36 tiles from the class of their slide's folder (weak, tumour or not).")


@pytest.mark.parametrize(("patients", "unknown"), [(UNSET, True), (TrainingPatients.of("s", ["x"]), False)])
def test_a_start_from_a_model_file_is_named_and_its_patients_are_passed_on(
    patients: TrainingPatients | UnsetType, unknown: bool
) -> None:
    run = TrainedRun.read(FIRST)
    file = FormerFile(name="lab", version="1.2", scheme="int8", patients=patients)
    former = StartedFrom("demo_se_resnet50", 9.0, "ab12", file)
    begun = replace(run, environment=changed(run.environment, started_from=former))
    says = start_weights(begun)
    assert says.startswith(
        "weights of the model file lab 1.2 (int8, recipe demo_se_resnet50, SHA-256 ab12), read"
    )
    assert ("does not say, or not in full, whom it learnt from" in says) == unknown
    known = describe("one", "1", False, "fp32", begun, None).training_patients
    own = describe("one", "1", False, "fp32", run, None).training_patients
    assert isinstance(known, TrainingPatients)
    assert isinstance(own, TrainingPatients)
    assert (known.others is not UNSET, own.others is not UNSET) == (unknown, False)
    assert known.hold("x") != unknown, "those of the file are the new model's too"
    learnt = [row.group for row in run.split if row.part == "train"]
    assert learnt
    assert all(known.hold(group) for group in learnt)
