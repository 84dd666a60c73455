"""What a TIFF's directories say of its pages, without decoding a pixel (TIFF 6.0; BigTIFF).

OpenSlide answers everything as 8-bit RGBA, and Pillow opens one page: what is stored must be asked of the
file. Reading is bounded, and stops where the file makes no sense.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_MAX_PAGES = 1024
_MAX_ENTRIES = 1024  # of a page; scanners write up to 60
_MAX_VALUES = 16  # of an entry; one for each sample of a pixel is the most that is asked for
_KINDS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # BYTE, SHORT, LONG, LONG8
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _ORIENTATION = 256, 257, 258, 259, 262, 274
_SAMPLES, _PLANAR, _TILE_WIDTH, _SUBFILE, _EXTRA, _FORMAT = 277, 284, 322, 254, 338, 339
_ASKED = {
    _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _ORIENTATION,
    _SAMPLES, _PLANAR, _TILE_WIDTH, _SUBFILE, _EXTRA, _FORMAT,
}  # fmt: skip


@dataclass(frozen=True)
class Page:
    """One picture of a TIFF, values as in its tags; `photometric` is -1 where none is stated.

    bits, formats: one for each sample, or one for all. extra: of each sample beyond the colours.
    reduced: marked as a smaller version of another page.
    """

    width: int
    height: int
    bits: tuple[int, ...] = (1,)
    compression: int = 1
    photometric: int = -1
    orientation: int = 1
    samples: int = 1
    planar: int = 1
    extra: tuple[int, ...] = ()
    formats: tuple[int, ...] = (1,)
    tiled: bool = False
    reduced: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(width, height), pixels."""
        return self.width, self.height


def pages_of(path: Path) -> tuple[Page, ...]:
    """`read_pages` of a file; none where it cannot be read."""
    try:
        with path.open("rb") as file:
            return read_pages(file)
    except OSError:
        return ()


def read_pages(file: BinaryIO) -> tuple[Page, ...]:
    """The pages of a TIFF, read from its beginning, in their order, sub-pages left out; none of another file.

    Where it is damaged, or has more than 4 GB and states places of 4 bytes, those before."""
    pages: list[Page] = []
    try:
        directory, form = _header(file)
        seen: set[int] = set()
        while directory and directory not in seen and len(pages) < _MAX_PAGES:
            seen.add(directory)
            page, directory = _page(file, directory, form)
            pages.append(page)
    except (OSError, ValueError, OverflowError, struct.error):
        pass
    return tuple(pages)


@dataclass(frozen=True)
class _Form:
    """How numbers are written: byte order, that of counts of entries, and places in the file."""

    order: str
    count: str
    place: str

    def numbers(self, file: BinaryIO, kind: str, count: int = 1) -> tuple[int, ...]:
        """So many of a kind; raises struct.error at the end of the file."""
        kind = f"{self.order}{count}{kind}"
        return struct.unpack(kind, file.read(struct.calcsize(kind)))


def _header(file: BinaryIO) -> tuple[int, _Form]:
    """(place of the first directory, form); raises ValueError for what is no TIFF."""
    order = {b"II": "<", b"MM": ">"}.get(file.read(2))
    if order is None:
        raise ValueError("no TIFF")
    classic, big = _Form(order, "H", "I"), _Form(order, "Q", "Q")
    (version,) = classic.numbers(file, "H")
    if version == 42:
        return classic.numbers(file, "I")[0], classic
    if version != 43 or classic.numbers(file, "H", 2) != (8, 0):
        raise ValueError("no TIFF")
    return big.numbers(file, "Q")[0], big


def _page(file: BinaryIO, directory: int, form: _Form) -> tuple[Page, int]:
    """(the page, place of the next directory or 0)."""
    file.seek(directory)
    (count,) = form.numbers(file, form.count)
    if not 0 < count <= _MAX_ENTRIES:
        raise ValueError(f"{count} entries")
    entry = struct.Struct(f"{form.order}HH{form.place}{struct.calcsize(form.place)}s")
    entries = list(entry.iter_unpack(file.read(entry.size * count)))
    if len(entries) < count:
        raise ValueError("cut off")
    (following,) = form.numbers(file, form.place)
    asked = {tag: rest for tag, *rest in entries if tag in _ASKED}
    tags = {tag: _values(file, form, *rest) for tag, rest in asked.items()}
    return _as_page({tag: values for tag, values in tags.items() if values}), following


def _values(file: BinaryIO, form: _Form, kind: int, count: int, field: bytes) -> tuple[int, ...]:
    """The numbers of an entry; none where they are of another kind."""
    if kind not in _KINDS:
        return ()
    whole = struct.Struct(f"{form.order}{min(count, _MAX_VALUES)}{_KINDS[kind]}")
    if struct.calcsize(_KINDS[kind]) * count <= len(field):
        return whole.unpack(field[: whole.size])
    file.seek(struct.unpack(f"{form.order}{form.place}", field)[0])
    return whole.unpack(file.read(whole.size))


def _as_page(tags: dict[int, tuple[int, ...]]) -> Page:
    def first(tag: int, otherwise: int) -> int:
        return tags.get(tag, (otherwise,))[0]

    return Page(
        width=first(_WIDTH, 0),
        height=first(_HEIGHT, 0),
        bits=tags.get(_BITS, (1,)),
        compression=first(_COMPRESSION, 1),
        photometric=first(_PHOTOMETRIC, -1),
        orientation=first(_ORIENTATION, 1),
        samples=first(_SAMPLES, 1),
        planar=first(_PLANAR, 1),
        extra=tags.get(_EXTRA, ()),
        formats=tags.get(_FORMAT, (1,)),
        tiled=_TILE_WIDTH in tags,
        reduced=bool(first(_SUBFILE, 0) & 1),
    )
