"""One table of a cohort: a line for each slide of the list, and by name what is missing, failed or twice."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
from model_v2 import TINY
from shard_bench import COLUMNS, ROWS, ShardBench, draw

from her2edge.attempts import Attempts, SetAside
from her2edge.cohort import read_cohort
from her2edge.errors import MissingInputError
from her2edge.results import slide_folder
from her2edge.results.read_back import read_records
from her2edge.shards import Collected, Plan, begin_plan, collect
from her2edge.slide import fingerprint_slide

NAMES = ("a.png", "b.png", "c.png", "d.png")


@pytest.fixture
def bench(tmp_path: Path) -> ShardBench:
    """Four slides, all done, and the plan of their folder."""
    bench = ShardBench(tmp_path, *NAMES)
    begin_plan(bench.out, Plan(model=bench.model, name="tiny", options={}), read_cohort(bench.list))
    bench.run()
    return bench


def rows_of(collected: Collected) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(collected.path.read_text("utf-8-sig"))))


def state_of(collected: Collected) -> dict[str, str]:
    rows = rows_of(collected)
    states = {row["slide"]: row["state"] for row in rows}
    assert len(states) == len(rows), "no slide has two lines"
    return states


def place(bench: ShardBench, name: str) -> Path:
    return slide_folder(bench.out, name, fingerprint_slide(bench.root / name))


def test_a_whole_cohort_has_a_line_for_each_slide_with_the_figures_of_its_summary(bench: ShardBench) -> None:
    found = collect(bench.out)
    assert (found.problems, found.others, found.states) == ((), (), {"done": 4})
    for row in rows_of(found):
        run, summary = read_records(bench.out / row["folder"])
        answer, counts = summary.answer, summary.answer.tiles
        assert row["patient"] == f"P-{row['slide']}"
        assert row["status"] == answer.status.value
        assert row["reasons"].split() == [one.code.value for one in answer.reasons]
        for label, share in answer.shares.items():
            assert float(row[f"share {label}"]) == pytest.approx(share.share, abs=1e-4)
            for end in ("low", "high"):
                stated = getattr(share, end)
                assert row[f"{end} {label}"] == ("" if stated is None else f"{stated:.4f}")
        assert int(row["tiles"]) == counts.total == COLUMNS * ROWS
        outcomes = ("classified", "background", "failed", "dropped", "cancelled")
        assert {name: int(row[name]) for name in outcomes} == counts.outcomes
        codes = dict(pair.split(":") for pair in row["left_out"].split())
        assert {code: int(count) for code, count in codes.items()} == {
            code: count for code, count in counts.left_out.items() if count
        }
        assert row["effective_tiles"] == (
            "" if answer.effective_tiles is None else f"{answer.effective_tiles:.1f}"
        )
        assert row["model_sha256"] == bench.model == run.basis.model
        assert (row["her2edge"], row["runtime"]) == (run.basis.version, str(summary.runtime))


def test_it_is_the_same_table_again_whoever_collects(bench: ShardBench) -> None:
    first = collect(bench.out).path.read_bytes()
    assert collect(bench.out).path.read_bytes() == first
    assert collect(bench.out, read_cohort(bench.list)).path.read_bytes() == first


def test_missing_set_aside_tried_unfinished_and_damaged_slides_are_named_with_the_reason(
    bench: ShardBench,
) -> None:
    with bench.list.open("a") as file:
        file.write("gone.png,P5\n")
    begin_plan(
        bench.out, Plan(model=bench.model, name="tiny", options={}), read_cohort(bench.list, must_exist=False)
    )
    shutil.rmtree(place(bench, "a.png"))
    attempts = Attempts(bench.out, "a.png", fingerprint_slide(bench.root / "a.png"))
    with attempts.claim():
        attempts.give_up(SetAside("a.png", attempts.fingerprint, "a.png: no scale", 65, 1))
    shutil.rmtree(place(bench, "b.png"))
    attempts = Attempts(bench.out, "b.png", fingerprint_slide(bench.root / "b.png"))
    with attempts.claim():
        attempts.begin()
        attempts.begin()
        attempts.failed("b.png: the share hung")
    (place(bench, "c.png") / "run.json").unlink()
    (place(bench, "d.png") / "summary.json").write_text("{}")
    found = collect(bench.out)
    assert state_of(found) == {
        "a.png": "set aside", "b.png": "failed", "c.png": "unfinished", "d.png": "damaged",
        "gone.png": "no results",
    }  # fmt: skip
    assert [problem.split(": ")[0] for problem in found.problems] == [
        "a.png",
        "b.png",
        "c.png",
        "d.png",
        "gone.png",
    ]
    assert "a.png: set aside: a.png: no scale" in found.problems
    assert "b.png: failed: tried 2 times: b.png: the share hung" in found.problems
    assert {row["slide"]: row["patient"] for row in rows_of(found)}["gone.png"] == "P5"


def test_one_slide_under_two_names_is_named_and_both_keep_their_line(bench: ShardBench) -> None:
    shutil.copy(bench.root / "a.png", bench.root / "copy.png")
    twice = ShardBench(bench.root, *NAMES, "copy.png")
    twice.run()
    found = collect(twice.out, read_cohort(twice.list))
    assert state_of(found) == dict.fromkeys([*NAMES, "copy.png"], "done")
    (problem,) = found.problems
    assert problem.startswith("copy.png: duplicate: the same slide as a.png, byte for byte")


def test_two_rows_of_the_same_name_and_bytes_are_one_slide_and_a_duplicate(bench: ShardBench) -> None:
    """They have one folder of results: neither row is lost, and the answer stands once."""
    (bench.root / "again").mkdir()
    shutil.copy(bench.root / "a.png", bench.root / "again" / "a.png")
    twice = ShardBench(bench.root, *NAMES, "again/a.png")
    twice.run()
    found = collect(twice.out, read_cohort(twice.list))
    rows = [(row["slide"], row["state"]) for row in rows_of(found)]
    assert sorted(rows) == [
        ("a.png", "done"),
        ("a.png", "duplicate"),
        *((name, "done") for name in NAMES[1:]),
    ]
    (problem,) = found.problems
    assert "row 6 of the cohort is the same slide as row 2, byte for byte" in problem


def test_two_slides_of_one_name_are_told_apart_by_their_content(bench: ShardBench) -> None:
    (bench.root / "other").mkdir()
    draw(bench.root / "other" / "a.png", 99)
    both = ShardBench(bench.root, *NAMES, "other/a.png")
    both.run()
    found = collect(both.out, read_cohort(both.list))
    assert (found.problems, found.states) == ((), {"done": 5})
    patients = {row["patient"]: row["fingerprint"] for row in rows_of(found) if row["slide"] == "a.png"}
    assert patients == {
        "P-a.png": fingerprint_slide(bench.root / "a.png"),
        "P-other/a.png": fingerprint_slide(bench.root / "other" / "a.png"),
    }


def test_a_slide_replaced_in_its_place_has_its_own_results_and_the_former_are_named(
    bench: ShardBench,
) -> None:
    draw(bench.root / "a.png", 77)
    bench.run()
    found = collect(bench.out)
    done = [row for row in rows_of(found) if row["slide"] == "a.png"]
    now = fingerprint_slide(bench.root / "a.png")
    assert {row["fingerprint"]: row["patient"] for row in done}[now] == "P-a.png"
    (problem,) = found.problems
    assert problem.startswith("a.png: duplicate")


def test_results_that_the_list_does_not_have_are_told_and_are_no_fault(bench: ShardBench) -> None:
    bench.list.write_text("slide\na.png\nb.png\nc.png\n")
    found = collect(bench.out, read_cohort(bench.list))
    assert (found.problems, found.others) == ((), ("d.png",))


def test_failed_tiles_are_named(bench: ShardBench) -> None:
    from made_results import mixed, write

    from her2edge.tile import Outcome

    results = mixed(10, 10)
    failed = sum(one.outcome is Outcome.FAILED for one in results)
    assert failed
    write(bench.out, results, 10, 10, name="e.png", fingerprint="cd" * 32)
    bench.list.write_text("slide\n" + "".join(f"{name}\n" for name in (*NAMES, "e.png")))
    (problem,) = collect(bench.out, read_cohort(bench.list, must_exist=False)).problems
    assert problem.startswith(f"e.png: {failed} tiles failed")


def test_results_of_two_models_are_no_cohort(bench: ShardBench) -> None:
    from made_results import mixed, write

    write(bench.out, mixed(4, 3), 4, 3, name="e.png", fingerprint="cd" * 32, model=TINY[3])
    problems = collect(bench.out).problems
    assert [one for one in problems if one.startswith("results of several models: 4 of tiny-int8")]


def test_without_a_list_nobody_knows_what_is_missing(bench: ShardBench) -> None:
    shutil.rmtree(bench.out / ".cohort")
    with pytest.raises(MissingInputError, match="found no list of slides"):
        collect(bench.out)
    assert not (bench.out / "results.csv").exists()


def test_what_a_watcher_knows_of_files_is_no_slide(bench: ShardBench) -> None:
    (bench.out / ".watch").mkdir(exist_ok=True)
    (bench.out / ".watch" / "known-0123.json").write_text(json.dumps({"x": {"size": 1}}))
    (bench.out / ".watch" / "x.png-0123.json").write_text("{")
    assert collect(bench.out).states == {"done": 4}


def test_a_slide_that_was_tried_once_says_once(bench: ShardBench) -> None:
    shutil.rmtree(place(bench, "a.png"))
    attempts = Attempts(bench.out, "a.png", fingerprint_slide(bench.root / "a.png"))
    with attempts.claim():
        attempts.begin()
        attempts.failed("a.png: the share hung")
    found = collect(bench.out, read_cohort(bench.list, must_exist=False))
    assert "a.png: failed: tried once: a.png: the share hung" in found.problems
