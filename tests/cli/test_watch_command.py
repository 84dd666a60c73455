"""`her2edge watch` and what `classify` tells programs: JSON lines, counts for Prometheus."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import pytest
import tiny
from prometheus_client.parser import text_string_to_metric_families

from her2edge.errors import OutputError
from her2edge.slide import SLIDE_SUFFIXES
from her2edge_cli.main import main
from her2edge_cli.metrics import Metrics
from her2edge_training import synthetic

RESULTS = {"heatmap.png", "run.json", "summary.json", "tiles.csv", "tiles.geojson"}


def slide(path: Path, seed: int = 7, columns: int = 5, rows: int = 4) -> Path:
    model = synthetic.make_slide_model("3+", synthetic.SITES[1], seed)
    pixels = synthetic.make_slide_image(model, tiny.SIZE * columns, tiny.SIZE * rows, tiny.MPP).pixels
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    return path


def arguments(folder: Path, out: Path) -> list[str]:
    model = ["--model", str(tiny.INT8), "--mpp", str(tiny.MPP)]
    return ["watch", str(folder), "--out", str(out), *model, "--still", "0.2", "--poll", "0.05"]


def metrics_of(path: Path) -> dict[str, float]:
    """`name{label}` -> value, read by Prometheus' own parser."""
    values = {}
    for family in text_string_to_metric_families(path.read_text()):
        for sample in family.samples:
            label = next(iter(sample.labels.values()), "")
            values[f"{sample.name}{{{label}}}" if label else sample.name] = sample.value
    return values


def test_it_does_what_is_there_and_says_so_to_people_and_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out, counts = tmp_path / "in", tmp_path / "out", tmp_path / "her2edge.prom"
    slide(folder / "a.tif")
    slide(folder / "case 2" / "b.tiff", seed=8)
    (folder / "bad.tif").write_bytes(b"no slide")
    extra = ["--once", "--json", "--retries", "0", "--metrics", str(counts)]
    assert main([*arguments(folder, out), *extra]) == 3
    printed = capsys.readouterr()
    lines = {line["slide"]: line for line in map(json.loads, printed.out.splitlines())}
    assert set(lines) == {"a.tif", "b.tiff", "bad.tif"}
    for name in ("a.tif", "b.tiff"):
        line = lines[name]
        assert (line["exit_code"], line["answer"]["tiles"]["total"]) == (0, 20)
        assert {Path(path).name for path in line["files"]} == RESULTS
        assert "Research use only" in line["notice"]
        assert json.loads((Path(line["folder"]) / "summary.json").read_text())["answer"] == line["answer"]
    assert lines["bad.tif"]["exit_code"] == 65
    assert "cannot be decoded" in lines["bad.tif"]["error"]
    assert "answer" not in lines["bad.tif"]
    assert "bad.tif is set aside" in printed.err
    (record,) = (out / "failed").iterdir()
    assert json.loads(record.read_text())["reason"] == lines["bad.tif"]["error"]
    counted_by_name = metrics_of(counts)
    assert counted_by_name["her2edge_slides_total{done}"] == 2
    assert counted_by_name["her2edge_slides_total{set_aside}"] == 1
    outcomes = [lines[name]["answer"]["tiles"]["outcomes"] for name in ("a.tif", "b.tiff")]
    for outcome in outcomes[0]:
        counted = sum(one[outcome] for one in outcomes)
        assert counted_by_name[f"her2edge_tiles_total{{{outcome}}}"] == counted
    assert counted_by_name["her2edge_stage_seconds_total{infer}"] > 0
    assert counted_by_name["her2edge_slides_waiting"] == 0
    assert main([*arguments(folder, out), "--once", "--json"]) == 0  # nothing is left, nothing is repeated
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "nothing new: 3 slide(s) were done or set aside before" in printed.err
    assert (
        f"bad.tif was set aside before and is left out; failed/{record.name} says why: remove" in printed.err
    )


def test_a_folder_without_slides_is_said_with_what_counts_as_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide(tmp_path / "in" / "a.png", columns=1, rows=1)
    assert main([*arguments(tmp_path / "in", tmp_path / "out"), "--once"]) == 0
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "found no slide" in line)
    assert line.startswith(
        "her2edge: in: found no slide in the folder, expected files that end in .bif .dcm "
    )
    assert set(line.split(" end in ")[1].split()) == SLIDE_SUFFIXES


def test_results_are_those_of_classify(tmp_path: Path) -> None:
    path = slide(tmp_path / "in" / "a.tif")
    assert main([*arguments(path.parent, tmp_path / "watched"), "--once"]) == 0
    model = ["--model", str(tiny.INT8), "--mpp", str(tiny.MPP)]
    assert main(["classify", str(path), "--out", str(tmp_path / "classified"), *model, "--isolate"]) == 0
    (folder,) = (tmp_path / "classified").iterdir()
    for name in RESULTS - {"run.json"}:
        assert (folder / name).read_bytes() == (tmp_path / "watched" / folder.name / name).read_bytes()


def until(condition: Any, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.05)


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_a_service_takes_slides_as_they_come_and_ends_when_told(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    command = [sys.executable, "-m", "her2edge_cli", *arguments(folder, out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        until(lambda: process.stderr is not None and "Research use only" in process.stderr.readline())
        slide(folder / "a.tif")
        until(lambda: list(out.glob("a.tif-*/run.json")))
        slide(tmp_path / "b.tif", seed=9).rename(folder / "b.tif")
        until(lambda: list(out.glob("b.tif-*/run.json")))
        folder.rename(tmp_path / "unmounted")  # a share that goes away and comes back
        until(lambda: process.stderr is not None and "to come back" in process.stderr.readline())
        slide(tmp_path / "unmounted" / "c.tif", seed=10)
        (tmp_path / "unmounted").rename(folder)
        until(lambda: list(out.glob("c.tif-*/run.json")))
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert process.wait(30) == 143
        assert time.monotonic() - began < 10  # five on a machine that has nothing else to do
        assert process.stdout is not None
        assert [line for line in process.stdout if line.startswith(("a.tif", "b.tif", "c.tif"))]


def test_classify_prints_a_line_of_json_for_each_slide_also_for_those_that_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = slide(tmp_path / "a.png")
    model = ["--model", str(tiny.INT8), "--mpp", str(tiny.MPP)]
    paths = [str(path), str(tmp_path / "none.svs")]
    assert main(["classify", *paths, "--out", str(tmp_path / "out"), *model, "--json"]) == 3
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["slide"], first["exit_code"], first["answer"]["tiles"]["total"]) == ("a.png", 0, 20)
    assert (second["slide"], second["exit_code"]) == ("none.svs", 66)
    assert "no such file" in second["error"]


def test_slides_and_results_in_one_folder_and_a_folder_that_is_not_there_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments(tmp_path, tmp_path), "--once"]) == 2
    assert "choose another --out" in capsys.readouterr().err
    assert main([*arguments(tmp_path / "none", tmp_path / "out"), "--once"]) == 66
    printed = capsys.readouterr().err
    assert "found no such folder, expected the folder that receives the slides: check the path" in printed
    assert "done" not in printed


def test_counts_need_an_extra_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    path = slide(tmp_path / "a.png", columns=1, rows=1)
    model = ["--model", str(tiny.INT8), "--mpp", str(tiny.MPP)]
    counts = ["--metrics", str(tmp_path / "m.prom")]
    assert main(["classify", str(path), "--out", str(tmp_path / "out"), *model, *counts]) == 78
    assert 'pip install "her2edge[metrics]"' in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_option_that_is_wrong_for_every_slide_ends_the_watch_and_sets_none_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = slide(tmp_path / "in" / "a.tif")
    wrong = [*arguments(path.parent, tmp_path / "out"), "--once"]
    wrong[wrong.index("--mpp") + 1] = "99"
    assert main(wrong) == 2
    assert "mpp=99" in capsys.readouterr().err
    assert not (tmp_path / "out" / "failed").exists()
    assert main([*arguments(path.parent, tmp_path / "out"), "--once"]) == 0


@pytest.mark.skipif(os.name != "posix", reason="pipes that close are POSIX")
def test_a_program_that_reads_no_more_costs_no_slide_its_results(tmp_path: Path) -> None:
    path = slide(tmp_path / "in" / "a.tif")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "her2edge_cli", *arguments(path.parent, out), "--once", "--json"]
    reading, writing = os.pipe()
    os.close(reading)
    subprocess.run(command, stdout=writing, timeout=120, check=False)
    os.close(writing)
    assert len(list(out.glob("a.tif-*/run.json"))) == 1
    assert not (out / "failed").exists()


def test_counts_are_written_when_they_change_never_half_and_never_stop_the_work(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "her2edge.prom"
    counts = Metrics(path)
    counts.waiting(3)
    written = path.stat()
    for _ in range(5):
        counts.waiting(3)
    assert path.stat() == written  # a card in a small board wears out
    counts.waiting(2)
    assert path.stat().st_ino != written.st_ino  # another file took its name
    assert [other.name for other in tmp_path.iterdir()] == [path.name]
    path.unlink()
    path.mkdir()  # cannot be replaced
    for slides in (4, 5, 6):
        counts.waiting(slides)
    assert len(caplog.messages) == 1
    assert [other.name for other in tmp_path.iterdir()] == [path.name]
    path.rmdir()
    counts.waiting(7)
    assert metrics_of(path)["her2edge_slides_waiting"] == 7
    with pytest.raises(OutputError, match="choose another --metrics"):
        Metrics(tmp_path / "none" / "her2edge.prom")
