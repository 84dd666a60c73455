"""Tiles are decoded once for all trainings, and nothing that happens to the cache costs a run or a pixel."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import msgspec
import numpy as np
import pytest
from faults import failing_files, file_size_limit
from training_data import write_cohort

from her2edge.errors import OutputError, TileError
from her2edge.slide.images import decode_image
from her2edge.stain import MacenkoNormalizer
from her2edge.tile import Pixels
from her2edge_training.cohort import cache_folder
from her2edge_training.cohort.cache_index import ENTRY_BYTES, Entry, entry_bytes, read_entries
from her2edge_training.cohort.cache_maker import maker_of, probe_tile
from her2edge_training.cohort.screen import screen
from her2edge_training.cohort.stains import stain_normalizer
from her2edge_training.cohort.store import TileStore
from her2edge_training.cohort.tile_cache import RESERVE, TileCache, open_cache
from her2edge_training.cohort.tile_list import TileList, TileRecord
from her2edge_training.recipe import Recipe, Stage, Stain

STAIN = Stain()
NORMALIZE = stain_normalizer(STAIN)
RECIPE = Recipe("r", "resnet50", (Stage(32, 1, 1e-3, 4),), tile_px=64, stain=STAIN)
NAMES = {"cache.json", "tiles.u8", "tiles.index"}
ROOT = Path(__file__).resolve().parents[3]


class Process:
    """What a process does with a cache: its lines, and the names of the tiles it decoded. memory: MiB."""

    def __init__(self, folder: Path, stain: Stain = STAIN, memory: int = 0, **options: Any) -> None:
        self.lines: list[str] = []
        self.decoded: list[str] = []
        normalize = stain_normalizer(stain)
        self.cache = open_cache(folder, stain, normalize, self.lines.append, **options)
        self.store = TileStore(normalize, memory, self._decode, self.cache)

    def _decode(self, file: BinaryIO, path: Path) -> Pixels:
        self.decoded.append(path.name)
        return decode_image(file, path)

    def screen(self, records: tuple[TileRecord, ...]) -> Process:
        assert screen(records, RECIPE, self.store, {}).good == records
        return self

    def check(self, records: tuple[TileRecord, ...], normalized: bool = True) -> Process:
        """Every tile is what it is without a cache."""
        for record in records:
            whole = cv2.imread(str(record.path), cv2.IMREAD_COLOR_RGB)
            expected = MacenkoNormalizer().normalize(whole).pixels if normalized else whole
            np.testing.assert_array_equal(self.store.read(record), expected)
        return self

    def end(self) -> None:
        self.store.close()


@pytest.fixture
def records(tmp_path: Path) -> tuple[TileRecord, ...]:
    (tmp_path / "tiles").mkdir()
    return TileList.read(write_cohort(tmp_path / "tiles", slides=2, tiles=2)).records


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def place(folder: Path) -> Path:
    return folder / "per_tile-torchstain"


def built(folder: Path, records: tuple[TileRecord, ...]) -> None:
    Process(folder).screen(records).end()


def names(records: tuple[TileRecord, ...]) -> list[str]:
    return sorted(record.tile for record in records)


def test_a_tile_is_decoded_once_for_all_processes(records: tuple[TileRecord, ...], folder: Path) -> None:
    first = Process(folder).screen(records).check(records)
    assert sorted(first.decoded) == names(records)
    first.end()
    second = Process(folder).screen(records).check(records)
    assert (second.decoded, second.lines) == ([], [])
    assert {path.name for path in (folder / "per_tile-torchstain").iterdir()} == NAMES | {".her2edge.lock"}
    second.end()
    assert {path.name for path in (folder / "per_tile-torchstain").iterdir()} == NAMES


def test_a_cache_is_read_while_it_is_made(records: tuple[TileRecord, ...], folder: Path) -> None:
    """The map of the file grows with it; what was read before stays what it was."""
    process, kept = Process(folder), []
    for record in records:
        process.store.check(record, 64)
        kept.append(process.store.read(record))
    assert sorted(process.decoded) == names(records)
    process.check(records)
    for record, pixels in zip(records, kept, strict=True):
        np.testing.assert_array_equal(process.store.read(record), pixels)


def test_tiles_of_no_stated_hash_are_found_by_their_files(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "tiles").mkdir()
    listed = TileList.read(write_cohort(tmp_path / "tiles", slides=2, tiles=2)).records
    records = tuple(replace(record, sha256="") for record in listed)
    built(folder, records)
    process = Process(folder).screen(records).check(records)
    assert process.decoded == []
    process.end()
    other = cv2.imread(str(records[3].path))[::-1]
    cv2.imwrite(str(records[3].path), other)
    again = Process(folder).screen(records).check(records)
    assert again.decoded == [records[3].tile]


def test_a_hash_in_the_list_that_is_none_is_refused_as_without_a_cache(
    records: tuple[TileRecord, ...], folder: Path
) -> None:
    built(folder, records)
    with pytest.raises(TileError, match="the file has changed"):
        Process(folder).store.read(replace(records[0], sha256="none"))


def test_a_tile_that_is_too_small_is_refused_from_the_cache_too(
    records: tuple[TileRecord, ...], folder: Path
) -> None:
    built(folder, records)
    process = Process(folder)
    with pytest.raises(TileError, match="is 64 x 64 px, expected 65"):
        process.store.check(records[0], 65)
    assert process.decoded == []


# ---- half written


@pytest.mark.parametrize("cut", [0, 1, ENTRY_BYTES - 1, ENTRY_BYTES, 5 * ENTRY_BYTES + 7])
def test_what_a_killed_process_left_is_gone_on_with(
    records: tuple[TileRecord, ...], folder: Path, place: Path, cut: int
) -> None:
    """Its index ends anywhere, its last pixels have no entry, its lock is left."""
    built(folder, records)
    (place / ".her2edge.lock").touch()
    index = (place / "tiles.index").read_bytes()
    (place / "tiles.index").write_bytes(index[:cut])
    process = Process(folder).screen(records).check(records)
    whole = cut // ENTRY_BYTES
    assert len(process.decoded) == len(records) - whole
    assert bool(process.lines) == (cut % ENTRY_BYTES > 0)
    process.end()
    after = Process(folder).screen(records).check(records)
    assert (after.decoded, after.lines) == ([], [])


@pytest.mark.slow
def test_a_process_that_is_killed_while_it_writes_costs_the_tiles_after(
    records: tuple[TileRecord, ...], folder: Path, tmp_path: Path
) -> None:
    code = f"""
import os, signal
from pathlib import Path
from her2edge_training.cohort.stains import stain_normalizer
from her2edge_training.cohort.store import TileStore
from her2edge_training.cohort.tile_cache import open_cache
from her2edge_training.cohort.tile_list import TileList
from her2edge_training.recipe import Stain
normalize = stain_normalizer(Stain())
store = TileStore(normalize, 0, cache=open_cache(Path({str(folder)!r}), Stain(), normalize, print))
for number, record in enumerate(TileList.read({str(tmp_path / "tiles" / "cohort.csv")!r}).records):
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    store.read(record)
"""
    places = os.pathsep.join(str(ROOT / name) for name in ("", "cli", "quantize", "training"))
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": places}, timeout=300, check=False
    )
    assert done.returncode == -signal.SIGKILL
    process = Process(folder).screen(records).check(records)
    assert sorted(process.decoded) == names(records[7:])


def test_pixels_that_are_not_as_written_are_decoded_again(
    records: tuple[TileRecord, ...], folder: Path, place: Path
) -> None:
    """As after a power cut: the index was on the disk, a page of pixels was not."""
    built(folder, records)
    with (place / "tiles.u8").open("r+b") as file:
        file.seek(4096 * 2)
        file.write(bytes(4096))
    process = Process(folder).screen(records).check(records)
    assert len(process.decoded) == 1
    assert process.lines == ["tile cache: found pixels that are not as they were written: decoded again"]
    process.end()
    assert Process(folder).screen(records).check(records).decoded == []


def test_a_file_of_pixels_that_was_cut_short_or_is_gone_costs_its_tiles(
    records: tuple[TileRecord, ...], folder: Path, place: Path
) -> None:
    for damage in (lambda path: os.truncate(path, 3 * 12288 + 5), Path.unlink):
        built(folder, records)
        damage(place / "tiles.u8")
        process = Process(folder).screen(records).check(records)
        assert 0 < len(process.decoded) <= len(records)
        assert "not whole" in process.lines[0]
        process.end()


def test_a_damaged_entry_costs_its_tile_alone() -> None:
    entries = {bytes([i]) * 32: Entry(4096 * i, 8, 16, i) for i in range(5)}
    data = b"".join(entry_bytes(*pair) for pair in entries.items())
    assert read_entries(data, 4096 * 5) == (entries, 0)
    for place in range(len(data)):
        damaged = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        found, lost = read_entries(damaged, 4096 * 5)
        assert lost == 1
        assert found == {key: one for key, one in entries.items() if one.check != place // ENTRY_BYTES}
    assert read_entries(data, 4096 * 4 + 3 * 8 * 16 - 1)[1] == 1  # beyond the end of the file


# ---- of another version, of another stain, of somebody else


@pytest.mark.parametrize("field", ["format", "release", "decoder", "probe", "stain_profile"])
def test_a_cache_of_another_version_is_built_anew(
    records: tuple[TileRecord, ...], folder: Path, place: Path, field: str
) -> None:
    built(folder, records)
    maker = msgspec.json.decode((place / "cache.json").read_bytes())
    maker[field] = 0 if field == "format" else "other"
    (place / "cache.json").write_bytes(msgspec.json.encode(maker))
    process = Process(folder).screen(records).check(records)
    assert "another version" in process.lines[0]
    assert process.lines[0].endswith("built anew")
    assert sorted(process.decoded) == names(records)
    process.end()
    assert Process(folder).screen(records).decoded == []


@pytest.mark.parametrize("damage", [b"", b"{", b'{"format": "one"}', None])
def test_a_cache_that_does_not_say_what_it_is_is_built_anew(
    records: tuple[TileRecord, ...], folder: Path, place: Path, damage: bytes | None
) -> None:
    built(folder, records)
    if damage is None:
        (place / "cache.json").unlink()
    else:
        (place / "cache.json").write_bytes(damage)
    process = Process(folder).screen(records).check(records)
    assert "not begun properly: built anew" in process.lines[0]


def test_another_normaliser_or_stain_is_another_maker() -> None:
    assert NORMALIZE is not None
    assert (NORMALIZE(probe_tile()) != probe_tile()).any(), "the probe has two stains"
    mine = maker_of(STAIN, NORMALIZE)
    assert maker_of(STAIN, NORMALIZE) == mine
    assert maker_of(STAIN, lambda pixels: NORMALIZE(pixels) ^ 1) != mine
    assert maker_of(Stain("off"), None).probe == ""


def test_stains_lie_side_by_side(records: tuple[TileRecord, ...], folder: Path) -> None:
    built(folder, records)
    off = Process(folder, Stain("off"))
    off.screen(records).check(records, normalized=False)
    off.end()
    assert sorted(path.name for path in folder.iterdir()) == ["off", "per_tile-torchstain"]
    assert Process(folder).check(records).decoded == []
    assert Process(folder, Stain("off")).check(records, normalized=False).decoded == []


@pytest.mark.parametrize("what", ["a file of others", "a link", "a file for the folder", "a file above"])
def test_a_folder_that_is_no_cache_is_refused_and_left_as_it_is(folder: Path, place: Path, what: str) -> None:
    (place.parent if what.startswith("a file for") else place).mkdir(parents=True)
    if what == "a file of others":
        (place / "notes.txt").write_text("mine")
    elif what == "a link":
        (folder / "mine").write_text("mine")
        (place / "tiles.u8").symlink_to(folder / "mine")
    elif what == "a file for the folder":
        place.write_text("mine")
    else:
        (folder / "mine").write_text("mine")
        folder = folder / "mine" / "below"
    with pytest.raises(OutputError, match="choose another --cache"):
        Process(folder)
    assert {path.read_text() for path in place.parent.rglob("*") if path.is_file()} == {"mine"}


# ---- full, read-only, held by another


def test_a_full_disk_is_told_once_and_costs_decoding_only(
    records: tuple[TileRecord, ...], folder: Path
) -> None:
    process = Process(folder, free=lambda _: RESERVE + 1000).screen(records).check(records)
    assert len(process.lines) == 1
    assert "found fewer than 2 GiB free" in process.lines[0]
    assert "training goes on; free some space or choose another --cache" in process.lines[0]
    assert len(process.decoded) == 2 * len(records)
    assert not process.cache.grows
    kept = Process(folder, memory=1, free=lambda _: 0).screen(records).check(records)
    assert len(kept.decoded) == len(records), "memory takes their place"


def test_a_disk_that_gets_full_keeps_what_is_there(records: tuple[TileRecord, ...], folder: Path) -> None:
    process = Process(folder).screen((*records[:5], *records[6:10]))
    with file_size_limit(1000):
        process.screen(records).check(records)
    assert len(process.lines) == 1
    assert "File too large: 9 tiles are in it" in process.lines[0]
    process.end()
    after = Process(folder)
    after.screen(records).check(records)
    assert sorted(after.decoded) == names((records[5], *records[10:]))


@pytest.mark.parametrize("n", range(1, 8))
def test_a_disk_that_is_full_when_the_cache_is_made_costs_the_cache_only(
    records: tuple[TileRecord, ...], folder: Path, n: int
) -> None:
    """Full at the n-th of making, writing, syncing and renaming files."""
    with failing_files(n) as fault:
        process = Process(folder)
    process.screen(records).check(records)
    assert bool(process.lines) == (fault.calls >= n)
    process.end()
    after = Process(folder).screen(records).check(records)
    assert after.cache is not None


def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a folder on a read-only disk is for every user."""

    def refused(*_: Any, **__: Any) -> None:
        raise OSError(30, os.strerror(30))

    monkeypatch.setattr(cache_folder, "claim", refused)
    monkeypatch.setattr(cache_folder, "write_bytes", refused)
    monkeypatch.setattr(Path, "unlink", refused)


def test_a_read_only_cache_is_read_and_left_as_it_is(
    records: tuple[TileRecord, ...], folder: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built(folder, records[:9])
    before = {path.name: path.read_bytes() for path in place.iterdir() if path.name != "tiles.u8"}
    read_only(monkeypatch)
    process = Process(folder).screen(records).check(records)
    assert process.lines == [
        "tile cache: Read-only file system: its tiles are read, others are decoded in every epoch"
    ]
    assert set(process.decoded) == set(names(records[9:]))
    assert {path.name: path.read_bytes() for path in place.iterdir() if path.name != "tiles.u8"} == before


def test_a_read_only_cache_of_another_version_is_not_used(
    records: tuple[TileRecord, ...], folder: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built(folder, records)
    (place / "cache.json").write_bytes(b"{}")
    read_only(monkeypatch)
    process = Process(folder).screen(records).check(records)
    assert process.cache is None
    assert process.lines[-1].endswith("and cannot make one: training goes on without it")


def test_while_one_command_adds_another_reads(records: tuple[TileRecord, ...], folder: Path) -> None:
    built(folder, records[:9])
    one = Process(folder)
    other = Process(folder)
    assert other.lines == [
        "tile cache: another command adds to it: its tiles are read, others are decoded in every epoch"
    ]
    one.screen(records)
    other.screen(records).check(records)
    assert set(other.decoded) == set(names(records[9:]))
    one.end()
    assert Process(folder).check(records).decoded == []


# ---- what is said


def test_what_is_missing_and_whether_it_finds_room_is_said(
    records: tuple[TileRecord, ...], folder: Path
) -> None:
    built(folder, records[:9])
    for free, line in (
        (RESERVE + 2**40, "tile cache: holds 9 of 12 tiles; the others take 3.0 GiB"),
        (RESERVE + 2**30, "the others take 3.0 GiB, found 1.0 GiB free beside 2 GiB for the run: free some"),
    ):
        process = Process(folder, free=lambda _, free=free: free)
        assert isinstance(process.cache, TileCache)
        process.cache.tell([record.sha256 for record in records], 2**30)
        assert line in process.lines[0]
        process.end()
