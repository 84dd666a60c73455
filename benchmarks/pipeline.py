"""How busy the stream keeps the network over one slide.

    python benchmarks/pipeline.py --slide SLIDE [--mpp UM] [--tiles 40] [--passes 4] [--save NAME]

With one inference thread and a core free for the rest, the stream should reach 95 % of the network's own
rate; with all cores busy 95 % of t_net / (t_net + t_pixels), t_pixels being what reading, filter and stain
take. Both are printed beside what was measured. `whole.py` has the whole way beside what others do.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import msgspec
from harness import save

from her2edge import Model, Options, TileClassifier
from her2edge.runtime.machine import usable_cores
from her2edge.text import percent
from her2edge_cli.measure.stages import Measured, measure
from her2edge_cli.measure.tiles import Sample, sample_of

ENOUGH = 0.95


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
    """Measure one placement and say whether it is enough."""
    took = measure(classifier, sample, rounds, lambda _: None)
    everything = classifier.plan.threads * classifier.plan.interpreters == usable_cores()
    wanted = ENOUGH * (took.busy_at_least if everything else 1.0)
    print(f"{name}: {classifier.plan}")
    print(f"  {took.tissue} tissue tiles, {took.background_tiles} background, {took.unreadable} not readable")
    for words, one in (("network alone", took.network), ("stream", took.stream)):
        print(f"  {words:13} {one.tiles_per_second:7.2f} tiles/s, spread {percent(one.spread, 1)}")
    met = "met" if took.busy >= wanted else "missed"
    print(f"  stream / network {took.busy:.3f}, wanted {wanted:.3f}: {met}")
    print(f"  ms, one tile after the other: {_stages(took)}")
    return {**msgspec.to_builtins(took), "busy": round(took.busy, 4), "wanted": round(wanted, 4)}


def _stages(took: Measured) -> str:
    stages = ", ".join(f"{name} {times.p50:.2f}" for name, times in took.stages.items())
    return stages + (f"; background {took.background.p50:.2f}" if took.background else "")


if __name__ == "__main__":
    main()
