"""Which places of a slide's grid lie in the regions that are asked for."""

from __future__ import annotations

import difflib
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from her2edge.errors import AnnotationError, OptionError
from her2edge.regions.annotations import Annotation, read_annotation
from her2edge.regions.classes import EXCLUDE, IGNORE, key, meaning
from her2edge.regions.inside import Places, find_places
from her2edge.regions.options import RegionPlaces, Regions, RegionsRead
from her2edge.slide import Grid, SlideReader, TileSpec

_INSIDE = "inside"  # the one label there is
_LISTED = 20  # classes, in a message

_log = logging.getLogger("her2edge")


@dataclass(frozen=True, eq=False)
class ChosenPlaces:
    """numbers: (n,) int64, row * columns + column of each place inside, row by row. read: what that was.
    outlines: (n, 2) float64 each, level-0 pixels, closed: of the regions, their holes too.
    """

    numbers: NDArray[np.int64]
    read: RegionsRead
    outlines: tuple[NDArray[np.float64], ...]

    @property
    def basis(self) -> RegionPlaces:
        """What results depend on: the name of the file is not of it."""
        return RegionPlaces(self.read.sha256, self.read.classes, self.read.places)


def choose_places(slide: SlideReader, regions: Regions, spec: TileSpec) -> ChosenPlaces:
    """The places whose tiles lie wholly inside regions, as `her2edge tiles` cuts them.

    QuPath writes no slide's name into an export. What can be checked is: that a region lies on the slide
    (else refused), that all do (else a warning), and that a tile fits into one (else refused).

    Raises MissingInputError for no file; AnnotationError where it is malformed or tangled, has no region of
    these classes, or none that a tile of `spec` fits into; OptionError for a folder of tiles.
    """
    if slide.is_folder:
        raise OptionError(
            f"{slide.name}: found a folder of tiles, which has no places on a slide: classify it without "
            "--region (regions=)"
        )
    grid = slide.grid(spec)
    annotation = read_annotation(regions.file)
    labels, classes = _labels(annotation, regions.classes)
    places = find_places(annotation, labels, grid, slide.name)
    _say(annotation, places, slide.name)
    if not places.chosen:
        raise AnnotationError(_nothing_inside(annotation, labels, places, grid))
    numbers = np.array([one.row * grid.columns + one.column for one in places.chosen], np.int64)
    _log.info(
        "%s: reading the %d of %d places that lie inside regions of %s",
        slide.name, len(numbers), len(grid), annotation.file,
    )  # fmt: skip
    read = RegionsRead(
        sha256=annotation.sha256,
        classes=classes,
        places=len(numbers),
        file=annotation.file,
        runs=_runs(numbers, grid.columns),
    )
    return ChosenPlaces(numbers, read, tuple(_outlines(annotation, labels)))


def _runs(numbers: NDArray[np.int64], columns: int) -> tuple[tuple[int, int], ...]:
    """(first, how many) of each run of neighbours in a row; numbers: (n,), n at least 1, rising."""
    begins = np.flatnonzero((np.diff(numbers, prepend=-2) != 1) | (numbers % columns == 0))
    counts = np.diff(begins, append=len(numbers))
    return tuple(zip(numbers[begins].tolist(), counts.tolist(), strict=True))


def _outlines(annotation: Annotation, labels: dict[str, str]) -> Iterator[NDArray[np.float64]]:
    for region in annotation.regions:
        if labels.get(key(region.name)) == _INSIDE:
            for polygon in shapely.get_parts(region.shape):
                for ring in (polygon.exterior, *polygon.interiors):
                    yield np.asarray(shapely.get_coordinates(ring), np.float64)


def _labels(annotation: Annotation, asked: tuple[str, ...]) -> tuple[dict[str, str], tuple[str, ...]]:
    """What each class of the file means, and the classes asked for as the file writes them."""
    counts = Counter(region.name for region in annotation.regions)
    by_key = {key(name): name for name in sorted(counts, reverse=True)}
    absent = [name for name in asked if key(name) not in by_key]
    if absent:
        raise AnnotationError(_no_such_class(annotation.file, absent[0], counts))
    chosen = {key(name) for name in asked}
    labels = {one: _INSIDE for one in by_key if one in chosen or not (asked or meaning(one, {}) == EXCLUDE)}
    labels |= {one: IGNORE for one in by_key if one not in labels and meaning(one, {}) != EXCLUDE}
    if _INSIDE not in labels.values():
        raise AnnotationError(
            f"{annotation.file}: found only regions of classes that QuPath ignores ({_listed(counts)}), "
            "expected other classes: name one with --class (classes=)"
        )
    return labels, tuple(sorted(by_key[one] for one in chosen))


def _no_such_class(file: str, name: str, counts: Counter[str]) -> str:
    near = difflib.get_close_matches(key(name), [key(one) for one in counts], 1, 0.6)
    guess = next((one for one in counts if near and key(one) == near[0]), None)
    hint = f": did you mean {guess!r}?" if guess else ": name one of these, or leave --class (classes=) out"
    return f"{file}: found no region of the class {name!r}, expected one of {_listed(counts)}{hint}"


def _listed(counts: Counter[str]) -> str:
    names = [f"{name!r} ({count})" for name, count in counts.most_common(_LISTED)]
    more = len(counts) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _say(annotation: Annotation, places: Places, slide: str) -> None:
    """What a person should know of the file: at WARNING, what may be another slide's."""
    if places.outside:
        _log.warning(
            "%s: %d of the regions in %s lie outside the slide: is it the export of this slide?",
            slide, places.outside, annotation.file,
        )  # fmt: skip
    for count, words in (
        (annotation.repaired, "region(s) crossed or overlapped themselves and were repaired"),
        (annotation.left_out, "object(s) without area, or that are not annotations, were left out"),
        (annotation.stray_rings, "outline(s) or hole(s) of fewer than four points were left out"),
        (annotation.other_plane, "object(s) on another plane (z or t is not 0) were left out"),
        (places.excluded, "tile(s) in excluded regions are not read"),
    ):
        if count:
            _log.warning("%s: %s: %d %s", slide, annotation.file, count, words)


def _nothing_inside(annotation: Annotation, labels: dict[str, str], places: Places, grid: Grid) -> str:
    if places.excluded:
        return (
            f"{annotation.file}: found {places.excluded} tile(s) in regions, all taken by excluded ones: "
            "draw excluded regions smaller"
        )
    shapes = [one.shape for one in annotation.regions if labels.get(key(one.name)) == _INSIDE]
    left, top, right, bottom = shapely.total_bounds(shapes)
    return (
        f"{annotation.file}: found no tile wholly inside a region; regions lie at x {left:.0f}..{right:.0f}, "
        f"y {top:.0f}..{bottom:.0f}, a tile is {grid.step:.0f} pixels of full resolution long: draw larger "
        "regions, or export them in these pixels, if they are in another unit"
    )
