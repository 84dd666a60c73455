"""Everything that both sides run, and the checks of what they left."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from board import Board, Here
from compared import (
    MAX_DIFFERENCE,
    Check,
    chances,
    check_files,
    check_greys,
    check_statuses,
    check_tiles,
    files_of,
    greys,
    same_files,
)
from inputs import draw_slide, slides_to_watch, stain_inputs
from taught import described

from her2edge.stain import PROFILES

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests" / "data" / "tiny-int8.tflite"
STAINS = ("per-tile", "slide", "off")
COMMAND = ("-m", "her2edge_cli")
Found = dict[str, Any]
Part = Callable[[Here, Board, Path], tuple[list[Check], Found]]


def both_sides(
    board: Board, student: Path, folder: Path, say: Callable[[str], None]
) -> tuple[list[Check], Found]:
    """All checks, and the figures that are kept. folder: emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    parts: dict[str, Part] = {
        "tiny": tiny, "watch": watch, "stain": stain, "student": student_of(student), "doctor": doctor
    }  # fmt: skip
    checks: list[Check] = []
    found: Found = {}
    for name, part in parts.items():
        say(f"{name} on both sides ...")
        own, found[name] = part(Here(board.work), board, folder)
        checks += own
    return checks, found


def tiny(here: Here, board: Board, folder: Path) -> tuple[list[Check], Found]:
    """`classify` with the tiny model, by every stain mode."""
    slide = folder / "tiny.png"
    mpp = draw_slide(slide, TINY, 6, 4)
    checks: list[Check] = []
    found: Found = {}
    for mode in STAINS:
        files = []
        for side in (here, board):
            out = folder / f"tiny-{mode}-{side.name}"
            options = ("--model", TINY, "--mpp", str(mpp), "--threads", "1", "--stain", mode)
            side.python(*COMMAND, "classify", slide, *options, "--out", out)
            files.append(files_of(out))
        checks += check_files(f"tiny-int8, --stain {mode}", *files)
        found[mode] = same_files(*files)
    return checks, found


def watch(here: Here, board: Board, folder: Path) -> tuple[list[Check], Found]:
    """`watch --once` with the tiny model, over slides that OpenSlide reads."""
    inbox = folder / "inbox"
    names = slides_to_watch(inbox, TINY)
    answers, files = [], []
    for side in (here, board):
        out = folder / f"watched-{side.name}"
        options = ("--model", TINY, "--threads", "1", "--once", "--still", "0")
        side.python(*COMMAND, "watch", inbox, *options, "--out", out)
        answers.append(chances(out))
        files.append(files_of(out))
    check, found = check_tiles(f"tiny-int8, watch --once, {' and '.join(names)}", *answers)
    return [check], {"slides": names} | found | {"files": same_files(*files)}


def stain(here: Here, board: Board, folder: Path) -> tuple[list[Check], Found]:
    """Normalised pixels of the same tiles, by profile and precision."""
    tiles, target, real = stain_inputs(folder)
    results: list[dict[str, Any]] = []
    for side in (here, board):
        out = folder / f"stain-{side.name}.npz"
        side.python(ROOT / "tests" / "aarch64" / "inside.py", tiles, target, out)
        with np.load(out, allow_pickle=False) as kept:
            results.append({name: kept[name] for name in kept.files})
    ours, theirs = results
    kinds = [f"{profile} {precision}" for profile in PROFILES for precision in ("exact", "fast")]
    measured = {kind: greys(ours, theirs, kind) for kind in kinds}
    checks = [*(check_greys(kind, one) for kind, one in measured.items()), check_statuses(ours, theirs)]
    return checks, {"real": real} | {kind: asdict(one) for kind, one in measured.items()}


def student_of(model: Path) -> Part:
    """The part of one student."""

    def student(here: Here, board: Board, folder: Path) -> tuple[list[Check], Found]:
        slide = folder / "student.png"
        mpp = draw_slide(slide, model, 4, 3)
        answers, files = [], []
        for side in (here, board):
            out = folder / f"student-{side.name}"
            options = ("--model", model, "--mpp", str(mpp), "--threads", "1", "--out", out)
            side.python(*COMMAND, "classify", slide, *options)
            answers.append(chances(out))
            files.append(files_of(out))
        check, found = check_tiles("a student classifies a slide", *answers, most=math.inf)
        return [check], described(model) | found | {"files": same_files(*files)}

    return student


def doctor(here: Here, board: Board, folder: Path) -> tuple[list[Check], Found]:
    """Healthy, and the demo model's golden tiles within what another architecture is allowed."""
    report = json.loads(board.python(*COMMAND, "doctor", "--json"))
    (runtime,) = (one for one in report["runtimes"] if one["runtime"] == "litert")
    tested = runtime["tested"]
    said = "identical" if tested["identical"] else f"within {tested['difference']:.4f}"
    golden = f"{tested['tiles']} golden tiles of {report['model']}"
    within = tested["difference"] <= MAX_DIFFERENCE
    checks = [
        Check("doctor", report["healthy"], report["verdict"], "healthy"),
        Check(golden, within, said, f"within {MAX_DIFFERENCE}"),
    ]
    names = ("verdict", "healthy", "system", "python", "model", "packages", "machine")
    figures = {name: tested[name] for name in ("tiles", "identical", "difference")}
    return checks, {name: report[name] for name in names} | {"golden": figures}
