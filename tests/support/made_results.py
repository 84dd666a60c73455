"""Results folders for pages: a drawn slide read by a tiny model, and folders made by hand of many tiles."""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import tiny
from slide_results import tile

from her2edge import LABELS, Model, Options, SlideReader, TileClassifier, TileResult, answer_slide
from her2edge.answer import Settled
from her2edge.results import SlideInfo, slide_folder, write_outputs
from her2edge.results.provenance import Provenance
from her2edge.results.run_record import Begun, RunInfo, write_run
from her2edge.tile import Background, Outcome
from her2edge_training import synthetic

STARTED = datetime.datetime(2026, 11, 1, 9, 30, tzinfo=datetime.UTC)


def draw(path: Path, columns: int, rows: int, mpp: float = tiny.MPP, repeat: int = 1) -> Path:
    """A synthetic slide of so many tiles of the tiny models, its picture repeated across and down."""
    model = synthetic.make_slide_model("3+", synthetic.SITES[1], 7)
    step = tiny.SIZE * tiny.MPP / mpp
    size = (round(columns * step / repeat), round(rows * step / repeat))
    pixels = synthetic.make_slide_image(model, *size, tiny.MPP).pixels
    pixels = np.tile(pixels, (repeat, repeat, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    return path


def mixed(columns: int, rows: int, labels: Sequence[str] = LABELS) -> list[TileResult]:
    """A result for each place: every class, all that is left out, background of each kind, failed ones."""
    rng = np.random.default_rng(3)
    results = []
    for place in range(columns * rows):
        kind = rng.choice(12)
        if kind < 8:
            results.append(
                tile(
                    place,
                    columns,
                    int(rng.integers(len(labels))),
                    sure=float(rng.uniform(0.4, 1)),
                    labels=tuple(labels),
                )
            )
        elif kind == 8:
            code = ("edge", "blurred", "pen", "over_exposed", "no_stain")[int(rng.integers(5))]
            results.append(tile(place, columns, 0, quality=(code,), pooled=False, labels=tuple(labels)))
        elif kind == 9:
            results.append(tile(place, columns, 1, novelty=2.0, pooled=False, labels=tuple(labels)))
        elif kind == 10:
            what = list(Background)[int(rng.integers(3))]
            results.append(tile(place, columns, background=what, glass_fraction=0.9))
        else:
            results.append(tile(place, columns, outcome=Outcome.FAILED, error="region cannot be read"))
    return results


def write(
    out: Path,
    results: Sequence[TileResult],
    columns: int,
    rows: int,
    *,
    model: Path = tiny.INT8,
    slide: Path | None = None,
    name: str = "slide.png",
    fingerprint: str = "ab" * 32,
    mpp: float = tiny.MPP,
    settled: Settled | None = None,
) -> Path:
    """The folder that `classify_slide` would have written of these results; its places are those of
    `results`, on a grid of steps of a tile. slide: the file that it is to be of."""
    classifier = TileClassifier(Model.load(model, trust="anyone"), Options(threads=1, self_test=False))
    step = classifier.model.tile_px * classifier.model.mpp / mpp
    info = SlideInfo(
        name,
        fingerprint,
        mpp,
        width=round(columns * step),
        height=round(rows * step),
        step=step,
        columns=columns,
        rows=rows,
    )
    if slide is not None:
        with SlideReader(slide, mpp=mpp) as reader:
            info = SlideInfo.of(reader, classifier.model)
    placed = [_placed(one, number, columns, step, info.name) for number, one in enumerate(results)]
    answer = answer_slide(placed, classifier.model, settled=settled)
    folder = slide_folder(out, info.name, info.fingerprint)
    thumbnail = np.full((50, 50, 3), 240, np.uint8)
    files = write_outputs(folder, classifier, info, placed, answer, thumbnail)
    basis = Provenance(
        info.name, info.fingerprint, info.mpp, info.step, info.columns, info.rows, columns * rows,
        classifier.model.sha256, classifier.use, "x86_64", "0.1.0", classifier.stain,
    )  # fmt: skip
    begun = Begun(STARTED, time.perf_counter())
    write_run(folder, RunInfo.of(classifier, basis, placed, files, begun, 0))
    return folder


def _placed(one: TileResult, number: int, columns: int, step: float, name: str) -> TileResult:
    at = one.x / one.span[0], one.y / one.span[1]
    return replace(one, slide=name, x=at[0] * step, y=at[1] * step, span=(step, step))
