"""Golden tiles at load: what disagrees with them classifies nothing (RELIABILITY 4)."""

from __future__ import annotations

import json
import time
from importlib import metadata

import cv2
import numpy as np
import pytest
import tiny
from engines import on, with_network
from repack import edited, golden, members, packed

from her2edge import Model, Options, TileClassifier
from her2edge.errors import InferenceError, ModelError, OptionError
from her2edge.probability import probabilities
from her2edge.runtime import Host, LiteRTRuntime, open_runtime
from her2edge.runtime.choose import Kind
from her2edge.runtime.machine import architecture
from her2edge.runtime.selftest import CLEAR_MARGIN, MAX_DIFFERENCE, _compare
from her2edge_cli.main import main

HERE = {
    "runtime": "litert",
    "version": metadata.version("ai-edge-litert"),
    "architecture": architecture(),
}
ONE = Options(threads=1)


def logits(path=tiny.INT8):
    """What LiteRT says of the golden tiles here and now, (2, 3) float32."""
    model = Model.load(path)
    runtime = open_runtime("litert", model, 1)
    return np.stack([runtime.logits(tile) for tile in model.golden.tiles])


def model(expected, path=tiny.INT8, **origin):
    """The tiny model with other golden logits, computed as `origin` says; by default right here."""
    data = path.read_bytes()
    parts = edited(data, golden_origin=HERE | origin) | {"golden.npz": golden(data, logits=expected)}
    return Model.from_bytes(packed(parts, Model.from_bytes(data).flatbuffer))


def moved(by):
    """Golden logits with one of them so many int8 steps away."""
    found = logits()
    found[1, 2] += np.float32(by * Model.load(tiny.INT8).manifest.logits.scale)
    return found


def test_the_same_runtime_gives_identical_outputs():
    tested = TileClassifier(model(logits()), ONE).tested
    assert (tested.tiles, tested.identical, tested.difference) == (2, True, 0.0)


@pytest.mark.parametrize("step", [-1, 1])
def test_one_step_of_one_int8_logit_is_refused_where_the_same_runtime_made_them(step):
    with pytest.raises(ModelError, match=r"LiteRT \(litert .*\) disagrees .* expected identical outputs"):
        TileClassifier(model(moved(step)), ONE)


@pytest.mark.parametrize(
    "origin", [{"runtime": "openvino"}, {"version": "1.0"}, {"architecture": "riscv64"}], ids=str
)
def test_one_step_is_accepted_where_another_runtime_version_or_architecture_made_them(origin):
    tested = TileClassifier(model(moved(1), **origin), ONE).tested
    assert not tested.identical
    assert 0 < tested.difference <= MAX_DIFFERENCE


def test_float_outputs_need_not_be_identical():
    expected = logits(tiny.FP32) + np.float32(1e-4)
    expected[0, 0] += np.float32(1e-3)
    assert not TileClassifier(model(expected, tiny.FP32), ONE).tested.identical


@pytest.mark.parametrize("origin", [{}, {"version": "1.0"}], ids=["same", "another"])
@pytest.mark.parametrize(
    "false", [lambda x: x[::-1], lambda x: -x, lambda x: np.full_like(x, np.nan), lambda x: moved(6)]
)
def test_a_model_with_a_false_golden_file_is_refused_naming_runtime_and_difference(false, origin):
    with pytest.raises(ModelError, match=r"LiteRT .* differ by (0\.|nan)"):
        TileClassifier(model(false(logits()), **origin), ONE)


def test_whoever_changes_a_clear_class_is_beyond_the_permitted_difference_too():
    """The two limits fit: a class that changes with a margin above 0.06 moved a probability by 0.03."""
    random = np.random.default_rng(5)
    pairs = random.normal(0, 1.5, (2000, 2, 1, 3)).astype(np.float32)
    refused = 0
    for ours, theirs in pairs:
        difference, agree = _compare(ours, theirs, 1.0)
        chances = np.sort(probabilities(theirs, 1.0)[0])
        clear = chances[2] - chances[1] > CLEAR_MARGIN
        assert agree is not bool(clear and ours.argmax() != theirs.argmax())
        refused += not agree
        assert agree or difference > MAX_DIFFERENCE
    assert refused > 500


def test_a_model_without_golden_tiles_is_refused():
    empty = golden(
        tiles=np.zeros((0, tiny.SIZE, tiny.SIZE, 3), np.uint8), logits=np.zeros((0, 3), np.float32)
    )
    with pytest.raises(ModelError, match="no golden tiles"):
        TileClassifier(Model.from_bytes(packed(members() | {"golden.npz": empty})), ONE)


def test_a_runtime_that_fails_on_a_golden_tile_is_refused():
    class Failing(LiteRTRuntime):
        def _infer(self, pixels, names):
            raise RuntimeError("injected")

    host = Host(runtimes={"litert": Kind("ai-edge-litert", Failing)})
    with pytest.raises(ModelError, match="injected"):
        on(host, Model.load(tiny.INT8), ONE)


def test_two_tiles_are_run_and_no_more():
    expected = np.tile(logits(), (3, 1))
    tiles = np.tile(Model.load(tiny.INT8).golden.tiles, (3, 1, 1, 1))
    parts = members() | {"golden.npz": golden(tiles=tiles, logits=expected)}
    assert TileClassifier(Model.from_bytes(packed(parts)), ONE).tested.tiles == 2


def test_it_is_left_out_by_name_only():
    false = model(-logits())
    classifier = TileClassifier(false, Options(threads=1, self_test=False))
    assert classifier.tested is None
    assert classifier.classify(tiny.tissue(1)[0]).label
    for other in (None, 0, "no"):
        with pytest.raises(OptionError, match="self_test"):
            Options(self_test=other)


def test_another_stain_option_does_not_run_it_again():
    classifier = TileClassifier(Model.load(tiny.INT8), ONE)
    classifier = with_network(classifier, logits=lambda _: pytest.fail("the network ran"))
    assert classifier.with_stain("off").tested is classifier.tested


def test_the_command_refuses_with_78_and_run_json_says_what_was_found(tmp_path, capsys):
    tile = tmp_path / "tiles" / "a.png"
    tile.parent.mkdir()
    cv2.imwrite(str(tile), tiny.tissue(1)[0].pixels)
    parts = edited() | {"golden.npz": golden(logits=-logits())}
    false = tmp_path / "false.tflite"
    false.write_bytes(packed(parts))

    def classify(path, out):
        return main(["classify", str(tile.parent), "--model", str(path), "--out", str(tmp_path / out)])

    assert classify(false, "false") == 78
    assert "golden tiles" in capsys.readouterr().err
    assert not (tmp_path / "false").exists()
    assert classify(tiny.INT8, "good") == 0
    (folder,) = (tmp_path / "good").iterdir()
    run = json.loads((folder / "run.json").read_text())
    assert run["self_test"] == str(TileClassifier(Model.load(tiny.INT8), ONE).tested)
    assert run["runtime"] == {"name": "litert", "version": HERE["version"], "precision": "f32"}


def test_the_demo_models_two_tiles_take_less_than_a_second():
    """The processor's seconds shared by two threads: other programs' load is not the self-test's."""
    model, spent = Model.demo(), []
    TileClassifier(model, Options(threads=2, self_test=False))
    for _ in range(2):
        began = time.process_time()
        assert TileClassifier(model, Options(threads=2)).tested is not None
        spent.append(time.process_time() - began)
    assert min(spent) / 2 < 1


def test_a_tile_that_fails_later_is_still_only_a_failed_tile():
    def fail(_):
        raise InferenceError("LiteRT failed on a tile: injected")

    classifier = with_network(TileClassifier(Model.load(tiny.INT8), ONE), logits=fail)
    assert classifier.classify(tiny.tissue(1)[0]).outcome == "failed"
