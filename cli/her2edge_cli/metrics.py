"""Counts for whoever runs many machines: a file in Prometheus' text format, and no open port.

The node exporter's textfile collector reads it. Counters begin at 0 with the process, as Prometheus expects.
"""

from __future__ import annotations

import logging
from pathlib import Path

import click

from her2edge import SlideRun, __version__
from her2edge.extras import needs_extra
from her2edge.files import write_error
from her2edge.tile import TILE_STAGES, Outcome
from her2edge_cli.paths import PATH

_log = logging.getLogger("her2edge")

metrics_option = click.option(
    "--metrics",
    type=PATH,
    metavar="FILE",
    help="Keep counts of slides, tiles and seconds in FILE, for Prometheus' textfile collector.",
)


class Metrics:
    """Slides, tiles by outcome, seconds by stage and what waits, written to `path` whenever they change.

    Raises RuntimeUnavailable without the extra `metrics`, OutputError where the file cannot be written at
    first.
    """

    def __init__(self, path: Path) -> None:
        with needs_extra("metrics"):
            import prometheus_client as prometheus
        self._path = path
        self._written: bytes | None = None
        self._failing = False
        self._prometheus = prometheus
        self._registry = registry = prometheus.CollectorRegistry()
        build = prometheus.Info("her2edge_build", "What is running.", registry=registry)
        build.info({"version": __version__})
        self._slides = prometheus.Counter(
            "her2edge_slides", "Slides, by outcome.", ["outcome"], registry=registry
        )
        self._tiles = prometheus.Counter(
            "her2edge_tiles", "Tiles, by outcome.", ["outcome"], registry=registry
        )
        self._seconds = prometheus.Counter(
            "her2edge_stage_seconds", "Seconds spent, by stage of a tile.", ["stage"], registry=registry
        )
        self._waiting = prometheus.Gauge(
            "her2edge_slides_waiting", "Slides seen and not yet done or set aside.", registry=registry
        )
        self._lost = prometheus.Counter(
            "her2edge_lines_lost",
            "Lines for people or programs that could not be written.",
            registry=registry,
        )
        self._lost_before = 0
        for outcome in ("done", "failed", "set_aside"):
            self._slides.labels(outcome)
        for tile_outcome in Outcome:
            self._tiles.labels(tile_outcome.value)
        for stage in TILE_STAGES:
            self._seconds.labels(stage)
        self.write()

    def count(self, run: SlideRun) -> None:
        """A slide that was done."""
        self._slides.labels("done").inc()
        for outcome, tiles in run.answer.tiles.outcomes.items():
            self._tiles.labels(str(outcome)).inc(tiles)
        for stage, seconds in run.stage_seconds.items():
            self._seconds.labels(stage).inc(seconds)
        self.write()

    def count_slide(self, outcome: str) -> None:
        """A slide without an answer: "failed", or "set_aside" where it will not be tried again."""
        self._slides.labels(outcome).inc()
        self.write()

    def lost(self, lines: int) -> None:
        """So many lines could not be written, since the process began."""
        self._lost.inc(lines - self._lost_before)
        self._lost_before = lines
        self.write()

    def waiting(self, slides: int) -> None:
        """So many slides are not done."""
        self._waiting.set(slides)
        self.write()

    def write(self) -> None:
        """Write the file where something has changed, whole or not at all. Only the first time a failure is
        an error: no slide waits for its count."""
        data = self._prometheus.generate_latest(self._registry)
        if data == self._written:
            return
        try:
            self._prometheus.write_to_textfile(str(self._path), self._registry)
        except OSError as error:
            failure = write_error(error)(
                f"{self._path.name}: cannot be written ({error.strerror}); choose another --metrics"
            )
            if self._written is None:
                raise failure from error
            if not self._failing:
                _log.warning("%s; slides are not counted until it can be written again", failure)
            self._failing = True
            return
        self._written, self._failing = data, False
