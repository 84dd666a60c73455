"""How slides are read: the options that `classify` and `watch` share, and what they come to."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from her2edge import Model, Options, TileClassifier
from her2edge.answer.summary import MIN_TISSUE_TILES
from her2edge.errors import MissingInputError, OptionError
from her2edge.results import notice
from her2edge.results.classify_slide import SlideRun, run_slide
from her2edge.stain import StainFit, StainMode, stain_mode
from her2edge.text import shown
from her2edge_cli.paths import PATH
from her2edge_cli.placement import placement_options

Command = TypeVar("Command", bound=Callable[..., Any])

_BEFORE = (
    click.option(
        "--out",
        required=True,
        type=PATH,
        metavar="DIR",
        help="Folder for the results; each slide gets its own inside.",
    ),
    click.option(
        "--model",
        "model_path",
        type=PATH,
        metavar="MODEL",
        help="A .tflite from `her2edge quantize`. Default: the embedded demo model.",
    ),
    click.option(
        "--mpp",
        type=float,
        metavar="UM",
        help="um per pixel of the slide at full resolution, where the file does not state it.",
    ),
    click.option(
        "--stain",
        metavar="per-tile|slide|off|FIT.json",
        help="Stain normalisation: each tile by itself (the paper's way), one fit for the slide, none, or a "
        "saved fit. Default: what the model was trained on.",
    ),
)
_AFTER = (
    click.option(
        "--min-tissue-tiles",
        type=click.IntRange(min=1),
        default=MIN_TISSUE_TILES,
        show_default=True,
        help="Fewer tissue tiles than this: not assessable.",
    ),
    click.option(
        "--isolate",
        is_flag=True,
        help="Decode in a process of its own: a file that crashes a decoder costs its tiles, not the run.",
    ),
    click.option(
        "--json", "as_json", is_flag=True, help="One JSON object per slide on standard output, for programs."
    ),
    click.option(
        "--metrics",
        type=PATH,
        metavar="FILE",
        help="Keep counts of slides, tiles and seconds in FILE, for Prometheus' textfile collector.",
    ),
)


@dataclass(frozen=True, eq=False)
class Reading:
    """A classifier, and how each slide goes through it to its folder below `out`; see `run_slide`."""

    classifier: TileClassifier
    out: Path
    mpp: float | None
    min_tissue_tiles: int
    stain_of_slide: bool
    isolate: bool

    def run(self, path: Path, *, fresh: bool = False) -> SlideRun:
        """One slide; raises Her2EdgeError."""
        return run_slide(
            path,
            self.classifier,
            self.out,
            self.mpp,
            self.min_tissue_tiles,
            stain_of_slide=self.stain_of_slide,
            fresh=fresh,
            isolate=self.isolate,
        )


def reading_options(command: Command) -> Command:
    """Everything `make_reading` takes, --json and --metrics."""
    for option in reversed(_AFTER):
        command = option(command)
    command = placement_options(command)
    for option in reversed(_BEFORE):
        command = option(command)
    return command


def make_reading(
    out: Path,
    model_path: Path | None,
    mpp: float | None,
    stain: str | None,
    threads: int | None,
    interpreters: int | None,
    runtime: str,
    min_tissue_tiles: int,
    isolate: bool,
) -> Reading:
    """Load the model, test it, and say on stderr what it is. Raises Her2EdgeError."""
    model = Model.load(model_path) if model_path else Model.demo()
    mode = model.stain_mode if stain is None else stain_choice(stain)
    # the fit of a slide is made when the slide is open
    options = Options(
        threads=threads,
        interpreters=interpreters,
        runtime=runtime,
        stain=StainMode.OFF if mode == StainMode.SLIDE else mode,
    )
    classifier = TileClassifier(model, options)
    click.echo(f"her2edge: {notice(model, classifier.use)}", err=True)
    return Reading(classifier, out, mpp, min_tissue_tiles, mode == StainMode.SLIDE, isolate)


def stain_choice(choice: str) -> StainMode | StainFit:
    """A mode by its word, or the StainFit saved in the file of that name."""
    with contextlib.suppress(OptionError):
        return stain_mode(choice)
    try:
        return StainFit.load(choice)
    except MissingInputError as error:
        raise MissingInputError(
            f"{shown(choice)}: found no such file, expected per-tile, slide, off or a saved stain fit (JSON)"
        ) from error
