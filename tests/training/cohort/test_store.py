"""Each tile is decoded once: what was decoded to be checked is what training reads."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import cv2
import msgspec
import numpy as np
import pytest
from training_data import write_cohort

from her2edge.errors import MissingInputError, SlideReadError, TileError
from her2edge.slide.images import decode_image
from her2edge.stain import MacenkoNormalizer
from her2edge.tile import Pixels
from her2edge_training.cohort.screen import Screened, screen
from her2edge_training.cohort.stains import stain_normalizer
from her2edge_training.cohort.store import TileStore, network_inputs
from her2edge_training.cohort.stores import Stores
from her2edge_training.cohort.tile_list import TileList, TileListError, TileRecord
from her2edge_training.recipe import Recipe, Stage, Stain

RECIPE = Recipe("r", "resnet50", (Stage(32, 1, 1e-3, 4),), tile_px=64, stain=Stain("off"))
TILE_BYTES = 64 * 64 * 3


class Decoder:
    """Decodes, and remembers what."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, file: BinaryIO, path: Path) -> Pixels:
        self.names.append(path.name)
        return decode_image(file, path)


@pytest.fixture
def records(tmp_path: Path) -> tuple[TileRecord, ...]:
    return TileList.read(write_cohort(tmp_path, slides=2, tiles=2)).records


@pytest.fixture
def decoder() -> Decoder:
    return Decoder()


def screened(records: tuple[TileRecord, ...], store: TileStore, before: Screened | None = None) -> Screened:
    known = {} if before is None else {checked.tile: checked for checked in before.checked}
    return screen(records, RECIPE, store, known)


def test_tiles_that_were_checked_are_not_decoded_again_to_be_read(
    records: tuple[TileRecord, ...], decoder: Decoder
) -> None:
    store = TileStore(None, decode=decoder)
    assert screened(records, store).good == records
    for _ in range(2):
        for record in records:
            store.read(record)
    assert sorted(decoder.names) == sorted(record.tile for record in records)


def test_trainings_one_after_the_other_share_what_was_decoded(
    records: tuple[TileRecord, ...], decoder: Decoder
) -> None:
    for memory in (100, 0):
        decoder.names.clear()
        stores = Stores(memory, decoder)
        for _ in range(2):
            assert screened(records, stores.of(Stain("off"))).good == records
        assert len(decoder.names) == len(records)
        with pytest.raises(TileError, match=r"found 12 of 12 tiles .* is 64 x 64 px, expected 128"):
            screen(records, msgspec.structs.replace(RECIPE, tile_px=128), stores.of(Stain("off")), {})
        assert len(decoder.names) == len(records)


def test_a_tile_that_has_changed_since_it_was_checked_is_not_read_as_it_was(
    records: tuple[TileRecord, ...],
) -> None:
    unhashed, store = tuple(replace(record, sha256="") for record in records), TileStore(None)
    screened(unhashed, store)
    other_pixels(records[4].path)
    screened(unhashed, store)
    assert (store.read(unhashed[4]) == 90).all()


def test_another_stain_has_another_store() -> None:
    stores = Stores(1)
    first = stores.of(Stain())
    assert stores.of(Stain()) is first
    assert stores.of(Stain("off")) is not first


def test_what_the_check_keeps_is_normalised(records: tuple[TileRecord, ...]) -> None:
    store = TileStore(stain_normalizer(Stain()))
    screened(records, store)
    whole = cv2.imread(str(records[5].path), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(store.read(records[5]), MacenkoNormalizer().normalize(whole).pixels)


def test_the_check_keeps_no_more_than_there_is_room_for_and_normalises_no_more(tmp_path: Path) -> None:
    records = TileList.read(write_cohort(tmp_path, slides=4, tiles=8)).records
    calls: list[int] = []

    def count(pixels: Pixels) -> Pixels:
        calls.append(1)
        return pixels

    decoder = Decoder()
    store = TileStore(count, memory_mib=1, decode=decoder)
    screened(records, store)
    fits = 2**20 // TILE_BYTES
    assert (len(calls), len(decoder.names)) == (fits, len(records))
    kept = [record for record in records if not decoded_by(store, record, decoder)]
    assert len(kept) == fits
    store.make_room(kept[:3])  # the store was full: these go, and others come
    others = [record for record in records if record not in kept][:3]
    for record in others:
        assert decoded_by(store, record, decoder)
        assert not decoded_by(store, record, decoder)
    assert decoded_by(store, kept[0], decoder)


def test_a_store_with_room_for_all_forgets_nothing(records: tuple[TileRecord, ...], decoder: Decoder) -> None:
    store = TileStore(None, decode=decoder)
    screened(records, store)
    store.make_room(records)
    assert not any(decoded_by(store, record, decoder) for record in records)


def decoded_by(store: TileStore, record: TileRecord, decoder: Decoder) -> bool:
    before = len(decoder.names)
    store.read(record)
    return len(decoder.names) > before


def touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def other_pixels(path: Path) -> None:
    path.write_bytes(cv2.imencode(".png", np.full((64, 64, 3), 90, np.uint8))[1].tobytes())


@pytest.mark.parametrize(
    ("change", "decoded"),
    [(lambda _path: None, []), (touch, []), (other_pixels, ["c1-s0-t0.png"])],
    ids=["nothing", "time", "bytes"],
)
def test_a_tile_is_checked_again_where_its_file_has_changed_only(
    records: tuple[TileRecord, ...], decoder: Decoder, change: Callable[[Path], None], decoded: list[str]
) -> None:
    unhashed = tuple(replace(record, sha256="") for record in records)
    before = screened(unhashed, TileStore(None))
    change(records[4].path)
    after = screened(unhashed, TileStore(None, decode=decoder), before)
    assert decoder.names == decoded
    assert after.good == unhashed
    assert screened(unhashed, TileStore(None), after).checked == after.checked


def test_a_tile_that_is_gone_or_was_unreadable_is_looked_at_again(
    records: tuple[TileRecord, ...], decoder: Decoder
) -> None:
    tolerant = msgspec.structs.replace(RECIPE, max_unreadable_share=0.5)
    data = records[0].path.read_bytes()
    records[0].path.write_bytes(b"damaged")
    before = screen(records, tolerant, TileStore(None), {})
    assert [one.tile for one in before.unreadable] == ["c0-s0-t0.png"]
    records[0].path.write_bytes(data)
    records[1].path.unlink()
    known = {checked.tile: checked for checked in before.checked}
    after = screen(records, tolerant, TileStore(None, decode=decoder), known)
    assert [one.tile for one in after.unreadable] == ["c0-s0-t1.png"]
    assert decoder.names == ["c0-s0-t0.png"]


def test_a_tile_is_decoded_once_while_there_is_room(records: tuple[TileRecord, ...]) -> None:
    for memory, expected in ((1, 1), (0, 3)):
        decoder = Decoder()
        store = TileStore(None, memory, decoder)
        for _ in range(3):
            store.read(records[0])
        assert len(decoder.names) == expected


def test_a_corrupt_tile_is_named(records: tuple[TileRecord, ...]) -> None:
    good = records[0].path.read_bytes()
    for data in (b"", b"not an image", good[: len(good) // 3][:40]):
        records[0].path.write_bytes(data)
        with pytest.raises(TileError, match=r"c0-s0-t0.png has sha256"):
            TileStore(None).read(records[0])
        unhashed = replace(records[0], sha256="")
        with pytest.raises(SlideReadError, match=r"c0-s0-t0.png: cannot be decoded"):
            TileStore(None).read(unhashed)
    records[0].path.unlink()
    with pytest.raises(MissingInputError, match=r"c0-s0-t0.png"):
        TileStore(None).read(records[0])
    with pytest.raises(MissingInputError, match=r"c0-s0-t0.png"):
        TileStore(None).check(records[0], 32)


def test_a_truncated_jpeg_is_refused_although_half_of_it_could_be_seen(tmp_path: Path) -> None:
    record = TileList.read(write_cohort(tmp_path, slides=2, tiles=1)).records[0]
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    data = bytes(cv2.imencode(".jpg", noise)[1])
    record.path.write_bytes(data[: len(data) // 2])
    with pytest.raises(SlideReadError, match="cannot be decoded"):
        TileStore(None).check(replace(record, sha256=""), 32)


def test_a_network_is_given_the_centre_of_each_tile_normalised(records: tuple[TileRecord, ...]) -> None:
    recipe = msgspec.structs.replace(RECIPE, tile_px=32, stain=Stain())
    inputs = list(network_inputs(records, recipe))
    whole = cv2.imread(str(records[3].path), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(inputs[3], MacenkoNormalizer().normalize(whole).pixels[16:48, 16:48])
    with pytest.raises(TileError, match="expected 128 or more"):
        next(network_inputs(records, msgspec.structs.replace(RECIPE, tile_px=128)))


def test_a_list_used_for_a_recipe_of_other_labels_is_refused(tmp_path: Path) -> None:
    tiles = TileList.read(write_cohort(tmp_path, slides=1, tiles=1))
    tiles.check_labels(("0/1+", "2+", "3+"))
    with pytest.raises(TileListError, match=r"found label '2\+' of tile c1-s0-t0.png"):
        tiles.check_labels(("0/1+", "3+"))
