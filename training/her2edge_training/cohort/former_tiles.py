"""Tiles that a folder holds from an earlier run: what may be added to them, and what gives way."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from her2edge.errors import OutputError
from her2edge.results.folder import slide_folder
from her2edge.tables import restored
from her2edge_training.cohort.cut_report import NAME as REPORT
from her2edge_training.cohort.cut_report import SlideReport, read_cut_report
from her2edge_training.cohort.cut_slide import OVERVIEWS, Cut
from her2edge_training.cohort.plan import ImagesPlan, Origin, Plan, SlidePlan
from her2edge_training.cohort.tile_list import NAME, TileList, TileRecord, refuse_former_list


@dataclass(frozen=True)
class FormerTiles:
    """reports, records: of the earlier run. giving_way: names of slides in it that are cut again, and now."""

    out: Path
    reports: tuple[SlideReport, ...] = ()
    records: tuple[TileRecord, ...] = ()
    giving_way: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, plan: Plan, out: Path, *, redo: bool) -> FormerTiles:
        """Raises OutputError where the new tiles do not go with those in `out`."""
        refuse_former_list(out)
        if not os.path.exists(out / NAME):  # noqa: PTH110 - Path's raises for a name too long
            if redo:
                raise OutputError(f"{out.name}: found no {NAME}, expected tiles to cut again: check --out")
            return cls(out)
        before = read_cut_report(out / REPORT)
        if before.cutting != plan.cutting:
            raise OutputError(
                f"{out.name}: found tiles cut with {before.cutting}, expected {plan.cutting}: choose a new "
                "--out"
            )
        records = TileList.read(out / NAME, plan.labels).records
        listed = {record.slide for record in records}
        again: dict[str, str] = {}
        new: list[SlidePlan | ImagesPlan] = [*plan.slides, *plan.images]
        for slide in new:
            again |= {slide.name.strip(): slide.name.strip()} if slide.name.strip() in listed else {}
            for report in before.slides:
                if report.fingerprint == slide.fingerprint and restored(report.slide) in listed:
                    again[restored(report.slide)] = slide.name.strip()
        if again and not redo:
            raise OutputError(
                f"{out.name}: found tiles of {', '.join(dict.fromkeys(again.values()))} already: leave these "
                "out, cut a slide again with --redo, or choose a new --out"
            )
        absent = [slide.name for slide in new if slide.name.strip() not in again.values()]
        if redo and absent:
            raise OutputError(
                f"{out.name}: found no tiles of {', '.join(absent)} to replace: add new slides without --redo"
            )
        return cls(out, before.slides, records, again)

    def origin_of(self, slide: SlidePlan | ImagesPlan, given: Origin) -> Origin:
        """What is given; where nothing is, what stood in the list for the tiles that give way."""
        name = slide.name.strip()
        old = next((row for row in self.records if self.giving_way.get(row.slide) == name), None)
        if old is None:
            return given
        return Origin(given.patient or old.patient, given.site or old.site)

    def joined(self, cuts: Sequence[Cut]) -> tuple[tuple[TileRecord, ...], tuple[SlideReport, ...]]:
        """Rows and reports of all: new ones where their slide stood, else at the end."""
        rows: dict[str, list[TileRecord]] = {}
        for record in self.records:
            rows.setdefault(record.slide, []).append(record)
        reports = {restored(report.slide): report for report in self.reports}
        new = {restored(cut.report.slide) for cut in cuts}
        for name in self.giving_way.keys() - new:
            rows.pop(name, None)
            reports.pop(name, None)
        for cut in cuts:
            rows[restored(cut.report.slide)] = list(cut.records)
            reports[restored(cut.report.slide)] = cut.report
        return tuple(row for some in rows.values() for row in some), tuple(reports.values())

    def remove(self, records: Sequence[TileRecord], reports: Sequence[SlideReport]) -> None:
        """Tiles and overviews of slides that gave way, except those of `records` and `reports`, which are
        all that is listed now."""
        paths = {record.path for record in records}
        for record in self.records:
            if record.slide in self.giving_way and record.path not in paths:
                _unlink(record.path)
        folders = set(map(self._folder, reports))
        for folder in map(self._folder, self.reports):
            if folder not in folders:
                with contextlib.suppress(OSError):
                    folder.rmdir()
                _unlink(self.out / OVERVIEWS / f"{folder.name}.png")

    def _folder(self, report: SlideReport) -> Path:
        return slide_folder(self.out / "tiles", restored(report.slide), report.fingerprint)


def _unlink(path: Path) -> None:
    with contextlib.suppress(OSError):  # what stays is in no list
        path.unlink()
