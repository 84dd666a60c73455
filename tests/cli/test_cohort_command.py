"""`her2edge cohort`: a list of slides in parts, by one process or several, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
from shard_bench import FIT, OTHER_FIT, ShardBench, write
from small_slide import contents, draw_slide

from her2edge import SlideRun
from her2edge.errors import OutputWriteError, SlideReadError
from her2edge_cli.main import main
from her2edge_cli.parts import Parts

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("a.png", "b.png", "c.png", "d.png", "e.png")
TIME = ("started",)


def arguments(bench: ShardBench, *more: object) -> list[str]:
    fixed = ["--model", tiny.INT8, "--mpp", tiny.MPP, "--threads", "1"]
    return ["cohort", *map(str, (bench.list, "--out", bench.out, *fixed, *more))]


def classified(fail: Callable[[str], BaseException | None] = lambda _: None) -> Parts:
    """Results are made at once."""

    def classify(path: Path, out: Path, *_: object, **__: object) -> SlideRun:
        error = fail(path.name)
        if error is not None:
            raise error
        return write(out, path)

    return Parts(classify_slide=classify)


def run(
    bench: ShardBench, *more: object, fail: Callable[[str], BaseException | None] = lambda _: None
) -> int:
    return main(arguments(bench, *more), classified(fail))


def table(out: Path) -> list[dict[str, str]]:
    rows = list(csv.DictReader(io.StringIO((out / "results.csv").read_text("utf-8-sig"))))
    return [{name: cell for name, cell in row.items() if name not in TIME} for row in rows]


@pytest.fixture
def bench(tmp_path: Path) -> ShardBench:
    return ShardBench(tmp_path, *NAMES)


def test_the_shards_together_make_what_one_process_makes_and_report_and_agree_work_on_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the tiny model's own results, to the byte."""
    for number, name in enumerate(NAMES):
        draw_slide(tmp_path / name, 2 + number, 2)
    listed = tmp_path / "list.csv"
    listed.write_text("slide,patient,score\n" + "".join(f"{name},P-{name},3+\n" for name in NAMES))
    one, many = tmp_path / "one", tmp_path / "many"
    fixed = ["--model", str(tiny.INT8), "--mpp", str(tiny.MPP), "--threads", "1"]
    assert main(["cohort", str(listed), "--out", str(one), *fixed]) == 0
    for shard in ("1/2", "2/2"):
        assert main(["cohort", str(listed), "--out", str(many), *fixed, "--shard", shard]) == 0
    for out in (one, many):
        assert main(["cohort", "--collect", str(out)]) == 0
    assert table(one) == table(many)
    assert [row["slide"] for row in table(many)] == list(NAMES)
    files = {path.relative_to(one): data for path, data in contents(one).items() if path.parent != one}
    for path, data in files.items():
        if path.name != "run.json" and not path.parts[0].startswith("."):
            assert (many / path).read_bytes() == data
    collected = table(many)
    assert main(["report", str(many), "--cohort", str(listed)]) == 0
    assert [row | {"page": ""} for row in table(many)] == collected
    capsys.readouterr()
    assert main(["agree", str(many), "--cohort", str(listed), "--out", str(tmp_path / "kit")]) == 65
    assert "found too few patients with a known score and results" in capsys.readouterr().err  # 5 of 27


def test_each_slide_is_told_once_and_a_second_run_begins_none(
    bench: ShardBench, capsys: pytest.CaptureFixture[str]
) -> None:
    begun: list[str] = []
    assert run(bench, "--json", "--shard", "1/2", fail=begun.append) == 0
    assert run(bench, "--json", "--shard", "2/2", fail=begun.append) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted(line["slide"] for line in lines) == sorted(begun) == list(NAMES)
    assert {line["patient"] for line in lines} == {f"P-{name}" for name in NAMES}
    assert run(bench, fail=begun.append) == 0
    assert len(begun) == len(NAMES)
    again = capsys.readouterr()
    assert again.out == ""
    assert "5 done (5 before)" in again.err


def test_a_bad_slide_costs_no_other_and_is_named(
    bench: ShardBench, capsys: pytest.CaptureFixture[str]
) -> None:
    (bench.root / "b.png").unlink()
    (bench.root / "c.png").write_bytes(b"no slide")
    failing = {"c.png": SlideReadError("c.png: cannot be decoded")}
    assert run(bench, "--retries", "0", fail=failing.get) == 3
    said = capsys.readouterr().err
    assert "b.png (row 3): no such slide" in said
    assert "c.png is set aside: c.png: cannot be decoded; see failed/c.png-" in said
    assert "3 done, 1 refused, 1 set aside" in said
    assert main(["cohort", "--collect", str(bench.out)]) == 3
    states = {row["slide"]: row["state"] for row in table(bench.out)}
    assert states == {
        "a.png": "done", "b.png": "no results", "c.png": "set aside", "d.png": "done", "e.png": "done"
    }  # fmt: skip
    said = capsys.readouterr().err
    assert "b.png: no results" in said
    assert "c.png: set aside: c.png: cannot be decoded" in said


def test_where_no_slide_has_results_the_code_is_the_first_ones(bench: ShardBench) -> None:
    assert run(bench, fail=lambda name: SlideReadError(f"{name}: hung")) == 65
    for name in NAMES:
        (bench.root / name).unlink()
    assert run(bench) == 66


def test_a_full_disk_ends_the_run_and_the_next_one_does_the_rest(
    bench: ShardBench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(bench, fail=lambda name: OutputWriteError("disk full") if name == "c.png" else None) == 74
    assert "disk full" in capsys.readouterr().err
    begun: list[str] = []
    assert run(bench, "--retries", "0", fail=begun.append) == 0
    assert begun == ["c.png", "d.png", "e.png"]


def test_the_same_slide_twice_is_refused_with_both_rows_before_anything_is_made(
    bench: ShardBench, capsys: pytest.CaptureFixture[str]
) -> None:
    with bench.list.open("a") as file:
        file.write("./a.png,P9\n")
    assert run(bench) == 65
    assert "row 7: found a.png, which row 2 lists already" in capsys.readouterr().err
    assert not bench.out.exists()


def test_shards_of_another_number_other_options_and_another_model_are_refused(
    bench: ShardBench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(bench, "--shard", "1/2") == 0
    before = contents(bench.out)
    assert run(bench, "--shard", "2/3") == 2
    assert "found 3 shards for a folder that was begun with 2" in capsys.readouterr().err
    assert run(bench, "--shard", "2/2", "--stain", "off") == 65
    assert "--stain off instead of None" in capsys.readouterr().err
    other = [str(tiny.FP32) if one == str(tiny.INT8) else one for one in arguments(bench, "--shard", "2/2")]
    assert main(other, classified()) == 65
    assert "begun with tiny-int8" in capsys.readouterr().err
    assert contents(bench.out) == before
    assert run(bench, "--shard", "2/2") == 0


def test_a_stain_fit_is_held_by_its_numbers_whatever_its_file_is_called(
    bench: ShardBench, capsys: pytest.CaptureFixture[str]
) -> None:
    fits = [bench.root / name for name in ("here.json", "there.json", "other.json")]
    for path, fit in zip(fits, (FIT, FIT, OTHER_FIT), strict=True):
        fit.save(path)
    assert run(bench, "--shard", "1/2", "--stain", fits[0]) == 0
    assert run(bench, "--shard", "2/2", "--stain", fits[1]) == 0
    fits[0].write_bytes(fits[2].read_bytes())
    assert run(bench, "--shard", "1/2", "--stain", fits[0]) == 65
    assert "--stain fit " in capsys.readouterr().err


def test_more_slides_in_the_list_are_done_by_the_same_shards_and_no_former_one_is_begun(
    bench: ShardBench, capsys: pytest.CaptureFixture[str]
) -> None:
    for shard in ("1/2", "2/2"):
        assert run(bench, "--shard", shard) == 0
    longer = ShardBench(bench.root, "f.png", *NAMES, "g.png")
    begun: list[str] = []
    for shard in ("1/2", "2/2"):
        assert run(longer, "--shard", shard, fail=begun.append) == 0
    assert sorted(begun) == ["f.png", "g.png"]
    assert main(["cohort", "--collect", str(bench.out)]) == 0
    assert len(table(bench.out)) == 7


def test_shard_auto_is_that_of_the_task(
    bench: ShardBench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HER2EDGE_SHARDS", "3")
    begun: list[str] = []
    for index in range(3):
        monkeypatch.setenv("JOB_COMPLETION_INDEX", str(index))
        assert run(bench, "--shard", "auto", fail=begun.append) == 0
        assert f"shard {index + 1}/3: " in capsys.readouterr().err
    assert sorted(begun) == list(NAMES)
    monkeypatch.delenv("JOB_COMPLETION_INDEX")
    assert run(bench, "--shard", "auto") == 2
    assert "neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ((), "expected COHORT and --out DIR to classify, or --collect DIR"),
        (("list.csv",), "expected COHORT and --out DIR"),
        (("list.csv", "--out", "out", "--collect", "out"), "found both --collect and --out"),
        (("list.csv", "--out", "out", "--workers", "2"), "without --engine dask"),
        (("list.csv", "--out", "out", "--scheduler", "slurm"), "without --engine dask"),
        (("list.csv", "--out", "out", "--shard", "0/2"), "the first shard is number 1"),
    ],
)  # fmt: skip
def test_a_command_that_says_two_things_or_too_little_is_refused(
    given: tuple[str, ...], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cohort", *given]) == 2
    assert word in capsys.readouterr().err


def test_a_folder_that_is_not_there_or_has_no_list_cannot_be_collected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cohort", "--collect", str(tmp_path / "none")]) == 66
    assert main(["cohort", "--collect", str(tmp_path)]) == 66
    assert "found no list of slides" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_no_engine_is_imported_by_the_sdk_nor_by_the_command_that_needs_none() -> None:
    code = (
        "import sys, her2edge.shards, her2edge_cli.main\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'dask', 'distributed', 'tornado'}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
    for path in (ROOT / "her2edge").rglob("*.py"):
        assert "dask" not in path.read_text().lower(), path


def test_the_adapter_of_the_engine_stays_small() -> None:
    assert len((ROOT / "cli" / "her2edge_cli" / "dask_engine.py").read_text().splitlines()) <= 80
