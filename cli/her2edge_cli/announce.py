"""What each slide came to: printed for people or programs, and counted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import click
import msgspec

from her2edge import Her2EdgeError, Model, SlideRun, SlideSummary
from her2edge.results.notices import displayed, gate_overridden
from her2edge.text import percent, shown
from her2edge.tile import Outcome
from her2edge.watch import SetAside
from her2edge_cli import exits
from her2edge_cli.metrics import Metrics
from her2edge_cli.options import Reading


class SlideLine(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A slide as `--json` prints it, on one line.

    exit_code: of this slide alone; 3: done, with failed tiles. `error` only where there is no summary.
    resumed: tiles of an interrupted run that were resumed. demo: the label ends with ` (demo model)`.
    """

    slide: str
    exit_code: int
    notice: str
    demo: bool
    gate_overridden: bool = False
    folder: str | None = None
    files: tuple[str, ...] = ()
    summary: SlideSummary | None = None
    resumed: int = 0
    error: str | None = None


@dataclass(frozen=True, eq=False)
class Announcer:
    """Says and counts what became of slides."""

    reading: Reading
    metrics: Metrics | None = None

    @classmethod
    def of(cls, reading: Reading) -> Announcer:
        """As the reading's choices want it; raises what Metrics raises."""
        path = reading.choices.metrics
        return cls(reading, Metrics(path) if path else None)

    def done(self, run: SlideRun) -> int:
        """A slide that has its files; returns its exit code."""
        code = exits.PARTLY if run.summary.outcomes[Outcome.FAILED] else exits.DONE
        if self.reading.choices.as_json:
            folder, files = shown(str(run.folder)), tuple(shown(str(path)) for path in run.files)
            summary = replace(run.summary, label=displayed(run.summary.label, self._model))
            self._print(run.name, code, folder=folder, files=files, summary=summary, resumed=run.resumed)
        else:
            show(run, displayed(run.summary.label, self._model), overridden=gate_overridden(self._model))
        if self.metrics is not None:
            self.metrics.count(run)
        return code

    def failed(self, path: Path, error: Her2EdgeError) -> int:
        """A slide without an answer; returns its exit code."""
        code = exits.complain(error)
        if self.reading.choices.as_json:
            self._print(shown(path.name), code, error=str(error))
        if self.metrics is not None:
            self.metrics.count_slide("failed")
        return code

    def set_aside(self, record: SetAside) -> int:
        """A slide that a watcher does not try again; returns `PARTLY`: there may be others."""
        if self.reading.choices.as_json:
            code = exits.BUG if record.exit_code is None else record.exit_code
            self._print(record.slide, code, error=record.reason)
        if self.metrics is not None:
            self.metrics.count_slide("set_aside")
        return exits.PARTLY

    def waiting(self, slides: int) -> None:
        """So many slides of a watched folder are not done."""
        if self.metrics is not None:
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
        summary: SlideSummary | None = None,
        resumed: int = 0,
        error: str | None = None,
    ) -> None:
        line = SlideLine(
            slide=slide,
            exit_code=code,
            notice=self.reading.notice,
            demo=self._model.manifest.demo,
            gate_overridden=gate_overridden(self._model),
            folder=folder,
            files=files,
            summary=summary,
            resumed=resumed,
            error=error,
        )
        click.echo(msgspec.json.encode(line).decode())


def show(run: SlideRun, label: str, *, overridden: bool = False) -> None:
    """Print a slide's answer, `label` where it has one, and where its files are.

    overridden: the model's gate was; the line says so.
    """
    summary = run.summary
    shares = ", ".join(f"{label} {percent(share)}" for label, share in summary.shares.items())
    answer = label if summary.assessable else f"not assessable ({summary.reason})"
    counts = summary.outcomes
    click.echo(f"{run.name}: {answer}{' (gate overridden)' if overridden else ''}")
    click.echo(
        f"  {summary.tiles} tiles: {counts[Outcome.CLASSIFIED]} classified ({shares}), "
        f"{counts[Outcome.BACKGROUND]} background, {counts[Outcome.FAILED]} failed"
    )
    for path in run.files:
        click.echo(f"  {shown(str(path))}")
