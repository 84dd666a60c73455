"""A run over a slide with failed tiles reads these alone, and ends with the files of an undisturbed run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny
from small_slide import (
    classify,
    draw_folder,
    draw_slide,
    files_of,
    folder_of,
    interrupted_at,
    results_of,
    unreadable,
    with_options,
)

from her2edge.errors import SlideReadError
from her2edge.runtime.litert import LiteRTRuntime
from her2edge.slide import folder as folder_module
from her2edge.slide import reader as reader_module

TILES, COLUMNS = 24, 6
JOURNAL = ".journal.sqlite3"
BAD = (3, 4, 17)  # numbers of tiles


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_slide(tmp_path_factory.mktemp("slide") / "slide.png")


@pytest.fixture(scope="module")
def wholes(slide: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """The files of a run that nothing happened to, by the way stains are handled."""
    out = tmp_path_factory.mktemp("whole")
    for stain in ("per-tile", "slide", "off"):
        assert classify(slide, out / stain, "--stain", stain) == 0
    return {stain: files_of(out / stain) for stain in ("per-tile", "slide", "off")}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the tiles that were read since."""
    seen: list[int] = []
    sample = reader_module.sample

    def noted(source: Any, x: float, y: float, scale: float, rows: int, columns: int) -> Any:
        if (rows, columns) == (tiny.SIZE, tiny.SIZE):  # none of the stain's sample
            seen.append(round(y) // tiny.SIZE * COLUMNS + round(x) // tiny.SIZE)
        return sample(source, x, y, scale, rows, columns)

    monkeypatch.setattr(reader_module, "sample", noted)
    return seen


def run_json(out: Path) -> dict[str, Any]:
    return json.loads((folder_of(out) / "run.json").read_text())  # type: ignore[no-any-return]


@pytest.mark.parametrize("stain", ["per-tile", "slide", "off"])
def test_the_next_run_reads_the_failed_tiles_only_to_the_files_of_an_undisturbed_run(
    slide: Path, tmp_path: Path, wholes: Any, reads: list[int], caplog: Any, stain: str
) -> None:
    out = tmp_path / "out"
    with unreadable(BAD):
        assert classify(slide, out, "--stain", stain) == 3
    assert JOURNAL in files_of(out)
    reads.clear()
    calls: list[tuple[int, int]] = []
    assert classify(slide, out, "--stain", stain, by=with_options(lambda *call: calls.append(call))) == 0
    assert tuple(reads) == BAD
    assert calls == [(done, TILES) for done in range(TILES - len(BAD), TILES + 1)]
    assert "trying 3 failed tile(s) of 24 again" in caplog.text
    assert files_of(out) == wholes[stain], "or the journal is still there"
    assert run_json(out)["resumed"] == TILES - len(BAD)
    reads.clear()
    assert classify(slide, out, "--stain", stain) == 0
    assert reads == []


def test_tiles_that_fail_again_leave_the_files_as_they_were(
    slide: Path, tmp_path: Path, wholes: Any, reads: list[int]
) -> None:
    out = tmp_path / "out"
    with unreadable(BAD):
        assert classify(slide, out) == 3
        before = results_of(out)
        reads.clear()
        for _ in range(3):
            assert classify(slide, out) == 3
            assert results_of(out) == before
    assert tuple(reads) == 3 * BAD
    with unreadable(BAD[1:]):
        assert classify(slide, out) == 3
    assert results_of(out)["tiles.csv"].count(b"failed") == before["tiles.csv"].count(b"failed") - 1
    assert classify(slide, out) == 0
    assert files_of(out) == wholes["per-tile"]


def test_a_folder_of_tiles_reads_the_failed_ones_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiles, seen = draw_folder(tmp_path / "tiles"), list[str]()
    assert classify(tiles, tmp_path / "whole") == 0
    real, bad = folder_module.read_image, {"002.png", "020.png"}

    def read(path: Path) -> Any:
        seen.append(path.name)
        if path.name in bad:
            raise SlideReadError(f"{path.name}: cannot be read")
        return real(path)

    monkeypatch.setattr(folder_module, "read_image", read)
    assert classify(tiles, tmp_path / "out") == 3
    seen.clear()
    bad = {"020.png"}
    assert classify(tiles, tmp_path / "out") == 3
    assert seen == ["002.png", "020.png"]
    seen.clear()
    bad = set()
    assert classify(tiles, tmp_path / "out") == 0
    assert seen == ["020.png"]
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_an_inference_that_failed_costs_one_tile_more(
    slide: Path, tmp_path: Path, wholes: Any, reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = LiteRTRuntime._infer, 0

    def fails_once(self: Any, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 9:
            raise RuntimeError("out of memory")
        return real(self, *arguments)

    monkeypatch.setattr(LiteRTRuntime, "_infer", fails_once)
    assert classify(slide, tmp_path / "out") == 3
    reads.clear()
    assert classify(slide, tmp_path / "out") == 0
    assert len(reads) == 1
    assert files_of(tmp_path / "out") == wholes["per-tile"]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_an_interrupt_among_the_failed_tiles_loses_nothing(
    slide: Path, tmp_path: Path, wholes: Any, reads: list[int], at: int
) -> None:
    out = tmp_path / "out"
    with unreadable(BAD):
        assert classify(slide, out) == 3
    assert classify(slide, out, by=interrupted_at(at + 1)) == 130
    reads.clear()
    assert classify(slide, out) == 0
    assert len(reads) <= len(BAD) - at
    assert files_of(out) == wholes["per-tile"]


@pytest.mark.parametrize("more", [["--fresh"], ["--model", str(tiny.FP32)]])
def test_fresh_and_another_option_begin_with_the_first_tile(
    slide: Path, tmp_path: Path, reads: list[int], more: list[str]
) -> None:
    with unreadable(BAD):
        assert classify(slide, tmp_path / "out") == 3
    reads.clear()
    assert classify(slide, tmp_path / "out", *more) == 0
    assert reads == list(range(TILES))
    assert classify(slide, tmp_path / "whole", *more) == 0
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_without_the_journal_the_slide_is_read_again(
    slide: Path, tmp_path: Path, wholes: Any, reads: list[int]
) -> None:
    """As a run of before November 2026 left it."""
    with unreadable(BAD):
        assert classify(slide, tmp_path / "out") == 3
    (folder_of(tmp_path / "out") / JOURNAL).unlink()
    reads.clear()
    assert classify(slide, tmp_path / "out") == 0
    assert reads == list(range(TILES))
    assert files_of(tmp_path / "out") == wholes["per-tile"]


@pytest.mark.parametrize("fitted", [True, False])
def test_a_stain_fit_that_lacked_what_could_not_be_read_is_made_again(tmp_path: Path, fitted: bool) -> None:
    """Every tile depends on it: where it is another, all are read again, and none is mixed."""
    slide, out = draw_slide(tmp_path / "large.png", 12, 8), tmp_path / "out"
    more = ("--stain", "slide")
    assert classify(slide, tmp_path / "whole", *more) == 0
    bad = (50,) if fitted else tuple(range(0, 96, 3))
    with unreadable(bad, in_sample=True, columns=12):
        assert classify(slide, out, *more) == 3
    assert ("stain.json" in files_of(out)) == fitted
    assert files_of(out).get("stain.json") != files_of(tmp_path / "whole")["stain.json"]
    assert classify(slide, out, *more) == 0
    assert run_json(out)["resumed"] == 0
    assert files_of(out) == files_of(tmp_path / "whole")


def test_a_stain_fit_that_still_lacks_the_same_reads_the_failed_tiles_only(
    slide: Path, tmp_path: Path, caplog: Any
) -> None:
    out = tmp_path / "out"
    with unreadable(BAD, in_sample=True):
        assert classify(slide, out, "--stain", "slide") == 3
        before = results_of(out)
        assert classify(slide, out, "--stain", "slide") == 3
    assert "trying 3 failed tile(s) of 24 again" in caplog.text
    assert results_of(out) == before
    assert run_json(out)["resumed"] == TILES - len(BAD)
