"""The results of the first commit: the same bytes today, a folder of then is finished, the command agrees."""

from __future__ import annotations

import dataclasses
import json
import platform
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny

from her2edge import Model, Options, SlideReader, TileClassifier, classify_slide
from her2edge.files import json_bytes
from her2edge.runtime import runtime_versions
from her2edge.runtime.machine import architecture
from her2edge_cli.main import main

FIRST = tiny.DATA / "first"
SLIDE = FIRST / "slide.png"
FILES = ("tiles.csv", "tiles.geojson", "heatmap.png", "summary.json")
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
    """A file of the first commit, with what has become another since.

    summary.json: `scanner`, `icc_profile` and `gate_overridden` were added, and the label of a demo model
    says so. tiles.geojson: classes are called `HER2 2+`, since QuPath makes an H-score of `2+`.
    """
    data = (FIRST / stain / name).read_bytes()
    if name == "tiles.geojson":
        return data.replace(b'"classification":{"name":"', b'"classification":{"name":"HER2 ')
    if name != "summary.json":
        return data
    summary = json.loads(data)
    summary["slide"] |= {"scanner": None, "icc_profile": False}
    summary["model"] |= {"gate_overridden": False}
    summary["summary"]["label"] += " (demo model)"
    return json_bytes(summary)


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
def test_the_files_are_those_of_the_first_commit_byte_for_byte(tmp_path: Path, stain: str) -> None:
    run = classify_slide(SLIDE, tmp_path, classifier(stain), mpp=0.5)
    assert [path.name for path in run.files] == [*FILES, "run.json"]
    for name in FILES:
        assert (run.folder / name).read_bytes() == recorded(stain, name), name


@same_platform
def test_a_folder_of_the_first_commit_is_finished_and_read_alike(tmp_path: Path) -> None:
    with SlideReader(SLIDE, mpp=0.5) as slide:
        folder = tmp_path / f"slide-{slide.fingerprint[:8]}"  # no suffix, 8 digits: as it was called then
    shutil.copytree(FIRST / "off", folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    former = classify_slide(SLIDE, tmp_path, classifier("off"), mpp=0.5)
    assert former.complete_before
    assert former.folder == folder
    assert list(tmp_path.iterdir()) == [folder]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    made = classify_slide(SLIDE, tmp_path / "anew", classifier("off"), mpp=0.5)
    assert not made.complete_before
    assert former.summary == made.summary
    assert [path.name for path in former.files] == [path.name for path in made.files]


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
