"""A run folder as training writes it, made by hand: 12 slides of 12 made-up tiles, the tiny network."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

from her2edge.model.file import Model
from her2edge.model.manifest import Limits, Scheme
from her2edge_quantize.options import QuantizeOptions, Report
from her2edge_quantize.quantize import quantize
from her2edge_training.cohort.split import PARTS
from her2edge_training.recipe import Recipe, Stage, dump_recipe
from her2edge_training.synthetic import even_cohort, write_dataset

TILES = 12
LOOSE = Limits(flips=1, accuracy_drop=1, changed_slides=3, tiles=1)
REPORTS = {"m.report.json", "m.report.md", "m.report.png"}


def make_run(folder: Path, network: Any) -> tuple[Path, Path]:
    """(run folder, manifest): of the four slides of each class two train, one validates, one tests."""
    manifest = write_dataset(folder / "tiles", even_cohort(12, TILES, seed=3), tile_px=64)
    run = folder / "run"
    run.mkdir()
    stage = Stage(tile_px=64, epochs=1, learning_rate=1e-3, batch=4)
    (run / "recipe.json").write_bytes(dump_recipe(Recipe("tiny", "se_resnet50", (stage,), tile_px=64)))
    with manifest.open(newline="") as file:
        rows = list(csv.DictReader(file))
    slides = sorted({row["slide"] for row in rows})
    order = {label: [s for s in slides if any(r["slide"] == s and r["label"] == label for r in rows)]
             for label in {row["label"] for row in rows}}  # fmt: skip
    part_of = {
        s: ("train", "train", "validation", "test")[i] for own in order.values() for i, s in enumerate(own)
    }
    lines = ["tile,slide,patient,label,part"]
    lines += [f"{r['tile']},{r['slide']},{r['patient']},{r['label']},{part_of[r['slide']]}" for r in rows]
    (run / "split.csv").write_text("\n".join(lines) + "\n")
    score = {"accuracy": 0.4375, "tiles": 24, "slides": 3, "patients": 3, "per_class": [8, 8, 8],
             "recall": [0.5, 0.5, 0.3125], "confusion": [[4, 2, 2], [2, 4, 2], [3, 2, 3]]}  # fmt: skip
    metrics = {"recipe": "tiny", "protocol": "slide-grouped", "labels": ["0/1+", "2+", "3+"], "tile_px": 64,
               "epochs": 2, "left_out_as_background": 0, "validation": score, "test": score}  # fmt: skip
    (run / "metrics.json").write_text(json.dumps(metrics))
    environment = {"packages": {"keras": "3"}, "backend": "tensorflow", "system": "Linux x86_64",
                   "manifest_sha256": hashlib.sha256(manifest.read_bytes()).hexdigest()}  # fmt: skip
    (run / "environment.json").write_text(json.dumps(environment))
    (run / "log.csv").write_text("epoch,seconds\n1,30.5\n2,11.5\n")
    network.save(run / "model.keras")
    return run, manifest


def tiles_by_part(run: Path) -> dict[str, set[str]]:
    """Ids of the tiles of each part of RUN/split.csv."""
    with (run / "split.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {part: {row["tile"] for row in rows if row["part"] == part} for part in PARTS}


def silent(_line: str) -> None:
    """Reports nothing."""


def convert(
    made: tuple[Path, Path], out: Path, scheme: Scheme = "fp32", report: Report = silent, **options: Any
) -> Model:
    """The model of a run, at a gate that lets everything through."""
    options = {"limits": LOOSE} | options
    return Model.load(quantize(*made, out, QuantizeOptions(scheme=scheme, **options), report=report))
