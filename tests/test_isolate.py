"""Decoding in a process of its own: the same pixels, and a crash costs a tile."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny
from shared_data import SHARED, needs

from her2edge import Model, SlideReader, TileClassifier
from her2edge.errors import Her2EdgeError, SlideError, SlideReadError
from her2edge.slide.isolated import IsolatedImages, IsolatedSource
from her2edge.tile import Outcome, Tile, UnreadableTile
from her2edge_training import synthetic

CMU = SHARED / "wsi" / "cmu-1-small-region.svs"
CRASH = """
import os, signal, time
from pathlib import Path
import her2edge.slide.images as images
import her2edge.slide.sources as sources
read, read_image = sources.ImageSource.read, images.read_image

def crashing(self, level, x, y, width, height):
    if (x, y) == (64, 0):
        os.kill(os.getpid(), signal.SIGSEGV)
    if (x, y) == (128, 0):
        time.sleep(600)
    return read(self, level, x, y, width, height)

def crashing_image(path):
    if path.name == "b.png":
        os.kill(os.getpid(), signal.SIGSEGV)
    return read_image(path)

sources.ImageSource.read, images.read_image = crashing, crashing_image
"""


def picture(path: Path, columns: int = 4, rows: int = 2) -> Path:
    model = synthetic.make_slide_model("3+", synthetic.SITES[1], 7)
    pixels = synthetic.make_slide_image(model, tiny.SIZE * columns, tiny.SIZE * rows, tiny.MPP).pixels
    cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    return path


@pytest.fixture
def crashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Children, and only they, die at one place and hang at another."""
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(
        "import sys\nif 'her2edge.slide.child' in ' '.join(sys.orig_argv):\n    import crash\n"
    )
    (hook / "crash.py").write_text(CRASH)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(hook), *filter(None, sys.path)]))


def test_tiles_and_thumbnail_are_the_same_bytes(tmp_path: Path) -> None:
    path = picture(tmp_path / "slide.png")
    model = Model.load(tiny.INT8)
    with SlideReader(path, tiny.MPP) as plain, SlideReader(path, tiny.MPP, isolate=True) as isolated:
        assert isolated.fingerprint == plain.fingerprint
        np.testing.assert_array_equal(isolated.thumbnail(100), plain.thumbnail(100))
        tiles = list(zip(plain.tiles(model), isolated.tiles(model), strict=True))
        for one, other in tiles:
            assert isinstance(one, Tile)
            assert isinstance(other, Tile)
            np.testing.assert_array_equal(one.pixels, other.pixels)
    assert len(tiles) == 8


@needs(CMU)
def test_a_real_slide_comes_out_the_same() -> None:
    spec = Model.demo()
    with SlideReader(CMU) as plain, SlideReader(CMU, isolate=True) as isolated:
        assert (isolated.mpp, isolated.dimensions) == (plain.mpp, plain.dimensions)
        places = [(0, 0), (3, 2), (5, 5)]
        pairs = zip(plain.tiles(spec, places), isolated.tiles(spec, places), strict=True)
        for one, other in pairs:
            assert isinstance(one, Tile)
            assert isinstance(other, Tile)
            np.testing.assert_array_equal(one.pixels, other.pixels)


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_a_crash_and_a_hang_cost_one_tile_each(
    tmp_path: Path, crashes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = picture(tmp_path / "slide.png")
    model = Model.load(tiny.INT8)
    source = IsolatedSource(path, timeout=5.0)
    monkeypatch.setattr("her2edge.slide.reader.IsolatedSource", lambda _path: source)
    with SlideReader(path, tiny.MPP, isolate=True) as slide:
        found = list(slide.tiles(model))
    kinds = [type(tile) for tile in found]
    assert kinds == [Tile, UnreadableTile, UnreadableTile, *[Tile] * 5]
    crashed, hung = (tile for tile in found if isinstance(tile, UnreadableTile))
    assert "slide.png: region at (64, 0), level 0" in crashed.error
    assert "signal 11" in crashed.error
    assert "stopped after 5 s" in hung.error
    with SlideReader(path, tiny.MPP) as slide:
        wanted = list(slide.tiles(model))
    for tile, want in zip(found, wanted, strict=True):
        if isinstance(tile, Tile):
            assert isinstance(want, Tile)
            np.testing.assert_array_equal(tile.pixels, want.pixels)
    outcomes = [result.outcome for result in TileClassifier(model).stream(found)]
    assert outcomes.count(Outcome.FAILED) == 2


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_in_a_folder_of_tiles_a_crash_costs_its_file(tmp_path: Path, crashes: None) -> None:
    folder = tmp_path / "tiles"
    folder.mkdir()
    for name in "abc":
        picture(folder / f"{name}.png", 1, 1)
    with SlideReader(folder, isolate=True) as slide:
        found = list(slide.tiles(Model.load(tiny.INT8)))
    assert [type(tile) for tile in found] == [Tile, UnreadableTile, Tile]
    assert isinstance(found[1], UnreadableTile)
    assert found[1].error.startswith("b.png: the image: the process that decoded it ended (signal 11)")


def test_errors_of_the_child_are_those_of_reading_here(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(picture(tmp_path / "whole.png").read_bytes()[:500])
    grey = tmp_path / "grey.png"
    cv2.imwrite(str(grey), np.zeros((64, 64), np.uint8))
    for path, kind in ((broken, SlideReadError), (grey, SlideError)):
        said = []
        for isolate in (False, True):
            with pytest.raises(kind) as error:
                SlideReader(path, tiny.MPP, isolate=isolate)
            said.append(str(error.value))
        assert said[0] == said[1]
    with pytest.raises(Her2EdgeError, match=r"nothing\.png: no such file"):
        IsolatedImages().read(tmp_path / "nothing.png")


def test_closing_ends_the_process(tmp_path: Path) -> None:
    source = IsolatedSource(picture(tmp_path / "slide.png"))
    process = source._decoder._process
    assert process is not None
    source.close()
    assert process.poll() is not None
    source.close()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks Linux for a process")
def test_the_child_ends_with_its_parent(tmp_path: Path) -> None:
    """Also where the parent has no time for goodbyes."""
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom her2edge.slide.isolated import IsolatedSource\n"
        "print(IsolatedSource(Path(sys.argv[1]))._decoder._process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    path = picture(tmp_path / "slide.png")
    run = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=60
    )
    child = int(run.stdout)
    stat = Path(f"/proc/{child}/stat")
    until = time.monotonic() + 30
    while stat.exists() and stat.read_text().split()[2] != "Z":
        assert time.monotonic() < until, "the child lives on"
        time.sleep(0.05)
