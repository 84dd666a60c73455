"""RELIABILITY 11: two thousand damaged files of each format, each an answer or a typed error, no crash."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny
from behind_hash import PARTS
from PIL import Image
from shared_data import SHARED, SUPPORT

from her2edge.stain import StainAccumulator, StainFit
from her2edge_training import synthetic

COUNT = 2000
SECONDS = 10.0
MIB = 256
CMU = SHARED / "wsi" / "cmu-1-small-region.svs"
GEOJSON = SHARED / "qupath" / "qupath05-featurecollection.geojson"


def picture(folder: Path, suffix: str) -> Path:
    tile = synthetic.make_tile(synthetic.make_slide_model("2+", synthetic.SITES[0], 3), 0, 256)
    path = folder / f"whole{suffix}"
    Image.fromarray(np.ascontiguousarray(tile.pixels)).save(path)
    return path


def stain(folder: Path) -> Path:
    tile = synthetic.make_tile(synthetic.make_slide_model("2+", synthetic.SITES[0], 3), 0, 256)
    StainAccumulator().update(tile.pixels).freeze().save(folder / "fit.json")
    return folder / "fit.json"


def whole(folder: Path, name: str) -> tuple[str, Path]:
    """(kind, a file that is not damaged); skips where the shared data is absent."""
    if name in (".svs", ".geojson"):
        path = CMU if name == ".svs" else GEOJSON
        if not path.is_file():
            pytest.skip(f"needs {path.name} of the shared data")
        return ("slide" if name == ".svs" else "geojson"), path
    if name == ".tflite":
        return "model", tiny.INT8
    if name == ".json":
        return "stain", stain(folder)
    return "slide", picture(folder, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [".svs", ".png", ".jpg", ".tif", ".bmp", ".geojson", ".tflite", ".json"])
def test_damaged_files_are_read_or_refused_and_never_a_crash(
    tmp_path: Path, name: str, record_property: Callable[[str, object], None]
) -> None:
    kind, source = whole(tmp_path, name)
    script = SUPPORT / "mutants.py"
    command = [sys.executable, script, kind, str(COUNT), "11", tmp_path, source]
    run = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=1800)
    assert run.returncode == 0, f"{run.returncode}: {run.stderr[-2000:]}"
    count, refused, longest, _ = run.stdout.split()
    assert int(count) == COUNT
    assert int(refused) > COUNT / 20  # it was damage
    assert float(longest) <= SECONDS
    record_property(
        "figure", f"{name[1:]}: {count} mutants, {refused} refused, 0 signals, {longest} s at most"
    )


@pytest.mark.parametrize(
    ("part", "count"),
    [pytest.param(part, 40, id=part) for part in PARTS]
    + [pytest.param(part, COUNT, id=f"{part}-{COUNT}", marks=pytest.mark.slow) for part in PARTS],
)
def test_a_model_damaged_behind_its_hash_is_used_or_refused_and_takes_no_memory(
    tmp_path: Path, part: str, count: int, record_property: Callable[[str, object], None]
) -> None:
    """RELIABILITY 30: every hash is right again, so that each parser sees the damage."""
    command = [sys.executable, SUPPORT / "mutants.py", part, str(count), "30", tmp_path, tiny.INT8]
    run = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=1800)
    assert run.returncode == 0, f"{run.returncode}: {run.stderr[-2000:]}"
    made, refused, longest, grown = run.stdout.split()
    assert int(made) == count
    assert float(longest) <= SECONDS
    assert int(grown) <= MIB
    if part not in ("flatbuffer", "MODEL_CARD.md"):  # of which the SDK reads nothing but bytes and text
        assert int(refused) > count / 5
    record_property("figure", f"{part}: {count} mutants, {refused} refused, {longest} s at most, {grown} MiB")


def test_the_files_that_are_damaged_are_whole(tmp_path: Path) -> None:
    assert StainFit.load(stain(tmp_path)).profile == "torchstain"
