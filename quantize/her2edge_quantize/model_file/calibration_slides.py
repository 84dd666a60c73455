"""Which scored slides may calibrate a model: one of each patient, read and judged alike."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence

from msgspec import UNSET

from her2edge.answer.reasons import refused_otherwise
from her2edge.cohort import CohortError
from her2edge.model.file import Model
from her2edge.model.patients import spellings
from her2edge.model.protocol import differences
from her2edge.results.scored import Scored, ScoredSlide, SlideResults
from her2edge.text import folded

_MANY = 3  # rows that are named


def usable_slides(scored: Scored, model: Model) -> tuple[tuple[ScoredSlide, ...], tuple[ScoredSlide, ...]]:
    """(slides that calibrate, slides that cannot be assessed, which say nothing).

    Raises CohortError, naming rows, for: a row without results or a known score; no patient; a patient or a
    slide twice; a patient that the model learnt from; results of another model; results of more than
    one protocol (stopping rule, stains, regions, minimum of tiles, ...).
    """
    _check_model(scored.slides, model)
    _check_rows(scored.slides)
    _check_once(scored.slides)
    _check_learnt_from(scored.slides, model)
    _check_alike(scored.slides)
    left_out = tuple(slide for slide in scored.slides if refused_otherwise(_results(slide).answer))
    return tuple(slide for slide in scored.slides if slide not in left_out), left_out


def _results(slide: ScoredSlide) -> SlideResults:
    assert slide.results is not None  # noqa: S101 - checked row by row before
    return slide.results


def _check_model(slides: Sequence[ScoredSlide], model: Model) -> None:
    """First: another model may have other labels, so that no score fits."""
    other = [
        _row(slide)
        for slide in slides
        if slide.results is not None and slide.results.model_sha256 != model.sha256
    ]
    if other:
        raise CohortError(
            f"found results of another model file for {_some(other)}, expected those of this one (SHA-256 "
            f"{model.sha256[:12]}): classify the slides with it; a signature makes another file"
        )


def _check_rows(slides: Sequence[ScoredSlide]) -> None:
    whys = [slide.why for slide in slides if slide.why is not None]
    if whys:
        raise CohortError(
            f"found {len(whys)} of {len(slides)} slides that cannot be used: {_some(whys)}. Correct that, or "
            f"remove their rows from the list"
        )
    nameless = [_row(slide) for slide in slides if not slide.row.patient]
    if nameless:
        raise CohortError(
            f"found no patient for {_some(nameless)}, expected one for each slide: the promise is about "
            f"patients; fill in the column patient"
        )


def _check_once(slides: Sequence[ScoredSlide]) -> None:
    for what, key in (
        ("patient", lambda slide: folded(slide.row.patient)),
        ("slide, by its content,", lambda slide: _results(slide).summary.slide.fingerprint),
    ):
        for same in _grouped(slides, key):
            if len(same) > 1:
                raise CohortError(
                    f"found one {what} {len(same)} times ({_some(map(_row, same))}), expected one slide of "
                    "each patient: keep one row"
                )


def _check_learnt_from(slides: Sequence[ScoredSlide], model: Model) -> None:
    known = model.manifest.training_patients
    if known is UNSET:
        return
    learnt = [
        f"{slide.row.patient} ({_row(slide)})"
        for slide in slides
        if any(map(known.hold, spellings(slide.row.patient, slide.name)))
    ]
    if learnt:
        raise CohortError(
            f"found {len(learnt)} patients that the model learnt from: {_some(learnt)}; expected only "
            "others: remove their rows; if it is another patient of that name, change the name"
        )


def _check_alike(slides: Sequence[ScoredSlide]) -> None:
    groups = _grouped(slides, lambda slide: _results(slide).protocol)
    if len(groups) > 1:
        usual, *others = sorted(groups, key=len, reverse=True)
        each = "; ".join(
            f"{', '.join(differences(_results(usual[0]).protocol, _results(same[0]).protocol))}: "
            f"{_some(map(_row, same))}"
            for same in others[:_MANY]
        )
        raise CohortError(
            f"found slides that were read or judged in {len(groups)} ways ({each}), expected one: classify "
            "all slides alike"
        )


def _grouped(
    slides: Iterable[ScoredSlide], key: Callable[[ScoredSlide], Hashable]
) -> list[list[ScoredSlide]]:
    groups: dict[Hashable, list[ScoredSlide]] = {}
    for slide in slides:
        groups.setdefault(key(slide), []).append(slide)
    return list(groups.values())


def _row(slide: ScoredSlide) -> str:
    return f"row {slide.row.row}, {slide.name}"


def _some(texts: Iterable[str]) -> str:
    texts = list(texts)
    more = f" and {len(texts) - _MANY} more" if len(texts) > _MANY else ""
    return "; ".join(texts[:_MANY]) + more
