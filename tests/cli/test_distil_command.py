"""her2edge distil: what it refuses, before anything is made; and the whole way from teacher to inspect."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import tiny

pytest.importorskip("keras")

from her2edge import Model
from her2edge_cli.main import main

RECIPE = """
from msgspec.structs import replace
from her2edge_training.recipe import Stage
from her2edge_training.recipes.student_mobilenetv4 import RECIPE as STUDENT
RECIPE = replace(
    STUDENT, name="small", tile_px=64, mpp={mpp}, norm_tiles=8, dense_units=8, cosine_warmup=1,
    stages=(Stage(32, epochs=1, learning_rate=1e-3, batch=4, tiles_per_epoch=8),), labels={labels},
)
"""
LABELS = ("0/1+", "2+", "3+")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiles as the tiny model reads them, a fifth of slides between two classes."""
    folder = tmp_path_factory.mktemp("data")
    size = ["--tile-px", str(tiny.SIZE), "--tile-mpp", str(tiny.MPP)]
    command = ["synthesize", "--out", str(folder), "--slides", "30", "--tiles", "2", "--seed", "5", *size]
    assert main([*command, "--between", "0.2"]) == 0
    return folder / "cohort.csv"


def recipe(folder: Path, mpp: float = 0.5, labels: tuple[str, ...] = LABELS) -> str:
    path = folder / "small.py"
    path.write_text(RECIPE.format(mpp=mpp, labels=labels))
    return str(path)


def test_what_cannot_teach_is_refused_by_its_exit_code_and_nothing_is_made(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, out = tmp_path / "bad.tflite", tmp_path / "run"
    damaged = bytearray(tiny.INT8.read_bytes())
    damaged[-100] ^= 1
    bad.write_bytes(damaged)

    def code(teacher: Path, own: str, *more: str) -> int:
        return main(["distil", str(teacher), "--recipe", own, "--data", str(data), "--out", str(out), *more])

    assert code(bad, recipe(tmp_path)) == 78
    assert "do not match the file's own SHA-256" in capsys.readouterr().err
    assert code(tmp_path / "none", recipe(tmp_path)) == 66
    assert code(tiny.INT8, recipe(tmp_path, mpp=0.25)) == 2
    assert "found a teacher of another um per pixel" in capsys.readouterr().err
    assert code(tiny.INT8, recipe(tmp_path, labels=("negative", "positive"))) == 2
    assert "found a teacher of another labels" in capsys.readouterr().err
    assert code(tiny.INT8, "student_mobilenetv4") == 2
    assert "found a teacher of another tile size, um per pixel" in capsys.readouterr().err
    assert code(tiny.INT8, recipe(tmp_path), "--temperature", "0") == 2
    assert not out.exists()
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    assert code(tiny.INT8, recipe(tmp_path)) == 73
    assert [path.name for path in out.iterdir()] == ["notes.txt"]


@pytest.mark.slow
def test_from_a_model_file_to_a_student_that_inspect_names(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorflow")
    run, out = tmp_path / "run", tmp_path / "m.tflite"
    assert (
        main(["distil", str(tiny.INT8), "--recipe", recipe(tmp_path), "--data", str(data), "--out", str(run)])
        == 0
    )
    said = capsys.readouterr().out
    assert "the teacher reads 12 tiles without a label" in said
    convert = ["quantize", str(run), "--data", str(data), "--scheme", "int8", "--out", str(out)]
    assert main([*convert, "--teacher", str(tiny.INT8)]) == 78
    assert not out.exists()
    assert main([*convert, "--teacher", str(tiny.INT8), "--accept-loss"]) == 0
    taught = Model.load(out).manifest.distilled_from
    assert taught is not None
    assert taught.teacher_sha256 == Model.load(tiny.INT8).sha256
    capsys.readouterr()
    assert main(["inspect", str(out)]) == 0
    assert "a student: answers as its teacher does in" in capsys.readouterr().out
    shutil.rmtree(run)
