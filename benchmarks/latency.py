"""Milliseconds per tile and stage, as the classifier itself measures them, warm-up apart.

    .venv/bin/python benchmarks/latency.py [--model MODEL] [--tiles 40] [--threads 1 2] [--save NAME]

Tiles are synthetic tissue. Medians, first and ninth deciles: the machine is rarely alone.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from harness import describe, save

from her2edge import Model, Options, TileClassifier
from her2edge_training import synthetic

WARM_UP = 5
STAGES = ("filter", "stain", "infer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a her2edge .tflite; default: the embedded demo model")
    parser.add_argument("--tiles", type=int, default=40)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--save", metavar="NAME", help="keep the result in benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    model = Model.load(arguments.model) if arguments.model else Model.demo()
    cohort = synthetic.make_cohort(9, seed=77)
    tiles = [
        synthetic.make_tile(cohort[i % 9], i, model.tile_px, model.um_per_pixel).pixels
        for i in range(WARM_UP + arguments.tiles)
    ]
    result: dict[str, Any] = {
        "model": model.manifest.name,
        "scheme": model.manifest.scheme,
        "tile_px": model.tile_px,
        "tiles": arguments.tiles,
        "threads": {},
    }
    print(f"{model.manifest.name}, {model.tile_px} px, {arguments.tiles} tiles; ms: median (p10..p90)")
    for threads in arguments.threads:
        began = time.perf_counter()
        classifier = TileClassifier(model, Options(threads=threads, self_test=False))
        start_up = 1e3 * (time.perf_counter() - began)
        results = list(classifier.stream(tiles))[WARM_UP:]
        stages = describe({stage: [1e3 * getattr(r.seconds, stage) for r in results] for stage in STAGES})
        result["threads"][str(threads)] = stages | {"start_up_ms": round(start_up)}
        cells = [
            f"{stage} {times['median_ms']:.2f} ({times['p10_ms']:.2f}..{times['p90_ms']:.2f})"
            for stage, times in stages.items()
        ]
        print(f"{threads} thread{'s' * (threads > 1)}: {', '.join(cells)}; start-up {start_up:.0f}")
    if arguments.save:
        print(save("latency", result, arguments.save))


if __name__ == "__main__":
    main()
