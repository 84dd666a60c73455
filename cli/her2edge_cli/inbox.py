"""Which slides of a folder have arrived: those that have stopped growing.

Looked at again and again rather than told by the operating system: a network share tells nobody.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from her2edge.errors import MissingInputError
from her2edge.slide import SLIDE_SUFFIXES, shown

_log = logging.getLogger("her2edge")


@dataclass(frozen=True)
class Arrival:
    """A slide as it was found: written again, it is another arrival. size: bytes, all its files together."""

    path: Path
    size: int
    modified_ns: int


class Inbox:
    """Slides below `folder`, hidden files and folders left out, and everything below `leave_out`.

    settle: seconds that size and modification time of a slide must stay as they are; on the monotonic clock,
        so that neither a wrong clock nor one that is put right makes a slide seem whole.
    """

    def __init__(
        self,
        folder: Path,
        settle: float,
        leave_out: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder, self._settle, self._clock = folder, settle, clock
        self._leave_out = leave_out and leave_out.resolve()
        self._since: dict[Arrival, float] = {}

    def arrived(self) -> list[Arrival]:
        """Slides that have settled, the one that has been still for longest first.

        Raises MissingInputError where the folder is not there; a slide that cannot be looked at, because
        it went away or the share is gone, has not arrived.
        """
        if not self.folder.is_dir():
            raise MissingInputError(
                f"{shown(self.folder.name)}: found no such folder, expected the one that slides are put into"
            )
        now = self._clock()
        self._since = {found: self._since.get(found, now) for found in self._look()}
        settled = [found for found, since in self._since.items() if now - since >= self._settle]
        return sorted(settled, key=lambda found: (self._since[found], found.path.as_posix()))

    @property
    def seen(self) -> frozenset[Arrival]:
        """What the last look found, settled or still growing."""
        return frozenset(self._since)

    def _look(self) -> Iterator[Arrival]:
        for folder, subfolders, names in os.walk(self.folder, onerror=_not_listed):
            subfolders[:] = sorted(
                name
                for name in subfolders
                if not name.startswith(".") and Path(folder, name).resolve() != self._leave_out
            )
            for name in sorted(names):
                path = Path(folder, name)
                if name.startswith(".") or path.suffix.lower() not in SLIDE_SUFFIXES:
                    continue
                try:
                    files = [file for file in _files_of(path) if file.is_file()]
                    looks = [file.stat() for file in files]
                except OSError:
                    continue
                size = sum(look.st_size for look in looks)
                if size:
                    yield Arrival(path, size, max(look.st_mtime_ns for look in looks))


def _files_of(path: Path) -> list[Path]:
    """The file, and with an .mrxs those of the folder beside it."""
    companion = path.with_suffix("")
    if path.suffix.lower() != ".mrxs" or not companion.is_dir():
        return [path]
    return [path, *companion.rglob("*")]


def _not_listed(error: OSError) -> None:
    _log.warning("%s: cannot be listed (%s)", shown(Path(error.filename or "").name), error.strerror)
