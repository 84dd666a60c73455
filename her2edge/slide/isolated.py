"""Slides and images that another process decodes: a crash there is an error here."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from her2edge.errors import Her2EdgeError, SlideReadError
from her2edge.slide.decoder import Decoder, Image, Open, Opened, Read
from her2edge.slide.levels import Level
from her2edge.text import one_line
from her2edge.tile import Pixels

HANGS = 5  # regions in a row that take too long; a slide has thousands, and each would wait a minute


class HungError(SlideReadError):
    """Reading hangs again and again: the slide is given up, not tile after tile."""


class NotStartedError(SlideReadError):
    """A twin cannot be started, or cannot open the slide; the one it was made of may read on."""


class IsolatedSource:
    """A `Source` in a process of its own. After a crash the next read opens the slide again, in a new one.

    decoder: the process, None: one with the usual patience. hangs: reads in a row that may take too long.
    header: what a process that opened the slide said of it; None: one is started now, and asked.

    Raises SlideReadError where opening or reading ends that process, or takes too long; else what
    `open_source` and the source itself raise; HungError where `hangs` reads in a row took too long.
    """

    shared = False

    def __init__(
        self,
        path: Path,
        decoder: Decoder | None = None,
        hangs: int = HANGS,
        header: Opened | None = None,
    ) -> None:
        self._path = path
        self._decoder = decoder or Decoder()
        self._hangs, self._hung = hangs, 0
        self._opened_once = header is None
        try:
            self._header = header = header or self._open()
        except BaseException:
            self.close()
            raise
        self.levels = tuple(Level(*level) for level in header.levels)
        self.origin, self.dimensions, self.mpp = header.origin, header.dimensions, header.mpp
        self.scanner, self.icc_profile, self.notes = header.scanner, header.icc_profile, header.notes

    def twin(self) -> IsolatedSource:
        """Another one of the same slide, in a process that is started at its first read."""
        return IsolatedSource(self._path, self._decoder.twin(), self._hangs, self._header)

    def _open(self) -> Opened:
        try:
            header = self._decoder.ask(Open(str(self._path)))
        except SlideReadError as error:
            raise _named(self._path, "the slide", error) from error
        assert isinstance(header, Opened)  # noqa: S101 - the answer to Open
        return header

    def read(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        """As `Source.read`."""
        self._start()
        try:
            if not self._decoder.alive:
                self._open()
            pixels = self._decoder.ask(Read(level, x, y, width, height))
        except SlideReadError as error:
            self._hung = self._hung + 1 if self._decoder.overdue else 0
            if self._hung >= self._hangs:
                raise HungError(
                    f"{self._path.name}: {self._hangs} regions in a row took over "
                    f"{self._decoder.timeout:g} s, the last at ({x}, {y}): its disk or share hangs, or the "
                    f"file is damaged: run again later"
                ) from error
            raise _named(self._path, f"region at ({x}, {y}), level {level}", error) from error
        self._hung = 0
        return np.asarray(pixels)

    def _start(self) -> None:
        """Open the slide for the first time; NotStartedError where that fails, or gives another slide."""
        if self._opened_once:
            return
        try:
            header = self._open()
        except Her2EdgeError as error:
            raise NotStartedError(str(error)) from error
        if header != self._header:
            raise NotStartedError(f"{self._path.name}: the slide changed since it was opened")
        self._opened_once = True

    def stop(self) -> None:
        """End the process while another thread waits for it; what that one asked for fails."""
        self._decoder.stop()

    def close(self) -> None:
        """End the process."""
        self._decoder.close()


class IsolatedImages:
    """`read_image` in a process of its own, one for all images; decoder: as for IsolatedSource."""

    def __init__(self, decoder: Decoder | None = None) -> None:
        self._decoder = decoder or Decoder()

    def twin(self) -> IsolatedImages:
        """Another one, in a process that is started at its first image."""
        return IsolatedImages(self._decoder.twin())

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
    return error if text.startswith(one_line(path.name)) else SlideReadError(f"{path.name}: {part}: {text}")
