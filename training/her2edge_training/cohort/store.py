"""Tiles as training reads them: decoded, their hash checked, normalised as the edge does, and kept."""

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
from her2edge_training.cohort.tile_cache import TileCache
from her2edge_training.cohort.tile_list import TileRecord
from her2edge_training.recipe import Recipe

Decode = Callable[[BinaryIO, Path], Pixels]


@dataclass(frozen=True, slots=True)
class Checked:
    """The file of a tile as it was when it was checked. size: bytes; mtime_ns: nanoseconds, POSIX."""

    tile: str
    size: int
    mtime_ns: int
    sha256: str


class TileStore:
    """Reads and normalises full tiles; keeps them in a cache on a disk, if there is one that takes them, else
    until `memory_mib` are taken (512 px: 0.75 MiB each).

    decode: from a file's bytes and its path, for messages, to (h, w, 3) uint8 RGB. cache: of this stain.
    Threads may share a store. Arrays that it returns are not to be written to.
    """

    def __init__(
        self,
        normalize: Normalize | None,
        memory_mib: int = 2048,
        decode: Decode = decode_image,
        cache: TileCache | None = None,
    ) -> None:
        self._normalize = normalize
        self._decode = decode
        self._cache = cache
        self._lock = threading.Lock()
        self._room = memory_mib * 2**20
        self._is_full = False
        self._kept: dict[str, Pixels] = {}
        self._places: set[str] = set()  # of tiles kept, or about to be
        self._checked: dict[str, tuple[Checked, tuple[int, ...]]] = {}  # with the tile's shape
        self._digests: dict[str, str] = {}  # of files that were checked, here or by an earlier process

    @property
    def is_full(self) -> bool:
        """Whether a tile found no room: it is decoded each time it is read."""
        return self._is_full

    def read(self, record: TileRecord) -> Pixels:
        """Return the (h, w, 3) uint8 RGB tile, normalised; errors name the file."""
        key = str(record.path)
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        if self._cache is not None:
            kept = self._cache.get(record.sha256 or self._digests.get(key, ""))
            if kept is not None:
                return kept
        data = self._bytes(record)
        digest = hashlib.sha256(data).hexdigest()
        _refuse_changed(record, digest)
        return self._keep(record, digest, self._decode(io.BytesIO(data), record.path), always=True)

    def check(self, record: TileRecord, tile_px: int, known: Checked | None = None) -> Checked:
        """State of the tile's file, once it is read and large enough. Pixels are kept while there is room.

        known: what an earlier process found, as this store remembers what it has checked itself: nothing is
        decoded where size and time, or the hash, are the same, nor what is in the cache.
        Raises what `read` does, and TileError for a tile smaller than `tile_px`.
        """
        try:
            status = record.path.stat()
        except OSError as error:
            raise _unreadable(record, error) from error
        key = str(record.path)
        own, shape = self._checked.get(key, (None, ()))
        if own is not None:
            known = own
        if known is not None and (status.st_size, status.st_mtime_ns) == (known.size, known.mtime_ns):
            if own is not None:
                check_size(record, shape, tile_px)
            self._digests[key] = known.sha256
            return known
        data = self._bytes(record)
        digest = hashlib.sha256(data).hexdigest()
        checked = Checked(record.tile, len(data), status.st_mtime_ns, digest)
        self._digests[key] = digest
        if known is None or known.sha256 != digest:
            _refuse_changed(record, digest)
            in_cache = None if self._cache is None else self._cache.shape(digest)
            if in_cache is not None:
                check_size(record, in_cache, tile_px)
                self._forget(record)  # what the file was
                self._checked[key] = checked, in_cache
                return checked
            pixels = self._decode(io.BytesIO(data), record.path)
            check_size(record, pixels.shape, tile_px)
            self._forget(record)
            self._keep(record, digest, pixels, always=False)
            self._checked[key] = checked, pixels.shape
        return checked

    def make_room(self, records: Iterable[TileRecord]) -> None:
        """Forget these tiles unless all that were read have found room; `read` decodes them again."""
        if self._is_full:
            for record in records:
                self._forget(record)

    def tell(self, records: Sequence[TileRecord], tile_px: int) -> None:
        """Say what the cache, if there is one, holds of these tiles of `tile_px` or more each way.

        Tiles whose hash is not known before their files are read are left out.
        """
        digests = [record.sha256 or self._digests.get(str(record.path), "") for record in records]
        if self._cache is not None and any(digests):
            self._cache.tell([digest for digest in digests if digest], 3 * tile_px * tile_px)

    def close(self) -> None:
        """Let other processes add to the cache; tiles can still be read."""
        if self._cache is not None:
            self._cache.close()

    def _forget(self, record: TileRecord) -> None:
        with self._lock:
            pixels = self._kept.pop(str(record.path), None)
            if pixels is not None:
                self._places.discard(str(record.path))
                self._room += pixels.nbytes

    def _keep(self, record: TileRecord, digest: str, pixels: Pixels, *, always: bool) -> Pixels:
        """Normalise and keep while there is room; without room normalise where it is asked for `always`."""
        normal = False
        if self._cache is not None and self._cache.grows:
            pixels, normal = self._normal(pixels), True
            if self._cache.put(digest, pixels):
                return pixels
        key = str(record.path)
        with self._lock:
            fits = pixels.nbytes <= self._room and key not in self._places
            if fits:
                self._room -= pixels.nbytes
                self._places.add(key)
            elif key not in self._places:
                self._is_full = True
        if (fits or always) and not normal:
            pixels = self._normal(pixels)  # of the same size
        if fits:
            self._kept[key] = pixels
        return pixels

    def _normal(self, pixels: Pixels) -> Pixels:
        return pixels if self._normalize is None else self._normalize(pixels)

    @staticmethod
    def _bytes(record: TileRecord) -> bytes:
        try:
            return record.path.read_bytes()
        except OSError as error:
            raise _unreadable(record, error) from error


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


def _refuse_changed(record: TileRecord, digest: str) -> None:
    """Raise TileError where the tile list gives another hash of the file."""
    if record.sha256 and digest != record.sha256:
        raise TileError(
            f"tile {record.tile} has sha256 {digest[:12]}..., the tile list says {record.sha256[:12]}...: "
            "the file has changed; make the tiles again"
        )
