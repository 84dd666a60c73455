"""The list of labelled tiles: a CSV beside them, read into frozen records.

Columns: tile (path relative to the manifest's folder), slide, patient, site, label, x, y (level-0 pixels,
top-left corner), um_per_pixel, tissue_fraction (0..1), sha256 (of the file's bytes). patient, site,
tissue_fraction and sha256 may be empty in a row; where the patient is, the slide stands for its patient.
"""

from __future__ import annotations

import csv
import io
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from her2edge.errors import MissingInputError, TileError
from her2edge.files import write_bytes

COLUMNS = (
    "tile",
    "slide",
    "patient",
    "site",
    "label",
    "x",
    "y",
    "um_per_pixel",
    "tissue_fraction",
    "sha256",
)
LABELS = ("0/1+", "2+", "3+")


class TileListError(TileError):
    """A manifest of tiles contradicts itself or does not suffice; names the line."""


@dataclass(frozen=True, slots=True)
class TileRecord:
    """One row: `tile` is its key, a path from `folder`; `group` what must stay in one part of a split.

    Small, because a cohort may have a million: nothing in it is stored twice.
    """

    tile: str
    folder: Path
    slide: str
    patient: str
    site: str
    label: str
    x: float
    y: float
    mpp: float
    tissue_fraction: float | None
    sha256: str

    @property
    def path(self) -> Path:
        """The tile's file."""
        return self.folder / self.tile

    @property
    def group(self) -> str:
        """The patient, or the slide where no patient is named; the prefix keeps the two apart."""
        return group_of(self.patient, self.slide)


def group_of(patient: str, slide: str) -> str:
    """What may not stand on two sides of a split: see `TileRecord.group`."""
    return f"patient:{patient}" if patient else f"slide:{slide}"


def read_tile_list(path: str | Path, labels: tuple[str, ...] = LABELS) -> tuple[TileRecord, ...]:
    """Read and check a manifest; every tile it names must be there.

    Raises MissingInputError for a manifest or tile that is not there, or a manifest without rows;
    TileListError for a missing column, an unknown label, a bad number, a tile listed twice, or a slide
    that belongs to two patients: one line that names the line of the file.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingInputError(f"no manifest at {path}: expected a CSV with columns {', '.join(COLUMNS)}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
            if missing and rows.fieldnames:
                raise TileListError(
                    f"{path} line 1 lacks the columns {', '.join(missing)}: expected {', '.join(COLUMNS)}"
                )
            records = tuple(_record(row, f"{path} line {rows.line_num}", path.parent, labels) for row in rows)
    except (csv.Error, UnicodeDecodeError) as error:
        raise TileListError(f"{path} is not a CSV file in UTF-8: {error}") from error
    if not records:
        raise MissingInputError(f"{path} lists no tiles: make some with the tile or the synthetic command")
    _check_together(records, path)
    return records


def write_tile_list(path: Path, records: Iterable[TileRecord]) -> None:
    """Write records, whole or not at all, so that `read_tile_list` gives them back.

    `TileRecord.folder` is not written. Raises OutputError where the file cannot be written.
    """
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for record in records:
        share = record.tissue_fraction
        table.writerow(
            (
                record.tile,
                record.slide,
                record.patient,
                record.site,
                record.label,
                f"{record.x:.12g}",
                f"{record.y:.12g}",
                f"{record.mpp:.12g}",
                "" if share is None else f"{share:.6f}",
                record.sha256,
            )
        )
    write_bytes(path, text.getvalue().encode())


def _record(row: dict[str, str | None], where: str, folder: Path, labels: tuple[str, ...]) -> TileRecord:
    text = {name: (row[name] or "").strip() for name in COLUMNS}
    tile = text["tile"]
    parts = PurePosixPath(tile).parts
    if not tile or PurePosixPath(tile).is_absolute() or ".." in parts or "\0" in tile:
        raise TileListError(f"{where}: found tile {tile!r}, expected a path below the manifest's folder")
    if not (folder / tile).is_file():
        raise MissingInputError(f"{where}: no tile at {folder / tile}: make the tiles again or mend the row")
    if not text["slide"]:
        raise TileListError(f"{where}: the slide is empty, expected the name of the slide the tile is from")
    if text["label"] not in labels:
        raise TileListError(f"{where}: found label {text['label']!r}, expected one of {', '.join(labels)}")
    return TileRecord(
        tile=tile,
        folder=folder,
        slide=sys.intern(text["slide"]),
        patient=sys.intern(text["patient"]),
        site=sys.intern(text["site"]),
        label=sys.intern(text["label"]),
        x=_number(text["x"], "x", where),
        y=_number(text["y"], "y", where),
        mpp=_number(text["um_per_pixel"], "um_per_pixel", where, low=1e-3),
        tissue_fraction=(
            _number(text["tissue_fraction"], "tissue_fraction", where, low=0.0, high=1.0)
            if text["tissue_fraction"]
            else None
        ),
        sha256=text["sha256"].lower(),
    )


def _number(text: str, name: str, where: str, low: float = -math.inf, high: float = math.inf) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and low <= value <= high):
        raise TileListError(f"{where}: found {name}={text!r}, expected a number in {low}..{high}")
    return value


def _check_together(records: tuple[TileRecord, ...], path: Path) -> None:
    tiles: set[str] = set()
    patients: dict[str, str] = {}
    for record in records:
        if record.tile in tiles:
            raise TileListError(f"{path} lists tile {record.tile} twice: keep one row per tile")
        tiles.add(record.tile)
        if patients.setdefault(record.slide, record.patient) != record.patient:
            raise TileListError(
                f"{path}: slide {record.slide} belongs to patient {patients[record.slide]!r} and to "
                f"{record.patient!r}: a split by patient needs one"
            )
