"""What the verbs that turn images into images share: files in, names and PNGs out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click
import cv2

from her2edge import Her2EdgeError
from her2edge.outputs.folder import safe_stem
from her2edge.slide import list_images
from her2edge.tile import Pixels
from her2edge_cli import exits


def image_files(paths: Iterable[Path], codes: list[int]) -> list[Path]:
    """Files as named, and the images of folders; a folder that cannot be used adds its exit code."""
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        try:
            files += list_images(path)
        except Her2EdgeError as error:
            codes.append(say(error))
    return files


def say(error: Her2EdgeError, about: str = "") -> int:
    """Print the error as one line on stderr, led by the name it does not give; return its exit code."""
    prefix = "" if about in str(error) else f"{about}: "
    click.echo(f"her2edge: {prefix}{error}", err=True)
    return exits.exit_code(error)


class FreeNames:
    """Names of PNGs in `out` that overwrite neither each other nor one of the images read.

    Case does not tell two names apart: on Windows and macOS they would be one file.
    """

    def __init__(self, out: Path, images: Iterable[Path], reserved: Iterable[str] = ()) -> None:
        folder = out.resolve()
        inside = (path.name for path in images if path.parent.resolve() == folder)
        self._taken = {name.casefold() for name in (*inside, *reserved)}

    def of(self, image: Path) -> str:
        """<stem>.png, or <stem>-2.png and so on where that is taken."""
        stem, number = safe_stem(image.name), 1
        name = f"{stem}.png"
        while name.casefold() in self._taken:
            number += 1
            name = f"{stem}-{number}.png"
        self._taken.add(name.casefold())
        return name


def png(pixels: Pixels) -> bytes:
    """(h, w, 3) uint8 RGB as the bytes of a PNG."""
    return bytes(cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1])
