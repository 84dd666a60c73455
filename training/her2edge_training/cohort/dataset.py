"""Tiles as batches for Keras, on any backend: decode, normalise as the edge does, crop, augment.

TileStore: record -> normalised full tile (kept in memory while there is room)
TileSequence: records -> (n, t, t, 3) uint8 RGB, (n,) int32 class index, (n,) float32 weight
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import Her2EdgeError, MissingInputError, SlideReadError, TileError
from her2edge.slide.images import decode_image
from her2edge.tile import Pixels
from her2edge_training.cohort.stains import Normalize, Recolour
from her2edge_training.cohort.tile_list import TileRecord
from her2edge_training.network.backend import keras

Batch = tuple[Pixels, NDArray[np.int32], NDArray[np.float32]]


class TileStore:
    """Reads and normalises full tiles; keeps them until `memory_mib` are taken (512 px: 0.75 MiB each)."""

    def __init__(self, normalize: Normalize | None, memory_mib: int = 2048) -> None:
        self._normalize = normalize
        self._room = memory_mib * 2**20
        self._kept: dict[str, Pixels] = {}

    def read(self, record: TileRecord) -> Pixels:
        """Return the (h, w, 3) uint8 RGB tile; errors name the file."""
        key = str(record.path)
        if key not in self._kept:
            pixels = _decoded(record)
            if self._normalize is not None:
                pixels = self._normalize(pixels)
            if pixels.nbytes > self._room:
                return pixels
            self._room -= pixels.nbytes
            self._kept[key] = pixels
        return self._kept[key]


def check_tile(record: TileRecord, tile_px: int) -> None:
    """Raise what `TileStore.read` would, and TileError for a tile smaller than `tile_px`; keeps nothing."""
    _check_size(record, _decoded(record), tile_px)


def _check_size(record: TileRecord, pixels: Pixels, tile_px: int) -> None:
    """Raise TileError for a tile smaller than `tile_px` each way."""
    height, width = pixels.shape[:2]
    if min(height, width) < tile_px:
        raise TileError(
            f"tile {record.tile} is {width} x {height} px, expected {tile_px} or more each way: make larger "
            "tiles or use a recipe of smaller ones"
        )


def _decoded(record: TileRecord) -> Pixels:
    """The file's pixels, its bytes held against the manifest's hash where it gives one."""
    try:
        data = record.path.read_bytes()
    except FileNotFoundError as error:
        raise MissingInputError(f"no tile {record.tile}: it was there when the manifest was read") from error
    except OSError as error:
        raise SlideReadError(f"tile {record.tile} cannot be read: {error.strerror}") from error
    found = hashlib.sha256(data).hexdigest()
    if record.sha256 and found != record.sha256:
        raise TileError(
            f"tile {record.tile} has sha256 {found[:12]}..., the manifest says {record.sha256[:12]}...: "
            "the file has changed; make the tiles again"
        )
    return decode_image(io.BytesIO(data), record.path)


class TileSequence(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of crops; the same seed, epoch and index give the same bytes, whatever the workers.

    Training: a fresh order per epoch, random crops, augmentation, a last incomplete batch left out (its tiles
    come in another epoch). Otherwise: manifest order, centre crops, every tile once; a last incomplete batch
    is filled up with its last crop at weight 0. So all batches have one size: XLA compiles for each size
    anew, and several devices share a batch evenly.
    """

    def __init__(
        self,
        records: Sequence[TileRecord],
        labels: Sequence[str],
        store: TileStore,
        *,
        tile_px: int,
        batch: int,
        training: bool = False,
        seed: int = 0,
        crops_per_tile: int = 1,
        tiles_per_epoch: int | None = None,
        augmentations: tuple[str, ...] = (),
        recolour: Recolour | None = None,
        workers: int = 1,
    ) -> None:
        # Keras' own workers keep batches over a reset, which JAX makes before the first step: they are stale
        super().__init__(workers=1, use_multiprocessing=False)
        self.records = tuple(records)
        self.labels = np.array([labels.index(record.label) for record in records], dtype=np.int32)
        self.epoch = 0
        self.error: Her2EdgeError | None = None
        self._store = store
        self._tile_px = tile_px
        self._training = training
        self._seed = seed
        self._crops = crops_per_tile if training else 1
        self._tiles = min(tiles_per_epoch or len(self.records), len(self.records))
        self._tiles_per_batch = batch // self._crops
        if training:
            self._tiles_per_batch = max(1, min(self._tiles_per_batch, self._tiles))
        self._augmentations = augmentations
        self._recolour = recolour
        self._last_order = (-1 if training else 0, np.arange(len(self.records)))
        self._ahead = workers
        self._pool = ThreadPoolExecutor(workers) if workers > 1 else None
        self._coming: dict[tuple[int, int], Future[Batch]] = {}

    def __len__(self) -> int:
        if self._training:
            return self._tiles // self._tiles_per_batch
        return -(-len(self.records) // self._tiles_per_batch)

    def __getitem__(self, index: int) -> Batch:
        """Batch `index` of the current epoch: (n, t, t, 3) uint8 RGB, (n,) int32, (n,) float32 of 1 or 0."""
        try:
            if self._pool is None:
                return self._batch(self.epoch, index)
            return self._prefetched(self._pool, index)
        except Her2EdgeError as error:
            self.error = error  # TensorFlow would turn it into an error of its own
            raise

    def _prefetched(self, pool: ThreadPoolExecutor, index: int) -> Batch:
        """The batch, while workers make the next ones; epoch and index name a batch: none is ever stale."""
        epoch = self.epoch
        for key in ((epoch, i) for i in range(index, min(index + self._ahead, len(self)))):
            if key not in self._coming:
                self._coming[key] = pool.submit(self._batch, *key)
        wanted = self._coming[epoch, index]
        self._coming = {key: batch for key, batch in self._coming.items() if key > (epoch, index)}
        return wanted.result()

    def _batch(self, epoch: int, index: int) -> Batch:
        chosen = self._order(epoch)[index * self._tiles_per_batch : (index + 1) * self._tiles_per_batch]
        crops = [crop for i in chosen for crop in self._crops_of(epoch, int(i))]
        found, wanted = len(crops), self._tiles_per_batch * self._crops
        labels = np.pad(np.repeat(self.labels[chosen], self._crops), (0, wanted - found), mode="edge")
        weights = (np.arange(wanted) < found).astype(np.float32)
        return np.stack(crops + crops[-1:] * (wanted - found)), labels, weights

    def _order(self, epoch: int) -> NDArray[np.int64]:
        made, order = self._last_order
        if made != epoch and self._training:  # made once an epoch: a million tiles take 20 ms
            order = self._random(epoch, 0).permutation(len(self.records))
            self._last_order = epoch, order
        return order

    def _random(self, epoch: int, item: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence((self._seed, epoch, item)))

    def _crops_of(self, epoch: int, index: int) -> Iterator[Pixels]:
        record = self.records[index]
        pixels = self._store.read(record)
        _check_size(record, pixels, self._tile_px)
        height, width = pixels.shape[:2]
        if not self._training:
            yield _crop(pixels, (height - self._tile_px) // 2, (width - self._tile_px) // 2, self._tile_px)
            return
        random = self._random(epoch, index + 1)
        for _ in range(self._crops):
            top = int(random.integers(height - self._tile_px + 1))
            left = int(random.integers(width - self._tile_px + 1))
            crop = _augment(_crop(pixels, top, left, self._tile_px), self._augmentations, random)
            yield crop if self._recolour is None else self._recolour(crop, random)


def _crop(pixels: Pixels, top: int, left: int, side: int) -> Pixels:
    return pixels[top : top + side, left : left + side]


def _augment(pixels: Pixels, augmentations: tuple[str, ...], random: np.random.Generator) -> Pixels:
    """Flips and right-angle turns: tissue has no up."""
    if "flip" in augmentations:
        flips = random.integers(2, size=2)
        pixels = pixels[:: 1 - 2 * int(flips[0]), :: 1 - 2 * int(flips[1])]
    if "rotate90" in augmentations:
        pixels = np.rot90(pixels, int(random.integers(4)))
    return pixels


@contextmanager
def typed_errors(*sequences: TileSequence) -> Iterator[None]:
    """Let a sequence's own error through where the backend's data thread has replaced it."""
    try:
        yield
    except Exception:
        for sequence in sequences:
            if sequence.error is not None:
                raise sequence.error from None
        raise
