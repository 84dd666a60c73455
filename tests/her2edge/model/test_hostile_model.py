"""Model files with a correct hash and wrong insides: each is refused with a ModelError, none is run."""

from __future__ import annotations

import base64
import io
import zipfile

import numpy as np
import pytest
import tiny
from repack import DATA, FLATBUFFER, edited, golden, members, npz, packed

from her2edge import Model, Options, TileClassifier
from her2edge.errors import ModelError, OptionError


def huge_array():
    """An .npz whose array header claims 2^46 bytes."""
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (70368744177664,), }"
    header += b" " * (63 - (len(header) + 10) % 64) + b"\n"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("tiles.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
        archive.writestr("logits.npy", b"")
    return file.getvalue()


def test_the_packer_of_these_tests_makes_models_that_load():
    assert Model.from_bytes(packed(members())).manifest.name == Model.from_bytes(DATA).manifest.name


HOSTILE = {
    "no labels": lambda: packed({k: v for k, v in members().items() if k != "labels.txt"}),
    "one member more": lambda: packed(members() | {"extra.bin": b"x"}),
    "a path for a name": lambda: packed(members() | {"../evil": b"x"}),
    "compressed": lambda: packed(members(), compression=zipfile.ZIP_DEFLATED),
    "other labels": lambda: packed(edited(labels=["3+", "2+", "0/1+"])),
    "other labels.txt": lambda: packed(members() | {"labels.txt": b"a\nb\nc\n"}),
    "unknown field": lambda: packed(edited(surprise=1)),
    "newer schema": lambda: packed(edited(schema_version=3)),
    "no um per pixel": lambda: packed(edited(input__um_per_pixel=0)),
    "a profile of another version": lambda: packed(edited(stain__profile="reinhard")),
    "singular stain target": lambda: packed(
        edited(stain__target={"stain_matrix": [[0.5, 0.5]] * 3, "max_concentration": [1, 1]})
    ),
    "manifest no JSON": lambda: packed(members() | {"manifest.json": b"{"}, restate=False),
    "manifest no Unicode": lambda: packed(members() | {"manifest.json": b'{"name": "\xff"}'}, restate=False),
    "hash of a member wrong": lambda: packed(members() | {"MODEL_CARD.md": b"other"}, restate=False),
    "hash of the FlatBuffer wrong": lambda: packed(members(), FLATBUFFER + b"\0" * 16, restate=False),
    "golden no npz": lambda: packed(members() | {"golden.npz": b"PK no"}),
    "golden 0-d": lambda: packed(members() | {"golden.npz": golden(tiles=np.uint8(1))}),
    "golden too few logits": lambda: packed(members() | {"golden.npz": golden(logits=np.zeros((1, 3)))}),
    "golden logits in float64": lambda: packed(
        members() | {"golden.npz": golden(logits=np.zeros((2, 3), np.float64))}
    ),
    "golden float": lambda: packed(
        members() | {"golden.npz": golden(tiles=np.zeros((2, tiny.SIZE, tiny.SIZE, 3)))}
    ),
    "golden pickled": lambda: packed(
        members() | {"golden.npz": golden(tiles=np.array([{"a": 1}], dtype=object))}
    ),
    "golden beyond memory": lambda: packed(members() | {"golden.npz": huge_array()}),
    "head of other channels": lambda: packed(
        members()
        | {"head.npz": npz(w1=np.zeros((3, 4)), b1=np.zeros(4), w2=np.zeros((4, 3)), b2=np.zeros(3))}
    ),
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_model_with_wrong_insides_is_refused_in_one_line(make):
    with pytest.raises(ModelError) as refused:
        Model.from_bytes(make())
    assert "\n" not in str(refused.value)


DISAGREEING = {
    "tile size": {"input__tile_px": tiny.SIZE // 2},
    "input scale": {"input__scale": 0.5},
    "logits scale": {"logits__scale": 0.123},
    "logits dtype": {"logits__dtype": "float32"},
    "logits zero point": {"logits__zero_point": 0},
    "features zero point": {"features__zero_point": 99},
    "features scale": {"features__scale": 1.0},
    "features shape": {"features__shape": [1, 8, 8, 16]},
    "features dtype": {"features__dtype": "uint8"},
    "input zero point": {"input__zero_point": 1},
    "an input that is packed": {
        "input__packing": {
            "layout": "stem-7x7-2",
            "table": base64.b64encode(bytes(768)).decode(),
            "border": 0,
        }
    },
}


@pytest.mark.parametrize("changes", DISAGREEING.values(), ids=DISAGREEING.keys())
def test_a_manifest_that_contradicts_the_network_is_refused(changes):
    parts = edited(**changes)
    if "input__tile_px" in changes:
        half = np.zeros((2, tiny.SIZE // 2, tiny.SIZE // 2, 3), np.uint8)
        parts["golden.npz"] = golden(tiles=half)
    with pytest.raises(ModelError, match="manifest"):
        TileClassifier(Model.from_bytes(packed(parts)), Options(threads=1))


def test_the_network_of_another_model_is_refused():
    other = Model.load(tiny.FP32).flatbuffer
    with pytest.raises(ModelError, match="manifest"):
        TileClassifier(Model.from_bytes(packed(members(), other)), Options(threads=1))


def test_a_network_that_is_no_flatbuffer_is_refused():
    with pytest.raises(ModelError, match="LiteRT"):
        TileClassifier(Model.from_bytes(packed(members(), b"TFL3" * 100)), Options(threads=1))


def test_a_model_that_wants_a_slide_fit_takes_no_tile_unless_told_otherwise():
    model = Model.from_bytes(packed(edited(stain__mode="slide")))
    classifier = TileClassifier(model)
    for door in (classifier.classify, classifier.explain):
        with pytest.raises(OptionError, match="fit_slide"):
            door(tiny.tissue(1)[0])
    assert TileClassifier(model, Options(stain="per_tile")).stain["mode"] == "per_tile"


@pytest.mark.parametrize("path", ["/dev/zero", ".", "a\0b"])
def test_what_is_no_file_is_no_model(path):
    with pytest.raises(ModelError):
        Model.load(path)
