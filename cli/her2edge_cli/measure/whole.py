"""All that `her2edge bench` measures, in one record."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from her2edge import Model, Options, TileClassifier
from her2edge.results import notice
from her2edge.results.slide_stain import find_slide_stain, with_slide_stain
from her2edge.runtime import Host
from her2edge.runtime.machine import Machine, this_machine
from her2edge.stain import StainMode
from her2edge_cli.measure.process import Memory, Start, cold_start, memory_of_classify
from her2edge_cli.measure.stages import Measured, measure
from her2edge_cli.measure.tiles import Sample, sample_of

_log = logging.getLogger("her2edge")


@dataclass(frozen=True)
class Bench:
    """What bench measured, as `--json` prints it: times in milliseconds, rates in tiles per second, starts in
    seconds, memory in MB (1e6 bytes)."""

    notice: str
    machine: Machine
    model: str
    scheme: str
    tile_px: int
    runtime: str
    version: str
    precision: str
    threads: int
    interpreters: int
    ahead: int
    tiles: str
    measured: Measured
    start: Start
    memory: Memory | None


def run_bench(
    path: Path | None,
    slide: Path | None,
    mpp: float | None,
    tiles: int,
    rounds: int,
    options: Options,
    report: Callable[[str], None],
) -> Bench:
    """All of it; path: of the model, None the demo model; report: called with what begins.

    Raises what `measure`, `cold_start`, Model.load and SlideReader raise.
    """
    if Host().busy:
        _log.warning("other programs keep this machine busy: measure again when it is not")
    model = Model.load(path) if path else Model.demo()
    with sample_of(slide, mpp, model, tiles) as sample:
        classifier = _classifier(model, sample, options)
        measured = measure(classifier, sample, rounds, report)
        report("fresh processes")
        placed = {
            "threads": options.threads,
            "interpreters": options.interpreters,
            "runtime": options.runtime,
        }
        start = cold_start(path, placed)
        memory = memory_of_classify(_classify_arguments(path, sample, mpp, placed))
    plan, manifest = classifier.plan, model.manifest
    return Bench(
        notice=notice(model, classifier.use),
        machine=this_machine(),
        model=f"{manifest.name} {manifest.version}",
        scheme=manifest.scheme,
        tile_px=model.tile_px,
        runtime=plan.runtime,
        version=classifier.use.version,
        precision=plan.precision,
        threads=plan.threads,
        interpreters=plan.interpreters,
        ahead=classifier.ahead,
        tiles=sample.name,
        measured=measured,
        start=start,
        memory=memory,
    )


def _classifier(model: Model, sample: Sample, options: Options) -> TileClassifier:
    """With the slide's own stain fit where the model asks for one."""
    classifier = TileClassifier(model, options)
    if classifier.stain_mode is not StainMode.SLIDE:
        return classifier
    return with_slide_stain(classifier, find_slide_stain(sample.reader, model), sample.reader.name)


def _classify_arguments(
    path: Path | None, sample: Sample, mpp: float | None, placed: Mapping[str, object]
) -> list[str]:
    given: dict[str, object] = {"model": path, "mpp": mpp, **placed}
    options = [part for name, value in given.items() if value for part in (f"--{name}", str(value))]
    return [str(sample.path), *options]
