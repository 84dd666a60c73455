"""The slide and the model that results are of, and no other: opened for the pictures of a page."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from her2edge.classifier import Options, TileClassifier
from her2edge.errors import MissingInputError
from her2edge.model.file import Model
from her2edge.report.errors import ResultsError
from her2edge.report.source import Results
from her2edge.slide import SlideReader
from her2edge.slide.parts import name_of
from her2edge.stain import StainFit, StainMode


def find_slide(given: Path, name: str) -> Path:
    """The slide of that name: `given` itself, or what has the name in the folder `given`.

    Raises MissingInputError where a folder has none.
    """
    if not os.path.isdir(given) or name_of(given) == name:  # noqa: PTH112 - Path's raises
        return given
    with contextlib.suppress(OSError):
        for one in sorted(given.iterdir()):
            if name_of(one) == name:
                return one
    raise MissingInputError(f"{name}: found no such slide in {given.name}, where it was looked for")


@contextlib.contextmanager
def open_own_slide(path: Path, results: Results) -> Iterator[SlideReader]:
    """The slide, at the scale it was read at.

    Raises ResultsError where it is another one; what SlideReader raises.
    """
    stated = results.summary.slide
    with SlideReader(path, mpp=stated.mpp) as slide:
        if slide.fingerprint != stated.fingerprint:
            raise ResultsError(
                f"{slide.name}: found a slide of fingerprint {slide.fingerprint[:12]}, the results are of "
                f"{stated.fingerprint[:12]} ({stated.name}): give that slide, or classify this one"
            )
        yield slide


def check_own_model(model: Model, results: Results) -> None:
    """Raises ResultsError where the results are of another model."""
    if model.sha256 != results.run.basis.model:
        raise ResultsError(
            f"{results.folder.name}: found results of the model {results.run.basis.model[:12]}, not of "
            f"{model.manifest.name} {model.manifest.version} ({model.sha256[:12]}): give that model with "
            "--model, or classify the slide with this one"
        )


def own_classifier(model: Model, results: Results, engine: TileClassifier | None = None) -> TileClassifier:
    """The model with the stain handling that the results state, a fit of the whole slide included.

    engine: a classifier of the same model that runs already. Raises as TileClassifier does.
    """
    record = results.summary.stain
    mode = StainMode(record["mode"])
    stain = StainFit.from_dict(record["fit"]) if mode is StainMode.GIVEN else mode
    fallback = StainFit.from_dict(record["fallback"]) if "fallback" in record else None
    if engine is not None:
        return TileClassifier(model, Options(stain=stain, fallback=fallback), engine=engine.engine)
    return TileClassifier(model, Options(stain=stain, fallback=fallback, self_test=False))
