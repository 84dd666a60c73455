"""The model file: read by everybody, changed by nobody. Needs no TensorFlow."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import make_tiny_model as tiny
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given, settings
from hypothesis import strategies as st
from model_v2 import TINY, repacked

import her2edge
from her2edge.errors import ModelError, OutputError
from her2edge.model.file import REQUIRED, Head, Model
from her2edge.model.manifest import dump_manifest, manifest_schema
from her2edge.model.records import GoldenOrigin, Limits, Verdict
from her2edge.probability import probabilities
from her2edge.runtime.litert import LiteRTRuntime, read_tensors
from her2edge.runtime.machine import architecture
from her2edge_quantize.convert.head import head_logits
from her2edge_quantize.model_file.pack import pack, write_model

INT8, FP32 = tiny.DATA / "tiny-int8.tflite", tiny.DATA / "tiny-fp32.tflite"
DATA = INT8.read_bytes()
SMALL = [INT8, FP32]


def _repack(model: Model) -> bytes:
    about = tiny.description(model.manifest.scheme)  # type: ignore[arg-type]
    about = replace(about, tools=model.manifest.tools, calibration=model.manifest.calibration)
    return pack(model.flatbuffer, about, model.head, model.golden.tiles, model.card)


@pytest.mark.parametrize("path", SMALL, ids=["int8", "fp32"])
def test_litert_reads_the_whole_file_and_the_flatbuffer_alone_with_the_same_answer(path: Path) -> None:
    model = Model.load(path)
    answers = []
    for data in (path.read_bytes(), model.flatbuffer):
        runner = Interpreter(model_content=data).get_signature_runner()
        (name,) = runner.get_input_details()
        answers.append(runner(**{name: model.golden.tiles[:1]}))
    for output in ("logits", "features"):
        np.testing.assert_array_equal(answers[0][output], answers[1][output])


@pytest.mark.parametrize("path", SMALL, ids=["int8", "fp32"])
def test_zipfile_reads_the_members(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == sorted(REQUIRED)
        assert json.loads(archive.read("manifest.json"))["demo"] is True


@pytest.mark.skipif(shutil.which("unzip") is None, reason="the unzip command is not installed")
def test_the_unzip_command_finds_no_fault() -> None:
    done = subprocess.run(["unzip", "-t", str(INT8)], capture_output=True, text=True, check=False)  # noqa: S607
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_json_schema_accepts_the_manifest_and_refuses_a_field_too_many_or_too_few() -> None:
    manifest = json.loads(zipfile.ZipFile(INT8).read("manifest.json"))
    schema = manifest_schema(1)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(manifest, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(manifest | {"more": 1}, schema)
    for name in set(manifest) - {"golden_origin"}:  # which files of the first days do not have
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({key: value for key, value in manifest.items() if key != name}, schema)


def test_what_the_gate_decided_travels_in_the_manifest_and_older_files_have_none() -> None:
    model = Model.load(INT8)
    assert (model.manifest.gate, model.manifest.float_layers) == (None, ())
    gate = Verdict(
        tiles=2000,
        slides=100,
        patients=90,
        flips=3,
        flip_interval=(0.0003, 0.0044),
        accuracy=0.97,
        accuracy_drop=-0.001,
        accuracy_drop_interval=(-0.003, 0.002),
        assessed_slides=100,
        changed_slides=0,
        max_difference=0.06,
        mean_difference=0.003,
        limits=Limits(),
        reasons=("made up",),
        accepted_loss=True,
    )
    about = replace(tiny.description("int8"), gate=gate, temperature=1.25, float_layers=("logits",))
    packed = pack(model.flatbuffer, about, model.head, model.golden.tiles, model.card)
    manifest = Model.from_bytes(packed).manifest
    assert (manifest.gate, manifest.temperature, manifest.float_layers) == (gate, 1.25, ("logits",))
    jsonschema.validate(json.loads(dump_manifest(manifest)), manifest_schema())


def test_a_model_whose_manifest_has_figures_of_pruning_still_loads() -> None:
    """Models were pruned once; what a manifest's metrics may be called is open."""
    model = Model.load(INT8)
    figures = {"prune.zeros": 0.5, "prune.values": 32.0, "prune.deflated_bytes": 12345.0}
    about = replace(tiny.description("int8"), metrics=figures)
    packed = pack(model.flatbuffer, about, model.head, model.golden.tiles, model.card)
    assert Model.from_bytes(packed).manifest.metrics == figures


def _flipped(position: int, bit: int) -> bytes:
    damaged = bytearray(DATA)
    damaged[position] ^= 1 << bit
    return bytes(damaged)


@settings(max_examples=300, deadline=None)
@given(position=st.integers(0, len(DATA) - 1), bit=st.integers(0, 7))
def test_every_flipped_bit_is_refused(position: int, bit: int) -> None:
    with pytest.raises(ModelError):
        Model.from_bytes(_flipped(position, bit))


@pytest.mark.parametrize("position", [0, 1, len(DATA) - 65, len(DATA) - 64, len(DATA) - 2, len(DATA) - 1])
@pytest.mark.parametrize("bit", range(8))
def test_a_flipped_bit_in_the_first_and_last_bytes_is_refused(position: int, bit: int) -> None:
    with pytest.raises(ModelError):
        Model.from_bytes(_flipped(position, bit))


@settings(max_examples=200, deadline=None)
@given(size=st.integers(0, len(DATA) - 1))
def test_every_truncation_is_refused(size: int) -> None:
    with pytest.raises(ModelError):
        Model.from_bytes(DATA[:size])


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, len(DATA) - 64, len(DATA) - 1])
def test_truncation_at_the_edges_is_refused(size: int) -> None:
    with pytest.raises(ModelError):
        Model.from_bytes(DATA[:size])


def test_each_single_flipped_byte_and_each_length_is_refused_before_any_parser_sees_it(
    monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    """RELIABILITY 1, every one of them."""
    monkeypatch.setattr("her2edge.model.file.read_members", lambda _: pytest.fail("a parser ran"))
    damaged = bytearray(DATA)
    for position in range(len(DATA)):
        damaged[position] ^= 0xFF
        with pytest.raises(ModelError):
            Model.from_bytes(bytes(damaged))
        damaged[position] ^= 0xFF
        with pytest.raises(ModelError):
            Model.from_bytes(DATA[:position])
    record_property("figure", f"{len(DATA)} of {len(DATA)} flips and as many truncations refused")


def test_bytes_behind_the_end_are_refused() -> None:
    with pytest.raises(ModelError):
        Model.from_bytes(DATA + b"\0")


@pytest.mark.parametrize("labels", TINY)
def test_packing_the_same_parts_again_gives_the_same_bytes(labels: int) -> None:
    model = Model.load(TINY[labels])
    assert model.novelty is not None
    assert model.manifest.novelty is not None
    again = repacked(model, model.novelty, model.manifest.novelty)
    assert again == repacked(model, model.novelty, model.manifest.novelty)
    origin = Model.from_bytes(again).manifest.golden_origin
    assert (again == TINY[labels].read_bytes()) is (origin == model.manifest.golden_origin)


def test_the_manifest_says_what_computed_the_golden_logits() -> None:
    origin = Model.from_bytes(_repack(Model.load(INT8))).manifest.golden_origin
    assert origin == GoldenOrigin(
        runtime="litert", version=metadata.version("ai-edge-litert"), architecture=architecture()
    )


def test_golden_logits_are_what_the_runtime_answers() -> None:
    for path in SMALL:
        model = Model.load(path)
        runtime = LiteRTRuntime(model, threads=1)
        logits = np.stack([runtime.logits(tile) for tile in model.golden.tiles])
        np.testing.assert_array_equal(logits, model.golden.logits)


def test_the_int8_input_takes_raw_grey_values() -> None:
    tensors = read_tensors(Model.load(INT8).flatbuffer)
    assert (tensors.scale, tensors.zero_point) == (1.0, 0)
    assert tensors.logits.dtype == tensors.features.dtype == "int8"


def test_the_head_gives_the_logits_of_the_network_from_its_features() -> None:
    model = Model.load(FP32)
    runtime = LiteRTRuntime(model, threads=1)
    for tile in tiny.network_inputs(8, first=300):
        logits = head_logits(model.head, runtime.features(tile))
        np.testing.assert_allclose(logits, runtime.logits(tile), atol=1e-4)


def test_the_tiny_models_answer_with_every_class_and_agree() -> None:
    tiles = tiny.network_inputs(60, first=400)
    int8, fp32 = Model.load(INT8), Model.load(FP32)
    given, wanted = (
        np.stack([probabilities(LiteRTRuntime(model, threads=1).logits(tile), 1.0) for tile in tiles])
        for model in (int8, fp32)
    )
    assert set(given.argmax(axis=1)) == {0, 1, 2}
    assert np.mean(given.argmax(axis=1) == wanted.argmax(axis=1)) >= 0.9
    assert np.abs(given - wanted).max() < 0.12


def test_what_does_not_belong_together_is_not_packed() -> None:
    model, about = Model.load(FP32), tiny.description("fp32")
    tiles = model.golden.tiles
    wrong_head = replace(model.head, w1=model.head.w1[:-1])
    cases: list[tuple[bytes, Head, Any]] = [
        (FP32.read_bytes(), model.head, tiles),  # packed already
        (model.flatbuffer[:-100], model.head, tiles[:, :32]),
        (b"", model.head, tiles),
        (b"not a FlatBuffer at all" * 10, model.head, tiles),
        (model.flatbuffer, wrong_head, tiles),
        (model.flatbuffer, model.head, tiles[:, :32, :32]),
        (model.flatbuffer, model.head, tiles[:0]),
        (model.flatbuffer, model.head, tiles.astype(np.float32)),
    ]
    for flatbuffer, head, golden in cases:
        with pytest.raises(ModelError):
            pack(flatbuffer, about, head, golden, "card")


def test_a_written_model_is_the_packed_bytes_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.tflite", DATA)
    assert path.read_bytes() == DATA
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.tflite"]
    assert her2edge.Model.load(path).sha256 == Model.from_bytes(DATA).sha256


def test_damaged_bytes_are_never_written(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        write_model(tmp_path / "m.tflite", DATA[:-1])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        write_model(tmp_path / "none" / "m.tflite", DATA)


def test_a_failing_disk_leaves_the_file_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_model(tmp_path / "m.tflite", DATA)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError):
        write_model(path, FP32.read_bytes())
    assert path.read_bytes() == DATA
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.tflite"]


def test_the_zip_inside_holds_no_date_and_no_owner() -> None:
    with zipfile.ZipFile(io.BytesIO(DATA)) as archive:
        for info in archive.infolist():
            assert info.date_time == (1980, 1, 1, 0, 0, 0)
            assert info.external_attr >> 16 == 0o100644
            assert info.compress_type == zipfile.ZIP_STORED
