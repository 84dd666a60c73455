"""The card says where training began, and no folder of anybody's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from msgspec.structs import replace as changed

from her2edge_quantize.model_file.card import start_weights
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
