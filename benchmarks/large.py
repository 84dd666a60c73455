"""A large slide, the whole way: seconds by stage, memory, sizes of files; and files of 400,000 tiles.

    .venv/bin/python benchmarks/large.py [--slide SLIDE.tif] [--model MODEL] [--threads N] [--save NAME]
    .venv/bin/python benchmarks/large.py --width 6000 --height 5000 --tiles 4000       # a minute

Without --slide one is made by `large_slide.py`, --width by --height pixels (60,000 x 50,000: 0.6 GB). A
process of its own classifies it, as `her2edge classify` does; its peak memory is told. Then its files are
written again one by one from tiles.csv, and once more for --tiles drawn results on a square grid, with steps
of whole pixels and of others. Seconds of filter, quality, stain and infer are summed over threads.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from harness import save
from large_slide import make_large_slide

from her2edge import (
    Model,
    Options,
    Outcome,
    SlideReader,
    TileClassifier,
    TileResult,
    classify_slide,
)
from her2edge.files import sha256_of
from her2edge.results import notice
from her2edge.results.colours import class_colours
from her2edge.results.geojson import PACKED, PLAIN, write_geojson
from her2edge.results.read_back import read_results
from her2edge.results.table import write_table

SHARES, TISSUE = (0.7, 0.2, 0.1), 0.4
DECODED = 400  # places
STEPS = {"whole": 512.0, "others": 512 * 0.25 / 0.2527}  # level-0 px


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slide", type=Path, help="instead of one that is made; it states its um per pixel")
    parser.add_argument("--width", type=int, default=60_000)
    parser.add_argument("--height", type=int, default=50_000)
    parser.add_argument("--model", type=Path, help="default: the embedded demo model")
    parser.add_argument("--threads", type=int, help="default: as `her2edge classify`")
    parser.add_argument("--tiles", type=int, default=400_000, help="drawn results")
    parser.add_argument("--save", metavar="NAME", help="keep the result in results/NAME.json")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        classify(given)
    else:
        measure(given)


def measure(given: argparse.Namespace) -> None:
    model = Model.load(given.model) if given.model else Model.demo()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as place:
        folder, slide = Path(place), given.slide
        if slide is None:
            slide = folder / "slide.tif"
            make_large_slide(slide, given.width, given.height, SHARES, TISSUE, seed=0)
        found: dict[str, Any] = {"slide": classified(slide, folder / "out", given)}
        say("slide", found["slide"])
        (results,) = [path.parent for path in (folder / "out").glob("*/run.json")]
        found["its_files"] = files_of(list(read_results(results).tiles), folder, model)
        say("its files", found["its_files"])
        for name, step in STEPS.items():
            drawn = files_of(list(draw(given.tiles, step, model)), folder, model)
            found[f"drawn_{name}"] = drawn
            say(f"{given.tiles} drawn tiles, {step:.2f} px", drawn)
    if given.save:
        print(save("large", found, given.save))


def classified(slide: Path, out: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Seconds by stage, peak memory and sizes of what a process that classifies the slide writes."""
    command = [sys.executable, __file__, "--slide", str(slide), "--child", str(out)]
    command += [] if given.model is None else ["--model", str(given.model)]
    command += [] if given.threads is None else ["--threads", str(given.threads)]
    began = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert child.stdout is not None
    printed = child.stdout.read()
    _, status, used = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"the process that classifies ended with {child.returncode}")
    parts = json.loads(printed)
    (folder,) = [path.parent for path in out.glob("*/run.json")]
    run, summary = (json.loads((folder / name).read_text()) for name in ("run.json", "summary.json"))
    started = round(seconds - sum(parts.values()), 2)
    return {
        "places": summary["answer"]["tiles"]["total"],
        "outcomes": summary["answer"]["tiles"]["outcomes"],
        "threads": [run["interpreters"], run["threads"]],
        "seconds": {"all": round(seconds, 1), "start": started} | parts,
        "of_threads": run["stage_seconds"],
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "decode_ms": decoding(slide, given.model),
        "hash_seconds": round(spent(lambda: sha256_of(slide)), 2),
        "peak_mb": round(used.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)),
        "slide_mb": round(slide.stat().st_size / 1e6),
        "kb": {path.name: round(path.stat().st_size / 1e3, 1) for path in sorted(folder.iterdir())},
    }


def classify(given: argparse.Namespace) -> None:
    """Classify, and print seconds: of the model, to the first tile, of all tiles, of what comes after."""
    at = [time.perf_counter()]
    model = Model.load(given.model) if given.model else Model.demo()
    classifier = TileClassifier(model, Options(threads=given.threads))
    at.append(time.perf_counter())
    seen: list[float] = []

    def progress(done: int, total: int) -> None:
        if done in (0, total):
            seen.append(time.perf_counter())

    classify_slide(given.slide, given.child, classifier, progress=progress)
    at += [seen[0], seen[-1], time.perf_counter()]
    names = ("model", "open", "tiles", "thumbnail, hash, answer, files")
    print(json.dumps({n: round(b - a, 2) for n, a, b in zip(names, at, at[1:], strict=False)}))


def decoding(path: Path, model: Path | None) -> float:
    """Milliseconds of reading a tile, one thread, over places all over the slide."""
    with SlideReader(path) as slide:
        spec = Model.load(model) if model else Model.demo()
        grid = slide.grid(spec)
        every = max(1, len(grid) // DECODED)
        places = [(n % grid.columns, n // grid.columns) for n in range(0, len(grid), every)]
        seconds = spent(lambda: sum(1 for _ in slide.tiles(spec, places)))
    return round(1e3 * seconds / len(places), 2)


def files_of(results: list[TileResult], folder: Path, model: Model) -> dict[str, Any]:
    """Seconds, MB and bytes an object of each file; objects: classified and failed tiles, rows: all."""
    words, colours = notice(model), class_colours(model)
    objects = sum(one.outcome in (Outcome.CLASSIFIED, Outcome.FAILED) for one in results)
    writers: dict[str, Callable[[Path], None]] = {
        "tiles.csv": lambda path: write_table(path, results, tuple(colours), words),
        PLAIN: lambda path: write_geojson(path, results, colours, "ab" * 32, words),
        PACKED: lambda path: write_geojson(path, results, colours, "ab" * 32, words),
    }
    found: dict[str, Any] = {"rows": len(results), "objects": objects}
    for name, write in writers.items():
        seconds = spent(partial(write, folder / name))
        size, each = (folder / name).stat().st_size, len(results) if name == "tiles.csv" else objects
        found[name] = {
            "seconds": round(seconds, 2), "mb": round(size / 1e6, 2), "bytes": round(size / max(1, each), 1)
        }  # fmt: skip
    return found


def draw(count: int, step: float, model: Model) -> Iterator[TileResult]:
    """Tiles that vote, row by row, as large as numbers get: every decimal is written."""
    rng, labels = np.random.default_rng(0), tuple(class_colours(model))
    columns = int(np.ceil(np.sqrt(count)))
    for number in range(count):
        chances = rng.dirichlet(np.ones(len(labels))).astype(np.float32)
        shares = rng.uniform(0.1, 0.9, 3).tolist()
        yield TileResult(
            "a.svs", number % columns * step, number // columns * step, (step, step), Outcome.CLASSIFIED,
            chances, labels[int(chances.argmax())], float(chances.max()), shares[0],
            glass_fraction=shares[1], novelty=shares[2], pooled=True,
        )  # fmt: skip


def spent(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def say(title: str, values: dict[str, Any]) -> None:
    print(title)
    for name, value in lines(values):
        print(f"  {name:<24} {value}", flush=True)


def lines(values: dict[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in values.items():
        parts = value.items() if isinstance(value, dict) else None
        yield name, str(value) if parts is None else ", ".join(f"{key} {one}" for key, one in parts)


if __name__ == "__main__":
    main()
