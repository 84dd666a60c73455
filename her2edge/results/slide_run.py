"""What one run over a slide is asked for, and what came of it."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from her2edge.answer import MIN_TISSUE_TILES, Settle, SlideAnswer
from her2edge.answer.pooling import check_fewest
from her2edge.errors import OptionError
from her2edge.regions import Regions, RegionsRead
from her2edge.results.journal import BATCH
from her2edge.text import shown

Progress = Callable[[int, int], object]
Shares = Callable[[Mapping[str, float]], object]


def now() -> datetime.datetime:
    """By the clock on the wall, in UTC."""
    return datetime.datetime.now(datetime.UTC)


@dataclass(frozen=True)
class SlideOptions:
    """How a slide is read; the first five are those of `classify_slide`.
    settle, shares, regions, site, gzip_geojson, decode_glass: as there.

    batch: results per commit of the journal, 1 or more. clock: what run.json takes for the time.
    Raises OptionError where one is out of range.
    """

    mpp: float | None = None
    min_tissue_tiles: int = MIN_TISSUE_TILES
    fresh: bool = False
    isolate: bool = False
    default_mpp: float | None = None
    batch: int = BATCH
    clock: Callable[[], datetime.datetime] = now
    settle: Settle | None = None
    shares: Shares | None = None
    regions: Regions | None = None
    site: str | None = None
    gzip_geojson: bool = False
    decode_glass: bool = False

    def __post_init__(self) -> None:
        if not (self.site is None or isinstance(self.site, str)):
            raise OptionError(f"found site={self.site!r}, expected a name or None")
        if not isinstance(self.decode_glass, bool):
            raise OptionError(f"found decode_glass={self.decode_glass!r}, expected True or False")
        site = shown(self.site or "").strip()
        object.__setattr__(self, "site", site or None)
        if not isinstance(self.gzip_geojson, bool):
            raise OptionError(f"found gzip_geojson={self.gzip_geojson!r}, expected True or False")
        for name in ("min_tissue_tiles", "batch"):
            check_fewest(getattr(self, name), name)
        if not (self.settle is None or isinstance(self.settle, Settle)):
            raise OptionError(
                f"found settle={self.settle!r}, expected a Settle or None, e.g. Settle(error=0.05)"
            )


DEFAULT = SlideOptions()


@dataclass(frozen=True)
class SlideRun:
    """A finished slide: its answer, the folder of its files and their paths.

    stage_seconds: spent in the stages of its tiles; empty where complete results were found.
    resumed: results that came from an interrupted run. complete_before: nothing was left to do.
    regions: where alone tiles were read; None: the whole slide.
    """

    name: str
    answer: SlideAnswer
    folder: Path
    files: tuple[Path, ...]
    stage_seconds: dict[str, float] = field(default_factory=dict)
    resumed: int = 0
    complete_before: bool = False
    regions: RegionsRead | None = None
