"""Slides of a cohort whose results are made at once, or fail as they are told."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import made_results
from slide_results import tile

from her2edge import Outcome as TileOutcome
from her2edge import SlideRun
from her2edge.cohort import CohortSlide, read_cohort
from her2edge.results.read_back import read_records
from her2edge.shards import Outcome, SlideWork
from her2edge.stain import TARGETS
from her2edge_cli.exits import exit_code

COLUMNS, ROWS = 4, 3
FAILED = TileOutcome.FAILED


class ShardBench:
    """A list of small slides, a folder of results, and work that fails as it is told.

    fail: what the work on a slide of this name raises, or does; None: it makes results. worked: names, in
    the order in which slides were begun.
    """

    def __init__(self, root: Path, *names: str, model: str | None = None) -> None:
        self.root, self.out, self.list = root, root / "out", root / "list.csv"
        for name in names:
            if not (root / name).exists():
                draw(root / name, zlib.crc32(name.encode()))
        self.list.write_text("slide,patient\n" + "".join(f"{name},P-{name}\n" for name in names))
        self.worked: list[str] = []
        self.fail: Callable[[str], BaseException | None] = lambda _name: None
        self.model = model or SHA256

    @property
    def slides(self) -> list[CohortSlide]:
        return list(read_cohort(self.list, must_exist=False))

    def work(self, retries: int = 2) -> SlideWork:
        return SlideWork(self.out, self._classify, self.model, retries, exit_code)

    def run(self, retries: int = 2) -> dict[str, Outcome]:
        """What became of each slide, one after the other."""
        return {slide.name: self.work(retries)(slide) for slide in self.slides}

    def _classify(self, slide: CohortSlide) -> SlideRun:
        self.worked.append(slide.name)
        error = self.fail(slide.name)
        if error is not None:
            raise error
        return write(self.out, slide.path)


def draw(path: Path, seed: int) -> Path:
    """A slide that no other seed has."""
    made_results.draw(path, COLUMNS, ROWS)
    with path.open("ab") as file:  # after the end of a PNG: other bytes, the same picture
        file.write(seed.to_bytes(4, "big"))
    return path


def write(out: Path, path: Path) -> SlideRun:
    """The slide's results: of every kind, but no tile failed."""
    mixed = made_results.mixed(COLUMNS, ROWS)
    whole = [tile(n, COLUMNS) if one.outcome is FAILED else one for n, one in enumerate(mixed)]
    folder = made_results.write(out, whole, COLUMNS, ROWS, slide=path)
    run, summary = read_records(folder)
    return SlideRun(path.name, summary.answer, folder, tuple(folder / name for name in run.files))


def _sha256() -> str:
    import tiny

    from her2edge import Model

    return Model.load(tiny.INT8).sha256


SHA256 = _sha256()
FIT = TARGETS["macenko"]
OTHER_FIT = replace(FIT, max_concentration=2 * FIT.max_concentration)
