"""`her2edge classify`, which also marks when it begins to read and when its first tile is classified.

python benchmarks/whole_ours.py JOB OUT [--until-settled] [--runtime NAME]
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

from marks import FIRST, READING, mark
from whole_forms import OURS
from whole_job import Job

from her2edge import Outcome, TileClassifier
from her2edge_cli import run

_stream = TileClassifier.stream


def _marked(classifier: TileClassifier, tiles: Iterable[Any]) -> Generator[Any, None, None]:
    mark(READING)
    with contextlib.closing(_stream(classifier, tiles)) as results:
        for result in results:
            if result.outcome is Outcome.CLASSIFIED:
                mark(FIRST)
            yield result


if __name__ == "__main__":
    _, path, out, *options = sys.argv
    job = Job.read(path)
    settled = "--until-settled" in options
    model = job.settled_model if settled else str(Path(job.forms, OURS))
    # A reading until it is settled is of the whole slide, all others are of the region.
    where = [] if settled else ["--region", job.region]
    chosen = [] if model is None else ["--model", model]
    TileClassifier.stream = _marked  # type: ignore[method-assign]
    sys.argv = ["her2edge", "classify", job.slide, "--mpp", repr(job.mpp), "--out", out]
    sys.argv += [*where, *chosen, *options]
    run()
