"""The networks: layer order, hand-counted parameters, preprocessing inside the graph, weight files."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras")

import h5py
from keras.src.legacy.saving import legacy_h5_format

from her2edge.errors import MissingInputError, ModelError, OptionError
from her2edge_training.network.backend import keras
from her2edge_training.network.networks import (
    build_model,
    copy_weights,
    count_parameters,
    freeze_backbone,
    load_trained,
    set_batch_norm_momentum,
)

PX = 96


@pytest.fixture(autouse=True)
def _fresh_session() -> Iterator[None]:
    yield
    keras.backend.clear_session()
    gc.collect()


def head_count(channels: int, units: int = 256, classes: int = 3) -> int:
    """Dense + batch norm (4 vectors) + Dense."""
    return channels * units + units + 4 * units + units * classes + classes


# Without top, by keras.applications' tables; EfficientNet's includes the 7 values of its Normalization.
RESNET50, INCEPTIONV3, EFFICIENTNETB0 = 23_587_712, 21_802_784, 4_049_571
SE = 2048 * 128 + 128 + 128 * 2048 + 2048
SEPARABLE = 3 * 3 * 2048 + 2048 * 512 + 4 * 512
# timm's mobilenetv4_conv_small has 3,774,024 trainable values; its head 960 x 1280 and a norm, 1280 x 1000.
MOBILENETV4 = 3_774_024 - (960 * 1280 + 2 * 1280 + 1280 * 1000 + 1000)
MOBILENETV4_NORMS = 11_264  # channels of its norms, which keep a mean and a variance each
EXPECTED = {
    "se_resnet50": RESNET50 + SE + SEPARABLE + head_count(512),
    "resnet50": RESNET50 + head_count(2048),
    "efficientnetb0": EFFICIENTNETB0 + head_count(1280),
    "inceptionv3": INCEPTIONV3 + head_count(2048),
    "mobilenetv4_small": MOBILENETV4 + 2 * MOBILENETV4_NORMS + head_count(960),
}
HEAD = ["features", "pool", "dense", "dense_bn", "dense_relu", "dropout", "logits"]
BLOCK = ["se_pool", "se_reduce", "se_expand", "se_reshape", "se_scale", "separable", "separable_bn"]
LAST = {
    "se_resnet50": ["conv5_block3_out", *BLOCK],
    "resnet50": ["conv5_block3_out"],
    "efficientnetb0": ["top_activation"],
    "inceptionv3": ["mixed10"],
    "mobilenetv4_small": ["stage5_block7_conv_relu"],
}


@pytest.mark.parametrize("name", list(EXPECTED))
def test_layers_parameters_and_shapes_are_those_of_the_paper(name: str) -> None:
    model = build_model(name, tile_px=PX)
    names = [layer.name for layer in model.layers]
    assert names[-len(HEAD) - len(LAST[name]) :] == LAST[name] + HEAD
    assert model.input_shape == (None, PX, PX, 3)
    assert model.output_shape == (None, 3)
    count = count_parameters(model)
    assert count.weights == EXPECTED[name]
    assert count.trainable + count.non_trainable == count.weights
    assert count.optimizer_state == 2 * count.trainable
    assert count_parameters(model, optimizer_slots=1).optimizer_state == count.trainable
    assert model.get_layer("logits").activation is keras.activations.linear


def test_the_students_network_is_that_of_its_papers_table() -> None:
    """Channels, strides and kernels, block by block, as MobileNetV4-Conv-S has them; 959 million sums."""
    model = build_model("mobilenetv4_small", tile_px=512)
    layers = {layer.name: layer for layer in model.layers}
    kinds = {type(layer).__name__ for layer in model.layers}
    assert kinds & {"Activation", "ReLU", "Multiply", "Softmax"} == {"Activation", "ReLU"}, "ReLU only"
    assert layers["features"].activation is keras.activations.linear
    ends = [layers[f"stage{n}_block{k}_{part}"].output.shape[1:] for n, k, part in (
        (1, 1, "conv_relu"), (2, 2, "conv_relu"), (3, 2, "conv_relu"), (4, 6, "add"), (5, 6, "add"),
    )]  # fmt: skip
    assert ends == [(256, 256, 32), (128, 128, 32), (64, 64, 64), (32, 32, 96), (16, 16, 128)]
    depthwise = [
        (name.removeprefix("stage"), layer.kernel_size[0], layer.strides[0], layer.output.shape[-1])
        for name, layer in layers.items()
        if isinstance(layer, keras.layers.DepthwiseConv2D)
    ]
    assert depthwise == [
        ("4_block1_start", 5, 1, 64), ("4_block1_middle", 5, 2, 192),
        *[(f"4_block{k}_middle", 3, 1, 192) for k in (2, 3, 4, 5)], ("4_block6_start", 3, 1, 96),
        ("5_block1_start", 3, 1, 96), ("5_block1_middle", 3, 2, 576),
        ("5_block2_start", 5, 1, 128), ("5_block2_middle", 5, 1, 512), ("5_block3_middle", 5, 1, 512),
        ("5_block4_middle", 5, 1, 384), ("5_block5_middle", 3, 1, 512), ("5_block6_middle", 3, 1, 512),
    ]  # fmt: skip
    added = [name for name, layer in layers.items() if isinstance(layer, keras.layers.Add)]
    assert len(added) == 5 + 5, "all bottlenecks but the two that change the shape"
    sums = sum(float(np.prod(layer.kernel.shape)) * np.prod(layer.output.shape[1:3])
               for layer in layers.values() if "Conv2D" in type(layer).__name__)  # fmt: skip
    assert sums / 1e6 == pytest.approx(959, abs=1)


def test_the_students_network_has_no_weights_of_imagenet() -> None:
    with pytest.raises(OptionError, match="expected none: no weights are published for Keras"):
        build_model("mobilenetv4_small", tile_px=32, weights="imagenet")


def test_the_papers_network_has_the_count_printed_by_hand() -> None:
    assert EXPECTED["se_resnet50"] == 25_316_355
    model = build_model("se_resnet50", tile_px=32)
    # Batch norm keeps 2 of its 4 vectors out of training: 26,560 channels in ResNet50, 512, 256.
    assert count_parameters(model).non_trainable == 2 * (26_560 + 512 + 256)


def test_a_frozen_backbone_leaves_the_papers_blocks_and_head_to_be_trained() -> None:
    model = build_model("se_resnet50", tile_px=32)
    freeze_backbone(model)
    assert count_parameters(model).trainable == SE + SEPARABLE + head_count(512) - 2 * (512 + 256)


def test_options_of_the_block_change_its_size() -> None:
    model = build_model(
        "se_resnet50", tile_px=32, classes=4, se_ratio=8, separable_filters=64, dense_units=16
    )
    assert model.get_layer("se_reduce").units == 256
    assert model.get_layer("separable").output.shape[-1] == 64
    assert not model.get_layer("separable").use_bias
    assert model.get_layer("dense").units == 16
    assert model.output_shape == (None, 4)


@pytest.fixture(scope="module")
def caffe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ResNet50 no-top file as keras.applications publishes it (BGR), with random values."""
    path = tmp_path_factory.mktemp("weights") / "resnet50_notop.weights.h5"
    keras.utils.set_random_seed(3)
    keras.applications.ResNet50(include_top=False, weights=None, input_shape=(64, 64, 3)).save_weights(path)
    return path


def test_rgb_in_the_graph_equals_the_caffe_preprocessing_of_keras(caffe_file: Path) -> None:
    reference = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(64, 64, 3))
    reference.load_weights(caffe_file)
    model = build_model("resnet50", tile_px=64, weights=caffe_file)
    features = keras.Model(model.input, model.get_layer("features").output)
    pixels = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    caffe = keras.applications.resnet50.preprocess_input(pixels.astype(np.float32))
    expected = np.asarray(reference.predict_on_batch(caffe))
    ours = np.asarray(features.predict_on_batch(pixels.astype(np.float32)))
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_array_equal(ours, np.asarray(features.predict_on_batch(pixels)))  # uint8 as float


def test_the_papers_network_takes_the_same_file(caffe_file: Path) -> None:
    model = build_model("se_resnet50", tile_px=32, weights=str(caffe_file))
    plain = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(32, 32, 3))
    plain.load_weights(caffe_file)
    kernel = plain.get_layer("conv1_conv").get_weights()[0]
    np.testing.assert_array_equal(model.get_layer("conv1_conv").get_weights()[0], kernel[:, :, ::-1])


def test_the_old_h5_form_of_the_published_files_is_read(tmp_path: Path) -> None:
    plain = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(32, 32, 3))
    with h5py.File(tmp_path / "resnet50_notop.h5", "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, plain)
    model = build_model("resnet50", tile_px=32, weights=tmp_path / "resnet50_notop.h5")
    kernel = plain.get_layer("conv1_conv").get_weights()[0]
    np.testing.assert_array_equal(model.get_layer("conv1_conv").get_weights()[0], kernel[:, :, ::-1])
    for name in ("conv1_conv", "conv5_block3_3_conv"):
        np.testing.assert_array_equal(
            model.get_layer(name).get_weights()[1], plain.get_layer(name).get_weights()[1]
        )


def test_efficientnet_imagenet_file_divides_twice_as_keras_does(tmp_path: Path) -> None:
    """Keras' own graph for ImageNet has a second Rescaling by 1/sqrt(stddev); ours folds it."""
    plain = keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(32, 32, 3))
    (norm,) = [layer for layer in plain.layers if isinstance(layer, keras.layers.Normalization)]
    mean, variance = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    norm.set_weights([mean, variance, np.array(1)])
    plain.save_weights(tmp_path / "efficientnetb0_notop.weights.h5")
    model = build_model("efficientnetb0", tile_px=32, weights=tmp_path / "efficientnetb0_notop.weights.h5")
    (ours,) = [layer for layer in model.layers if isinstance(layer, keras.layers.Normalization)]
    pixels = np.random.default_rng(1).uniform(0, 255, (1, 32, 32, 3)).astype(np.float32)
    scaled = keras.Model(model.input, ours.output).predict_on_batch(pixels)
    np.testing.assert_allclose(scaled, (pixels / 255 - mean) / variance, rtol=1e-4, atol=1e-5)


def test_inception_sees_minus_one_to_one() -> None:
    model = build_model("inceptionv3", tile_px=80)
    seen = keras.Model(model.input, model.get_layer("preprocess").output)
    pixels = np.full((1, 80, 80, 3), 255, np.float32)
    pixels[0, 0] = 0
    scaled = np.asarray(seen.predict_on_batch(pixels))
    assert (scaled.min(), scaled.max()) == (-1.0, 1.0)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"name": "vgg16"}, "se_resnet50, resnet50"),
        ({"tile_px": 16}, "at least 32"),
        ({"name": "inceptionv3", "tile_px": 64}, "at least 75"),
        ({"se_ratio": 0}, "se_ratio"),
        ({"separable_filters": 0}, "separable_filters"),
        ({"dense_units": 0}, "dense_units"),
        ({"classes": 1}, "classes"),
        ({"dropout": 1.0}, "dropout"),
        ({"weights": "weights.keras"}, "expected 'imagenet' or the path of a .h5"),
    ],
)
def test_a_value_out_of_range_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        build_model(**({"name": "se_resnet50", "tile_px": 32} | options))


def test_a_missing_weight_file_is_named() -> None:
    with pytest.raises(MissingInputError, match=r"no weight file at none\.h5"):
        build_model("resnet50", tile_px=32, weights="none.h5")


@pytest.mark.parametrize("damage", ["cut", "noise", "foreign"])
def test_a_weight_file_that_does_not_fit_is_refused(caffe_file: Path, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "bad.weights.h5"
    if damage == "foreign":
        keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save_weights(path)
    else:
        path.write_bytes(caffe_file.read_bytes()[:5000] if damage == "cut" else bytes(range(256)) * 20)
    with pytest.raises(ModelError, match="expected weights of resnet50 without top"):
        build_model("resnet50", tile_px=32, weights=path)


def test_weights_carry_over_between_tile_sizes(tmp_path: Path) -> None:
    small, large = build_model("efficientnetb0", tile_px=32), build_model("efficientnetb0", tile_px=64)
    copy_weights(small, large)
    for a, b in zip(small.get_weights(), large.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ModelError, match="do not fit"):
        copy_weights(small, build_model("resnet50", tile_px=32))


def test_a_saved_model_loads_in_safe_mode_and_answers_the_same(tmp_path: Path) -> None:
    model = build_model("efficientnetb0", tile_px=32)
    set_batch_norm_momentum(model, 0.9)
    model.save(tmp_path / "model.keras")
    again = load_trained(tmp_path / "model.keras")
    assert again.get_layer("dense_bn").momentum == 0.9
    pixels = np.random.default_rng(1).uniform(0, 255, (1, 32, 32, 3)).astype(np.float32)
    np.testing.assert_array_equal(model.predict_on_batch(pixels), again.predict_on_batch(pixels))


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="no model at"):
        load_trained(tmp_path / "none.keras")
    (tmp_path / "bad.keras").write_bytes(b"PK\x03\x04nothing")
    with pytest.raises(ModelError, match="expected a Keras model"):
        load_trained(tmp_path / "bad.keras")
