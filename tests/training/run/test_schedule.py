"""A learning rate along a cosine: by epochs or by time, and the last weights are the result."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from tiny_run import RECIPE, STAGES, KilledError, killed_at, log_of, run, small

pytest.importorskip("keras")

from her2edge_training.network.networks import load_trained
from her2edge_training.run.limits import Best, Clock
from her2edge_training.run.schedule import cosine_rate

pytestmark = pytest.mark.usefixtures("fresh_session")
COSINE = replace(
    RECIPE, stages=(replace(STAGES[0], epochs=5),), cosine_warmup=2, norm_tiles=12, batch_norm_momentum=0.9
)


def test_it_rises_by_equal_steps_and_falls_to_nothing() -> None:
    rates = [cosine_rate(1.0, 3, epoch, 11, 0.0) for epoch in range(12)]
    assert rates[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert rates[7] == pytest.approx(0.5)
    assert rates[11] == pytest.approx(0.0, abs=1e-12)
    assert all(a > b for a, b in pairwise(rates[3:]))


def test_time_that_runs_out_before_the_epochs_takes_their_place() -> None:
    assert cosine_rate(1.0, 3, 4, 400, 0.5) == pytest.approx(0.5)
    assert cosine_rate(1.0, 3, 4, 400, 1.7) == pytest.approx(0.0, abs=1e-12)
    assert cosine_rate(1.0, 3, 1, 400, 0.9) == 0.5, "not in the warm-up"
    assert Clock(None, spent=1e9).share == 0
    assert Clock(1.0, spent=30.0).share == pytest.approx(0.5, abs=0.01)


def test_the_newest_result_is_the_stages_where_the_rate_ends_at_nothing() -> None:
    best = Best(last=True)
    assert [best.offer(accuracy, 1.0, epoch) for epoch, accuracy in enumerate((0.9, 0.5), start=1)] == [
        True
    ] * 2
    assert best.epoch == 2


def test_a_run_follows_it_and_ends_with_its_last_weights_and_norms_of_whole_tiles(
    tile_list: Path, tmp_path: Path
) -> None:
    result, lines = run(tile_list, tmp_path / "run", COSINE)
    rates = [row.learning_rate for row in log_of(result.run)]
    assert rates == pytest.approx([cosine_rate(1e-2, 2, epoch, 5, 0.0) for epoch in range(5)], rel=1e-5)
    assert "batch norms have the statistics of 8 whole training tiles" in lines, "one full batch of 8"
    model, kept = load_trained(result.model), small(COSINE, 64)
    kept.load_weights(result.run / "best.weights.h5")
    for mine, other in zip(model.trainable_weights, kept.trainable_weights, strict=True):
        np.testing.assert_array_equal(mine, other)
    norm, crops = model.get_layer("dense_bn"), kept.get_layer("dense_bn")
    assert not np.allclose(norm.moving_mean, crops.moving_mean)
    assert norm.momentum == 0.9


def test_killed_and_resumed_it_ends_as_if_it_had_not_been(tile_list: Path, tmp_path: Path) -> None:
    whole, _ = run(tile_list, tmp_path / "whole", COSINE)
    with pytest.raises(KilledError):
        run(tile_list, tmp_path / "killed", COSINE, opened=killed_at("append_log", 4))
    resumed, lines = run(tile_list, tmp_path / "killed", COSINE)
    assert "going on after epoch 3" in lines
    for name in ("predictions.csv", "metrics.json"):
        assert (resumed.run / name).read_bytes() == (whole.run / name).read_bytes()
