"""One slide from file to files: read, classify, sum up, write."""

from __future__ import annotations

import datetime
import logging
import platform
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from her2edge import (
    SlideReader,
    SlideSummary,
    StainError,
    TileClassifier,
    TileResult,
    __version__,
    fit_slide,
    summarize,
)
from her2edge.files import ensure_folder
from her2edge.outputs import (
    RunInfo,
    SlideInfo,
    notice,
    slide_folder,
    write_outputs,
    write_run,
)
from her2edge.runtime import runtime_versions
from her2edge.slide import shown
from her2edge.summary import NOT_ASSESSABLE
from her2edge_cli.progress import track

THUMBNAIL_PX = 1600

_log = logging.getLogger("her2edge")


@dataclass(frozen=True)
class SlideRun:
    """A finished slide: its answer, the folder of its files and their paths."""

    name: str
    summary: SlideSummary
    folder: Path
    files: tuple[Path, ...]


def run_slide(
    path: Path,
    classifier: TileClassifier,
    out: Path,
    mpp: float | None,
    min_tissue_tiles: int,
    *,
    stain_of_slide: bool = False,
) -> SlideRun:
    """Classify a slide and write its files into its folder below `out`.

    stain_of_slide: normalise all tiles by one fit of the slide, made before the first of them.

    Raises Her2EdgeError; where the slide cannot be used, nothing has been written then.
    """
    started = datetime.datetime.now(datetime.UTC)
    clock = time.perf_counter()
    with SlideReader(path, mpp=mpp) as slide:
        info = describe_slide(slide, classifier)
        folder = slide_folder(out, info.name, info.fingerprint)
        ensure_folder(folder)
        no_stains = None
        if stain_of_slide:
            classifier, no_stains = with_slide_stain(slide, classifier)
        tiles = slide.tiles(classifier.model)
        count = slide.tile_count(classifier.model)
        results = list(track(classifier.stream(tiles), count, slide.name))
        thumbnail = slide.thumbnail(THUMBNAIL_PX)
    summary = summarize(results, min_tissue_tiles)
    if no_stains is not None and summary.assessable:
        summary = replace(summary, label=NOT_ASSESSABLE, reason=str(no_stains))
    files = write_outputs(folder, classifier, info, results, summary, thumbnail)
    run = RunInfo(
        notice=notice(classifier.model, classifier.use),
        demo=classifier.model.manifest.demo,
        started=started.isoformat(timespec="seconds"),
        seconds=round(time.perf_counter() - clock, 3),
        host=socket.gethostname(),
        platform=platform.platform(),
        runtime=classifier.use,
        threads=classifier.plan.threads,
        interpreters=classifier.plan.interpreters,
        self_test="left out" if classifier.tested is None else str(classifier.tested),
        signer=classifier.model.signer,
        versions={"her2edge": __version__, "python": platform.python_version(), "numpy": np.__version__}
        | runtime_versions(),
        stage_seconds=_stage_seconds(results),
        command=[shown(argument) for argument in sys.argv[1:]],
    )
    files.append(folder / "run.json")
    write_run(files[-1], run)
    return SlideRun(info.name, summary, folder, tuple(files))


def describe_slide(slide: SlideReader, classifier: TileClassifier) -> SlideInfo:
    """The slide as its files state it; raises what `SlideReader.grid` raises."""
    if slide.is_folder or slide.dimensions is None:
        return SlideInfo(slide.name, slide.fingerprint, slide.mpp)
    grid = slide.grid(classifier.model)
    width, height = slide.dimensions
    return SlideInfo(
        name=slide.name,
        fingerprint=slide.fingerprint,
        um_per_pixel=slide.mpp,
        width=width,
        height=height,
        step=grid.step,
        columns=grid.columns,
        rows=grid.rows,
        upsampled=grid.upsampled,
    )


def with_slide_stain(
    slide: SlideReader, classifier: TileClassifier
) -> tuple[TileClassifier, StainError | None]:
    """The classifier with the slide's own fit; where the slide has none, without normalisation, and why."""
    model = classifier.model
    try:
        fit = fit_slide(slide, model.manifest.stain.profile, model.tissue_filter)
    except StainError as error:
        _log.warning("%s: %s; its tiles keep their own colours", shown(slide.name), error)
        return classifier.with_stain("off"), error
    return classifier.with_stain(fit), None


def _stage_seconds(results: Sequence[TileResult]) -> dict[str, float]:
    stages = ("filter", "stain", "infer")
    return {stage: round(sum(getattr(r.seconds, stage) for r in results), 3) for stage in stages}
