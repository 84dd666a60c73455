"""Training for int8: the twin, int8's rounding in it, what a few epochs change, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_qat as tiny
from ai_edge_litert.interpreter import Interpreter
from made_run import make_run, silent, tiles_by_part

from her2edge.errors import ModelError, OptionError
from her2edge.model.file import Model
from her2edge.probability import probabilities
from her2edge.runtime.litert import LiteRTRuntime, read_tensors
from her2edge_quantize.convert.calibration import calibration_tiles
from her2edge_quantize.convert.export import convert
from her2edge_quantize.gate.held_out import held_out_tiles
from her2edge_quantize.gate.reference import reference_of
from her2edge_quantize.options import QatOptions, QuantizeOptions
from her2edge_quantize.quantize import quantize
from her2edge_training.cohort.store import TileStore, network_inputs
from her2edge_training.cohort.tile_list import TileList, TileListError, TileRecord
from her2edge_training.network.backend import keras
from her2edge_training.network.networks import build_model, load_trained
from her2edge_training.run.errors import TrainingDivergedError
from her2edge_training.run.trained import TrainedRun

pytest.importorskip("tf_keras", reason="training for int8 needs the toolkit")

from her2edge_quantize.qat.fake import fake_quantised, settle
from her2edge_quantize.qat.quantizers import ChannelQuantizer
from her2edge_quantize.qat.train import fine_tune
from her2edge_quantize.qat.twin import copy_back, twin_of

OPTIONS = QatOptions(epochs=2, learning_rate=1e-4, batch=8)


def pixels(count: int, side: int, seed: int = 1) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def outputs(model: Any, tiles: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(model(tiles.astype(np.float32), training=False))


def assert_same(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any], of: float = 1e-5) -> None:
    assert a.std() > 0
    assert np.abs(a - b).max() <= of * np.abs(a).max()


# ---- the twin


def test_a_twin_gives_the_logits_of_its_network() -> None:
    network = tiny.random_batch_norms(tiny.build(tiny.RECIPE, 64))
    assert_same(outputs(network, pixels(4, 64)), outputs(twin_of(network).model, pixels(4, 64)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["se_resnet50", "resnet50", "efficientnetb0", "inceptionv3"])
def test_the_twin_of_each_architecture_gives_its_logits(name: str) -> None:
    network = tiny.random_batch_norms(build_model(name, tile_px=96))
    for layer in network.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.set_weights([np.array([0.4, 0.5, 0.6]), np.array([0.05, 0.06, 0.04]), np.array(0)])
            layer.finalize_state()
    assert_same(outputs(network, pixels(3, 96)), outputs(twin_of(network).model, pixels(3, 96)))


def test_a_twin_for_smaller_tiles_is_the_network_built_for_them() -> None:
    network = tiny.random_batch_norms(tiny.build(tiny.RECIPE, 64))
    small = tiny.build(tiny.RECIPE, 32)
    small.set_weights(network.get_weights())
    assert_same(outputs(small, pixels(4, 32)), outputs(twin_of(network, 32).model, pixels(4, 32)))


def test_weights_come_back_to_where_they_were() -> None:
    network = tiny.random_batch_norms(tiny.build(tiny.RECIPE, 64))
    other = tiny.build(tiny.RECIPE, 64)
    copy_back(twin_of(network, 32), other)
    for a, b in zip(network.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: keras.layers.LayerNormalization(name="odd")(x),
        lambda x: keras.layers.Conv2D(3, 3, activation=lambda y: y * 2, name="odd")(x),
        lambda x: (layer := keras.layers.Conv2D(3, 1, name="odd"))(layer(x)),
        lambda x: keras.Sequential([keras.Input((64, 64, 3)), keras.layers.ReLU()], name="odd")(x),
    ],
    ids=["unknown kind", "function as activation", "used twice", "network in the network"],
)
def test_a_layer_that_has_no_twin_is_named(make: Any) -> None:
    inputs = keras.Input((64, 64, 3))
    network = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(make(inputs)))
    with pytest.raises(ModelError, match="'odd'"):
        twin_of(network)


# ---- int8's rounding


@pytest.mark.parametrize(("shape", "channel"), [((3, 3, 4, 6), 3), ((3, 3, 6, 1), 2), ((4, 6), 1)])
def test_kernels_are_rounded_to_255_steps_of_each_channel(shape: tuple[int, ...], channel: int) -> None:
    random = np.random.default_rng(2)
    scale = np.geomspace(0.01, 10, 6).reshape([-1 if i == channel else 1 for i in range(len(shape))])
    kernel = (random.normal(size=shape) * scale).astype(np.float32)
    rounded = np.asarray(ChannelQuantizer()(kernel, True, {}))
    axes = tuple(axis for axis in range(len(shape)) if axis != channel)
    step = np.abs(kernel).max(axis=axes, keepdims=True) / 127
    expected = np.round(kernel / step) * step
    np.testing.assert_allclose(rounded, expected, atol=1e-6 * float(np.abs(kernel).max()))


def test_activations_are_rounded_where_the_converter_rounds_and_to_its_ranges() -> None:
    network = tiny.random_batch_norms(tiny.build(tiny.RECIPE, 64))
    twin = twin_of(network)
    rounded = fake_quantised(twin.model)
    tiles = pixels(6, 64)
    settle(rounded, twin.model, tiles)
    ranges = {}
    for layer in rounded.layers:
        ends = {weight.name.rsplit("/", 1)[-1]: float(weight.numpy()) for weight in layer.weights
                if "output_m" in weight.name}  # fmt: skip
        if ends:
            ranges[layer.layer.name] = ends["output_max:0"] - ends["output_min:0"]
    assert set(ranges) == {
        "preprocess", "stem_relu", "conv_bn", "out", "se_pool", "se_reduce", "se_expand", "se_scale",
        "separable_depthwise", "features", "pool", "dense_relu", "logits",
    }  # fmt: skip
    details = Interpreter(model_content=convert(network, "int8", tiles)).get_tensor_details()
    scales = [d["quantization_parameters"]["scales"] for d in details if d["dtype"] is np.int8]
    widths = np.array([255 * scale[0] for scale in scales if scale.size == 1])
    # The converter's calibration gives an added branch the sum's range as well (its ADD works in place).
    del ranges["conv_bn"]
    for name, width in ranges.items():
        assert np.abs(widths / width - 1).min() < 1e-3, name


# ---- training


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return tiny.make_run(tmp_path_factory.mktemp("qat"))


def network_of(made: tuple[Path, Path], factor: float = 1.0) -> Any:
    return tiny.hard_to_round(load_trained(made[0] / "model.keras"), factor)


def tuned(
    made: tuple[Path, Path], network: Any, options: QatOptions = OPTIONS, store: TileStore | None = None
) -> Any:
    run, tiles = TrainedRun.read(made[0]), TileList.read(made[1])
    ranges = calibration_tiles(run, tiles, 16)
    return fine_tune(network, run, tiles, ranges.pixels, options, silent, store)


def int8_probabilities(made: tuple[Path, Path], network: Any) -> np.ndarray[Any, Any]:
    """Of the held-out tiles, by the int8 FlatBuffer."""
    ranges = calibration_tiles(TrainedRun.read(made[0]), TileList.read(made[1]), 16)
    flatbuffer = convert(network, "int8", ranges.pixels)
    logits = read_tensors(flatbuffer).logits
    runner = Interpreter(model_content=flatbuffer).get_signature_runner()
    (name,) = runner.get_input_details()
    stored = [runner(**{name: tile[None]})["logits"][0].astype(np.float32) for tile in held_out(made)]
    return probabilities((np.stack(stored) - logits.zero_point) * logits.scale, 1.0)


def held_out(made: tuple[Path, Path]) -> np.ndarray[Any, Any]:
    run = TrainedRun.read(made[0])
    return np.stack(list(network_inputs(run.select(TileList.read(made[1]), "test"), run.recipe)))


@pytest.mark.slow
def test_training_costs_int8_nothing_where_rounding_alone_loses_much(made: tuple[Path, Path]) -> None:
    network = network_of(made, 400.0)
    wanted = probabilities(outputs(network, held_out(made)), 1.0)
    trained, record = tuned(made, network)
    before = np.abs(int8_probabilities(made, network) - wanted)
    after = np.abs(int8_probabilities(made, trained) - wanted)
    assert before.mean() > 0.02  # else rounding loses nothing
    assert after.mean() <= before.mean() + 0.005
    assert record.best_epoch > 0  # weights that training changed


@pytest.mark.slow
def test_training_leaves_a_network_alone_that_int8_suits(made: tuple[Path, Path]) -> None:
    network = network_of(made)
    wanted = probabilities(outputs(network, held_out(made)), 1.0)
    given = int8_probabilities(made, tuned(made, network)[0])
    assert np.abs(given - wanted).max() < 0.03
    np.testing.assert_array_equal(given.argmax(axis=1), wanted.argmax(axis=1))


@pytest.mark.slow
def test_two_equal_trainings_give_the_same_weights_and_leave_the_network_as_it_was(
    made: tuple[Path, Path],
) -> None:
    network = network_of(made, 400.0)
    before = network.get_weights()
    first, second = (tuned(made, network)[0].get_weights() for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(not np.array_equal(a, b) for a, b in zip(first, before, strict=True))


@pytest.mark.slow
def test_batch_norms_keep_their_statistics_and_kernels_learn(made: tuple[Path, Path]) -> None:
    network = network_of(made, 400.0)
    trained, _record = tuned(made, network)
    changed = {
        weight.path
        for weight, other in zip(network.weights, trained.weights, strict=True)
        if not np.array_equal(np.asarray(weight), np.asarray(other))
    }
    assert {path.rsplit("/", 1)[-1] for path in changed}.isdisjoint({"moving_mean", "moving_variance"})
    kernels = {weight.path for weight in network.trainable_weights if weight.path.endswith("kernel")}
    assert kernels <= changed


@pytest.mark.slow
def test_training_that_ruins_the_network_gives_back_the_weights_that_came_in(made: tuple[Path, Path]) -> None:
    network = network_of(made)
    trained, record = tuned(made, network, QatOptions(epochs=1, learning_rate=3.0, batch=8))
    assert (record.epochs, record.best_epoch) == (1, 0)
    for a, b in zip(network.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_step_begins_when_time_is_up(made: tuple[Path, Path]) -> None:
    _trained, record = tuned(made, network_of(made), QatOptions(minutes=1e-9))
    assert (record.epochs, record.best_epoch) == (0, 0)


def test_only_tiles_of_the_training_and_the_validation_part_are_read(made: tuple[Path, Path]) -> None:
    seen = set()

    class Store(TileStore):
        def read(self, record: TileRecord) -> Any:
            seen.add(record.tile)
            return super().read(record)

    options = QatOptions(epochs=1, batch=7)  # 84 training tiles: none is left over
    tuned(made, network_of(made), options, Store(None))  # the recipe normalises no stain
    parts = tiles_by_part(made[0])
    assert seen <= parts["train"] | parts["validation"]
    assert seen & parts["validation"]
    assert parts["train"] <= seen


def test_a_loss_that_is_no_number_stops_training(made: tuple[Path, Path]) -> None:
    network = network_of(made)
    with pytest.raises(TrainingDivergedError, match="use a lower learning rate"):
        tuned(made, network, QatOptions(epochs=2, learning_rate=1e30))


def test_what_cannot_be_trained_is_refused(made: tuple[Path, Path]) -> None:
    with pytest.raises(TileListError, match="expected at least 1000 to train for int8"):
        tuned(made, network_of(made), QatOptions(batch=1000))
    with pytest.raises(OptionError, match="96 px"):
        tuned(made, network_of(made), QatOptions(tile_px=96))
    for wrong in ({"epochs": 0}, {"learning_rate": -1.0}, {"minutes": 0.0}, {"learning_rate": float("nan")}):
        with pytest.raises(OptionError, match=next(iter(wrong))):
            QatOptions(**wrong)  # type: ignore[arg-type]


# ---- the model file


@pytest.mark.slow
def test_a_run_becomes_an_int8_qat_model_that_is_compared_with_the_run_s_own_float_network(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    run, tile_list = made
    lines: list[str] = []
    options = QatOptions(epochs=1, learning_rate=1e-3)
    asked = QuantizeOptions(scheme="int8-qat", per_class=16, qat=options, accept_loss=True)
    out = quantize(run, tile_list, tmp_path / "m.tflite", asked, report=lines.append)
    model = Model.load(out)
    tensors = read_tensors(model.flatbuffer)
    assert (tensors.scale, tensors.zero_point) == (1.0, 0)
    assert (tensors.logits.dtype, tensors.features.dtype) == ("int8", "int8")
    about = model.manifest
    assert about.scheme == "int8-qat"
    assert (about.metrics["qat.epochs"], about.metrics["qat.learning_rate"]) == (1, 1e-3)
    assert about.calibration is not None
    assert len(about.calibration.tile_ids) == 48
    assert {"tensorflow-model-optimization", "tf-keras"} <= about.tools.keys()
    kept = about.metrics["qat.best_epoch"] == 0
    assert ("1 epochs of training for int8 on" in model.card) == kept
    assert ("trained on with int8's rounding: 1 epochs at learning rate 0.001" in model.card) == (not kept)
    trained = TrainedRun.read(run)
    records = held_out_tiles(trained, TileList.read(tile_list)).records
    runtime = LiteRTRuntime(model, threads=1)
    own = [runtime.logits(tile) for tile in network_inputs(records, trained.recipe)]
    reference = reference_of(load_trained(trained.network), trained, records, silent).logits
    gaps = [
        abs(probabilities(a, about.temperature) - probabilities(b, about.temperature))
        for a, b in zip(own, reference, strict=True)
    ]
    assert about.gate is not None
    assert about.gate.max_difference == pytest.approx(np.max(gaps), abs=1e-4)


def test_the_toolkit_changes_no_environment() -> None:
    assert "TF_USE_LEGACY_KERAS" not in os.environ


def test_a_network_that_cannot_be_converted_is_found_before_it_is_trained(tmp_path: Path) -> None:
    network = tiny.build(tiny.RECIPE, 64)
    layers = [layer for layer in network.layers if layer.name == "stem_relu"]
    layers[0].activation = keras.activations.elu  # no int8 kernel computes it
    run, tile_list = make_run(tmp_path, keras.models.clone_model(network))
    lines: list[str] = []
    options = QuantizeOptions(scheme="int8-qat", per_class=4)
    with pytest.raises(ModelError, match="stem_relu"):
        quantize(run, tile_list, tmp_path / "m.tflite", options, report=lines.append)
    assert [line for line in lines if "training" in line] == ["calibrating on 12 tiles of the training part"]
