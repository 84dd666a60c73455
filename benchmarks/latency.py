"""What `her2edge bench` measures, for several numbers of threads, kept as JSON.

    .venv/bin/python benchmarks/latency.py [--model MODEL] [--slide SLIDE] [--threads 1 2] [--save NAME]

Without SLIDE tiles are synthetic tissue. Nothing else should run meanwhile: the spread of the rounds' medians
says how far that was so.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import msgspec
from harness import save

from her2edge import Options
from her2edge_cli.bench import lines, progress
from her2edge_cli.measure.whole import ROUNDS, TILES, Asked, run_bench


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="a her2edge .tflite; default: the embedded demo model")
    parser.add_argument("--slide", type=Path, help="slide, image or folder of tiles")
    parser.add_argument("--mpp", type=float, help="um per pixel, where the slide does not state it")
    parser.add_argument("--tiles", type=int, default=TILES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--save", metavar="NAME", help="keep the result in benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    result: dict[str, Any] = {"threads": {}}
    for threads in arguments.threads:
        options = Options(threads=threads, interpreters=1)
        given = (arguments.model, arguments.slide, arguments.mpp, arguments.tiles, arguments.rounds)
        report = run_bench(Asked(*given, options), progress)
        print("\n".join(lines(report)), end="\n\n")
        result["threads"][str(threads)] = msgspec.to_builtins(report)
    if arguments.save:
        print(save("bench", result, arguments.save))


if __name__ == "__main__":
    main()
