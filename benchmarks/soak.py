"""A long run through feed and journal: does memory grow, do handles or threads, does it slow down? Linux.

    .venv/bin/python benchmarks/soak.py [--tiles 100000] [--model MODEL] [--save NAME] [--plot PNG]

Synthetic tissue: some hundred distinct tiles, each shifted and mirrored anew, on slides of 10,000 tiles; one
in fifty is submitted twice. After the first quarter, resident memory may grow by 1 MB per 10,000 tiles at
most, open handles and threads not at all, and every tile must be answered and stand in its slide's journal;
else the exit code is 1.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from harness import save

from her2edge import Model, Options, Tile, TileClassifier, TileResult, __version__
from her2edge.results.journal import Journal, open_journal
from her2edge.results.provenance import Provenance
from her2edge.runtime.machine import architecture
from her2edge_training import synthetic

MAX_SLOPE = 1.0  # MB of resident memory per 10,000 tiles
SAMPLES = 100
SLIDE_TILES, ROW_TILES = 10_000, 100
AGAIN = 50  # every so many tiles one is submitted a second time
SAID = ("tiles", "seconds", "tiles_per_s", "rss_mb", "handles", "threads")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiles", type=int, default=100_000)
    parser.add_argument("--model", help="a her2edge .tflite; default: the embedded demo model")
    parser.add_argument("--distinct", type=int, default=300, help="tiles that are drawn at the start")
    parser.add_argument("--interpreters", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save", metavar="NAME", help="keep the result in benchmarks/results/NAME.json")
    parser.add_argument("--plot", type=Path, metavar="PNG")
    given = parser.parse_args()
    if given.tiles < 1000:
        parser.error("fewer than 1000 tiles say nothing about a slope")
    model = Model.load(given.model) if given.model else Model.demo()
    classifier = TileClassifier(model, Options(threads=given.threads, interpreters=given.interpreters))
    with tempfile.TemporaryDirectory(prefix="her2edge-") as folder:
        journals = Journals(Path(folder), classifier)
        result = run(classifier, given.tiles, draw(model, given.distinct), journals.keep, print)
        result["in_journals"] = journals.count()
    result["passed"] = result["passed"] and result["in_journals"] == given.tiles
    print({name: value for name, value in result.items() if name not in ("samples", "ledger")})
    if given.plot:
        given.plot.write_bytes(draw_plot(result))
    if given.save:
        print(save("soak", result, given.save))
    raise SystemExit(0 if result["passed"] else 1)


class Journals:
    """A journal for each slide, as the results of a feed come: in the order of its tiles, from one thread."""

    def __init__(self, folder: Path, classifier: TileClassifier) -> None:
        self._folder, self._classifier = folder, classifier
        self._open: tuple[str, Journal] | None = None

    def keep(self, result: TileResult) -> None:
        """Put a result into the journal of its slide."""
        if self._open is None or self._open[0] != result.slide:
            self._close()
            self._open = result.slide, self._of(result.slide)
        journal = self._open[1]
        journal.add(result)
        if len(journal) == SLIDE_TILES:
            self._close()

    def count(self) -> int:
        """Results in all journals, read back from the disk; what a last, incomplete slide has not committed
        is none of them."""
        names = sorted(path.name for path in self._folder.iterdir())
        if self._open is not None:
            names.remove(self._open[0])
            return sum(map(self._kept, names)) + len(self._open[1])
        return sum(map(self._kept, names))

    def _kept(self, slide: str) -> int:
        with self._of(slide) as journal:
            return sum(1 for _ in journal)

    def _of(self, slide: str) -> Journal:
        (self._folder / slide).mkdir(exist_ok=True)
        classifier = self._classifier
        basis = Provenance(
            slide=slide,
            fingerprint=slide,
            mpp=classifier.model.mpp,
            step=None,
            columns=None,
            rows=None,
            tiles=SLIDE_TILES,
            model=classifier.model.sha256,
            runtime=classifier.use,
            architecture=architecture(),
            version=__version__,
            stain=classifier.stain,
        )
        return open_journal(self._folder / slide, basis)

    def _close(self) -> None:
        if self._open is not None:
            self._open[1].commit()
            self._open[1].close()
        self._open = None


def draw(model: Model, distinct: int) -> list[np.ndarray]:
    """(tile_px, tile_px, 3) uint8 RGB tiles of all classes, every tenth glass."""
    cohort = synthetic.make_cohort(9, seed=99)
    return [
        synthetic.make_tile(
            cohort[i % 9], i, model.tile_px, model.mpp, tissue=0.0 if i % 10 == 9 else 1.0
        ).pixels
        for i in range(distinct)
    ]


def vary(drawn: list[np.ndarray], tiles: int) -> Iterator[Tile]:
    """Tiles of a grid, slide after slide, their pixels shifted and mirrored: hardly two are equal."""
    rng = np.random.default_rng(7)
    for i in range(tiles):
        pixels = drawn[int(rng.integers(len(drawn)))]
        side = pixels.shape[0]
        pixels = np.roll(pixels, tuple(rng.integers(side, size=2)), (0, 1))[:: 1 - 2 * int(rng.integers(2))]
        row, column = divmod(i % SLIDE_TILES, ROW_TILES)
        place = float(column * side), float(row * side), (float(side), float(side))
        yield Tile(np.ascontiguousarray(pixels), *place, slide=f"slide-{i // SLIDE_TILES}")


def run(
    classifier: TileClassifier,
    tiles: int,
    drawn: list[np.ndarray],
    consume: Callable[[TileResult], object] = lambda _: None,
    say: Callable[[str], object] = lambda _: None,
) -> dict[str, Any]:
    """Push so many tiles through a feed and measure as they go. consume: told of each result.

    The first quarter is start-up: buffers fill, and with them the feed's memory of answered tiles, which is
    kept below a tenth of all.
    """
    remember = min(4096, tiles // 10)
    samples: list[tuple[float, ...]] = []
    every, began, last = max(1, tiles // SAMPLES), time.perf_counter(), time.perf_counter()
    with classifier.feed(consume, remember=remember) as feed:
        for done, tile in enumerate(vary(drawn, tiles), start=1):
            feed.submit(tile)
            if done % AGAIN == 0:
                feed.submit(tile)
            if done % every == 0:
                now = time.perf_counter()
                samples.append((done, now - began, every / (now - last), *look()))
                last = now
                if len(samples) % 10 == 0:
                    figures = zip(SAID, samples[-1], strict=True)
                    say(", ".join(f"{name} {value:.5g}" for name, value in figures))
    steady = samples[len(samples) // 4 :]
    ledger = feed.ledger
    result: dict[str, Any] = {
        "model": classifier.model.manifest.name,
        "use": str(classifier.use),
        "tile_px": classifier.model.tile_px,
        "interpreters": classifier.plan.interpreters,
        "tiles": tiles,
        "tiles_per_s": round((steady[-1][0] - steady[0][0]) / (steady[-1][1] - steady[0][1]), 1),
        "steady_from": int(steady[0][0]),
        "slope_mb_per_10000": round(slope(steady), 3),
        "handles": [int(min(column(steady, "handles"))), int(max(column(steady, "handles")))],
        "threads": [int(min(column(steady, "threads"))), int(max(column(steady, "threads")))],
        "ledger": asdict(ledger),
        "samples": {name: [round(value, 3) for value in column(samples, name)] for name in SAID},
    }
    flat = all(least == most for least, most in (result["handles"], result["threads"]))
    answered = ledger.classified + ledger.background == ledger.submitted == ledger.delivered == tiles
    return result | {"passed": bool(result["slope_mb_per_10000"] <= MAX_SLOPE and flat and answered)}


def look() -> tuple[float, int, int]:
    """Resident memory in MB, open handles, threads: those of Python and those of the runtime."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    counts = (len(list(Path(f"/proc/self/{what}").iterdir())) for what in ("fd", "task"))
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6, *counts


def column(samples: list[tuple[float, ...]], name: str) -> list[float]:
    """One quantity of all samples."""
    return [sample[SAID.index(name)] for sample in samples]


def slope(samples: list[tuple[float, ...]]) -> float:
    """MB of resident memory per 10,000 tiles, by least squares."""
    return float(np.polyfit(column(samples, "tiles"), column(samples, "rss_mb"), 1)[0] * 1e4)


def draw_plot(result: dict[str, Any]) -> bytes:
    """PNG: throughput, memory, handles and threads over the tiles."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6.5), layout="constrained")
    panels = figure.subplots(3, 1, sharex=True)
    samples = result["samples"]
    for axes, (label, names) in zip(
        panels,
        {"tiles per s": ["tiles_per_s"], "MB": ["rss_mb"], "count": ["handles", "threads"]}.items(),
        strict=True,
    ):
        for name in names:
            style = "--" if name == "threads" else "-"  # the two may lie on one another
            axes.plot(samples["tiles"], samples[name], style, label=name)
        axes.axvline(result["steady_from"], color="grey", linestyle=":")
        axes.set(ylabel=label)
        axes.set_ylim(0, 1.15 * max(max(samples[name]) for name in names))
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right")
    panels[-1].set_xlabel("tiles")
    figure.suptitle(
        f"{result['model']}, interpreters: {result['interpreters']}; "
        f"{result['slope_mb_per_10000']:+.2f} MB per 10,000 tiles after {result['steady_from']}"
    )
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=120)
    return out.getvalue()


if __name__ == "__main__":
    main()
