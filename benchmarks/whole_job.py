"""The same places of a slide for every way: which they are, and what each way said of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TILE_PX, MPP = 512, 0.25  # of the network: side of a tile, um per pixel
Chances = dict[tuple[int, int], tuple[float, ...]]  # by (column, row)


@dataclass(frozen=True)
class Job:
    """slide: its path. mpp: um per pixel of level 0. step: side of a place, level-0 px; (column, row) lies at
    (column * step, row * step). looked_at: places in the region, a GeoJSON's path. whole: places of the
    slide. places: those of tissue in the region. forms: folder of the networks' files. settled_model: for
    `--until-settled`; None: the demo's."""

    slide: str
    mpp: float
    step: float
    looked_at: int
    whole: int
    places: list[tuple[int, int]]
    region: str
    forms: str
    settled_model: str | None

    @property
    def corners(self) -> list[tuple[int, int]]:
        """Of each place, whole level-0 px: what a script without a resampler of its own reads."""
        return [(round(column * self.step), round(row * self.step)) for column, row in self.places]

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    @staticmethod
    def read(path: Path | str) -> Job:
        kept = json.loads(Path(path).read_text())
        return Job(**kept | {"places": [(column, row) for column, row in kept["places"]]})


def write_results(out: Path, job: Job, chances: Iterable[Iterable[float]]) -> None:
    """A row for each of the job's places, as they come."""
    with (out / "results.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        for place, values in zip(job.places, chances, strict=True):
            writer.writerow((*place, *(f"{value:.6f}" for value in values)))


def read_results(out: Path, job: Job) -> Chances:
    """What a peer wrote, or `her2edge classify`."""
    tables = list(out.glob("*/tiles.csv"))
    return dict(_ours(tables[0], job) if tables else _peers(out / "results.csv"))


def _peers(path: Path) -> Iterator[tuple[tuple[int, int], tuple[float, ...]]]:
    with path.open(newline="") as file:
        for column, row, *chances in csv.reader(file):
            yield (int(column), int(row)), tuple(map(float, chances))


def _ours(path: Path, job: Job) -> Iterator[tuple[tuple[int, int], tuple[float, ...]]]:
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["outcome"] == "classified":
                place = round(float(row["x"]) / job.step), round(float(row["y"]) / job.step)
                yield place, tuple(float(row[name]) for name in _columns(row))


def _columns(row: dict[str, Any]) -> list[str]:
    return [name for name in row if name.startswith("p ")]


def difference(ours: Chances, theirs: Chances) -> float:
    """The largest of any probability of any place."""
    return max(abs(a - b) for place in ours for a, b in zip(ours[place], theirs[place], strict=True))
