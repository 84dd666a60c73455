"""Milliseconds of a tile by scheme and runtime: the model files of one network, all in turns.

    .venv/bin/python benchmarks/schemes.py MODEL... [--threads 2] [--rounds 15] [--save NAME]

A runtime that is not installed, or refuses a model, is left out for it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import describe, save, take_turns

from her2edge import Model
from her2edge.errors import ModelError, RuntimeUnavailable
from her2edge.runtime import open_runtime
from her2edge.tile import Pixels

RUNTIMES = {"litert": "LiteRT", "openvino": "OpenVINO"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--save", metavar="NAME", help="keep the result in benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    models = {label(model): model for model in map(Model.load, arguments.models)}
    result: dict[str, Any] = {"threads": arguments.threads, "schemes": list(models), "times": {}}
    functions: dict[str, Callable[[Pixels], object]] = {}
    for scheme, model in models.items():
        for name, title in RUNTIMES.items():
            try:
                functions[f"{scheme}, {title}"] = open_runtime(name, model, arguments.threads).logits
            except (RuntimeUnavailable, ModelError) as error:
                print(f"{scheme}, {title} is left out: {error}")
    tiles = list(next(iter(models.values())).golden.tiles)
    result["times"] = describe(take_turns(functions, tiles, arguments.rounds))
    for name, times in result["times"].items():
        print(f"{name:32} {times['median_ms']:7.1f} ms ({times['p10_ms']:.1f}..{times['p90_ms']:.1f})")
    if arguments.save:
        print(save("schemes", result, arguments.save))


def label(model: Model) -> str:
    """The scheme, and whether the SDK packs its tiles."""
    return model.manifest.scheme + (" --export fast" if model.manifest.input.packing else "")


if __name__ == "__main__":
    main()
