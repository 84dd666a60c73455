"""Several readers of one slide: the tiles of one, in order, and what fails costs itself alone."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import tiny
from small_slide import draw_folder, draw_slide

from her2edge import Model, Options, SlideReader, Tile, TileClassifier, classify_slide
from her2edge.errors import SlideReadError
from her2edge.ordered import in_order
from her2edge.slide import TileSize, UnreadableTile
from her2edge.slide.decoder import Decoder
from her2edge.slide.handle import SharedHandle
from her2edge.slide.isolated import IsolatedSource
from her2edge.slide.lent import MOST
from her2edge.tile import Pixels

SPEC = TileSize(64, 0.25)
posix = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")


class BrokenError(Exception):
    pass


class Handle:
    """As OpenSlide's: what it is asked of a damaged place, it answers everything with from then on."""

    damaged: frozenset[int] = frozenset()
    meeting: threading.Barrier | None = None
    closed = opened = 0

    def __init__(self) -> None:
        type(self).opened += 1
        self.error: BrokenError | None = None

    def read(self, place: int) -> int:
        if self.meeting is not None and not self.meeting.broken:
            self.meeting.wait()
        if self.error is None and place in self.damaged:
            self.error = BrokenError(f"place {place}")
        if self.meeting is not None and not self.meeting.broken:
            self.meeting.wait()
        if self.error is not None:
            raise self.error
        return 2 * place

    def close(self) -> None:
        type(self).closed += 1


def handle(**attributes: Any) -> tuple[SharedHandle, Any]:
    kind = type("Mine", (Handle,), attributes)
    return SharedHandle(kind, BrokenError), kind


def in_threads(calls: list[Callable[[], Any]]) -> list[Any]:
    found: list[Any] = [None] * len(calls)

    def run(i: int) -> None:
        try:
            found[i] = calls[i]()
        except BrokenError as error:
            found[i] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return found


def test_an_error_that_sticks_to_a_handle_is_the_damaged_places_alone() -> None:
    """Three read at the same time from one handle, and all are answered with the error of one."""
    barrier = threading.Barrier(3, action=lambda: None, timeout=20)
    shared, kind = handle(damaged=frozenset({1}), meeting=barrier)

    def one(place: int) -> int:
        def read(mine: Any) -> int:
            try:
                return int(mine.read(place))
            finally:
                kind.meeting = None  # who reads again does so without the others

        return shared.use(read)

    first, lost, third = in_threads([lambda: one(0), lambda: one(1), lambda: one(2)])
    assert (first, third) == (0, 4)
    assert isinstance(lost, BrokenError)
    assert str(lost) == "place 1"


def test_who_reads_alone_opens_one_handle_after_an_error() -> None:
    shared, kind = handle(damaged=frozenset({1}))
    assert shared.use(lambda mine: mine.read(0)) == 0
    with pytest.raises(BrokenError):
        shared.use(lambda mine: mine.read(1))
    assert shared.use(lambda mine: mine.read(2)) == 4
    assert kind.opened == 2


def test_a_handle_is_closed_once_and_not_before_its_last_read() -> None:
    shared, kind = handle()

    def read(mine: Any) -> int:
        shared.close()
        assert kind.closed == 0, "closed while it was read"
        return int(mine.read(3))

    assert shared.use(read) == 6
    assert kind.closed == kind.opened == 1


def tissue(rows: int, columns: int) -> Pixels:
    return np.random.default_rng(3).integers(0, 256, (rows, columns, 3), dtype=np.uint8)


def damaged_slide(path: Path, damaged: tuple[int, ...]) -> Path:
    """A slide of 10 x 8 stored tiles of 64 px, deflated; these of them cannot be inflated."""
    tifffile.imwrite(
        path, tissue(512, 640), tile=(64, 64), photometric="rgb", compression="zlib",
        resolution=(4e4, 4e4), resolutionunit="CENTIMETER", metadata=None,
    )  # fmt: skip
    with tifffile.TiffFile(path) as file:
        offsets = file.pages[0].dataoffsets
    data = bytearray(path.read_bytes())
    for number in damaged:
        data[offsets[number] : offsets[number] + 40] = bytes(40)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("readers", [1, 2, 8])
def test_damaged_places_cost_themselves_however_many_read(tmp_path: Path, readers: int) -> None:
    damaged = (0, 1, 7, 33, 34, 35, 36, 79)
    with SlideReader(damaged_slide(tmp_path / "slide.tif", damaged)) as slide:
        tiles = list(in_order(lambda tile: tile, slide.tiles(SPEC), 2, 16, readers=readers))
    lost = [number for number, tile in enumerate(tiles) if isinstance(tile, UnreadableTile)]
    assert lost == list(damaged)
    pixels = tissue(512, 640)
    for number, tile in enumerate(tiles):
        assert (tile.x, tile.y) == (64 * (number % 10), 64 * (number // 10))
        if isinstance(tile, Tile):
            y, x = int(tile.y), int(tile.x)
            np.testing.assert_array_equal(tile.pixels, pixels[y : y + 64, x : x + 64])


def test_several_threads_read_a_slide_at_the_same_time(tmp_path: Path) -> None:
    """Each waits for the other in the middle of its read: it would wait for ever if they read in turns."""
    both = threading.Barrier(2, timeout=20)
    path = damaged_slide(tmp_path / "slide.tif", ())
    with SlideReader(path) as slide:
        source = slide._open_source()
        real = source.read

        def read(*region: int) -> Pixels:
            both.wait()
            return real(*region)

        source.read = read  # type: ignore[method-assign]
        assert len(list(in_order(lambda tile: tile, slide.tiles(SPEC), 2, 16, readers=2))) == 80


@pytest.mark.parametrize("readers", [2, 6])
@pytest.mark.parametrize("folder", [False, True])
def test_isolated_readers_have_a_process_each_and_give_the_same_tiles(
    tmp_path: Path, readers: int, folder: bool
) -> None:
    path = draw_folder(tmp_path / "tiles") if folder else draw_slide(tmp_path / "slide.png")
    model, mpp = Model.load(tiny.INT8), None if folder else tiny.MPP
    with SlideReader(path, mpp) as plain:
        wanted = [tile.pixels for tile in plain.tiles(model) if isinstance(tile, Tile)]
    with SlideReader(path, mpp, isolate=True) as slide:
        found = list(in_order(lambda tile: tile, slide.tiles(model), 2, 16, readers=readers))
        lent = slide._images if folder else slide._source
        assert lent is not None
        children = [place.one._decoder._process for place in lent._places]
        assert 1 < len(children) <= min(readers, MOST)
    for tile, pixels in zip(found, wanted, strict=True):
        assert isinstance(tile, Tile)
        np.testing.assert_array_equal(tile.pixels, pixels)
    assert all(child is None or child.poll() is not None for child in children), "a process was left"


@posix
def test_a_reader_that_is_killed_costs_the_tile_it_was_at(tmp_path: Path) -> None:
    path = draw_slide(tmp_path / "slide.png")
    model = Model.load(tiny.INT8)
    with SlideReader(path, tiny.MPP, isolate=True) as slide:
        lent, killed = slide._source, []
        assert lent is not None
        real = IsolatedSource.read

        def read(source: IsolatedSource, *region: int) -> Pixels:
            child = source._decoder._process
            if child is not None and len(lent._places) > 1 and not killed:
                killed.append(region[1:3])
                os.kill(child.pid, signal.SIGSTOP)  # so that it cannot answer before it is killed
                threading.Timer(0.1, child.kill).start()
            return real(source, *region)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(IsolatedSource, "read", read)
            tiles = list(in_order(lambda tile: tile, slide.tiles(model), 2, 16, readers=3))
    lost = [(tile.x, tile.y) for tile in tiles if isinstance(tile, UnreadableTile)]
    assert len(tiles) == 24
    assert lost == killed


class NoSecond(Decoder):
    """A process that starts, and twins that do not."""

    def twin(self) -> Decoder:
        def refuse() -> Any:
            raise SlideReadError("process for decoding cannot be started")

        return Decoder(self.timeout, 1.0, refuse)


def test_where_no_other_process_starts_reading_goes_on_in_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = draw_slide(tmp_path / "slide.png")
    source = IsolatedSource(path, NoSecond())
    with SlideReader(path, tiny.MPP, source=source) as slide, caplog.at_level(logging.WARNING, "her2edge"):
        tiles = slide.tiles(Model.load(tiny.INT8))
        kinds = {type(tile) for tile in in_order(lambda tile: tile, tiles, 2, 16, readers=4)}
    assert kinds == {Tile}
    assert len([record for record in caplog.records if "fewer processes" in record.message]) == 1


@pytest.mark.parametrize("readers", [2, 5])
@pytest.mark.parametrize("isolate", [False, True])
def test_readers_change_no_byte_of_the_files(tmp_path: Path, readers: int, isolate: bool) -> None:
    path, model = draw_slide(tmp_path / "slide.png"), Model.load(tiny.INT8)
    files = []
    for count in (1, readers):
        classifier = TileClassifier(model, Options(threads=1, readers=count))
        run = classify_slide(path, tmp_path / f"{count}", classifier, mpp=tiny.MPP, isolate=isolate)
        files.append({file.name: file.read_bytes() for file in run.files if file.name != "run.json"})
    assert files[0] == files[1]


def test_a_slide_that_shrinks_while_several_read_it_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    path = damaged_slide(tmp_path / "slide.tif", ())
    classifier = TileClassifier(Model.load(tiny.INT8), Options(threads=1, readers=4))

    def shrink(done: int, _total: int) -> None:
        if done == 10:
            os.truncate(path, path.stat().st_size // 2)

    with pytest.raises(SlideReadError, match="changed while it was being read"):
        classify_slide(path, tmp_path / "out", classifier, mpp=tiny.MPP, progress=shrink)
    assert not list((tmp_path / "out").rglob("summary.json"))
