"""Threads and memory follow the machine where nobody says; they, and a tile cache, change no batch."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tiny_run import RECIPE, log_of, run
from training_data import write_cohort

from her2edge.errors import OptionError, OutputError
from her2edge_training.cohort.stores import Stores
from her2edge_training.cohort.tile_list import LABELS, TileList
from her2edge_training.network.sequence import TileSequence
from her2edge_training.recipe import Stain
from her2edge_training.run import loading
from her2edge_training.run.epochs import EpochWatch
from her2edge_training.run.errors import TrainingDivergedError
from her2edge_training.run.loading import Loading, free_memory_mib
from her2edge_training.run.options import TrainOptions


def test_threads_and_memory_follow_the_machine_unless_they_are_given() -> None:
    assert Loading.of(TrainOptions(), cores=3, free_mib=1001) == Loading(3, 500)
    assert Loading.of(TrainOptions(), cores=64, free_mib=0) == Loading(16, 0)
    assert Loading.of(TrainOptions(workers=40, cache_mib=7), cores=3, free_mib=1000) == Loading(40, 7)
    assert str(Loading(1, 500)) == "1 thread for batches, up to 500 MiB of memory for tiles"
    with pytest.raises(OptionError, match="found cache_mib=-1"):
        TrainOptions(cache_mib=-1)


def test_free_memory_is_the_systems_or_what_a_container_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mib = 2**20
    (tmp_path / "meminfo").write_text("MemTotal: 9999999 kB\nMemAvailable:    614400 kB\n")
    (tmp_path / "max").write_text(f"{700 * mib}\n")
    (tmp_path / "used").write_text(f"{200 * mib}\n")
    (tmp_path / "none").write_text("max\n")
    monkeypatch.setattr(loading, "_MEMINFO", tmp_path / "meminfo")
    for limit, expected in (("max", 500), ("none", 600), ("not there", 600)):
        monkeypatch.setattr(loading, "_CGROUPS", ((tmp_path / limit, tmp_path / "used"),))
        assert free_memory_mib() == expected


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("kept", ["memory", "nothing", "cache", "full cache"])
def test_batches_are_the_same_whatever_makes_and_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, kept: str
) -> None:
    records = TileList.read(write_cohort(tmp_path, slides=2, tiles=2)).records

    def batches(stores: Stores, workers: int) -> list[Any]:
        sequence = TileSequence(
            records, LABELS, stores.of(Stain()), tile_px=32, batch=4, training=True, seed=3,
            augmentations=("flip", "rotate90"), workers=workers,
        )  # fmt: skip
        made = []
        for sequence.epoch in range(3):
            made += [part for index in range(len(sequence)) for part in sequence[index]]
        return made

    expected = batches(Stores(100), 1)
    if kept == "full cache":
        monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    stores = Stores(100 if kept == "memory" else 0, cache=tmp_path / "cache" if "cache" in kept else None)
    for one, other in zip(batches(stores, workers), expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_session")
def test_a_run_with_a_cache_is_the_run_without_and_the_next_decodes_nothing(
    tile_list: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from her2edge_training.network.backend import keras

    plain, lines = run(tile_list, tmp_path / "plain", epochs_limit=1, cache_mib=0)
    assert any("decoded in every epoch unless --cache" in line for line in lines)
    for number, said in enumerate(("holds 0 of 36 tiles", "holds 36 of 36 tiles")):
        keras.backend.clear_session()
        cached, lines = run(tile_list, tmp_path / f"run{number}", epochs_limit=1, cache=tmp_path / "cache")
        assert any(line.startswith(f"tile cache: {said}") for line in lines)
        for name in ("predictions.csv", "split.csv", "recipe.json"):
            assert (cached.run / name).read_bytes() == (plain.run / name).read_bytes()
    keras.backend.clear_session()
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    full, lines = run(tile_list, tmp_path / "full", epochs_limit=1, cache=tmp_path / "other", workers=1)
    assert sum("training goes on" in line for line in lines) == 1
    assert [row.loss for row in log_of(full.run)] == [row.loss for row in log_of(plain.run)]
    assert (full.run / "recipe.json").read_bytes() == (plain.run / "recipe.json").read_bytes()


def test_a_cache_that_cannot_be_is_refused_before_anything_is_read(tile_list: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="tile cache file: found a file, expected a folder"):
        run(tile_list, tmp_path / "run", RECIPE, cache=tmp_path / "file")
    assert not (tmp_path / "run").exists()


# ---- losses


class OnDevice:
    """A loss of which the host asks for the number."""

    asked = 0

    def __init__(self, loss: float) -> None:
        self.loss = loss

    def __float__(self) -> float:
        OnDevice.asked += 1
        return self.loss


def watched(reports: list[str]) -> EpochWatch:
    """The watch of a stage whose second epoch begins."""
    stage: Any = SimpleNamespace(number=1, first_epoch=0, sequence=[None] * 5, report=reports.append)
    return EpochWatch(stage, epochs_done=1)


def test_losses_stay_on_the_device_until_the_steps_of_an_epoch_end() -> None:
    watch, OnDevice.asked = watched([]), 0
    for batch, loss in enumerate((1.0, 0.5, float("nan"), float("nan"), float("nan"))):
        watch.on_train_batch_end(batch, {"loss": OnDevice(loss)})
    assert OnDevice.asked == 0
    with pytest.raises(TrainingDivergedError, match=r"became nan in stage 1, epoch 2, batch 3"):
        watch.on_test_begin()


def test_a_long_epoch_is_told_of_and_looked_at_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[str] = []
    watch = watched(reports)
    for batch in range(2):
        watch.on_train_batch_end(batch, {"loss": OnDevice(0.5)})
    monkeypatch.setattr("her2edge_training.run.epochs._REPORT_SECONDS", -1.0)
    watch.on_train_batch_end(2, {"loss": OnDevice(0.25)})
    assert reports[0].startswith("stage 1 epoch 2: batch 3 of 5, loss 0.250, ")
    with pytest.raises(TrainingDivergedError, match="became inf in stage 1, epoch 2, batch 4"):
        watch.on_train_batch_end(3, {"loss": OnDevice(float("inf"))})
