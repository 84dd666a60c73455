"""Which slides of a folder have arrived: those that have stopped growing.

The folder is looked at again and again: a network share tells nobody of new files.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from her2edge.errors import MissingInputError, SlideReadError
from her2edge.slide import slides_in
from her2edge.slide.fingerprint import looks_of
from her2edge.text import shown

_log = logging.getLogger("her2edge")


@dataclass(frozen=True)
class Arrival:
    """A slide as it was seen: written again, it is another arrival. size: bytes, all its files together.
    looks: as in `her2edge.slide.Evidence`."""

    path: Path
    size: int
    modified_ns: int
    looks: str


class Inbox:
    """Slides below `folder`, hidden files and folders left out, and everything below `leave_out`.

    still_for: seconds that size and modification time of a slide must stay as they are; on the monotonic
        clock, so that neither a wrong clock nor one that is put right makes a slide seem whole.
    """

    def __init__(
        self,
        folder: Path,
        still_for: float,
        leave_out: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder, self._still_for, self._clock = folder, still_for, clock
        self._leave_out = _inside(folder, leave_out)
        self._since: dict[Arrival, float] = {}
        self._unlisted: set[str] = set()

    def arrived(self) -> list[Arrival]:
        """Slides that have stopped growing, the one that has been still for longest first.

        Raises MissingInputError where the folder is not there, SlideReadError where it cannot be listed; what
        was known stays known then. A slide that cannot be looked at, because it went away, has not arrived.
        """
        try:
            os.scandir(self.folder).close()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise MissingInputError(
                f"{self.folder.name}: found no such folder, expected the folder that receives the slides: "
                "check the path"
            ) from error
        except OSError as error:
            raise SlideReadError(
                f"{self.folder.name}: the folder cannot be listed ({error.strerror}): check its "
                "permissions, or the share it lies on"
            ) from error
        now = self._clock()
        self._since = {slide: self._since.get(slide, now) for slide in self._look()}
        still = [slide for slide, since in self._since.items() if now - since >= self._still_for]
        return sorted(still, key=lambda slide: (self._since[slide], slide.path.as_posix()))

    @property
    def seen(self) -> frozenset[Arrival]:
        """What the last look found, arrived or still growing."""
        return frozenset(self._since)

    @property
    def unlisted(self) -> int:
        """How many folders and files the last look could not look at."""
        return len(self._unlisted)

    def _look(self) -> Iterator[Arrival]:
        before, self._unlisted = self._unlisted, set()

        def not_listed(error: OSError, what: str = "listed") -> None:
            name = str(error.filename)
            self._unlisted.add(name)
            if name not in before:  # once, not every two seconds
                _log.warning("%s: cannot be %s (%s)", shown(Path(name).name), what, error.strerror)

        for folder, subfolders, names in os.walk(self.folder, onerror=not_listed):
            subfolders[:] = sorted(
                name
                for name in subfolders
                if not name.startswith(".") and os.path.join(folder, name) != self._leave_out  # noqa: PTH118
            )
            for path, files in slides_in(Path(folder), names):
                try:
                    looks = [file.stat() for file in files]
                except FileNotFoundError:
                    continue
                except OSError as error:
                    not_listed(error, "looked at")
                    continue
                size = sum(look.st_size for look in looks if S_ISREG(look.st_mode))
                if size:
                    names_of = (file.relative_to(path.parent).as_posix() for file in files)
                    modified = max(look.st_mtime_ns for look in looks)
                    yield Arrival(path, size, modified, looks_of(zip(names_of, looks, strict=True)))


def _inside(folder: Path, other: Path | None) -> str | None:
    """`other` as `os.walk(folder)` comes by it, which follows no links; None where it lies elsewhere."""
    if other is None or not other.resolve().is_relative_to(folder.resolve()):
        return None
    parts = other.resolve().relative_to(folder.resolve()).parts
    return os.path.join(folder, *parts)  # noqa: PTH118 - Path takes the dot out of "./results", walk does not
