"""Tiles as batches for Keras, on any backend: cropped and augmented, made while the step before is computed.

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
from her2edge_training.cohort.stains import StainJitter
from her2edge_training.cohort.store import TileStore, centre_crop, check_size, crop
from her2edge_training.cohort.tile_list import TileRecord
from her2edge_training.network.backend import keras
from her2edge_training.network.turns import draw_turn, transposed

Batch = tuple[Pixels, NDArray[np.int32], NDArray[np.float32]]


class TileSequence(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of crops; the same seed, epoch and index give the same bytes, whatever the workers.

    Training: a fresh order per epoch, random crops, augmentation, a last incomplete batch left out (its tiles
    come in another epoch). Otherwise: the order given, centre crops, every tile once; a last incomplete batch
    is filled up with its last crop at weight 0. So all batches have one size: XLA compiles for each size
    anew, and several devices share a batch evenly.

    workers: threads that make batches; each makes one ahead of the batch that was asked for last.
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
        jitter: StainJitter | None = None,
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
        self.batch = self._tiles_per_batch * self._crops
        self._augmentations = augmentations
        self._jitter = jitter
        self._suited: dict[int, bool] = {}  # whether a tile's stains may be varied: asked once of each
        self._class_weights = np.array(class_weights or [1.0] * len(labels), dtype=np.float32)
        self._last_order = (-1 if training else 0, np.arange(len(self.records)))
        self._ahead = workers
        self._pool: ThreadPoolExecutor | None = None  # while an epoch lasts: Keras keeps every sequence
        self._coming: dict[tuple[int, int], Future[Batch]] = {}

    def __len__(self) -> int:
        if self._training:
            return self._tiles // self._tiles_per_batch
        return -(-len(self.records) // self._tiles_per_batch)

    def __getitem__(self, index: int) -> Batch:
        """Batch `index` of the current epoch: (n, t, t, 3) uint8 RGB, (n,) int32, (n,) float32 weights."""
        try:
            return self._prefetched(index)
        except Her2EdgeError as error:
            self.error = error  # TensorFlow would turn it into an error of its own
            raise

    def _prefetched(self, index: int) -> Batch:
        """The batch, while workers make the next ones; epoch and index name a batch: none is ever stale."""
        epoch = self.epoch
        pool = self._pool = self._pool or ThreadPoolExecutor(self._ahead, "her2edge-batches")
        for key in ((epoch, i) for i in range(index, min(index + 1 + self._ahead, len(self)))):
            if key not in self._coming:
                self._coming[key] = pool.submit(self._batch, *key)
        wanted = self._coming[epoch, index]
        self._coming = {key: batch for key, batch in self._coming.items() if key > (epoch, index)}
        if not self._coming:  # the epoch's last: its threads end with it
            pool.shutdown(wait=False)
            self._pool = None
        return wanted.result()

    def _batch(self, epoch: int, index: int) -> Batch:
        chosen = self._order(epoch)[index * self._tiles_per_batch : (index + 1) * self._tiles_per_batch]
        n, wanted = len(chosen) * self._crops, self._tiles_per_batch * self._crops
        pixels = np.empty((wanted, self._tile_px, self._tile_px, 3), np.uint8)
        for place, item in enumerate(chosen):
            self._crop_into(pixels[place * self._crops : (place + 1) * self._crops], epoch, int(item))
        pixels[n:] = pixels[n - 1]
        labels = np.pad(np.repeat(self.labels[chosen], self._crops), (0, wanted - n), mode="edge")
        weights = (np.arange(wanted) < n) * self._class_weights[labels]
        return pixels, labels, weights

    def _order(self, epoch: int) -> NDArray[np.int64]:
        made, order = self._last_order
        if made != epoch and self._training:  # made once an epoch: a million tiles take 20 ms
            order = self._random(epoch, 0).permutation(len(self.records))
        self._last_order = epoch, order
        return order

    def _random(self, epoch: int, item: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence((self._seed, epoch, item)))

    def _crop_into(self, out: Pixels, epoch: int, item: int) -> None:
        """Crops of one tile, straight into their batch: (crops, t, t, 3) uint8."""
        record = self.records[item]
        pixels = self._store.read(record)
        if not self._training:
            out[0] = centre_crop(record, pixels, self._tile_px)
            return
        check_size(record, pixels.shape, self._tile_px)
        height, width = pixels.shape[:2]
        random = self._random(epoch, item + 1)
        for own in out:
            top = int(random.integers(height - self._tile_px + 1))
            left = int(random.integers(width - self._tile_px + 1))
            turn = draw_turn(self._augmentations, random)
            window = crop(pixels, top, left, self._tile_px)
            if self._jitter is None:
                turn.into(window, own)
                continue
            factors = self._jitter.factors(random)
            if not self._suits(self._jitter, item, pixels):
                turn.into(window, own)
            elif turn.transposed:
                self._jitter.into(transposed(window), (0, 0), turn.flips, factors, own)
            else:
                self._jitter.into(pixels, (top, left), turn.flips, factors, own)

    def _suits(self, jitter: StainJitter, item: int, pixels: Pixels) -> bool:
        suits = self._suited.get(item)
        if suits is None:
            suits = self._suited[item] = jitter.suits(pixels)
        return suits


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
