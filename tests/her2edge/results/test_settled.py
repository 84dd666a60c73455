"""A slide read until its answer is settled: the same tiles, files and answer, whatever happens on the way."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import signal
from pathlib import Path
from typing import Any

import kills
import numpy as np
import pytest
import tiny
from model_v2 import TINY, tiny_v2
from PIL import Image
from rich.console import Console
from small_slide import (
    arguments,
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

from her2edge import Options, Outcome, Settle, SlideReader, TileClassifier, classify_slide
from her2edge.answer import RandomOrder, Settling
from her2edge.errors import OptionError
from her2edge.results.class_map import VEIL
from her2edge_cli.progress import counter

COLUMNS, ROWS = 20, 16
PLACES = COLUMNS * ROWS
MODEL = ("--model", str(TINY[3]))
MORE = (*MODEL, "--until-settled")


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_slide(tmp_path_factory.mktemp("slide") / "slide.png", COLUMNS, ROWS, seed=14)


@pytest.fixture(scope="module")
def whole(slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a settled run that nothing happened to."""
    out = tmp_path_factory.mktemp("whole") / "out"
    assert classify(slide, out, *MORE) == 0
    return out


@pytest.fixture(scope="module")
def every(slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a run that read every tile."""
    out = tmp_path_factory.mktemp("every") / "out"
    assert classify(slide, out, *MODEL) == 0
    return out


@pytest.fixture(scope="module")
def order(slide: Path) -> list[int]:
    with SlideReader(slide, mpp=tiny.MPP) as reader:
        return RandomOrder(reader.fingerprint, COLUMNS, ROWS).places.tolist()


def answer_of(out: Path) -> dict[str, Any]:
    return json.loads((folder_of(out) / "summary.json").read_text())["answer"]  # type: ignore[no-any-return]


def run_of(out: Path) -> dict[str, Any]:
    return json.loads((folder_of(out) / "run.json").read_text())  # type: ignore[no-any-return]


def seen(out: Path) -> int:
    return int(answer_of(out)["settled"]["tiles_seen"])


def rows_of(out: Path) -> dict[int, dict[str, str]]:
    """The lines of tiles.csv by place, in the order of the file."""
    table = csv.DictReader(io.StringIO((folder_of(out) / "tiles.csv").read_text()))
    side = tiny.SIZE
    return {int(float(row["y"])) // side * COLUMNS + int(float(row["x"])) // side: row for row in table}


def test_the_first_places_of_the_random_order_are_read_and_written_in_the_order_of_the_grid(
    whole: Path, every: Path, order: list[int]
) -> None:
    stopped = seen(whole)
    assert 30 <= stopped < PLACES
    rows, all_rows = rows_of(whole), rows_of(every)
    assert list(rows) == sorted(order[:stopped])
    assert list(all_rows) == list(range(PLACES))
    assert rows == {place: all_rows[place] for place in rows}
    features = [
        {
            feature["id"]: feature
            for feature in json.loads((folder_of(out) / "tiles.geojson").read_text())["features"]
        }
        for out in (whole, every)
    ]
    assert 0 < len(features[0]) < len(features[1])
    assert features[0].items() <= features[1].items()


def test_the_summary_says_what_was_left_and_what_was_settled(whole: Path, every: Path) -> None:
    answer, full = answer_of(whole), answer_of(every)
    settled = answer["settled"]
    assert answer["labels"] == full["labels"] == [f"{settled['label']} (demo model)"]
    assert (settled["settled"], settled["tiles_total"], full["settled"]) == (True, PLACES, None)
    counts = answer["tiles"]
    assert counts["unread"] == PLACES - seen(whole)
    assert counts["total"] == PLACES == sum(counts["outcomes"].values()) + counts["unread"]
    assert run_of(whole)["basis"]["reading"] == {
        "order": "blake2b", "error": 0.05, "minimum": 30, "max_tiles": None,
    }  # fmt: skip
    assert run_of(every)["basis"]["reading"] is None


def test_the_stop_is_that_of_settling_fed_with_the_results_of_every_tile(
    slide: Path, whole: Path, order: list[int]
) -> None:
    """An independent way to it: no journal, no order of reading."""
    model = tiny_v2(3)
    with SlideReader(slide, mpp=tiny.MPP) as reader:
        results = list(TileClassifier(model, Options(threads=1)).stream(reader.tiles(model)))
        settling = Settling(
            Settle(), RandomOrder(reader.fingerprint, COLUMNS, ROWS), tuple(model.manifest.labels)
        )
    while not settling.stopped:
        settling.add(results[order[settling.seen]])
    assert settling.seen == seen(whole)
    assert settling.verdict().at_most == answer_of(whole)["settled"]["at_most"]


def test_places_that_were_not_read_lie_under_a_veil_in_the_heatmap(
    whole: Path, every: Path, order: list[int]
) -> None:
    pictures = [np.asarray(Image.open(folder_of(out) / "heatmap.png")).astype(int) for out in (whole, every)]
    glass = [place for place, row in rows_of(every).items() if row["background"] == "glass"]
    side = min(tiny.SIZE, 1600 // COLUMNS)
    for place in glass:
        top, left = place // COLUMNS * side + side // 2, place % COLUMNS * side + side // 2
        veiled, bare = (picture[top, left].mean() for picture in pictures)
        read = place in order[: seen(whole)]
        assert veiled == pytest.approx(bare if read else bare * (1 - VEIL) + 128 * VEIL, abs=1.5)


def test_a_complete_settled_slide_is_not_read_again(slide: Path, whole: Path, caplog: Any) -> None:
    before = run_of(whole)
    assert classify(slide, whole, *MORE) == 0
    assert run_of(whole) == before


@pytest.mark.parametrize("at", [1, 2, 29, 31, 64, 65, 90, -2, -1])
def test_an_interrupted_reading_stops_at_the_same_tile_with_the_same_files(
    slide: Path, whole: Path, tmp_path: Path, at: int, capsys: Any
) -> None:
    kept = at if at > 0 else seen(whole) + at
    assert classify(slide, tmp_path / "out", *MORE, by=interrupted_at(kept)) == 130
    assert f"{kept} of {PLACES} tiles are kept" in capsys.readouterr().err
    assert classify(slide, tmp_path / "out", *MORE) == 0
    assert files_of(tmp_path / "out") == files_of(whole)
    assert run_of(tmp_path / "out")["resumed"] == kept


def test_interrupted_again_and_again_it_stops_there_too(slide: Path, whole: Path, tmp_path: Path) -> None:
    turns = 0
    while classify(slide, tmp_path / "out", *MORE, by=interrupted_at(17)) == 130:
        turns += 1
    assert turns == (seen(whole) - 1) // 17 + (seen(whole) % 17 == 0)
    assert files_of(tmp_path / "out") == files_of(whole)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("times", [4, pytest.param(60, marks=(pytest.mark.soak, pytest.mark.slow))])
def test_killed_at_any_moment_it_stops_at_the_same_tile_with_the_same_files(
    slide: Path, whole: Path, tmp_path: Path, times: int, record_property: Any
) -> None:
    chance, inside = random.Random(times), 0  # noqa: S311 - the same in every run
    for number in range(times):
        out, log = tmp_path / f"out-{number}", tmp_path / f"{number}.log"
        child = kills.start(arguments(slide, out, *MORE), log)
        tiles = seen(whole) if number % 4 == 3 else chance.randrange(1, seen(whole))
        kills.stop(child, log, tiles, chance.uniform(0, 2 * kills.PAUSE), signal.SIGKILL)
        assert classify(slide, out, *MORE) == 0
        assert files_of(out) == files_of(whole)
        inside += 0 < run_of(out)["resumed"] < seen(whole)
    assert inside >= times // 2
    record_property("figure", f"{times} of {times}, {inside} in the middle of the reading")


def test_threads_and_interpreters_change_nothing(slide: Path, whole: Path, tmp_path: Path) -> None:
    assert classify(slide, tmp_path / "out", *MORE, "--threads", "2", "--interpreters", "2") == 0
    assert files_of(tmp_path / "out") == files_of(whole)


def bad_places(which: str, order: list[int], whole: Path) -> tuple[int, ...]:
    """Failed tiles that move the stop: tissue that votes, or that speaks against the label."""
    rows, label = rows_of(whole), answer_of(whole)["settled"]["label"]
    read = [place for place in order[: seen(whole)] if rows[place]["pooled"] == "true"]
    with_it = [place for place in read if rows[place]["label"] == label]
    others = [place for place in read if rows[place]["label"] != label]
    return tuple({"for": with_it[:12], "against": others[:6], "few": read[3:6]}[which])


@pytest.mark.parametrize("which", ["for", "against", "few"])
def test_failed_tiles_tried_again_lead_to_the_stop_of_an_undisturbed_reading(
    slide: Path, whole: Path, order: list[int], tmp_path: Path, which: str, caplog: Any
) -> None:
    bad, out = bad_places(which, order, whole), tmp_path / "out"
    with unreadable(bad, columns=COLUMNS):
        assert classify(slide, out, *MORE) == 3
        if which != "few":
            assert (seen(out) > seen(whole)) == (which == "for"), "the test is of both ways"
        before = results_of(out)
        assert classify(slide, out, *MORE) == 3
        assert results_of(out) == before
    assert classify(slide, out, *MORE) == 0
    assert "failed tile(s)" in caplog.text
    assert files_of(out) == files_of(whole)


@pytest.mark.parametrize("which", ["for", "against"])
@pytest.mark.parametrize("at", [1, 3, 6, 9])
def test_interrupted_among_failed_tiles_or_after_them_it_leads_there_too(
    slide: Path, whole: Path, order: list[int], tmp_path: Path, which: str, at: int
) -> None:
    bad, out = bad_places(which, order, whole), tmp_path / "out"
    with unreadable(bad, columns=COLUMNS):
        assert classify(slide, out, *MORE) == 3
    assert classify(slide, out, *MORE, by=interrupted_at(at, batch=2)) == 130
    assert classify(slide, out, *MORE) == 0
    assert files_of(out) == files_of(whole)


ANOTHER = {"every tile": MODEL, "error": (*MORE, "--error", "0.2"), "most": (*MORE, "--max-tiles", "40")}


@pytest.mark.parametrize("another", ANOTHER)
def test_results_of_another_order_or_rule_are_neither_resumed_nor_complete(
    slide: Path, whole: Path, tmp_path: Path, another: str, caplog: Any
) -> None:
    out, more = tmp_path / "out", ANOTHER[another]
    assert classify(slide, out, *more, by=interrupted_at(20)) == 130
    assert classify(slide, out, *MORE) == 0
    assert "found a journal of another run (reading: found " in caplog.text
    assert "expected until settled (error 0.05, minimum 30)" in caplog.text
    assert files_of(out) == files_of(whole)
    assert run_of(out)["resumed"] == 0
    caplog.clear()
    assert classify(slide, out, *more) == 0
    assert "complete results" not in caplog.text
    assert classify(slide, tmp_path / "alone", *more) == 0
    assert files_of(out) == files_of(tmp_path / "alone")


def test_a_reading_that_is_ended_says_that_it_is_not_settled(
    slide: Path, tmp_path: Path, capsys: Any
) -> None:
    assert classify(slide, tmp_path / "out", *MORE, "--error", "0.0001", "--max-tiles", "33") == 0
    printed = capsys.readouterr().out
    assert "settled after" not in printed
    answer = answer_of(tmp_path / "out")
    assert "not_settled" in [reason["code"] for reason in answer["reasons"]]
    assert (answer["settled"]["settled"], seen(tmp_path / "out")) == (False, 33)
    assert answer["tiles"]["unread"] == PLACES - 33


def test_the_command_says_after_how_many_tiles_and_what_the_others_have_at_most(
    slide: Path, whole: Path, tmp_path: Path, capsys: Any
) -> None:
    assert classify(slide, tmp_path / "out", *MORE) == 0
    lines = capsys.readouterr().out.splitlines()
    label = answer_of(whole)["settled"]["label"]
    assert lines[0] == (
        f"slide.png: {label} (demo model) (no stated error); settled after {seen(whole)} of {PLACES} tiles: "
        "reading all would change it in at most 5 % of slides"
    )
    assert sum(line.startswith("  at most ") and line.endswith(" (95 %)") for line in lines) == 2
    assert not any(f"is {label} (95 %)" in line for line in lines)


def test_a_model_of_schema_1_settles_and_says_that_it_knows_no_novelty(slide: Path, tmp_path: Path) -> None:
    assert classify(slide, tmp_path / "out", "--until-settled", "--error", "0.5") == 0
    answer = answer_of(tmp_path / "out")
    assert answer["settled"]["settled"]
    assert "no_novelty" in [reason["code"] for reason in answer["reasons"]]


def test_a_stain_fit_of_the_whole_slide_goes_with_it(slide: Path, tmp_path: Path) -> None:
    more = (*MORE, "--stain", "slide")
    assert classify(slide, tmp_path / "whole", *more) == 0
    assert classify(slide, tmp_path / "out", *more, by=interrupted_at(20)) == 130
    assert classify(slide, tmp_path / "out", *more) == 0
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")
    assert "stain.json" in files_of(tmp_path / "out")


def test_running_shares_are_told_before_each_step(slide: Path, whole: Path, tmp_path: Path) -> None:
    calls: list[Any] = []
    classifier = TileClassifier(tiny_v2(3), Options(threads=1))
    run = classify_slide(
        slide, tmp_path / "out", classifier, mpp=tiny.MPP, settle=Settle(),
        progress=lambda *step: calls.append(step), shares=lambda shares: calls.append(dict(shares)),
    )  # fmt: skip
    assert calls[0] == (0, PLACES)
    assert calls[2::2] == [(done, PLACES) for done in range(1, seen(whole) + 1)]
    assert calls[-2] == {label: share.share for label, share in run.answer.shares.items()}
    assert run.answer.tiles.outcomes[Outcome.FAILED] == 0


def test_a_folder_of_tiles_has_no_order_and_nothing_is_written(tmp_path: Path, capsys: Any) -> None:
    tiles, out = draw_folder(tmp_path / "tiles", 4), tmp_path / "out"
    assert classify(tiles, out, *MORE) == 2
    assert "found a folder of tiles, which has no grid" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--until-settled", "--error", "0"], "found error=0"),
        (["--until-settled", "--error", "0.6"], "found error=0.6"),
        (["--until-settled", "--error", "nan"], "found error=nan"),
        (["--until-settled", "--max-tiles", "29"], "found max_tiles=29"),
        (["--until-settled", "--max-tiles", "-1"], "found max_tiles=-1"),
        (["--error", "0.05"], "found --error 0.05 without --until-settled"),
        (["--max-tiles", "100"], "found --max-tiles 100 without --until-settled"),
    ],
)
def test_a_rule_out_of_range_or_without_its_option_is_refused_before_anything_is_read(
    slide: Path, tmp_path: Path, more: list[str], words: str, capsys: Any
) -> None:
    assert classify(slide, tmp_path / "out", *more) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("rule", [True, 0.05, "settled", {"error": 0.05}])
def test_a_rule_that_is_none_is_refused(slide: Path, tmp_path: Path, rule: Any) -> None:
    classifier = TileClassifier(tiny_v2(3), Options(threads=1))
    with pytest.raises(OptionError, match="expected a Settle"):
        classify_slide(slide, tmp_path / "out", classifier, mpp=tiny.MPP, settle=rule)


def test_no_more_is_read_than_what_was_on_its_way_at_the_stop(
    slide: Path, whole: Path, tmp_path: Path
) -> None:
    """Results of tiles read ahead are in no file; there are few of them."""
    classifier, taken = TileClassifier(tiny_v2(3), Options(threads=1)), []
    real = classifier._take  # what a stream does with each tile

    def take(item: Any) -> Any:
        taken.append(item)
        return real(item)

    classifier._take = take  # type: ignore[method-assign]
    run = classify_slide(slide, tmp_path / "out", classifier, mpp=tiny.MPP, settle=Settle())
    assert run.answer.settled is not None
    assert seen(whole) <= len(taken) <= seen(whole) + 20
    assert files_of(tmp_path / "out") == files_of(whole)


def test_a_batch_of_any_size_leads_to_the_same_files(slide: Path, whole: Path, tmp_path: Path) -> None:
    for batch in (1, 1000):
        assert classify(slide, tmp_path / str(batch), *MORE, by=with_options(batch=batch)) == 0
        assert files_of(tmp_path / str(batch)) == files_of(whole)


def test_the_bar_shows_the_running_shares(slide: Path) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=160)
    with counter(slide, console) as count:
        count.shares({"0/1+": 0.125, "2+": 0.25, "3+": 0.625})
        count(10, 320)
    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert "slide.png (0/1+ 12 %, 2+ 25 %, 3+ 62 %)" in written
    with counter(slide, Console(file=io.StringIO(), force_terminal=True, width=160)) as none:
        none.shares(dict.fromkeys(("0/1+", "2+", "3+"), 0.0))
        none(1, 320)
        assert "%)" not in str(none._bar.tasks[0].description)  # type: ignore[union-attr]
    assert "10/320" in written
