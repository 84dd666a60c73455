"""What workers of a cluster are given to do in tests; importable there."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import Any

import msgspec

from her2edge import SlideRun
from her2edge.cohort import CohortSlide
from her2edge_cli import slide_job
from her2edge_cli.slide_job import pack, unpack

Plain = dict[str, Any]


def poisoned(setup: Plain, job: Plain, cores: int) -> Plain:
    """As `do`, but a slide whose name begins with `poison` kills the process that works on it."""
    work = slide_job._work(msgspec.json.encode(setup), cores)

    def classify(slide: CohortSlide) -> SlideRun:
        if slide.name.startswith("poison"):
            os.kill(os.getpid(), signal.SIGKILL)
        return work.classify(slide)

    return pack(replace(work, classify=classify)(unpack(job, CohortSlide)))


def missing(setup: Plain, job: Plain, cores: int) -> Plain:
    """As from a worker whose her2edge has no such function."""
    raise ModuleNotFoundError("No module named 'her2edge_cli.slide_job'")
