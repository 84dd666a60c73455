"""The tables of an evaluation as Markdown: Table II, the classes, and the protocols side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from her2edge.tables import markdown
from her2edge.tile import RESEARCH_USE
from her2edge_training.evaluation.collate import Result
from her2edge_training.evaluation.scores import Evaluation

PROTOCOLS = {
    "tile-random": "tile-random (the paper's)",
    "slide-grouped": "slide-grouped",
    "site-held-out": "leave one site out",
}
# What each column says; only of columns that are there.
CAUTIONS = {
    "tile-random": "Tile-random puts tiles of one slide on both sides and so says how well a network knows "
    "slides it has seen.",
    "slide-grouped": "The next patient gets what the slide-grouped column says.",
    "site-held-out": "A new scanner or laboratory gets what the column of leave one site out says.",
}
_HELD_OUT = {"tile-random": "tile", "slide-grouped": "slide", "site-held-out": "site"}
TOO_FEW = "too few patients for an interval"
_ABOVE = (
    "above chance, the whole interval: the network sees which laboratory and scanner a tile is from, and may "
    "use it."
)
_NOT_ABOVE = "not shown to be above chance. That does not show that the network cannot tell."


def to_markdown(results: Sequence[Result]) -> str:
    """The whole report; it ends with the research-use notice."""
    blocks = [_table_two(results)]
    if len({(result.recipe, result.protocol) for result in results}) > len({r.recipe for r in results}):
        blocks.append(_side_by_side(results))
    blocks.append(_slides(results))
    if any(result.site_probe for result in results):
        blocks.append(_sites(results))
    blocks += [block for result in results for block in (_classes(result), _slide_classes(result))]
    return "\n\n".join("\n".join(block) for block in blocks) + f"\n\n{RESEARCH_USE}\n"


def _table_two(results: Sequence[Result]) -> Iterator[str]:
    yield "## Tile-level accuracy, %"
    yield ""
    yield from markdown(
        (
            "network", "protocol", "train", "test", "95 % interval", "tiles", "slides", "ECE",
            "ECE, calibrated",
        ),
        (_row(result, result.evaluation) for result in results),
    )  # fmt: skip


def _row(result: Result, scores: Evaluation) -> tuple[object, ...]:
    return (
        result.recipe,
        PROTOCOLS[result.protocol],
        _percent(result.train_accuracy),
        _percent(scores.accuracy),
        _interval(scores),
        scores.tiles,
        scores.slides,
        f"{scores.ece:.3f}",
        f"{scores.ece_calibrated:.3f}",
    )


def _side_by_side(results: Sequence[Result]) -> Iterator[str]:
    present = [name for name in PROTOCOLS if any(result.protocol == name for result in results)]
    scores = {(result.recipe, result.protocol): result.evaluation for result in results}
    *others, last = (f"by {_HELD_OUT[name]}" for name in present)
    ways = " and ".join([", ".join(others), last] if others else [last])
    yield f"## The same network, held out {ways}"
    yield ""
    yield from markdown(
        ("network", *(PROTOCOLS[name] for name in present)),
        (
            (recipe, *(_accuracy(scores.get((recipe, name))) for name in present))
            for recipe in dict.fromkeys(result.recipe for result in results)
        ),
    )
    yield ""
    yield " ".join(CAUTIONS[name] for name in present)


def _classes(result: Result) -> Iterator[str]:
    yield f"## {result.recipe}, {PROTOCOLS[result.protocol]}: classes"
    yield ""
    yield from markdown(
        ("class", "tiles", "recall", "precision", "one-vs-rest accuracy", "AUC"),
        (
            (
                one.label,
                one.tiles,
                _percent(one.recall),
                _percent(one.precision),
                _percent(one.one_vs_rest_accuracy),
                "-" if one.auc is None else f"{one.auc:.3f}",
            )
            for one in result.evaluation.classes
        ),
    )


def _slides(results: Sequence[Result]) -> Iterator[str]:
    yield "## Slide answers"
    yield ""
    yield (
        "The class of the largest mean probability of a slide's held-out tiles, against its score: a weak "
        "label, of the whole slide. Every tile votes; the SDK leaves out what it cannot trust, this does not."
    )
    yield ""
    yield from markdown(
        ("network", "protocol", "slides", "patients", "agree", "agreement, %", "95 % interval by patient"),
        (
            (
                result.recipe,
                PROTOCOLS[result.protocol],
                result.slides.slides,
                result.slides.patients,
                result.slides.right,
                "-" if result.slides.agreement is None else _percent(result.slides.agreement),
                "-" if result.slides.interval is None else _ends(result.slides.interval),
            )
            for result in results
        ),
    )
    if any(result.slides.shared for result in results):
        yield ""
        yield (
            "Tile-random: training had other tiles of these very slides, so that these are no answers of new "
            "patients."
        )
    mixed = sum(result.slides.mixed for result in results)
    if mixed:
        yield ""
        yield f"Left out: {mixed} slides whose tiles have more than one label: they have no score."


def _slide_classes(result: Result) -> Iterator[str]:
    """Slides by their score, and what they were called."""
    slides = result.slides
    leaky = ", slides that training knows" if slides.shared else ""
    yield f"## {result.recipe}, {PROTOCOLS[result.protocol]}: slides{leaky}"
    yield ""
    yield from markdown(
        ("score", "slides", "agree", "95 % interval", *(f"called {one.label}" for one in slides.classes)),
        (
            (one.label, one.slides, one.right, "-" if one.interval is None else _ends(one.interval), *row)
            for one, row in zip(slides.classes, slides.confusion, strict=True)
        ),
    )


def _sites(results: Sequence[Result]) -> Iterator[str]:
    yield "## Can the site be told from the features?"
    yield ""
    yield from markdown(
        ("network", "protocol", "balanced accuracy of a linear probe, %", "95 % interval", "chance"),
        (
            (
                result.recipe,
                PROTOCOLS[result.protocol],
                _percent(result.site_probe.balanced_accuracy),
                _ends(result.site_probe.interval),
                _percent(result.site_probe.chance),
            )
            for result in results
            if result.site_probe is not None
        ),
    )
    yield ""
    for above, sentence in ((True, _ABOVE), (False, _NOT_ABOVE)):
        names = [
            f"{result.recipe} ({result.protocol})"
            for result in results
            if result.site_probe is not None and result.site_probe.above_chance is above
        ]
        if names:
            yield f"{', '.join(names)}: {sentence}"


def _accuracy(scores: Evaluation | None) -> str:
    return "-" if scores is None else f"{_percent(scores.accuracy)} ({_interval(scores)})"


def _interval(scores: Evaluation) -> str:
    return TOO_FEW if scores.interval is None else _ends(scores.interval)


def _ends(interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{_percent(low)}..{_percent(high)}"


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"
