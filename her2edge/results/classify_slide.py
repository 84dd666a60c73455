"""classify_slide: one slide from file to files: read, classify, keep, sum up, write."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from her2edge.alone import alone_in
from her2edge.answer import (
    MIN_TISSUE_TILES,
    RandomOrder,
    Reason,
    ReasonCode,
    Settle,
    Settled,
    SlideAnswer,
    answer_slide,
)
from her2edge.classifier import TileClassifier
from her2edge.errors import OptionError, SlideReadError
from her2edge.extras import needs_extra
from her2edge.model.file import Model
from her2edge.model.protocol import TilesRead
from her2edge.regions import Regions, RegionsRead
from her2edge.results.finished import Asked
from her2edge.results.folder import slide_folder
from her2edge.results.former import failed_tiles, find_former, slide_journal
from her2edge.results.journal import Journal, discard, discard_former
from her2edge.results.owner import check_owner
from her2edge.results.packed import pack_former
from her2edge.results.provenance import Provenance, ReadInOrder
from her2edge.results.read_tiles import InGridOrder, Work, read_all, read_until_settled
from her2edge.results.run_record import Begun, RunInfo, write_run
from her2edge.results.slide_info import SlideInfo
from her2edge.results.slide_run import DEFAULT, Progress, Shares, SlideOptions, SlideRun
from her2edge.results.slide_stain import find_slide_stain, with_slide_stain
from her2edge.results.tiles_read import tiles_read
from her2edge.results.write import write_outputs
from her2edge.runtime.machine import architecture
from her2edge.slide import Evidence, GlassMap, SlideReader
from her2edge.slide.glass import RULE
from her2edge.stain import StainFit, StainMode
from her2edge.tile import Outcome, TileResult
from her2edge.version import __version__

if TYPE_CHECKING:
    from her2edge.regions.choose import ChosenPlaces

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
    settle: Settle | None = None,
    shares: Shares | None = None,
    regions: Regions | str | os.PathLike[str] | None = None,
    site: str | None = None,
    gzip_geojson: bool = False,
    decode_glass: bool = False,
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
    settle: read in random order, and stop as soon as the answer is settled; not for a folder of tiles. None:
        read every tile. Results of another rule are not resumed, and not taken for complete.
    regions: read only the tiles that lie wholly inside regions drawn in QuPath, of all classes where it is a
        file's path; the extra `regions`. None: the whole slide. Results of other regions are not resumed. A
        stain fit of the slide is still that of the whole slide.
    decode_glass: decode every place. Otherwise places that a coarse level of the slide shows to be glass are
        background of the kind `not_decoded`, though they be damaged; where no level is fit, all are decoded.
        Results of the other way are not resumed, and not taken for complete.
    site: where the slide is from, to be held against the sites of a calibrated model; None: not known.
    gzip_geojson: write tiles.geojson.gz in place of tiles.geojson; that of complete results is packed, and
        no tile is read. False: complete results are taken in either form.
    shares: with `settle`, called before `progress` with the shares of the tiles that voted so far, by label.

    What a user should know goes to the logger "her2edge": at INFO that results were complete, that a run is
    resumed, how much is kept of one that is interrupted; at WARNING what is wrong with the slide.

    Raises Her2EdgeError: OptionError, what SlideReader raises, SlideReadError also where the slide changed
    while it was read, StainError, OutputError (TakenError where another process works on the slide,
    NotOursError where its folder is another slide's, or a link). Where the slide cannot be used, nothing has
    been written.
    """
    options = SlideOptions(
        mpp, min_tissue_tiles, fresh, isolate, default_mpp, settle=settle, shares=shares,
        regions=Regions.of(regions), site=site, gzip_geojson=gzip_geojson, decode_glass=decode_glass,
    )  # fmt: skip
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
        _check_grid(slide, options)
        info = SlideInfo.of(slide, classifier.model, options.site)
        folder = slide_folder(out, info.name, info.fingerprint)
        chosen = _chosen(slide, classifier.model, options)
        basis = _provenance(slide, info, classifier, options, chosen)
        check_owner(folder, basis)
        former = None if options.fresh else find_former(out, slide, basis, _asked(info, classifier, options))
        if former is not None:
            if options.gzip_geojson:
                former = pack_former(former, folder)
            _log.info(
                "%s: found complete results of this model and these options: --fresh (fresh=True in Python) "
                "classifies it again", info.name,
            )  # fmt: skip
            return SlideRun(
                info.name,
                former.answer,
                former.folder,
                former.files,
                complete_before=True,
                regions=_read_of(chosen),
            )
        order, read = _order(info, options, chosen), tiles_read(classifier, slide, basis.regions)
        with (
            alone_in(folder, ours=True),
            contextlib.ExitStack() as closed,
            slide_journal(folder, basis, options, slide, closed) as journal,
        ):
            again = failed_tiles(journal, folder, basis)
            classifier, no_stains = _with_stain(slide, classifier, journal, again)
            if not len(journal):  # its stains are other ones: every tile is read again
                again = []
            glass = _glass(slide, classifier, journal, basis)
            work = Work(slide, classifier, journal, _most(basis), again, progress, _numbers(chosen), glass)
            results, settled = _read(work, order, options)
            kept = max(0, journal.resumed - len(again))
            thumbnail = slide.thumbnail(THUMBNAIL_PX)  # read, like the tiles, before the slide is checked
            evidence = _check_unchanged(slide, journal, folder, closed)
            slide.close()  # with its decoded tiles: files need memory of their own
            answer = _answer(results, settled, classifier.model, info, options, read, no_stains)
            files = write_outputs(
                folder, classifier, info, results, answer, thumbnail, chosen,
                gzip_geojson=options.gzip_geojson, undecoded=basis.undecoded,
            )  # fmt: skip
            run = RunInfo.of(classifier, basis, results, files, begun, kept, evidence)
            files.append(write_run(folder, run))
            # a journal of failed tiles stays: the next run reads these only
            closed.callback(discard_former if answer.tiles.outcomes[Outcome.FAILED] else discard, folder)
    return SlideRun(
        info.name, answer, folder, tuple(files), run.stage_seconds, run.resumed, regions=_read_of(chosen)
    )


def _asked(info: SlideInfo, classifier: TileClassifier, options: SlideOptions) -> Asked:
    calibration = classifier.model.manifest.calibration_slides
    return Asked(options.min_tissue_tiles, info.site, bool(calibration and calibration.sites))


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
            journal.cut(0)  # first: results are never of another stain than the one beside them
        journal.stain = stain
    return with_slide_stain(classifier, stain, slide.name), stain.reason


def _undecoded(slide: SlideReader, model: Model, options: SlideOptions) -> str | None:
    """The rule by which places are not decoded; None where all are, as the options or the slide say."""
    able = not options.decode_glass and math.isfinite(model.tissue_filter.brightest_tissue)
    return RULE if able and slide.shows_glass(model) else None


def _glass(
    slide: SlideReader, classifier: TileClassifier, journal: Journal, basis: Provenance
) -> GlassMap | None:
    """The places that are not decoded: those of the journal, else found now and kept there."""
    if basis.undecoded is None or basis.rows is None or basis.columns is None:
        return None
    glass = journal.glass(basis.rows, basis.columns)
    if glass is None:
        model = classifier.model
        glass = slide.glass(model, model.tissue_filter.brightest_tissue, classifier.readers)
        assert glass is not None  # noqa: S101 - there is a rule where there is a level
        journal.put_glass(glass)
    return glass


def _check_grid(slide: SlideReader, options: SlideOptions) -> None:
    if options.settle is not None and slide.is_folder:
        raise OptionError(
            f"{slide.name}: found a folder of tiles, which has no grid to be read in random order: "
            "classify it without --until-settled (settle=)"
        )


def _most(basis: Provenance) -> int:
    """How many tiles may be read."""
    limit = None if basis.reading is None else basis.reading.max_tiles
    return basis.tiles if limit is None else min(limit, basis.tiles)


def _chosen(slide: SlideReader, model: Model, options: SlideOptions) -> ChosenPlaces | None:
    """The places inside the regions that are asked for; None: all places."""
    if options.regions is None:
        return None
    with needs_extra("regions", "classify the whole slide without --region (regions=)"):
        from her2edge.regions.choose import choose_places
    return choose_places(slide, options.regions, model)


def _numbers(chosen: ChosenPlaces | None) -> NDArray[np.int64] | None:
    return None if chosen is None else chosen.numbers


def _read_of(chosen: ChosenPlaces | None) -> RegionsRead | None:
    return None if chosen is None else chosen.read


def _order(info: SlideInfo, options: SlideOptions, chosen: ChosenPlaces | None) -> RandomOrder | None:
    if options.settle is None or info.columns is None or info.rows is None:
        return None
    return RandomOrder(info.fingerprint, info.columns, info.rows, _numbers(chosen))


def _read(
    work: Work, order: RandomOrder | None, options: SlideOptions
) -> tuple[Iterable[TileResult], Settled | None]:
    """Classify what is to be classified: all results in the order of the grid, and whether they settle it."""
    if order is None:
        read_all(work)
        return work.journal, None
    settled = read_until_settled(work, order, options)
    return InGridOrder(work.journal, order), settled


def _provenance(
    slide: SlideReader,
    info: SlideInfo,
    classifier: TileClassifier,
    options: SlideOptions,
    chosen: ChosenPlaces | None,
) -> Provenance:
    return Provenance(
        slide=info.name,
        fingerprint=info.fingerprint,
        mpp=info.mpp,
        step=info.step,
        columns=info.columns,
        rows=info.rows,
        tiles=slide.tile_count(classifier.model) if chosen is None else len(chosen.numbers),
        model=classifier.model.sha256,
        runtime=classifier.use,
        architecture=architecture(),
        version=__version__,
        stain=classifier.stain,
        reading=None if options.settle is None else ReadInOrder.of(options.settle),
        regions=None if chosen is None else chosen.basis,
        tested=classifier.tested is not None,
        undecoded=_undecoded(slide, classifier.model, options),
    )


def _answer(
    results: Iterable[TileResult],
    settled: Settled | None,
    model: Model,
    info: SlideInfo,
    options: SlideOptions,
    read: TilesRead,
    no_stains: str | None,
) -> SlideAnswer:
    """What the results say; a slide that has no two stains is not assessable, whatever they are."""
    extra: list[Reason] = []
    if no_stains is not None:
        why = f"The slide does not show two stains: {no_stains}."
        extra.append(Reason(ReasonCode.LOW_QUALITY, why))
    return answer_slide(
        results,
        model,
        min_tissue_tiles=options.min_tissue_tiles,
        settled=settled,
        read=read,
        enlarged=model.tile_px / info.step if info.upsampled and info.step else None,
        scanner=info.scanner,
        site=info.site,
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
