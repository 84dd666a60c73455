"""SlideWork: one slide of a cohort, from the claim to its outcome, whoever asked for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from her2edge.attempts import Attempts, Busy, Done, Failed, GivenUp, SetAside, Tried, refuse_links, try_once
from her2edge.attempts.once import ExitCode
from her2edge.cohort import CohortSlide
from her2edge.errors import (
    Her2EdgeError,
    MissingInputError,
    ModelError,
    NotOursError,
    OptionError,
    OutputError,
    ResultsError,
    RuntimeUnavailable,
)
from her2edge.files import parse_json
from her2edge.results import SlideRun, slide_folder
from her2edge.results.owner import RUN, read_record
from her2edge.results.read_back import read_records
from her2edge.shards.outcome import Outcome
from her2edge.slide import SlideReader, fingerprint_slide
from her2edge.slide.fingerprint import files_of_slide, look_at

RETRIES = 2
_ENDS = (OutputError, RuntimeUnavailable, OptionError, ModelError)  # it would be so for every slide


class _Basis(msgspec.Struct):
    model: str


class _Run(msgspec.Struct):
    basis: _Basis


@dataclass(frozen=True, eq=False)
class SlideWork:
    """Does one slide: claims it, counts the try, classifies, and says what came of it. It raises nothing but
    interruptions, so that one slide costs no other.

    out: the cohort's results folder. classify: makes the results of a slide there. model: SHA-256 of the
    model file, hex: results of another one are refused, and left alone.
    retries: how many times a slide is tried again, by later runs, before it is set aside; one that takes the
    process with it counts too. exit_code: the code of an error; None stands for such a process.
    """

    out: Path
    classify: Callable[[CohortSlide], SlideRun]
    model: str
    retries: int = RETRIES
    exit_code: ExitCode = lambda _: 1

    def __call__(self, slide: CohortSlide) -> Outcome:
        try:
            return self._do(slide)
        except NotOursError as error:  # this slide's folder alone
            return self._refused(slide, error)
        except _ENDS as error:
            return self._refused(slide, error, ends=True)
        except Her2EdgeError as error:
            return self._refused(slide, error)

    def _do(self, slide: CohortSlide) -> Outcome:
        if not os.path.exists(slide.path):  # noqa: PTH110 - Path.exists() raises where a share is gone
            raise MissingInputError(
                f"{slide.name} (row {slide.row}): no such slide: check the list, or the share"
            )
        refuse_links(self.out)
        attempts = self._attempts(slide)
        self._check_model(slide, attempts)
        former = self._former(slide, attempts)
        if former is not None:
            return former
        with attempts.claim() as mine:
            if not mine:
                why = f"{slide.name}: another her2edge is at work on it"
                return Outcome(slide, reason=why, exit_code=self._code(OutputError()), busy=True)
            former = self._former(slide, attempts)  # again: another process may have ended meanwhile
            if former is not None:
                return former
            tried = try_once(attempts, lambda: self.classify(slide), self.retries, self.exit_code)
        return self._came_of(slide, tried)

    def _attempts(self, slide: CohortSlide) -> Attempts:
        """Raises SlideReadError. Nothing is decoded: a slide that kills its process is counted before."""
        path = slide.path
        if os.path.isdir(path):  # noqa: PTH112 - raises nothing; a folder of tiles
            with SlideReader(path) as tiles:
                return Attempts(self.out, slide.name, tiles.fingerprint)
        evidence = look_at(path.parent, files_of_slide(path))
        looks = evidence.looks if evidence.sampled else None
        return Attempts(self.out, slide.name, fingerprint_slide(path), looks=looks)

    def _check_model(self, slide: CohortSlide, attempts: Attempts) -> None:
        """Raises ResultsError where the slide has results of another model: they are not written over."""
        folder = slide_folder(self.out, slide.name, attempts.fingerprint)
        try:
            model = parse_json(read_record(folder / RUN) or b"", _Run).basis.model
        except ValueError:  # there are none, or they are damaged
            return
        if model != self.model:
            raise ResultsError(
                f"{slide.name}: found results of another model ({model[:12]}; this one is "
                f"{self.model[:12]}): they are kept; choose another --out, or remove them"
            )

    def _former(self, slide: CohortSlide, attempts: Attempts) -> Outcome | None:
        """What a former run, or another process, left of it; None: it is to be done."""
        try:
            folder, aside = attempts.results, attempts.is_set_aside
        except OSError as error:
            if isinstance(error, OutputError):
                raise
            raise OutputError(f"{slide.name}: the results cannot be read ({error.strerror})") from error
        if folder is not None:
            try:
                return Outcome(slide, _stored(folder))
            except (ResultsError, MissingInputError):
                return None  # damaged: it is classified again
        if not aside:
            return None
        return self._aside(slide, _record(attempts), attempts.set_aside.name)

    def _came_of(self, slide: CohortSlide, tried: Tried) -> Outcome:
        match tried:
            case Done(run):
                return Outcome(slide, run)
            case GivenUp(record, file):
                return self._aside(slide, record, file)
            case Failed(why, count, error):
                again = f"{why} (try {count} of {self.retries + 1}: the same command tries it again)"
                return Outcome(slide, reason=again, exit_code=self._code(error))
            case Busy(why):
                return Outcome(slide, reason=why, exit_code=self._code(OutputError()), busy=True)

    def _aside(self, slide: CohortSlide, record: SetAside, file: str) -> Outcome:
        code = self._code(None) if record.exit_code is None else record.exit_code
        return Outcome(slide, reason=record.reason, exit_code=code, aside=record, file=file)

    def _refused(self, slide: CohortSlide, error: Her2EdgeError, *, ends: bool = False) -> Outcome:
        return Outcome(slide, reason=str(error), exit_code=self._code(error), ends=ends)

    def _code(self, error: Exception | None) -> int:
        code = self.exit_code(error)
        return 1 if code is None else code


def _stored(folder: Path) -> SlideRun:
    """Raises ResultsError for what is damaged."""
    run, summary = read_records(folder)
    files = (*(folder / name for name in run.files), folder / RUN)
    return SlideRun(
        summary.slide.name, summary.answer, folder, files, complete_before=True, regions=summary.regions
    )


def _record(attempts: Attempts) -> SetAside:
    try:
        return parse_json(read_record(attempts.set_aside) or b"", SetAside)
    except ValueError:
        why = f"{attempts.set_aside.name} in failed/ is there, and damaged: remove it to have the slide tried"
        return SetAside(attempts.name, attempts.fingerprint, why, None, 0)
