"""Tiles as training reads them: decoded, their hash checked, normalised as the edge does, kept in memory."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from her2edge.errors import MissingInputError, SlideReadError, TileError
from her2edge.slide.images import decode_image
from her2edge.tile import Pixels
from her2edge_training.cohort.stains import Normalize, stain_normalizer
from her2edge_training.cohort.tile_list import TileRecord
from her2edge_training.recipe import Recipe, Stain

Decode = Callable[[BinaryIO, Path], Pixels]


@dataclass(frozen=True, slots=True)
class Checked:
    """The file of a tile as it was when it was checked. size: bytes; mtime_ns: nanoseconds, POSIX."""

    tile: str
    size: int
    mtime_ns: int
    sha256: str


class TileStore:
    """Reads and normalises full tiles; keeps them until `memory_mib` are taken (512 px: 0.75 MiB each).

    decode: from a file's bytes and its path, for messages, to (h, w, 3) uint8 RGB. Threads may share a store.
    """

    def __init__(
        self, normalize: Normalize | None, memory_mib: int = 2048, decode: Decode = decode_image
    ) -> None:
        self._normalize = normalize
        self._decode = decode
        self._lock = threading.Lock()
        self._room = memory_mib * 2**20
        self._is_full = False
        self._kept: dict[str, Pixels] = {}
        self._places: set[str] = set()  # of tiles kept, or about to be
        self._checked: dict[str, tuple[Checked, tuple[int, ...]]] = {}  # with the tile's shape

    def read(self, record: TileRecord) -> Pixels:
        """Return the (h, w, 3) uint8 RGB tile, normalised; errors name the file."""
        kept = self._kept.get(str(record.path))
        if kept is not None:
            return kept
        return self._keep(record, _pixels(record, self._bytes(record), self._decode), always=True)

    def check(self, record: TileRecord, tile_px: int, known: Checked | None = None) -> Checked:
        """State of the tile's file, once it is read and large enough. Pixels are kept while there is room.

        known: what an earlier process found, as this store remembers what it has checked itself: nothing is
        decoded where size and time, or the hash, are the same.
        Raises what `read` does, and TileError for a tile smaller than `tile_px`.
        """
        try:
            status = record.path.stat()
        except OSError as error:
            raise _unreadable(record, error) from error
        own, shape = self._checked.get(str(record.path), (None, ()))
        if own is not None:
            known = own
        if known is not None and (status.st_size, status.st_mtime_ns) == (known.size, known.mtime_ns):
            if own is not None:
                check_size(record, shape, tile_px)
            return known
        data = self._bytes(record)
        checked = Checked(record.tile, len(data), status.st_mtime_ns, hashlib.sha256(data).hexdigest())
        if known is None or known.sha256 != checked.sha256:
            pixels = _pixels(record, data, self._decode)
            check_size(record, pixels.shape, tile_px)
            self._forget(record)  # what the file was
            self._keep(record, pixels, always=False)
            self._checked[str(record.path)] = checked, pixels.shape
        return checked

    def make_room(self, records: Iterable[TileRecord]) -> None:
        """Forget these tiles unless all that were read have found room; `read` decodes them again."""
        if self._is_full:
            for record in records:
                self._forget(record)

    def _forget(self, record: TileRecord) -> None:
        with self._lock:
            pixels = self._kept.pop(str(record.path), None)
            if pixels is not None:
                self._places.discard(str(record.path))
                self._room += pixels.nbytes

    def _keep(self, record: TileRecord, pixels: Pixels, *, always: bool) -> Pixels:
        """Normalise and keep while there is room; without room normalise where it is asked for `always`."""
        key = str(record.path)
        with self._lock:
            fits = pixels.nbytes <= self._room and key not in self._places
            if fits:
                self._room -= pixels.nbytes
                self._places.add(key)
            elif key not in self._places:
                self._is_full = True
        if (fits or always) and self._normalize is not None:
            pixels = self._normalize(pixels)  # of the same size
        if fits:
            self._kept[key] = pixels
        return pixels

    @staticmethod
    def _bytes(record: TileRecord) -> bytes:
        try:
            return record.path.read_bytes()
        except OSError as error:
            raise _unreadable(record, error) from error


class Stores:
    """One store for trainings that come one after the other on the same tiles; another stain has another."""

    def __init__(self, memory_mib: int, decode: Decode = decode_image) -> None:
        self._memory_mib, self._decode = memory_mib, decode
        self._last: tuple[Stain, TileStore] | None = None

    def of(self, stain: Stain) -> TileStore:
        """The store of tiles so normalised; the memory of the one before is given back."""
        if self._last is None or self._last[0] != stain:
            self._last = None
            self._last = stain, TileStore(stain_normalizer(stain), self._memory_mib, self._decode)
        return self._last[1]


def check_size(record: TileRecord, shape: tuple[int, ...], tile_px: int) -> None:
    """Raise TileError for a tile of (h, w, 3) smaller than `tile_px` each way."""
    height, width = shape[:2]
    if min(height, width) < tile_px:
        raise TileError(
            f"tile {record.tile} is {width} x {height} px, expected {tile_px} or more each way: make larger "
            "tiles or use a recipe of smaller ones"
        )


def crop(pixels: Pixels, top: int, left: int, side: int) -> Pixels:
    """(side, side, 3) of a tile."""
    return pixels[top : top + side, left : left + side]


def centre_crop(record: TileRecord, pixels: Pixels, side: int) -> Pixels:
    """(side, side, 3) from the middle; raises TileError where the tile is smaller."""
    check_size(record, pixels.shape, side)
    height, width = pixels.shape[:2]
    return crop(pixels, (height - side) // 2, (width - side) // 2, side)


def network_inputs(records: Sequence[TileRecord], recipe: Recipe) -> Iterator[Pixels]:
    """(tile_px, tile_px, 3) uint8 RGB, each tile as training evaluates it: SDK-normalised, centre crop."""
    store = TileStore(stain_normalizer(recipe.stain), memory_mib=0)
    for record in records:
        yield centre_crop(record, store.read(record), recipe.tile_px)


def _unreadable(record: TileRecord, error: OSError) -> MissingInputError | SlideReadError:
    if isinstance(error, FileNotFoundError):
        return MissingInputError(f"no tile {record.tile}: it was there when the tile list was read")
    return SlideReadError(f"tile {record.tile} cannot be read: {error.strerror}")


def _pixels(record: TileRecord, data: bytes, decode: Decode) -> Pixels:
    """The file's pixels, its bytes held against the tile list's hash where it gives one."""
    digest = hashlib.sha256(data).hexdigest()
    if record.sha256 and digest != record.sha256:
        raise TileError(
            f"tile {record.tile} has sha256 {digest[:12]}..., the tile list says {record.sha256[:12]}...: "
            "the file has changed; make the tiles again"
        )
    return decode(io.BytesIO(data), record.path)
