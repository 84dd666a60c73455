"""A student's model file. Taught for two minutes, it knows nothing: answers are compared, not judged."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from board import Here

MINUTES, SLIDES, TILES = 2, 30, 2


def student_model(folder: Path, given: Path | None) -> Path:
    """The one given, else one distilled from the demo model, kept in `folder`."""
    if given is not None:
        return given.absolute()
    out, run, tiles = folder / "student-int8.tflite", folder / "run", folder / "tiles"
    if out.exists():
        return out
    here = Here(folder)
    teacher = str(resources.files("her2edge.data") / "demo-int8.tflite")
    command = ("-m", "her2edge_cli")
    drawn = ("--slides", str(SLIDES), "--tiles", str(TILES), "--seed", "20", "--between", "0.2")
    data = tiles / "cohort.csv"
    if not data.exists():
        here.python(*command, "synthesize", "--out", tiles, *drawn)
    recipe = ("--recipe", "student_mobilenetv4", "--minutes", str(MINUTES))
    here.python(*command, "distil", teacher, *recipe, "--data", data, "--out", run)
    asked = ("--scheme", "int8", "--teacher", teacher, "--accept-loss")  # it is compared with itself only
    here.python(*command, "quantize", run, "--data", data, *asked, "--out", out)
    return out


def described(path: Path) -> dict[str, Any]:
    """What a result says of the student: scheme, size, and how it was taught."""
    from her2edge import Model

    model = Model.load(path, trust="anyone")
    manifest = model.manifest
    taught = path.parent / "run" / "recipe.json"
    minutes = MINUTES if taught.exists() else None
    kind = {"name": manifest.name, "architecture": manifest.architecture, "scheme": manifest.scheme}
    return kind | {"tile_px": model.tile_px, "mpp": model.mpp, "minutes": minutes}
