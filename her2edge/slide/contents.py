"""What a folder is: a list of slides, or the tiles of one.

One rule for every verb that takes a folder. Slides are what a watched folder gives (`slides_in`), wherever
they lie in it; a folder is a list of slides where it holds

* a file of a format that only slides have (.svs, .ndpi, .mrxs, .dcm, ...), or a TIFF that is stored in tiles
  and longer than one tile of the model; or
* pictures, and of those that can be read each is longer than two tiles of the model.

Every other folder is a folder of tiles. Beside slides, pictures (PNG, JPEG, BMP) are not slides, nor are
TIFFs that fit into one tile. What is left out is counted by suffix, so that it can be said.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from her2edge.errors import MissingInputError, SlideReadError
from her2edge.slide.dicom import head_of
from her2edge.slide.folder import list_images
from her2edge.slide.images import IMAGE_SUFFIXES, picture_size
from her2edge.slide.parts import slides_in
from her2edge.slide.sources import SLIDE_SUFFIXES, SUPPORTED
from her2edge.slide.tiff import pages_of
from her2edge.text import shown

__all__ = ["FolderContents", "is_slide", "look_into"]

_TIFF = SLIDE_SUFFIXES & IMAGE_SUFFIXES
_RESULTS = {"run.json", "summary.json", "explain.csv", "tiles.json", ".watch"}  # what verbs leave in a folder
_KINDS_SAID = 6


@dataclass(frozen=True)
class FolderContents:
    """What is in a folder.

    slides: each by the file that it is opened by, in the order of their paths; empty for a folder of tiles.
    tiles: how many pictures are the tiles of one, 0 for a list of slides.
    left_out: how many files are neither, by suffix; those in hidden folders are not looked at.
    unlisted: names of folders in it that cannot be listed.
    """

    name: str
    slides: tuple[Path, ...] = ()
    tiles: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    unlisted: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One line for people."""
        what = f"{len(self.slides)} slide(s)" if self.slides else f"a folder of {self.tiles} tile(s)"
        line = f"{self.name}: found {what}"
        if not self.left_out:
            return line
        kinds = [f"{count} {suffix}" for suffix, count in self.left_out.items()]
        if len(kinds) > _KINDS_SAID:
            rest = sum(list(self.left_out.values())[_KINDS_SAID:])
            kinds = [*kinds[:_KINDS_SAID], f"{rest} of other kinds"]
        return f"{line}; left out are files that are neither slide nor tile of it: {', '.join(kinds)}"


def look_into(folder: Path, tile_px: int, leave_out: Path | None = None) -> FolderContents:
    """Decide what a folder is, by the rule above.

    tile_px: side of the model's tiles, pixels. leave_out: a folder that is not looked into: results.

    Raises MissingInputError where it holds neither slides nor pictures, SlideReadError where it cannot be
    listed; for a folder of tiles also where one in it cannot.
    """
    unlisted: list[OSError] = []
    seen = list(_walk(folder, leave_out, unlisted))
    if unlisted and not seen:
        raise SlideReadError(
            f"{folder.name}: a folder cannot be listed ({unlisted[0].strerror}): check its permissions"
        )
    slides: list[Path] = []
    parts: set[Path] = set()
    sure = False
    for place, names in seen:
        kinds = {name: _kind(place / name, tile_px) for name in names}
        sure = sure or "slide" in kinds.values()
        for slide, files in slides_in(place, [name for name in names if kinds[name] != "tile"]):
            slides.append(slide)
            parts.update(files)
    everything = [place / name for place, names in seen for name in names]
    name = shown(folder.name)
    if not sure:
        pictures = [file for file in everything if _is_picture(file)]
        if not _all_large(pictures, 2 * tile_px):
            if not pictures:
                raise MissingInputError(
                    f"{name}: found neither slides nor tile images in the folder, {SUPPORTED}: check the path"
                )
            tiles = list_images(folder)
            return FolderContents(name, tiles=len(tiles), left_out=_counted(everything, set(tiles)))
        slides, parts = pictures, set(pictures)
    return FolderContents(
        name,
        tuple(sorted(slides, key=lambda slide: slide.relative_to(folder).as_posix())),
        left_out=_counted(everything, parts),
        unlisted=tuple(shown(Path(error.filename).name) for error in unlisted),
    )


def is_slide(path: Path, tile_px: int) -> bool:
    """Whether a file that is named by itself is a slide, and not a tile: by its format, or longer than two
    tiles. What cannot be read is what its suffix says."""
    suffix = path.suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        return suffix in SLIDE_SUFFIXES
    return _kind(path, tile_px) == "slide" or _all_large([path], 2 * tile_px)


def _walk(root: Path, leave_out: Path | None, unlisted: list[OSError]) -> Iterator[tuple[Path, list[str]]]:
    """(folder, names of its files) below `root`, less hidden folders and those that hold results: pictures
    there are no slides."""
    out = None if leave_out is None else leave_out.resolve()
    for folder, subfolders, names in os.walk(root, onerror=unlisted.append):
        place = Path(folder)
        if place != root and not _RESULTS.isdisjoint([*names, *subfolders]):
            subfolders.clear()
            continue
        subfolders[:] = sorted(
            name
            for name in subfolders
            if not name.startswith(".") and (out is None or (place / name).resolve() != out)
        )
        yield place, sorted(names)


def _kind(path: Path, tile_px: int) -> str:
    """`slide` by its format, `tile`: a TIFF that fits into one, or `open`: what only its neighbours tell."""
    suffix = path.suffix.lower()
    if path.name.startswith(".") or suffix not in SLIDE_SUFFIXES:
        return "open"
    if suffix not in _TIFF:
        return "open" if suffix == ".dcm" and head_of(path).is_other else "slide"
    pages = pages_of(path)
    if any(page.tiled and max(page.size) > tile_px for page in pages):
        return "slide"
    return "tile" if pages and max(max(page.size) for page in pages) <= tile_px else "open"


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def _all_large(pictures: Iterable[Path], side: int) -> bool:
    """Whether some can be read, and each of these is longer than `side` pixels."""
    any_large = False
    for picture in pictures:
        size = picture_size(picture)
        if size is not None and max(size) <= side:
            return False
        any_large = any_large or size is not None
    return any_large


def _counted(files: Iterable[Path], used: set[Path]) -> dict[str, int]:
    """Files that are not used by suffix, most frequent first."""
    left = (file for file in files if file not in used)
    kinds = Counter(
        "hidden" if file.name.startswith(".") else shown(file.suffix.lower()) or "without suffix"
        for file in left
    )
    return dict(sorted(kinds.items(), key=lambda item: (-item[1], item[0])))
