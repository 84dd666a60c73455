"""Every verb and every path it takes: a name too long for the system is an error in a line, never a crash."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import click
import pytest
import tiny

from her2edge_cli.main import cli, main

LONG = "L" * 300
SLIDE = tiny.DATA / "first" / "slide.png"
MODELS = ("model", "model_path", "path")
MORE = {
    "classify": ["--model", str(tiny.INT8), "--mpp", "0.5"],
    "watch": ["--model", str(tiny.INT8), "--mpp", "0.5", "--once"],
    "explain": ["--model", str(tiny.INT8), "--mpp", "0.5"],
    "quantize": ["--scheme", "int8"],
    "tiles": ["--annotations", str(SLIDE), "--mpp", "0.5"],
    "synthesize": ["--slides", "3", "--tiles", "1", "--tile-px", "64"],
}
NEEDED = {"cohort": ("cohort_path", "out")}  # but for --collect
ALONE = ("cohort_path", "redo", "from_folders")  # stand in place of slides
CASES = [
    (verb, parameter.name)
    for verb, command in sorted(cli.commands.items())
    for parameter in command.params
    if isinstance(parameter.type, click.Path)
]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="names of 255 bytes")


def _words(verb: str, chosen: str, place: Path) -> list[str]:
    """The command with a long name for the chosen path and good ones for those it needs besides."""
    words = []
    more = MORE.get(verb, [])
    if chosen == "from_folders":
        more = more[2:]
    for parameter in cli.commands[verb].params:
        if not isinstance(parameter.type, click.Path):
            if parameter.param_type_name == "argument" and parameter.required:
                words.append("demo_se_resnet50")
            continue
        if parameter.name == chosen:
            value = LONG
            if parameter.opts[0] in more:
                at = more.index(parameter.opts[0])
                more = more[:at] + more[at + 2 :]
        elif parameter.opts[0] in more or not (
            parameter.required
            or (parameter.name in NEEDED.get(verb, ()) and chosen != "collected")
            or (parameter.name in ("paths", "images") and chosen not in ALONE)
        ):
            continue
        elif parameter.name in ("out", "folder"):
            value = str(place / parameter.name)
        else:
            value = str(tiny.INT8 if parameter.name in MODELS else place / "folder" / SLIDE.name)
        words += [value] if parameter.param_type_name == "argument" else [parameter.opts[0], value]
    return [verb, *words, *more]


@pytest.mark.parametrize("tail", ["", "/x"])
@pytest.mark.parametrize(("verb", "chosen"), CASES)
def test_a_name_too_long_is_an_error_in_a_line(
    verb: str,
    chosen: str,
    tail: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    shutil.copy(SLIDE, tmp_path / "folder")
    words = [word + tail if word == LONG else word for word in _words(verb, chosen, tmp_path)]
    code = main(words)
    errors = capfd.readouterr().err
    assert code in (2, 3, 65, 66, 73, 78), errors
    assert "Traceback" not in errors
    assert "Usage" not in errors, errors


@pytest.mark.parametrize("tail", ["", "/x"])
@pytest.mark.parametrize(
    ("verb", "option"),
    [
        ("stain", "--target"),
        ("classify", "--stain"),
        ("explain", "--stain"),
        ("watch", "--stain"),
        ("train", ""),
    ],
)
def test_words_that_may_be_paths_are_no_other(
    verb: str,
    option: str,
    tail: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    shutil.copy(SLIDE, tmp_path / "folder")
    words = _words(verb, "", tmp_path)
    if option:
        words += [option, LONG + tail]
    else:
        words[words.index("demo_se_resnet50")] = LONG + tail
    assert main(words) in (2, 3, 65, 66, 73, 78)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("verb", ["explain", "stain"])
def test_a_verb_whose_inputs_are_all_refused_leaves_no_empty_folder(verb: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    assert main([verb, str(bad), "--out", str(tmp_path / "new" / "out"), *MORE.get(verb, [])]) == 65
    assert not (tmp_path / "new" / "out").exists()
