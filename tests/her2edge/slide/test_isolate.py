"""Decoding in a process of its own: the same pixels, and a crash costs a tile."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO

import cv2
import msgspec
import numpy as np
import pytest
import tiny
from shared_data import SHARED, needs

from her2edge import Model, SlideReader, TileClassifier
from her2edge.errors import Her2EdgeError, RuntimeUnavailable, SlideError, SlideReadError
from her2edge.slide import decoder
from her2edge.slide.decoder import Decoder
from her2edge.slide.isolated import IsolatedImages, IsolatedSource
from her2edge.slide.spawn import checked_python
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
def test_a_crash_and_a_hang_cost_one_tile_each(tmp_path: Path, crashes: None) -> None:
    path = picture(tmp_path / "slide.png")
    model = Model.load(tiny.INT8)
    with SlideReader(path, tiny.MPP, source=IsolatedSource(path, Decoder(5.0))) as slide:
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


class Interrupted(Decoder):
    """A decoder that is interrupted once, when it waits for the answer, if `due`."""

    due = False

    def _reply(self, stream: BinaryIO) -> decoder.Reply:
        if self.due:
            self.due = False
            raise KeyboardInterrupt
        return super()._reply(stream)


def test_a_read_that_is_interrupted_never_answers_the_next_one(tmp_path: Path) -> None:
    """As in a notebook: Ctrl-C, and the same reader again. Its answer was on its way, of the same size."""
    process = Interrupted()
    source = IsolatedSource(picture(tmp_path / "slide.png"), process)
    wanted = source.read(0, 64, 0, 64, 64)
    process.due = True
    with pytest.raises(KeyboardInterrupt):
        source.read(0, 0, 0, 64, 64)
    np.testing.assert_array_equal(source.read(0, 64, 0, 64, 64), wanted)
    source.close()


ANSWERS = {
    "no message": b"Hello, I am no decoder",
    "another message": msgspec.msgpack.encode(["Opened"]),
    "more pixels than asked for": msgspec.msgpack.encode(decoder.Decoded(60_000, 60_000)),
    "other than Opened": msgspec.msgpack.encode(decoder.Decoded(64, 64)),
    "fewer pixels than none": msgspec.msgpack.encode({"type": "Decoded", "height": -1, "width": 5}),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_child_that_a_file_has_taken_over_is_not_believed(tmp_path: Path, kind: str) -> None:
    answer = ANSWERS[kind]
    said = answer if kind == "no message" else len(answer).to_bytes(4, "little") + answer
    script = f"import sys; sys.stdout.buffer.write({said!r}); sys.stdout.flush(); sys.stdin.read()"

    def impostor() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    path = tmp_path / "a.png"
    process = Decoder(10.0, 10.0, impostor)
    opening = kind == "other than Opened"
    read = (lambda place: IsolatedSource(place, process)) if opening else IsolatedImages(process).read
    with pytest.raises(SlideReadError, match=r"a\.png: .*damaged") as error:
        read(path)
    assert "stopped after" not in str(error.value)  # it was seen, not waited for


@pytest.mark.parametrize("frozen", [False, True])
def test_a_program_that_embeds_python_is_not_started_a_second_time(frozen: bool) -> None:
    name = sys.executable if frozen else "/opt/scanner/scanner.exe"
    with pytest.raises(RuntimeUnavailable, match="set_executable"):
        checked_python(name, frozen=frozen)


@pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX")
def test_ctrl_c_in_a_terminal_is_the_parents_alone(tmp_path: Path) -> None:
    """A terminal sends it to a group; a child that is still importing would print where it was."""
    source = IsolatedSource(picture(tmp_path / "slide.png"))
    process = source._decoder._process
    assert process is not None
    assert os.getpgid(process.pid) != os.getpgid(0)
    source.close()


@pytest.mark.parametrize(("flag", "variable"), [("-I", True), ("-P", False), ("-E", True)])
def test_the_child_imports_what_the_parent_does_and_reads_no_variable_it_was_told_not_to(
    tmp_path: Path, flag: str, variable: bool
) -> None:
    """Modules in the working folder, a slide's say, or on PYTHONPATH are none of a parent's with flags."""
    path = picture(tmp_path / "slide.png")
    hook = tmp_path / "hook"
    hook.mkdir()
    for name in ("sitecustomize.py", "msgspec.py", "json.py"):
        (hook / name).write_text(f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n")
    script = (
        f"import sys; sys.path[:] = {[entry for entry in sys.path if entry]!r}\n"
        "from pathlib import Path\nfrom her2edge.slide.isolated import IsolatedSource\n"
        f"print(IsolatedSource(Path({str(path)!r})).dimensions)"
    )
    run = subprocess.run(
        [sys.executable, flag, "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=hook if flag != "-E" else tmp_path,
        env=os.environ | {"PYTHONPATH": str(hook) if variable else ""},
    )
    assert run.stdout == f"({4 * tiny.SIZE}, {2 * tiny.SIZE})\n", run.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(os.name != "posix", reason="closes descriptors as a shell does")
def test_a_program_without_stderr_reads_in_isolation_too(tmp_path: Path) -> None:
    path = picture(tmp_path / "slide.png")
    script = (
        "import sys\nfrom pathlib import Path\nfrom her2edge.slide.isolated import IsolatedSource\n"
        "print(IsolatedSource(Path(sys.argv[1])).dimensions)"
    )
    run = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" -c "$1" "$2" 2>&-', sys.executable, script, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.stdout == f"({4 * tiny.SIZE}, {2 * tiny.SIZE})\n"


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_a_decoder_that_hangs_delays_no_end(tmp_path: Path, crashes: None) -> None:
    """A service that is terminated does not wait for a decoder, which has a minute for its tile."""
    path = picture(tmp_path / "slide.png")
    with SlideReader(path, tiny.MPP, isolate=True) as slide:
        tiles = slide.tiles(Model.load(tiny.INT8), [(2, 0)])
        found: list[object] = []
        thread = threading.Thread(target=lambda: found.extend(tiles))
        thread.start()
        time.sleep(3)
        assert thread.is_alive()
        began = time.monotonic()
    assert time.monotonic() - began < 2
    thread.join(10)
    assert [type(tile) for tile in found] == [UnreadableTile]


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_a_slide_that_hangs_at_every_tile_is_given_up_after_some(tmp_path: Path, crashes: None) -> None:
    """A minute for each of five thousand tiles would hold up a watched folder for days."""
    hanging = CRASH.replace("if (x, y) == (128, 0):", "if x >= 64 and y:")
    (tmp_path / "hook" / "crash.py").write_text(hanging)
    source = IsolatedSource(picture(tmp_path / "slide.png"), Decoder(2.0), hangs=2)
    places = [(1, 1), (0, 1), (1, 0), (2, 1), (3, 1), (0, 0)]
    found: list[object] = []
    with SlideReader(tmp_path / "slide.png", tiny.MPP, source=source) as slide:
        tiles = slide.tiles(Model.load(tiny.INT8), places)
        with pytest.raises(SlideReadError, match="2 regions in a row took over 2 s"):
            found.extend(tiles)
    assert [type(tile) for tile in found] == [UnreadableTile, Tile, UnreadableTile, UnreadableTile]
