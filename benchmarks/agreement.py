"""Do converted models say of real tiles what float32 says? No label is needed, and no accuracy comes out.

    .venv/bin/python benchmarks/agreement.py FP32 MODEL... --images FOLDER [--tiles 200] [--save NAME]

FP32 is the run's fp32 model file, the MODELs its other schemes. FOLDER holds H&E images; whole crops of them,
spread evenly, go through each model as the SDK sends them: filtered, normalised, classified.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from harness import save
from images import crops
from numpy.typing import NDArray

from her2edge import Model, TileClassifier
from her2edge.tile import Pixels

CLEAR_MARGIN = 0.06  # between the two first classes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("float32", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--tiles", type=int, default=200, help="at most so many")
    parser.add_argument("--save", metavar="NAME", help="keep the result in benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    float32 = Model.load(arguments.float32)
    if float32.manifest.scheme != "fp32":
        raise SystemExit(f"found the scheme {float32.manifest.scheme} first, expected the fp32 model file")
    tiles = crops(arguments.images, float32.tile_px, arguments.tiles)
    truth = answers(float32, tiles)
    found = [one(Model.load(path), truth, tiles) for path in arguments.models]
    result: dict[str, Any] = {"demo": float32.manifest.demo, "tiles": len(tiles), "schemes": found}
    for scheme in found:
        print(", ".join(f"{name} {value}" for name, value in scheme.items()))
    if arguments.save:
        print(save("agreement", result, arguments.save))


def answers(model: Model, tiles: list[Pixels]) -> NDArray[np.float32]:
    """(n, 3) probabilities, in the order of the tiles."""
    classifier = TileClassifier(model)
    return np.stack([result.probabilities for result in classifier.stream(tiles)])


def one(model: Model, truth: NDArray[np.float32], tiles: list[Pixels]) -> dict[str, Any]:
    """A scheme beside float32. Clear tiles are those whose classes float32 holds 0.06 apart or more."""
    ours = answers(model, tiles)
    second, first = np.sort(truth, axis=1)[:, -2:].T
    flips = truth.argmax(axis=1) != ours.argmax(axis=1)
    difference = np.abs(truth - ours).max(axis=1)
    return {
        "scheme": model.manifest.scheme,
        "packed": bool(model.manifest.input.packing),
        "flips": int(flips.sum()),
        "clear_flips": int((flips & (first - second > CLEAR_MARGIN)).sum()),
        "max_difference": round(float(difference.max()), 4),
        "mean_difference": round(float(difference.mean()), 5),
    }


if __name__ == "__main__":
    main()
