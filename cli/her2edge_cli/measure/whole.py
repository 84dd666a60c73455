"""All that `her2edge bench` measures, in one record."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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


TILES, ROUNDS = 40, 3


@dataclass(frozen=True)
class Asked:
    """What is to be measured.

    model:  its file; None: the embedded demo model.
    slide:  slide, image or folder of tiles; None: synthetic tissue.
    mpp:    um per pixel of the slide at level 0; None: as it states.
    tiles:  how many, spread over the slide. rounds: how many after the warm-up.
    """

    model: Path | None = None
    slide: Path | None = None
    mpp: float | None = None
    tiles: int = TILES
    rounds: int = ROUNDS
    options: Options = field(default_factory=Options)


@dataclass(frozen=True)
class Fresh:
    """How cold start and memory are measured: in processes of their own, which take seconds."""

    start: Callable[[Path | None, Mapping[str, object]], Start] = cold_start
    memory: Callable[[Sequence[str]], Memory | None] = memory_of_classify


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
    readers: int
    tiles: str
    measured: Measured
    start: Start
    memory: Memory | None


def run_bench(asked: Asked, report: Callable[[str], None], fresh: Fresh | None = None) -> Bench:
    """All of it; report: called with what begins; fresh: None for processes of their own.

    Raises what `measure`, `cold_start`, Model.load and SlideReader raise.
    """
    if Host().busy:
        _log.warning("other programs keep this machine busy: measure again when it is not")
    fresh, options = fresh or Fresh(), asked.options
    model = Model.load(asked.model) if asked.model else Model.demo()
    with sample_of(asked.slide, asked.mpp, model, asked.tiles) as sample:
        classifier = classifier_of(model, sample, options)
        measured = measure(classifier, sample, asked.rounds, report)
        report("fresh processes")
        placed = {
            "threads": options.threads,
            "interpreters": options.interpreters,
            "readers": options.readers,
            "runtime": options.runtime,
        }
        start = fresh.start(asked.model, placed)
        memory = fresh.memory(_classify_arguments(asked, sample, placed))
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
        readers=classifier.readers,
        tiles=sample.name,
        measured=measured,
        start=start,
        memory=memory,
    )


def classifier_of(model: Model, sample: Sample, options: Options) -> TileClassifier:
    """A classifier with the slide's own stain fit where the model asks for one."""
    classifier = TileClassifier(model, options)
    if classifier.stain_mode is not StainMode.SLIDE:
        return classifier
    return with_slide_stain(classifier, find_slide_stain(sample.reader, model), sample.reader.name)


def _classify_arguments(asked: Asked, sample: Sample, placed: Mapping[str, object]) -> list[str]:
    given: dict[str, object] = {"model": asked.model, "mpp": asked.mpp, **placed}
    options = [part for name, value in given.items() if value for part in (f"--{name}", str(value))]
    return [str(sample.path), *options]
