"""The tables of an evaluation as Markdown: Table II, the classes, and the protocols side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from her2edge.tile import RESEARCH_USE
from her2edge_training.evaluation.collate import Result
from her2edge_training.evaluation.scores import Evaluation

PROTOCOLS = {
    "tile-random": "tile-random (the paper's)",
    "slide-grouped": "slide-grouped",
    "site-held-out": "leave one site out",
}
CAUTION = (
    "Tile-random puts tiles of one slide on both sides and so says how well a network knows slides it has "
    "seen; the next patient gets what the slide-grouped column says, a new scanner or laboratory what the "
    "last one says."
)


def to_markdown(results: Sequence[Result]) -> str:
    """The whole report; it ends with the research-use notice."""
    blocks = [_table_two(results)]
    if len({result.protocol for result in results}) > 1:
        blocks.append(_side_by_side(results))
    if any(result.site_probe for result in results):
        blocks.append(_sites(results))
    blocks += [_classes(result) for result in results]
    return "\n\n".join("\n".join(block) for block in blocks) + f"\n\n{RESEARCH_USE}\n"


def _table_two(results: Sequence[Result]) -> Iterator[str]:
    yield "## Tile-level accuracy, %"
    yield ""
    yield "| network | protocol | train | test | 95 % interval | tiles | slides | ECE | ECE, calibrated |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for result in results:
        found = result.evaluation
        yield (
            f"| {result.recipe} | {PROTOCOLS[result.protocol]} | {_percent(result.train_accuracy)} | "
            f"{_percent(found.accuracy)} | {_interval(found)} | {found.tiles} | {found.slides} | "
            f"{found.ece:.3f} | {found.ece_calibrated:.3f} |"
        )


def _side_by_side(results: Sequence[Result]) -> Iterator[str]:
    present = [name for name in PROTOCOLS if any(result.protocol == name for result in results)]
    yield "## The same network, held out by tile, by slide and by site"
    yield ""
    yield f"| network | {' | '.join(PROTOCOLS[name] for name in present)} |"
    yield f"|---|{'---|' * len(present)}"
    for recipe in dict.fromkeys(result.recipe for result in results):
        of_recipe = {r.protocol: r.evaluation for r in results if r.recipe == recipe}
        cells = [
            f"{_percent(of_recipe[name].accuracy)} ({_interval(of_recipe[name])})"
            if name in of_recipe
            else "-"
            for name in present
        ]
        yield f"| {recipe} | {' | '.join(cells)} |"
    yield ""
    yield CAUTION


def _classes(result: Result) -> Iterator[str]:
    yield f"## {result.recipe}, {PROTOCOLS[result.protocol]}: classes"
    yield ""
    yield "| class | tiles | recall | precision | one-vs-rest accuracy | AUC |"
    yield "|---|---|---|---|---|---|"
    for one in result.evaluation.classes:
        auc = "-" if one.auc is None else f"{one.auc:.3f}"
        yield (
            f"| {one.label} | {one.tiles} | {_percent(one.recall)} | {_percent(one.precision)} | "
            f"{_percent(one.one_vs_rest_accuracy)} | {auc} |"
        )


def _sites(results: Sequence[Result]) -> Iterator[str]:
    yield "## Can the site be told from the features?"
    yield ""
    yield "| network | protocol | balanced accuracy of a linear probe | chance |"
    yield "|---|---|---|---|"
    for result in results:
        if result.site_probe is not None:
            found = result.site_probe
            yield (
                f"| {result.recipe} | {PROTOCOLS[result.protocol]} | {_percent(found.balanced_accuracy)} | "
                f"{_percent(found.chance)} |"
            )
    yield ""
    yield "Far above chance: the network sees which laboratory and scanner a tile is from, and may use it."


def _interval(found: Evaluation) -> str:
    low, high = found.interval
    return f"{_percent(low)}..{_percent(high)}"


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"
