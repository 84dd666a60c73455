"""How slides are read: the options that `classify`, `watch` and `cohort` share, and what they come to."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import click

from her2edge import Model, Options, Settle, SlideRun, TileClassifier, classify_slide
from her2edge.answer import MIN_TISSUE_TILES
from her2edge.cohort import CohortSlide
from her2edge.errors import MissingInputError, OptionError
from her2edge.regions import Regions
from her2edge.results import notice
from her2edge.runtime import TUNED
from her2edge.runtime.advice import runtime_advice
from her2edge.stain import StainFit, StainMode, stain_mode
from her2edge.text import meant
from her2edge_cli.heap import keep_small
from her2edge_cli.metrics import metrics_option
from her2edge_cli.parts import parts
from her2edge_cli.paths import PATH
from her2edge_cli.placement import placement_options
from her2edge_cli.progress import Turns, counter

Command = Callable[..., Any]
STAIN_WORDS = ("per-tile", "slide", "off")

_BEFORE = (
    click.option(
        "--model",
        type=PATH,
        metavar="MODEL",
        help="A .tflite from `her2edge quantize`. Default: the embedded demo model.",
    ),
    click.option(
        "--mpp",
        type=float,
        metavar="UM",
        help="um per pixel of the slide at full resolution. In `watch`, and for slides of a list, "
        "it is used only if the file states none; otherwise it overrides the file.",
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
        help="A slide with fewer tissue tiles that vote is not assessable.",
    ),
    click.option(
        "--until-settled",
        is_flag=True,
        help="Read the tiles in random order, and stop as soon as reading on would hardly change the answer.",
    ),
    click.option(
        "--error",
        type=float,
        metavar="SHARE",
        help="With --until-settled: share of slides whose answer may change if every tile were "
        f"read, 0.0001..0.5. Default: {Settle.error}.",
    ),
    click.option(
        "--max-tiles",
        type=int,
        metavar="N",
        help=f"With --until-settled: stop after N tiles, {Settle.minimum} or more, even if the "
        "answer is not settled; the answer then says so.",
    ),
    click.option(
        "--site",
        metavar="NAME",
        help="Where the slides are from, for a calibrated model. A site in --cohort takes precedence.",
    ),
    click.option(
        "--decode-glass",
        is_flag=True,
        help="Also decode places that a coarse level of the slide shows to be glass. It changes no "
        "tile that is classified.",
    ),
    click.option(
        "--isolate",
        is_flag=True,
        help="Decode in a separate process: a file that crashes the decoder costs its own tiles, "
        "not the run.",
    ),
    click.option(
        "--gzip-geojson",
        is_flag=True,
        help="Write tiles.geojson.gz instead of tiles.geojson: a fifth of the size or less, and "
        "QuPath opens both. `classify` also compresses the file of a finished slide.",
    ),
    click.option(
        "--json", "as_json", is_flag=True, help="One JSON object per slide on standard output, for programs."
    ),
    metrics_option,
)


@dataclass(frozen=True)
class Choices:
    """What the user chose of the options that `classify`, `watch` and `cohort` share."""

    out: Path
    model: Path | None
    mpp: float | None
    stain: str | None
    threads: int | None
    interpreters: int | None
    runtime: str
    min_tissue_tiles: int
    until_settled: bool
    error: float | None
    max_tiles: int | None
    isolate: bool
    as_json: bool
    metrics: Path | None
    site: str | None = None
    gzip_geojson: bool = False
    readers: int | None = None
    decode_glass: bool = False

    @property
    def settle(self) -> Settle | None:
        """The rule of --until-settled; raises OptionError, click.UsageError for one without the other."""
        if self.until_settled:
            error = Settle.error if self.error is None else self.error
            return Settle(error, max_tiles=self.max_tiles)
        for name, value in (("--error", self.error), ("--max-tiles", self.max_tiles)):
            if value is not None:
                raise click.UsageError(
                    f"found {name} {value:g} without --until-settled, which it needs: add it"
                )
        return None


@dataclass(frozen=True, eq=False)
class Reading:
    """A classifier, and how each slide goes through it to its folder below `choices.out`.

    classify: as `her2edge.classify_slide`. turns: which slide of how many it is. settle: the rule of
    --until-settled, None without. bars: whether a terminal shows how far a slide is.
    """

    classifier: TileClassifier
    choices: Choices
    classify: Callable[..., SlideRun] = classify_slide
    turns: Turns = field(default_factory=Turns)
    settle: Settle | None = None
    bars: bool = True

    def run(
        self,
        slide: CohortSlide,
        *,
        fresh: bool = False,
        fill_in: bool = False,
        regions: Regions | None = None,
    ) -> SlideRun:
        """One slide, with a bar on a terminal; raises Her2EdgeError.

        fill_in: --mpp is for files that state no scale; otherwise it stands for what they state. Where the
        slide has an mpp of its own, that is used.
        """
        given = self.choices.mpp
        with counter(slide.path, turns=self.turns, bar=self.bars) as progress:
            return self.classify(
                slide.path,
                self.choices.out,
                self.classifier,
                mpp=given if slide.mpp is None and not fill_in else slide.mpp,
                default_mpp=given if fill_in else None,
                min_tissue_tiles=self.choices.min_tissue_tiles,
                fresh=fresh,
                isolate=self.choices.isolate,
                progress=progress,
                settle=self.settle,
                shares=progress.shares,
                regions=regions,
                site=slide.site or self.choices.site,
                gzip_geojson=self.choices.gzip_geojson,
                decode_glass=self.choices.decode_glass,
            )

    @property
    def notice(self) -> str:
        """What every output carries."""
        return notice(self.classifier.model, self.classifier.use)


def reading_options(command: Command) -> Command:
    """The options that are fields of Choices; the command gets the Reading they come to, as `reading`.

    `parts().classify_slide` classifies.
    """

    @functools.wraps(command)
    def with_reading(choices: Choices, **given: Any) -> Any:
        return command(reading=open_reading(choices, parts().classify_slide), **given)

    return choices_options(with_reading)


def choices_options(command: Command, *, needs_out: bool = True) -> Command:
    """The options that are fields of Choices; the command gets these, as `choices`. needs_out: else it may be
    called without --out, and `choices` is None then."""

    @functools.wraps(command)
    def with_choices(**given: Any) -> Any:
        chosen = {field.name: given.pop(field.name) for field in fields(Choices)}
        return command(choices=None if chosen["out"] is None else Choices(**chosen), **given)

    wrapped: Command = with_choices
    for option in reversed(_AFTER):
        wrapped = option(wrapped)
    wrapped = placement_options(wrapped)
    for option in reversed(_BEFORE):
        wrapped = option(wrapped)
    return click.option(
        "--out",
        required=needs_out,
        type=PATH,
        metavar="DIR",
        help="Folder for the results; each slide gets its own inside.",
    )(wrapped)


def open_reading(choices: Choices, classify: Callable[..., SlideRun] = classify_slide) -> Reading:
    """`load_reading`, and say on stderr what the model is, and once whether another runtime may be faster."""
    reading = load_reading(choices, classify)
    click.echo(f"her2edge: {reading.notice}", err=True)
    advice = _advice(reading)
    if advice is not None:
        click.echo(f"her2edge: {advice}", err=True)
    return reading


def _advice(reading: Reading) -> str | None:
    guessed = reading.choices.threads is None and reading.choices.interpreters is None
    looked = guessed or reading.choices.runtime == TUNED
    return runtime_advice(reading.classifier.model, reading.classifier.plan, parts().host, looked=looked)


def load_reading(choices: Choices, classify: Callable[..., SlideRun] = classify_slide) -> Reading:
    """Load the model and test it. Raises Her2EdgeError."""
    settle = choices.settle  # before a model is loaded for nothing
    keep_small()
    model = Model.load(choices.model) if choices.model else Model.demo()
    options = Options(
        threads=choices.threads,
        interpreters=choices.interpreters,
        readers=choices.readers,
        runtime=choices.runtime,
        stain=None if choices.stain is None else stain_choice(choices.stain),
    )
    return Reading(TileClassifier(model, options), choices, classify, settle=settle)


def stain_choice(choice: str) -> StainMode | StainFit:
    """A mode by its word, or the StainFit saved in the file of that name."""
    with contextlib.suppress(OptionError):
        return stain_mode(choice)
    try:
        return StainFit.load(choice)
    except MissingInputError as error:
        raise MissingInputError(
            f"{choice}: found no such file{meant(choice, STAIN_WORDS)}, expected per-tile, slide, off or a "
            "saved stain fit (JSON): check the word or the path"
        ) from error
