"""What run.json says of a run: when, where, how fast, of what, and which files came of it."""

from __future__ import annotations

import datetime
import platform
import socket
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from her2edge import TileClassifier, TileResult, __version__
from her2edge.results import RunInfo, hash_files, notice
from her2edge.results.journal import Journal
from her2edge.results.provenance import Provenance
from her2edge.runtime import runtime_versions
from her2edge.text import shown

STAGES = ("filter", "stain", "infer")  # as in her2edge.tile.Seconds


def run_info(
    classifier: TileClassifier,
    basis: Provenance,
    journal: Journal,
    files: Sequence[Path],
    started: datetime.datetime,
    seconds: float,
) -> RunInfo:
    """The record of a run that wrote `files`.

    started: by the clock on the wall; seconds: by the monotonic one.
    """
    own = {"her2edge": __version__, "python": platform.python_version(), "numpy": np.__version__}
    return RunInfo(
        notice=notice(classifier.model, classifier.use),
        demo=classifier.model.manifest.demo,
        started=started.isoformat(timespec="seconds"),
        seconds=round(seconds, 3),
        host=socket.gethostname(),
        platform=platform.platform(),
        runtime=classifier.use,
        threads=classifier.plan.threads,
        interpreters=classifier.plan.interpreters,
        self_test="left out" if classifier.tested is None else str(classifier.tested),
        signer=classifier.model.signer,
        versions=own | runtime_versions(),
        stage_seconds=_stage_seconds(journal),
        command=[shown(argument) for argument in sys.argv[1:]],
        resumed=journal.resumed,
        basis=basis,
        files=hash_files(files),
    )


def _stage_seconds(results: Iterable[TileResult]) -> dict[str, float]:
    total = dict.fromkeys(STAGES, 0.0)
    for result in results:
        for stage in STAGES:
            total[stage] += getattr(result.seconds, stage)
    return {stage: round(seconds, 3) for stage, seconds in total.items()}
