"""One slide from file to files: read, classify, keep, sum up, write."""

from __future__ import annotations

import contextlib
import datetime
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import click

from her2edge import SlideReader, SlideSummary, TileClassifier, __version__, summarize
from her2edge.answer.summary import NOT_ASSESSABLE
from her2edge.errors import OutputError, SlideReadError, StainError
from her2edge.files import ensure_folder
from her2edge.results import SlideInfo, find_finished, fit_slide, slide_folder, write_outputs, write_run
from her2edge.results.journal import Journal, SlideStain, discard, open_journal
from her2edge.results.provenance import Provenance
from her2edge.results.run_record import run_info
from her2edge.runtime.machine import architecture
from her2edge.stain import StainMode
from her2edge.text import shown
from her2edge_cli.progress import track

THUMBNAIL_PX = 1600

_log = logging.getLogger("her2edge")


@dataclass(frozen=True)
class SlideRun:
    """A finished slide: its answer, the folder of its files and their paths.

    stage_seconds: by stage of a tile; empty where complete results were found.
    resumed: results that came from an interrupted run.
    """

    name: str
    summary: SlideSummary
    folder: Path
    files: tuple[Path, ...]
    stage_seconds: dict[str, float] = field(default_factory=dict)
    resumed: int = 0


def run_slide(
    path: Path,
    classifier: TileClassifier,
    out: Path,
    mpp: float | None,
    min_tissue_tiles: int,
    *,
    stain_of_slide: bool = False,
    fresh: bool = False,
    isolate: bool = False,
) -> SlideRun:
    """Classify a slide and write its files into its folder below `out`.

    stain_of_slide: normalise all tiles by one fit of the slide, made before the first of them.
    fresh: from the beginning, whatever a former run left. Else an interrupted run is gone on with, and a
        complete one of the same basis left as it is.
    isolate: decode in a process of its own.

    Raises Her2EdgeError; where the slide cannot be used, nothing has been written then.
    """
    started = datetime.datetime.now(datetime.UTC)
    clock = time.perf_counter()
    with SlideReader(path, mpp=mpp, isolate=isolate) as slide:
        info = describe_slide(slide, classifier)
        folder = slide_folder(out, info.name, info.fingerprint)
        ensure_folder(folder)
        basis = _provenance(slide, info, classifier, stain_of_slide=stain_of_slide)
        former = None if fresh else find_finished(folder, basis, min_tissue_tiles)
        if former is not None:
            discard(folder, basis)
            _say(
                f"{info.name}: found complete results of this model and these options: --fresh does it again"
            )
            return SlideRun(info.name, former.summary, folder, former.files)
        with (
            contextlib.ExitStack() as closed,
            open_journal(folder, basis, fresh=fresh) as journal,
            _says_what_is_kept(journal, basis),
        ):
            no_stains = None
            if stain_of_slide:
                stain = journal.stain
                if stain is None:
                    stain = journal.stain = find_slide_stain(slide, classifier)
                classifier, no_stains = with_slide_stain(slide, classifier, stain)
            if journal.resumed:
                _say(f"{info.name}: going on after tile {journal.resumed} of {basis.tiles}")
            _answer(slide, classifier, journal, basis.tiles)
            _check_unchanged(slide, folder, closed)
            summary = summarize(journal, min_tissue_tiles)
            if no_stains is not None and summary.assessable:
                summary = replace(summary, label=NOT_ASSESSABLE, reason=no_stains)
            files = write_outputs(folder, classifier, info, journal, summary, slide.thumbnail(THUMBNAIL_PX))
            run = run_info(classifier, basis, journal, files, started, time.perf_counter() - clock)
            files.append(folder / "run.json")
            write_run(files[-1], run)
    discard(folder)
    return SlideRun(info.name, summary, folder, tuple(files), run.stage_seconds, run.resumed)


def describe_slide(slide: SlideReader, classifier: TileClassifier) -> SlideInfo:
    """The slide as its files state it; raises what `SlideReader.grid` raises."""
    if slide.is_folder or slide.dimensions is None:
        return SlideInfo(slide.name, slide.fingerprint, slide.mpp)
    grid = slide.grid(classifier.model)
    width, height = slide.dimensions
    return SlideInfo(
        name=slide.name,
        fingerprint=slide.fingerprint,
        mpp=slide.mpp,
        width=width,
        height=height,
        step=grid.step,
        columns=grid.columns,
        rows=grid.rows,
        upsampled=grid.upsampled,
    )


def _provenance(
    slide: SlideReader, info: SlideInfo, classifier: TileClassifier, *, stain_of_slide: bool
) -> Provenance:
    return Provenance(
        slide=info.name,
        fingerprint=info.fingerprint,
        mpp=info.mpp,
        step=info.step,
        columns=info.columns,
        rows=info.rows,
        tiles=slide.tile_count(classifier.model),
        model=classifier.model.sha256,
        runtime=classifier.use,
        architecture=architecture(),
        version=__version__,
        stain={"mode": StainMode.SLIDE} if stain_of_slide else classifier.stain,
    )


def _answer(slide: SlideReader, classifier: TileClassifier, journal: Journal, count: int) -> None:
    """Classify what the journal does not hold yet."""
    tiles = slide.tiles(classifier.model, skip=journal.resumed)
    with contextlib.closing(track(classifier.stream(tiles), count, slide.name, journal.resumed)) as results:
        for result in results:
            journal.add(result)
    journal.commit()


def _check_unchanged(slide: SlideReader, folder: Path, closed: contextlib.ExitStack) -> None:
    """Raises SlideReadError where the slide is not what it was; its results go when the journal is closed."""
    try:
        slide.check_unchanged()
    except SlideReadError:
        closed.callback(_forget, folder)
        raise


def _forget(folder: Path) -> None:
    discard(folder)
    with contextlib.suppress(OSError):  # there is something else in it
        folder.rmdir()


def with_slide_stain(
    slide: SlideReader, classifier: TileClassifier, stain: SlideStain
) -> tuple[TileClassifier, str | None]:
    """The classifier with the slide's own fit; where the slide has none, without normalisation, and why."""
    if stain.fit is not None:
        return classifier.with_stain(stain.fit), None
    _log.warning("%s: %s; its tiles keep their own colours", shown(slide.name), stain.reason)
    return classifier.with_stain(StainMode.OFF), stain.reason


def find_slide_stain(slide: SlideReader, classifier: TileClassifier) -> SlideStain:
    """The fit of a fixed sample of the slide's tiles, or why there is none."""
    model = classifier.model
    try:
        return SlideStain(fit_slide(slide, model.manifest.stain.profile, model.tissue_filter))
    except StainError as error:
        return SlideStain(reason=str(error))


@contextlib.contextmanager
def _says_what_is_kept(journal: Journal, basis: Provenance) -> Iterator[None]:
    """Where a run is interrupted or terminated, how far it came and how to go on."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        try:
            journal.commit()
        except OutputError as error:  # must not take the interruption's place
            _say(f"{basis.slide}: {error}")
        else:
            kept = f"{len(journal)} of {basis.tiles} tiles are kept"
            _say(f"{basis.slide}: {kept}: the same command, without --fresh, goes on after them")
        raise


def _say(text: str) -> None:
    click.echo(f"her2edge: {text}", err=True)
