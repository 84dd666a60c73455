"""From a list of slides and a folder of results to the records of a kit; what cannot be put together is
refused."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import msgspec

from her2edge.agree.errors import AgreeError
from her2edge.agree.records import AMBIGUOUS, NO_RESULTS, NOT_ASSESSABLE, ReadBy, SlideRecord
from her2edge.answer import SlideAnswer, Status
from her2edge.answer.reasons import has_set
from her2edge.errors import OutputError
from her2edge.files import parse_json
from her2edge.model.protocol import protocol_words
from her2edge.results.owner import RUN, read_record
from her2edge.results.scored import Scored, ScoredSlide, SlideResults, label_of_score
from her2edge.stain import StainMode
from her2edge.text import folded, shown
from her2edge.tile import Outcome

PAGES = ("report.html", "heatmap.png", "summary.json")  # the first that is there is linked to
_NAMED = 3


class _Basis(msgspec.Struct, frozen=True):
    version: str


class _Run(msgspec.Struct, frozen=True):
    basis: _Basis
    started: str = ""


def gather(scored: Scored, out: Path) -> tuple[ReadBy, tuple[SlideRecord, ...]]:
    """What read the slides, and a record of each row of the list. out: the kit's folder, for links.

    Raises AgreeError where no row has results, a score is none of the model's labels, or the results are of
    more than one model or protocol.
    """
    read = [one.results for one in scored.slides if one.results is not None]
    if not read:
        first = next((one.why for one in scored.slides if one.why), "the list is empty")
        raise AgreeError(
            f"found no results of any slide in the list, expected results of every slide: {first}"
        )
    runs = [_run(one.folder) for one in read]
    by = _read_by(read, runs)
    _check_scores(scored, by.labels)
    counts = _one_of_each_patient(scored.slides, by.labels)
    return by, tuple(_record(one, by, one.row.row in counts, out) for one in scored.slides)


def _run(folder: Path) -> _Run:
    try:
        return parse_json(read_record(folder / RUN) or b"", _Run)
    except ValueError as error:
        raise AgreeError(
            f"{folder.name}: found a damaged {RUN} ({error}): classify the slide again"
        ) from error


def _read_by(read: Sequence[SlideResults], runs: Sequence[_Run]) -> ReadBy:
    """Raises AgreeError where two slides were read in two ways."""
    _check_one("model", [f"{one.summary.model.name} {one.model_sha256[:12]}" for one in read])
    ways = [protocol_words(one.protocol) for one in read]
    for name in ways[0]:
        _check_one(name, [way.get(name, "not stated") for way in ways])
    first, model = read[0], read[0].summary.model
    started = sorted(run.started[:10] for run in runs if run.started) or ["not stated"]
    promise = first.answer.promise
    return ReadBy(
        notice=first.summary.notice, name=model.name, version=model.version, sha256=model.sha256,
        scheme=model.scheme, labels=first.labels, demo=first.summary.demo,
        gate_overridden=model.gate_overridden, calibration=first.answer.calibration,
        error=None if promise is None else round(1 - promise.level, 9),
        protocol=first.protocol,
        runtimes=tuple(sorted({str(one.summary.runtime) for one in read})),
        versions=tuple(sorted({run.basis.version for run in runs})),
        first=started[0], last=started[-1],
    )  # fmt: skip


def _check_one(what: str, values: Sequence[str]) -> None:
    """Raises AgreeError where these, one of each slide, are not all the same."""
    counts = Counter(values)
    if len(counts) > 1:
        listed = ", ".join(f"{count} of {shown(name)}" for name, count in counts.most_common(_NAMED))
        raise AgreeError(
            f"found results of more than one kind, {what}: {listed}; expected one kind: classify the slides "
            f"of the list with the same options, into a new folder"
        )


def _check_scores(scored: Scored, labels: Sequence[str]) -> None:
    unknown = [
        slide.row
        for slide in scored.slides
        if slide.row.score and label_of_score(slide.row.score, labels) is None
    ]
    if unknown:
        named = ", ".join(f"row {row.row} {row.score!r}" for row in unknown[:_NAMED])
        more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
        raise AgreeError(
            f"found scores that are no label of the model: {named}{more}, expected one of "
            f"{', '.join(labels)}, or nothing: correct the list"
        )


def _one_of_each_patient(slides: Sequence[ScoredSlide], labels: Sequence[str]) -> set[int]:
    """Rows: of each patient the first that has a score, else the first. What was answered does not matter."""
    chosen: dict[object, ScoredSlide] = {}
    for slide in slides:
        patient: object = folded(slide.row.patient) or slide.row.row
        former = chosen.setdefault(patient, slide)
        if not former.row.score and label_of_score(slide.row.score, labels) is not None:
            chosen[patient] = slide
    return {slide.row.row for slide in chosen.values()}


def _record(slide: ScoredSlide, by: ReadBy, counts: bool, out: Path) -> SlideRecord:
    row, results = slide.row, slide.results
    unread = SlideRecord(
        slide=shown(row.name), row=row.row, patient=shown(row.patient), site=shown(row.site), scanner=None,
        score=shown(row.score), label=label_of_score(row.score, by.labels), counts=counts, answer=NO_RESULTS,
        why=slide.why,
    )  # fmt: skip
    if results is None:
        return unread
    answer = results.answer
    return msgspec.structs.replace(
        unread,
        why=None,
        scanner=results.scanner,
        answer=_answer(answer),
        labels=answer.labels,
        covered=_covered(answer, unread.label),
        all_labels=answer.calibration is not None and len(answer.labels) == len(by.labels),
        reasons=tuple(reason.code.value for reason in answer.reasons),
        novelty=answer.novelty,
        codes=_codes(answer),
        stains=_stains(results),
        page=_page(results.folder, out),
    )


def _answer(answer: SlideAnswer) -> str:
    if answer.status is Status.ANSWERED:
        return answer.labels[0]
    return AMBIGUOUS if answer.status is Status.AMBIGUOUS else NOT_ASSESSABLE


def _covered(answer: SlideAnswer, label: str | None) -> bool | None:
    """A set that is empty holds no label; a slide that is not assessable for another reason has no set."""
    return label in answer.labels if label is not None and has_set(answer) else None


def _codes(answer: SlideAnswer) -> dict[str, float]:
    """Share of the classified tiles that have each code; none where none was classified."""
    classified = answer.tiles.outcomes[Outcome.CLASSIFIED]
    return {code: count / classified for code, count in answer.tiles.codes.items()} if classified else {}


def _stains(results: SlideResults) -> tuple[float, float] | None:
    """Of the slide's own fit, where one was made, else of its tiles' own."""
    if strength := results.summary.stain_strength:
        return strength.haematoxylin, strength.eosin
    tiles = results.protocol.tiles
    own = tiles is not None and tiles.stain == StainMode.SLIDE
    fit = results.summary.stain.get("fit") if own else None
    if not isinstance(fit, dict):
        return None
    strongest = fit.get("max_concentration")
    if not isinstance(strongest, list) or len(strongest) != 2:
        return None
    return float(strongest[0]), float(strongest[1])


def _page(folder: Path, out: Path) -> str | None:
    """Where the slide is shown, relative to the kit, quoted."""
    for name in PAGES:
        page = folder / name
        try:
            if page.is_file():
                relative = os.path.relpath(os.path.abspath(page), os.path.abspath(out))  # noqa: PTH100
                return quote(os.fsencode(relative.replace(os.sep, "/")))
        except ValueError:  # another drive of Windows
            return page.absolute().as_uri()
        except OSError as error:
            raise OutputError(f"{folder.name}: cannot be read ({error.strerror})") from error
    return None
