"""`classify`, `watch` and `cohort` say once that another runtime may be faster; `demo` says nothing of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import small_slide
import tiny

from her2edge import Model
from her2edge.runtime import RUNTIMES, Host, runtime_versions
from her2edge.runtime.machine import this_machine
from her2edge.runtime.profile import Profile, Setting, profile_path, write_profile
from her2edge_cli.main import main
from her2edge_cli.parts import Parts

NEVER, FASTER = "openvino is installed and was never measured", "1.43 times as fast"
MODEL = Model.load(tiny.INT8)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A machine on which two runtimes are installed; its state folder is the process's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    packages = {"litert": "ai-edge-litert", "openvino": "ai-edge-litert", "tflite-runtime": "none-such"}
    return Host(runtimes={n: replace(RUNTIMES[n], package=one) for n, one in packages.items()})


@pytest.fixture
def slides(tmp_path: Path) -> list[Path]:
    (tmp_path / "in").mkdir()
    return [small_slide.draw_slide(tmp_path / "in" / f"{name}.tif", 2, 2) for name in "ab"]


def keep(host: Host, faster: float, model: Model = MODEL) -> None:
    """As `doctor --tune` would have measured it, by the runtimes that the process sees."""
    measured = Setting("litert", 1, 1, "f32", 10.0), Setting("openvino", 1, 1, "f32", faster)
    made = Profile(1, model.sha256, this_machine(), runtime_versions(host.runtimes), measured)
    write_profile(made, profile_path(model, host))


def command(verb: str, slides: list[Path], out: Path) -> list[str]:
    listed = slides[0].parent.with_name("list.csv")
    listed.write_text("slide\n" + "".join(f"{path}\n" for path in slides))
    before = {"classify": map(str, slides), "watch": [str(slides[0].parent)], "cohort": [str(listed)]}
    more = ["--once", "--still", "0", "--poll", "0.05"] if verb == "watch" else []
    fixed = ["--model", str(tiny.INT8), "--mpp", str(tiny.MPP), "--threads", "1", "--out", str(out)]
    return [verb, *before[verb], *fixed, *more]


@pytest.mark.parametrize("verb", ["classify", "watch", "cohort"])
def test_it_is_said_once_whatever_the_number_of_slides(
    verb: str, slides: list[Path], tmp_path: Path, host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(verb, slides, tmp_path / "out"), Parts(host=host)) == 0
    assert capsys.readouterr().err.count(NEVER) == 1
    keep(host, 14.3)
    assert main(command(verb, slides, tmp_path / "out"), Parts(host=host)) == 0
    printed = capsys.readouterr()
    assert printed.err.count(FASTER) == 1
    assert NEVER not in printed.err
    assert FASTER not in printed.out


def test_where_nothing_is_faster_nothing_is_said(
    slides: list[Path], tmp_path: Path, host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(host, 12.0)
    assert main(command("classify", slides, tmp_path / "out"), Parts(host=host)) == 0
    printed = capsys.readouterr()
    assert "openvino" not in printed.err + printed.out


def test_results_do_not_depend_on_it_and_programs_read_what_they_read_before(
    slides: list[Path], tmp_path: Path, host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(host, 14.3)
    assert main([*command("classify", slides[:1], tmp_path / "out"), "--json"], Parts(host=host)) == 0
    assert json.loads(capsys.readouterr().out)["exit_code"] == 0
    (run,) = (tmp_path / "out").glob("*/run.json")
    assert json.loads(run.read_text())["runtime"]["name"] == "litert"


def test_a_profile_that_is_of_no_use_costs_one_line_in_all(
    slides: list[Path], tmp_path: Path, host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(host, 14.3)
    profile_path(MODEL, host).write_text("{")
    arguments = command("classify", slides, tmp_path / "out")
    at = arguments.index("--threads")
    for asked in (arguments, arguments[:at] + arguments[at + 2 :]):  # the second looks for measured threads
        assert main(asked, Parts(host=host)) == 0
        lines = capsys.readouterr().err.splitlines()
        assert sum("doctor --tune" in line for line in lines) == 1


def test_the_demo_says_nothing_of_runtimes_and_stays_on_litert(
    tmp_path: Path, host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(Host(), 14.3, Model.demo())  # the demo runs on this machine as it is
    assert main(["demo", "--out", str(tmp_path / "out")], Parts(host=host)) == 0
    printed = capsys.readouterr()
    assert "openvino" not in printed.err + printed.out
    assert "--tune" not in printed.err + printed.out
    (run,) = (tmp_path / "out").glob("*/run.json")
    assert json.loads(run.read_text())["runtime"]["name"] == "litert"
