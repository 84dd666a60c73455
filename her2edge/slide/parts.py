"""Which files make up a slide: one as a rule, many of some formats, which are opened by one of them."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from her2edge.slide.dicom import head_of, series_of, shows_a_slide, slides_beside, slides_of
from her2edge.slide.sources import SLIDE_SUFFIXES
from her2edge.text import from_disk, shown

_INDEX = 64 * 1024  # bytes; a .vms has a few hundred


def name_of(path: Path) -> str:
    """The slide's name: its file's, in one spelling on every system (NFC), unprintable characters as `?`."""
    return unicodedata.normalize("NFC", shown(from_disk(path.name)))


def slide_files(path: Path) -> list[Path]:
    """The slide's files. Raises OSError.

    With an .mrxs those of the folder beside it; with a .vms or .vmu those it names; with a .dcm those of its
    slide in its folder, see `slides_of`.
    """
    suffix, companion = path.suffix.lower(), path.with_suffix("")
    if suffix == ".dcm":
        return next(files for files in slides_beside(path) if path in files)
    if suffix == ".mrxs" and companion.is_dir():
        return [path, *sorted((file for file in companion.rglob("*") if file.is_file()), key=Path.as_posix)]
    if suffix in (".vms", ".vmu"):
        return [path, *_named_in(path)]
    return [path]


def slides_in(folder: Path, names: Iterable[str]) -> Iterator[tuple[Path, list[Path]]]:
    """(the file that it is opened by, all its files) of each slide among files of a folder, hidden ones left
    out; of a DICOM slide the first by name. What cannot be looked at is no slide yet; a DICOM report is none,
    nor is a series of labels."""
    series: dict[str, list[Path]] = {}
    for name in sorted(names):
        path = folder / name
        suffix = path.suffix.lower()
        if name.startswith(".") or suffix not in SLIDE_SUFFIXES:
            continue
        if suffix == ".dcm":
            if not head_of(path).is_other:
                series.setdefault(series_of(path) or f"/{name}", []).append(path)
            continue
        try:
            files = slide_files(path)
        except OSError:
            continue
        yield path, files
    for same in series.values():
        if shows_a_slide(same):
            yield from ((files[0], files) for files in slides_of(same))


def slides_below(folder: Path) -> Iterator[Path]:
    """Each slide in a folder and those in it, hidden ones left out; what cannot be listed holds none."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path, _ in slides_in(Path(place), names):
            if os.path.isfile(path):  # noqa: PTH113 - raises nothing; a pipe would be waited for
                yield path


def _named_in(index: Path) -> list[Path]:
    """The files of the same folder that lines `key = name` of an index name, sorted."""
    with index.open("rb") as file:
        lines = file.read(_INDEX).decode("utf-8", "replace").splitlines()
    names = {line.partition("=")[2].strip() for line in lines}
    plain = {name for name in names if name and "\0" not in name and Path(name).name == name}
    beside = (index.parent / name for name in plain - {index.name})
    return sorted((file for file in beside if file.is_file()), key=lambda file: file.name)
