"""What is said of each slide on standard output, to people or to programs, and what is counted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click
import msgspec

from her2edge import Her2EdgeError, SlideSummary
from her2edge.results import notice
from her2edge.results.classify_slide import SlideRun
from her2edge.text import shown
from her2edge.tile import Outcome
from her2edge.watch.attempts import SetAside
from her2edge_cli import exits
from her2edge_cli.metrics import Metrics
from her2edge_cli.options import Reading


class Told(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A slide as `--json` prints it, on one line.

    exit_code: of this slide alone; 3: done, with failed tiles. `error` only where there is no summary.
    resumed: tiles of an interrupted run that were gone on with.
    """

    slide: str
    exit_code: int
    notice: str
    demo: bool
    folder: str | None = None
    files: tuple[str, ...] = ()
    summary: SlideSummary | None = None
    resumed: int = 0
    error: str | None = None


@dataclass(frozen=True, eq=False)
class Teller:
    """Says and counts what became of slides."""

    reading: Reading
    as_json: bool
    metrics: Metrics | None

    def done(self, run: SlideRun) -> int:
        """A slide that has its files; returns its exit code."""
        code = exits.PARTLY if run.summary.outcomes[Outcome.FAILED] else exits.DONE
        if self.as_json:
            self._print(
                slide=run.name,
                exit_code=code,
                folder=shown(str(run.folder)),
                files=tuple(shown(str(path)) for path in run.files),
                summary=run.summary,
                resumed=run.resumed,
            )
        else:
            show(run)
        if self.metrics is not None:
            self.metrics.count(run)
        return code

    def failed(self, path: Path, error: Her2EdgeError) -> int:
        """A slide without an answer; returns its exit code."""
        click.echo(f"her2edge: {error}", err=True)
        code = exits.exit_code(error)
        if self.as_json:
            self._print(slide=shown(path.name), exit_code=code, error=str(error))
        if self.metrics is not None:
            self.metrics.count_slide("failed")
        return code

    def set_aside(self, slide: SetAside) -> int:
        """A slide that a watcher does not try again; returns `PARTLY`: there may be others."""
        if self.as_json:
            self._print(slide=slide.slide, exit_code=slide.exit_code, error=slide.reason)
        if self.metrics is not None:
            self.metrics.count_slide("set_aside")
        return exits.PARTLY

    def _print(self, **fields: object) -> None:
        model, use = self.reading.classifier.model, self.reading.classifier.use
        told = msgspec.convert(
            {"notice": notice(model, use), "demo": model.manifest.demo, **fields}, Told, from_attributes=True
        )
        click.echo(msgspec.json.encode(told).decode())


def show(run: SlideRun) -> None:
    """Print a slide's answer and where its files are."""
    summary = run.summary
    shares = ", ".join(f"{label} {100 * share:.0f} %" for label, share in summary.shares.items())
    answer = summary.label if summary.assessable else f"not assessable ({summary.reason})"
    counts = summary.outcomes
    click.echo(f"{run.name}: {answer}")
    click.echo(
        f"  {summary.tiles} tiles: {counts[Outcome.CLASSIFIED]} classified ({shares}), "
        f"{counts[Outcome.BACKGROUND]} background, {counts[Outcome.FAILED]} failed"
    )
    for path in run.files:
        click.echo(f"  {shown(str(path))}")
