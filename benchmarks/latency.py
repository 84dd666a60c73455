"""Milliseconds per tile and stage, as the classifier itself measures them, warm-up apart.

    .venv/bin/python benchmarks/latency.py [--model MODEL] [--tiles 40] [--threads 1 2]

Tiles are synthetic tissue. Medians and the 10th and 90th percentile: the machine is rarely alone.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from her2edge import Model, Options, TileClassifier
from her2edge_training import synthetic

WARM_UP = 5
STAGES = ("filter", "stain", "infer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a her2edge .tflite; default: the embedded demo model")
    parser.add_argument("--tiles", type=int, default=40)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    model = Model.load(arguments.model) if arguments.model else Model.demo()
    cohort = synthetic.make_cohort(9, seed=77)
    tiles = [
        synthetic.make_tile(cohort[i % 9], i, model.tile_px, model.um_per_pixel).pixels
        for i in range(WARM_UP + arguments.tiles)
    ]
    print(f"{model.manifest.name}, {model.tile_px} px, {arguments.tiles} tiles; ms: median (p10..p90)")
    for threads in arguments.threads:
        started = time.perf_counter()
        classifier = TileClassifier(model, Options(threads=threads))
        start_up = time.perf_counter() - started
        results = list(classifier.stream(tiles))[WARM_UP:]
        cells = []
        for stage in STAGES:
            seconds = [getattr(result.seconds, stage) for result in results]
            low, middle, high = 1e3 * np.percentile(seconds, (10, 50, 90))
            cells.append(f"{stage} {middle:.1f} ({low:.1f}..{high:.1f})")
        print(f"{threads} thread{'s' * (threads > 1)}: {', '.join(cells)}; start-up {1e3 * start_up:.0f}")


if __name__ == "__main__":
    main()
