"""RUN is read and written in one place: the first commit's run opens at every door; damage is one error."""

from __future__ import annotations

import io
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from her2edge.errors import MissingInputError, OptionError, OutputError
from her2edge.files import json_bytes, sha256_of
from her2edge_training.cohort.screen import Unreadable
from her2edge_training.cohort.tile_list import LABELS, TileList, TileListError
from her2edge_training.evaluation.collate import collate
from her2edge_training.recipe import dump_recipe
from her2edge_training.run.codecs import table_bytes
from her2edge_training.run.errors import RunFolderError
from her2edge_training.run.folder import RunFolder
from her2edge_training.run.limits import Best
from her2edge_training.run.metrics import count
from her2edge_training.run.new_run import NewRun
from her2edge_training.run.predictions import PartLogits, Predictions
from her2edge_training.run.records import Epoch, SplitRow
from her2edge_training.run.trained import TrainedRun
from her2edge_training.run.warm_start import read_start

FIRST = Path(__file__).resolve().parents[2] / "data" / "first"
RUN = RunFolder(FIRST / "run")


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIRST / "run", tmp_path / "run"))


def test_every_file_of_the_first_commits_run_is_read_and_would_be_written_alike() -> None:
    written = {
        "recipe.json": dump_recipe(RUN.recipe()),
        "environment.json": json_bytes(RUN.environment()),
        "split.csv": table_bytes(SplitRow, RUN.split()),
        "unreadable.csv": table_bytes(Unreadable, RUN.unreadable()),
        "log.csv": table_bytes(Epoch, RUN.log()),
        "metrics.json": json_bytes(RUN.metrics()),
    }
    for name, data in written.items():
        assert data == (RUN.path / name).read_bytes(), name


def test_predictions_of_the_first_commits_run_are_written_alike(tmp_path: Path) -> None:
    records = {record.tile: record for record in TileList.read(FIRST / "cohort" / "manifest.csv").records}
    parts = [
        PartLogits(
            part,
            tuple(records[row.tile] for row in RUN.split() if row.part == part),
            RUN.predictions(part, LABELS).logits,
        )
        for part in ("validation", "test")
    ]
    folder = NewRun(tmp_path)
    folder.write_predictions(parts, LABELS)
    assert (tmp_path / "predictions.csv").read_bytes() == (RUN.path / "predictions.csv").read_bytes()
    folder.write_features(np.ones((9, 8)))
    assert folder.features(9) is not None


def test_evaluation_scores_the_first_commits_run_as_it_scored_itself() -> None:
    (result,) = collate([RUN.path])
    metrics = RUN.metrics()
    assert (result.recipe, result.protocol, result.runs) == ("tiny", "slide-grouped", (RUN.path,))
    assert result.evaluation.accuracy == metrics.test.accuracy
    assert result.evaluation.confusion == metrics.test.confusion
    assert result.curves["loss"].train == (0.93665, 0.660941, 0.622597, 0.572485, 0.562735)
    validation = RUN.predictions("validation", LABELS)
    assert scored(validation) == metrics.validation


def scored(part: Predictions) -> Any:
    predicted = part.logits.argmax(axis=1)
    return count(part.actual, predicted, 3, len(set(part.slides)), len(set(part.groups)))


def test_a_training_can_begin_with_the_first_commits_run() -> None:
    start = read_start(RUN.path)
    assert (start.source.recipe, start.source.seconds) == ("tiny", round(RUN.seconds(), 1))
    assert start.source.weights_sha256 == sha256_of(RUN.path / "best.weights.h5")
    # two traces of each patient: six trained, three chosen by
    assert len(start.learnt) == 12
    assert len(start.chosen) == 6


def test_weights_of_another_network_are_refused_before_anything_is_written() -> None:
    start = read_start(RUN.path)
    start.refuse_other_network(RUN.recipe())
    with pytest.raises(OptionError, match="another dense_units, expected the recipe's"):
        start.refuse_other_network(msgspec.structs.replace(RUN.recipe(), dense_units=77))


def test_a_log_whose_first_row_was_torn_begins_again(tmp_path: Path) -> None:
    folder = NewRun(tmp_path)
    for torn in (b"", b"epo"):
        (tmp_path / "log.csv").write_bytes(torn)
        folder.cut_log(0)
        folder.append_log(RUN.log()[0])
        assert RunFolder(tmp_path).log() == RUN.log()[:1]


def test_a_loss_that_is_no_number_is_the_worst_there_is() -> None:
    best = Best()
    assert best.offer(0.5, 1.0, 1)
    assert not best.offer(0.5, float("nan"), 2)
    assert not best.offer(0.5, float("inf"), 2)
    assert best.offer(0.6, float("nan"), 3)
    assert all(map(math.isfinite, best.rank))
    assert best.offer(0.6, 9.0, 4)


def test_quantisation_reads_the_first_commits_run_with_the_list_it_was_trained_with(tmp_path: Path) -> None:
    tiles, run = TileList.read(FIRST / "cohort" / "manifest.csv"), TrainedRun.read(RUN.path)
    parts = [run.select(tiles, part) for part in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [18, 9, 9]
    assert run.metrics.test.tiles == 9
    shutil.copytree(FIRST / "cohort", tmp_path / "cohort")
    other = tmp_path / "cohort" / "manifest.csv"
    other.write_text(other.read_text() + "\n")
    with pytest.raises(TileListError, match="SHA-256"):
        run.select(TileList.read(other), "test")


def test_the_first_commits_network_says_of_each_tile_what_it_said() -> None:
    pytest.importorskip("keras")
    from her2edge_training.cohort.store import network_inputs
    from her2edge_training.network.networks import load_trained
    from her2edge_training.run.explain import load_explainer

    run, tiles = TrainedRun.read(RUN.path), TileList.read(FIRST / "cohort" / "manifest.csv")
    pixels = np.stack(list(network_inputs(run.select(tiles, "test"), run.recipe)))
    logits = np.asarray(load_trained(run.network)(pixels, training=False))
    np.testing.assert_allclose(logits, RUN.predictions("test", LABELS).logits, atol=1e-4)
    explainer = load_explainer(RUN.path)
    assert (explainer.labels, explainer.demo) == (LABELS, False)


DOORS: dict[str, Callable[[Path], object]] = {
    "evaluate": lambda run: collate([run]),
    "start": read_start,
    "quantize": TrainedRun.read,
    "unreadable": lambda run: RunFolder(run).unreadable(),
}


@pytest.mark.parametrize(
    ("name", "doors"),
    [
        ("recipe.json", ("evaluate", "start", "quantize")),
        ("split.csv", ("evaluate", "start", "quantize")),
        ("log.csv", ("evaluate", "start", "quantize")),
        ("metrics.json", ("quantize",)),
        ("environment.json", ("quantize",)),
        ("model.keras", ("quantize",)),
        ("predictions.csv", ("evaluate",)),
        ("features.npz", ("evaluate",)),
        ("unreadable.csv", ("unreadable",)),
    ],
)
@pytest.mark.parametrize("damage", ["empty", "noise", "half", "cells"])
def test_a_damaged_file_is_one_error_at_every_door_and_named(
    copied: Path, name: str, doors: tuple[str, ...], damage: str
) -> None:
    path = copied / name
    data = path.read_bytes()
    if damage == "cells":
        path.write_bytes(data.replace(b",", b";").replace(b":", b"=").replace(b"PK", b"QK"))
    elif damage == "half":
        path.write_bytes(data[: len(data) // 2])
    else:
        path.write_bytes({"empty": b"", "noise": b"\xff\x00\xfe" * 50}[damage])
    for door in doors:
        with pytest.raises(RunFolderError, match=name.replace(".", r"\.")):
            DOORS[door](copied)


@pytest.mark.parametrize("name", ["recipe.json", "split.csv", "log.csv", "predictions.csv"])
def test_a_missing_file_is_missing_input_and_a_run_that_lacks_it_has_not_finished(
    copied: Path, name: str
) -> None:
    (copied / name).unlink()
    with pytest.raises(MissingInputError):
        collate([copied])
    if name != "predictions.csv":
        with pytest.raises(RunFolderError, match="has not finished"):
            TrainedRun.read(copied)


KEY = "0123456789abcdef"
ANSWERS = np.arange(6, dtype=np.float32).reshape(2, 3)


def npy(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def npz(array: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, array)
    return file.getvalue()


def test_the_reference_is_kept_under_its_key_and_read_for_as_many_tiles_and_classes(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.reference(KEY, 2, 3) is None
    folder.keep_reference(KEY, ANSWERS)
    assert [path.name for path in tmp_path.iterdir()] == [f"float32-{KEY}.npy"]
    assert (tmp_path / f"float32-{KEY}.npy").read_bytes() == npy(ANSWERS)
    np.testing.assert_array_equal(folder.reference(KEY, 2, 3), ANSWERS)
    assert folder.reference(KEY[::-1], 2, 3) is None
    assert folder.reference(KEY, 3, 3) is None
    assert folder.reference(KEY, 2, 2) is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(npy(ANSWERS)[:10], id="half a heading"),
        pytest.param(npy(ANSWERS)[:-1], id="half"),
        pytest.param(b"\xff\x00\xfe" * 50, id="noise"),
        pytest.param(b"PK\x03\x04" * 50, id="no archive"),
        pytest.param(npz(ANSWERS), id="an archive"),
        pytest.param(npy(ANSWERS.astype(object), allow_pickle=True), id="pickled"),
        pytest.param(npy(ANSWERS.astype(np.float64)), id="another type"),
        pytest.param(npy(ANSWERS / np.float32("nan")), id="no numbers"),
    ],
)
def test_a_damaged_reference_is_none_and_can_be_written_again(tmp_path: Path, data: bytes) -> None:
    folder = RunFolder(tmp_path)
    (tmp_path / f"float32-{KEY}.npy").write_bytes(data)
    assert folder.reference(KEY, 2, 3) is None
    folder.keep_reference(KEY, ANSWERS)
    assert folder.reference(KEY, 2, 3) is not None


def test_what_is_no_run_is_missing_and_a_file_in_its_place_is_never_opened(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="no run at"):
        TrainedRun.read(tmp_path / "none")
    (tmp_path / "model.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(RunFolderError, match="never opened"):
        TrainedRun.read(tmp_path / "model.h5")


def test_scores_of_another_number_of_classes_are_damage(copied: Path) -> None:
    path = copied / "metrics.json"
    path.write_text(path.read_text().replace('"labels": [\n    "0/1+",', '"labels": ['))
    with pytest.raises(RunFolderError, match="other classes than"):
        RunFolder(copied).metrics()


def test_a_tile_in_two_rows_and_an_unknown_part_are_damage(copied: Path) -> None:
    path = copied / "split.csv"
    text = path.read_text()
    path.write_text(text + text.splitlines()[1] + "\n")
    with pytest.raises(RunFolderError, match="a tile twice"):
        RunFolder(copied).split()
    path.write_text(text.replace(",validation", ",later"))
    with pytest.raises(RunFolderError, match="found part 'later'"):
        RunFolder(copied).split()


def test_a_finished_run_is_not_begun_again(copied: Path) -> None:
    folder = NewRun(copied)
    with pytest.raises(OutputError, match="finished run"):
        folder.begin(RUN.recipe(), RUN.environment(), RUN.split(), (), ())


def test_a_run_is_read_without_keras() -> None:
    code = (
        "import sys; from her2edge_training.run.trained import TrainedRun;"
        "from her2edge_training.run.new_run import NewRun;"
        "from her2edge_training.run.warm_start import read_start;"
        f"TrainedRun.read({str(RUN.path)!r}); read_start({str(RUN.path)!r});"
        "sys.exit(', '.join({'keras', 'tensorflow', 'jax', 'sklearn'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
