"""What each scheme costs each network: flips, accuracy, noise of layers, time, size, in one table.

    .venv/bin/python benchmarks/conversions.py --work DIR [--networks NAME...] [--schemes NAME...]
        [--qat-minutes 5] [--save NAME]

Trains the four networks of the paper's table by their study recipes (synthetic tissue, 80 px, slides apart; a
RUN that is there is taken as it is), converts each in every scheme, and lets the gate judge each on 2,200
tiles of 220 other slides. Nothing is refused here: the gate's verdict is a column.

The tissue's classes differ in the density of their nuclei as well: eight epochs taught no network what the
product's synthetic tissue asks for, and near ties flip. So figures are about easy tissue and a short
training; of a lab's own network the gate's report tells the same.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from harness import save

from her2edge.model.records import Scheme
from her2edge_quantize.gate.report import report_path
from her2edge_quantize.options import QatOptions, QuantizeOptions
from her2edge_quantize.quantize import quantize
from her2edge_training import synthetic
from her2edge_training.recipe import ARCHITECTURES

COMMAND = [sys.executable, "-m", "her2edge_cli"]
DENSITY = {"0/1+": (0.11, 0.16), "2+": (0.19, 0.24), "3+": (0.29, 0.34)}  # nuclear_fraction of a slide


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="tiles, runs and model files; kept")
    parser.add_argument("--networks", nargs="+", default=list(ARCHITECTURES), choices=ARCHITECTURES)
    parser.add_argument("--schemes", nargs="+", default=list(get_args(Scheme)), choices=get_args(Scheme))
    parser.add_argument("--qat-minutes", type=float, default=5.0)
    parser.add_argument("--save", metavar="NAME", help="keep the result in benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    work = arguments.work
    learnt = tiles(work / "learnt", 120, seed=5)
    held_out = tiles(work / "held-out", 220, seed=6)
    rows: list[dict[str, Any]] = []
    for network in arguments.networks:
        run = trained(network, learnt, work / network)
        for scheme in arguments.schemes:
            qat = QatOptions(minutes=arguments.qat_minutes) if scheme == "int8-qat" else None
            options = QuantizeOptions(scheme=scheme, gate_data=(held_out,), accept_loss=True, qat=qat)
            began = time.perf_counter()
            out = work / f"{network}-{scheme}.tflite"
            quantize(run, learnt, out, options, report=lambda line: print(f"    {line}", flush=True))
            rows += described(network, out, time.perf_counter() - began)
    result = {"qat_minutes": arguments.qat_minutes, "rows": rows}
    for row in rows:
        print(row)
    if arguments.save:
        print(save("conversions", result, arguments.save))


def tiles(folder: Path, slides: int, seed: int) -> Path:
    """The list of ten tiles of each slide, drawn if it is not there."""
    made = folder / "cohort.csv"
    if not made.exists():
        chance = np.random.default_rng(seed)
        models = tuple(dense(model, chance) for model in synthetic.make_cohort(slides, seed=seed))
        synthetic.write_dataset(folder, synthetic.Cohort(models, (10,) * slides), tile_px=80, mpp=0.8)
    return made


def dense(model: synthetic.SlideModel, chance: np.random.Generator) -> synthetic.SlideModel:
    """The slide with the density of its class."""
    share = float(chance.uniform(*DENSITY[model.label]))
    return replace(model, morphology=replace(model.morphology, nuclear_fraction=share))


RECIPE = """from msgspec.structs import replace

from her2edge_training.recipe import Split
from her2edge_training.recipes import load_recipe

RECIPE = replace(load_recipe("study_{network}"), split=Split("slide-grouped", (0.7, 0.1, 0.2)))
"""


def trained(network: str, data: Path, run: Path) -> Path:
    """The run of the network's study recipe, slides apart; trained if it is not there."""
    if not (run / "metrics.json").exists():
        recipe = run.with_suffix(".py")
        recipe.write_text(RECIPE.format(network=network))
        subprocess.run([*COMMAND, "train", str(recipe), "--data", str(data), "--out", str(run)], check=True)
    return run


def described(network: str, out: Path, seconds: float) -> list[dict[str, Any]]:
    """A row of the model, and one with layers in float where the gate tried that."""
    report = json.loads(report_path(out, "json").read_text())
    noise = [layer for layer in report["layers"] if layer["snr_db"] is not None]
    worst = min(noise, key=lambda layer: layer["snr_db"], default=None)
    rows = []
    for measured in (report["model"], report["with_float_layers"]):
        if measured is None:
            continue
        verdict, own = measured["verdict"], measured is report["model"]
        rows.append(
            {
                "network": network,
                "scheme": measured["scheme"] if own else f"{measured['scheme']}, some layers in float",
                "flips": verdict["flips"],
                "tiles": verdict["tiles"],
                "flips_at_most": verdict["flip_interval"][1],
                "accuracy": verdict["accuracy"],
                "accuracy_drop": verdict["accuracy_drop"],
                "worst_layer": worst if own else None,
                "float32_takes": measured["latency"]["ratio"],
                "megabytes": measured["flatbuffer_bytes"] / 1e6,
                "reasons": verdict["reasons"],
                "learnt": report["learnt"] if own else "",
                "seconds": seconds if own else None,
            }
        )
    return rows


if __name__ == "__main__":
    main()
