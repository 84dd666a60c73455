"""From a Keras network to a model file. Uses TensorFlow; one tiny network is converted once."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import pickle
import shutil
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import make_tiny_model as tiny
import msgspec
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from her2edge.errors import (
    Her2EdgeError,
    MissingInputError,
    ModelError,
    OptionError,
    OutputError,
    RuntimeUnavailable,
)
from her2edge.model import Model
from her2edge.probability import probabilities
from her2edge.runtime.litert import LiteRTRuntime, read_tensors
from her2edge_quantize.calibrate import calibration_tiles, tile_hashes
from her2edge_quantize.export import convert
from her2edge_quantize.head import fold_head, head_logits
from her2edge_quantize.quantize import quantize
from her2edge_quantize.run_folder import read_run
from her2edge_training.manifest import ManifestError
from her2edge_training.recipe import Recipe, Stage, dump_recipe
from her2edge_training.split import PARTS
from her2edge_training.synthetic import even_cohort, write_dataset

pytest.importorskip("tensorflow", reason="conversion needs TensorFlow")


@cache
def network() -> Any:
    return tiny.build()


@cache
def packed(scheme: str) -> Model:
    return Model.from_bytes(tiny.make(network(), scheme))  # type: ignore[arg-type]


def keras_logits(tiles: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(network()(tiles.astype(np.float32), training=False))


def test_fp32_gives_the_logits_and_features_of_keras() -> None:
    import keras

    tiles = tiny.network_inputs(6, first=700)
    runtime = LiteRTRuntime(packed("fp32"), threads=1)
    part = keras.Model(network().input, network().get_layer("pool").input)
    features = np.asarray(part(tiles.astype(np.float32), training=False))
    for tile, logits, wanted in zip(tiles, keras_logits(tiles), features, strict=True):
        np.testing.assert_allclose(runtime.logits(tile), logits, atol=1e-4)
        np.testing.assert_allclose(runtime.features(tile), wanted, atol=1e-4)


def test_fp16_is_smaller_and_near_keras() -> None:
    # The difference (0.024 over these tiles) is float16 rounding of the weights after the converter has
    # folded the batch norms: against Keras with weights folded and rounded likewise it is 0.0014.
    tiles = tiny.network_inputs(40, first=700)
    flatbuffer = convert(network(), "fp16")
    assert len(flatbuffer) < len(packed("fp32").flatbuffer)
    runner = Interpreter(model_content=flatbuffer).get_signature_runner()
    (name,) = runner.get_input_details()
    for tile, logits in zip(tiles, keras_logits(tiles), strict=True):
        np.testing.assert_allclose(runner(**{name: tile[None]})["logits"][0], logits, atol=0.05)


def test_int8_probabilities_are_near_those_of_keras() -> None:
    tiles = tiny.network_inputs(40, first=700)
    runtime = LiteRTRuntime(packed("int8"), threads=1)
    found = np.stack([probabilities(runtime.logits(tile), 1.0) for tile in tiles])
    difference = np.abs(found - probabilities(keras_logits(tiles), 1.0))
    assert difference.max() < 0.12
    assert difference.mean() < 0.02


def test_int8_is_integer_throughout_with_a_scale_per_channel_and_raw_bytes_in() -> None:
    flatbuffer = packed("int8").flatbuffer
    tensors = read_tensors(flatbuffer)
    assert (tensors.scale, tensors.zero_point) == (1.0, 0)
    details = Interpreter(model_content=flatbuffer).get_tensor_details()
    kinds = {np.dtype(detail["dtype"]).name for detail in details if detail["shape"].size}
    assert kinds <= {"int8", "uint8", "int32"}
    assert max(len(detail["quantization_parameters"]["scales"]) for detail in details) >= 16


@pytest.mark.parametrize("low_high", [(0, 255), (60, 190)])
def test_the_input_scale_is_one_whatever_range_the_calibration_tiles_have(low_high: tuple[int, int]) -> None:
    tiles = tiny.network_inputs(4).astype(np.float32)
    narrow = (low_high[0] + tiles / 255 * (low_high[1] - low_high[0])).astype(np.uint8)
    tensors = read_tensors(convert(network(), "int8", narrow))
    assert (tensors.scale, tensors.zero_point) == (1.0, 0)


def test_the_folded_head_gives_the_logits_of_keras() -> None:
    import keras

    tiles = tiny.network_inputs(8, first=700)
    part = keras.Model(network().input, network().get_layer("pool").input)
    features = np.asarray(part(tiles.astype(np.float32), training=False))
    found = [head_logits(fold_head(network()), feature) for feature in features]
    np.testing.assert_allclose(found, keras_logits(tiles), atol=1e-4)


def test_int8_without_usable_calibration_tiles_is_refused() -> None:
    flat = np.full((3, 64, 64, 3), 200, np.uint8)
    for tiles in (None, list(flat[:0]), list(flat), list(flat[:, :32])):
        with pytest.raises(OptionError):
            convert(network(), "int8", tiles)
    with pytest.raises(OptionError):
        convert(network(), "int4")  # type: ignore[arg-type]


def test_a_weight_that_is_not_a_number_is_refused_by_the_name_of_its_layer() -> None:
    import keras

    broken = keras.models.clone_model(network())
    kernel, bias = broken.get_layer("stem").get_weights()
    kernel[0, 0, 0, 0] = np.nan
    broken.get_layer("stem").set_weights([kernel, bias])
    with pytest.raises(ModelError, match="'stem' holds NaN"):
        convert(broken, "fp32")


def test_a_layer_the_converter_does_not_know_is_a_model_error() -> None:
    import keras
    import tensorflow as tf

    class Strange(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return tf.raw_ops.Betainc(a=tf.abs(x) + 1.0, b=tf.abs(x) + 1.0, x=tf.sigmoid(x))

    pixels = keras.Input((64, 64, 3))
    features = keras.layers.Conv2D(2, 3, name="features")(pixels)
    x = Strange()(keras.layers.GlobalAveragePooling2D()(features))
    with pytest.raises(ModelError, match=r"cannot be converted to fp32: .+"):
        convert(keras.Model(pixels, keras.layers.Dense(3)(x)), "fp32")


def test_a_network_of_another_form_is_refused() -> None:
    import keras

    grey = keras.Input((64, 64, 1))
    any_size = keras.Input((None, None, 3))
    plain = keras.Input((64, 64, 3))
    for pixels in (grey, any_size, plain):
        x = keras.layers.GlobalAveragePooling2D()(pixels)
        with pytest.raises(ModelError):
            convert(keras.Model(pixels, keras.layers.Dense(3)(x)), "fp32")


def test_conversion_leaves_the_root_logger_alone() -> None:
    before = list(logging.root.handlers), logging.root.level
    packed("fp32")
    assert (list(logging.root.handlers), logging.root.level) == before


def test_without_tensorflow_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(RuntimeUnavailable, match=r'pip install "her2edge\[quantize\]"'):
        convert(None, "fp32")


# ---- whole runs: 12 made-up slides, the tiny network, a run folder as training writes it


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(run folder, manifest)"""
    folder = tmp_path_factory.mktemp("made")
    manifest = write_dataset(folder / "tiles", even_cohort(12, 8, seed=3), tile_px=64)
    run = folder / "run"
    run.mkdir()
    stage = Stage(tile_px=64, epochs=1, learning_rate=1e-3, batch=4)
    (run / "recipe.json").write_bytes(dump_recipe(Recipe("tiny", "se_resnet50", (stage,), tile_px=64)))
    with manifest.open(newline="") as file:
        rows = list(csv.DictReader(file))
    slides = sorted({row["slide"] for row in rows})
    order = {label: [s for s in slides if any(r["slide"] == s and r["label"] == label for r in rows)]
             for label in {row["label"] for row in rows}}  # fmt: skip
    part_of = {
        s: ("train", "train", "validation", "test")[i] for own in order.values() for i, s in enumerate(own)
    }
    lines = ["tile,slide,patient,label,part"]
    lines += [f"{r['tile']},{r['slide']},{r['patient']},{r['label']},{part_of[r['slide']]}" for r in rows]
    (run / "split.csv").write_text("\n".join(lines) + "\n")
    score = {"accuracy": 0.4375, "tiles": 24, "slides": 3, "patients": 3, "per_class": [8, 8, 8],
             "recall": [0.5, 0.5, 0.3125], "confusion": [[4, 2, 2], [2, 4, 2], [3, 2, 3]]}  # fmt: skip
    metrics = {"recipe": "tiny", "protocol": "slide-grouped", "labels": ["0/1+", "2+", "3+"], "tile_px": 64,
               "epochs": 2, "left_out_as_background": 0, "validation": score, "test": score}  # fmt: skip
    (run / "metrics.json").write_text(json.dumps(metrics))
    environment = {"packages": {"keras": "3"}, "backend": "tensorflow", "system": "Linux x86_64",
                   "manifest_sha256": hashlib.sha256(manifest.read_bytes()).hexdigest()}  # fmt: skip
    (run / "environment.json").write_text(json.dumps(environment))
    (run / "log.csv").write_text("epoch,seconds\n1,30.5\n2,11.5\n")
    network().save(run / "model.keras")
    return run, manifest


def _parts(run: Path) -> dict[str, set[str]]:
    with (run / "split.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {part: {row["tile"] for row in rows if row["part"] == part} for part in PARTS}


def test_calibration_tiles_come_from_the_training_part_only(made: tuple[Path, Path]) -> None:
    run, manifest = made
    tiles, calibration = calibration_tiles(run, manifest, per_class=6, seed=1)
    parts = {part: set(tile_hashes(calibration.salt, ids)) for part, ids in _parts(run).items()}
    used = set(calibration.tile_ids)
    assert len(tiles) == len(used) == 18
    assert used <= parts["train"]
    assert not used & (parts["validation"] | parts["test"])
    again, same = calibration_tiles(run, manifest, per_class=6, seed=1)
    assert same == calibration
    np.testing.assert_array_equal(again, tiles)


def test_calibration_takes_every_slide_of_a_class_before_a_second_tile(made: tuple[Path, Path]) -> None:
    run, manifest = made
    _tiles, calibration = calibration_tiles(run, manifest, per_class=4)
    with (run / "split.csv").open(newline="") as file:
        slide_of = {
            tile_hashes(calibration.salt, [row["tile"]])[0]: row["slide"] for row in csv.DictReader(file)
        }
    counts: dict[str, int] = {}
    for tile in calibration.tile_ids:
        counts[slide_of[tile]] = counts.get(slide_of[tile], 0) + 1
    assert set(counts.values()) == {2}
    assert len(counts) == 6


def test_too_few_calibration_tiles_are_refused(made: tuple[Path, Path]) -> None:
    with pytest.raises(ManifestError, match="expected at least"):
        calibration_tiles(*made, per_class=3)


def test_another_manifest_than_the_one_of_the_training_is_refused(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    run, manifest = made
    changed = manifest.with_name("changed.csv")
    changed.write_bytes(manifest.read_bytes() + b"\n")
    with pytest.raises(ManifestError, match="SHA-256"):
        calibration_tiles(run, changed, per_class=4)


def test_a_run_becomes_a_verified_int8_model_that_says_how_it_agrees(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    run, manifest = made
    lines: list[str] = []
    out = quantize(run, manifest, "int8", tmp_path / "m.tflite", demo=True, report=lines.append, per_class=8)
    model = Model.load(out)
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.tflite"]
    assert model.manifest.demo
    assert model.manifest.calibration is not None
    assert len(model.manifest.calibration.tile_ids) == 24
    assert model.manifest.metrics["test.accuracy"] == 0.4375
    assert model.manifest.metrics["fp32_agreement.tiles"] == 24
    assert model.manifest.metrics["training_seconds"] == 42
    assert any("of 24 tiles" in line for line in lines)
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
        "slide-grouped",
    ):
        assert text in card
    for word in ("treat", "therap", "trastuzumab", "patients benefit", "prescri"):
        assert word not in card.lower()


def test_a_model_of_synthetic_tiles_is_a_demo_whatever_the_caller_says(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    model = Model.load(quantize(*made, "fp32", tmp_path / "m.tflite", demo=False, report=lambda _line: None))
    assert model.manifest.demo
    assert "nothing of patients" in model.card


def test_fp32_and_fp16_need_no_calibration(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("her2edge_quantize.quantize.SITES", ())  # as if the tiles were a hospital's
    for scheme in ("fp32", "fp16"):
        out = quantize(*made, scheme, tmp_path / f"{scheme}.tflite", report=lambda _line: None)
        manifest = Model.load(out).manifest
        assert (manifest.scheme, manifest.calibration, manifest.demo) == (scheme, None, False)
        assert "nothing of patients" not in Model.load(out).card


def _damage(folder: Path, name: str, change: Callable[[Any], Any]) -> None:
    path = folder / name
    path.write_bytes(msgspec.json.encode(change(msgspec.json.decode(path.read_bytes()))))


def test_a_run_that_is_not_whole_is_refused_before_anything_is_written(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    source, manifest = made
    legacy = tmp_path / "model.h5"
    legacy.write_bytes(b"\x89HDF\r\n\x1a\n")
    run = tmp_path / "run"
    out = tmp_path / "m.tflite"

    def attempt(where: Path, error: type[Her2EdgeError], target: Path = out) -> None:
        with pytest.raises(error):
            quantize(where, manifest, "fp32", target, report=lambda _line: None)
        assert not out.exists()

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

    source, manifest = made
    run = tmp_path / "run"
    shutil.copytree(source, run)
    pixels = keras.Input((64, 64, 3))
    features = keras.layers.Lambda(lambda x: x * 2, name="features")(pixels)
    x = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(features))
    keras.Model(pixels, x).save(run / "model.keras")
    with pytest.raises(ModelError):
        quantize(run, manifest, "fp32", tmp_path / "m.tflite", report=lambda _line: None)


def test_split_cells_guarded_against_spreadsheets_are_read_back(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(made[0], run)
    text = (run / "split.csv").read_text()
    (run / "split.csv").write_text(text + "'-odd.png,s,p,2+,train\n")
    assert read_run(run).parts["-odd.png"] == ("2+", "train")
