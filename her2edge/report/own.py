"""The slide and the model that results are of, and no other: opened for the pictures of a page."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from her2edge.classifier import Options, TileClassifier
from her2edge.errors import MissingInputError, ModelError, ResultsError, RuntimeUnavailable, SlideReadError
from her2edge.model.file import Model
from her2edge.results.read_back import Results
from her2edge.slide import SlideReader, fingerprint_slide
from her2edge.slide.parts import name_of, slides_below
from her2edge.stain import StainFit, StainMode


def find_slide(given: Path, results: Results) -> Path:
    """The slide of these results: `given` itself, or what has its name in the folder `given`. One in DICOM,
    by its content, in folders below as well: its files are called alike, or by numbers.

    Raises MissingInputError where a folder has none.
    """
    name = results.name
    if not os.path.isdir(given) or name_of(given) == name:  # noqa: PTH112 - Path's raises
        return given
    if name.lower().endswith(".dcm"):
        slides = [one for one in slides_below(given) if one.suffix.lower() == ".dcm"]
        for one in sorted(slides, key=lambda path: (name_of(path) != name, path)):
            with contextlib.suppress(SlideReadError):
                if fingerprint_slide(one) == results.summary.slide.fingerprint:
                    return one
    else:
        with contextlib.suppress(OSError):
            for one in sorted(given.iterdir()):
                if name_of(one) == name:
                    return one
    raise MissingInputError(f"{name}: found no such slide in {given.name}")


@contextlib.contextmanager
def open_own_slide(path: Path, results: Results) -> Iterator[SlideReader]:
    """The slide, at the scale it was read at.

    Raises ResultsError where it is another one; what SlideReader raises.
    """
    stated = results.summary.slide
    with SlideReader(path, mpp=stated.mpp, quiet=True) as slide:
        if slide.fingerprint != stated.fingerprint:
            raise ResultsError(
                f"{slide.name}: found a slide of fingerprint {slide.fingerprint[:12]}, the results are of "
                f"{stated.fingerprint[:12]} ({stated.name}): give that slide, or classify this one"
            )
        yield slide


class Models:
    """The model that results are of, started once for all pages that are made with it.

    given: the one that results must be of, or a classifier that runs already; None: the embedded demo model
    where results are of that, else none.
    """

    def __init__(self, given: Model | TileClassifier | None = None) -> None:
        self._classifier = given if isinstance(given, TileClassifier) else None
        self._given = given.model if isinstance(given, TileClassifier) else given
        self._demo: Model | None = None

    def of(self, results: Results) -> Model | None:
        """Raises ResultsError where the results are of another model than the one given."""
        if self._given is not None:
            _check(self._given, results)
            return self._given
        if not results.summary.demo:
            return None
        if self._demo is None:
            with contextlib.suppress(ModelError, RuntimeUnavailable):  # where a key is trusted, it is refused
                self._demo = Model.demo()
        demo = self._demo
        return demo if demo is not None and demo.sha256 == results.run.basis.model else None

    def classifier(self, results: Results) -> TileClassifier:
        """With the stain handling that the results state, a fit of the whole slide included; not for results
        without a model. Raises as TileClassifier does."""
        model = self.of(results)
        assert model is not None  # noqa: S101 - the caller asked
        if self._classifier is None:
            # what it computes is held against tiles.csv, tile by tile
            self._classifier = TileClassifier(model, Options(self_test=False, stain=StainMode.OFF))
        record = results.summary.stain
        mode = StainMode(record["mode"])
        options = Options(
            stain=StainFit.from_dict(record["fit"]) if mode is StainMode.GIVEN else mode,
            fallback=StainFit.from_dict(record["fallback"]) if "fallback" in record else None,
        )
        return TileClassifier(model, options, engine=self._classifier.engine)


def _check(model: Model, results: Results) -> None:
    if model.sha256 != results.run.basis.model:
        raise ResultsError(
            f"{results.folder.name}: found results of the model {results.run.basis.model[:12]}, not of "
            f"{model.manifest.name} {model.manifest.version} ({model.sha256[:12]}): give that model with "
            "--model, or classify the slide with this one"
        )
