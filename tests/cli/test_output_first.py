"""A place that cannot be written to is found before anything is read, imported or computed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from her2edge.errors import OutputError
from her2edge.files import check_file, check_folder

# Every input is missing, too: a verb that looked at it first would end with 66 or 65.
VERBS = (
    ("agree", "none", "--cohort", "none.csv"),
    ("cohort", "none.csv"),
    ("evaluate", "none"),
    ("explain", "none.keras", "none.png"),
    ("register", "none.svs", "none.svs"),
    ("report", "none"),
    ("stain", "none.png", "--fit", "none.png"),
    ("study", "demo_se_resnet50", "--data", "none.csv"),
    ("synthesize",),
    ("tiles", "none.svs", "--annotations", "none.geojson"),
    ("train", "demo_se_resnet50", "--data", "none.csv"),
)
QUANTIZE = ("quantize", "none", "--data", "none.csv", "--scheme", "int8")
CALIBRATE = ("calibrate", "none.tflite", "--cohort", "none.csv", "--results", "none")
HEAVY = ("keras", "tensorflow", "jax", "matplotlib", "sklearn", "tf_keras")
PROGRAM = """
import json, sys
from her2edge_cli.main import main
codes = [main(arguments) for arguments in json.loads(sys.argv[1])]
print(json.dumps([codes, sorted(set(sys.modules) & set(json.loads(sys.argv[2])))]))
"""


def test_every_verb_that_computes_long_looks_at_its_output_first(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "b.report.md").mkdir()
    places = [str(tmp_path / "file" / "out"), str(tmp_path / "file"), str(tmp_path / "link" / "out")]
    models = [*places, str(tmp_path), str(tmp_path / "link"), str(tmp_path / "no" / "m.tflite")]
    commands = [[*verb, "--out", place] for verb in VERBS for place in places]
    commands += [
        [*QUANTIZE, "--out", place] for place in (*models[:1], *models[2:], str(tmp_path / "b.tflite"))
    ]
    commands += [[*CALIBRATE, "--out", place] for place in models if place != places[1]]
    before = sorted(tmp_path.iterdir())
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(commands), json.dumps(HEAVY)],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    codes, imported = json.loads(ran.stdout.splitlines()[-1])
    assert [command for command, code in zip(commands, codes, strict=True) if code != 73] == []
    assert imported == []
    assert sorted(tmp_path.iterdir()) == before


def test_a_check_makes_nothing_and_lets_through_what_can_be_made(tmp_path: Path) -> None:
    check_folder(tmp_path / "a" / "b")
    check_folder(tmp_path)
    check_file(tmp_path / "new.tflite")
    (tmp_path / "old.tflite").write_bytes(b"old")
    check_file(tmp_path / "old.tflite")
    assert [path.name for path in tmp_path.iterdir()] == ["old.tflite"]
    (tmp_path / "to-folder").symlink_to(tmp_path, target_is_directory=True)
    check_folder(tmp_path / "to-folder" / "c")  # a folder by another name
    (tmp_path / "to-file").symlink_to(tmp_path / "old.tflite")
    for bad, word in (("to-file", "a link"), ("to-folder", "a link")):
        with pytest.raises(OutputError, match=word):
            check_file(tmp_path / bad)
    with pytest.raises(OutputError, match="which is no folder"):
        check_folder(tmp_path / "old.tflite" / "c")


def test_a_relative_place_is_looked_at_where_the_program_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    check_folder(Path("new"))
    check_file(Path("m.tflite"))
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError):
        check_folder(Path("taken/x"))
