"""A run folder as training writes it, made by hand: 15 slides of 12 made-up tiles, the tiny network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from her2edge.model.file import Model
from her2edge.model.records import Limits, Scheme
from her2edge_quantize.options import QuantizeOptions, Report
from her2edge_quantize.quantize import quantize
from her2edge_training.cohort.tile_list import TileList
from her2edge_training.recipe import Recipe, Stage
from her2edge_training.run.folder import RunFolder
from her2edge_training.run.new_run import NewRun
from her2edge_training.run.records import GATE, RUN_PARTS, Environment, Epoch, Metrics, Score, SplitRow
from her2edge_training.synthetic import even_cohort, write_dataset

TILES = 12
_PARTS = ("train", "train", "validation", "test", GATE)
LOOSE = Limits(flips=1, accuracy_drop=1, changed_slides=3, tiles=1, patients=1)
REPORTS = {"m.report.json", "m.report.md", "m.report.png"}


def make_run(folder: Path, network: Any, slides: int = 15, count: int = TILES) -> tuple[Path, Path]:
    """(run folder, tile list): of a class two slides train, one validates, one tests; a fifth judges."""
    tiles = TileList.read(write_dataset(folder / "tiles", even_cohort(slides, count, seed=3), tile_px=64))
    stage = Stage(tile_px=64, epochs=1, learning_rate=1e-3, batch=4)
    recipe = Recipe("tiny", "se_resnet50", (stage,), tile_px=64)
    run = NewRun(folder / "run")
    environment = Environment(
        packages={"keras": "3"}, backend="tensorflow", system="Linux x86_64", tile_list_sha256=tiles.sha256
    )
    run.begin(recipe, environment, split_of(tiles), (), ())
    for number, seconds in ((1, 30.5), (2, 11.5)):
        run.append_log(Epoch(number, 1, 64, 1.0, 0.5, 1.0, 0.5, 1e-3, seconds))
    run.write_network(network.save)
    score = Score(
        accuracy=0.4375, tiles=24, slides=3, patients=3, per_class=(8, 8, 8), recall=(0.5, 0.5, 0.3125),
        confusion=((4, 2, 2), (2, 4, 2), (3, 2, 3)),
    )  # fmt: skip
    run.end(Metrics("tiny", "slide-grouped", recipe.labels, 64, 2, 0, score, score))
    return run.path, tiles.path


def split_of(tiles: TileList) -> tuple[SplitRow, ...]:
    slides_of: dict[str, list[str]] = {}
    for record in sorted(tiles.records, key=lambda record: record.slide):
        own = slides_of.setdefault(record.label, [])
        if record.slide not in own:
            own.append(record.slide)
    count = 5 if all(len(own) == 5 for own in slides_of.values()) else 4
    return tuple(
        SplitRow(r.tile, r.slide, r.patient, r.label, _PARTS[slides_of[r.label].index(r.slide) % count])
        for r in tiles.records
    )


def tiles_by_part(run: Path) -> dict[str, set[str]]:
    """Ids of the tiles of each part of RUN/split.csv."""
    rows = RunFolder(run).split()
    return {part: {row.tile for row in rows if row.part == part} for part in RUN_PARTS}


def silent(_line: str) -> None:
    """Reports nothing."""


def convert(
    made: tuple[Path, Path], out: Path, scheme: Scheme = "fp32", report: Report = silent, **options: Any
) -> Model:
    """The model of a run, at a gate that lets everything through."""
    options = {"limits": LOOSE} | options
    return Model.load(quantize(*made, out, QuantizeOptions(scheme=scheme, **options), report=report))
