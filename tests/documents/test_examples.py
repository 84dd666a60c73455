"""Every file in examples/ runs as its first lines say, and is short enough to be read at a glance."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny
from shared_data import ROOT
from small_slide import draw_folder, draw_slide

from her2edge import SlideReader
from her2edge.results import fit_slide
from her2edge.slide import encode_png, read_image
from her2edge.stain import StainFit

EXAMPLES = ROOT / "examples"
MODEL = ("--model", str(tiny.INT8))
SCALE = ("--mpp", str(tiny.MPP))
FILES = {"heatmap.png", "run.json", "summary.json", "tiles.csv", "tiles.geojson"}


def run(name: str, *arguments: str | Path, env: dict[str, str] | None = None) -> str:
    """What an example prints."""
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_slide_is_classified(tmp_path: Path) -> None:
    slide = draw_slide(tmp_path / "slide.png", 10, 8)
    printed = run("classify_slide.py", slide, tmp_path / "out", *MODEL, *SCALE)
    assert "80 of 80 tiles" in printed
    assert "slide.png: answered 2+" in printed
    (folder,) = (tmp_path / "out").iterdir()
    assert {path.name for path in folder.iterdir()} == FILES


def test_tiles_are_streamed(tmp_path: Path) -> None:
    slide = draw_slide(tmp_path / "slide.png", 10, 8)
    lines = run("stream_tiles.py", slide, *MODEL, *SCALE).splitlines()
    assert len(lines) == 81
    assert lines[-1].startswith("answered: 2+")


def test_tiles_are_pushed_and_each_is_answered(tmp_path: Path) -> None:
    lines = run("scanner_push.py", draw_folder(tmp_path / "tiles", 6), *MODEL).splitlines()
    assert sorted(line.split(":")[0] for line in lines[:-1]) == [f"{number:03}.png" for number in range(6)]
    assert "submitted=6" in lines[-1]


@pytest.mark.skipif(os.name != "posix", reason="other systems have no SIGTERM to send")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_scanner_that_is_stopped_answers_all_that_it_submitted(
    tmp_path: Path, number: signal.Signals
) -> None:
    tiles = draw_folder(tmp_path / "tiles", 24)
    command = [sys.executable, str(EXAMPLES / "scanner_push.py"), str(tiles), *MODEL, "--every", "0.2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()  # it is at work
        process.send_signal(number)
        *answered, ledger = [first, *process.stdout.read().splitlines()]
    assert process.returncode == 0
    counts = {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", ledger)}
    assert 1 <= counts["submitted"] == counts["delivered"] == len(answered) < 24
    assert counts["classified"] + counts["background"] == counts["submitted"]


def test_tiles_are_classified_in_an_event_loop(tmp_path: Path) -> None:
    lines = run("asyncio_feed.py", draw_folder(tmp_path / "tiles", 6), *MODEL).splitlines()
    assert [line.split(":")[0] for line in lines[:-1]] == [f"{number:03}.png" for number in range(6)]
    assert "submitted=6" in lines[-1]


@pytest.fixture
def screen() -> Iterator[dict[str, str]]:
    """The environment of a program that opens a window."""
    pytest.importorskip("tkinter", reason="this Python has no tkinter")
    if os.name != "posix" or os.environ.get("DISPLAY"):
        yield dict(os.environ)
        return
    program = shutil.which("Xvfb")
    if program is None:
        pytest.skip("needs a display, or Xvfb")
    read, write = os.pipe()
    with subprocess.Popen(
        [program, "-displayfd", str(write)], pass_fds=[write], stderr=subprocess.DEVNULL
    ) as x:
        os.close(write)
        with os.fdopen(read) as answer:
            number = answer.readline().strip()
        try:
            yield os.environ | {"DISPLAY": f":{number}"}
        finally:
            x.terminate()


def test_a_window_shows_the_answer_and_closes(tmp_path: Path, screen: dict[str, str]) -> None:
    slide = draw_slide(tmp_path / "slide.png", 10, 8)
    printed = run("gui_window.py", slide, tmp_path / "out", *MODEL, *SCALE, "--close", env=screen)
    assert printed == "slide.png: answered 2+\n"


def test_the_window_says_what_is_wrong_with_a_slide(tmp_path: Path, screen: dict[str, str]) -> None:
    printed = run("gui_window.py", tmp_path / "none.svs", tmp_path / "out", *MODEL, "--close", env=screen)
    assert printed == "none.svs: no such file or folder: check the path\n"


def test_a_stain_fit_is_made_once_and_used_again(tmp_path: Path) -> None:
    slide, kept = draw_slide(tmp_path / "slide.png", 10, 8), tmp_path / "fit.json"
    first = run("own_stain_fit.py", slide, kept, *MODEL, *SCALE)
    made = StainFit.load(kept)
    with SlideReader(slide, mpp=tiny.MPP) as reader:
        assert np.array_equal(made.stain_matrix, fit_slide(reader).stain_matrix)
    assert first.count("Counter") == 2
    written = kept.stat().st_mtime_ns
    assert run("own_stain_fit.py", slide, kept, *MODEL, *SCALE) == first
    assert kept.stat().st_mtime_ns == written


def test_frames_of_a_camera_answer_as_the_slide_they_are_of(tmp_path: Path) -> None:
    """Frames of 4 x 4 tiles; the last column and row of frames is smaller."""
    slide = draw_slide(tmp_path / "slide.png", 10, 8)
    pixels, side = read_image(slide), 4 * tiny.SIZE
    (tmp_path / "frames").mkdir()
    for x in range(0, pixels.shape[1], side):
        for y in range(0, pixels.shape[0], side):
            frame = encode_png(np.ascontiguousarray(pixels[y : y + side, x : x + side]))
            (tmp_path / "frames" / f"x{x}_y{y}.png").write_bytes(frame)
    lines = run("camera_frames.py", tmp_path / "frames", *MODEL, *SCALE).splitlines()
    wanted = run("stream_tiles.py", slide, *MODEL, *SCALE).splitlines()
    assert sorted(lines[:-1]) == sorted(wanted[:-1])
    assert lines[-1].split(" ")[:2] == wanted[-1].split(" ")[:2] == ["answered:", "2+"]


def test_a_folder_is_watched(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    slide = draw_slide(tmp_path / "slide.png")
    slide.rename(tmp_path / "in" / "slide.tif")
    printed = run(
        "watch_folder.py", tmp_path / "in", tmp_path / "out", *MODEL, *SCALE, "--still", "0", "--once"
    )
    assert printed.startswith("SlideDone(")
    assert len(list((tmp_path / "out").glob("slide.tif-*/run.json"))) == 1


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short_and_its_first_lines_say_how_it_is_called(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 60
    assert f"python examples/{path.name} " in text
    assert "Research use only" in text


def test_every_example_is_run_here() -> None:
    here = Path(__file__).read_text() + Path(__file__).with_name("test_qupath_script.py").read_text()
    journey = (EXAMPLES / "journey.sh").read_text()  # which test_journey.py runs
    names = [path.name for path in EXAMPLES.iterdir() if path.suffix in {".py", ".groovy"}]
    assert [name for name in names if f'"{name}"' not in here and f'/{name}" ' not in journey] == []
