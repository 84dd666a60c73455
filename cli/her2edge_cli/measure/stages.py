"""Milliseconds of each stage, tile by tile; tiles per second of the stream and of the network alone.

Rounds take turns, so that whatever else the machine does meets all of them alike; the first is warm-up.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from her2edge import TileClassifier, TileResult, answer_slide
from her2edge.errors import SlideError, SlideReadError
from her2edge.results import SlideInfo, write_outputs
from her2edge.results.classify_slide import THUMBNAIL_PX
from her2edge.runtime.tune import network_rate
from her2edge.slide import UnreadableTile
from her2edge.tile import TILE_STAGES, Outcome
from her2edge_cli.measure.energy import Meter
from her2edge_cli.measure.figures import Rate, Times, rate, times
from her2edge_cli.measure.tiles import Sample

STAGES = ("read", *TILE_STAGES, "write")


@dataclass(frozen=True)
class Measured:
    """What a sample of tiles took, rounds apart from the warm-up.

    stages:     of tissue tiles, one after the other; "write" is a tile's share of its slide's files.
    background: the filter's time of tiles that it takes for background; None where there was none.
    background_read: what reading those took.
    network:    the runtime alone. stream: classified tiles of `TileClassifier.stream`.
    joules:     per tile of the stream; None with the reason.
    """

    tissue: int
    background_tiles: int
    unreadable: int
    rounds: int
    stages: dict[str, Times]
    background: Times | None
    background_read: Times | None
    network: Rate
    stream: Rate
    joules: float | None
    no_joules: str | None

    @property
    def busy(self) -> float:
        """Share of the network's own rate that the stream reaches."""
        return self.stream.tiles_per_second / self.network.tiles_per_second


def measure(
    classifier: TileClassifier,
    sample: Sample,
    rounds: int,
    report: Callable[[str], None],
) -> Measured:
    """Measure `rounds` rounds after one to warm up; report: called with what begins.

    Raises what `classify` and SlideReader raise; SlideReadError where no tile can be read, SlideError where
    all are background.
    """
    alone, plan = classifier.engine.runtime, classifier.plan
    spent: dict[str, list[list[float]]] = {name: [] for name in (*STAGES, "background", "background_read")}
    network, stream = [], []
    energy: list[float] = []
    meter, tissue, results = Meter(), 0, list[TileResult]()
    for number in range(rounds + 1):
        report("warm-up" if number == 0 else f"round {number} of {rounds}")
        one_by_one = _one_by_one(classifier, sample)
        tissue = len(one_by_one["infer"])
        networks_rate = network_rate(alone, classifier.model, plan.interpreters, tissue)
        meter = Meter()
        began = time.perf_counter()
        results = list(classifier.stream(sample.tiles()))
        streams_rate = tissue / (time.perf_counter() - began)
        joules = meter.joules()
        one_by_one["write"] = [_write(classifier, sample, results)]
        if number == 0:
            continue
        for name, values in one_by_one.items():
            spent[name].append(values)
        network.append(networks_rate)
        stream.append(streams_rate)
        if joules is not None:
            energy.append(joules / len(results))
    outcomes = [result.outcome for result in results]
    background = outcomes.count(Outcome.BACKGROUND)
    return Measured(
        tissue=tissue,
        background_tiles=background,
        unreadable=outcomes.count(Outcome.FAILED),
        rounds=rounds,
        stages={name: times(spent[name]) for name in STAGES},
        background=times(spent["background"]) if background else None,
        background_read=times(spent["background_read"]) if background else None,
        network=rate(network),
        stream=rate(stream),
        joules=round(sum(energy) / len(energy), 4) if energy else None,
        no_joules=meter.reason,
    )


def _one_by_one(classifier: TileClassifier, sample: Sample) -> dict[str, list[float]]:
    """Milliseconds of each tissue tile by stage, of each background tile beyond its reading."""
    names = ("read", *TILE_STAGES, "background", "background_read")
    spent: dict[str, list[float]] = {name: [] for name in names}
    tiles, error = sample.tiles(), None
    while True:
        began = time.perf_counter()
        tile = next(tiles, None)
        read = time.perf_counter()
        if tile is None:
            break
        if isinstance(tile, UnreadableTile):
            error = tile.error
            continue
        result = classifier.classify(tile)
        if result.outcome is Outcome.BACKGROUND:
            spent["background"].append(1e3 * (time.perf_counter() - read))
            spent["background_read"].append(1e3 * (read - began))
            continue
        for name, value in (asdict(result.seconds) | {"read": read - began}).items():
            spent[name].append(1e3 * value)
    if not spent["infer"] and not spent["background"]:
        raise SlideReadError(f"found no tile that can be read, expected one at least: {error}")
    if not spent["infer"]:
        raise SlideError(
            f"found only background in {len(spent['background'])} tiles, expected tissue: take more with "
            "--tiles"
        )
    return spent


def _write(classifier: TileClassifier, sample: Sample, results: list[TileResult]) -> float:
    """Milliseconds of a tile's share in writing all files of a slide."""
    info, thumbnail = SlideInfo.of(sample.reader, classifier.model), sample.reader.thumbnail(THUMBNAIL_PX)
    answer = answer_slide(results, classifier.model)
    with tempfile.TemporaryDirectory(prefix="her2edge-") as folder:
        began = time.perf_counter()
        write_outputs(Path(folder), classifier, info, results, answer, thumbnail)
        return 1e3 * (time.perf_counter() - began) / len(results)
