"""Long runs (benchmarks/soak.py), in short: memory, handles and threads stay as they are."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

import pytest
import tiny

from her2edge import Model, Options, TileClassifier

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux' /proc")


@pytest.fixture
def soak(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import soak

    yield soak
    for name in ("soak", "harness"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def classifier():
    return TileClassifier(Model.load(tiny.INT8), Options(threads=1))


def test_three_thousand_tiles_leave_memory_handles_and_threads_as_they_were(soak, classifier):
    figures = soak.run(classifier, 3000, soak.draw(classifier.model, 40))
    assert figures["slope_mb_per_10000"] <= soak.MAX_SLOPE, figures["samples"]["rss_mb"]
    assert figures["passed"], figures
    assert figures["ledger"]["duplicates"] == 3000 // soak.AGAIN
    assert figures["ledger"]["background"] > 100
    assert soak.draw_plot(figures).startswith(b"\x89PNG")


def test_every_result_of_a_feed_stands_in_the_journal_of_its_slide(soak, classifier, tmp_path, monkeypatch):
    monkeypatch.setattr(soak, "SLIDE_TILES", 500)
    journals = soak.Journals(tmp_path, classifier)
    soak.run(classifier, 1500, soak.draw(classifier.model, 40), journals.keep)
    assert journals.count() == 1500
    assert [journals._kept(f"slide-{number}") for number in range(3)] == [500] * 3


def test_a_leak_of_ten_kilobytes_per_tile_and_of_one_handle_is_seen(soak, classifier):
    """Pages of their own: what other tests have given back to the heap would hide smaller pieces."""
    kept, results = [], []

    def leak(result):
        results.append(result)
        if len(results) % 50 == 0:
            kept.append(mmap.mmap(-1, 50 * 10_000))
            kept[-1].write(bytes(50 * 10_000))
        if len(results) % 500 == 0:
            kept.append(open("/dev/null"))  # noqa: SIM115, PTH123 - it is the leak

    figures = soak.run(classifier, 1000, soak.draw(classifier.model, 40), consume=leak)
    for leaked in kept:
        leaked.close()
    assert 50 < figures["slope_mb_per_10000"] < 200
    assert figures["handles"][1] > figures["handles"][0]
    assert not figures["passed"]


def test_no_two_tiles_that_are_pushed_have_the_same_place_and_few_the_same_pixels(soak, classifier):
    tiles = list(soak.vary(soak.draw(classifier.model, 20), 500))
    assert len({(tile.slide, tile.x, tile.y) for tile in tiles}) == 500
    textured = [tile.pixels.tobytes() for tile in tiles if tile.pixels.std() > 10]
    assert len(set(textured)) == len(textured) > 300
