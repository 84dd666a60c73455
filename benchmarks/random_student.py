"""A student's network with random weights as a model file: as large and as fast as a taught one.

    .venv/bin/python benchmarks/random_student.py --out student.tflite

For what does not depend on weights: memory and time. Its answers mean nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from network import CALIBRATION, CARD, MPP, SEED, TILE_PX, network_inputs

from her2edge.model.records import Calibration, Stain, Tissue, Training
from her2edge.stain.profiles import MACENKO
from her2edge_quantize.convert.export import convert
from her2edge_quantize.convert.head import fold_head
from her2edge_quantize.model_file.description import Description, stain_target, tool_versions
from her2edge_quantize.model_file.pack import pack

NETWORK = "mobilenetv4_small"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    out.write_bytes(make_student())
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


def make_student() -> bytes:
    """The model file's bytes."""
    import keras

    from her2edge_training.network.networks import build_model

    keras.utils.set_random_seed(SEED)
    network, tiles = build_model(NETWORK, tile_px=TILE_PX), network_inputs(CALIBRATION)
    about = Description(
        name="random-student",
        version="0.1.0",
        demo=True,
        architecture=NETWORK,
        scheme="int8",
        mpp=MPP,
        stain=Stain(mode="per_tile", profile="torchstain", target=stain_target(MACENKO)),
        tissue=Tissue(low=180, high=255, background_share=0.60),
        calibration=Calibration(salt="benchmark", tile_ids=()),
        training=Training(recipe="none", data="none", protocol="none", seed=SEED, weights="random"),
        metrics={},
        tools=tool_versions(),
    )
    flatbuffer = convert(network, "int8", tiles)
    return pack(flatbuffer, about, fold_head(network), np.stack(tiles[:2]), CARD)


if __name__ == "__main__":
    main()
