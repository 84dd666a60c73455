"""How busy the stream keeps the network over one slide.

    python benchmarks/pipeline.py --slide SLIDE [--mpp UM] [--tiles 40] [--passes 4] [--save NAME]

The bound is what the stream can reach of the network's own rate: all of it where a core is free for the rest;
t_net / (t_net + t_pixels) with all cores busy, in processor seconds a tissue tile: t_net those of the network
alone, t_net + t_pixels those of the stream, both of the same round. 95 % of it is wanted. The stream is
timed from its first tissue tile's result on; what comes before is the start (`start.py`). What is missing is
either time in which an interpreter has no tile, or a tile that takes longer in it than alone, the other cores
being at work; both are printed. `whole.py` has the whole way beside what others do.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from harness import save

from her2edge import Model, Options, TileClassifier
from her2edge.errors import SlideError
from her2edge.runtime.machine import usable_cores
from her2edge.runtime.tune import network_rate
from her2edge.text import percent
from her2edge_cli.measure.figures import rate
from her2edge_cli.measure.tiles import Sample, sample_of

ENOUGH = 0.95


@dataclass(frozen=True)
class Round:
    """alone, stream: tissue tiles per second of the network alone and of the stream. alone_cpu, stream_cpu:
    processor seconds of a tissue tile, all threads. infer: seconds that one is in the network, in the stream.
    """

    alone: float
    stream: float
    alone_cpu: float
    stream_cpu: float
    infer: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slide", type=Path, required=True)
    parser.add_argument("--mpp", type=float, help="um per pixel, where the slide does not state it")
    parser.add_argument("--model", help="a her2edge .tflite; default: the embedded demo model")
    parser.add_argument("--tiles", type=int, default=40)
    parser.add_argument("--passes", type=int, default=4, help="times through the tiles in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--save", metavar="NAME", help="keep the result in benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    model, cores = Model.load(arguments.model) if arguments.model else Model.demo(), usable_cores()
    placements = {
        "one thread, a core free": Options(threads=1, interpreters=1, self_test=False),
        "all cores, one interpreter": Options(threads=cores, interpreters=1, self_test=False),
        "all cores, an interpreter each": Options(threads=1, interpreters=cores, self_test=False),
    }
    result: dict[str, Any] = {"model": model.manifest.name, "tile_px": model.tile_px, "placements": {}}
    with sample_of(arguments.slide, arguments.mpp, model, arguments.tiles, arguments.passes) as sample:
        result["slide"] = sample.name
        for name, options in placements.items():
            result["placements"][name] = placed(
                name, TileClassifier(model, options), sample, arguments.rounds
            )
    if arguments.save:
        print(save("pipeline", result, arguments.save))


def placed(name: str, classifier: TileClassifier, sample: Sample, rounds: int) -> dict[str, Any]:
    """Measure one placement, after a round to warm up, and say whether it is enough."""
    plan = classifier.plan
    found = [one_round(classifier, sample) for _ in range(rounds + 1)][1:]
    free = plan.threads * plan.interpreters < usable_cores()
    bound = 1.0 if free else median(one.alone_cpu / one.stream_cpu for one in found)
    share = median(one.stream / one.alone for one in found)
    occupied = median(one.stream * one.infer / plan.interpreters for one in found)
    slower = median(one.infer * one.alone / plan.interpreters for one in found)
    alone, stream = rate([one.alone for one in found]), rate([one.stream for one in found])
    cpu = {"network": median(one.alone_cpu for one in found), "all": median(one.stream_cpu for one in found)}
    print(f"{name}: {plan}")
    for words, rates in (("network alone", alone), ("stream", stream)):
        print(f"  {words:13} {rates.tiles_per_second:7.2f} tiles/s, spread {percent(rates.spread, 1)}")
    print(
        f"  processor time of a tile {1e3 * cpu['all']:.1f} ms, {1e3 * cpu['network']:.1f} of it the network"
    )
    met = "met" if share >= ENOUGH * bound else "missed"
    reached = f"{share / bound:.3f} of it, {ENOUGH:.2f} wanted: {met}"
    print(f"  stream / network {share:.3f}, bound {bound:.3f}: {reached}")
    print(
        f"  an interpreter has a tile {percent(occupied, 1)} of the time, {slower:.3f} times as long as alone"
    )
    return {
        "plan": str(plan),
        "network": {"tiles_per_second": alone.tiles_per_second, "spread": alone.spread},
        "stream": {"tiles_per_second": stream.tiles_per_second, "spread": stream.spread},
        "cpu_ms": {part: round(1e3 * seconds, 2) for part, seconds in cpu.items()},
        "busy": round(share, 4),
        "bound": round(bound, 4),
        "of_bound": round(share / bound, 4),
        "occupied": round(occupied, 4),
        "slower": round(slower, 4),
    }


def one_round(classifier: TileClassifier, sample: Sample) -> Round:
    """The stream from its first tissue tile on, then the network alone on as many tiles. Raises SlideError
    where there is hardly any tissue."""
    infer, wall, cpu = list[float](), 0.0, 0.0
    for one in classifier.stream(sample.tiles()):
        if one.label is not None:
            infer.append(one.seconds.infer)
            if len(infer) == 1:
                wall, cpu = time.perf_counter(), time.process_time()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    tissue = len(infer) - 1
    if tissue < 1:
        raise SlideError(f"found {len(infer)} tissue tiles, expected several: take more with --tiles")
    before = time.process_time()
    alone = network_rate(classifier.engine.runtime, classifier.model, classifier.plan.interpreters, tissue)
    alone_cpu = time.process_time() - before
    return Round(alone, tissue / wall, alone_cpu / tissue, cpu / tissue, sum(infer[1:]) / tissue)


if __name__ == "__main__":
    main()
