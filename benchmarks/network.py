"""One network in every form that is compared: the same weights as Keras, ONNX and the SDK's model file.

Of a training run, or random with a fixed seed: how long a network takes does not depend on its weights.
Conversion takes minutes; what lies in the folder `kept` is not made again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from her2edge import MacenkoNormalizer, Model
from her2edge.model.records import Calibration, Stain, Tissue, Training
from her2edge.stain.profiles import MACENKO
from her2edge.tile import Pixels
from her2edge_quantize.convert.edge import Rewrites, for_edge, make_fast
from her2edge_quantize.convert.export import convert
from her2edge_quantize.convert.head import fold_head
from her2edge_quantize.model_file.description import Description, stain_target, tool_versions
from her2edge_quantize.model_file.pack import pack
from her2edge_training import synthetic

TILE_PX, MPP, SEED = 512, 0.25, 1
CALIBRATION = 24
CARD = """---
license: apache-2.0
library_name: her2edge
---
Research use only. Not for diagnosis. Made by benchmarks/network.py to be timed, not to be asked.
"""


@dataclass(frozen=True)
class Forms:
    """The network and its files. random: the weights are; tiles: (t, t, 3) uint8 RGB network inputs."""

    keras: Any
    model: Model
    onnx: Path
    onnx_int8: Path
    random: bool
    tiles: list[Pixels]


def make_forms(run: Path | None, kept: Path, count: int, tell: Callable[[str], None]) -> Forms:
    """All forms of RUN/model.keras, or of random weights; the files in `kept`."""
    import keras

    from her2edge_training.network.networks import build_model, load_trained

    keras.utils.set_random_seed(SEED)
    network = load_trained(run / "model.keras") if run else build_model("se_resnet50", tile_px=TILE_PX)
    tiles = network_inputs(max(count, CALIBRATION))
    kept.mkdir(parents=True, exist_ok=True)
    packed, onnx, onnx_int8 = (kept / name for name in ("int8-fast.tflite", "float32.onnx", "int8.onnx"))
    calibration = tiles[:CALIBRATION]
    if not packed.exists():
        tell("converting to the SDK's int8 model")
        packed.write_bytes(_pack(network, calibration))
    if not onnx.exists() or not onnx_int8.exists():
        from twin import Twin, export_onnx, quantize_onnx

        tell("exporting to ONNX, float32 and int8")
        export_onnx(Twin(network), TILE_PX, onnx)
        quantize_onnx(onnx, onnx_int8, calibration)
    return Forms(network, Model.load(packed), onnx, onnx_int8, run is None, tiles[:count])


def network_inputs(count: int) -> list[Pixels]:
    """Synthetic tissue of all classes, normalised by the SDK."""
    normalizer, cohort = MacenkoNormalizer(), synthetic.make_cohort(9, seed=77)
    tiles = (synthetic.make_tile(cohort[i % 9], i, TILE_PX, MPP).pixels for i in range(count))
    return [normalizer.normalize(tile).pixels for tile in tiles]


def _pack(network: Any, calibration: list[Pixels]) -> bytes:
    portable = convert(for_edge(network, Rewrites()), "int8", calibration)
    golden = np.stack(calibration[:2])
    fast = make_fast(portable, golden)
    about = Description(
        name="benchmark",
        version="0.1.0",
        demo=True,
        architecture="se_resnet50",
        scheme="int8",
        mpp=MPP,
        stain=Stain(mode="per_tile", profile="torchstain", target=stain_target(MACENKO)),
        tissue=Tissue(low=180, high=255, background_share=0.60),
        calibration=Calibration(salt="benchmark", tile_ids=()),
        training=Training(recipe="none", data="none", protocol="none", seed=SEED, weights="benchmark"),
        metrics={},
        tools=tool_versions(),
        packing=fast.packing,
    )
    return pack(fast.flatbuffer, about, fold_head(network), golden, CARD)
