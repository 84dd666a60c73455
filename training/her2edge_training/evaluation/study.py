"""A study: one training for each protocol's fold, because a network trained on tiles of a slide has seen it.

STUDY/study.json                                the recipes, the tiles and the folds (written first)
STUDY/<recipe>/tile-random/                     a run each, as `train` makes it
STUDY/<recipe>/slide-grouped-0-of-5/ ...
STUDY/<recipe>/site-held-out-<site>/ ...

The same command again resumes: finished runs are skipped, a killed one resumes where it stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from her2edge.alone import LOCK, alone_in
from her2edge.errors import ModelError, OptionError, OutputError
from her2edge.files import ensure_folder, look, read_json, write_json
from her2edge.results.folder import safe_stem
from her2edge_training.cohort.tile_list import TileList
from her2edge_training.recipe import PROTOCOLS, Recipe, Split, dump_recipe
from her2edge_training.run.folder import RunFolder

RECORD = "study.json"
_LARGEST = 1 << 24  # bytes


@dataclass(frozen=True)
class StudyOptions:
    """folds: slide-grouped ones, 2 or more; protocols: those that are compared.

    Raises OptionError for fewer folds.
    """

    folds: int = 5
    protocols: tuple[str, ...] = PROTOCOLS

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise OptionError(f"found folds={self.folds}, expected 2 or more")


@dataclass(frozen=True)
class Study:
    """What a study compares; `protocols` names those asked for, `sites` those of the tiles, sorted.

    recipe_sha256: of each recipe's JSON: a recipe that was edited makes another study.
    """

    recipes: tuple[str, ...]
    recipe_sha256: tuple[str, ...]
    manifest_sha256: str
    folds: int
    sites: tuple[str, ...]
    protocols: tuple[str, ...]

    def splits(self) -> Iterator[tuple[str, Split]]:
        """(folder name, split) of every fold."""
        if "tile-random" in self.protocols:
            yield "tile-random", Split("tile-random")
        if "slide-grouped" in self.protocols:
            for i in range(self.folds):
                yield f"slide-grouped-{i}-of-{self.folds}", Split("slide-grouped", fold=(i, self.folds))
        if "site-held-out" in self.protocols:
            for site, name in zip(self.sites, _file_names(self.sites), strict=True):
                yield f"site-held-out-{name}", Split("site-held-out", site=site)


def _file_names(sites: Sequence[str]) -> list[str]:
    """A name for each that is one on every system; those that would be one another's have a hash behind."""
    stems = [safe_stem(f"{site}.x") for site in sites]
    folded = [stem.casefold() for stem in stems]
    return [
        stem
        if folded.count(stem.casefold()) == 1
        else f"{stem}-{hashlib.sha256(site.encode()).hexdigest()[:8]}"
        for site, stem in zip(sites, stems, strict=True)
    ]


def run_study(
    recipes: Sequence[Recipe],
    tiles: TileList,
    out: Path,
    options: StudyOptions | None = None,
    *,
    train: Callable[[Recipe, TileList, Path], Any],
    report: Callable[[str], None],
) -> Study:
    """Train every recipe once per fold; `train(recipe, tiles, run)` does one, new or unfinished.

    Tiles of one site only: no site is held out, and the report says so. Raises OutputError where `out` holds
    another study, TakenError where another command is at work in it, OptionError for equal names, and what
    `train` raises.
    """
    options = options or StudyOptions()
    sites = sorted({record.site for record in tiles.records})
    chosen = tuple(p for p in options.protocols if p != "site-held-out" or len(sites) > 1)
    if len(chosen) < len(options.protocols):
        report(f"all tiles are of one site ({sites[0] or 'unnamed'}): no site can be held out")
    names = tuple(recipe.name for recipe in recipes)
    if len(set(names)) < len(names):
        raise OptionError(
            f"found recipes named {', '.join(names)}, expected different names: rename the copies"
        )
    hashes = tuple(hashlib.sha256(dump_recipe(recipe)).hexdigest() for recipe in recipes)
    study = Study(names, hashes, tiles.sha256, options.folds, tuple(sites), chosen)
    with alone_in(out):
        _open_study(out, study)
        for recipe in recipes:
            for name, split in study.splits():
                run = out / recipe.name / name
                if RunFolder(run).is_finished:
                    report(f"{recipe.name} {name}: done before")
                    continue
                report(f"{recipe.name} {name}")
                ensure_folder(run, inside=out)
                train(replace(recipe, split=replace(split, fractions=recipe.split.fractions)), tiles, run)
    return study


def read_study(out: Path) -> Study:
    """Read STUDY/study.json; raises MissingInputError or ModelError."""
    expected = f"{out.name}/{RECORD}, the record of a study: run the study again"
    return read_json(out / RECORD, Study, limit=_LARGEST, expected=expected, wrong=ModelError)


def _open_study(out: Path, study: Study) -> None:
    if look(out / RECORD, "an output folder", OutputError) == "file":
        former = read_study(out)
        if former != study:
            raise OutputError(
                f"{out.name}: found a study of {', '.join(former.recipes)} on other tiles or folds, expected "
                "the same: run its command again to resume, or choose another --out"
            )
        return
    try:
        taken = next((item for item in out.iterdir() if item.name != LOCK), None)
    except OSError as error:
        raise OutputError(
            f"{out.name}: the study's folder cannot be listed ({error.strerror}); choose another --out"
        ) from error
    if taken is not None:
        raise OutputError(f"{out.name}: found {taken.name} in the folder, expected a new one for a study")
    write_json(out / RECORD, study)
