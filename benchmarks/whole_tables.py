"""Table and pictures of `whole.py`: each way over a large and a small slide."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Any

from speed import bars, where
from whole_ways import REFERENCE, SETTLED

from her2edge.tables import markdown
from her2edge.text import percent

COLUMNS = (
    "", "tiles/s", "after the start", "s in all", "s to the start", "s to the first tile", "memory, MB",
    "installed, MB", "probabilities differ by",
)  # fmt: skip


def whole(found: dict[str, Any]) -> Iterator[str]:
    """A table for each slide, what is different about a way, and why one is left out."""
    told = [way["versions"].items() for way in found["installed"].values()]
    versions = sorted({f"{name} {version}" for items in told for name, version in items})
    yield f"{where(found)}; SE-ResNet50, weights {found['weights']}; {', '.join(versions)}."
    for size, one in found["slides"].items():
        yield ""
        yield (
            f"The {size} slide ({one['slide']}, {one['mb']:,} MB, {one['whole']:,} places): "
            f"{one['tissue']:,} tissue tiles of {one['looked_at']:,} places, {_turns(one)}:"
        )
        yield ""
        yield from markdown(COLUMNS, [_row(name, found, one) for name in one["ran"]])
        yield ""
        yield from _notes(found, one)
        if "picture" in one:
            yield ""
            yield f"![Tiles per second of each way over the {size} slide]({one['picture']})"


def _turns(one: dict[str, Any]) -> str:
    turns = max(map(len, one["ran"].values()), default=0)
    return "one turn" if turns == 1 else f"medians of {turns} turns"


def _row(name: str, found: dict[str, Any], one: dict[str, Any]) -> tuple[str, ...]:
    took = {key: median(turn[key] for turn in one["ran"][name]) for key in one["ran"][name][0]}
    differs = one["differs"].get(name)
    return (
        f"{name} (another kind of answer)" if name == SETTLED else name,
        f"{rate(name, one):.2f}",
        f"{_tiles(name, one) / (took['seconds'] - took['start']):.2f}",
        f"{took['seconds']:.1f}",
        f"{took['start']:.1f}",
        f"{took['first']:.1f}",
        f"{took['peak_mb']:.0f}",
        _installed(found["installed"][name]),
        "-" if differs is None else f"{differs:.3f}",
    )


def _installed(way: dict[str, Any]) -> str:
    return f"{way['mb']:,.0f}" + (f", {way['cuda_mb']:,.0f} of it CUDA" if way["cuda_mb"] else "")


def _tiles(name: str, one: dict[str, Any]) -> int:
    """Tissue tiles that a way classified."""
    tiles: int = one["settled"]["classified"] if name == SETTLED else one["tissue"]
    return tiles


def rate(name: str, one: dict[str, Any]) -> float:
    """Tissue tiles a second of the whole process, the median of its turns."""
    return _tiles(name, one) / median(turn["seconds"] for turn in one["ran"][name])


def _notes(found: dict[str, Any], one: dict[str, Any]) -> Iterator[str]:
    if SETTLED in one["ran"] and one["settled"]:
        yield _settled(found, one)
    for name, reason in one["left_out"].items():
        yield f"{name} is left out: {reason}."
    if REFERENCE not in one["ran"]:
        yield "Nothing says that the ways classified alike: what they are held against is left out."


def _settled(found: dict[str, Any], one: dict[str, Any]) -> str:
    settled = one["settled"]
    reads = (
        f"`--until-settled` ({found['settled_model']}) reads places of the whole slide in random order: "
        f"{settled['seen']:,} of {one['whole']:,}"
    )
    if settled["seen"] == one["whole"]:
        return f"{reads}, all of them, as nothing was settled before."
    error = percent(settled["error"])
    promise = f"reading on would change the answer of at most {error} of slides"
    return f"{reads}. {'Then' if settled['settled'] else 'It is not settled that'} {promise}."


def pictures_of(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(path from this folder, SVG) for each slide."""
    for size, one in found["slides"].items():
        rows = [(name, rate(name, one)) for name in one["ran"] if name != SETTLED]
        title = f"{where(found)}: tiles per second, {size} slide"
        yield one["picture"], bars(title, rows, decimals=2)


def show(found: dict[str, Any]) -> None:
    """The table on the terminal."""
    from harness import machine

    print("\n".join(whole({"machine": machine(), **found})))
