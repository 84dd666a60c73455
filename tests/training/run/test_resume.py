"""A run that was killed goes on and ends as one that was not; one of another kind is left alone."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from tiny_run import RECIPE, log_of, run

from her2edge.errors import ModelError, OutputError, OutputWriteError
from her2edge_training.network.backend import keras
from her2edge_training.recipe import Plateau, Stage
from her2edge_training.run import checkpoint
from her2edge_training.run import epochs as watch
from her2edge_training.run.epochs import LOG_COLUMNS

pytestmark = pytest.mark.usefixtures("fresh_session")


class KilledError(BaseException):
    """Stands for kill -9: nothing catches it."""


@pytest.mark.parametrize(
    ("moment", "epoch"),
    [
        ("append_log", 2),
        *(pytest.param("append_log", epoch, marks=pytest.mark.slow) for epoch in (1, 4)),
        *(pytest.param("save_checkpoint", epoch, marks=pytest.mark.slow) for epoch in (1, 2, 4)),
    ],
)
def test_a_run_that_was_killed_goes_on_and_ends_as_one_that_was_not(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, epoch: int
) -> None:
    """Killed after an epoch's best weights, and just before its checkpoint."""
    whole, _ = run(manifest, tmp_path / "whole")
    real, calls = getattr(watch, moment), 0

    def dies(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls >= epoch:
            raise KilledError
        real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(watch, moment, dies)
        with pytest.raises(KilledError):
            run(manifest, tmp_path / "killed")
    assert not (tmp_path / "killed" / "metrics.json").exists()
    keras.backend.clear_session()
    resumed, lines = run(manifest, tmp_path / "killed")
    assert any(line.startswith("going on") for line in lines)
    for name in ("metrics.json", "predictions.csv", "split.csv", "recipe.json"):
        assert (resumed.run / name).read_bytes() == (whole.run / name).read_bytes(), name
    columns = [name for name in LOG_COLUMNS if name != "seconds"]
    for one, other in zip(log_of(resumed.run), log_of(whole.run), strict=True):
        assert [one[name] for name in columns] == [other[name] for name in columns]
    assert not (resumed.run / "checkpoint.npz").exists()


def test_a_disk_that_is_full_at_a_checkpoint_leaves_the_last_good_one_to_go_on_from(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, calls = b"", 0
    real = np.savez

    def fills_up(file: Any, **values: Any) -> None:
        nonlocal kept, calls
        calls += 1
        if calls == 4:  # the stage's beginning, epoch 1, epoch 2, and now
            kept = (tmp_path / "run" / "checkpoint.npz").read_bytes()
            file.write(b"half of it")
            raise OSError(errno.ENOSPC, "No space left on device")
        real(file, **values)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.np, "savez", fills_up)
        with pytest.raises(OutputWriteError, match=r"checkpoint\.npz: writing failed \(No space left"):
            run(manifest, tmp_path / "run")
    assert (tmp_path / "run" / "checkpoint.npz").read_bytes() == kept != b""
    assert not list((tmp_path / "run").glob(".partial*"))
    keras.backend.clear_session()
    resumed, lines = run(manifest, tmp_path / "run")
    assert "going on after epoch 2" in lines
    assert [row["epoch"] for row in log_of(resumed.run)] == ["1", "2", "3", "4", "5"]


def test_the_plateau_goes_on_where_it_was(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A learning rate that falls after two epochs without improvement, whichever of them came before."""
    stages = (Stage(tile_px=32, epochs=6, learning_rate=1e-9, batch=8),)
    recipe = replace(RECIPE, stages=stages, plateau=Plateau(factor=0.5, patience=2, minimum=1e-12))
    run(manifest, tmp_path / "whole", recipe)
    real = watch.save_checkpoint

    def dies(folder: Path, model: Any, progress: Any) -> None:
        real(folder, model, progress)
        if progress.epochs in (2, 4):
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(watch, "save_checkpoint", dies)
        for _ in range(2):
            with pytest.raises(KilledError):
                run(manifest, tmp_path / "killed", recipe)
    run(manifest, tmp_path / "killed", recipe)
    rates = [[row["learning_rate"] for row in log_of(tmp_path / name)] for name in ("whole", "killed")]
    assert rates[0] == rates[1]
    assert len(set(rates[0])) > 1


def test_an_unfinished_run_of_another_kind_and_a_finished_one_are_refused(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: Any) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(watch, "append_log", dies)
        with pytest.raises(KilledError):
            run(manifest, tmp_path / "run")
    with pytest.raises(OutputError, match=r"another recipe\.json"):
        run(manifest, tmp_path / "run", replace(RECIPE, seed=2))
    run(manifest, tmp_path / "run", epochs_limit=1)
    with pytest.raises(OutputError, match="finished run"):
        run(manifest, tmp_path / "run")


def test_a_damaged_checkpoint_is_refused_with_what_to_do(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(folder: Path, model: Any, progress: Any) -> None:
        (folder / "checkpoint.npz").write_bytes(b"PK\x03\x04 torn")
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(watch, "save_checkpoint", dies)
        with pytest.raises(KilledError):
            run(manifest, tmp_path / "run")
    with pytest.raises(ModelError, match="remove it"):
        run(manifest, tmp_path / "run")
