"""Batches: same bytes for same seed and epoch, the SDK's normalisation, typed errors that name the file."""

from __future__ import annotations

import gc
import threading
import time
from dataclasses import replace
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from training_data import write_cohort

pytest.importorskip("keras")

from her2edge.errors import Her2EdgeError, TileError
from her2edge.slide.images import encode_png
from her2edge.stain import TARGETS, MacenkoNormalizer, StainFit
from her2edge.tile import Pixels
from her2edge_training.cohort.stains import stain_jitter, stain_normalizer
from her2edge_training.cohort.store import TileStore
from her2edge_training.cohort.tile_list import LABELS, TileList, TileRecord
from her2edge_training.network.backend import keras
from her2edge_training.network.sequence import Batch, TileSequence, balanced_weights, typed_errors
from her2edge_training.recipe import Recipe, Stage, Stain
from her2edge_training.synthetic import SITES, make_slide_model, make_tile


@pytest.fixture
def records(tmp_path: Path) -> tuple[TileRecord, ...]:
    return TileList.read(write_cohort(tmp_path, slides=2, tiles=2)).records


def training(records: tuple[TileRecord, ...], seed: int = 1, **options: int) -> TileSequence:
    given = {"tile_px": 32, "batch": 4, "crops_per_tile": 2} | options
    augment = ("flip", "rotate90")
    store = TileStore(None)
    return TileSequence(records, LABELS, store, training=True, seed=seed, augmentations=augment, **given)


def test_the_same_seed_and_epoch_give_the_same_bytes(records: tuple[TileRecord, ...]) -> None:
    one, other = training(records), training(records)
    one.epoch = other.epoch = 3
    backwards = [other[i] for i in reversed(range(len(other)))][::-1]
    for a, b in zip(list(one), backwards, strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y)


def test_the_threads_of_an_epoch_end_with_it(records: tuple[TileRecord, ...]) -> None:
    """Keras keeps the sequences of a training for as long as the process lasts."""
    before = set(threading.enumerate())  # of a test that was interrupted, say
    sequence = training(records, workers=3)
    for epoch in range(3):
        sequence.epoch = epoch
        assert len(list(sequence)) == len(sequence)
    ends = time.monotonic() + 30
    while any("her2edge-batches" in thread.name for thread in set(threading.enumerate()) - before):
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_another_epoch_or_seed_gives_other_crops_and_order(records: tuple[TileRecord, ...]) -> None:
    first, later = training(records), training(records)
    later.epoch = 1
    assert not np.array_equal(first[0][0], later[0][0])
    assert not np.array_equal(first[0][0], training(records, seed=2)[0][0])


def test_balanced_weights_let_each_class_count_alike(records: tuple[TileRecord, ...]) -> None:
    uneven = (*records[:1], *records[4:6], *records[8:12])  # 1, 2 and 4 tiles
    balanced = balanced_weights(uneven, LABELS)
    assert balanced == pytest.approx((7 / 3, 7 / 6, 7 / 12))
    sequence = TileSequence(
        uneven, LABELS, TileStore(None), tile_px=32, batch=7, training=True, class_weights=balanced
    )
    _, labels, weights = sequence[0]
    assert weights.dtype == np.float32
    np.testing.assert_allclose([weights[labels == k].sum() for k in range(3)], [7 / 3] * 3, rtol=1e-6)


def test_training_batches_are_full_and_take_crops_per_tile(records: tuple[TileRecord, ...]) -> None:
    sequence = training(records, batch=8, crops_per_tile=4)
    assert len(sequence) == 12 // 2
    pixels, labels, weights = sequence[0]
    assert (weights == 1).all()
    assert (pixels.shape, pixels.dtype, labels.dtype) == ((8, 32, 32, 3), np.uint8, np.int32)
    assert [len(set(labels[i : i + 4])) for i in (0, 4)] == [1, 1]
    assert len(training(records, batch=10, crops_per_tile=1)) == 1  # 12 tiles: the last 2 wait an epoch
    assert len(training(records, batch=64, crops_per_tile=1)) == 1  # fewer tiles than a batch: all of them


def test_an_epoch_may_be_a_fresh_choice_of_tiles(records: tuple[TileRecord, ...]) -> None:
    sequence = training(records, batch=2, tiles_per_epoch=4)
    assert len(sequence) == 4
    seen = set()
    for sequence.epoch in range(40):
        seen |= set(sequence._order(sequence.epoch)[:4].tolist())
    assert seen == set(range(12))


def test_validation_reads_every_tile_once_from_its_centre(records: tuple[TileRecord, ...]) -> None:
    sequence = TileSequence(records, LABELS, TileStore(None), tile_px=32, batch=5)
    tiles = [int(i) for _, labels, weights in sequence for i in labels[weights == 1]]
    assert [LABELS[i] for i in tiles] == [r.label for r in records]
    whole = cv2.imread(str(records[0].path), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(sequence[0][0][0], whole[16:48, 16:48])


def test_a_last_batch_is_filled_up_with_its_last_tile_at_no_weight(records: tuple[TileRecord, ...]) -> None:
    sequence = TileSequence(records, LABELS, TileStore(None), tile_px=32, batch=5)
    assert {tuple(part.shape for part in batch) for batch in sequence} == {((5, 32, 32, 3), (5,), (5,))}
    pixels, labels, weights = sequence[2]
    assert (weights.dtype, weights.tolist()) == (np.float32, [1, 1, 0, 0, 0])
    assert len(np.unique(pixels[1:], axis=0)) == len(set(labels[1:])) == 1
    few = TileSequence(records[:2], LABELS, TileStore(None), tile_px=32, batch=5)
    assert [batch[2].sum() for batch in few] == [2]


def test_pixels_are_those_of_the_sdk_normaliser_on_the_full_tile(records: tuple[TileRecord, ...]) -> None:
    store = TileStore(stain_normalizer(Stain()))
    sequence = TileSequence(records, LABELS, store, tile_px=32, batch=1)
    whole = cv2.imread(str(records[5].path), cv2.IMREAD_COLOR_RGB)
    expected = MacenkoNormalizer().normalize(whole).pixels[16:48, 16:48]
    np.testing.assert_array_equal(sequence[5][0][0], expected)
    assert stain_normalizer(Stain(mode="off")) is None


def test_stain_jitter_scales_concentrations_and_leaves_glass_alone() -> None:
    slide = make_slide_model("3+", SITES[0], 4)
    tile = MacenkoNormalizer().normalize(make_tile(slide, 0, 256, tissue=0.7).pixels).pixels
    target = TARGETS["macenko"]
    unmix = np.linalg.pinv(target.stain_matrix)

    def concentrations(pixels: Pixels) -> np.ndarray:
        return -np.log((pixels.reshape(-1, 3).astype(float) + 1) / 240) @ unmix.T

    recipe = Recipe("r", "resnet50", (Stage(64, 1, 1e-3, 4),), stain_jitter=0.2)
    jitter = stain_jitter(recipe)
    assert jitter is not None
    assert jitter.suits(tile)
    drawn, out = jitter.factors(np.random.default_rng(3)), np.empty_like(tile)
    np.testing.assert_array_equal(drawn, np.random.default_rng(3).uniform(0.8, 1.2, 2))
    jitter.into(tile, (0, 0), (False, False), drawn, out)
    before, after = concentrations(tile), concentrations(out)
    stained = (before > 0.3).all(axis=1) & (out.reshape(-1, 3).min(axis=1) > 20)
    assert stained.sum() > 1000
    np.testing.assert_allclose(np.median(after[stained] / before[stained], axis=0), drawn, rtol=0.02)
    glass = tile.min(axis=2) >= 238
    assert glass.sum() > 1000
    assert np.abs(out[glass].astype(int) - tile[glass]).max() <= 3
    assert stain_jitter(msgspec.structs.replace(recipe, stain_jitter=0.0)) is None


def stained(records: tuple[TileRecord, ...], px: int = 64) -> None:
    """Tissue in the place of the noise, but for the first tile: that is ink."""
    slide = make_slide_model("3+", SITES[0], 4)
    for number, record in enumerate(records):
        pixels = make_tile(slide, number, px, tissue=0.9).pixels
        if number == 0:
            pixels = np.full((px, px, 3), 90, np.uint8)
            pixels[::2] = 120
        record.path.write_bytes(encode_png(pixels))


def by_hand(sequence: TileSequence, item: int, jitter: float, augment: tuple[str, ...]) -> Pixels:
    """A crop of 32 px in the first epoch, in plain NumPy and by the SDK's normaliser."""
    normalizer, target = MacenkoNormalizer(), TARGETS["macenko"]
    tile = sequence._store.read(sequence.records[item])
    random = np.random.default_rng(np.random.SeedSequence((1, 0, item + 1)))
    top, left = (int(random.integers(33)) for _ in range(2))
    pixels = tile[top : top + 32, left : left + 32]
    if "flip" in augment:
        down, right = random.integers(2, size=2)
        pixels = pixels[:: 1 - 2 * int(down), :: 1 - 2 * int(right)]
    if "rotate90" in augment:
        pixels = np.rot90(pixels, int(random.integers(4)))
    if not jitter or normalizer.normalize(tile, fit=target).status != "ok":
        return pixels
    factors = random.uniform(1 - jitter, 1 + jitter, 2)
    fit = StainFit(target.stain_matrix, target.max_concentration / factors, target.profile)
    return normalizer.normalize(np.ascontiguousarray(pixels), fit=fit).pixels


@pytest.mark.parametrize("jitter", [0.0, 0.3])
@pytest.mark.parametrize("augment", [(), ("flip",), ("rotate90",), ("flip", "rotate90")])
def test_a_batch_holds_each_crop_turned_and_stained_as_by_hand(
    tmp_path: Path, augment: tuple[str, ...], jitter: float
) -> None:
    records = tuple(
        replace(record, sha256="") for record in TileList.read(write_cohort(tmp_path, slides=4)).records
    )
    stained(records)
    recipe = Recipe("r", "resnet50", (Stage(32, 1, 1e-3, 4),), stain_jitter=jitter)
    sequence = TileSequence(
        records, LABELS, TileStore(stain_normalizer(Stain())), tile_px=32, batch=len(records), training=True,
        seed=1, augmentations=augment, jitter=stain_jitter(recipe),
    )  # fmt: skip
    pixels, _, _ = sequence[0]
    for place, item in enumerate(sequence._order(0)):
        np.testing.assert_array_equal(pixels[place], by_hand(sequence, int(item), jitter, augment))


@pytest.mark.parametrize("workers", [1, 3])
def test_batches_that_arrive_are_those_of_their_epoch_whatever_was_asked_for_before(
    records: tuple[TileRecord, ...], workers: int
) -> None:
    """JAX asks for a batch, starts again and goes on; an epoch may end before all its batches were taken."""
    sequence, wanted = training(records, workers=workers), training(records)
    for epoch, asked in ((0, [0]), (0, [0, 1, 2]), (1, [0, 1]), (2, range(len(wanted))), (2, [3, 0])):
        sequence.epoch = wanted.epoch = epoch
        for index in asked:
            for a, b in zip(sequence[index], wanted[index], strict=True):
                np.testing.assert_array_equal(a, b)


def test_stain_jitter_changes_training_tiles_only_and_leaves_ink_alone(
    records: tuple[TileRecord, ...],
) -> None:
    stained(records)
    unhashed = tuple(replace(record, sha256="") for record in records)
    jitter = stain_jitter(Recipe("r", "resnet50", (Stage(64, 1, 1e-3, 4),), stain_jitter=0.5))
    store, order = TileStore(stain_normalizer(Stain())), []
    for training in (True, False):
        sequence = TileSequence(
            unhashed, LABELS, store, tile_px=64, batch=12, training=training, seed=1, jitter=jitter
        )
        order = sequence._order(0).tolist()
        for pixels, item in zip(sequence[0][0], order, strict=True):
            changed = bool((pixels != store.read(unhashed[item])).any())
            assert changed == (training and item != 0), item


def test_a_tile_smaller_than_the_crop_is_named(records: tuple[TileRecord, ...]) -> None:
    sequence = TileSequence(records, LABELS, TileStore(None), tile_px=128, batch=1)
    with pytest.raises(TileError, match=r"c0-s0-t0.png is 64 x 64 px, expected 128"):
        sequence[0]


def tiny() -> keras.Model:
    layers = [keras.Input((32, 32, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)]
    model = keras.Sequential(layers)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


@pytest.mark.parametrize("workers", [1, 2])
def test_fit_sees_each_batch_of_each_epoch_once(records: tuple[TileRecord, ...], workers: int) -> None:
    seen: list[tuple[int, int]] = []

    class Watched(TileSequence):
        def __getitem__(self, index: int) -> Batch:
            seen.append((self.epoch, index))
            return super().__getitem__(index)

    sequence = Watched(records, LABELS, TileStore(None), tile_px=32, batch=4, training=True, workers=workers)

    def begin(epoch: int, _logs: object) -> None:
        seen.clear()
        sequence.epoch = epoch

    def end(epoch: int, _logs: object) -> None:
        assert sorted(seen) == [(epoch, i) for i in range(3)]

    watch = keras.callbacks.LambdaCallback(on_epoch_begin=begin, on_epoch_end=end)
    tiny().fit(sequence, epochs=3, verbose=0, callbacks=[watch])
    gc.collect()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_the_data_thread_keeps_its_type(records: tuple[TileRecord, ...], workers: int) -> None:
    records[7].path.write_bytes(b"damaged")
    sequence = TileSequence(
        records, LABELS, TileStore(None), tile_px=32, batch=2, training=True, workers=workers
    )
    with pytest.raises(Her2EdgeError, match=records[7].tile), typed_errors(sequence):
        tiny().fit(sequence, epochs=1, verbose=0)
    gc.collect()
