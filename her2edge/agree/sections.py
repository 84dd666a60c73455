"""What a kit's page says, part by part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from her2edge.agree.blocks import Cell, Link, Page, Section, Table
from her2edge.agree.compare import Agreement
from her2edge.agree.drift import ERROR, FEWEST, Drift, DriftLine
from her2edge.agree.kit import Kit
from her2edge.agree.records import NO_LABEL, SlideRecord
from her2edge.agree.remarks import remarks
from her2edge.agree.words import counted_words, days, kappa_cells, share_cells
from her2edge.model.protocol import protocol_words
from her2edge.text import percent

SIGN = ("Name", "Role", "Date", "Signature")
STATEMENT = (
    "I have looked at this page and at the slides that did not agree. As far as I know, the model neither "
    "learnt from any of these patients nor was calibrated on them. Research use only: signing says that the "
    "figures were seen, not that the answers may be used for patients."
)

MISSES = (
    "Of all means: whoever has no single label as answer (ambiguous, not assessable, no results) counts as a "
    "miss, for specificity too. Of those with one label means: such patients are left out."
)


def kit_page(kit: Kit) -> Page:
    """The whole page, whatever it is written as."""
    title = "Agreement with known scores" if kit.agreement else "Slides beside a baseline"
    return Page(title, kit.notice, tuple(_sections(kit)), SIGN, STATEMENT)


def _sections(kit: Kit) -> Iterator[Section]:
    flagged = [line.words for line in kit.drift.flagged] if kit.drift else []
    if words := (*flagged, *remarks(kit)):
        yield Section("Look at this first", words, warning=True)
    yield _what_was_run(kit)
    yield _accounts(kit)
    yield from _places(kit)
    if kit.agreement is None:
        yield Section("Agreement", (f"Agreement is not computed: {kit.no_agreement}.",))
    else:
        yield from _agreement(kit.agreement, kit)
    if kit.drift is not None:
        yield _drift(kit.drift)
    yield from _slides(kit)


def _what_was_run(kit: Kit) -> Section:
    by = kit.read_by
    sets = "uncalibrated: an answer is the label of the largest mean probability, without a stated error"
    if by.calibration is not None:
        numbers = ", ".join(f"{label} {count}" for label, count in by.calibration.items())
        sets = f"calibrated on {numbers} patients"
        sets += "" if by.error is None else f"; a set misses at most {percent(by.error, None)}"
    rows = (
        ("model", f"{by.name} {by.version} ({by.scheme})"),
        ("SHA-256 of the model file", by.sha256),
        ("her2edge", ", ".join(by.versions)),
        ("computed by", ", ".join(by.runtimes)),
        *protocol_words(by.protocol).items(),
        ("prediction sets", sets),
        ("slides were read on", days(by.first, by.last)),
        ("list of slides", f"{kit.cohort.name} ({counted_words(kit.cohort.rows, 'slide')})"),
        ("SHA-256 of the list", kit.cohort.sha256),
    )
    return Section("What was run", (), Table(("", ""), rows))


def _accounts(kit: Kit) -> Section:
    """Every row of the list stands in one line of this table."""
    counted = [one for one in kit.slides if one.counts]
    answers = Counter("one label" if one.single else one.answer for one in counted)
    others = len(kit.slides) - len(counted)
    rows = [(answer, str(answers[answer])) for answer in ("one label", *NO_LABEL)]
    rows += [("another slide of a patient who is counted", str(others))] if others else []
    rows += [("all rows of the list", str(len(kit.slides)))]
    lines: tuple[str, ...] = (
        "One slide of each patient is counted: the first of the list that has a score.",
    )
    unknown = sum(one.label is None for one in counted)
    if kit.agreement is not None and unknown:
        lines += (f"Of those counted, {unknown} have no known score and are compared with nothing.",)
    return Section("Every slide of the list", lines, Table(("answer", "slides"), tuple(rows), 1))


def _places(kit: Kit) -> Iterator[Section]:
    counts = Counter((one.site or "not stated", one.scanner or "not stated") for one in kit.slides)
    rows = tuple((site, scanner, str(count)) for (site, scanner), count in sorted(counts.items()))
    yield Section("Sites and scanners", (), Table(("site", "scanner", "slides"), rows, 2))


def _agreement(made: Agreement, kit: Kit) -> Iterator[Section]:
    positive, single = made.positive, "of those with one label as answer"
    rows: list[tuple[str, ...]] = [
        ("agreement, of all patients", *share_cells(made.agreed)),
        (f"agreement, {single}", *share_cells(made.agreed_of_single)),
        (f"Cohen's kappa, {single}", *kappa_cells(made.kappa)),
        (f"quadratic weighted kappa, {single}", *kappa_cells(made.weighted_kappa)),
        (f"sensitivity for {positive}, of all", *share_cells(made.sensitivity)),
        (f"sensitivity for {positive}, {single}", *share_cells(made.sensitivity_of_single)),
        (f"specificity for {positive}, of all", *share_cells(made.specificity)),
        (f"specificity for {positive}, {single}", *share_cells(made.specificity_of_single)),
        ("one label as answer", *share_cells(made.single)),
        ("ambiguous", *share_cells(made.ambiguous)),
        ("not assessable", *share_cells(made.not_assessable)),
        ("no results", *share_cells(made.no_results)),
    ]
    yield Section(
        "Agreement",
        (MISSES,
         ("Intervals of shares are exact (Clopper and Pearson); that of kappa is drawn from the table with "
         "one patient more, spread evenly, so that it does not vanish if all agree.")),
        Table(("", "patients", "value", "95 % interval"), tuple(rows), 1),
    )  # fmt: skip
    yield _by_label(made)
    yield _confusion(made)
    if made.covered is not None:
        yield _sets(made, kit)


def _by_label(made: Agreement) -> Section:
    rows = tuple(
        (label, *share_cells(one.agreed), *share_cells(one.agreed_of_single))
        for label, one in made.by_label.items()
    )
    columns = (
        "known", "agreed, of all", "share", "95 % interval", "agreed, of one label", "share", "95 % interval",
    )  # fmt: skip
    return Section("By known label", (), Table(columns, rows, 1))


def _confusion(made: Agreement) -> Section:
    rows = tuple(
        (label, *(str(count) for count in answers.values()), str(sum(answers.values())))
        for label, answers in made.confusion.items()
    )
    columns = next(iter(made.confusion.values()))
    lines = ("Rows: the known label. Columns: the answer.",)
    return Section("Confusion matrix", lines, Table(("known", *columns, "all"), rows, 1))


def _sets(made: Agreement, kit: Kit) -> Section:
    rows = [(label, *share_cells(one.covered)) for label, one in made.by_label.items() if one.covered]
    if made.covered is not None:
        rows.append(("all", *share_cells(made.covered)))
    error = kit.read_by.error
    promised = "not stated" if error is None else percent(1 - error)
    lines = [
        (
            f"How often the set of labels holds the known one; promised: {promised}, "
            "for patients like those of the calibration."
        ),
        (
            f"A set has {made.set_size:.2f} labels on average. "
            f"{counted_words(made.all_labels, 'set holds', 'sets hold')} every label, which is no answer."
        ),
    ]
    return Section(
        "Prediction sets", tuple(lines), Table(("known", "held", "share", "95 % interval"), tuple(rows), 1)
    )


def _drift(drift: Drift) -> Section:
    rows = tuple(
        (line.what, _figure(line, line.before, line.before_of), _figure(line, line.now, line.now_of),
         _difference(line), _verdict(line))
        for line in drift.lines
    )  # fmt: skip
    lines = (
        f"Baseline: slides read on {days(drift.first, drift.last)}; its agree.json: {drift.baseline[:12]}.",
        (
            f"A line is flagged where the {percent(drift.level, 1)} interval of the difference excludes 0 "
            "and the difference is five points of a share, or a tenth of an optical density, at least. Below "
            f"{FEWEST} slides on either side nothing is judged. "
            f"By chance alone at most {percent(ERROR)} of months have a flag."
        ),
        "Shares of tiles and optical densities are means over slides; all others are shares of patients.",
    )
    columns = ("", "baseline", "now", f"{percent(drift.level, 1)} interval of the difference", "")
    return Section("Beside the baseline", lines, Table(columns, rows, 1))


def _figure(line: DriftLine, value: float | None, of: int) -> str:
    return "not measured" if value is None else f"{line.figure(value)} ({of})"


def _difference(line: DriftLine) -> str:
    if line.interval is None:
        return "-"
    low, high = line.interval.low, line.interval.high
    if line.kind == "density":
        return f"{low:+.2f} to {high:+.2f}"
    return f"{100 * low:+.1f} to {100 * high:+.1f} points"


def _verdict(line: DriftLine) -> str:
    if not line.judged:
        return "not judged"
    return "look" if line.flagged else "as before"


def _slides(kit: Kit) -> Iterator[Section]:
    """The slides to look at, then those that were not counted."""
    demo = kit.read_by.demo
    columns = ("row", "slide", "patient", "site", "known", "answer", "reasons")
    if kit.agreement is not None:
        apart = [one for one in kit.slides if one.counts and one.agrees is False]
        rows = tuple(_row(one.named(demo)) for one in apart)
        words = ("Every patient agreed.",) if not apart else ()
        yield Section("Slides that did not agree", words, Table(columns, rows) if rows else None)
    rest = [one for one in kit.slides if not one.counts]
    if rest:
        rows = tuple(_row(one.named(demo)) for one in rest)
        yield Section("Other slides of a patient who is counted", (), Table(columns, rows))


def _row(one: SlideRecord) -> tuple[Cell, ...]:
    name: Cell = one.slide if one.page is None else Link(one.slide, one.page)
    answer = " or ".join(one.labels) or one.answer
    reasons = one.why or ", ".join(reason.replace("_", " ") for reason in one.reasons)
    return str(one.row), name, one.patient, one.site, one.score, answer, reasons
