"""A demo model, and one whose gate was overridden, are called so in every output of a slide."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import repack
import tiny

from her2edge import Model, Options, TileClassifier, classify_slide
from her2edge.results import notice
from her2edge_cli.main import main

SLIDE = tiny.DATA / "first" / "slide.png"
GATE = {
    "tiles": 30, "slides": 3, "patients": 3, "flips": 4, "flip_interval": [0.05, 0.3], "accuracy": 0.8,
    "accuracy_drop": 0.1, "accuracy_drop_interval": [0.0, 0.2], "assessed_slides": 3, "changed_slides": 1,
    "max_difference": 0.4, "mean_difference": 0.1, "limits": {}, "reasons": ["30 held-out tiles"],
}  # fmt: skip


def model_file(folder: Path, *, demo: bool, accepted_loss: bool) -> Path:
    path = folder / "model.tflite"
    gate = GATE | {"accepted_loss": accepted_loss}
    path.write_bytes(repack.packed(repack.edited(demo=demo, gate=gate)))
    return path


def classified(model: Path | None, out: Path, *more: str) -> Path:
    """The one folder of results."""
    of = () if model is None else ("--model", str(model))
    assert main(["classify", str(SLIDE), "--mpp", "0.5", "--out", str(out), *of, *more]) == 0
    (folder,) = out.iterdir()
    return folder


def summary_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text())  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("demo", "accepted", "line", "label"),
    [
        (False, False, "slide.png: 2+ (no stated error)", "2+"),
        (True, False, "slide.png: 2+ (demo model) (no stated error)", "2+ (demo model)"),
        (False, True, "slide.png: 2+ (no stated error)", "2+"),
        (True, True, "slide.png: 2+ (demo model) (no stated error)", "2+ (demo model)"),
    ],
)
def test_the_line_the_files_and_the_json_name_what_the_model_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], demo: bool, accepted: bool, line: str, label: str
) -> None:
    path = model_file(tmp_path, demo=demo, accepted_loss=accepted)
    folder = classified(path, tmp_path / "out", "--stain", "off")
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(line)
    assert first.endswith(" (gate overridden)") == accepted
    summary, run = summary_of(folder), json.loads((folder / "run.json").read_text())
    assert summary["answer"]["labels"] == [label]
    assert (summary["demo"], summary["model"]["gate_overridden"]) == (demo, accepted)
    words = notice(Model.load(path))
    assert ("Gate overridden" in words, "Demo model" in words) == (accepted, demo)
    assert summary["notice"] == run["notice"] == words
    assert words in (folder / "tiles.csv").read_text()
    assert words in (folder / "tiles.geojson").read_text()
    classified(path, tmp_path / "out", "--stain", "off", "--json")  # complete: read back from the files
    printed = json.loads(capsys.readouterr().out)
    assert printed["answer"]["labels"] == [label]
    assert (printed["demo"], printed.get("gate_overridden", False)) == (demo, accepted)
    assert main(["inspect", str(path)]) == 0
    inspected = capsys.readouterr().out
    assert ("Gate overridden" in inspected, "REFUSED, loss accepted" in inspected) == (accepted, accepted)


def test_tiles_and_pythons_results_have_the_plain_label(tmp_path: Path) -> None:
    path = model_file(tmp_path, demo=True, accepted_loss=False)
    classifier = TileClassifier(Model.load(path), Options(stain="off"))
    made = classify_slide(SLIDE, tmp_path / "out", classifier, mpp=0.5)
    former = classify_slide(SLIDE, tmp_path / "out", classifier, mpp=0.5)
    assert former.complete_before
    assert former.answer == made.answer
    assert made.answer.labels == ("2+",)
    with (made.folder / "tiles.csv").open(newline="") as file:
        assert {row["label"] for row in csv.DictReader(file)} <= {"", "0/1+", "2+", "3+"}


def test_without_tissue_there_is_no_label_to_mark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = model_file(tmp_path, demo=True, accepted_loss=False)
    folder = classified(path, tmp_path / "out", "--min-tissue-tiles", "1000")
    assert summary_of(folder)["answer"]["labels"] == []
    assert "slide.png: not assessable: " in capsys.readouterr().out
