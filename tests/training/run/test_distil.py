"""A student: it learns what its teacher says of the same crops, and its run says who taught it and how."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tiny
import tiny_run
from msgspec.structs import replace as changed
from tiny_run import STAGES, KilledError, killed_at, log_of

pytest.importorskip("keras")

from her2edge import Model
from her2edge.errors import MissingInputError, ModelError, OptionError
from her2edge.files import sha256_of
from her2edge.model.patients import TrainingPatients, patient_group
from her2edge.runtime import CropRuntime, Pool, open_runtime
from her2edge.stain import StainMode
from her2edge.tissue import TissueFilter
from her2edge_training.cohort.tile_list import TileList, TileListError
from her2edge_training.network.backend import keras
from her2edge_training.network.taught import Divergence, divergence
from her2edge_training.recipe import Recipe, Stain
from her2edge_training.run.finish import RunResult
from her2edge_training.run.folder import RunFolder
from her2edge_training.run.options import TrainOptions
from her2edge_training.run.records import TaughtBy
from her2edge_training.run.teacher import Answer, Lesson, Teacher, read_teacher
from her2edge_training.run.train import train
from her2edge_training.run.trained import TrainedRun

pytestmark = pytest.mark.usefixtures("fresh_session")

RECIPE = changed(
    tiny_run.RECIPE,
    stages=(changed(STAGES[0], epochs=8, learning_rate=3e-2),),
    cosine_warmup=1,
    norm_tiles=12,
)
LABELS = RECIPE.labels


def by_colour(_tile_px: int, _threads: int) -> Answer:
    """A teacher that knows this cohort: the more stain, the higher the class."""

    def answer(pixels: Any) -> Any:
        dark = 255 - pixels.astype(np.float32).mean(axis=(1, 2))[:, 1]
        return -(np.abs(dark[:, None] - np.array([105, 165, 195])) / 6).astype(np.float32)

    return answer


TEACHER = Teacher(
    "wise 1.0", "ab" * 32, True, LABELS, 64, 0.25, Stain(StainMode.OFF), TissueFilter(),
    TrainingPatients.of("salt", ["patient:somebody"]), by_colour,
)  # fmt: skip


def distil(
    tile_list: Path, out: Path, recipe: Recipe = RECIPE, teacher: Teacher = TEACHER, **more: Any
) -> tuple[RunResult, list[str]]:
    lines: list[str] = []
    options = TrainOptions(**{name: more.pop(name) for name in ("epochs_limit", "workers") if name in more})
    lesson = Lesson(teacher, more.pop("temperature", 4.0))
    tiles = TileList.read(tile_list, (*recipe.labels, ""))
    made = {"build": tiny_run.small} | more
    return train(recipe, tiles, out, options, report=lines.append, lesson=lesson, **made), lines


@pytest.fixture
def unlabelled(tile_list: Path, tmp_path: Path) -> Path:
    """The cohort as a scanner delivers it: two columns less, and one tile of glass."""
    folder = tmp_path / "unlabelled"
    folder.mkdir()
    rows = [line.split(",") for line in tile_list.read_text().splitlines()]
    names = rows[0]
    keep = [n for n, name in enumerate(names) if name not in ("label", "tissue_fraction", "label_from")]
    for tile in tile_list.parent.glob("*.png"):
        (folder / tile.name).symlink_to(tile)
    glass = np.full((64, 64, 3), 245, np.uint8)
    cv2.imwrite(str(folder / "glass.png"), glass)
    lines = [",".join(row[n] for n in keep) for row in rows]
    extra = dict(zip(names, rows[1], strict=True)) | {"tile": "glass.png", "sha256": ""}
    lines.append(",".join(extra[names[n]] for n in keep))
    path = folder / "cohort.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_student_learns_the_teachers_classes_and_its_run_says_whose(
    tile_list: Path, tmp_path: Path
) -> None:
    result, lines = distil(tile_list, tmp_path / "run")
    rows = log_of(result.run)
    assert rows[-1].loss < 0.8 * rows[0].loss
    assert result.test.accuracy > 0.6
    environment = RunFolder(result.run).environment()
    taught = environment.taught_by
    assert isinstance(taught, TaughtBy)
    record = json.loads((result.run / "environment.json").read_text())["taught_by"]
    assert record["teacher"] == "wise 1.0"
    assert record["teacher_sha256"] == "ab" * 32
    assert (record["temperature"], record["demo"]) == (4.0, True)
    assert (record["unlabelled"], record["background"]) == (0, 0)
    assert record["patients"]["salt"] == "salt"
    recipe = RunFolder(result.run).recipe()
    assert recipe.name == "tiny+teacher=abababab+temperature=4"
    assert recipe.cosine_warmup == 1
    assert any(line.startswith("teacher: wise 1.0, SHA-256 abababababab, temperature 4;") for line in lines)
    assert TrainedRun.read(result.run).is_student


def test_what_is_learnt_is_the_teachers_answer_and_not_the_label(tile_list: Path, tmp_path: Path) -> None:
    """A teacher that calls every class by the next one's name: labels stay, and the student is wrong."""

    def turned(tile_px: int, threads: int) -> Answer:
        answer = by_colour(tile_px, threads)
        return lambda pixels: np.roll(answer(pixels), 1, axis=1)

    result, _ = distil(tile_list, tmp_path / "run", teacher=replace(TEACHER, open=turned))
    assert log_of(result.run)[-1].val_accuracy > 0.6, "of the teacher's classes"
    assert result.test.accuracy < 0.3, "of the labels"


def test_tiles_without_labels_are_enough_and_glass_is_left_out_and_counted(
    unlabelled: Path, tmp_path: Path
) -> None:
    result, lines = distil(unlabelled, tmp_path / "run")
    run = TrainedRun.read(result.run)
    taught = run.environment.taught_by
    assert (taught.unlabelled, taught.background) == (36, 1)  # type: ignore[union-attr]
    assert run.metrics.left_out_as_background == 1
    assert "the teacher reads 37 tiles without a label or tissue share" in lines
    assert any("36 tiles from the teacher's answer, which nobody checked" in line for line in lines)
    assert {row.tile: row.label for row in run.split} == {
        f"c{c}-s{s}-t{t}.png": LABELS[c] for c in range(3) for s in range(4) for t in range(3)
    }
    tiles = TileList.read(unlabelled, run.list_labels)
    assert {record.label for record in run.select(tiles, "train")} == set(LABELS)
    assert result.test.accuracy > 0.6
    with pytest.raises(
        TileListError, match="without label, expected at least tile, slide, label, um_per_pixel"
    ):
        TileList.read(unlabelled, LABELS)


def test_a_list_with_some_labels_is_for_distil_alone(tile_list: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    some = tiny_run.edited(tile_list, tmp_path / "data", ",2+,", ",,")
    with pytest.raises(
        TileListError, match=r"found label '', .*only `her2edge distil` takes tiles without one"
    ):
        TileList.read(some, LABELS)
    result, _ = distil(some, tmp_path / "run")
    assert TrainedRun.read(result.run).environment.taught_by.unlabelled == 12  # type: ignore[union-attr]


@pytest.mark.parametrize("call", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_student_that_was_killed_goes_on_and_ends_as_one_that_was_not(
    unlabelled: Path, tmp_path: Path, call: int
) -> None:
    whole, _ = distil(unlabelled, tmp_path / "whole")
    with pytest.raises(KilledError):
        distil(unlabelled, tmp_path / "killed", opened=killed_at("append_log", call))
    keras.backend.clear_session()
    asked: list[int] = []

    def counted(tile_px: int, threads: int) -> Answer:
        if tile_px == RECIPE.tile_px:
            asked.append(tile_px)
        return by_colour(tile_px, threads)

    resumed, _ = distil(unlabelled, tmp_path / "killed", teacher=replace(TEACHER, open=counted))
    assert not asked, "what the teacher said of whole tiles is kept"
    for name in ("metrics.json", "predictions.csv", "split.csv", "recipe.json"):
        assert (resumed.run / name).read_bytes() == (whole.run / name).read_bytes(), name


def test_a_killed_student_does_not_go_on_with_another_teacher_or_temperature(
    tile_list: Path, tmp_path: Path
) -> None:
    with pytest.raises(KilledError):
        distil(tile_list, tmp_path / "run", opened=killed_at("append_log", 2))
    for more in ({"temperature": 2.0}, {"teacher": replace(TEACHER, sha256="cd" * 32)}):
        with pytest.raises(Exception, match=r"found an unfinished run with another recipe\.json"):
            distil(tile_list, tmp_path / "run", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"labels": ("negative", "positive")}, "of another labels"),
        ({"tile_px": 512}, "of another tile size"),
        ({"mpp": 0.5}, "of another um per pixel"),
        ({"stain": Stain()}, "of another stain mode"),
    ],
)
def test_a_teacher_of_other_tiles_or_labels_is_refused_before_anything_is_made(
    tile_list: Path, tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    with pytest.raises(OptionError, match=says):
        distil(tile_list, tmp_path / "run", teacher=replace(TEACHER, **change))
    assert not (tmp_path / "run").exists()


def test_patients_whom_the_teacher_learnt_from_may_be_learnt_from_and_not_scored(
    tile_list: Path, tmp_path: Path
) -> None:
    result, _ = distil(tile_list, tmp_path / "run", epochs_limit=1)
    split = TrainedRun.read(result.run).split

    def knows(part: str) -> Teacher:
        groups = {patient_group(row.patient) for row in split if row.part == part}
        return replace(TEACHER, patients=TrainingPatients.of("salt", groups))

    with pytest.raises(OptionError, match=r"found 3 patients to score whom the teacher learnt from"):
        distil(tile_list, tmp_path / "test", teacher=knows("test"))
    assert not (tmp_path / "test").exists()
    distil(tile_list, tmp_path / "train", teacher=knows("train"), epochs_limit=1)


def test_the_teachers_own_tissue_rule_holds_for_tiles_whose_tissue_the_list_knows(
    tile_list: Path, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    some = tiny_run.edited(tile_list, tmp_path / "data", "", "")
    lines = some.read_text().splitlines(keepends=True)
    lines[1] = lines[1].replace(",0.95,", ",0.60,")
    some.write_text("".join(lines))
    strict = replace(TEACHER, tissue=TissueFilter(share=0.3))
    result, _ = distil(some, tmp_path / "run", teacher=strict, epochs_limit=1)
    run = TrainedRun.read(result.run)
    assert run.environment.taught_by.background == run.metrics.left_out_as_background == 1  # type: ignore[union-attr]
    assert "c0-s0-t0.png" not in {row.tile for row in run.split}


def test_all_glass_is_refused(tile_list: Path, tmp_path: Path) -> None:
    strict = replace(TEACHER, tissue=TissueFilter(low=0, high=255, share=0.5))
    folder = tmp_path / "data"
    folder.mkdir()
    unknown = tiny_run.edited(tile_list, folder, ",0.95,", ",,")
    with pytest.raises(TileListError, match="all of which the teacher calls background"):
        distil(unknown, tmp_path / "run", teacher=strict)


def test_a_run_is_a_teacher_at_any_size_of_crop(tile_list: Path, tmp_path: Path) -> None:
    former, _ = tiny_run.run(tile_list, tmp_path / "former")
    teacher = read_teacher(former.run)
    assert (teacher.name, teacher.sha256) == ("tiny", sha256_of(former.model))
    assert (teacher.labels, teacher.tile_px, teacher.mpp, teacher.demo) == (LABELS, 64, 0.25, False)
    pixels = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    network = tiny_run.small(RECIPE, 64)
    network.load_weights(former.run / "best.weights.h5")
    wanted = np.asarray(network(pixels.astype(np.float32), training=False))
    np.testing.assert_allclose(teacher.open(64, 2)(pixels), wanted, rtol=1e-4, atol=1e-5)
    assert teacher.open(32, 1)(pixels[:, :32, :32]).shape == (2, 3)
    result, _ = distil(tile_list, tmp_path / "run", teacher=teacher, epochs_limit=1)  # the same split
    taught = TrainedRun.read(result.run).environment.taught_by
    assert taught.patients.hold(TrainedRun.read(former.run).split[0].group) in (True, False)  # type: ignore[union-attr]


def test_a_model_file_is_a_teacher_and_answers_whole_tiles_as_the_sdk_does() -> None:
    teacher, model = read_teacher(tiny.INT8), Model.load(tiny.INT8)
    assert (teacher.sha256, teacher.labels, teacher.demo) == (model.sha256, LABELS, True)
    tiles = np.stack([tile.pixels for tile in tiny.tissue(3)])
    wanted = np.stack([open_runtime("litert", model, 1).logits(tile) for tile in tiles])
    np.testing.assert_array_equal(teacher.open(tiny.SIZE, 2)(tiles), wanted)
    half = tiles[:, : tiny.SIZE // 2, : tiny.SIZE // 2]
    assert np.isfinite(teacher.open(tiny.SIZE // 2, 1)(half)).all()


def test_the_embedded_model_answers_crops_though_its_input_is_packed() -> None:
    """A crop's answer is that of its tissue: on a mirrored mosaic of it the whole tile's is near."""
    model = Model.demo(trust="anyone")
    crop = model.golden.tiles[0][:256, :256]
    mosaic = np.ascontiguousarray(np.pad(crop, ((0, 256), (0, 256), (0, 0)), mode="symmetric"))
    whole = open_runtime("litert", model, 1).logits(mosaic)
    part = Pool([CropRuntime(model, 1, 256)]).logits(crop)
    assert np.abs(whole - part).max() < 0.35 * np.abs(whole).max()


def test_what_is_no_teacher_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="expected a teacher"):
        read_teacher(tmp_path / "none")
    damaged = bytearray(tiny.INT8.read_bytes())
    damaged[100] ^= 1
    (tmp_path / "bad.tflite").write_bytes(damaged)
    with pytest.raises(ModelError, match=r"bad\.tflite: .*do not match the file's own SHA-256"):
        read_teacher(tmp_path / "bad.tflite")
    with pytest.raises(OptionError, match="found temperature=0"):
        Lesson(TEACHER, 0.0)


def test_the_loss_is_the_divergence_by_hand_and_its_gradient_does_not_shrink_with_the_temperature() -> None:
    random = np.random.default_rng(3)
    taught, given = random.normal(0, 3, (2, 5, 3)).astype(np.float32)
    for temperature in (1.0, 4.0):
        p, q = (
            np.exp(x / temperature) / np.exp(x / temperature).sum(-1, keepdims=True) for x in (taught, given)
        )
        wanted = temperature**2 * (p * np.log(p / q)).sum(-1)
        found = np.asarray(divergence(temperature)(p.astype(np.float32), given))
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(Divergence(temperature)(p, given), wanted.mean(), rtol=1e-3)
        assert float(np.abs(divergence(temperature)(p.astype(np.float32), taught)).max()) < 1e-4
