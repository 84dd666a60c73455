"""Which file is which slide, kept between two starts of a watcher.

Ten thousand slides that are done are 40 GB to read for their fingerprints, at each start or run of cron.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Container, Iterable
from pathlib import Path

import msgspec

from her2edge.alone import alone_with
from her2edge.errors import OutputError
from her2edge.files import ensure_folder, parse_json, write_bytes
from her2edge.results.owner import read_record
from her2edge.watch.inbox import Arrival

_LEAST = 256  # new ones that are worth a write at once
_WAIT = 1.0  # seconds, for another watcher


class _Slide(msgspec.Struct, frozen=True):
    size: int
    modified_ns: int
    fingerprint: str
    looks: str = ""


class Known:
    """Fingerprints of the slides of `folder` that are done, in a file below `out`.

    Valid for an arrival that looks as it did. It saves time and nothing else: damaged, removed or not
    writable, fingerprints are made again.
    """

    def __init__(self, folder: Path, out: Path) -> None:
        self._folder = folder
        name = hashlib.sha256(str(folder.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self._path = out / ".watch" / f"known-{name}.json"
        self._new = 0
        self._slides = self._read()

    def fingerprint(self, slide: Arrival) -> str | None:
        """The slide's fingerprint, None where it is not known."""
        known = self._slides.get(self._name(slide))
        seen = (slide.size, slide.modified_ns, slide.looks)
        if known is None or (known.size, known.modified_ns, known.looks) != seen:
            return None
        return known.fingerprint

    def add(self, slide: Arrival, fingerprint: str) -> None:
        """Keep the fingerprint of a slide that is done."""
        if self.fingerprint(slide) != fingerprint:
            self._slides[self._name(slide)] = _Slide(slide.size, slide.modified_ns, fingerprint, slide.looks)
            self._new += 1
        if self._new >= _LEAST:
            self._write()

    def save(self, seen: Iterable[Arrival]) -> None:
        """Write what is new, without what is no longer seen: a share that shows nothing forgets nothing."""
        if self._new:
            self._write({self._name(slide) for slide in seen})

    def _name(self, slide: Arrival) -> str:
        """Names that are no Unicode keep their bytes apart, in ASCII."""
        return ascii(slide.path.relative_to(self._folder).as_posix())

    def _read(self) -> dict[str, _Slide]:
        with contextlib.suppress(OSError, ValueError):
            return parse_json(read_record(self._path) or b"{}", dict[str, _Slide])
        return {}

    def _write(self, names: Container[str] = ()) -> None:
        """With what other watchers have added; names: of slides to keep, none: all."""
        self._new = 0
        with contextlib.suppress(OutputError):
            ensure_folder(self._path.parent)
            with alone_with(self._path, wait=_WAIT):
                self._slides = self._read() | self._slides
                if names:
                    self._slides = {name: one for name, one in self._slides.items() if name in names}
                write_bytes(self._path, msgspec.json.encode(self._slides))
