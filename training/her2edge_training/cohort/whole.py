"""Whole slides as regions: where nobody drew any, each tile has the label of its slide, a weak one."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import overload

from her2edge.cohort import CohortError, CohortSlide
from her2edge.errors import SlideError, SlideReadError
from her2edge.regions.classes import EXCLUDE, IGNORE, Table, key, label_of
from her2edge.regions.inside import Place, Places
from her2edge.results.scored import label_of_score
from her2edge.slide import Grid, SlideReader
from her2edge.slide.scale import states_none
from her2edge.slide.sources import open_source
from her2edge_training.classes import check_table
from her2edge_training.cohort.label_from import LabelFrom
from her2edge_training.cohort.plan import (
    Cutting,
    Origin,
    Plan,
    SlidePlan,
    check_different,
    check_there,
    refuse_folder,
)
from her2edge_training.cohort.tile_list import LABELS

_MANY = 5  # slides that a message names


@dataclass(frozen=True)
class LabelledSlide:
    """A row of a list, row 0 for a slide that is in none, and the label of all its tiles."""

    row: CohortSlide
    label: str
    label_from: LabelFrom


def plan_scored(
    slides: Sequence[CohortSlide],
    cutting: Cutting,
    classes: Table,
    *,
    labels: tuple[str, ...] = LABELS,
    mpp: float | None = None,
) -> Plan:
    """All whole tiles of each slide, which have the label that its score stands for.

    classes: (class, label) pairs, see `her2edge_training.classes`; a score that is in none stands for the
    label that `label_of_score` says. mpp: as for `plan_tiles`.
    Raises CohortError where scores or scales are missing, all in one line, or stand for no label; as well
    what `plan_tiles` raises of slides.
    """
    check_table(classes, labels)
    check_there([slide.path for slide in slides])
    _check_complete(slides, mpp)
    table = label_of(classes)
    meant = [_label(slide.score, table, labels) for slide in slides]
    unknown = [slide for slide, label in zip(slides, meant, strict=True) if label is None]
    if unknown:
        scores = [f"{slide.score!r} of {_named(slide)}" for slide in unknown]
        raise CohortError(
            f"found scores outside the labels: {_some(scores)}; expected scores that stand for "
            f"{', '.join(labels)}: correct them, or say what they mean, e.g. --label "
            f'"{unknown[0].score}={labels[-1]}", or ={IGNORE} to leave these slides out'
        )
    chosen = [
        LabelledSlide(slide, label, "score")
        for slide, label in zip(slides, meant, strict=True)
        if label is not None and label not in (IGNORE, EXCLUDE)
    ]
    left_out = len(slides) - len(chosen)
    if not chosen:
        raise CohortError(f"found {left_out} slides, all of ignored scores, expected one with a label")
    notes = (f"{left_out} slide(s) of ignored scores are left out",) if left_out else ()
    return Plan(cutting, labels, plan_whole(chosen, cutting, mpp), notes=notes)


def plan_whole(slides: Sequence[LabelledSlide], cutting: Cutting, mpp: float | None) -> tuple[SlidePlan, ...]:
    """Every tile of each slide's grid that lies on it whole.

    mpp: um per pixel at level 0 of slides that state none. Raises SlideError or SlideReadError where slides
    cannot be used or are smaller than a tile, all of them in one line; OptionError for a slide given twice.
    """
    plans: list[SlidePlan] = []
    unusable: list[SlideError | SlideReadError] = []
    for one in slides:
        try:
            plans.append(_plan(one, cutting, mpp))
        except (SlideError, SlideReadError) as error:
            unusable.append(error)
    if len(unusable) == 1:
        raise unusable[0]
    if unusable:
        raise SlideReadError(
            f"found {len(unusable)} of {len(slides)} slides that cannot be used: "
            f"{_some([str(error) for error in unusable], '; ')}"
        )
    check_different(plans)
    return tuple(plans)


def _plan(one: LabelledSlide, cutting: Cutting, mpp: float | None) -> SlidePlan:
    with SlideReader(one.row.path, mpp=one.row.mpp, default_mpp=mpp) as slide:
        refuse_folder(slide)
        places = _WholePlaces(slide.grid(cutting.size), one.label)
        if not places:
            raise SlideError(
                f"{slide.name}: found {' x '.join(map(str, slide.dimensions or ()))} pixels of "
                f"{slide.mpp:.4g} um, expected a tile of {cutting.tile_px} px and {cutting.mpp:.4g} um or "
                "more: leave it out, or cut smaller tiles"
            )
        return SlidePlan(
            one.row.path,
            slide.mpp,
            slide.name,
            slide.fingerprint,
            None,
            Places(places, 0, 0),
            Origin(one.row.patient, one.row.site),
            one.label_from,
        )


class _WholePlaces(Sequence[Place]):
    """The places of a grid that lie on the slide whole, row by row; made when asked for: there may be a
    hundred thousand, of hundreds of slides."""

    def __init__(self, grid: Grid, label: str) -> None:
        side = grid.tile_px
        self._label = label
        self._columns = sum(grid.valid(column, 0)[1] == side for column in range(grid.columns))
        self._rows = sum(grid.valid(0, row)[0] == side for row in range(grid.rows))

    def __len__(self) -> int:
        return self._columns * self._rows

    @overload
    def __getitem__(self, index: int) -> Place: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Place, ...]: ...
    def __getitem__(self, index: int | slice) -> Place | tuple[Place, ...]:
        number = range(len(self))[index]
        if isinstance(number, range):
            return tuple(self[one] for one in number)
        return Place(number % self._columns, number // self._columns, self._label)


def _label(score: str, table: Mapping[str, str], labels: tuple[str, ...]) -> str | None:
    return table.get(key(score)) or label_of_score(score, labels)


def _check_complete(slides: Sequence[CohortSlide], mpp: float | None) -> None:
    without_score = [_named(slide) for slide in slides if not slide.score]
    without_scale = [
        _named(slide) for slide in slides if mpp is None and slide.mpp is None and _states_none(slide)
    ]
    missing = [f"no score of {_some(without_score)}"] if without_score else []
    missing += [f"no um per pixel of {_some(without_scale)}"] if without_scale else []
    if missing:
        raise CohortError(
            f"found {' and '.join(missing)}: where no regions are drawn (--annotations), a list (--cohort) "
            "must have the columns slide, score, and mpp where the file states none; patient and site where "
            'known: e.g. "slide,score,mpp,patient" and below it "case.svs,3+,0.25,P07"'
        )


def _states_none(slide: CohortSlide) -> bool:
    if slide.path.is_dir():
        return False  # refused as what it is
    try:
        with contextlib.closing(open_source(slide.path)) as source:
            return states_none(source.mpp)
    except (SlideError, SlideReadError):
        return False  # named where all that cannot be used are


def _named(slide: CohortSlide) -> str:
    return f"{slide.name} (row {slide.row})" if slide.row else slide.name


def _some(names: Sequence[str], between: str = ", ") -> str:
    more = len(names) - _MANY
    return between.join(names[:_MANY]) + (f" and {more} more" if more > 0 else "")
