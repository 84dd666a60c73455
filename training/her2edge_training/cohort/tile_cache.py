"""Normalised tiles on a disk, decoded once for all trainings: one file of pixels, mapped into memory.

CACHE/<stain>/  cache.json   what made the pixels (`cache_maker`)
                tiles.u8     (h, w, 3) uint8 RGB, tile after tile, each from a page's beginning
                tiles.index  where each lies, by its file's hash (`cache_index`); appended after its pixels

Killed at any moment, it has whole entries, and the next run adds what is missing. One process adds at a time,
others read what was there when they came. Whatever goes wrong with the disk is told once, and costs decoding.
"""

from __future__ import annotations

import mmap
import shutil
import threading
import zlib
from collections.abc import Callable, Sequence
from io import FileIO
from pathlib import Path

import numpy as np

from her2edge.files import write_bytes
from her2edge.tile import Pixels
from her2edge_training.cohort.cache_folder import INDEX, PIXELS, Say, leave, take
from her2edge_training.cohort.cache_index import Entry, entry_bytes, read_entries
from her2edge_training.cohort.cache_maker import folder_name, maker_of
from her2edge_training.cohort.stains import Normalize
from her2edge_training.recipe import Stain

RESERVE = 2 << 30  # bytes that are left free: a run's own files may lie on the same disk
_STEP = 256 << 20  # bytes by which the file of pixels grows; it has holes where nothing was written
_LOOK = 64 << 20  # bytes written between two looks at how much is free
_GIB = 2**30


def free_bytes(folder: Path) -> int:
    """On the disk of a folder."""
    return shutil.disk_usage(folder).free


def open_cache(
    folder: Path,
    stain: Stain,
    normalize: Normalize | None,
    say: Say,
    free: Callable[[Path], int] = free_bytes,
) -> TileCache | None:
    """The tiles of one stain in a cache folder, which is made; None, and why is said, where it is of no use
    now: a full disk, or another version that cannot be replaced.

    normalize: the stain's. free: bytes free on a folder's disk. Raises OutputError where the folder cannot be
    made, or holds anything else.
    """
    place = folder / folder_name(stain)
    of_use, lock = take(place, maker_of(stain, normalize), say)
    if not of_use:
        return None
    try:
        return TileCache(place, lock, say, free)
    except OSError as error:
        leave(place, lock)
        say(f"tile cache: {error.strerror or error}: choose another --cache; training goes on without it")
        return None


class TileCache:
    """Tiles by the SHA-256 (hex) of their file; threads may share it. `open_cache` makes it.

    lock: of its folder, where this process may add to it. Raises OSError where its files cannot be opened.
    """

    def __init__(self, place: Path, lock: FileIO | None, say: Say, free: Callable[[Path], int]) -> None:
        self._place, self._held, self._say, self._free = place, lock, say, free
        self._lock = threading.Lock()
        self._whole: set[bytes] = set()  # whose pixels this process has held against their check
        self._map: mmap.mmap | None = None
        self._until_look = 0  # bytes to be written before the disk's room is looked at
        self._told = False  # that pixels were not as written
        path, index = place / PIXELS, place / INDEX
        self._size = path.stat().st_size if path.exists() else 0
        data = index.read_bytes() if index.exists() else b""
        self._entries, lost = read_entries(data, self._size)
        self._end = _page(max((entry.end for entry in self._entries.values()), default=0))
        self._files: tuple[FileIO, FileIO] | None = None  # pixels and index, to write to
        if lock is not None:
            if lost:
                say(f"tile cache: found {lost} tiles that are not whole: decoded again")
                write_bytes(index, b"".join(entry_bytes(*pair) for pair in self._entries.items()))
            self._files = FileIO(path, "r+" if path.exists() else "w+"), FileIO(index, "a")
        self._read = FileIO(path) if path.exists() else None

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def grows(self) -> bool:
        """Whether `put` may still keep a tile."""
        return self._files is not None

    def shape(self, digest: str) -> tuple[int, int, int] | None:
        """(h, w, 3) of a tile; None where it is not there."""
        entry = self._entries.get(_key(digest))
        return None if entry is None else (entry.height, entry.width, 3)

    def get(self, digest: str) -> Pixels | None:
        """(h, w, 3) uint8 RGB, mapped, C-order, read-only; None where it is not there, or not as written."""
        key = _key(digest)
        entry = self._entries.get(key)
        if entry is None or self._read is None:
            return None
        try:
            pixels = self._mapped(self._read, entry)
        except (OSError, ValueError):  # no addresses for the map, or a file that was cut short
            return None
        if key not in self._whole:
            if zlib.adler32(pixels.data) != entry.check:
                self._forget(key)
                return None
            self._whole.add(key)
        return pixels

    def put(self, digest: str, pixels: Pixels) -> bool:
        """Keep (h, w, 3) uint8 RGB; whether that was done. A full disk is told once, then nothing is kept."""
        key, data = _key(digest), np.ascontiguousarray(pixels)
        check = zlib.adler32(data.data)
        with self._lock:
            if key in self._entries:
                return True
            if self._files is None:
                return False
            entry = Entry(self._end, pixels.shape[0], pixels.shape[1], check)
            try:
                self._make_room(self._files[0], entry)
                _write_at(self._files[0], entry.offset, data.data.cast("B"))
                _write_at(self._files[1], None, memoryview(entry_bytes(key, entry)))
            except OSError as error:
                self._stop(error.strerror or str(error))
                return False
            self._end = _page(entry.end)
            self._entries[key] = entry
        return True

    def tell(self, digests: Sequence[str], tile_bytes: int) -> None:
        """Say how many of these tiles are there, and whether the others, of `tile_bytes` each, find room."""
        missing = sum(_key(digest) not in self._entries for digest in digests)
        line = f"tile cache: holds {len(digests) - missing} of {len(digests)} tiles"
        if missing and self.grows:
            need, room = missing * tile_bytes, max(0, self._free(self._place) - RESERVE)
            line += f"; the others take {need / _GIB:.1f} GiB"
            if need > room:
                line += (
                    f", found {room / _GIB:.1f} GiB free beside {RESERVE / _GIB:.0f} GiB for the run: free "
                    "some space or choose another --cache, or some tiles are decoded in every epoch"
                )
        self._say(line)

    def close(self) -> None:
        """Let other processes add tiles; what is in it can still be read."""
        with self._lock:
            if self._files is not None:
                for file in self._files:
                    file.close()
            leave(self._place, self._held)
            self._files = self._held = None

    def _mapped(self, file: FileIO, entry: Entry) -> Pixels:
        mapped = self._map
        if mapped is None or len(mapped) < entry.end:
            mapped = self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        pixels = np.frombuffer(mapped, np.uint8, entry.end - entry.offset, entry.offset)
        return pixels.reshape(entry.height, entry.width, 3)

    def _make_room(self, file: FileIO, entry: Entry) -> None:
        """Raises OSError where there is none."""
        self._until_look -= entry.end - entry.offset
        if self._until_look < 0:
            self._until_look = _LOOK
            if self._free(self._place) < RESERVE + _LOOK + entry.end - entry.offset:
                raise OSError(f"found fewer than {RESERVE // _GIB} GiB free, which are left for the run")
        if entry.end > self._size:
            self._size = file.truncate(max(self._size + _STEP, _page(entry.end)))

    def _stop(self, reason: str) -> None:
        """Nothing more is kept. Half an entry in the index is no harm: the next to open it takes it away."""
        for file in self._files or ():
            file.close()
        self._files = None
        self._say(
            f"tile cache: {reason}: {len(self)} tiles are in it, others are decoded in every epoch, and "
            "training goes on; free some space or choose another --cache for the next run"
        )

    def _forget(self, key: bytes) -> None:
        with self._lock:
            self._entries.pop(key, None)
            first, self._told = not self._told, True
        if first:
            self._say("tile cache: found pixels that are not as they were written: decoded again")


def _key(digest: str) -> bytes:
    """The bytes of a hex digest; none for what is no digest, as a tile list may have it."""
    try:
        return bytes.fromhex(digest)
    except ValueError:
        return b""


def _page(offset: int) -> int:
    """The next beginning of a page."""
    return -(-offset // mmap.PAGESIZE) * mmap.PAGESIZE


def _write_at(file: FileIO, offset: int | None, data: memoryview) -> None:
    """All of it: a write may end before. offset: None for a file that is appended to."""
    if offset is not None:
        file.seek(offset)
    while data:
        data = data[file.write(data) :]
