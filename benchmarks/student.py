"""A student beside its teacher, and beside the same network that learnt labels for the same time.

    .venv/bin/python benchmarks/student.py --work DIR [--minutes 60] [--save NAME]

Draws a transfer set (a share of it between two classes, without labels), held-out slides, tissue between
classes and held-out tiles as a worse scanner would see them; distils a student of the embedded model, and
trains the same recipe on the labels of the same set; converts both to int8; then asks teacher and both
networks of every tile. What is there in DIR is taken as it is, so that a stopped run goes on. Figures are
about synthetic tissue.

For a try in minutes: --teacher tests/data/tiny-3-labels.tflite --recipe FILE --slides 45 --held 12
--minutes 0.1, FILE being a recipe of that model's tile size.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from harness import describe, ratio, save, take_turns
from numpy.typing import NDArray

import her2edge as he
from her2edge.model.records import Limits
from her2edge.runtime import installed, open_runtime
from her2edge.tile import LABELS
from her2edge_quantize.gate.gate_store import gate_inputs
from her2edge_quantize.gate.report import report_path
from her2edge_quantize.gate.verdict import judge
from her2edge_quantize.options import QuantizeOptions
from her2edge_quantize.quantize import quantize
from her2edge_training.cohort.tile_list import UNLABELLED, TileList, TileRecord, write_tile_list
from her2edge_training.recipes import load_recipe
from her2edge_training.run.predictions import Predictions

COMMAND = [sys.executable, "-m", "her2edge_cli"]
BLUR_PX, JPEG = 1.2, 30  # of the worse scanner
Logits = NDArray[np.float32]


def main() -> None:
    given = arguments()
    work: Path = given.work
    work.mkdir(parents=True, exist_ok=True)
    teacher_path = given.teacher or Path(str(resources.files("her2edge.data") / "demo-int8.tflite"))
    teacher = he.Model.load(teacher_path, trust="anyone")
    size = ("--tile-px", str(teacher.tile_px), "--tile-mpp", str(teacher.mpp))
    transfer = drawn(work / "transfer", given.slides, 3, 7, given.between, size)
    labels = labelled(transfer)
    held = drawn(work / "held", given.held, 10, 804, 0.0, size)
    between = drawn(work / "between", max(3, given.held // 3), 4, 901, 1.0, size)
    common = ("--minutes", str(given.minutes))
    distilled = trained(
        "distil",
        str(teacher_path),
        "--recipe",
        given.recipe,
        "--data",
        transfer,
        *common,
        out=work / "distilled",
    )
    by_labels = trained("train", given.recipe, "--data", labels, *common, out=work / "labels")
    files = {"teacher": teacher_path}
    for name, run, data in (("distilled", distilled, transfer), ("labels", by_labels, labels)):
        files[name] = converted(name, run, data, work, held, between, teacher_path)
    models = {name: he.Model.load(path, trust="anyone") for name, path in files.items()}
    sets = {"held": records(held), "between": records(between), "worse": worse(held, work / "worse")}
    answers = asked(models, sets, load_recipe(given.recipe))
    rows = [row(name, models, sets, answers, work) for name in models]
    result = {
        "minutes": given.minutes,
        "transfer": {"slides": given.slides, "tiles": 3 * given.slides, "between": given.between},
        "tiles": {name: len(own) for name, own in sets.items()},
        "epochs": {name: epochs(run) for name, run in (("distilled", distilled), ("labels", by_labels))},
        "rows": rows,
        "ms": timed(models),
    }
    print(json.dumps(result, indent=1))
    if given.save:
        print(save("student", result, given.save))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="tiles, runs and model files; kept")
    parser.add_argument("--teacher", type=Path, help="a model file; the embedded one")
    parser.add_argument("--recipe", default="student_mobilenetv4")
    parser.add_argument("--minutes", type=float, default=60.0, help="of each training")
    parser.add_argument("--slides", type=int, default=600, help="of the transfer set, 3 tiles of each")
    parser.add_argument("--between", type=float, default=0.2, help="share of them between two classes")
    parser.add_argument("--held", type=int, default=220, help="held-out slides, 10 tiles of each")
    parser.add_argument("--save", metavar="NAME", help="keep the result in results/NAME.json")
    return parser.parse_args()


def drawn(folder: Path, slides: int, tiles: int, seed: int, between: float, size: tuple[str, ...]) -> Path:
    """The tile list of a cohort, drawn unless it is there."""
    made = folder / "cohort.csv"
    if not made.exists():
        numbers = ("--slides", slides, "--tiles", tiles, "--seed", seed, "--between", between)
        run_command("synthesize", "--out", str(folder), *map(str, numbers), *size)
    return made


def labelled(transfer: Path) -> Path:
    """The same list without the tiles that have no label."""
    path = transfer.with_name("labelled.csv")
    rows = list(csv.DictReader(transfer.open(encoding="utf-8")))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(one for one in rows if one["label"])
    return path


def trained(*command: Any, out: Path) -> Path:
    """RUN, trained unless it has ended; one that was stopped goes on."""
    if not (out / "metrics.json").exists():
        run_command(*map(str, command), "--out", str(out))
    return out


def run_command(*command: str) -> None:
    subprocess.run([*COMMAND, *command], check=True)


def converted(name: str, run: Path, data: Path, work: Path, held: Path, between: Path, teacher: Path) -> Path:
    """The int8 model file and its gate's report; nothing is refused here: reasons are a column."""
    out = work / f"{name}-int8.tflite"
    own = {"teacher": teacher, "unsure_data": (between,)} if name == "distilled" else {}
    options = QuantizeOptions(scheme="int8", gate_data=(held,), accept_loss=True, **own)  # type: ignore[arg-type]
    if not out.exists():
        quantize(run, data, out, options, report=lambda line: print(f"    {line}", flush=True))
    return out


def records(path: Path) -> tuple[TileRecord, ...]:
    return TileList.read(path, (*LABELS, UNLABELLED)).records


def worse(held: Path, folder: Path) -> tuple[TileRecord, ...]:
    """Held-out tiles out of focus and compressed harder."""
    made = folder / "cohort.csv"
    if not made.exists():
        changed = []
        for record in records(held):
            bgr = cv2.GaussianBlur(cv2.imread(str(record.path)), (0, 0), BLUR_PX)
            path = folder / record.tile
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), bgr, (cv2.IMWRITE_JPEG_QUALITY, JPEG))
            changed.append(replace(record, folder=folder, sha256=""))
        write_tile_list(made, changed)
    return records(made)


def asked(
    models: dict[str, he.Model], sets: dict[str, tuple[TileRecord, ...]], recipe: Any
) -> dict[str, dict[str, Logits]]:
    """Logits of every model for every set, on LiteRT. "turned": the teacher's, tiles turned by 90 degrees."""
    runtimes = {name: open_runtime("litert", model, 2) for name, model in models.items()}
    found: dict[str, dict[str, Logits]] = {}
    for name, own in sets.items():
        rows: dict[str, list[Logits]] = {model: [] for model in (*models, "turned")}
        for pixels in gate_inputs(own, recipe):
            for model, runtime in runtimes.items():
                rows[model].append(runtime.logits(pixels))
            turned = np.ascontiguousarray(np.rot90(pixels))
            rows["turned"].append(runtimes["teacher"].logits(turned))
        found[name] = {model: np.stack(values) for model, values in rows.items()}
    return found


def row(
    name: str,
    models: dict[str, he.Model],
    sets: dict[str, tuple[TileRecord, ...]],
    answers: dict[str, dict[str, Logits]],
    work: Path,
) -> dict[str, Any]:
    """One network: accuracy on labels, agreement with the teacher, slide answers changed, int8 flips, MB."""
    model = models[name]
    labels = model.manifest.labels
    line: dict[str, Any] = {"network": name, "mb": round(len(model.flatbuffer) / 1e6, 2)}
    for part, own in sets.items():
        given, taught = answers[part][name].argmax(axis=1), answers[part]["teacher"].argmax(axis=1)
        line[f"{part}_agreement"] = round(float((given == taught).mean()), 4)
        line[f"{part}_classes"] = np.bincount(given, minlength=len(labels)).tolist()
        if all(one.label for one in own):
            actual = np.array([labels.index(one.label) for one in own])
            line[f"{part}_accuracy"] = round(float((given == actual).mean()), 4)
            reference = Predictions.of(own, answers[part]["teacher"], labels)
            beside = judge(reference, answers[part][name], model.manifest.temperature, Limits())
            line[f"{part}_slides_changed"] = [beside.changed_slides, beside.assessed_slides]
    turned = answers["between"]["turned"].argmax(axis=1) == answers["between"]["teacher"].argmax(axis=1)
    if name == "teacher":
        line["between_turned"] = round(float(turned.mean()), 4)
        return line
    report = json.loads(report_path(work / f"{name}-int8.tflite", "json").read_bytes())
    verdict = report["model"]["verdict"]
    line |= {"int8_flips": [verdict["flips"], verdict["tiles"]], "reasons": verdict["reasons"]}
    return line


def epochs(run: Path) -> dict[str, float]:
    rows = list(csv.DictReader((run / "log.csv").open(encoding="utf-8")))
    return {"epochs": len(rows), "minutes": round(sum(float(one["seconds"]) for one in rows) / 60, 1)}


def timed(models: dict[str, he.Model]) -> dict[str, Any]:
    """One thread, in turns in one run, on the teacher's golden tiles, and how many times faster than it."""
    tiles = list(models["teacher"].golden.tiles)
    found: dict[str, Any] = {}
    for name in installed():
        if name == "tflite-runtime":
            continue
        functions = {model: open_runtime(name, one, 1).logits for model, one in models.items()}
        spent = take_turns(functions, tiles, rounds=12)
        faster = {model: ratio(spent, "teacher", model) for model in models}
        found[name] = {"ms": describe(spent), "times_faster": faster}
    return found


if __name__ == "__main__":
    main()
