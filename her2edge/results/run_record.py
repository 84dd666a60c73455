"""run.json: when, where and how fast a slide was read, of what, and which files came of it."""

from __future__ import annotations

import datetime
import platform
import socket
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from her2edge.classifier import TileClassifier
from her2edge.files import write_json
from her2edge.model.trust import Signer
from her2edge.results.finished import hash_files
from her2edge.results.notices import notice
from her2edge.results.owner import RUN
from her2edge.results.provenance import Provenance
from her2edge.runtime import RuntimeUse, runtime_versions
from her2edge.slide import Evidence
from her2edge.text import shown
from her2edge.tile import TILE_STAGES, TileResult
from her2edge.version import __version__


@dataclass(frozen=True)
class Begun:
    """When a run began: by the clock on the wall, and by `time.perf_counter`."""

    started: datetime.datetime
    counter: float


@dataclass(frozen=True)
class RunInfo:
    """When, where and how fast: outside the promise of equal bytes.

    runtime: what computed; threads: of each of its interpreters; self_test: what the golden tiles gave.
    readers: tiles that are read at the same time.
    signer: whose signature the model carries, and whether this machine trusts its key.
    started: by the clock on the wall; seconds: from then on, by the monotonic one.
    resumed: results that an interrupted run had left; stage_seconds counts what they took then.
    basis, files: what the results depend on, and the SHA-256 of every other file, hex, by name.
    evidence: how the slide's files looked when they were read.
    """

    notice: str
    demo: bool
    started: str
    seconds: float
    host: str
    platform: str
    runtime: RuntimeUse
    threads: int
    interpreters: int
    self_test: str
    versions: dict[str, str]
    stage_seconds: dict[str, float]
    command: list[str]
    resumed: int
    basis: Provenance
    files: dict[str, str]
    signer: Signer | None = None
    evidence: Evidence | None = None
    readers: int = 1

    @classmethod
    def of(
        cls,
        classifier: TileClassifier,
        basis: Provenance,
        results: Iterable[TileResult],
        files: Sequence[Path],
        begun: Begun,
        resumed: int,
        evidence: Evidence | None = None,
    ) -> RunInfo:
        """The record of a run on this machine that wrote `files` and ends now."""
        own = {"her2edge": __version__, "python": platform.python_version(), "numpy": np.__version__}
        return cls(
            notice=notice(classifier.model, classifier.use),
            demo=classifier.model.manifest.demo,
            started=begun.started.isoformat(timespec="seconds"),
            seconds=round(time.perf_counter() - begun.counter, 3),
            host=socket.gethostname(),
            platform=platform.platform(),
            runtime=classifier.use,
            threads=classifier.plan.threads,
            interpreters=classifier.plan.interpreters,
            self_test="left out" if classifier.tested is None else str(classifier.tested),
            signer=classifier.model.signer,
            versions=own | runtime_versions(),
            stage_seconds=_stage_seconds(results),
            command=[shown(argument) for argument in sys.argv[1:]],
            resumed=resumed,
            basis=basis,
            files=hash_files(files),
            evidence=evidence,
            readers=classifier.readers,
        )


def write_run(folder: Path, run: RunInfo) -> Path:
    """Write run.json and return its path; it comes last, so a folder that holds it is complete."""
    write_json(folder / RUN, run)
    return folder / RUN


def _stage_seconds(results: Iterable[TileResult]) -> dict[str, float]:
    total = dict.fromkeys(TILE_STAGES, 0.0)
    for result in results:
        for stage in TILE_STAGES:
            total[stage] += getattr(result.seconds, stage)
    return {stage: round(seconds, 3) for stage, seconds in total.items()}
