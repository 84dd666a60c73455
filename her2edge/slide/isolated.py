"""Slides and images that another process decodes: a crash there is an error here."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from her2edge.errors import SlideReadError
from her2edge.slide.decoder import TIMEOUT, Decoder, Image, Open, Opened, Read
from her2edge.slide.levels import Level
from her2edge.text import shown
from her2edge.tile import Pixels

HANGS = 5  # regions in a row that take too long; a slide has thousands, and each would wait a minute


class HungError(SlideReadError):
    """Reading hangs again and again: the slide is given up, not tile after tile."""


class IsolatedSource:
    """A `Source` in a process of its own. After a crash the next read opens the slide again, in a new one.

    Raises SlideReadError where opening or reading ends that process, or takes longer than `timeout` seconds;
    else what `open_source` and the source itself raise; HungError where `HANGS` reads in a row took longer.
    """

    def __init__(self, path: Path, timeout: float = TIMEOUT) -> None:
        self._path = path
        self._decoder = Decoder(timeout)
        self._timeout, self._hung = timeout, 0
        try:
            header = self._open()
        except BaseException:
            self.close()
            raise
        self.levels = tuple(Level(*level) for level in header.levels)
        self.origin, self.dimensions, self.mpp = header.origin, header.dimensions, header.mpp
        self.scanner, self.icc_profile, self.notes = header.scanner, header.icc_profile, header.notes

    def _open(self) -> Opened:
        try:
            header = self._decoder.ask(Open(str(self._path)))
        except SlideReadError as error:
            raise _named(self._path, "the slide", error) from error
        assert isinstance(header, Opened)  # noqa: S101 - the answer to Open
        return header

    def read(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        """As `Source.read`."""
        try:
            if not self._decoder.alive:
                self._open()
            pixels = self._decoder.ask(Read(level, x, y, width, height))
        except SlideReadError as error:
            self._hung = self._hung + 1 if self._decoder.overdue else 0
            if self._hung >= HANGS:
                raise HungError(
                    f"{shown(self._path.name)}: {HANGS} regions in a row took over {self._timeout:g} s, "
                    f"the last at ({x}, {y}): the place it lies on hangs, or it is damaged: run again later"
                ) from error
            raise _named(self._path, f"region at ({x}, {y}), level {level}", error) from error
        self._hung = 0
        return np.asarray(pixels)

    def stop(self) -> None:
        """End the process while another thread waits for it; what that one asked for fails."""
        self._decoder.stop()

    def close(self) -> None:
        """End the process."""
        self._decoder.close()


class IsolatedImages:
    """`read_image` in a process of its own, one for all images."""

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self._decoder = Decoder(timeout)

    def read(self, path: Path) -> Pixels:
        """As `read_image`; SlideReadError where decoding ends that process."""
        try:
            return np.asarray(self._decoder.ask(Image(str(path))))
        except SlideReadError as error:
            raise _named(path, "the image", error) from error

    def stop(self) -> None:
        """End the process while another thread waits for it; what that one asked for fails."""
        self._decoder.stop()

    def close(self) -> None:
        """End the process."""
        self._decoder.close()


def _named(path: Path, part: str, error: SlideReadError) -> SlideReadError:
    """The error with its file's name, once."""
    text = str(error)
    return (
        error if text.startswith(shown(path.name)) else SlideReadError(f"{shown(path.name)}: {part}: {text}")
    )
