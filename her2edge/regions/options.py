"""Which regions of a slide are to be read, and what was: records only, without shapely."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from her2edge.errors import OptionError


@dataclass(frozen=True)
class Regions:
    """Read only the tiles inside regions drawn in QuPath.

    file: the GeoJSON that QuPath exported of this slide, also as .gz or .zip.
    classes: of the regions; their case does not matter. Empty: all but those that QuPath ignores (Ignore*,
        Artefact*, ...), which are cut out of the others whatever is asked for, unless they are named here.
    Raises OptionError for a class without a name.
    """

    file: Path
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.classes:
            if not (isinstance(name, str) and name.strip()):
                raise OptionError(f"found the class {name!r}, expected the name of a class, e.g. Tumor")

    @classmethod
    def of(cls, regions: Regions | str | os.PathLike[str] | None) -> Regions | None:
        """A file's regions of all classes, where no more is said. Raises OptionError."""
        if regions is None or isinstance(regions, Regions):
            return regions
        if not isinstance(regions, str | os.PathLike):
            raise OptionError(f"found regions={regions!r}, expected a GeoJSON file's path or Regions")
        return cls(Path(regions))


class RegionPlaces(msgspec.Struct, frozen=True):
    """What results depend on. sha256: of the GeoJSON, unpacked, hex. classes: those asked for, as the file
    has them; empty for all. places: tiles of the grid that lie inside.
    """

    sha256: str
    classes: tuple[str, ...]
    places: int

    def __str__(self) -> str:
        classes = ", ".join(self.classes) or "every class"
        return f"{self.places} places in regions ({classes}; {self.sha256[:12]})"


class RegionsRead(RegionPlaces, frozen=True, kw_only=True):
    """The same, the name of the file they were read from, and which places lie inside.

    runs: (first place, how many) of each run within a row of the grid, a place being row * columns + column;
    None: an older her2edge, which kept their number only.
    """

    file: str
    runs: tuple[tuple[int, int], ...] | None = None

    def __post_init__(self) -> None:
        if self.runs is not None and sum(count for _, count in self.runs) != self.places:
            raise ValueError(f"found runs of another number of places than {self.places}")

    def inside(self, columns: int) -> list[tuple[int, int]] | None:
        """(column, row) of each place, row by row, of a grid of `columns` columns."""
        if self.runs is None:
            return None
        return [
            (n % columns, n // columns) for first, count in self.runs for n in range(first, first + count)
        ]

    def said(self, *, file: bool = True) -> str:
        """For people: what the results are of. file: with the file's name, which often is the slide's."""
        what = ", ".join((*([self.file] if file else []), *self.classes))
        return f"Only of the {self.places} tiles inside regions{f': {what}' if what else ''}."
