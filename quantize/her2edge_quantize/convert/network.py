"""What a keras.Model must be to be converted, and its two outputs."""

from __future__ import annotations

from typing import Any

from her2edge.errors import ModelError

FEATURES, LOGITS = "features", "logits"


def check_network(model: Any) -> int:
    """Tile size, pixels, of a network that can be converted; raises ModelError naming what is wrong."""
    shape = getattr(model, "input_shape", None)
    if not (isinstance(shape, tuple) and len(shape) == 4 and shape[1] == shape[2] and shape[3] == 3):
        raise ModelError(f"found a network with input {shape}, expected (n, tile_px, tile_px, 3)")
    if shape[1] is None:
        raise ModelError("found a network for any tile size, expected a fixed one: build it with tile_px")
    if FEATURES not in {layer.name for layer in model.layers}:
        raise ModelError("found no layer `features`, expected the feature map under this name")
    from her2edge_training.network.networks import check_finite  # brings Keras

    check_finite(model)
    return int(shape[1])


def layer_names(model: Any) -> tuple[str, ...]:
    """Names of a keras.Model's layers, to find them again in tensor names."""
    return tuple(layer.name for layer in model.layers)


def two_outputs(model: Any) -> Any:
    """The same network with the feature map as a second output."""
    import keras

    outputs = {LOGITS: model.output, FEATURES: model.get_layer(FEATURES).output}
    return keras.Model(model.input, outputs, name="network")  # the name is part of the file's bytes
