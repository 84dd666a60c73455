"""What the verbs that turn images into images share: files in, names and PNGs out."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import click

from her2edge import Her2EdgeError
from her2edge.errors import OptionError
from her2edge.results.folder import safe_stem
from her2edge.slide import list_images
from her2edge.text import from_disk, shown, to_disk
from her2edge_cli import exits


def image_files(paths: Iterable[Path], codes: list[int]) -> list[tuple[Path, str]]:
    """Image files with their names, those of a folder relative to it; a bad folder adds its exit code."""
    files: list[tuple[Path, str]] = []
    for path in paths:
        if not os.path.isdir(path):  # noqa: PTH112 - Path's raises for a name too long
            files.append((path, shown(from_disk(path.name))))
            continue
        try:
            files += (
                (file, shown(from_disk(file.relative_to(path).as_posix()))) for file in list_images(path)
            )
        except Her2EdgeError as error:
            codes.append(say(error))
    return files


def say(error: Her2EdgeError, about: str = "") -> int:
    """Print the error as one line on stderr, led by the name that it does not give; return its exit code."""
    prefix = "" if about in str(error) else f"{about}: "
    click.echo(f"her2edge: {prefix}{error}", err=True)
    return exits.exit_code(error)


def refuse_own_input(images: Iterable[Path], out: Path) -> None:
    """Raise OptionError where results would land among their inputs.

    They would overwrite them, and be taken for inputs by the next run.
    """
    for path in images:
        folder = path if os.path.isdir(path) else path.parent  # noqa: PTH112 - Path's raises for a name too long
        if out.resolve() == folder.resolve() or (
            os.path.isdir(path) and out.resolve().is_relative_to(path.resolve())  # noqa: PTH112 - Path's raises for a name too long
        ):
            raise OptionError(
                f"--out is the folder of the input {path.name}, expected another folder: images "
                "keep their names and would be overwritten"
            )


class FreeNames:
    """Names of PNGs that overwrite neither each other nor the `reserved`.

    Case does not tell two names apart: on Windows and macOS they would be one file.
    """

    def __init__(self, *reserved: str) -> None:
        self._taken = {name.casefold() for name in reserved}

    def of(self, image: Path) -> str:
        """<stem>.png, or <stem>-2.png and so on where that is taken."""
        stem, number = to_disk(safe_stem(from_disk(image.name))), 1
        name = f"{stem}.png"
        while name.casefold() in self._taken:
            number += 1
            name = f"{stem}-{number}.png"
        self._taken.add(name.casefold())
        return name
