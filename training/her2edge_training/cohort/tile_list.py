"""The list of labelled tiles: a CSV beside them, read once into frozen records.

Columns: tile (path relative to the list's folder), slide, patient, site, label, x, y (level-0 pixels,
top-left corner), um_per_pixel, tissue_fraction (0..1), sha256 (of the file's bytes), label_from (what says
the label, of label_from.SOURCES). Only tile, slide, label and um_per_pixel are needed, the others may be
empty or not there; without a patient the slide stands for it.
"""

from __future__ import annotations

import hashlib
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from her2edge.cohort import is_slide_list
from her2edge.errors import MissingInputError, OutputError, TileError
from her2edge.files import foreign, look, read_input
from her2edge.sheets import missing_columns, read_sheet
from her2edge.tables import write_csv
from her2edge.text import to_disk
from her2edge_training.cohort.label_from import NOT_STATED, SOURCES

NAME = "cohort.csv"
_FORMER_NAME = "manifest.csv"  # what `tiles` and `synthesize` wrote once
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
    "label_from",
)
NEEDED = ("tile", "slide", "label", "um_per_pixel")
_EXAMPLE = ("tiles/a.png", "P07", "3+", "0.25")
LABELS = ("0/1+", "2+", "3+")
UNLABELLED = ""
_LARGEST = 1 << 30  # bytes; a million tiles take 200 MB
_NUMBERS = ("x", "y", "um_per_pixel", "tissue_fraction")
_FORMATS = {"x": ".12g", "y": ".12g", "um_per_pixel": ".12g"}


class TileListError(TileError):
    """A list of tiles contradicts itself or does not suffice; names the line."""


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
    x: float | None
    y: float | None
    mpp: float
    tissue_fraction: float | None
    sha256: str
    label_from: str = field(default=NOT_STATED, kw_only=True)

    @property
    def path(self) -> Path:
        """The tile's file."""
        return self.folder / to_disk(self.tile)

    @property
    def group(self) -> str:
        """The patient, or the slide where no patient is named; the prefix keeps the two apart."""
        return group_of(self.patient, self.slide)


class Sourced(Protocol):
    """A tile by whom and what it is of."""

    @property
    def patient(self) -> str:
        """Empty where it is not named."""
        ...

    @property
    def slide(self) -> str:
        """Its name."""
        ...


def traces(tiles: Iterable[Sourced]) -> frozenset[str]:
    """What tells tiles of the same patient or slide again, for `meets`."""
    return frozenset(
        trace for tile in tiles for trace in (group_of(tile.patient, tile.slide), f"on slide:{tile.slide}")
    )


def meets(tile: Sourced, seen: frozenset[str]) -> bool:
    """Whether a tile may be of a patient of whom `seen` has traces.

    Where one side names the patient and the other does not, the slide's name decides.
    """
    own = {group_of(tile.patient, tile.slide), f"slide:{tile.slide}"}
    return not seen.isdisjoint(own if tile.patient else own | {f"on slide:{tile.slide}"})


def group_of(patient: str, slide: str) -> str:
    """What may not stand on two sides of a split: see `TileRecord.group`."""
    return f"patient:{patient}" if patient else f"slide:{slide}"


@dataclass(frozen=True, eq=False)
class TileList:
    """A tile list that was read once. sha256: hex digest of its bytes; records: one per row, in order."""

    path: Path
    sha256: str
    records: tuple[TileRecord, ...]

    @classmethod
    def read(cls, path: str | Path, labels: tuple[str, ...] = LABELS) -> TileList:
        """Read and check a tile list; every tile it names must be there.

        labels: that tiles may have; where "" is among them tiles need none, nor the list the column.

        Raises MissingInputError for a list or tile that is not there, or a list without rows; TileListError
        for another encoding, missing columns (all of them), a label that is not of `labels`, a bad number, a
        tile listed twice, or a slide that belongs to two patients: one line that names the line of the file.
        """
        path = Path(path)
        expected = f"a tile list, a CSV in UTF-8 with columns {', '.join(COLUMNS)}"
        data = read_input(path, _LARGEST, expected, TileListError)
        with foreign(path.name, expected, TileListError):
            rows = _rows(data, path, expected, UNLABELLED in labels)
        records = tuple(_record(row, f"{path} line {line}", path.parent, labels) for line, row in rows)
        if not records:
            raise MissingInputError(f"{path} lists no tiles: make some with the tiles or synthesize command")
        _check_together(records, path)
        return cls(path, hashlib.sha256(data).hexdigest(), records)

    @property
    def folder(self) -> Path:
        """What the records' paths start from."""
        return self.path.parent

    def check_labels(self, labels: tuple[str, ...]) -> None:
        """Raise TileListError for a tile of another label, where a list is used for a second recipe."""
        for record in self.records:
            if record.label not in labels:
                raise TileListError(
                    f"{self.path}: found label {record.label!r} of tile {record.tile}, "
                    f"expected one of {', '.join(filter(None, labels))}"
                )


def write_tile_list(path: Path, records: Iterable[TileRecord], share_digits: int = 6) -> None:
    """Write records, whole or not at all, so that `TileList.read` gives them back.

    `TileRecord.folder` is not written, and the column label_from only where a record has one. share_digits:
    decimals of tissue_fraction. Raises OutputError where the file cannot be written.
    """
    records = tuple(records)
    columns = COLUMNS if any(record.label_from for record in records) else COLUMNS[:-1]
    rows = (
        (
            record.tile,
            record.slide,
            record.patient,
            record.site,
            record.label,
            record.x,
            record.y,
            record.mpp,
            record.tissue_fraction,
            record.sha256,
            record.label_from,
        )[: len(columns)]
        for record in records
    )
    write_csv(path, columns, rows, _FORMATS | {"tissue_fraction": f".{share_digits}f"})


def refuse_former_list(folder: Path) -> None:
    """Raise OutputError where a folder has a list of the former name only: there would be two, then."""
    if os.path.exists(folder / _FORMER_NAME) and not os.path.exists(folder / NAME):  # noqa: PTH110 - Path's raises for a name too long
        raise OutputError(
            f"{folder.name}: found {_FORMER_NAME}, a tile list of an earlier version, expected {NAME}: "
            "rename it to add to its tiles, or choose a new --out"
        )


def _rows(data: bytes, path: Path, form: str, unlabelled: bool) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, cells by column); raises TileListError, also where it is a list of slides."""
    if not data.strip():
        return
    sheet = read_sheet(data, path.name, form, TileListError)
    needed = tuple(name for name in NEEDED if not (unlabelled and name == "label"))
    example = [cell for name, cell in zip(NEEDED, _EXAMPLE, strict=True) if name in needed]
    missing = missing_columns(sheet.header, needed, example)
    if missing and "tile" not in sheet.names and is_slide_list(data):
        raise TileListError(
            f"{path}: found a list of slides, expected one of tiles: `her2edge tiles --cohort` cuts tiles "
            f"from it and writes their list, DIR/{NAME}"
        )
    if missing:
        raise TileListError(f"{path}: {missing}")
    places = {name: sheet.names.index(name) for name in COLUMNS if name in sheet.names}
    numbers = [name for name in _NUMBERS if name in places]
    for row in sheet.rows:
        cells = dict.fromkeys(COLUMNS, "")
        cells |= {name: row.cells[at] for name, at in places.items() if at < len(row.cells)}
        yield row.line, cells | {name: sheet.number(cells[name]) for name in numbers}


def _record(row: dict[str, str], where: str, folder: Path, labels: tuple[str, ...]) -> TileRecord:
    tile, text = row["tile"], row
    parts = PurePosixPath(tile).parts
    if not tile or PurePosixPath(tile).is_absolute() or ".." in parts or "\0" in tile:
        raise TileListError(f"{where}: found tile {tile!r}, expected a path below the list's folder")
    if look(folder / to_disk(tile), f"a tile image ({where})", TileListError) != "file":
        raise MissingInputError(
            f"{where}: no tile at {folder / tile}: make the tiles again or correct the row"
        )
    if not text["slide"]:
        raise TileListError(f"{where}: the slide is empty, expected the name of the slide the tile is from")
    if text["label"] not in labels:
        some = "; only `her2edge distil` takes tiles without one" * (text["label"] == UNLABELLED)
        raise TileListError(
            f"{where}: found label {text['label']!r}, expected one of {', '.join(labels)}{some}"
        )
    if text["label_from"] not in (NOT_STATED, *SOURCES):
        raise TileListError(
            f"{where}: found label_from {text['label_from']!r}, expected {', '.join(SOURCES)} or nothing"
        )
    share = _number(text, "tissue_fraction", where, 0.0, 1.0)
    mpp = _number(text, "um_per_pixel", where, low=1e-3)
    if mpp is None:
        raise TileListError(
            f"{where}: found no um_per_pixel, expected the tile's scale, e.g. 0.25 at 40x: fill it in"
        )
    return TileRecord(
        tile=tile,
        folder=folder,
        slide=sys.intern(text["slide"]),
        patient=sys.intern(text["patient"]),
        site=sys.intern(text["site"]),
        label=sys.intern(text["label"]),
        x=_number(text, "x", where),
        y=_number(text, "y", where),
        mpp=mpp,
        tissue_fraction=share,
        sha256=text["sha256"].lower(),
        label_from=sys.intern(text["label_from"]),
    )


def _number(
    row: Mapping[str, str], name: str, where: str, low: float = -math.inf, high: float = math.inf
) -> float | None:
    """None for an empty cell."""
    text = row[name]
    if not text:
        return None
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
        place = str(PurePosixPath(record.tile))  # `./a.png` is `a.png`
        if place in tiles:
            raise TileListError(f"{path} lists tile {record.tile} twice: keep one row per tile")
        tiles.add(place)
        if patients.setdefault(record.slide, record.patient) != record.patient:
            raise TileListError(
                f"{path}: slide {record.slide} belongs to patient {patients[record.slide]!r} and to "
                f"{record.patient!r}: a split by patient needs one"
            )
