"""Writes tests/data/tiny-{2,3,4}-labels.tflite: make_tiny_model.py (40 s, needs TensorFlow).

A 64 px network with random, seeded weights and the layer names of the real ones. It knows nothing; its
batch norms and last layer are set from made-up tissue so that different tiles get different classes. They
are of schema 2, with novelty and quality limits. tiny-int8 and tiny-fp32 are older, of schema 1: they stay.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from model_v2 import repacked
from numpy.typing import NDArray

from her2edge import MacenkoNormalizer, Model
from her2edge.model.classes import PAPER_CLASSES, LabelClass
from her2edge.model.records import Calibration, Scheme, Stain, Tissue, Training
from her2edge.runtime import open_runtime
from her2edge.stain.profiles import MACENKO
from her2edge.tile import Pixels
from her2edge_quantize.convert.converter import require_tensorflow
from her2edge_quantize.convert.export import convert
from her2edge_quantize.convert.head import fold_head
from her2edge_quantize.model_file.description import Description, stain_target, tool_versions
from her2edge_quantize.model_file.novelty import fit_novelty
from her2edge_quantize.model_file.pack import pack, write_model
from her2edge_training.synthetic import make_cohort, make_tile

DATA = Path(__file__).resolve().parents[1] / "data"
TILE_PX = 64
SEED = 7
CARD = """---
license: apache-2.0
library_name: her2edge
pipeline_tag: image-classification
tags: [her2edge, test]
---
# tiny

Research use only. Not for diagnosis. Random weights, made by tests/support/make_tiny_model.py; it knows
nothing of patients and nothing of tissue.
"""


CLASSES = {
    2: (
        LabelClass(label="negative", name="HER2 negative", color=(69, 117, 180)),
        LabelClass(label="positive", name="HER2 positive", color=(215, 48, 39)),
    ),
    3: PAPER_CLASSES,
    4: (LabelClass(label="benign", name="No tumour", color=(145, 191, 219)), *PAPER_CLASSES),
}
Means = tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.str_]]


def tissue(index: int, tile_px: int = TILE_PX) -> Pixels:
    """(tile_px, tile_px, 3) uint8 RGB: smooth random amounts of two stains, and dark round nuclei."""
    random = np.random.default_rng((SEED, index))
    y, x = np.mgrid[:tile_px, :tile_px] / tile_px
    waves = random.uniform(1, 6, (2, 3, 2)) @ np.stack([x.ravel(), y.ravel()]) * 2 * np.pi
    amounts = np.abs(np.sin(waves + random.uniform(0, 6.3, (2, 3, 1))).mean(axis=1)).reshape(
        2, tile_px, tile_px
    )
    amounts *= random.uniform(0.2, 1.0, (2, 1, 1)) * MACENKO.max_concentration[:, None, None]
    for cx, cy, r in random.uniform((0, 0, 0.02), (1, 1, 0.12), (random.integers(2, 30), 3)):
        amounts[0][(x - cx) ** 2 + (y - cy) ** 2 < r * r] = random.uniform(0.7, 1.9)
    density = np.tensordot(amounts + 0.1, MACENKO.stain_matrix.T, axes=(0, 0))
    grey = 240 * np.exp(-density) + random.normal(0, 3, density.shape)
    return np.clip(grey, 0, 255).astype(np.uint8)


def network_inputs(count: int, first: int = 0) -> Pixels:
    """(count, TILE_PX, TILE_PX, 3) uint8 RGB made-up tissue, normalised by the SDK."""
    normalizer = MacenkoNormalizer()
    return np.stack([normalizer.normalize(tissue(first + i)).pixels for i in range(count)])


def build(labels: int = 3) -> Any:
    """The network: two convolutions, then the usual head; about 7,000 weights."""
    require_tensorflow()
    import keras

    keras.utils.set_random_seed(SEED)
    layers = keras.layers
    x = pixels = keras.Input((TILE_PX, TILE_PX, 3), name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="preprocess")(x)
    x = layers.Conv2D(8, 5, strides=2, padding="same", activation="relu", name="stem")(x)
    x = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False, name="conv")(x)
    x = layers.BatchNormalization(name="conv_bn")(x)
    x = layers.ReLU(name="features")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(12, name="dense")(x)
    x = layers.BatchNormalization(name="dense_bn")(x)
    x = layers.ReLU(name="dense_relu")(x)
    x = layers.Dropout(0.5, name="dropout")(x)
    model = keras.Model(pixels, layers.Dense(labels, name="logits")(x), name="tiny")
    _settle(model, network_inputs(96, first=1000))
    return model


def _settle(model: Any, tiles: Pixels) -> None:
    """Set batch norms and last layer from what `tiles` give, so that no class is always the answer."""
    import keras

    random = np.random.default_rng(SEED)
    for source, name in (("conv", "conv_bn"), ("dense", "dense_bn")):
        values = _at(keras, model, source, tiles)
        axes = tuple(range(values.ndim - 1))
        gamma, beta = random.uniform(0.8, 1.2, values.shape[-1]), random.uniform(-0.3, 0.3, values.shape[-1])
        model.get_layer(name).set_weights([gamma, beta, values.mean(axis=axes), values.var(axis=axes)])
    kernel, bias = model.get_layer("logits").get_weights()
    values = _at(keras, model, "logits", tiles)
    scale = 1.5 / values.std(axis=0)
    model.get_layer("logits").set_weights([kernel * scale, (bias - values.mean(axis=0)) * scale])


def _at(keras: Any, model: Any, layer: str, tiles: Pixels) -> NDArray[np.float64]:
    part = keras.Model(model.input, model.get_layer(layer).output)
    return np.asarray(part(tiles.astype(np.float32), training=False), dtype=np.float64)


def description(scheme: Scheme) -> Description:
    """The manifest's part that the FlatBuffer does not know."""
    return Description(
        name=f"tiny-{scheme}",
        version="0.1.0",
        demo=True,
        architecture="tiny",
        scheme=scheme,
        mpp=0.5,
        stain=Stain(mode="per_tile", profile="torchstain", target=stain_target(MACENKO)),
        tissue=Tissue(low=180, high=255, background_share=0.60),
        calibration=Calibration(salt="tiny", tile_ids=()) if scheme == "int8" else None,
        training=Training(recipe="tiny", data="none", protocol="none", seed=SEED, weights="random"),
        metrics={},
        tools=tool_versions(),
    )


def make(model: Any, labels: int = 3, scheme: Scheme = "int8") -> bytes:
    """A packed tiny model."""
    flatbuffer = convert(model, scheme, network_inputs(48, first=2000) if scheme == "int8" else None)
    about = replace(description(scheme), classes=CLASSES[labels])
    parts = flatbuffer, about, fold_head(model), network_inputs(2), CARD
    return with_limits(pack(*parts), tissue_means)


def with_limits(data: bytes, means: Callable[[Model], Means]) -> bytes:
    """The model file with quality limits and the novelty limit of some tiles."""
    model = Model.from_bytes(data, trust="anyone")
    fitted = fit_novelty(*means(model), len(model.manifest.labels))
    return repacked(model, fitted.novelty, fitted.record)


def tissue_means(model: Model) -> Means:
    """(features, labels, slides) of six synthetic tiles of each of 36 slides; the labels are the model's."""
    runtime, normalizer = open_runtime("litert", model, 1), MacenkoNormalizer()
    means, labels, slides = [], [], []
    for slide in make_cohort(36, seed=SEED):
        for i in range(6):
            pixels = make_tile(slide, i, TILE_PX, model.mpp).pixels
            logits, mean = runtime.logits_and_mean(normalizer.normalize(pixels).pixels)
            means.append(mean)
            labels.append(int(logits.argmax()))
            slides.append(slide.name)
    return np.stack(means), np.array(labels), np.array(slides)


def main(folder: Path = DATA) -> None:
    """Write the models."""
    folder.mkdir(parents=True, exist_ok=True)
    for labels in CLASSES:
        write_model(folder / f"tiny-{labels}-labels.tflite", make(build(labels), labels))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA)
