"""A folder of tile images as a slide: each file is one tile, keyed by its relative path."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from her2edge.errors import MissingInputError, RuntimeUnavailable, SlideError, SlideReadError
from her2edge.ordered import Deferred
from her2edge.slide.images import IMAGE_SUFFIXES, read_image, without_folder
from her2edge.slide.isolated import IsolatedImages
from her2edge.slide.lent import Lent
from her2edge.slide.sources import SLIDE_SUFFIXES
from her2edge.text import from_disk, shown
from her2edge.tile import Tile, UnreadableTile


class TileFolder:
    """The images under `root`, sorted by relative path. Raises MissingInputError where there are none,
    SlideError where there are slides."""

    def __init__(self, root: Path, images: Lent[IsolatedImages] | None = None) -> None:
        self.root, self._images = root, images
        self.files = list_images(root)

    def tiles(
        self, mpp: float | None, every: int = 1, skip: int = 0, numbers: Sequence[int] | None = None
    ) -> Deferred[Tile | UnreadableTile]:
        """One tile per file from file `skip` on, or per `every` files, or of those numbers only; one that
        cannot be used becomes an UnreadableTile."""
        files = self.files[skip::every] if numbers is None else [self.files[n] for n in numbers]
        at_once = None if self._images is None else self._images.at_once
        return Deferred((partial(self._tile, file, mpp) for file in files), at_once)

    def _tile(self, file: Path, mpp: float | None) -> Tile | UnreadableTile:
        name = shown(from_disk(file.relative_to(self.root).as_posix()))
        try:
            pixels = (
                read_image(file) if self._images is None else self._images.use(lambda one: one.read(file))
            )
        except RuntimeUnavailable:
            raise
        except (SlideError, SlideReadError, MissingInputError) as error:
            return UnreadableTile(error=str(error), mpp=mpp, slide=name)
        height, width = pixels.shape[:2]
        return Tile(pixels, span=(float(width), float(height)), mpp=mpp, slide=name)


def list_images(root: Path) -> list[Path]:
    """Regular image files under `root`: none hidden, none in a linked folder, no link that leads outside.

    Raises MissingInputError where there are none, SlideError where there are slides beside them (a list of
    slides is no folder of tiles), SlideReadError where a folder cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise SlideReadError(
            f"{root.name}: a folder cannot be listed ({without_folder(error, root)}): check its permissions"
        ) from error

    inside = root.resolve()
    files: list[Path] = []
    slides: list[Path] = []
    for folder, subfolders, names in os.walk(root, onerror=refuse):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for file in (Path(folder, name) for name in names if not name.startswith(".")):
            suffix = file.suffix.lower()
            if suffix not in IMAGE_SUFFIXES:
                slides += [file] * (suffix in SLIDE_SUFFIXES)
                continue
            try:
                if file.is_file() and (not file.is_symlink() or file.resolve().is_relative_to(inside)):
                    files.append(file)
            except OSError as error:
                refuse(error)
    advice = "give each slide by itself, or the folder to `her2edge classify`" if slides else "check the path"
    if not files:
        raise MissingInputError(
            f"{root.name}: found no tile image in the folder and {len(slides)} slide(s), expected "
            f"{' '.join(sorted(IMAGE_SUFFIXES))}: {advice}"
        )
    if slides:
        raise SlideError(
            f"{root.name}: found {len(slides)} slide(s) in the folder, {slides[0].name} for one, expected "
            f"tile images only: {advice}"
        )
    return sorted(files, key=lambda file: file.relative_to(root).as_posix())
