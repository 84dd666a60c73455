"""A cohort on several processes: shards beside one process, what an engine costs, how even shards are.

    .venv/bin/python benchmarks/cohort.py assign [--slides 100000] [--shards 1000] [--seconds S] [--save NAME]
    .venv/bin/python benchmarks/cohort.py walls [--slides 30] [--tiles 400] [--rounds 3] [--save NAME]
    .venv/bin/python benchmarks/cohort.py engine [--slides 30] [--tiles 400] [--rounds 3] [--save NAME]

assign: slides to shards by their hash; how long that takes, how many slides the fullest shard has, and the
hours that it means at --seconds a slide (what `walls` printed). walls, engine: drawn slides of --tiles tiles,
one thread a process, on an idle machine of two cores or more; each command is a process of its own, its start
included, and takes turns with the others. Names are chosen so that each of two shards
has half of the slides: how uneven shards are is what `assign` tells. One process reads and normalises on a
second core while its network runs, so it is timed free and held to one core as well. engine: also slides that
are done already, so that what is left is the engine's own, at two numbers of slides: the slope is a slide's,
the rest is the start's.

Kills at random moments: `pytest -m soak tests/cli/test_cohort_kills.py`, promise 38 of docs/reliability.md.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from harness import save

from her2edge import Model
from her2edge.cohort import CohortSlide
from her2edge.shards.shard import number_of
from her2edge_training import synthetic

ONE_CORE = "one process, on one core"
WANTED = {"faster": 1.9, "assign_seconds": 5.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["assign", "walls", "engine"])
    parser.add_argument("--slides", type=int)
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--seconds", type=float, help="of a slide, for assign: what `walls` printed")
    parser.add_argument("--tiles", type=int, default=400, help="of a drawn slide")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", type=Path, help="default: the embedded demo model")
    parser.add_argument("--save", metavar="NAME", help="keep the result in benchmarks/results/NAME.json")
    given = parser.parse_args()
    if given.part == "assign":
        result = assign(given.slides or 100_000, given.shards, given.seconds)
    else:
        with tempfile.TemporaryDirectory(prefix="her2edge-") as folder:
            bench = Bench(Path(folder), given.slides or 30, given.tiles, given.model)
            result = (bench.walls if given.part == "walls" else bench.engine)(given.rounds)
    print("\n".join(f"{name}: {value}" for name, value in result.items() if name != "table"))
    for row in result.get("table", ()):
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    if given.save:
        print(save(f"cohort_{given.part}", result, given.save))


def assign(slides: int, shards: int, seconds: float | None) -> dict[str, Any]:
    """How even the hash is: slides in the fullest shard beside the mean, at shards of several numbers."""
    names = [f"{number // 500:04}/case-{number:06}.svs" for number in range(slides)]
    listed = [CohortSlide(Path(one), number, listed=one) for number, one in enumerate(names)]
    table: list[tuple[object, ...]] = [("shards", "mean slides", "fullest", "emptiest", "fullest / mean")]
    if seconds is not None:
        table[0] += ("hours of the mean", "hours of the fullest")
    wall = processor = 0.0
    for parts in sorted({10, 100, shards}):
        began, worked = time.perf_counter(), time.process_time()
        numbers = [number_of(one, parts) for one in listed]
        if parts == shards:
            wall, processor = time.perf_counter() - began, time.process_time() - worked
        counts = np.bincount(numbers, minlength=parts + 1)[1:]
        fullest, mean = int(counts.max()), slides / parts
        row: tuple[object, ...] = (
            parts,
            round(mean, 1),
            fullest,
            int(counts.min()),
            round(fullest / mean, 3),
        )
        if seconds is not None:
            row += tuple(f"{one * seconds / 3600:.3g}" for one in (mean, fullest))
        table.append(row)
    return {
        "slides": slides,
        "shards": shards,
        "seconds": round(wall, 3),
        "processor_seconds": round(processor, 3),
        "wanted_seconds": WANTED["assign_seconds"],
        "seconds_of_a_slide": seconds,
        "table": table,
    }


def even_names(slides: int) -> list[str]:
    """File names of which each of two shards has half, or one more."""
    shards: dict[int, list[str]] = {1: [], 2: []}
    for number in count():
        name = f"s{number}.png"
        mine = shards[number_of(CohortSlide(Path(name), number, listed=name), 2)]
        if len(mine) < (slides + 1) // 2:
            mine.append(name)
        if sum(map(len, shards.values())) >= slides:
            break
    return shards[1] + shards[2]


class Bench:
    """Drawn slides in a folder, and commands over them."""

    def __init__(self, folder: Path, slides: int, tiles: int, model: Path | None) -> None:
        self.folder, self.slides, self.tiles = folder, slides, tiles
        self.model = [] if model is None else ["--model", str(model)]
        loaded = Model.load(model) if model else Model.demo()
        side = loaded.tile_px
        columns = max(1, round(tiles**0.5))
        rows = max(1, tiles // columns)
        drawn = [
            synthetic.make_tile(one, 0, side, loaded.mpp).pixels for one in synthetic.make_cohort(9, seed=5)
        ]
        chance = np.random.default_rng(1)
        names = even_names(slides)
        for name in names:
            order = chance.integers(len(drawn), size=(rows, columns))
            pixels = np.vstack([np.hstack([drawn[one] for one in row]) for row in order])
            cv2.imwrite(str(folder / name), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
        self.mpp, self.all = loaded.mpp, self._list("all.csv", names)
        self.few = self._list("few.csv", names[: max(1, slides // 5)])

    def _list(self, name: str, names: list[str]) -> Path:
        (self.folder / name).write_text("slide\n" + "".join(f"{one}\n" for one in names))
        return self.folder / name

    def walls(self, rounds: int) -> dict[str, Any]:
        """One process, two shards side by side and Dask with two workers, in turns."""
        ways = {
            ONE_CORE: [[]],
            "one process": [[]],
            "two shards": [["--shard", "1/2"], ["--shard", "2/2"]],
            "dask, two workers": [["--engine", "dask", "--workers", "2"]],
        }
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds):
            for name, commands in ways.items():
                out = self.folder / f"out-{number}"
                spent[name].append(self._together(self.all, out, commands, one_core=name == ONE_CORE))
                shutil.rmtree(out)
                print(f"round {number + 1}, {name}: {spent[name][-1]:.1f} s", flush=True)
        one = median(spent["one process"])
        faster, than_one_core = (
            median(a / b for a, b in zip(spent[name], spent["two shards"], strict=True))
            for name in ("one process", ONE_CORE)
        )
        return {
            "slides": self.slides, "tiles": self.tiles,
            "seconds": {name: round(median(times), 2) for name, times in spent.items()},
            "seconds_of_a_slide": round(one / self.slides, 3), "two_shards_faster": round(faster, 2),
            "two_shards_faster_than_one_core": round(than_one_core, 2),
            "wanted": WANTED["faster"],
        }  # fmt: skip

    def engine(self, rounds: int) -> dict[str, Any]:
        """What the commands take where every slide is done: their start, and each slide's share."""
        out = self.folder / "out"
        self._together(self.all, out, [[]])
        ways = {"local": [], "dask": ["--engine", "dask", "--workers", "2"]}
        spent: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, more in ways.items():
                few, every = (self._together(listed, out, [more]) for listed in (self.few, self.all))
                spent[name].append((few, every))
        fewer = max(1, self.slides // 5)
        result: dict[str, Any] = {"slides": self.slides}
        for name, pairs in spent.items():
            few, every = (median(column) for column in zip(*pairs, strict=True))
            slope = (every - few) / max(1, self.slides - fewer)
            result[f"{name}_ms_of_a_slide"] = round(1000 * slope, 1)
            result[f"{name}_start_seconds"] = round(few - fewer * slope, 2)
        return result

    def _together(
        self, listed: Path, out: Path, commands: list[list[str]], *, one_core: bool = False
    ) -> float:
        """Seconds until all of them, started at once, have ended."""
        held = ["taskset", "--cpu-list", "0"] if one_core else []
        fixed = ["--out", str(out), "--mpp", str(self.mpp), "--threads", "1", *self.model]
        start = [sys.executable, "-m", "her2edge_cli", "cohort", str(listed), *fixed]
        began = time.perf_counter()
        running = [
            subprocess.Popen([*held, *start, *more], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for more in commands
        ]
        codes = [one.wait() for one in running]
        took = time.perf_counter() - began
        assert codes == [0] * len(codes), codes
        return took


if __name__ == "__main__":
    main()
