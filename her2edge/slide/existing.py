"""A slide's place: that it is there and can be read, and whether it was written to."""

from __future__ import annotations

import os
from pathlib import Path

from her2edge.errors import Her2EdgeError, MissingInputError, SlideReadError
from her2edge.slide.images import without_folder
from her2edge.slide.sources import SUPPORTED


def existing(path: str | os.PathLike[str]) -> Path:
    """The path, made absolute so that it has a name; raises unless it is a folder or a readable file."""
    if os.fspath(path) == "":
        raise MissingInputError("found an empty path, expected a slide, an image or a folder of tile images")
    place = Path(os.path.abspath(path))  # noqa: PTH100 - Path.absolute() keeps "..", which is no name
    try:
        if not place.exists():
            raise MissingInputError(f"{place.name}: no such file or folder: check the path")
        if place.is_dir():
            return place
        if not place.is_file():
            raise SlideReadError(f"{place.name}: found a device or pipe, {SUPPORTED}: save it as a file")
        with place.open("rb") as file:
            empty = not file.read(1)
    except Her2EdgeError:
        raise
    except OSError as error:
        raise SlideReadError(
            f"{place.name}: cannot be read ({without_folder(error, place)}): check its permissions"
        ) from error
    if empty:
        raise SlideReadError(f"{place.name}: found an empty file, expected a slide: copy it again")
    return place


def stamp(path: Path) -> tuple[int, int, int] | None:
    """Size and times of a file, which tell that it was written to; None where it is gone."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
