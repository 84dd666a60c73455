"""What people read of a calibration: the model card's part, and a report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from her2edge.answer.promise import basis_words, lowest_level, promise_of
from her2edge.answer.sets import FEWEST_OF_A_CLASS
from her2edge.model.protocol import protocol_words
from her2edge.model.slide_records import CalibrationSlides, Pooling
from her2edge.tables import markdown
from her2edge.text import percent, shown
from her2edge.tile import RESEARCH_USE
from her2edge_quantize.model_file.card_limits import UNCALIBRATED

if TYPE_CHECKING:
    from her2edge_quantize.model_file.calibrate import Calibrated

HEADING = "## Calibration"
UNSIGNED = "The model's signature is not this file's: sign it again with `her2edge sign`."
UNCHECKED = (
    "The model file does not say, or not completely, which patients trained it. So it was not checked that "
    "these slides trained nothing."
)


def card_with(card: str, record: CalibrationSlides, pooling: Pooling) -> str:
    """A model card with this calibration in place of a former one, or of the words that there is none."""
    paragraphs = [one for one in card.rstrip("\n").split("\n\n") if one.strip() != UNCALIBRATED]
    if HEADING in paragraphs:
        start = paragraphs.index(HEADING)
        rest = (n for n in range(start + 1, len(paragraphs)) if paragraphs[n].startswith("## "))
        del paragraphs[start : next(rest, len(paragraphs))]
    return "\n\n".join([*paragraphs, HEADING, *_facts(record, pooling)]) + "\n"


def _facts(record: CalibrationSlides, pooling: Pooling) -> Iterator[str]:
    """Paragraphs: the promise, what it rests on."""
    yield level_words(record, pooling)
    counts = ", ".join(f"{label} {count}" for label, count in record.patients.items())
    rule = "mean of the tiles" if pooling.kind == "mean" else f"linear, fitted on {pooling.slides} slides"
    yield (
        f"Slides, one of each patient: {counts}. Sites: {_listed(record.sites)}. Scanners: "
        f"{_listed(record.scanners)}. Pooling: {rule}. How the slides were read: {_read(record)}. A slide of "
        "another site or scanner, or one read otherwise, is no draw from these, and its answer says so."
    )


def level_words(record: CalibrationSlides, pooling: Pooling) -> str:
    """What the sets promise, in a sentence or two."""
    if min(record.patients.values()) < FEWEST_OF_A_CLASS:
        counts = ", ".join(f"{label} {count}" for label, count in record.patients.items())
        return (
            f"Uncalibrated: sets need {FEWEST_OF_A_CLASS} slides of each label, there are {counts}. Slide "
            "answers have no stated error."
        )
    promise = promise_of(record, pooling)
    words = basis_words(promise, record.patients)
    return f"A set of labels holds the truth in {percent(promise.level, None)} of patients ({words})."


def _read(record: CalibrationSlides) -> str:
    return "; ".join(f"{name}: {words}" for name, words in protocol_words(record.protocol).items())


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(map(shown, names)) if names else "not stated"


def report(calibrated: Calibrated, name: str) -> str:
    """The report of a calibration as Markdown. name: of the model, for people."""
    blocks = [
        f"# Calibration of {name}",
        f"**{RESEARCH_USE}**",
        *_facts(calibrated.record, calibrated.pooling),
        "\n".join(_classes(calibrated)),
    ]
    if calibrated.enough:
        blocks.append("\n".join(_sets(calibrated)))
    if calibrated.left_out:
        names = ", ".join(f"{slide.name} ({slide.label})" for slide in calibrated.left_out)
        blocks.append(f"Not assessable, and so left out: {len(calibrated.left_out)} slides: {names}.")
    if not calibrated.checked:
        blocks.append(UNCHECKED)
    if calibrated.unsigned:
        blocks.append(UNSIGNED)
    return "\n\n".join(blocks) + "\n"


def _classes(calibrated: Calibrated) -> Iterator[str]:
    fitted = calibrated.pooling.kind != "mean"
    rows = []
    for label, count in calibrated.record.patients.items():
        low = "-"
        if calibrated.enough and not fitted:
            low = percent(lowest_level(count, calibrated.record.alpha))
        own = [s for s, one in zip(calibrated.sets, calibrated.slides, strict=True) if one.label == label]
        single = sum(len(labels) == 1 for labels in own)
        rows.append((label, count, low, f"{single} of {count}" if calibrated.enough else "-"))
    yield from markdown(("label", "slides", "5 % of calibrations are below", "single labels"), rows)


def _sets(calibrated: Calibrated) -> Iterator[str]:
    """How useful the sets are: on the calibration slides themselves, which says nothing of coverage."""
    sets, labels = calibrated.sets, calibrated.record.patients
    n = len(sets)
    every = sum(len(one) == len(labels) for one in sets)
    none = sum(not one for one in sets)
    single = sum(len(one) == 1 for one in sets)
    yield "Sets of the calibration slides; only other slides show how often they hold the truth:"
    yield ""
    yield from markdown(
        ("what", "value"),
        (
            ("mean set size", f"{sum(map(len, sets)) / n:.2f}"),
            ("single labels", f"{single} of {n} ({percent(single / n)})"),
            ("all labels, which is no answer", f"{every} of {n} ({percent(every / n)})"),
            ("no label, which is not assessable", f"{none} of {n} ({percent(none / n)})"),
        ),
    )
