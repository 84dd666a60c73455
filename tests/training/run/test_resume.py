"""A run that was killed goes on and ends as one that was not; one of another kind is left alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from faults import file_size_limit
from msgspec.structs import replace
from tiny_run import RECIPE, KilledError, killed_at, log_of, run

from her2edge.errors import OutputError, OutputWriteError
from her2edge.slide.images import decode_image
from her2edge.tile import Pixels
from her2edge_training.cohort.store import TileStore
from her2edge_training.network.backend import keras
from her2edge_training.recipe import Plateau, Stage
from her2edge_training.run.errors import RunFolderError
from her2edge_training.run.new_run import NewRun
from her2edge_training.run.records import Epoch, Progress

pytestmark = pytest.mark.usefixtures("fresh_session")


def killed(tile_list: Path, out: Path, opened: type[NewRun]) -> None:
    """A run whose process is killed on its way."""
    with pytest.raises(KilledError):
        run(tile_list, out, opened=opened)


@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("append_log", 2),
        *(pytest.param("append_log", call, marks=pytest.mark.slow) for call in (1, 4)),
        # the first and the fifth checkpoint are those of the stages' beginnings
        *(pytest.param("write_checkpoint", call, marks=pytest.mark.slow) for call in (2, 3, 5, 6)),
    ],
)
def test_a_run_that_was_killed_goes_on_and_ends_as_one_that_was_not(
    tile_list: Path, tmp_path: Path, method: str, call: int
) -> None:
    """Killed after an epoch's best weights, and just before its checkpoint."""
    whole, _ = run(tile_list, tmp_path / "whole")
    killed(tile_list, tmp_path / "killed", killed_at(method, call))
    assert not (tmp_path / "killed" / "metrics.json").exists()
    keras.backend.clear_session()
    resumed, lines = run(tile_list, tmp_path / "killed")
    assert any(line.startswith("going on") for line in lines)
    for name in ("metrics.json", "predictions.csv", "split.csv", "recipe.json"):
        assert (resumed.run / name).read_bytes() == (whole.run / name).read_bytes(), name
    for one, other in zip(log_of(resumed.run), log_of(whole.run), strict=True):
        assert dataclasses.replace(one, seconds=0) == dataclasses.replace(other, seconds=0)
    assert {path.name for path in resumed.run.iterdir()} == {path.name for path in whole.run.iterdir()}


def test_a_disk_that_is_full_at_a_checkpoint_leaves_the_last_good_one_to_go_on_from(
    tile_list: Path, tmp_path: Path
) -> None:
    kept, calls = b"", 0

    class FullDisk(NewRun):
        def write_checkpoint(self, values: Any, progress: Progress) -> None:
            nonlocal kept, calls
            calls += 1
            if calls < 4:  # the stage's beginning, epoch 1, epoch 2
                super().write_checkpoint(values, progress)
                return
            kept = (self.path / "checkpoint.npz").read_bytes()
            with file_size_limit(1000):
                super().write_checkpoint(values, progress)

    with pytest.raises(OutputWriteError, match=r"checkpoint\.npz: writing failed \(File too large"):
        run(tile_list, tmp_path / "run", opened=FullDisk)
    assert (tmp_path / "run" / "checkpoint.npz").read_bytes() == kept != b""
    assert not list((tmp_path / "run").glob(".partial*"))
    keras.backend.clear_session()
    resumed, lines = run(tile_list, tmp_path / "run")
    assert "going on after epoch 2" in lines
    assert [row.epoch for row in log_of(resumed.run)] == [1, 2, 3, 4, 5]


def test_a_row_that_was_being_written_to_the_log_comes_again(tile_list: Path, tmp_path: Path) -> None:
    class Torn(NewRun):
        def append_log(self, epoch: Epoch) -> None:
            super().append_log(epoch)
            if epoch.epoch == 2:
                path = self.path / "log.csv"
                path.write_bytes(path.read_bytes()[:-9])
                raise KilledError

    killed(tile_list, tmp_path / "run", Torn)
    keras.backend.clear_session()
    resumed, lines = run(tile_list, tmp_path / "run")
    assert "going on after epoch 1" in lines
    assert [row.epoch for row in log_of(resumed.run)] == [1, 2, 3, 4, 5]


def test_the_plateau_goes_on_where_it_was(tile_list: Path, tmp_path: Path) -> None:
    """A learning rate that falls after two epochs without improvement, whichever of them came before."""
    stages = (Stage(tile_px=32, epochs=6, learning_rate=1e-9, batch=8),)
    recipe = replace(RECIPE, stages=stages, plateau=Plateau(factor=0.5, patience=2, minimum=1e-12))
    run(tile_list, tmp_path / "whole", recipe)

    class KilledAfter(NewRun):
        def write_checkpoint(self, values: Any, progress: Progress) -> None:
            super().write_checkpoint(values, progress)
            if progress.epochs in (2, 4):
                raise KilledError

    for _ in range(2):
        with pytest.raises(KilledError):
            run(tile_list, tmp_path / "killed", recipe, opened=KilledAfter)
    run(tile_list, tmp_path / "killed", recipe)
    rates = [[row.learning_rate for row in log_of(tmp_path / name)] for name in ("whole", "killed")]
    assert rates[0] == rates[1]
    assert len(set(rates[0])) > 1


def test_an_unfinished_run_of_another_kind_and_a_finished_one_are_refused(
    tile_list: Path, tmp_path: Path
) -> None:
    killed(tile_list, tmp_path / "run", killed_at("append_log", 1))
    with pytest.raises(OutputError, match=r"another recipe\.json"):
        run(tile_list, tmp_path / "run", replace(RECIPE, seed=2))
    run(tile_list, tmp_path / "run", epochs_limit=1)
    with pytest.raises(OutputError, match="finished run"):
        run(tile_list, tmp_path / "run")


def test_a_damaged_checkpoint_is_refused_with_what_to_do(tile_list: Path, tmp_path: Path) -> None:
    class Torn(NewRun):
        def write_checkpoint(self, values: Any, progress: Progress) -> None:
            (self.path / "checkpoint.npz").write_bytes(b"PK\x03\x04 torn")
            raise KilledError

    killed(tile_list, tmp_path / "run", Torn)
    with pytest.raises(RunFolderError, match="remove it"):
        run(tile_list, tmp_path / "run")


def test_a_run_that_goes_on_decodes_nothing_before_it_trains(tile_list: Path, tmp_path: Path) -> None:
    decoded: list[str] = []
    before: list[int] = []

    def decode(file: BinaryIO, path: Path) -> Pixels:
        decoded.append(path.name)
        return decode_image(file, path)

    class Counted(killed_at("append_log", 1)):  # type: ignore[misc]
        def begin(self, *given: Any) -> bool:
            before.append(len(decoded))
            return bool(super().begin(*given))

    for expected in (36, 0):  # the first process decodes each tile once, all in all
        decoded.clear()
        store = TileStore(None, decode=decode)
        with pytest.raises(KilledError):
            run(tile_list, tmp_path / "run", store=store, opened=Counted)
        assert before.pop() == expected
        assert len(decoded) == len(set(decoded)) > 0
        keras.backend.clear_session()
    (tmp_path / "run" / "checked.csv").write_bytes(b"damaged")
    run(tile_list, tmp_path / "run", store=TileStore(None, decode=decode), opened=NewRun)
    assert not (tmp_path / "run" / "checked.csv").exists()
