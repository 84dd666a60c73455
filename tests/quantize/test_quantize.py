"""From a training run to a model file: calibration, the gate, what is written and what is refused."""

from __future__ import annotations

import csv
import datetime
import hashlib
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
from made_run import LOOSE, REPORTS, convert, silent, tiles_by_part
from msgspec import UNSET

from her2edge import MacenkoNormalizer
from her2edge.errors import Her2EdgeError, MissingInputError, ModelError, OptionError, OutputError
from her2edge.model.file import Model
from her2edge.model.patients import TrainingPatients
from her2edge_quantize.convert.calibration import CalibrationTiles, calibration_tiles, tile_hashes
from her2edge_quantize.model_file.card import model_card
from her2edge_quantize.model_file.describe import describe
from her2edge_quantize.options import QatOptions, QuantizeOptions
from her2edge_quantize.quantize import quantize
from her2edge_training.cohort.tile_list import TileList, TileListError
from her2edge_training.recipe import PROTOCOLS
from her2edge_training.run.trained import TrainedRun
from her2edge_training.synthetic import even_cohort, write_dataset

pytest.importorskip("tensorflow", reason="conversion needs TensorFlow")


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def ranges(made: tuple[Path, Path], **options: int) -> CalibrationTiles:
    return calibration_tiles(TrainedRun.read(made[0]), TileList.read(made[1]), **options)


def test_calibration_tiles_come_from_the_training_part_only(made: tuple[Path, Path]) -> None:
    first = ranges(made, per_class=6, seed=1)
    parts = {part: set(tile_hashes(first.record.salt, ids)) for part, ids in tiles_by_part(made[0]).items()}
    used = set(first.record.tile_ids)
    assert len(first.pixels) == len(used) == 18
    assert used <= parts["train"]
    assert not used & (parts["validation"] | parts["test"])
    again = ranges(made, per_class=6, seed=1)
    assert again.record == first.record
    np.testing.assert_array_equal(again.pixels, first.pixels)


def test_calibration_takes_every_slide_of_a_class_before_a_second_tile(made: tuple[Path, Path]) -> None:
    calibration = ranges(made, per_class=4).record
    with (made[0] / "split.csv").open(newline="") as file:
        slide_of = {
            tile_hashes(calibration.salt, [row["tile"]])[0]: row["slide"] for row in csv.DictReader(file)
        }
    counts: dict[str, int] = {}
    for tile in calibration.tile_ids:
        counts[slide_of[tile]] = counts.get(slide_of[tile], 0) + 1
    assert set(counts.values()) == {2}
    assert len(counts) == 6


def test_too_few_calibration_tiles_are_refused(made: tuple[Path, Path]) -> None:
    with pytest.raises(TileListError, match="expected at least"):
        ranges(made, per_class=3)


def test_another_tile_list_than_the_one_of_the_training_is_refused(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    run, tile_list = made
    changed = tile_list.with_name("changed.csv")
    changed.write_bytes(tile_list.read_bytes() + b"\n")
    with pytest.raises(TileListError, match="SHA-256"):
        ranges((run, changed), per_class=4)


def test_calibration_tiles_are_normalised_by_the_sdk(made: tuple[Path, Path]) -> None:
    run, tile_list = made
    chosen = ranges(made, per_class=4)
    files = {tile_hashes(chosen.record.salt, [name])[0]: name for name in tiles_by_part(run)["train"]}
    for tile, digest in zip(chosen.pixels, chosen.record.tile_ids, strict=True):
        own = cv2.imread(str(tile_list.parent / files[digest]), cv2.IMREAD_COLOR_RGB)
        np.testing.assert_array_equal(tile, MacenkoNormalizer().normalize(own).pixels)


def test_a_run_becomes_a_verified_int8_model_that_says_how_it_agrees(converted: Path) -> None:
    model = Model.load(converted)
    assert names(converted.parent) == REPORTS | {"m.tflite"}
    manifest, gate = model.manifest, model.manifest.gate
    assert manifest.demo
    assert manifest.metrics["test.accuracy"] == 0.4375
    assert manifest.metrics["training_seconds"] == 42
    assert gate is not None
    assert (gate.tiles, gate.slides, gate.assessed_slides) == (36, 3, 3)  # the validation part, all of it
    assert (gate.reasons, gate.accepted_loss, gate.limits) == ((), False, LOOSE)
    assert 0 < gate.max_difference < 0.2
    card = model.card
    assert card.startswith(
        "---\nlicense: apache-2.0\nlibrary_name: her2edge\npipeline_tag: image-classification\n"
    )
    for text in (
        "Research use only",
        "knows synthetic tissue only; it knows nothing of patients",
        "one class",
        "43.75 % of 24 tiles of 3 slides",
        "in 42 seconds",
        'name: "accuracy by tile, float network"\n            value: 0.4375\n---',
        "slide-grouped",
        "Ranges from 24 tiles of the training part, none of another.",
        f"on 36 held-out tiles of 3 slides: {gate.flips} with another class",
    ):
        assert text in card
    for word in ("treat", "therap", "trastuzumab", "patients benefit", "prescri"):
        assert word not in card.lower()


def test_no_tile_that_set_the_ranges_of_a_model_is_in_validation_or_test(
    made: tuple[Path, Path], converted: Path
) -> None:
    calibration = Model.load(converted).manifest.calibration
    assert calibration is not None
    parts = {part: set(tile_hashes(calibration.salt, ids))
             for part, ids in tiles_by_part(made[0]).items()}  # fmt: skip
    assert len(calibration.tile_ids) == 24
    assert set(calibration.tile_ids) <= parts["train"]
    assert not set(calibration.tile_ids) & (parts["validation"] | parts["test"])


@pytest.mark.slow
def test_the_same_run_gives_the_same_bytes(made: tuple[Path, Path], converted: Path, tmp_path: Path) -> None:
    convert(made, tmp_path / "again.tflite", "int8", per_class=8)
    assert (tmp_path / "again.tflite").read_bytes() == converted.read_bytes()


def test_a_model_of_synthetic_tiles_is_a_demo_whatever_the_caller_says(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    model = convert(made, tmp_path / "m.tflite", demo=False)
    assert model.manifest.demo
    assert "nothing of patients" in model.card


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_run_of_any_protocol_has_a_card(made: tuple[Path, Path], protocol: str) -> None:
    run = TrainedRun.read(made[0])
    other = replace(run, metrics=msgspec.structs.replace(run.metrics, protocol=protocol))
    about = describe("one", "1", False, "fp32", other, None)
    assert f"Split {protocol}: " in model_card(about, other)


def test_a_model_knows_whom_it_learnt_from_and_not_whom_it_was_tested_on(made: tuple[Path, Path]) -> None:
    run = TrainedRun.read(made[0])
    known = describe("one", "1", False, "fp32", run, None).training_patients
    assert isinstance(known, TrainingPatients)
    assert {row.patient for row in run.split if known.hold(row.group)} == {
        row.patient for row in run.split if row.part in ("train", "validation")
    }
    assert len(known.hashes) == 9


def test_a_model_has_the_day_of_its_training_and_none_of_its_own(made: tuple[Path, Path]) -> None:
    run = TrainedRun.read(made[0])
    assert describe("one", "1", False, "fp32", run, None).created is UNSET, (
        "the run is from before it was kept"
    )
    day = datetime.date(2026, 11, 5)
    dated = replace(run, environment=msgspec.structs.replace(run.environment, begun=day))
    assert describe("one", "1", False, "fp32", dated, None).created == day


@pytest.mark.parametrize("name", ['a"b', "a\nlicense: mit", "back\\slash", " "])
def test_a_name_that_a_card_cannot_hold_is_refused_at_the_door(name: str) -> None:
    with pytest.raises(OptionError, match="expected printable characters"):
        QuantizeOptions(scheme="fp32", name=name)


def test_options_that_exclude_each_other_are_refused_at_the_door() -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"scheme": "int4"}, "expected one of fp32"),
        ({"scheme": "int8", "export": "quick"}, "expected one of portable"),
        ({"scheme": "fp16", "keep_float": True}, "expected int8"),
        ({"scheme": "int8", "qat": QatOptions()}, "expected int8-qat"),
        ({"scheme": "dynamic", "export": "fast"}, "use 'portable'"),
        ({"scheme": "int8", "export": "fast", "keep_float": True}, "kept in float"),
    ]
    for options, message in wrong:
        with pytest.raises(OptionError, match=message):
            QuantizeOptions(**options)


def test_each_tile_list_is_read_once(made: tuple[Path, Path], tmp_path: Path) -> None:
    more = write_dataset(tmp_path / "more", even_cohort(3, 10, seed=9), tile_px=64)
    paths: list[Path] = []

    def read(path: Path, labels: tuple[str, ...]) -> TileList:
        paths.append(path)
        return TileList.read(path, labels)

    options = QuantizeOptions(scheme="int8", per_class=4, limits=LOOSE, gate_data=(more,))
    quantize(*made, tmp_path / "m.tflite", options, report=silent, read=read)
    assert paths == [made[1], more]


@pytest.mark.parametrize(
    ("scheme", "out", "hidden", "code", "message"),
    [
        ("int8", "none/m.tflite", (), 73, "found no folder"),
        ("int8", "m.tflite", ("tensorflow",), 78, 'pip install "her2edge[quantize]"'),
        ("int8", "m.tflite", ("matplotlib",), 78, 'pip install "her2edge[quantize]"'),
        ("int8-qat", "m.tflite", ("tf_keras",), 78, 'pip install "her2edge[qat]"'),
        ("int8-qat", "m.tflite", ("tensorflow_model_optimization",), 78, 'pip install "her2edge[qat]"'),
    ],
    ids=["folder", "tensorflow", "matplotlib", "tf_keras", "toolkit"],
)
def test_a_missing_folder_or_extra_is_found_before_tensorflow_is_imported(
    made: tuple[Path, Path], tmp_path: Path, scheme: str, out: str, hidden: tuple[str, ...], code: int,
    message: str,
) -> None:  # fmt: skip
    arguments = ["quantize", str(made[0]), "--data", str(made[1]), "--scheme", scheme, "--out", out]
    program = f"""
import sys
for name in {hidden!r}:
    sys.modules[name] = None
from her2edge_cli.main import main
code = main({arguments!r})
assert not sys.modules.get("tensorflow") and not sys.modules.get("keras"), "imported"
raise SystemExit(code)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert message in done.stderr
    assert done.returncode == code
    assert not list(tmp_path.iterdir())


def test_float_schemes_need_no_calibration(made: tuple[Path, Path], tmp_path: Path) -> None:
    hospital = _of_a_hospital(made, tmp_path)
    for scheme in ("fp32", "fp16", "dynamic"):
        model = convert(hospital, tmp_path / f"{scheme}.tflite", scheme)
        manifest = model.manifest
        assert (manifest.scheme, manifest.calibration, manifest.demo) == (scheme, None, False)
        assert "nothing of patients" not in model.card
        assert manifest.gate is not None
        assert manifest.gate.max_difference < {"fp32": 1e-3, "fp16": 0.01, "dynamic": 0.1}[scheme]


def _of_a_hospital(made: tuple[Path, Path], folder: Path) -> tuple[Path, Path]:
    """The same run, its tiles of a site that is not one of the synthetic ones."""
    shutil.copytree(made[1].parent, folder / "tiles")
    shutil.copytree(made[0], folder / "run", ignore=shutil.ignore_patterns("float32-*"))
    tile_list = folder / "tiles" / made[1].name
    with made[1].open(newline="") as file:
        rows = list(csv.DictReader(file))
    with tile_list.open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        table.writeheader()
        table.writerows(row | {"site": "hospital"} for row in rows)
    digest = hashlib.sha256(tile_list.read_bytes()).hexdigest()
    _damage(folder / "run", "environment.json", lambda record: record | {"manifest_sha256": digest})
    return folder / "run", tile_list


def _damage(folder: Path, name: str, change: Callable[[Any], Any]) -> None:
    path = folder / name
    path.write_bytes(msgspec.json.encode(change(msgspec.json.decode(path.read_bytes()))))


def test_a_run_that_is_not_whole_is_refused_before_anything_is_written(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    source, tile_list = made
    legacy = tmp_path / "model.h5"
    legacy.write_bytes(b"\x89HDF\r\n\x1a\n")
    run = tmp_path / "run"
    out = tmp_path / "m.tflite"

    def attempt(where: Path, error: type[Her2EdgeError], target: Path = out) -> None:
        with pytest.raises(error):
            quantize(where, tile_list, target, QuantizeOptions(scheme="fp32", limits=LOOSE), report=silent)
        assert not out.exists()
        assert not REPORTS & names(tmp_path)

    attempt(tmp_path / "none", MissingInputError)
    attempt(legacy, ModelError)
    attempt(source, OutputError, tmp_path / "none" / "m.tflite")
    attempt(source, OutputError, tmp_path)
    damages: list[Callable[[], object]] = [
        lambda: (run / "model.keras").unlink(),
        lambda: (run / "model.keras").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100)),
        lambda: (run / "model.keras").write_bytes(pickle.dumps({"a": 1})),
        lambda: (run / "metrics.json").unlink(),
        lambda: (run / "metrics.json").write_bytes(b"{"),
        lambda: (run / "recipe.json").unlink(),
        lambda: (run / "log.csv").write_text("epoch\n1\n"),
        lambda: (run / "split.csv").write_text("tile\n1\n"),
        lambda: (run / "split.csv").write_text((source / "split.csv").read_text().replace(",2+,", ",3+,", 1)),
        lambda: _damage(run, "recipe.json", lambda r: r | {"labels": ["3+", "2+", "0/1+"]}),
        lambda: _damage(run, "metrics.json", lambda m: m | {"labels": ["neg", "eq", "pos"]}),
        lambda: _damage(run, "recipe.json", lambda r: r | {"tile_px": 96}),
    ]
    for damage in damages:
        shutil.copytree(source, run)
        damage()
        attempt(run, ModelError)
        shutil.rmtree(run)


def test_a_network_that_carries_code_is_refused(made: tuple[Path, Path], tmp_path: Path) -> None:
    import keras

    source, tile_list = made
    run = tmp_path / "run"
    shutil.copytree(source, run)
    pixels = keras.Input((64, 64, 3))
    features = keras.layers.Lambda(lambda x: x * 2, name="features")(pixels)
    x = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(features))
    keras.Model(pixels, x).save(run / "model.keras")
    with pytest.raises(ModelError):
        quantize(run, tile_list, tmp_path / "m.tflite", QuantizeOptions(scheme="fp32"), report=silent)


def test_split_cells_guarded_against_spreadsheets_are_read_back(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(made[0], run)
    text = (run / "split.csv").read_text()
    (run / "split.csv").write_text(text + "'-odd.png,s,p,2+,train\n")
    assert ("2+", "train") in {
        (row.label, row.part) for row in TrainedRun.read(run).split if row.tile == "-odd.png"
    }
