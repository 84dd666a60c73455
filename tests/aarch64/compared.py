"""Two sides beside each other: pure functions over what both left, and what must hold."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_DIFFERENCE = 0.03  # of a probability, as golden tiles are held to on another architecture
FAST_LEVELS = 1
TABLES = ("tiles.csv", "tiles.geojson")
RELATIVE = 1e-6  # of a number in other JSON: sums of float32 are taken in another order
LEVELS = 1  # of pictures
NOT_COMPARED = "run.json"  # names machine, versions and times


@dataclass(frozen=True)
class Check:
    """name: what was asked. found, wanted: in words, with figures."""

    name: str
    holds: bool
    found: str
    wanted: str

    def __str__(self) -> str:
        return f"{'ok' if self.holds else 'FAILED':<7}{self.name}: {self.found} (wanted: {self.wanted})"


def stated(check: Check) -> dict[str, Any]:
    return asdict(check)


def files_of(folder: Path) -> dict[str, bytes]:
    """What the results folders of slides hold, by name, but for run.json."""
    slides = sorted(summary.parent for summary in folder.glob("*/summary.json"))
    files = (path for slide in slides for path in sorted(slide.iterdir()) if path.name != NOT_COMPARED)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def same_files(here: Mapping[str, bytes], there: Mapping[str, bytes]) -> dict[str, Any]:
    """What a result says of them."""
    return {"files": len(here), "identical": sum(there.get(name) == data for name, data in here.items())}


def check_files(name: str, here: Mapping[str, bytes], there: Mapping[str, bytes]) -> list[Check]:
    """A slide's results: tables byte for byte; numbers of other JSON and pixels of pictures nearly so."""
    names = sorted(here.keys() | there.keys())
    lacking = [one for one in names if one not in here or one not in there]
    tables = [one for one in names if one.endswith(TABLES)]
    differ = lacking + [one for one in tables if one not in lacking and here[one] != there[one]]
    said = f"{len(tables)} files, {len(differ)} differ" + (f": {', '.join(differ)}" if differ else "")
    checks = [Check(f"{name}: tiles.csv, tiles.geojson", bool(tables) and not differ, said, "byte-identical")]
    both = [one for one in names if one not in lacking]
    numbers = {one: apart(here[one], there[one]) for one in both if one.endswith(".json")}
    pictures = {one: levels_apart(here[one], there[one]) for one in both if one.endswith(".png")}
    for kind, found, most, of in (
        ("other JSON", numbers, RELATIVE, "relative"),
        ("pictures", pictures, LEVELS, "grey level"),
    ):
        same, largest = sum(here[one] == there[one] for one in found), max(found.values(), default=math.inf)
        text = f"{same} of {len(found)} identical, {of} {largest:.1g} at most"
        checks.append(Check(f"{name}: {kind}", largest <= most, text, f"{of} {most:g} at most"))
    return checks


def apart(here: bytes, there: bytes) -> float:
    """The largest relative difference of numbers of two JSON files; infinite where anything else differs."""
    return _apart(json.loads(here), json.loads(there))


def _apart(one: Any, other: Any) -> float:
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) / max(abs(one), abs(other), 1e-300)
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return max((_apart(one[key], other[key]) for key in one), default=0.0)
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return max(map(_apart, one, other), default=0.0)
    return 0.0 if type(one) is type(other) and one == other else math.inf


def levels_apart(here: bytes, there: bytes) -> float:
    """The largest difference of two pictures' pixels, grey levels; infinite where their sizes differ."""
    one, other = (cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) for data in (here, there))
    if one is None or other is None or one.shape != other.shape:
        return math.inf
    return float(np.abs(one.astype(int) - other.astype(int)).max())


@dataclass(frozen=True)
class Greys:
    """tiles, and how many have the same pixels; largest: grey levels; share: of values that differ."""

    tiles: int
    identical: int
    largest: int
    share: float


def greys(here: Mapping[str, NDArray[Any]], there: Mapping[str, NDArray[Any]], kind: str) -> Greys:
    """Normalised tiles of one kind ("torchstain fast") on both sides."""
    names = [name for name in here if name.startswith(f"{kind} ") and not name.endswith(" status")]
    apart = [np.abs(here[name].astype(int) - there[name].astype(int)) for name in names]
    differing, values = sum(int(np.count_nonzero(one)) for one in apart), sum(one.size for one in apart)
    largest = max(int(one.max()) for one in apart)
    return Greys(len(names), sum(not one.any() for one in apart), largest, differing / values)


def check_greys(kind: str, found: Greys) -> Check:
    most = 0 if kind.endswith("exact") else FAST_LEVELS
    said = f"{found.identical} of {found.tiles} tiles identical, {found.largest} grey levels at most"
    if found.share:
        said += f", {found.share:.1e} of values"
    wanted = "identical" if most == 0 else f"{most} grey level at most"
    return Check(f"stain {kind}", found.tiles > 0 and found.largest <= most, said, wanted)


def check_statuses(here: Mapping[str, NDArray[Any]], there: Mapping[str, NDArray[Any]]) -> Check:
    names = [name for name in here if name.endswith(" status")]
    same = sum(str(here[name]) == str(there[name]) for name in names)
    return Check("stain statuses", 0 < len(names) == same, f"{same} of {len(names)} the same", "all the same")


Rows = list[tuple[str, NDArray[np.float64]]]


def chances(folder: Path) -> Rows:
    """(outcome, probabilities) of each row of the slides' tiles.csv, in order; background has NaN."""
    rows: Rows = []
    for path in sorted(folder.glob("*/tiles.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                numbers = [float(text or "nan") for name, text in row.items() if name.startswith("p ")]
                rows.append((row["outcome"], np.array(numbers)))
    return rows


def check_tiles(
    name: str, here: Rows, there: Rows, *, most: float = MAX_DIFFERENCE
) -> tuple[Check, dict[str, Any]]:
    """Every tile has the outcome it has here, and no probability differs by more than `most`."""
    alike = [outcome for outcome, _ in here] == [outcome for outcome, _ in there]
    pairs = [(a, b) for (kind, a), (_, b) in zip(here, there, strict=False) if kind == "classified"]
    differences = [float(np.abs(a - b).max()) for a, b in pairs]
    found = {
        "tiles": len(there),
        "classified": len(pairs),
        "identical": sum(one == 0 for one in differences),
        "same_class": sum(int(a.argmax() == b.argmax()) for a, b in pairs),
        "largest": max(differences, default=math.nan),
    }
    said = (
        f"{found['classified']} of {found['tiles']} tiles classified, of these "
        f"{found['identical']} identical, {found['same_class']} of the same class, "
        f"probabilities within {found['largest']:.4f}"
    )
    holds = bool(pairs) and alike and all(one <= most for one in differences)
    wanted = "the same tiles" + (f", within {most}" if most < math.inf else " classified")
    return Check(name, holds, said, wanted), found
