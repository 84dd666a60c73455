"""Tiles as batches for Keras, on any backend: cropped and augmented.

TileSequence: records -> (n, t, t, 3) uint8 RGB, (n,) int32 class index, (n,) float32 weight
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import Her2EdgeError
from her2edge.tile import Pixels
from her2edge_training.cohort.stains import Recolour
from her2edge_training.cohort.store import TileStore, centre_crop, check_size, crop
from her2edge_training.cohort.tile_list import TileRecord
from her2edge_training.network.backend import keras

Batch = tuple[Pixels, NDArray[np.int32], NDArray[np.float32]]


class TileSequence(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of crops; the same seed, epoch and index give the same bytes, whatever the workers.

    Training: a fresh order per epoch, random crops, augmentation, a last incomplete batch left out (its tiles
    come in another epoch). Otherwise: the order given, centre crops, every tile once; a last incomplete batch
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
        class_weights: Sequence[float] | None = None,
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
        self._class_weights = np.array(class_weights or [1.0] * len(labels), dtype=np.float32)
        self._last_order = (-1 if training else 0, np.arange(len(self.records)))
        self._ahead = workers
        self._pool = ThreadPoolExecutor(workers) if workers > 1 else None
        self._coming: dict[tuple[int, int], Future[Batch]] = {}

    def __len__(self) -> int:
        if self._training:
            return self._tiles // self._tiles_per_batch
        return -(-len(self.records) // self._tiles_per_batch)

    def __getitem__(self, index: int) -> Batch:
        """Batch `index` of the current epoch: (n, t, t, 3) uint8 RGB, (n,) int32, (n,) float32 weights."""
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
        crops = [own for i in chosen for own in self._crops_of(epoch, int(i))]
        n, wanted = len(crops), self._tiles_per_batch * self._crops
        labels = np.pad(np.repeat(self.labels[chosen], self._crops), (0, wanted - n), mode="edge")
        weights = (np.arange(wanted) < n) * self._class_weights[labels]
        return np.stack(crops + crops[-1:] * (wanted - n)), labels, weights

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
        if not self._training:
            yield centre_crop(record, pixels, self._tile_px)
            return
        check_size(record, pixels.shape, self._tile_px)
        height, width = pixels.shape[:2]
        random = self._random(epoch, index + 1)
        for _ in range(self._crops):
            top = int(random.integers(height - self._tile_px + 1))
            left = int(random.integers(width - self._tile_px + 1))
            own = _augment(crop(pixels, top, left, self._tile_px), self._augmentations, random)
            yield own if self._recolour is None else self._recolour(own, random)


def _augment(pixels: Pixels, augmentations: tuple[str, ...], random: np.random.Generator) -> Pixels:
    """Flips and right-angle turns: tissue has no up."""
    if "flip" in augmentations:
        flips = random.integers(2, size=2)
        pixels = pixels[:: 1 - 2 * int(flips[0]), :: 1 - 2 * int(flips[1])]
    if "rotate90" in augmentations:
        pixels = np.rot90(pixels, int(random.integers(4)))
    return pixels


def balanced_weights(records: Sequence[TileRecord], labels: Sequence[str]) -> tuple[float, ...]:
    """For each label n / (labels x its tiles): labels count alike, a tile 1 on average. Each has tiles."""
    tiles = Counter(record.label for record in records)
    return tuple(len(records) / (len(labels) * tiles[label]) for label in labels)


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
