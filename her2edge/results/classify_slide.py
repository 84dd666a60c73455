"""classify_slide: one slide from file to files: read, classify, keep, sum up, write."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from her2edge.alone import alone_in
from her2edge.answer import MIN_TISSUE_TILES, Reason, ReasonCode, SlideAnswer, answer_slide
from her2edge.classifier import TileClassifier
from her2edge.errors import SlideReadError
from her2edge.model.file import Model
from her2edge.results.folder import slide_folder
from her2edge.results.former import failed_tiles, find_former, slide_journal
from her2edge.results.journal import Journal, discard, discard_former
from her2edge.results.owner import check_owner
from her2edge.results.provenance import Provenance
from her2edge.results.run_record import Begun, RunInfo, write_run
from her2edge.results.slide_info import SlideInfo
from her2edge.results.slide_run import DEFAULT, Progress, SlideOptions, SlideRun
from her2edge.results.slide_stain import find_slide_stain, with_slide_stain
from her2edge.results.write import write_outputs
from her2edge.runtime.machine import architecture
from her2edge.slide import Evidence, SlideReader
from her2edge.slide.isolated import HungError
from her2edge.stain import StainFit, StainMode
from her2edge.tile import Outcome
from her2edge.version import __version__

THUMBNAIL_PX = 1600

_log = logging.getLogger("her2edge")


def classify_slide(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    classifier: TileClassifier,
    *,
    mpp: float | None = None,
    default_mpp: float | None = None,
    stain: StainMode | str | StainFit | None = None,
    min_tissue_tiles: int = MIN_TISSUE_TILES,
    fresh: bool = False,
    isolate: bool = False,
    progress: Progress | None = None,
) -> SlideRun:
    """Classify a slide and write its files into its own folder below `out`, as `her2edge classify` does.

    path: a slide, a plain image, or a folder of tile images, as SlideReader takes them.
    mpp: um per pixel of level 0, 0.05..20; overrides what the file states. default_mpp: used only where the
        file states none.
    stain: a StainMode or its word, or a StainFit for every tile; None: as the classifier does. "slide": one
        fit of the whole slide, made before the first tile.
    min_tissue_tiles: with fewer pooled tiles than this, 1 or more, the slide is not assessable.
    fresh: begin with the first tile. Otherwise an interrupted run is resumed, and complete results of the
        same slide, model and options are returned as they are, nothing being written; of those with failed
        tiles these alone are read again.
    isolate: decode in a process of its own, so that a file which crashes a decoder costs its tiles only.
    progress: called in this thread with (tiles done, tiles in all), before the first tile and after each.
        What it raises ends the run; what was classified until then is kept.

    What a user should know goes to the logger "her2edge": at INFO that results were complete, that a run is
    resumed, how much is kept of one that is interrupted; at WARNING what is wrong with the slide.

    Raises Her2EdgeError: OptionError, what SlideReader raises, SlideReadError also where the slide changed
    while it was read, StainError, OutputError (TakenError where another process works on the slide,
    NotOursError where its folder is another slide's, or a link). Where the slide cannot be used, nothing has
    been written.
    """
    options = SlideOptions(mpp, min_tissue_tiles, fresh, isolate, default_mpp)
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
    with SlideReader(
        path, mpp=options.mpp, default_mpp=options.default_mpp, isolate=options.isolate
    ) as slide:
        info = SlideInfo.of(slide, classifier.model)
        folder = slide_folder(out, info.name, info.fingerprint)
        basis = _provenance(slide, info, classifier)
        check_owner(folder, basis)
        former = None if options.fresh else find_former(out, slide, basis, options.min_tissue_tiles)
        if former is not None:
            _log.info(
                "%s: found complete results of this model and these options: --fresh (fresh=True in Python) "
                "classifies it again", info.name,
            )  # fmt: skip
            return SlideRun(info.name, former.answer, former.folder, former.files, complete_before=True)
        with (
            alone_in(folder, ours=True),
            contextlib.ExitStack() as closed,
            slide_journal(folder, basis, options, slide, closed) as journal,
        ):
            again = failed_tiles(journal, folder, basis.tiles)
            classifier, no_stains = _with_stain(slide, classifier, journal, again)
            if len(journal) < basis.tiles:  # its stains are other ones: every tile is read again
                again = []
            kept = journal.resumed - len(again)
            _classify(slide, classifier, journal, basis.tiles, progress, again)
            thumbnail = slide.thumbnail(THUMBNAIL_PX)  # read, like the tiles, before the slide is checked
            evidence = _check_unchanged(slide, journal, folder, closed)
            answer = _answer(journal, classifier.model, info, options, no_stains)
            files = write_outputs(folder, classifier, info, journal, answer, thumbnail)
            run = RunInfo.of(classifier, basis, journal, files, begun, kept, evidence)
            files.append(write_run(folder, run))
            # a journal of failed tiles stays: the next run reads these only
            failed = answer.tiles.outcomes[Outcome.FAILED]
            closed.callback(discard_former if failed else discard, folder)
    return SlideRun(info.name, answer, folder, tuple(files), run.stage_seconds, run.resumed)


def _with_stain(
    slide: SlideReader, classifier: TileClassifier, journal: Journal, again: Sequence[int]
) -> tuple[TileClassifier, str | None]:
    """The classifier with the slide's own fit where it wants one, and why there is none.

    Where tiles of its sample could not be read, it is fitted once more with the failed tiles; with another
    fit every tile is another, and the journal is emptied.
    """
    if classifier.stain_mode is not StainMode.SLIDE:
        return classifier, None
    stain = journal.stain
    if stain is None or (stain.unreadable and (again or not len(journal))):
        former, stain = stain, find_slide_stain(slide, classifier.model)
        if former is not None and not stain.agrees(former):
            journal.clear()  # first: results are never of another stain than the one beside them
        journal.stain = stain
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
    slide: SlideReader,
    classifier: TileClassifier,
    journal: Journal,
    count: int,
    progress: Progress | None,
    again: Sequence[int],
) -> None:
    """Classify what the journal does not hold yet; again: numbers of failed tiles, which are tried again."""
    done = journal.resumed - len(again)
    if again:
        _log.info("%s: trying %d failed tile(s) of %d again", slide.name, len(again), count)
        tiles = slide.tiles(classifier.model, numbers=again)
    else:
        if done:
            _log.info("%s: resuming after tile %d of %d", slide.name, done, count)
        tiles = slide.tiles(classifier.model, skip=done)
    if progress is not None:
        progress(done, count)
    hung = _hangs_again(slide) if again else contextlib.nullcontext()
    with hung, contextlib.closing(classifier.stream(tiles)) as results:
        for nth, result in enumerate(results):
            if again:
                journal.replace(again[nth], result)
            else:
                journal.add(result)
            if progress is not None:
                progress(done + nth + 1, count)
    journal.commit()


@contextlib.contextmanager
def _hangs_again(slide: SlideReader) -> Iterator[None]:
    """Tiles that hang one after the other end a slide; where only failed ones are tried, they stay failed."""
    try:
        yield
    except HungError as error:
        _log.warning("%s: %s; the failed tiles that are left stay as they are", slide.name, error)


def _answer(
    journal: Journal, model: Model, info: SlideInfo, options: SlideOptions, no_stains: str | None
) -> SlideAnswer:
    """What the journal's results say; a slide that has no two stains is not assessable, whatever they are."""
    extra: list[Reason] = []
    if no_stains is not None:
        why = f"The slide has no two stains to go by: {no_stains}."
        extra.append(Reason(ReasonCode.LOW_QUALITY, why))
    return answer_slide(
        journal,
        model,
        min_tissue_tiles=options.min_tissue_tiles,
        enlarged=model.tile_px / info.step if info.upsampled and info.step else None,
        scanner=info.scanner,
        extra_reasons=extra,
    )


def _check_unchanged(
    slide: SlideReader, journal: Journal, folder: Path, closed: contextlib.ExitStack
) -> Evidence:
    """The evidence of what was read, with the hash of every byte where the fingerprint is of a sample.

    Raises SlideReadError where the slide is not what it was; its results go when the journal is closed.
    """
    try:
        evidence = journal.evidence or slide.evidence
        if evidence.sampled and evidence.sha256 is None:
            with contextlib.suppress(SlideReadError):  # a bad sector costs its tiles, and this hash
                evidence = msgspec.structs.replace(evidence, sha256=slide.hash_whole())
        slide.check_unchanged()  # last: it speaks for what was hashed, too
    except SlideReadError:
        closed.callback(discard, folder)
        raise
    journal.evidence = evidence
    return evidence
