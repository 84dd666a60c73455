"""Every file in examples/ runs as its first lines say, and is short enough to be read at a glance."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import tiny
from shared_data import ROOT
from small_slide import draw_folder, draw_slide

EXAMPLES = ROOT / "examples"
MODEL = ("--model", str(tiny.INT8))
SCALE = ("--mpp", str(tiny.MPP))
FILES = {"heatmap.png", "run.json", "summary.json", "tiles.csv", "tiles.geojson"}


def run(name: str, *arguments: str | Path) -> str:
    """What an example prints."""
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
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


def test_tiles_are_pushed(tmp_path: Path) -> None:
    lines = run("feed_tiles.py", draw_folder(tmp_path / "tiles", 6), *MODEL).splitlines()
    assert sorted(line.split(":")[0] for line in lines[:-1]) == [f"{number:03}.png" for number in range(6)]
    assert "submitted=6" in lines[-1]


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
    assert len(text.splitlines()) < 40
    assert f"python examples/{path.name} " in text
    assert "Research use only" in text


def test_every_example_is_run_here() -> None:
    here = Path(__file__).read_text()
    assert [path.name for path in EXAMPLES.glob("*.py") if f'"{path.name}", ' not in here] == []
