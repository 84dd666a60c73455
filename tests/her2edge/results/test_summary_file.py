"""summary.json: the answer first, by a schema that is made from its types; a demo model's label says so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest
import tiny
from small_slide import draw_slide

from her2edge import Model, Options, TileClassifier, classify_slide
from her2edge.answer import Status
from her2edge.results.summary import named, summary_schema, unnamed


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("summary")
    classifier = TileClassifier(Model.load(tiny.INT8), Options(threads=1))
    slide = draw_slide(folder / "slide.png")
    return classify_slide(slide, folder / "out", classifier, mpp=tiny.MPP, min_tissue_tiles=1)


def test_the_schema_accepts_the_file_and_refuses_one_without_any_of_its_parts(run: Any) -> None:
    schema = summary_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    summary = json.loads((run.folder / "summary.json").read_text())
    assert next(iter(summary)) == "answer"
    jsonschema.validate(summary, schema)
    for name in summary.keys() - {"undecoded"}:  # which summaries of before lack
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({key: value for key, value in summary.items() if key != name}, schema)
    for name in ("status", "labels", "reasons", "tiles", "shares"):
        less = {key: value for key, value in summary["answer"].items() if key != name}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(summary | {"answer": less}, schema)
    for wrong in ({"schema_version": 1}, {"answer": summary["answer"] | {"status": "3+"}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(summary | wrong, schema)


def test_the_tiles_of_a_slide_add_up(run: Any) -> None:
    tiles = run.answer.tiles
    assert tiles.total == 24 == sum(tiles.outcomes.values()) + tiles.unread
    assert tiles.pooled + sum(tiles.left_out.values()) == tiles.outcomes["classified"]
    assert sum(tiles.background.values()) == tiles.outcomes["background"]


def test_a_demo_models_label_is_written_as_one_and_read_back_plain(run: Any) -> None:
    model = Model.load(tiny.INT8)
    answer = replace(run.answer, status=Status.AMBIGUOUS, labels=("2+", "3+"))
    assert named(answer, model).labels == ("2+ (demo model)", "3+ (demo model)")
    assert unnamed(named(answer, model)) == answer
    own = replace(model, manifest=msgspec.structs.replace(model.manifest, demo=False))
    assert named(answer, own) == answer


@pytest.mark.parametrize("labels", [2, 3, 4])
def test_all_files_follow_the_models_labels(tmp_path: Path, labels: int) -> None:
    model = Model.load(tiny.DATA / f"tiny-{labels}-labels.tflite")
    names = list(model.manifest.labels)
    slide = draw_slide(tmp_path / "slide.png")
    made = classify_slide(slide, tmp_path / "out", TileClassifier(model, Options(threads=1)), mpp=tiny.MPP)
    header = (made.folder / "tiles.csv").read_text().splitlines()[0].split(",")
    assert [one for one in header if one.startswith("p ")] == [f"p {name}" for name in names]
    answer = json.loads((made.folder / "summary.json").read_text())["answer"]
    assert list(answer["probabilities"]) == list(answer["shares"]) == names
    features = json.loads((made.folder / "tiles.geojson").read_text())["features"]
    colours = {f"HER2 {one.label}": list(one.color) for one in model.manifest.classes}
    for feature in features:
        properties = feature["properties"]
        assert properties["classification"]["color"] == colours[properties["classification"]["name"]]
        assert {f"p {name}" for name in names} < set(properties["measurements"])
        assert "novelty" in properties["measurements"] or model.novelty is None
