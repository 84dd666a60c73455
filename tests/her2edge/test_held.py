"""What is held in memory: a model once, tiles by their bytes, a picture in bands. Peaks are tracemalloc's."""

from __future__ import annotations

import hashlib
import io
import platform
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import repack
from shared_data import SHARED, needs

from her2edge import Model
from her2edge.classifier import READ_AHEAD, READ_AHEAD_BYTES, read_ahead
from her2edge.errors import ModelError
from her2edge.results import SlideInfo
from her2edge.results.class_map import Places, draw_class_map
from her2edge.slide import SlideReader
from her2edge.tile import Outcome, TileResult

SLIDE = "wsi/cmu-1-small-region.svs"
COLOURS = {"0/1+": (69, 117, 180), "2+": (253, 174, 97), "3+": (215, 48, 39)}


@contextmanager
def held() -> Iterator[Callable[[], int]]:
    """Gives the most bytes that were held at once in the block."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def demo_bytes() -> bytes:
    return resources.files("her2edge.data").joinpath("demo-int8.tflite").read_bytes()


def test_a_model_is_held_once_while_it_is_loaded(tmp_path: Path) -> None:
    size = (tmp_path / "m.tflite").write_bytes(demo_bytes())
    for load in (lambda: Model.load(tmp_path / "m.tflite"), Model.demo):
        with held() as most:
            model = load()
            peak = most()
        assert peak < 1.25 * size, "its members are there twice, as bytes and as arrays"
        assert peak > len(model.flatbuffer), "the bytes are in memory, and not a mapped file"


def listed_backwards(data: bytes) -> bytes:
    """The same model, but the ZIP's list has its members from the last to the first."""
    members, offset = repack.members(), len(repack.FLATBUFFER)
    file = io.BytesIO(data[:offset])
    with zipfile.ZipFile(file, "a") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.filelist.reverse()
        archive.comment = b"0" * 64
    found = file.getvalue()[:-64]
    return found + hashlib.sha256(found).hexdigest().encode()


def test_where_the_guess_of_the_zip_is_wrong_the_model_is_the_same() -> None:
    data = listed_backwards(repack.DATA)
    model, usual = Model.from_bytes(data), Model.from_bytes(repack.DATA)
    assert model.flatbuffer == usual.flatbuffer
    assert model.sha256 == hashlib.sha256(data).hexdigest() != usual.sha256


@pytest.mark.parametrize("place", [0, 1000, -70, -64, -1])
def test_a_changed_byte_anywhere_is_found_before_anything_is_parsed(place: int) -> None:
    data = bytearray(repack.DATA)
    data[place] ^= 1
    with pytest.raises(ModelError, match="SHA-256"):
        Model.from_bytes(bytes(data))


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 86, 200])
def test_the_end_of_a_model_file_alone_is_refused(size: int) -> None:
    with pytest.raises(ModelError, match="expected a her2edge model file"):
        Model.from_bytes(repack.DATA[len(repack.DATA) - size :])


@pytest.mark.parametrize(("tile_px", "readers", "ahead"), [
    (64, 1, 16), (512, 2, 16), (512, 16, 32), (768, 1, 7), (1024, 2, 4), (4096, 1, 2),
])  # fmt: skip
def test_tiles_are_read_ahead_by_their_bytes(tile_px: int, readers: int, ahead: int) -> None:
    count = read_ahead(tile_px, readers)
    assert count == ahead
    fits = count * 3 * tile_px**2 <= READ_AHEAD_BYTES and count <= READ_AHEAD
    assert fits or count == 2 * readers


def test_a_class_map_takes_little_beside_its_picture() -> None:
    rows = columns = 16
    slide = SlideInfo(
        "s", "ab" * 32, 0.5, width=1600, height=1600, step=100.0, columns=columns, rows=rows
    )  # fmt: skip
    tiles = [
        TileResult(
            "s", 100.0 * column, 100.0 * row, (100.0, 100.0), Outcome.CLASSIFIED, label="3+", confidence=0.9,
            pooled=row % 2 == 0, quality=() if row % 2 == 0 else ("blur",),
        )
        for row in range(rows) for column in range(columns)
    ]  # fmt: skip
    overview = np.full((1600, 1600, 3), 120, np.uint8)
    places = Places.of(tiles, slide, tuple(COLOURS))
    with held() as most:
        picture = draw_class_map(overview, places, slide, COLOURS)
        peak = most()
    assert picture.shape == overview.shape
    assert peak < 3 * overview.nbytes, "the picture, masks, and a band of floats"


@needs(SLIDE)
def test_a_region_is_read_with_one_copy_of_it() -> None:
    with SlideReader(SHARED / SLIDE) as reader:
        source: Any = reader._open_source()
        source.read(0, 0, 0, 64, 64)
        with held() as most:
            pixels = source.read(0, 0, 0, 1024, 1024)
            peak = most()
    assert pixels.shape == (1024, 1024, 3)
    assert peak < 4 * 1024 * 1024 + 3 * 1024 * 1024 + 2**20, "4 bytes a pixel as it comes, 3 as it goes"


KEPT_SMALL = """
import re, sys
from pathlib import Path
from her2edge_cli.heap import keep_small
if sys.argv[1] == "small":
    keep_small()
def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
import numpy as np
np.zeros(30 << 20, np.uint8)  # freed: from now on glibc puts what is smaller on its heap
before = resident()
pieces = [np.ones(2 << 20, np.uint8) for _ in range(30)]
last = [np.ones(1000, np.uint8) for _ in range(100)]
del pieces
print(resident() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system has no /proc")
def test_the_command_gives_what_is_large_back_to_the_system() -> None:
    def left(how: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", KEPT_SMALL, how], capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    assert left("small") < 20_000, "kB of the 60 MiB that were freed"
    if platform.libc_ver()[0] == "glibc":
        assert left("usual") > 40_000, "what is kept otherwise"
