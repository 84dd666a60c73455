"""classify_slide leaves glass undecoded: the same tiles are classified, and everything says so."""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyramids
import pytest
import tifffile
import tiny
from small_slide import draw_slide, interrupted_at

from her2edge import Model, Options, Settle, SlideReader, SlideRun, TileClassifier, classify_slide
from her2edge.results.read_back import read_results
from her2edge.results.slide_run import SlideOptions
from her2edge.slide.glass import RULE
from her2edge.tile import Background, Outcome
from her2edge_training import synthetic

ROWS, COLUMNS = 12, 16
MODEL = Model.load(tiny.INT8)


def draw(path: Path) -> Path:
    """Tissue in the middle of glass, with a level four times smaller."""
    pixels = pyramids.glass(tiny.SIZE * ROWS, tiny.SIZE * COLUMNS)
    slide = synthetic.make_slide_model("3+", synthetic.SITES[1], 7)
    height, width = tiny.SIZE * 5, tiny.SIZE * 7
    tissue = synthetic.make_slide_image(slide, width, height, tiny.MPP).pixels
    pixels[tiny.SIZE * 3 : tiny.SIZE * 8, tiny.SIZE * 4 : tiny.SIZE * 11] = tissue
    return pyramids.write_pyramid(path, pixels, (4,), mpp=tiny.MPP)


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("undecoded") / "slide.tif")


@pytest.fixture(scope="module")
def classifier() -> TileClassifier:
    return TileClassifier(MODEL, Options(threads=1))


def run(slide: Path, out: Path, classifier: TileClassifier, **more: Any) -> SlideRun:
    return classify_slide(slide, out, classifier, **more)


def test_the_same_tiles_are_classified_and_the_others_are_accounted_for(
    slide: Path, tmp_path: Path, classifier: TileClassifier
) -> None:
    runs = [run(slide, tmp_path / f"{n}", classifier, decode_glass=n == 1) for n in range(2)]
    without, every = (read_results(one.folder) for one in runs)
    assert len(without.tiles) == len(every.tiles) == ROWS * COLUMNS
    left_out = 0
    for one, other in zip(without.tiles, every.tiles, strict=True):
        assert (one.x, one.y, one.span, one.outcome) == (other.x, other.y, other.span, other.outcome)
        if one.background is Background.NOT_DECODED:
            left_out += 1
            assert other.background is Background.GLASS
            assert (one.tissue_fraction, one.glass_fraction, one.quality) == (None, None, ())
            continue
        assert one.background == other.background
        assert one.tissue_fraction == other.tissue_fraction
        np.testing.assert_array_equal(one.probabilities, other.probabilities)
    assert left_out > 60
    for name in ("labels", "probabilities", "shares", "tissue_classified", "status"):
        assert getattr(runs[0].answer, name) == getattr(runs[1].answer, name)
    assert runs[0].answer.tiles.background["not_decoded"] == left_out
    assert runs[1].answer.tiles.background["not_decoded"] == 0


def test_what_was_not_decoded_stands_in_run_and_summary(
    slide: Path, tmp_path: Path, classifier: TileClassifier
) -> None:
    for decode, rule in ((False, RULE), (True, None)):
        folder = run(slide, tmp_path / f"{decode}", classifier, decode_glass=decode).folder
        assert json.loads((folder / "run.json").read_text())["basis"]["undecoded"] == rule
        assert json.loads((folder / "summary.json").read_text())["undecoded"] == rule


def test_a_slide_without_a_fit_level_is_of_the_same_basis_either_way(
    tmp_path: Path, classifier: TileClassifier
) -> None:
    path = draw_slide(tmp_path / "slide.png")
    first = run(path, tmp_path / "out", classifier, mpp=tiny.MPP)
    assert json.loads((first.folder / "run.json").read_text())["basis"]["undecoded"] is None
    assert run(path, tmp_path / "out", classifier, mpp=tiny.MPP, decode_glass=True).complete_before


@pytest.mark.parametrize("decode", [False, True])
def test_complete_results_of_the_other_way_are_made_again(
    slide: Path, tmp_path: Path, classifier: TileClassifier, decode: bool
) -> None:
    run(slide, tmp_path, classifier, decode_glass=decode)
    assert run(slide, tmp_path, classifier, decode_glass=decode).complete_before
    again = run(slide, tmp_path, classifier, decode_glass=not decode)
    assert not again.complete_before
    assert (again.answer.tiles.background["not_decoded"] == 0) == (not decode)


@pytest.mark.parametrize("decode", [False, True])
def test_a_run_is_never_resumed_the_other_way(
    slide: Path, tmp_path: Path, classifier: TileClassifier, decode: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def stopped(*arguments: Any, **options: Any) -> None:
        with pytest.raises(KeyboardInterrupt):
            interrupted_at(100)(*arguments, **options)

    stopped(slide, tmp_path / "out", classifier, progress=lambda *_: None, decode_glass=decode)
    with caplog.at_level(logging.WARNING, "her2edge"):
        resumed = run(slide, tmp_path / "out", classifier, decode_glass=not decode)
    assert resumed.resumed == 0
    assert [record for record in caplog.records if "places not decoded: found" in record.message]
    fresh = run(slide, tmp_path / "fresh", classifier, decode_glass=not decode)
    assert files(resumed) == files(fresh)


def test_a_resumed_run_leaves_out_what_the_first_one_did(
    slide: Path, tmp_path: Path, classifier: TileClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted_at(70)(slide, tmp_path / "out", classifier, progress=lambda *_: None)
    journal = next((tmp_path / "out").rglob(".journal.sqlite3"))
    with contextlib.closing(sqlite3.connect(journal)) as database:
        assert database.execute("SELECT count(*) FROM facts WHERE name = 'glass'").fetchone() == (1,)
    looked = []
    real = SlideReader.glass
    monkeypatch.setattr(SlideReader, "glass", lambda *given: looked.append(1) or real(*given))
    resumed = run(slide, tmp_path / "out", classifier)
    assert resumed.resumed > 0
    assert not looked
    assert files(resumed) == files(run(slide, tmp_path / "fresh", classifier))


def test_a_damaged_tile_in_glass_is_background_and_where_all_is_decoded_it_failed(
    tmp_path: Path, classifier: TileClassifier
) -> None:
    path = draw(tmp_path / "slide.tif")
    with tifffile.TiffFile(path) as file:
        offset = file.pages[0].dataoffsets[0]
    data = bytearray(path.read_bytes())
    data[offset : offset + 40] = bytes(40)
    path.write_bytes(data)
    outcomes = {}
    for decode in (False, True):
        result = run(path, tmp_path / f"{decode}", classifier, decode_glass=decode)
        outcomes[decode] = result.answer.tiles.outcomes[Outcome.FAILED]
        assert sum(result.answer.tiles.outcomes.values()) == ROWS * COLUMNS
    assert outcomes == {False: 0, True: 4}  # a stored tile of 128 px holds four of 64


def test_a_reading_in_random_order_settles_at_the_same_tile(
    slide: Path, tmp_path: Path, classifier: TileClassifier
) -> None:
    runs = [
        run(slide, tmp_path / f"{n}", classifier, decode_glass=n == 1, settle=Settle(0.1)) for n in range(2)
    ]
    assert runs[0].answer.settled == runs[1].answer.settled
    assert runs[0].answer.labels == runs[1].answer.labels
    assert runs[0].answer.tiles.background["not_decoded"] > 0


def test_a_level_that_lies_costs_time_and_nothing_else(
    tmp_path: Path, classifier: TileClassifier, caplog: pytest.LogCaptureFixture
) -> None:
    honest = draw(tmp_path / "slide.tif")
    with tifffile.TiffFile(honest) as file:
        pixels = file.pages[0].asarray()
    (tmp_path / "lies").mkdir()

    def blank(pixels: pyramids.Pixels, down: int) -> pyramids.Pixels:
        return pyramids.glass(pixels.shape[0] // down, pixels.shape[1] // down)

    lying = pyramids.write_pyramid(tmp_path / "lies" / "slide.tif", pixels, (4,), blank, tiny.MPP)
    with caplog.at_level(logging.WARNING, "her2edge"):
        found = run(lying, tmp_path / "a", classifier)
    every = run(honest, tmp_path / "b", classifier, decode_glass=True)
    assert found.answer.tiles == every.answer.tiles
    assert Counter("every place is decoded" in record.message for record in caplog.records)[True] == 1


def test_the_option_is_a_yes_or_no() -> None:
    with pytest.raises(Exception, match="decode_glass="):
        SlideOptions(decode_glass=1)  # type: ignore[arg-type]


def files(result: SlideRun) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in result.files if file.name != "run.json"}
