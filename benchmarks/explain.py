"""How well a model file explains itself: its Grad-CAM beside that of the float network it came from.

    .venv/bin/python benchmarks/explain.py MODEL RUN TILES [--tiles 120] [--threads 1] [--save NAME]

For each of so many tiles, spread over their list, the map of the class that float32 names: by the model
file's closed form, and by gradient through RUN/model.keras; Pearson's correlation of the two. What a map
costs: the network with its feature map made into a map, beside the network alone, in turns on the same tiles.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from harness import describe, ratio, save, take_turns
from numpy.typing import NDArray

from her2edge import Model, Options, TileClassifier
from her2edge.explain import class_map
from her2edge.runtime import open_runtime
from her2edge.tile import Pixels
from her2edge_training.cohort.store import TileStore
from her2edge_training.cohort.tile_list import TileList, TileRecord
from her2edge_training.network.explain import NetworkExplainer
from her2edge_training.run.explain import load_explainer

TIMED = 30
STORE = TileStore(None, memory_mib=0)  # tiles as they are: both explainers normalise by themselves


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("tile_list", type=Path, help="tiles the run has not learnt from")
    parser.add_argument("--tiles", type=int, default=120)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save", metavar="NAME", help="keep the result in benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    model = Model.load(arguments.model)
    records = spread(TileList.read(arguments.tile_list).records, arguments.tiles)
    result = {"model": model.manifest.name, "scheme": model.manifest.scheme, "demo": model.manifest.demo}
    result |= agreement(model, load_explainer(arguments.run), records)
    result |= cost(model, records, arguments.threads)
    print(", ".join(f"{name} {value}" for name, value in result.items()))
    if arguments.save:
        print(save("explain", result, arguments.save))


def spread(records: tuple[TileRecord, ...], count: int) -> tuple[TileRecord, ...]:
    """At most `count` of the tiles, evenly over the list."""
    return records[:: -(-len(records) // count)]


def agreement(model: Model, network: NetworkExplainer, records: tuple[TileRecord, ...]) -> dict[str, Any]:
    """Correlation of the two maps, over tiles and over all places of all tiles."""
    classifier = TileClassifier(model, Options(self_test=False))
    maps = []
    for record in records:
        tile = STORE.read(record)
        float32 = network.explain(tile)
        maps.append((float32.map, classifier.explain(tile, float32.label).map))
    alive = [(a, b) for a, b in maps if a.std() > 0 and b.std() > 0]
    correlations = np.array([correlation(a, b) for a, b in alive])
    everywhere = correlation(*(np.concatenate([pair[i].ravel() for pair in maps]) for i in (0, 1)))
    return {
        "tiles": len(maps),
        "without_a_map": len(maps) - len(alive),
        "median": round(float(np.median(correlations)), 4),
        "mean": round(float(correlations.mean()), 4),
        "p10": round(float(np.quantile(correlations, 0.1)), 4),
        "least": round(float(correlations.min()), 4),
        "all_places": round(everywhere, 4),
    }


def correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Pearson's, of two maps of one shape that are not constant."""
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def cost(model: Model, records: tuple[TileRecord, ...], threads: int) -> dict[str, Any]:
    """Milliseconds of processor time of the network alone and with a map, medians, and their ratio."""
    runtime = open_runtime("litert", model, threads)

    def explained(pixels: Pixels) -> None:
        class_map(runtime.logits_and_features(pixels)[1], model.head, 0)

    tiles = [STORE.read(record) for record in spread(records, TIMED)]
    spent = take_turns({"network": runtime.logits, "with map": explained}, tiles, clock=time.process_time)
    return {
        "threads": threads,
        "times": describe(spent),
        "with_map_takes": ratio(spent, "with map", "network", digits=4),
    }


if __name__ == "__main__":
    main()
