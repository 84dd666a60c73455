"""Manifests of schema 2 and 1: what is read, what is refused, and that the parts fit each other."""

from __future__ import annotations

import json

import jsonschema
import msgspec
import numpy as np
import pytest
import tiny
from model_v2 import TINY, tiny_v2
from repack import edited, members, packed
from signing import KEY, trust

from her2edge import Model, TileClassifier
from her2edge.answer.sets import why_uncalibrated
from her2edge.errors import ModelError
from her2edge.model.classes import PAPER_CLASSES
from her2edge.model.manifest import dump_manifest, manifest_schema, parse_manifest
from her2edge.model.slide_records import AnswerLimits
from her2edge.tile import LABELS
from her2edge_quantize.model_file.sign import sign

V2 = TINY[3].read_bytes()


def of(data=V2, **changes):
    """The manifest of a model file, with fields replaced."""
    return parse_manifest(edited(data, **changes)["manifest.json"])


def labels(*names, **more):
    return [
        {"label": name, "name": f"name {name}", "color": [i, 2, 3]} | more for i, name in enumerate(names)
    ]


def scores(**changes):
    ascending = [i / 20 for i in range(9)]
    return {"scores": dict.fromkeys(LABELS, ascending), "protocol": protocol()} | changes


def protocol(**changes):
    tiles = {"stain": "per_tile"}
    return {"tiles": tiles, "limits_sha256": "0" * 64, "min_tissue_tiles": 10} | changes


def linear(**changes):
    record = {"kind": "linear", "coefficients": [[0.5] * 6] * 3, "intercepts": [0.0] * 3, "slides": 30}
    return record | changes


def test_a_model_of_schema_1_has_the_papers_labels_and_nothing_that_came_later():
    manifest = Model.load(tiny.INT8).manifest
    assert manifest.converted_from == 1
    assert manifest.classes == PAPER_CLASSES
    assert manifest.labels == LABELS == ("0/1+", "2+", "3+")
    assert manifest.limits == AnswerLimits()
    later = ("quality", "novelty", "pooling", "calibration_slides", "distilled_from", "her2_low")
    assert all(getattr(manifest, name) is None for name in later)
    assert Model.load(tiny.INT8).novelty is None


def test_a_manifest_of_schema_2_is_written_and_read_back_as_it_was():
    manifest = Model.from_bytes(V2).manifest
    assert manifest.converted_from is msgspec.UNSET
    assert parse_manifest(dump_manifest(manifest)) == manifest
    assert dump_manifest(manifest) == members(V2)["manifest.json"]


@pytest.mark.parametrize("version", [0, 3, 17, -1])
def test_another_schema_is_refused_by_its_number_and_told_what_to_do(version):
    with pytest.raises(ModelError, match=rf"schema {version}, expected 1 or 2: install a newer her2edge"):
        of(schema_version=version)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_model_of_two_to_four_labels_answers_with_its_own(count):
    model = tiny_v2(count)
    assert len(model.manifest.labels) == count == model.head.b2.size == model.golden.logits.shape[1]
    classifier = TileClassifier(model)
    for tile in tiny.tissue(6):
        result = classifier.classify(tile)
        assert result.probabilities.shape == (count,)
        assert result.label == model.manifest.labels[int(result.probabilities.argmax())]


def test_the_names_of_labels_are_free_and_their_colours_go_with_them():
    manifest = of(labels=labels("neg", "equ", "pos"))
    assert manifest.labels == ("neg", "equ", "pos")
    assert manifest.classes[1].name == "name equ"
    assert manifest.classes[2].color == (2, 2, 3)


REFUSED = {
    "one label": {"labels": labels("a"), "logits__shape": [1, 1]},
    "five labels": {"labels": labels(*"abcde"), "logits__shape": [1, 5]},
    "none": {"labels": [], "logits__shape": [1, 0]},
    "as many labels as the network has not": {"labels": labels("a", "b")},
    "a colour above 255": {"labels": labels("a", "b", "c", color=[0, 0, 256])},
    "a colour below 0": {"labels": labels("a", "b", "c", color=[-1, 0, 0])},
    "a colour of two numbers": {"labels": labels("a", "b", "c", color=[1, 1])},
    "one colour for two": {"labels": labels("a", "b", "c", color=[1, 1, 1])},
    "one label twice": {"labels": labels("a", "b", "a")},
    "one label in two spellings": {"labels": labels("a", "b", "A")},
    "one label in two widths": {"labels": labels("1", "b", "\uff11")},
    "one name for two": {"labels": labels("a", "b", "c", name="n")},
    "an empty label": {"labels": labels("a", "b", "")},
    "a long label": {"labels": labels("a", "b", "c" * 17)},
    "a label of two lines": {"labels": labels("a", "b", "c\nd")},
    "a label that ends in a space": {"labels": labels("a", "b", "c ")},
    "a label that results use": {"labels": labels("a", "b", "Not_Assessable")},
    "a label that ends as a demo's answer does": {"labels": labels("a", "b", "c (Demo Model)")},
    "a label that is an outcome": {"labels": labels("a", "b", "failed")},
    "labels without colours": {"labels": ["0/1+", "2+", "3+"]},
    "a class called low": {"labels": labels("a", "low", "c")},
    "a name that says low": {"labels": [*labels("a", "b"), *labels("c", name="HER2_Low", color=[9] * 3)]},
    "a class called ultralow": {"labels": labels("a", "ultra-low", "c")},
    "0 told from 1+": {"labels": labels("0", "1+/2+", "3+")},
    "1+ alone": {"labels": labels("neg", "1+", "pos")},
    "a share above 1": {"limits__far_from_training": 1.5},
    "a warning after the refusal": {"limits__novel": 0.9},
    "no limits": {"limits": None},
    "a novelty record without its member": {"members": {}},
    "a member without its record": {"novelty": None},
    "more far slides than a count": {"novelty__far_slides": -1},
    "more far slides than slides": {"novelty__far_slides": 10_000},
    "more tiles of low quality than tiles": {
        "quality_fit": {"kept_out": 9, "tiles": 8, "low_slides": 0, "slides": 2}
    },
    "mean pooling with coefficients": {"pooling": linear(kind="mean")},
    "pooling of another kind": {"pooling": linear(kind="median")},
    "pooling of other labels": {"pooling": linear(coefficients=[[0.5] * 4] * 2, intercepts=[0.0] * 2)},
    "pooling without intercepts": {"pooling": linear(intercepts=[])},
    "pooling fitted on few slides": {"pooling": linear(slides=29)},
    "pooling beyond all numbers": {"pooling": linear(intercepts=[0.0, 0.0, 1e9])},
    "scores of other labels": {"calibration_slides": scores(scores={"x": [0.1] * 9})},
    "no patient of a class": {"calibration_slides": scores(scores={key: [] for key in LABELS})},
    "an endless temperature": {"temperature": 1e4},
    "a temperature of nearly nothing": {"temperature": 1e-300},
    "scores out of order": {"calibration_slides": scores(scores=dict.fromkeys(LABELS, [0.2] * 8 + [0.1]))},
    "a score above 1": {"calibration_slides": scores(scores=dict.fromkeys(LABELS, [0.1] * 8 + [1.1]))},
    "a promise above its alpha": {"calibration_slides": scores(level=0.95)},
    "a promise of mean for linear": {"calibration_slides": scores(), "pooling": linear()},
    "a stopping rule of no error": {"calibration_slides": scores(protocol=protocol(stopping={"error": 0}))},
    "a scale of nothing": {
        "calibration_slides": scores(protocol=protocol(tiles={"stain": "off", "scale": 0}))
    },
    "an unknown field": {"limits__more": 1},
}  # fmt: skip


@pytest.mark.parametrize("changes", REFUSED.values(), ids=REFUSED.keys())
def test_parts_that_do_not_fit_are_refused_in_one_line(changes):
    with pytest.raises(ModelError) as refused:
        of(**changes)
    assert "\n" not in str(refused.value)


def test_words_that_only_hold_low_are_labels_like_any_other():
    assert of(labels=labels("yellow", "below", "slow")).labels == ("yellow", "below", "slow")


def test_a_class_called_low_is_read_where_the_manifest_defines_it_and_says_what_shows_it():
    record = {"definition": "1+, or 2+ without amplification", "shown_on": "300 tiles"}
    assert of(labels=labels("0", "low", "3+"), her2_low=record).her2_low.shown_on == "300 tiles"


def test_a_calibration_of_few_patients_is_read_and_promises_nothing():
    few = of(calibration_slides=scores(scores={key: [0.1, 0.2] for key in LABELS}))
    assert few.calibration_slides.patients == dict.fromkeys(LABELS, 2)
    assert "A label has 2 calibration slides" in why_uncalibrated(few, few.calibration_slides.protocol)


def test_a_novelty_of_other_components_than_stated_is_refused():
    stated = json.loads(members(V2)["manifest.json"])["novelty"]["components"]
    with pytest.raises(ModelError, match=f"the manifest states {stated + 1}"):
        Model.from_bytes(packed(edited(V2, novelty__components=stated + 1), Model.from_bytes(V2).flatbuffer))


def test_pooling_and_calibration_that_fit_are_read():
    manifest = of(pooling=linear(), calibration_slides=scores(level=0.8))
    assert manifest.pooling.slides == 30
    assert manifest.calibration_slides.patients == {"0/1+": 9, "2+": 9, "3+": 9}
    assert of(calibration_slides=scores()).calibration_slides.level == 0.9


OTHER = {"novelty.npz": {"size": 1, "sha256": "0" * 64}}


def test_the_hash_of_the_limits_changes_with_every_limit_and_with_nothing_else():
    manifest = of()
    other = [
        of(limits__kept_out=0.31),
        of(quality__pen_green=0.08),
        of(quality=None),
        of(tissue__low=181),
        of(stain__mode="off"),
        of(tissue__background_share=0.61),
        of(TINY[3].read_bytes(), members=json.loads(members(V2)["manifest.json"])["members"] | OTHER),
    ]
    hashes = {one.limits_sha256 for one in (manifest, *other)}
    assert len(hashes) == 1 + len(other)
    assert of(name="x", temperature=2, calibration_slides=scores()).limits_sha256 == manifest.limits_sha256


def test_the_json_schemas_accept_what_is_read_and_refuse_a_field_too_many():
    for version, data in ((1, tiny.INT8.read_bytes()), (2, V2)):
        schema, manifest = manifest_schema(version), json.loads(members(data)["manifest.json"])
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(manifest, schema)
        for wrong in (manifest | {"more": 1}, manifest | {"schema_version": 3 - version}):
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate(wrong, schema)
    manifest = json.loads(members(V2)["manifest.json"])
    for name in ("labels", "limits", "name", "schema_version", "members", "stain"):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({key: value for key, value in manifest.items() if key != name}, schema)


@pytest.mark.parametrize("path", [tiny.INT8, TINY[2]], ids=["schema 1", "schema 2"])
def test_signing_keeps_the_schema_and_the_epoch_alone_changes(path):
    before, signed = members(path.read_bytes()), sign(path.read_bytes(), KEY, 9)
    after = members(signed)
    assert json.loads(after["manifest.json"]) == json.loads(before["manifest.json"]) | {"epoch": 9}
    assert Model.from_bytes(signed, trust=trust(KEY)).manifest.epoch == 9
    with pytest.raises(ModelError):
        Model.from_bytes(packed(after | {"manifest.json": before["manifest.json"]}), trust=trust(KEY))


def test_a_member_that_the_manifest_does_not_list_is_refused():
    stray = members(tiny.INT8.read_bytes()) | {"novelty.npz": members(V2)["novelty.npz"]}
    manifest = json.loads(stray["manifest.json"])
    assert "novelty.npz" not in manifest["members"]
    with pytest.raises(ModelError, match="members"):
        Model.from_bytes(packed(stray, restate=False))
    assert np.isfinite(Model.from_bytes(V2).novelty.limit)
