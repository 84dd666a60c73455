"""Two and four labels from the tile list to the pages: nothing counts to three or names the paper's."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import pytest
from drawn import SMALL, annotate, make_slide, tiles
from small_slide import draw_slide
from training_data import write_cohort

from her2edge import Model
from her2edge.tile import LABELS
from her2edge_cli.main import main
from her2edge_training.cohort.tile_list import TileList

RECIPE = """
from her2edge.model.classes import LowDefinition
from her2edge_training.recipe import Recipe, Stage
RECIPE = Recipe("mine", "efficientnetb0", (Stage(512, 1, 1e-3, 16),), dense_units=8, labels={labels}{low})
"""
LOW = ", her2_low=LowDefinition(definition='IHC 1+ by two readers', shown_on='nothing yet')"
CASES = {
    "two": (("negative", "positive"), ""),
    "four": (("0", "1+", "2+", "3+"), LOW),
}


def ran(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """What a command that ends well printed."""
    code = main([str(word) for word in words])
    told = capsys.readouterr()
    assert code == 0, told.err
    return told.out + told.err


@pytest.mark.parametrize(("labels", "low"), CASES.values(), ids=CASES)
def test_tiles_are_cut_from_classes_named_like_the_labels(
    tmp_path: Path, labels: tuple[str, ...], low: str
) -> None:
    (tmp_path / "my.py").write_text(RECIPE.format(labels=labels, low=low))
    slide = make_slide(tmp_path / "case.png")
    rows = ((f"HER2 {label}", (0, row, 3, row + 1)) for row, label in enumerate(labels[-2:]))
    annotation = annotate(tmp_path / "case.geojson", *rows)
    more = ("--recipe", tmp_path / "my.py", *SMALL)
    assert tiles(slide, "--annotations", annotation, "--out", tmp_path / "out", *more) == 0
    records = TileList.read(tmp_path / "out" / "cohort.csv", labels).records
    assert {record.label for record in records} == set(labels[-2:])


@pytest.mark.slow
@pytest.mark.parametrize(("labels", "low"), CASES.values(), ids=CASES)
def test_a_recipe_of_other_labels_goes_all_the_way_to_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], labels: tuple[str, ...], low: str
) -> None:
    pytest.importorskip("tensorflow", reason="conversion needs TensorFlow")
    others = set(LABELS) - set(labels)
    (tmp_path / "my.py").write_text(RECIPE.format(labels=labels, low=low))
    data, run, model = write_cohort(tmp_path, labels=labels), tmp_path / "run", tmp_path / "m.tflite"
    ran(capsys, "train", tmp_path / "my.py", "--smoke", "--data", data, "--out", run)
    scored = ran(capsys, "evaluate", run, "--out", tmp_path / "scores")
    assert all(label in scored for label in labels)
    assert not [label for label in others if f"| {label} |" in scored]
    more = ("--scheme", "int8", "--accept-loss")
    ran(capsys, "quantize", run, "--data", data, "--out", model, *more)
    manifest = Model.load(model).manifest
    assert manifest.labels == labels
    assert (manifest.her2_low is None) is (low == "")
    inspected = ran(capsys, "inspect", model)
    assert all(label in inspected for label in labels)
    slide, out = draw_slide(tmp_path / "case.png"), tmp_path / "results"
    ran(capsys, "classify", slide, "--model", model, "--out", out, "--mpp", 0.25, "--report")
    (folder,) = (path for path in out.iterdir() if path.is_dir())
    check_results(folder, labels)
    for source in (model, run):
        maps = tmp_path / f"maps-{source.name}"
        ran(
            capsys,
            "explain",
            tmp_path / "c0-s0-t0.png",
            "--model",
            source,
            "--out",
            maps,
            "--label",
            labels[-1],
        )


def check_results(folder: Path, labels: tuple[str, ...]) -> None:
    with (folder / "tiles.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["label"] for row in rows} - {""} <= set(labels)
    assert [name for name in rows[0] if name.startswith("p ")] == [f"p {label}" for label in labels]
    summary = json.loads((folder / "summary.json").read_text())
    assert list(summary["answer"]["shares"]) == list(labels)
    features = json.loads((folder / "tiles.geojson").read_text())["features"]
    named = {one["properties"]["classification"]["name"] for one in features}
    assert named & {f"HER2 {label}" for label in labels}
    assert not named & {f"HER2 {label}" for label in set(LABELS) - set(labels)}
    assert cv2.imread(str(folder / "heatmap.png")) is not None
    page = (folder / "report.html").read_text()
    assert all(label in page for label in labels)
