"""Plan: what a cohort's results folder is for, so that a hundred machines do one and the same thing.

OUT/.cohort/plan.json    the model, her2edge's version, the options, how many shards
OUT/.cohort/slides.csv   the list of slides, as the last process that was begun had it; `collect` goes by it
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from her2edge.alone import alone_with
from her2edge.cohort import COLUMNS, Cohort, read_cohort
from her2edge.errors import MissingInputError, OptionError, OutputError, ResultsError
from her2edge.files import ensure_folder, parse_json, write_bytes, write_json
from her2edge.results.owner import read_record
from her2edge.tables import Cell, csv_bytes
from her2edge.text import first_line
from her2edge.version import __version__

FOLDER = ".cohort"
_WAIT = 120.0  # seconds: a thousand shards may begin at once
_OTHERWISE = "expected what the folder was started with: use the same everywhere, or choose another --out"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """model: SHA-256 of the model file, hex; name: its name and version. options: what results depend on, by
    the command's words. shards: how many; None: nobody named any."""

    model: str
    name: str
    options: dict[str, Any]
    shards: int | None = None
    her2edge: str = __version__
    schema_version: Literal[1] = 1


def begin_plan(out: Path, plan: Plan, cohort: Cohort) -> None:
    """Keep the plan and the list in a new folder, or hold them against what is there; of an old one the list
    is replaced where it is another.

    Raises ResultsError for results of another model, version or options, OptionError for another number of
    shards, OutputError, TakenError.
    """
    folder = out / FOLDER
    path, listed, slides = folder / "plan.json", folder / "slides.csv", _sheet(cohort)
    former = _read(path)
    if former == _agreed(former, plan) and read_record(listed) == slides:
        return
    ensure_folder(folder, inside=out)
    with alone_with(path, wait=_WAIT):
        former = _read(path)  # again: another shard may have begun meanwhile
        agreed = _agreed(former, plan)
        write_bytes(listed, slides)  # first: a plan without a list could not be collected
        if agreed != former:
            write_json(path, agreed)


def read_plan(out: Path) -> Plan | None:
    """What a folder is for; None: no cohort was begun in it. Raises ResultsError where it is damaged."""
    return _read(out / FOLDER / "plan.json")


def planned_slides(out: Path) -> Cohort:
    """The list of slides of a folder. Raises MissingInputError where it has none, CohortError."""
    path = out / FOLDER / "slides.csv"
    try:
        return read_cohort(path, must_exist=False)
    except MissingInputError as error:
        raise MissingInputError(
            f"{out.name}: found no list of slides, so it is not known what is missing, expected the --out of "
            f"`her2edge cohort`: name the list as well"
        ) from error


def _read(path: Path) -> Plan | None:
    data = read_record(path)
    try:
        return None if data is None else parse_json(data, Plan)
    except ValueError as error:
        raise ResultsError(
            f"{path.name}: found a plan that is damaged or of another version ({first_line(error)}): when no "
            f"her2edge is running, remove {FOLDER} from the results folder"
        ) from error


def _agreed(former: Plan | None, plan: Plan) -> Plan:
    """The plan with the number of shards that is already there. Raises where the two contradict."""
    if former is None:
        return plan
    if former.model != plan.model:
        raise ResultsError(
            f"found {plan.name} ({plan.model[:12]}) for a folder that was begun with {former.name} "
            f"({former.model[:12]}), {_OTHERWISE}"
        )
    if former.her2edge != plan.her2edge:
        raise ResultsError(
            f"found her2edge {plan.her2edge} for a folder that was begun with {former.her2edge}, {_OTHERWISE}"
        )
    different = _different(former.options, plan.options)
    if different:
        raise ResultsError(f"found other options than before: {'; '.join(different)}, {_OTHERWISE}")
    if None not in (former.shards, plan.shards) and former.shards != plan.shards:
        raise OptionError(
            f"found {plan.shards} shards for a folder that was begun with {former.shards}, expected "
            f"{former.shards}; with two numbers some slides would belong to no shard. To change it, wait "
            f"until no shard is running, then remove {FOLDER} from the results folder"
        )
    return plan if former.shards is None else msgspec.structs.replace(plan, shards=former.shards)


def _different(former: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    names = [name for name in (*former, *(now.keys() - former.keys())) if former.get(name) != now.get(name)]
    return [f"--{name} {now.get(name)} instead of {former.get(name)}" for name in names]


def _sheet(cohort: Cohort) -> bytes:
    """The list with whole paths: relative ones would start from another folder here."""
    rows: list[list[Cell]] = [
        [str(one.path), one.patient, one.site, None if one.mpp is None else repr(one.mpp), one.score]
        for one in cohort
    ]
    try:
        return csv_bytes(COLUMNS, rows)
    except UnicodeError as error:
        raise OutputError(
            f"{cohort.path.name}: found a path that is not Unicode: rename the slide"
        ) from error
