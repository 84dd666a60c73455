"""What each slide came to: printed for people or programs, and counted."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from her2edge import Her2EdgeError, Model, SlideAnswer, SlideRun
from her2edge.answer.counts import counted, tissue_words
from her2edge.answer.words import answer_line, bounds
from her2edge.cohort import CohortSlide
from her2edge.regions import RegionsRead
from her2edge.results.notices import gate_overridden
from her2edge.results.summary import named
from her2edge.text import shown
from her2edge.tile import Outcome
from her2edge_cli import exits
from her2edge_cli.held import hold_file
from her2edge_cli.metrics import Metrics
from her2edge_cli.options import Reading
from her2edge_cli.parts import parts
from her2edge_cli.progress import left_for_all
from her2edge_cli.streams import Streams

if TYPE_CHECKING:
    from her2edge.watch import SetAside

REASONS = 3  # that are printed; all are in summary.json


class SlideLine(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A slide as `--json` prints it, on one line.

    exit_code: of this slide alone; 3: done, with failed tiles. `error` only where there is no answer.
    resumed: tiles of an interrupted run that were resumed. demo: labels end with ` (demo model)`.
    regions: where alone tiles were read; left out: the whole slide.
    """

    slide: str
    exit_code: int
    notice: str
    demo: bool
    gate_overridden: bool = False
    folder: str | None = None
    files: tuple[str, ...] = ()
    answer: SlideAnswer | None = None
    resumed: int = 0
    error: str | None = None
    patient: str | None = None
    regions: RegionsRead | None = None


@dataclass(eq=False)
class Tally:
    """How many slides came to what. before: done by a former run; partly: with failed tiles."""

    done: int = 0
    before: int = 0
    partly: int = 0
    refused: int = 0
    set_aside: int = 0
    waiting: int = 0

    def __bool__(self) -> bool:
        """Whether there was any slide."""
        return any(astuple(self))

    def __str__(self) -> str:
        of_them = ((self.before, "before"), (self.partly, "with failed tiles"))
        which = ", ".join(f"{number} {words}" for number, words in of_them if number)
        rest = ((self.refused, "refused"), (self.set_aside, "set aside"), (self.waiting, "waiting"))
        done = f"{self.done} done" + f" ({which})" * bool(which)
        return ", ".join([done, *(f"{number} {words}" for number, words in rest if number)])


@dataclass(frozen=True, eq=False)
class Announcer:
    """Says and counts what became of slides."""

    reading: Reading
    metrics: Metrics | None = None
    tally: Tally = field(default_factory=Tally)
    streams: Streams = field(default_factory=Streams)

    @classmethod
    def of(cls, reading: Reading) -> Announcer:
        """As the reading's choices want it; raises what Metrics raises."""
        path = reading.choices.metrics
        if path:
            hold_file(path)
        return cls(reading, Metrics(path) if path else None, streams=parts().streams)

    def each(self, slides: Sequence[CohortSlide]) -> Iterator[CohortSlide]:
        """The slides in their turn; where there are several, a line for each and one at the end."""
        turns, all_given = self.reading.turns, len(slides) + self.tally.refused
        turns.slides = len(slides)
        for slide in slides:
            self.turn(slide)
            yield slide
        if all_given > 1:
            self.last_line()

    def turn(self, slide: CohortSlide) -> None:
        """A slide is begun; a line of it, where there are several."""
        turns = self.reading.turns
        turns.begin()
        if turns.slides > 1 and not sys.stderr.isatty():  # a terminal has it beside the bar
            name = shown(click.format_filename(slide.path, shorten=True))
            click.echo(f"her2edge: {turns}: {name}{left_for_all(turns.left)}", err=True)

    def last_line(self) -> None:
        """What all slides came to, and how many lines of it could not be written."""
        self.streams.sum_up(str(self.tally))
        if self.metrics is not None:
            self.metrics.lost(self.streams.lost)

    def done(self, run: SlideRun, patient: str = "", *, brief: bool = False) -> int:
        """A slide that has its files, and whom it is from; returns its exit code. brief: people read nothing
        of one that a former run has done."""
        code = exits.PARTLY if run.answer.tiles.outcomes[Outcome.FAILED] else exits.DONE
        answer = named(run.answer, self._model)
        self.tally.done += 1
        self.tally.before += run.complete_before
        self.tally.partly += code == exits.PARTLY
        if self.reading.choices.as_json:
            folder, files = shown(str(run.folder)), tuple(shown(str(path)) for path in run.files)
            self._print(
                run.name, code, folder=folder, files=files, answer=answer, resumed=run.resumed,
                patient=patient or None, regions=run.regions,
            )  # fmt: skip
        elif not (brief and run.complete_before):
            show(run, answer, patient, overridden=gate_overridden(self._model))
        if self.metrics is not None:
            self.metrics.count(run)
        return code

    def failed(self, path: Path, error: Her2EdgeError) -> int:
        """A slide without an answer; returns its exit code."""
        return self.refused(path, str(error), exits.exit_code(error))

    def refused(self, path: Path, reason: str, code: int, patient: str = "") -> int:
        """As `failed`, by the reason, one line, and the exit code."""
        self.tally.refused += 1
        click.echo(f"her2edge: {reason}", err=True)
        if self.reading.choices.as_json:
            self._print(shown(path.name), code, error=reason, patient=patient or None)
        if self.metrics is not None:
            self.metrics.count_slide("failed")
        return code

    def set_aside(self, record: SetAside) -> int:
        """A slide that is not tried again, which is said; returns `PARTLY`: there may be others."""
        self.tally.set_aside += 1
        if self.reading.choices.as_json:
            code = exits.BUG if record.exit_code is None else record.exit_code
            self._print(record.slide, code, error=record.reason)
        if self.metrics is not None:
            self.metrics.count_slide("set_aside")
        return exits.PARTLY

    def waiting(self, slides: int) -> None:
        """So many slides of a watched folder are not done."""
        self.tally.waiting = slides
        if self.metrics is not None:
            self.metrics.lost(self.streams.lost)
            self.metrics.waiting(slides)

    @property
    def _model(self) -> Model:
        return self.reading.classifier.model

    def _print(
        self,
        slide: str,
        code: int,
        *,
        folder: str | None = None,
        files: tuple[str, ...] = (),
        answer: SlideAnswer | None = None,
        resumed: int = 0,
        error: str | None = None,
        patient: str | None = None,
        regions: RegionsRead | None = None,
    ) -> None:
        line = SlideLine(
            slide=slide,
            exit_code=code,
            notice=self.reading.notice,
            demo=self._model.manifest.demo,
            gate_overridden=gate_overridden(self._model),
            folder=folder,
            files=files,
            answer=answer,
            resumed=resumed,
            error=error,
            patient=patient,
            regions=regions,
        )
        click.echo(msgspec.json.encode(line).decode())


def show(run: SlideRun, answer: SlideAnswer, patient: str = "", *, overridden: bool = False) -> None:
    """Print a slide's answer, whom it is from, what limits it, what became of its tiles, where its files are.

    answer: the run's, its labels as they are to be printed. overridden: the model's gate was; the line says
    so.
    """
    whose = f" of patient {shown(patient)}" if patient else ""
    where = "" if run.regions is None else ", only inside regions"
    click.echo(f"{run.name}{whose}{where}: {answer_line(answer)}{' (gate overridden)' if overridden else ''}")
    if run.regions is not None:
        click.echo(f"  {shown(run.regions.said())}")
    for reason in answer.reasons[0 if answer.assessable else 1 : REASONS]:  # the line holds the first
        click.echo(f"  {reason.sentence}")
    more = len(answer.reasons) - REASONS
    if more > 0:
        click.echo(f"  and {more} more in summary.json")
    click.echo(f"  {answer.tiles.total} tiles: {', '.join(counted(answer))}")
    for words in filter(None, (tissue_words(answer), *bounds(answer))):
        click.echo(f"  {words}")
    for path in run.files:
        click.echo(f"  {shown(str(path))}")
