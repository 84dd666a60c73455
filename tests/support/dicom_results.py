"""A small slide in DICOM, classified by a tiny model; what of it tests of DICOM objects change."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import small_slide
import tiny
from vl_slides import Slide, write_slide

from her2edge import Model, Options, TileClassifier, classify_slide
from her2edge.results.owner import RUN, SUMMARY
from her2edge.slide import read_image

HOW = Slide("raw", tile=128, mpp=tiny.MPP, levels=2)


@dataclass(frozen=True)
class Classified:
    """The folder of the slide's files, and that of its results."""

    source: Path
    results: Path

    def copy(self, to: Path) -> Classified:
        """Another one, to be changed."""
        shutil.copytree(self.source, to / "source", copy_function=shutil.copy2)
        shutil.copytree(self.results, to / "out" / self.results.name)
        return Classified(to / "source", to / "out" / self.results.name)


def draw(folder: Path) -> np.ndarray:
    """(h, w, 3) uint8: four rows of six tiles."""
    folder.mkdir(parents=True, exist_ok=True)
    png = small_slide.draw_slide(folder / "drawn.png")
    return np.array(read_image(png))


def classified(folder: Path, model: Path = tiny.INT8, how: Slide = HOW, glass: bool = False) -> Classified:
    """Classify the drawn slide, or as much glass."""
    pixels = draw(folder)
    if glass:
        pixels[:] = 245
    slide = write_slide(folder / "source", pixels, how)[0]
    classifier = TileClassifier(Model.load(model), Options(threads=1))
    return Classified(folder / "source", classify_slide(slide, folder / "out", classifier).folder)


def with_changes(changes: dict[str, Any]) -> Slide:
    """`HOW`, with other attributes."""
    return replace(HOW, changes=changes)


def rewrite(results: Path, name: str, data: bytes) -> None:
    """Change a file and its hash in run.json, as if a run had written it so."""
    (results / name).write_bytes(data)
    run = msgspec.json.decode((results / RUN).read_bytes())
    run["files"][name] = hashlib.sha256(data).hexdigest()
    (results / RUN).write_bytes(msgspec.json.encode(run))


def rewrite_summary(results: Path, **fields: Any) -> None:
    """Change fields of summary.json so."""
    summary = msgspec.json.decode((results / SUMMARY).read_bytes())
    rewrite(results, SUMMARY, msgspec.json.encode(summary | fields))


def rewrite_run(results: Path, **fields: Any) -> None:
    """Change fields of run.json."""
    run = msgspec.json.decode((results / RUN).read_bytes())
    (results / RUN).write_bytes(msgspec.json.encode(run | fields))
