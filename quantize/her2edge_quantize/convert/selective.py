"""int8 with the layers the report names left in float: squeeze-excite, depth-wise, head.

For a network that loses too much in int8. What it costs in bytes and milliseconds stands in the report.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from her2edge.tile import Pixels
from her2edge_quantize.convert.converter import converter_of, require_tensorflow, samples
from her2edge_quantize.convert.layers import float_layers, named_tensors, refuse_float
from her2edge_quantize.convert.network import layer_names


def convert_keeping_float(model: Any, float32: bytes, tiles: Pixels) -> tuple[bytes, tuple[str, ...]]:
    """The FlatBuffer, uint8 in and float32 out, and the names of the layers it keeps in float.

    float32: the fp32 conversion of the same keras.Model; tiles: (n, t, t, 3) uint8 RGB network inputs that
    set the ranges. Raises ModelError where the network cannot be converted, or others stay in float, too.
    """
    tf, _ = require_tensorflow()
    layers = layer_names(model)
    kept = named_tensors(float32, layers)
    with converter_of(model, tf.uint8) as converter:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (
            [sample.astype(np.uint8)] for (sample,) in samples(list(tiles))
        )
        # TensorFlow's debugger is the only door to its list of operators that stay in float.
        options = tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=list(kept))
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter, debug_dataset=converter.representative_dataset, debug_options=options
        )
        flatbuffer = bytes(debugger.get_nondebug_quantized_model())
    asked = {name for layer in kept.values() for name in layer.split(" + ")}
    kinds = float_layers(flatbuffer, layers)
    refuse_float({name: kind for name, kind in kinds.items() if not set(name.split(" + ")) <= asked})
    return flatbuffer, tuple(kinds)
