"""A slide read until its answer is settled, beside every tile of it, and what reading in random order costs.

.venv/bin/python benchmarks/settled.py [--slide SLIDE.tif] [--model MODEL] [--tiles-limit N] [--save NAME]

Without --slide one is made by `large_slide.py`, --width by --height pixels. --tiles-limit: of the reading of
every tile only N are read, places at random, and the seconds are multiplied up, which is said. Once on
one core, to which the process is bound, then on all of them. Decoding alone: all places of some rows in the
middle of the slide, row by row and in random order, in turns; cold: after the system was asked to forget the
file.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from harness import save
from large_slide import make_large_slide

from her2edge import Model, Options, Settle, SlideReader, TileClassifier, classify_slide
from her2edge.answer import RandomOrder
from her2edge.slide import Grid

SHARES, TISSUE = (0.7, 0.2, 0.1), 0.4
DECODED, ROUNDS = 400, 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slide", type=Path, help="instead of one that is made")
    parser.add_argument("--mpp", type=float)
    parser.add_argument("--width", type=int, default=60_000)
    parser.add_argument("--height", type=int, default=50_000)
    parser.add_argument("--model", type=Path, help="default: the embedded demo model")
    parser.add_argument("--tiles-limit", type=int, help="of the reading of every tile")
    parser.add_argument("--save", metavar="NAME", help="keep the result in results/NAME.json")
    given = parser.parse_args()
    model = Model.load(given.model) if given.model else Model.demo()
    with tempfile.TemporaryDirectory() as folder:
        path = given.slide
        if path is None:
            path = Path(folder) / "slide.tif"
            make_large_slide(path, given.width, given.height, SHARES, TISSUE, seed=0)
        result = {
            "slide": about(path, model, given.mpp),
            "decoding": decoding(path, model, given.mpp),
            "runs": [],
        }
        print(result, flush=True)
        for cores in sorted({1, len(os.sched_getaffinity(0))}):
            with bound_to(cores):
                out = Path(folder) / f"{cores}-cores"
                result["runs"].append(run(path, out, model, given.mpp, cores, given.tiles_limit))
            print(result["runs"][-1], flush=True)
    if given.save:
        print(save("settled", result, given.save))


def about(path: Path, model: Model, mpp: float | None) -> dict[str, Any]:
    with SlideReader(path, mpp=mpp) as slide:
        grid = slide.grid(model)
        return {
            "megabytes": round(path.stat().st_size / 1e6),
            "pixels": slide.dimensions,
            "places": len(grid),
        }


@contextmanager
def bound_to(cores: int) -> Iterator[None]:
    """This thread, and those that it starts, on a number of cores."""
    every = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(every)[:cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, every)


def run(
    path: Path, out: Path, model: Model, mpp: float | None, cores: int, limit: int | None
) -> dict[str, Any]:
    """Seconds to the answer, files written, both ways."""
    classifier = TileClassifier(model, Options(threads=1, interpreters=cores))
    began = time.perf_counter()
    settled = classify_slide(path, out, classifier, mpp=mpp, settle=Settle()).answer
    seconds = time.perf_counter() - began
    assert settled.settled is not None
    found = {
        "cores": cores,
        "settled": {
            "seconds": round(seconds, 1),
            "tiles": settled.settled.tiles_seen,
            "labels": settled.labels,
            "at_most": settled.settled.at_most,
        },
    }
    places = settled.settled.tiles_total
    began = time.perf_counter()
    if limit is None or limit >= places:
        answer = classify_slide(path, out / "all", classifier, mpp=mpp).answer
        whole: dict[str, Any] = {"tiles": places, "labels": answer.labels, "extrapolated": False}
        whole["seconds"] = round(time.perf_counter() - began, 1)
    else:
        with SlideReader(path, mpp=mpp) as slide:
            for _ in classifier.stream(slide.tiles(model, some(slide, model, limit))):
                pass
        spent = (time.perf_counter() - began) * places / limit
        whole = {"tiles": places, "seconds": round(spent, 1), "extrapolated": True, "from_tiles": limit}
    return found | {"all": whole, "times_faster": round(whole["seconds"] / seconds, 1)}


def some(slide: SlideReader, model: Model, count: int) -> list[tuple[int, int]]:
    """(column, row) of so many places, in random order; the last ones of the order that a reading takes."""
    grid: Grid = slide.grid(model)
    order = RandomOrder(slide.fingerprint, grid.columns, grid.rows)
    return [(place % grid.columns, place // grid.columns) for place in order.places[-count:].tolist()]


def decoding(path: Path, model: Model, mpp: float | None) -> dict[str, Any]:
    """Milliseconds a tile, median of the rounds: no filter, no stain, no network."""
    spent: dict[str, list[float]] = {}
    with SlideReader(path, mpp=mpp) as slide:
        grid = slide.grid(model)
        rows = min(grid.rows, -(-DECODED // grid.columns))
        first = (grid.rows - rows) // 2
        places = [place for place in some(slide, model, len(grid)) if first <= place[1] < first + rows]
        orders = {"scan": sorted(places, key=lambda place: place[::-1]), "random": places}
        for _ in range(ROUNDS):
            for name, chosen in orders.items():
                for state in ("cold", "warm"):
                    if state == "cold":
                        forget(path)
                    spent.setdefault(f"{name}_{state}_ms", []).append(read(slide, model, chosen))
    times = {name: round(median(values), 3) for name, values in spent.items()}
    ratios = {
        f"ratio_{s}": round(times[f"random_{s}_ms"] / times[f"scan_{s}_ms"], 3) for s in ("cold", "warm")
    }
    return {"tiles": len(places), **times, **ratios}


def read(slide: SlideReader, model: Model, places: Sequence[tuple[int, int]]) -> float:
    began = time.perf_counter()
    count = sum(1 for _ in slide.tiles(model, places))
    return 1e3 * (time.perf_counter() - began) / count


def forget(path: Path) -> None:
    """Ask the system to drop the file from its memory."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    main()
