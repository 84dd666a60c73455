"""classify_slide: one slide from file to files: read, classify, keep, sum up, write."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from her2edge.answer import MIN_TISSUE_TILES, NOT_ASSESSABLE, SlideSummary, summarize
from her2edge.classifier import TileClassifier
from her2edge.errors import OutputError, SlideReadError
from her2edge.files import ensure_folder
from her2edge.results.finished import find_finished
from her2edge.results.folder import slide_folder
from her2edge.results.journal import Journal, discard, open_journal
from her2edge.results.provenance import Provenance
from her2edge.results.run_record import Begun, RunInfo, write_run
from her2edge.results.slide_info import SlideInfo
from her2edge.results.slide_run import DEFAULT, Progress, SlideOptions, SlideRun
from her2edge.results.slide_stain import find_slide_stain, with_slide_stain
from her2edge.results.write import write_outputs
from her2edge.runtime.machine import architecture
from her2edge.slide import SlideReader
from her2edge.stain import StainFit, StainMode
from her2edge.version import __version__

THUMBNAIL_PX = 1600

_log = logging.getLogger("her2edge")


def classify_slide(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    classifier: TileClassifier,
    *,
    mpp: float | None = None,
    stain: StainMode | str | StainFit | None = None,
    min_tissue_tiles: int = MIN_TISSUE_TILES,
    fresh: bool = False,
    isolate: bool = False,
    progress: Progress | None = None,
) -> SlideRun:
    """Classify a slide and write its files into its own folder below `out`, as `her2edge classify` does.

    path: a slide, a plain image, or a folder of tile images, as SlideReader takes them.
    mpp: um per pixel of level 0, 0.05..20, where the file does not state it.
    stain: a StainMode or its word, or a StainFit for every tile; None: as the classifier does. "slide": one
        fit of the whole slide, made before the first tile.
    min_tissue_tiles: with fewer classified tiles than this, 1 or more, the slide is not assessable.
    fresh: begin with the first tile. Otherwise an interrupted run is resumed, and complete results of the
        same slide, model and options are returned as they are, unless some of their tiles failed.
    isolate: decode in a process of its own, so that a file which crashes a decoder costs its tiles only.
    progress: called in this thread with (tiles done, tiles in all), before the first tile and after each.
        What it raises ends the run; what was classified until then is kept.

    What a user should know goes to the logger "her2edge": at INFO that results were complete, that a run is
    resumed, how much is kept of one that is interrupted; at WARNING what is wrong with the slide.

    Raises Her2EdgeError: OptionError, what SlideReader raises, SlideReadError also where the slide changed
    while it was read, StainError, OutputError (TakenError where another process works on the slide). Where
    the slide cannot be used, nothing has been written.
    """
    options = SlideOptions(mpp, min_tissue_tiles, fresh, isolate)
    return run_slide(path, Path(out), classifier, stain, options, progress)


def run_slide(
    path: str | os.PathLike[str],
    out: Path,
    classifier: TileClassifier,
    stain: StainMode | str | StainFit | None = None,
    options: SlideOptions = DEFAULT,
    progress: Progress | None = None,
) -> SlideRun:
    """`classify_slide`, its options in one record."""
    begun = Begun(options.clock(), time.perf_counter())
    if stain is not None:
        classifier = classifier.with_stain(stain)
    with SlideReader(path, mpp=options.mpp, isolate=options.isolate) as slide:
        info = SlideInfo.of(slide, classifier.model)
        folder = slide_folder(out, info.name, info.fingerprint)
        ensure_folder(folder)
        basis = _provenance(slide, info, classifier)
        former = None if options.fresh else find_finished(folder, basis, options.min_tissue_tiles)
        if former is not None:
            discard(folder, basis)
            _log.info(
                "%s: found complete results of this model and these options: --fresh (fresh=True in Python) "
                "classifies it again", info.name,
            )  # fmt: skip
            return SlideRun(info.name, former.summary, folder, former.files, complete_before=True)
        with (
            contextlib.ExitStack() as closed,
            open_journal(folder, basis, fresh=options.fresh, batch=options.batch) as journal,
            says_what_is_kept(journal, basis),
        ):
            classifier, no_stains = _with_stain(slide, classifier, journal)
            _classify(slide, classifier, journal, basis.tiles, progress)
            _check_unchanged(slide, folder, closed)
            summary = _without_stains(summarize(journal, options.min_tissue_tiles), no_stains)
            files = write_outputs(folder, classifier, info, journal, summary, slide.thumbnail(THUMBNAIL_PX))
            run = RunInfo.of(classifier, basis, journal, files, begun, journal.resumed)
            files.append(write_run(folder, run))
    discard(folder)
    return SlideRun(info.name, summary, folder, tuple(files), run.stage_seconds, run.resumed)


def _with_stain(
    slide: SlideReader, classifier: TileClassifier, journal: Journal
) -> tuple[TileClassifier, str | None]:
    """The classifier with the slide's own fit where it wants one, and why there is none."""
    if classifier.stain_mode is not StainMode.SLIDE:
        return classifier, None
    stain = journal.stain
    if stain is None:
        stain = journal.stain = find_slide_stain(slide, classifier.model)
    return with_slide_stain(classifier, stain, slide.name), stain.reason


def _provenance(slide: SlideReader, info: SlideInfo, classifier: TileClassifier) -> Provenance:
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
        stain=classifier.stain,
    )


def _classify(
    slide: SlideReader, classifier: TileClassifier, journal: Journal, count: int, progress: Progress | None
) -> None:
    """Classify what the journal does not hold yet."""
    if journal.resumed:
        _log.info("%s: resuming after tile %d of %d", slide.name, journal.resumed, count)
    tiles = slide.tiles(classifier.model, skip=journal.resumed)
    if progress is not None:
        progress(journal.resumed, count)
    with contextlib.closing(classifier.stream(tiles)) as results:
        for result in results:
            journal.add(result)
            if progress is not None:
                progress(len(journal), count)
    journal.commit()


def _without_stains(summary: SlideSummary, reason: str | None) -> SlideSummary:
    """A slide that has no two stains is not assessable, whatever its tiles are called; None: it has."""
    if reason is None or not summary.assessable:
        return summary
    return replace(summary, label=NOT_ASSESSABLE, reason=reason)


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


@contextlib.contextmanager
def says_what_is_kept(journal: Journal, basis: Provenance) -> Iterator[None]:
    """Where a run is interrupted or terminated, how far it came and how to resume it."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        try:
            journal.commit()
        except OutputError as error:  # must not take the interruption's place
            _log.warning("%s: %s", basis.slide, error)
        else:
            _log.info(
                "%s: %d of %d tiles are kept: run again, without --fresh (fresh=True in Python), to resume "
                "after them", basis.slide, len(journal), basis.tiles,
            )  # fmt: skip
        raise
