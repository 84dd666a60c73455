"""Each rewrite for the edge: float outputs held against the network's, int8 latency, LiteRT and OpenVINO.

    .venv/bin/python benchmarks/edge.py --run RUN --data TILES [--keep FOLDER] [--tiles 12] [--save NAME]

RUN is the folder of a ResNet's training, TILES its tile list. Variants take turns on the same tiles, each
runtime on one thread; times are the processor's, and that of a packed input holds the packing. Latency needs
no broad calibration: four tiles of a class. --keep holds the converted FlatBuffers, so that a second call
need not convert again. OpenVINO is compared where it is installed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from harness import describe, ratio, save, take_turns

from her2edge.extras import quiet_tensorflow
from her2edge.model.records import Input
from her2edge.runtime.packing import InputWriter
from her2edge.tile import Pixels
from her2edge_quantize.convert.calibration import MINIMUM_PER_CLASS, calibration_tiles
from her2edge_quantize.convert.edge import Rewrites, for_edge, make_fast
from her2edge_quantize.convert.export import convert
from her2edge_quantize.convert.network import two_outputs
from her2edge_training.cohort.store import network_inputs
from her2edge_training.cohort.tile_list import TileList
from her2edge_training.run.trained import TrainedRun

GRAPHS = {
    "plain": None,
    "strides": Rewrites(shortcuts=False),
    "shortcuts": Rewrites(strides=False),
    "portable": Rewrites(),
}
PACKED = {"packed": "plain", "fast": "portable"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True, help="folder of a training run")
    parser.add_argument("--data", type=Path, required=True, help="the tile list it was trained with")
    parser.add_argument("--keep", type=Path, help="folder for the converted FlatBuffers")
    parser.add_argument("--tiles", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--save", metavar="NAME", help="keep the result in benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    quiet_tensorflow()
    run = TrainedRun.read(arguments.run)
    listed = TileList.read(arguments.data, run.recipe.labels)
    records = run.select(listed, "test")
    places = np.linspace(0, len(records) - 1, arguments.tiles).round().astype(int)
    tiles = list(network_inputs(tuple(records[place] for place in places), run.recipe))
    result: dict[str, Any] = {
        "network": run.recipe.architecture,
        "tile_px": len(tiles[0]),
        "pairs": len(tiles) * arguments.rounds,
    }
    with tempfile.TemporaryDirectory() as folder:
        kept = arguments.keep or Path(folder)
        kept.mkdir(parents=True, exist_ok=True)
        result["float_difference"] = make_graphs(run, listed, kept, tiles[:2])
        forms = make_packed(kept, tiles[:2])
        for name, opened in (("LiteRT", litert), ("OpenVINO", openvino)):
            try:
                networks = {
                    variant: opened(kept / f"{variant}.tflite", form) for variant, form in forms.items()
                }
            except ImportError:
                print(f"{name} is not installed and left out")
                continue
            times = take_turns(networks, tiles, arguments.rounds, time.process_time)
            result[name] = {
                "version": metadata.version({"LiteRT": "ai-edge-litert", "OpenVINO": "openvino"}[name]),
                "times": describe(times),
                "times_faster": {variant: ratio(times, "plain", variant) for variant in forms},
            }
            for variant in forms:
                took, faster = (result[name][key][variant] for key in ("times", "times_faster"))
                print(f"{name:9} {variant:10} {took['median_ms']:7.1f} ms, {faster:.2f} times plain's speed")
    print("largest difference of float outputs, share of the largest:", result["float_difference"])
    if arguments.save:
        print(save("edge", result, arguments.save))


def make_graphs(run: TrainedRun, listed: TileList, kept: Path, tiles: list[Pixels]) -> dict[str, float]:
    """Convert each graph to int8 in `kept`; the largest difference of its float outputs from plain's."""
    from her2edge_training.network.networks import load_trained

    model = load_trained(run.network)
    calibration = calibration_tiles(run, listed, MINIMUM_PER_CLASS).pixels
    inputs = np.stack(tiles).astype(np.float32)
    wanted = {name: np.asarray(array) for name, array in two_outputs(model)(inputs, training=False).items()}
    differences = {}
    for variant, rewrites in GRAPHS.items():
        network = model if rewrites is None else for_edge(model, rewrites)
        outputs = two_outputs(network)(inputs, training=False)
        differences[variant] = max(
            float(np.abs(np.asarray(outputs[name]) - array).max() / np.abs(array).max())
            for name, array in wanted.items()
        )
        path = kept / f"{variant}.tflite"
        if not path.exists():
            path.write_bytes(convert(network, "int8", calibration))
    return differences


def make_packed(kept: Path, tiles: list[Pixels]) -> dict[str, Input]:
    """Pack the stems in `kept`, proven bit-identical; what the input of every variant is."""
    raw = Input(tile_px=len(tiles[0]), mpp=1.0, scale=1.0, zero_point=0)
    forms = dict.fromkeys(GRAPHS, raw)
    for variant, source in PACKED.items():
        packed = make_fast((kept / f"{source}.tflite").read_bytes(), np.stack(tiles))
        (kept / f"{variant}.tflite").write_bytes(packed.flatbuffer)
        forms[variant] = msgspec.structs.replace(raw, packing=packed.packing)
    return forms


def litert(path: Path, form: Input) -> Callable[[Pixels], object]:
    """A function of a tile: write it into the tensor, run."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    index, writer = interpreter.get_input_details()[0]["index"], InputWriter(form)

    def classify(tile: Pixels) -> None:
        writer.write(tile, interpreter.tensor(index)())
        interpreter.invoke()

    return classify


def openvino(path: Path, form: Input) -> Callable[[Pixels], object]:
    """The same with OpenVINO, for latency."""
    from openvino import Core

    settings = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"}
    request = Core().compile_model(str(path), "CPU", settings).create_infer_request()
    writer = InputWriter(form)

    def classify(tile: Pixels) -> None:
        writer.write(tile, request.get_input_tensor().data)
        request.infer()

    return classify


if __name__ == "__main__":
    main()
