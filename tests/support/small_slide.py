"""A small synthetic slide, the command on it, and its files: what tests of interrupted runs share."""

from __future__ import annotations

from pathlib import Path

import cv2
import tiny

from her2edge_cli.main import main
from her2edge_training import synthetic


def draw_slide(path: Path, columns: int = 6, rows: int = 4) -> Path:
    """A synthetic slide as PNG, of so many tiles of the tiny models."""
    model = synthetic.make_slide_model("3+", synthetic.SITES[1], 7)
    pixels = synthetic.make_slide_image(model, tiny.SIZE * columns, tiny.SIZE * rows, tiny.MPP).pixels
    cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    return path


def draw_folder(path: Path, count: int = 24) -> Path:
    """A folder of tissue tiles as PNG."""
    path.mkdir()
    for number, tile in enumerate(tiny.tissue(count)):
        cv2.imwrite(str(path / f"{number:03}.png"), cv2.cvtColor(tile.pixels, cv2.COLOR_RGB2BGR))
    return path


def arguments(slide: Path, out: Path, *more: str) -> list[str]:
    """Of `her2edge`, to classify with the tiny int8 model on one thread."""
    scale = [] if slide.is_dir() else ["--mpp", str(tiny.MPP)]
    fixed = ["--model", str(tiny.INT8), "--threads", "1"]
    return ["classify", str(slide), "--out", str(out), *fixed, *scale, *more]


def classify(slide: Path, out: Path, *more: str) -> int:
    """The exit code."""
    return main(arguments(slide, out, *more))


def folder_of(out: Path) -> Path:
    """The only slide's folder."""
    (folder,) = out.iterdir()
    return folder


def files_of(out: Path) -> dict[str, bytes]:
    """Everything in the slide's folder but run.json, hidden files too."""
    return {path.name: path.read_bytes() for path in folder_of(out).iterdir() if path.name != "run.json"}
