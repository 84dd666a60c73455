"""Two commands at once into one output: all rows of both, or one that refuses and says why."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import resources
from pathlib import Path

import cv2
import pytest
import signing
import small_slide
import tiny
import training_data
from drawn import SMALL, annotate, make_slide

from her2edge import Model
from her2edge.alone import LOCK, alone_in, alone_with
from her2edge.errors import TakenError
from her2edge.results.folder import slide_folder
from her2edge.runtime import Host
from her2edge.runtime.profile import profile_path
from her2edge.slide import SlideReader
from her2edge_cli.main import cli, main
from her2edge_cli.parts import Parts
from her2edge_training import synthetic
from her2edge_training.cohort.tile_list import TileList

ROUNDS = 10
TAKEN = "found another her2edge at work there: wait until it ends"
READ_ONLY = {"inspect", "verify", "bench", "recipe"}  # bench writes to a temporary folder of its own

DEMO = resources.files("her2edge.data") / "demo-int8.tflite"

Door = Callable[[Path], AbstractContextManager[None]]
Case = Callable[[Path], tuple[list[object], AbstractContextManager[None]]]


def her2edge(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "her2edge_cli", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def both(*commands: list[object]) -> list[tuple[int, str]]:
    """Exit code and stderr of commands that were started together."""
    running = [her2edge(*command) for command in commands]
    errors = [process.communicate()[1] for process in running]
    return [(process.returncode, error) for process, error in zip(running, errors, strict=True)]


@pytest.mark.slow
def test_two_tiles_commands_into_one_folder_lose_no_row_in_ten_rounds(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    ends = []
    for name in "ab":
        make_slide(tmp_path / f"{name}.png", seed=ord(name))
        annotate(tmp_path / f"{name}.geojson", ("3+", (0, 0, 3, 3)))
    for number in range(ROUNDS):
        out = tmp_path / f"cohort-{number}"
        ended = both(
            *(
                ["tiles", tmp_path / f"{name}.png", "--annotations", tmp_path / f"{name}.geojson",
                 "--out", out, *SMALL, "--patient", name]
                for name in "ab"
            )
        )  # fmt: skip
        codes = [code for code, _ in ended]
        ends.append(codes.count(0))
        assert set(codes) <= {0, 73}, ended
        assert all(code == 0 or TAKEN in error for code, error in ended), ended
        rows = TileList.read(out / "cohort.csv").records
        assert len(rows) == 9 * codes.count(0)
        assert len({row.slide for row in rows}) == codes.count(0)
        assert not list(out.rglob(".*"))
    assert len(ends) == ROUNDS
    figure = f"both done in {ends.count(2)}, one refused in {ends.count(1)} of {ROUNDS} rounds, 0 rows lost"
    record_property("figure", figure)


@pytest.mark.slow
def test_fresh_beside_another_run_of_the_slide_ends_in_one_set_of_files(tmp_path: Path) -> None:
    """Between its look at the journal and the journal's removal nobody else may begin."""
    slide = small_slide.draw_slide(tmp_path / "slide.png")
    assert small_slide.classify(slide, tmp_path / "alone") == 0
    (made,) = (tmp_path / "alone").iterdir()
    for _ in range(ROUNDS):
        ended = both(*[list(small_slide.arguments(slide, tmp_path / "out", "--fresh"))] * 3)
        assert {code for code, _ in ended} <= {0, 73}, ended
        assert 0 in {code for code, _ in ended}
        assert all(code == 0 or "another her2edge" in error for code, error in ended), ended
        (folder,) = (tmp_path / "out").iterdir()
        names = {path.name for path in made.iterdir()}
        assert {path.name for path in folder.iterdir()} == names
        for name in names - {"run.json"}:
            assert (folder / name).read_bytes() == (made / name).read_bytes()


def of_folder(*arguments: object) -> Case:
    """A verb whose --out is a folder that another command is at work in."""
    return lambda tmp_path: ([*arguments, "--out", tmp_path / "out"], alone_in(tmp_path / "out"))


def of_file(name: str, *arguments: object) -> Case:
    return lambda tmp_path: ([*arguments, "--out", tmp_path / name], alone_with(tmp_path / name))


def classify(tmp_path: Path) -> tuple[list[object], AbstractContextManager[None]]:
    slide = small_slide.draw_slide(tmp_path / "slide.png")
    with SlideReader(slide, mpp=tiny.MPP) as reader:
        folder = slide_folder(tmp_path / "out", reader.name, reader.fingerprint)
    return list(small_slide.arguments(slide, tmp_path / "out")), alone_in(folder)


def metrics(*verb: object) -> Case:
    def case(tmp_path: Path) -> tuple[list[object], AbstractContextManager[None]]:
        model = ["--model", tiny.INT8, "--out", tmp_path / "out"]
        counts = tmp_path / "x.prom"
        return [*verb, *model, "--metrics", counts], alone_with(counts)

    return case


def cohort(tmp_path: Path) -> tuple[list[object], AbstractContextManager[None]]:
    (tmp_path / "list.csv").write_text("slide\nslide.png\n")
    command, door = metrics("cohort", tmp_path / "list.csv")(tmp_path)
    return command, door


def collect(tmp_path: Path) -> tuple[list[object], AbstractContextManager[None]]:
    return ["cohort", "--collect", tmp_path / "out"], alone_in(tmp_path / "out")


def stain(tmp_path: Path) -> tuple[list[object], AbstractContextManager[None]]:
    (tmp_path / "images").mkdir()
    tissue = tiny.tissue(1)[0].pixels
    cv2.imwrite(str(tmp_path / "images" / "a.png"), tissue)
    return ["stain", tmp_path / "images", "--out", tmp_path / "out"], alone_in(tmp_path / "out")


def tiles(tmp_path: Path) -> tuple[list[object], AbstractContextManager[None]]:
    drawn = annotate(tmp_path / "a.geojson", ("3+", (0, 0, 3, 3)))
    command = ["tiles", make_slide(tmp_path / "a.png"), "--annotations", drawn, *SMALL]
    return [*command, "--out", tmp_path / "out"], alone_in(tmp_path / "out")


def trained(*verb: object) -> Case:
    def case(tmp_path: Path) -> tuple[list[object], AbstractContextManager[None]]:
        (tmp_path / "data").mkdir()
        data = training_data.write_cohort(tmp_path / "data", slides=2, tiles=1)
        command = [*verb, "--smoke", "--data", data, "--out", tmp_path / "out"]
        return command, alone_in(tmp_path / "out")

    return case


def tune(tmp_path: Path) -> tuple[list[object], AbstractContextManager[None]]:
    place = profile_path(Model.load(tiny.INT8), Host(state=tmp_path / "state"))
    place.parent.mkdir(parents=True)
    return ["doctor", tiny.INT8, "--tune"], alone_with(place)


CASES: dict[str, Case] = {
    "calibrate": of_file("c.tflite", "calibrate", tiny.INT8, "--cohort", "list.csv", "--results", "out"),
    "agree": of_folder("agree", "results", "--cohort", "list.csv"),
    "classify": classify,
    "classify --metrics": metrics("classify", "slide.png"),
    "cohort --collect": collect,
    "cohort --metrics": cohort,
    "demo": of_folder("demo"),
    "dicom": of_folder("dicom", "results", "--source", "slide.dcm"),
    "distil": trained("distil", DEMO, "--recipe", "student_mobilenetv4"),
    "doctor --tune": tune,
    "evaluate": of_folder("evaluate", "run"),
    "explain": of_folder("explain", "--model", tiny.INT8, "tile.png"),
    "keygen": of_file("lab.pem", "keygen"),
    "quantize": of_file("m.tflite", "quantize", "run", "--data", "cohort.csv", "--scheme", "fp32"),
    "register": of_folder("register", "he.svs", "ihc.svs"),
    "report": of_folder("report", "results"),
    "sign": of_file("s.tflite", "sign", tiny.INT8, "--key", "lab.pem"),
    "stain": stain,
    "study": trained("study", "demo_se_resnet50"),
    "synthesize": of_folder("synthesize", "--slides", "3", "--tiles", "1", "--tile-px", "64"),
    "tiles": tiles,
    "train": trained("train", "demo_se_resnet50"),
    "watch --metrics": metrics("watch", "slides", "--once"),
}
WAITS = {"trust", "watch"}  # shown below, and in watch/test_watch.py


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize("verb", CASES)
def test_a_verb_refuses_where_another_is_at_work_and_changes_nothing(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command, door = CASES[verb](tmp_path)
    parts = Parts(host=Host(state=tmp_path / "state"))
    with door:
        before = contents(tmp_path)
        assert main(list(map(str, command)), parts) == 73
        assert contents(tmp_path) == before
    error = capsys.readouterr().err
    assert TAKEN in error
    assert "free some space" not in error
    assert not list(tmp_path.rglob(LOCK))


def test_every_verb_that_writes_is_in_the_table() -> None:
    assert {verb.split()[0] for verb in CASES} | WAITS == set(cli.commands) - READ_ONLY


@pytest.mark.skipif(os.name != "posix", reason="the place is another one")
def test_trust_waits_for_another_trust_and_then_sees_what_it_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A key that is trusted meanwhile is not overwritten by one who looked before."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    other, place = tmp_path / "other.json", tmp_path / "config" / "her2edge" / "trust.json"
    other.write_bytes(signing.trust_json(signing.OTHER))
    place.parent.mkdir(parents=True)
    codes = []
    with alone_with(place):
        late = threading.Thread(target=lambda: codes.append(installed(other)))
        late.start()
        late.join(0.3)
        assert late.is_alive()
        signing.configure(tmp_path / "config")
    late.join()
    assert codes == [73]
    assert place.read_bytes() == signing.trust_json()


def installed(path: Path) -> int:
    """`her2edge trust PATH` in a process: signals are for main threads."""
    return subprocess.run(
        [sys.executable, "-m", "her2edge_cli", "trust", str(path)], capture_output=True, check=False
    ).returncode


def test_a_study_and_a_run_do_not_take_the_lock_for_somebodys_file(tmp_path: Path) -> None:
    from her2edge_training.run.new_run import NewRun

    run = NewRun(tmp_path / "run")
    with run.alone():
        run.refuse_other()
        with pytest.raises(TakenError), NewRun(tmp_path / "run").alone():
            raise AssertionError
    assert not (tmp_path / "run").exists()


def test_a_cohort_that_is_written_elsewhere_is_refused_from_python_too(tmp_path: Path) -> None:
    cohort = synthetic.even_cohort(3, 1, 1)
    with alone_in(tmp_path / "out"), pytest.raises(TakenError, match=re.escape(TAKEN)):
        synthetic.write_dataset(tmp_path / "out", cohort, tile_px=64)
