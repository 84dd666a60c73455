"""The way from a lab's data to a signed model: the page, and the script that walks it on synthetic tissue."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from shared_data import ROOT

SCRIPT = ROOT / "examples" / "journey.sh"
PAGE = (ROOT / "docs" / "your-data.md").read_text(encoding="utf-8")
STEPS = ("tiles", "recipe", "train", "evaluate", "quantize", "keygen", "sign", "verify", "classify", "report")


def verbs(text: str, indent: str) -> list[str]:
    """Of the commands at the beginning of lines, each once, in their order."""
    return list(dict.fromkeys(re.findall(rf"^{indent}her2edge (\w+)", text, re.MULTILINE)))


def test_page_and_script_walk_the_same_way() -> None:
    assert verbs(PAGE, "    ") == verbs(SCRIPT.read_text(), "") == [*STEPS, "agree"]


def test_what_the_page_names_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
    assert "sh examples/journey.sh journey" in PAGE
    assert "sh examples/journey.sh journey" in SCRIPT.read_text()


def test_without_her2edge_the_script_says_what_to_do_and_makes_nothing(tmp_path: Path) -> None:
    shell = shutil.which("sh")
    if shell is None:
        pytest.skip("no sh here")
    command = [shell, str(SCRIPT), str(tmp_path / "out")]
    nothing = {"PATH": str(tmp_path)}
    done = subprocess.run(command, env=nothing, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (78, "")
    assert re.fullmatch(r"found no her2edge .* activate .*pip install [^\n]*\n", done.stderr)
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the script has been."""
    for module in ("tensorflow", "matplotlib", "sklearn", "cryptography", "jinja2"):
        pytest.importorskip(module, reason="the journey needs the extras train, quantize, sign and report")
    shell = shutil.which("sh")
    if shell is None:
        pytest.skip("no sh here")
    out = tmp_path_factory.mktemp("journey")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        [shell, str(SCRIPT), str(out)],
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    (out / "printed.txt").write_text(done.stdout)
    return out


@pytest.mark.slow
def test_class_folders_become_a_model_that_passes_the_gate_and_is_signed(walked: Path) -> None:
    environment = json.loads((walked / "run" / "environment.json").read_text())
    assert list(environment["label_from"]) == ["tile_folder"]
    assert "too few patients for an interval" in (walked / "scores" / "evaluation.md").read_text()
    report = json.loads((walked / "her2.report.json").read_text())
    verdict = report["model"]["verdict"]
    assert (verdict["reasons"], verdict["patients"]) == ([], 60)
    assert verdict["tiles"] >= 2000
    printed = (walked / "printed.txt").read_text()
    assert "the gate of quantize will ask for 2000 tiles of 60 patients" in printed
    assert "gate: passed" in printed


@pytest.mark.slow
def test_the_signed_model_reads_the_labs_slides_to_a_page_for_each_and_one_to_sign(walked: Path) -> None:
    assert len(list((walked / "results").glob("*/report.html"))) == 27
    assert (walked / "results" / "index.html").is_file()
    kit = json.loads((walked / "kit" / "agree.json").read_text())
    assert len(kit["slides"]) == 27
    assert kit["read_by"]["demo"] is True  # it knows synthetic tissue only, and its page says so
    assert (walked / "kit" / "agree.html").is_file()
