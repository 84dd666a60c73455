"""Class folders: DATA/<class>/... holds the slides or the tile images of a class, as labs keep them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from her2edge.cohort import CohortSlide
from her2edge.errors import MissingInputError, OptionError, SlideReadError, TileError
from her2edge.regions.classes import IGNORE, Table
from her2edge.slide import FolderContents, list_images, look_into
from her2edge.slide.images import picture_size
from her2edge.text import from_disk, shown
from her2edge_training.cohort.class_names import find_class_folders
from her2edge_training.cohort.patients import PATIENT_PATTERN, NamedFile, Who, find_patients, patient_lines
from her2edge_training.cohort.plan import Cutting, ImagesPlan, Origin, Plan, TileImage
from her2edge_training.cohort.tile_list import LABELS
from her2edge_training.cohort.whole import LabelledSlide, plan_whole

_SAME_SCALE = 0.05  # share by which tile images may differ from the recipe's scale


@dataclass(frozen=True)
class _File:
    """is_tile: an image that a lab has cut itself; else a slide."""

    path: Path
    name: str  # from DATA
    named: NamedFile
    is_tile: bool


def plan_folders(
    data: Path,
    cutting: Cutting,
    classes: Table,
    *,
    labels: tuple[str, ...] = LABELS,
    mpp: float | None = None,
    pattern: str = PATIENT_PATTERN,
    origin: Origin | None = None,
    leave_out: Path | None = None,
) -> Plan:
    """Slides in class folders whole, tile images as they are.

    classes: (name of a folder, label) pairs; a name that is in none is read as a score is. mpp: um per pixel
    of tile images, and of slides that state none. pattern: see `find_patients`; not used where `origin` names
    the patient of all. leave_out: a folder in `data` that is none of them: results.
    Raises MissingInputError for no class folder or empty ones, TileError for unknown ones, tiles that are too
    small, and what `find_patients` and `plan_whole` raise; OptionError for tile images of no or another
    scale.
    """
    origin = origin or Origin()
    folders = find_class_folders(data, classes, labels, leave_out)
    files, notes = _files(data, folders, cutting, leave_out)
    kept, small = _large_enough(files, cutting)
    _check_scale(kept, cutting, mpp)
    named = [file.named for file in kept]
    if origin.patient:
        whose = [Who(origin.patient, origin.patient)] * len(kept)
    else:
        whose = find_patients(named, pattern)
        notes += patient_lines(named, whose, f"the pattern {pattern!r}")
    if small:
        side = cutting.tile_px
        notes.append(f"{small} tile image(s) smaller than {side} x {side} px are left out")
    absent = [label for label in labels if label not in folders.values()]
    if absent:
        notes.append(f"no folder stands for {', '.join(absent)}, which a training on these labels needs")
    pairs = list(zip(kept, whose, strict=True))
    slides = [
        LabelledSlide(CohortSlide(file.path, 0, who.patient, origin.site), file.named.label, "slide_folder")
        for file, who in pairs
        if not file.is_tile
    ]
    images: dict[Who, list[TileImage]] = {}
    for file, who in pairs:
        if file.is_tile:
            images.setdefault(who, []).append(TileImage(file.path, file.name, file.named.label))
    groups = tuple(
        ImagesPlan(who.slide, mpp or cutting.mpp, tuple(some), Origin(who.patient, origin.site))
        for who, some in images.items()
    )
    return Plan(cutting, labels, plan_whole(slides, cutting, mpp), groups, tuple(notes))


def _files(
    data: Path, folders: dict[Path, str], cutting: Cutting, leave_out: Path | None
) -> tuple[list[_File], list[str]]:
    files: list[_File] = []
    notes = [f"folders: {', '.join(f'{shown(path.name)} is {label}' for path, label in folders.items())}"]
    empty: list[str] = []
    for folder, label in folders.items():
        try:
            contents = look_into(folder, cutting.tile_px, leave_out=leave_out)
        except MissingInputError:
            empty.append(shown(folder.name))
            continue
        if contents.unlisted:
            raise SlideReadError(
                f"{contents.unlisted[0]}: the folder cannot be listed: check its permissions"
            )
        notes.append(str(contents))
        files += _files_of(data, folder, label, contents)
    if empty:
        raise MissingInputError(
            f"{data.name}: found neither slides nor tile images in {', '.join(empty)}, expected some in each "
            f'class folder: fill it, remove it, or leave it out, e.g. --label "{empty[0]}={IGNORE}"'
        )
    return files, notes


def _files_of(data: Path, folder: Path, label: str, contents: FolderContents) -> Iterator[_File]:
    for path in contents.slides or list_images(folder):
        inside = from_disk(path.relative_to(folder).as_posix())
        named = NamedFile(os.path.splitext(inside)[0], label)  # noqa: PTH122 - a path of text, not of a disk
        yield _File(path, from_disk(path.relative_to(data).as_posix()), named, not contents.slides)


def _large_enough(files: Sequence[_File], cutting: Cutting) -> tuple[list[_File], int]:
    """Files without tile images that are too small to train on, and how many those are. What cannot be read
    stays: it is named when its turn comes."""
    sizes = [picture_size(file.path) if file.is_tile else None for file in files]
    kept = [f for f, size in zip(files, sizes, strict=True) if size is None or min(size) >= cutting.tile_px]
    if not kept:
        width, height = max(size for size in sizes if size)
        raise TileError(
            f"found {len(files)} tile images of at most {width} x {height} px, expected {cutting.tile_px} or "
            f"more each way: give --tile-px {min(width, height)}, and train with a recipe of that size"
        )
    return kept, len(files) - len(kept)


def _check_scale(files: Sequence[_File], cutting: Cutting, mpp: float | None) -> None:
    images = sum(file.is_tile for file in files)
    if not images:
        return
    if mpp is None:
        raise OptionError(
            f"found {images} tile images, which state no scale: give it with --mpp, e.g. --mpp 0.25 for "
            "tiles at 40x"
        )
    if abs(mpp / cutting.mpp - 1) > _SAME_SCALE:
        raise OptionError(
            f"found tile images of {mpp:g} um per pixel (--mpp), expected {cutting.mpp:g}, the recipe's: "
            f"give --tile-mpp {mpp:g}, and train with a recipe of that scale"
        )
