"""The results of the first commit: what they held has the same bytes today, and the command agrees.

What is there since: columns, measurements and metadata on quality, novelty and votes, classes named for
QuPath, fewer decimals in tiles.geojson and its notice once, summary.json of schema 2, and in the picture
tiles that do not vote hatched, glass without colour, letters and lines around tiles: what is said by colour
alone is lost on one reader in twelve.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import platform
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny
from numpy.typing import NDArray
from PIL import Image

from her2edge import Model, Options, SlideReader, TileClassifier, classify_slide
from her2edge.files import json_bytes
from her2edge.results.class_map import tissue_mask
from her2edge.runtime import runtime_versions
from her2edge.runtime.machine import architecture
from her2edge_cli.main import main

FIRST = tiny.DATA / "first"
SLIDE = FIRST / "slide.png"
FILES = ("tiles.csv", "tiles.geojson", "heatmap.png", "summary.json")
COLUMNS = (FIRST / "off" / "tiles.csv").read_text().splitlines()[0].split(",")
RECORDED = json.loads((FIRST / "off" / "run.json").read_text())


def _elsewhere() -> str:
    """In what this machine is not the one that recorded the files; empty: in nothing that matters."""
    recorded = {"system": "Linux", "architecture": RECORDED["basis"]["architecture"]} | RECORDED["versions"]
    here = {"system": platform.system(), "architecture": architecture(), "numpy": np.__version__}
    here |= runtime_versions()
    names = ("system", "architecture", "numpy", "ai-edge-litert")
    differing = [name for name in names if here.get(name) != recorded[name]]
    return "; ".join(f"{name}: recorded with {recorded[name]}, here {here.get(name)}" for name in differing)


same_platform = pytest.mark.skipif(bool(_elsewhere()), reason=_elsewhere())


def recorded(stain: str, name: str) -> bytes:
    """A file of the first commit."""
    return (FIRST / stain / name).read_bytes()


def as_then(data: bytes) -> bytes:
    """tiles.csv with the columns that the first commit had, in their order."""
    rows = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    text = io.StringIO(newline="")
    then = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    then.writeheader()
    then.writerows(rows)
    return text.getvalue().encode()


def features_as_then(data: bytes) -> list[bytes]:
    """Each feature of tiles.geojson as JSON, without what came since."""
    features = json.loads(data)["features"]
    for feature in features:
        properties = feature["properties"]
        properties.pop("color", None)
        properties.pop("metadata", None)
        properties["classification"]["name"] = properties["classification"]["name"].removeprefix("HER2 ")
        for name in ("glass", "novelty"):
            properties["measurements"].pop(name, None)
    return [json_bytes(feature) for feature in features]


def features_today(data: bytes) -> list[bytes]:
    """Each feature of then with today's names and decimals: the notice stands beside the features now."""
    features = json.loads(data)["features"]
    for feature in features:
        properties = feature["properties"]
        assert set(properties.pop("metadata")) == {"her2edge"}
        measured = properties["measurements"]
        share = measured.pop("tissue fraction")
        properties["measurements"] = {name: whole(p, 4) for name, p in measured.items()}
        properties["measurements"]["tissue"] = whole(share, 3)
    return [json_bytes(feature) for feature in features]


def whole(value: float, decimals: int) -> float | int:
    return int(value) if round(value, decimals) == int(value) else round(value, decimals)


def voters(folder: Path) -> NDArray[np.bool_]:
    """(height, width) of the slide's picture: False where heatmap.png is meant to look otherwise than it did.

    That is tiles that do not vote, glass, and of each tile the line around it and the letter in its middle.
    """
    picture = np.asarray(Image.open(SLIDE).convert("RGB"))
    shown = tissue_mask(picture)
    for row in csv.DictReader((folder / "tiles.csv").read_text().splitlines()):
        left, top = round(float(row["x"])), round(float(row["y"]))
        side = round(float(row["width"]))
        inner = shown[top : top + side, left : left + side]
        if row["pooled"] == "false":
            inner[:] = False
        elif row["outcome"] != "background":
            inner[[0, -1]] = inner[:, [0, -1]] = False
            middle = tuple(slice(length // 2 - 12, length // 2 + 12) for length in inner.shape)
            inner[middle] = False
        else:
            inner[:] = True
    return shown


def classifier(stain: str) -> TileClassifier:
    """off: without normalisation; exact: each tile by itself, in float64."""
    model = Model.load(tiny.INT8)
    if stain == "off":
        return TileClassifier(model, Options(threads=1, stain="off"))
    made = TileClassifier(model, Options(threads=1, stain="per_tile"))
    preparation = made._preparation
    assert preparation.normalizer is not None
    made._preparation = dataclasses.replace(
        preparation, normalizer=dataclasses.replace(preparation.normalizer, exact=True)
    )
    return made


@same_platform
@pytest.mark.parametrize("stain", ["off", "exact"])
def test_what_the_files_of_the_first_commit_held_has_the_same_bytes(tmp_path: Path, stain: str) -> None:
    run = classify_slide(SLIDE, tmp_path, classifier(stain), mpp=0.5)
    assert [path.name for path in run.files] == [*FILES, "run.json"]
    table, features = (run.folder / name for name in ("tiles.csv", "tiles.geojson"))
    assert as_then(table.read_bytes()) == recorded(stain, "tiles.csv")
    assert features_as_then(features.read_bytes()) == features_today(recorded(stain, "tiles.geojson"))
    pictures = [
        np.asarray(Image.open(io.BytesIO(data))).astype(int)
        for data in ((run.folder / "heatmap.png").read_bytes(), recorded(stain, "heatmap.png"))
    ]
    still = voters(run.folder)
    height, width = still.shape
    now, before = (picture[:height, :width] for picture in pictures)
    assert np.abs(now - before)[still].max() <= 1, "rounded once now, not twice"
    assert (now != before)[~still].any(), "letters, lines around tiles, hatching, glass"


@same_platform
@pytest.mark.parametrize("stain", ["off", "exact"])
def test_the_summary_says_of_slide_model_and_tiles_what_it_said_then(tmp_path: Path, stain: str) -> None:
    run = classify_slide(SLIDE, tmp_path, classifier(stain), mpp=0.5)
    now, then = (
        json.loads((run.folder / "summary.json").read_text()),
        json.loads(recorded(stain, "summary.json")),
    )
    assert list(now)[:2] == ["answer", "schema_version"]
    since = {"answer", "schema_version", "stain_strength", "regions", "undecoded"}
    assert set(now) == set(then) - {"summary"} | since
    then["slide"] |= {"scanner": None, "icc_profile": False, "site": None}
    then["model"] |= {"gate_overridden": False}
    for name in set(then) - {"summary"}:
        assert json_bytes(now[name]) == json_bytes(then[name]), name
    assert now["answer"]["tiles"]["outcomes"] == then["summary"]["outcomes"]
    assert now["answer"]["tiles"]["total"] == then["summary"]["tiles"]
    assert now["answer"]["protocol"]["min_tissue_tiles"] == then["summary"]["min_tissue_tiles"]


@same_platform
def test_a_folder_of_the_first_commit_is_left_alone_and_its_slide_read_again(tmp_path: Path) -> None:
    """Of its tiles nobody asked whether they may vote: its summary holds no answer of today's."""
    with SlideReader(SLIDE, mpp=0.5) as slide:
        folder = tmp_path / f"slide-{slide.fingerprint[:8]}"  # no suffix, 8 digits: as it was called then
    shutil.copytree(FIRST / "off", folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    made = classify_slide(SLIDE, tmp_path, classifier("off"), mpp=0.5)
    assert not made.complete_before
    assert made.folder != folder
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    again = classify_slide(SLIDE, tmp_path, classifier("off"), mpp=0.5)
    assert again.complete_before
    assert (again.answer, again.folder, again.files) == (made.answer, made.folder, made.files)


@pytest.mark.parametrize("stain", ["off", "per-tile", "slide"])
def test_the_command_writes_the_same_bytes_as_the_sdk(tmp_path: Path, stain: str) -> None:
    there = TileClassifier(Model.load(tiny.INT8), Options(threads=1))
    run = classify_slide(SLIDE, tmp_path / "sdk", there, mpp=0.5, stain=stain)
    arguments = ["classify", str(SLIDE), "--out", str(tmp_path / "command"), "--model", str(tiny.INT8)]
    assert main([*arguments, "--mpp", "0.5", "--stain", stain, "--threads", "1"]) == 0
    names = sorted(path.name for path in run.files)
    assert names == sorted([*FILES, "run.json", *(["stain.json"] if stain == "slide" else [])])
    (folder,) = (tmp_path / "command").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == names
    for name in names:
        if name != "run.json":
            assert (folder / name).read_bytes() == (run.folder / name).read_bytes(), name
