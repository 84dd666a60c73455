"""What the journal costs: microseconds per tile by the number of results in a commit, and reading it again.

    .venv/bin/python benchmarks/journal.py [--folder DIR] [--tiles 4096] [--save NAME]

The disk decides, so the folder should lie on the one that results will. Medians over commits.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from harness import save

from her2edge import Outcome, TileResult
from her2edge.results.journal import open_journal
from her2edge.results.provenance import Provenance
from her2edge.runtime import RuntimeUse

BATCHES = (1, 8, 32, 64, 128, 512)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path())
    parser.add_argument("--tiles", type=int, default=4096)
    parser.add_argument("--save", metavar="NAME", help="keep the result in benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    basis = Provenance(
        slide="a.svs", fingerprint="ab" * 32, mpp=0.25, step=512.0, columns=arguments.tiles, rows=1,
        tiles=arguments.tiles, model="cd" * 32, runtime=RuntimeUse("litert", "2.3.0"), architecture="x86_64",
        version="0.1.0", stain={"mode": "off"},
    )  # fmt: skip
    chances = np.array([0.1, 0.2, 0.7], np.float32)
    result = TileResult(
        "a.svs", 1 / 3, 2 / 3, (512.0, 512.0), Outcome.CLASSIFIED, chances, "3+", 0.7, 0.9, "ok", "tile"
    )
    measured = {}
    for batch in BATCHES:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as place:
            seconds = []
            with open_journal(Path(place), basis, batch=batch) as kept:
                for _ in range(arguments.tiles // batch):
                    began = time.perf_counter()
                    for _ in range(batch):
                        kept.add(result)
                    seconds.append((time.perf_counter() - began) / batch)
            size = sum(path.stat().st_size for path in Path(place).iterdir())
            began = time.perf_counter()
            with open_journal(Path(place), basis) as kept:
                opened = time.perf_counter() - began
                tiles = sum(1 for _ in kept)
            reading = time.perf_counter() - began - opened
        measured[str(batch)] = {
            "median_us": round(1e6 * statistics.median(seconds), 1),
            "p90_us": round(1e6 * sorted(seconds)[len(seconds) * 9 // 10], 1),
        }
        print(
            f"{batch:4} results per commit: {measured[str(batch)]['median_us']:.1f} us per tile "
            f"(p90 {measured[str(batch)]['p90_us']:.1f}); opening {1e6 * opened / tiles:.1f} us, reading "
            f"{1e6 * reading / tiles:.1f} us, {size / tiles:.0f} bytes per tile"
        )
    if arguments.save:
        print(save("journal", measured, arguments.save))


if __name__ == "__main__":
    main()
