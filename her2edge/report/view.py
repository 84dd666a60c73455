"""What a page shows, as the template reads it: texts, numbers and pictures, nothing to compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from her2edge.model.classes import LabelClass
from her2edge.report import words
from her2edge.report.choose import Choice
from her2edge.report.gallery import Shot
from her2edge.report.inks import ink_on
from her2edge.report.pictures import TILE_BYTES, TILE_PX, jpeg_uri, shrunk
from her2edge.results.read_back import Results
from her2edge.text import percent
from her2edge.tile import Outcome


@dataclass(frozen=True)
class Naming:
    """What the slide is called on the page. hidden: `shown` is a pseudonym, and no file is named."""

    shown: str
    hidden: bool

    def error(self, text: str) -> str:
        """An error that may name files: the slide's, parts of it, tiles."""
        return words.WITHHELD if self.hidden else text

    def tile(self, results: Results, number: int) -> str:
        """Where a tile is: its place, or of a folder of tiles its file."""
        one = results.tiles[number]
        if results.summary.slide.step is not None:
            return f"x {words.number(one.x)}, y {words.number(one.y)}"
        return f"tile {number + 1}" if self.hidden else one.slide


@dataclass(frozen=True)
class Swatch:
    """A class: label, name, letter, colour as `#rrggbb` and the ink that can be read on it."""

    label: str
    name: str
    mark: str
    colour: str
    ink: str


@dataclass(frozen=True)
class ShareRow:
    """A class's part of the slide. share, low, high: 0..100, of the bar; words: the same as text."""

    swatch: Swatch
    share: float
    low: float | None
    high: float | None
    words: str
    mean: str


@dataclass(frozen=True)
class Count:
    """A line of the account. inner: it is a part of the line above."""

    what: str
    count: int
    inner: bool = False


@dataclass(frozen=True)
class TileView:
    """A tile of the gallery. key: `S1`, also on the picture of the slide; picture, overlay: data URIs or
    None; swatch: its class or None; at: its place; error: why something is missing."""

    key: str
    number: int
    at: str
    swatch: Swatch | None
    caption: str
    picture: str | None
    overlay: str | None
    explained: str
    error: str | None


@dataclass(frozen=True)
class LeftOut:
    """Tiles of one reason, and the first of them."""

    reason: str
    words: str
    count: int
    example: TileView


def swatches(classes: Sequence[LabelClass], marks: Mapping[str, str]) -> dict[str, Swatch]:
    """By label."""
    return {
        one.label: Swatch(
            one.label, one.name, marks[one.label], "#{:02x}{:02x}{:02x}".format(*one.color), ink_on(one.color)
        )
        for one in classes
    }


def share_rows(results: Results, colours: Mapping[str, Swatch]) -> list[ShareRow]:
    """In the order of severity."""
    answer = results.summary.answer
    rows = []
    for label, one in answer.shares.items():
        low, high = (
            (None if one.low is None else 100 * one.low),
            (None if one.high is None else 100 * one.high),
        )
        interval = "no interval" if low is None or high is None else f"{low:.0f} to {high:.0f}"
        text = f"{percent(one.share)} ({interval})" if answer.tiles.pooled else "no tile votes"
        mean = f"{answer.probabilities[label]:.2f}" if answer.tiles.pooled else "-"
        rows.append(ShareRow(colours[label], 100 * one.share, low, high, text, mean))
    return rows


def account(results: Results) -> list[Count]:
    """Every tile of the slide, once: outer lines add up to all, inner ones to the line above them."""
    tiles = results.summary.answer.tiles
    lines = [Count("classified", tiles.outcomes[Outcome.CLASSIFIED]), Count("vote", tiles.pooled, True)]
    lines += [
        Count(f"left out: {words.why(why)}", count, True) for why, count in tiles.left_out.items() if count
    ]
    lines.append(Count("background", tiles.outcomes[Outcome.BACKGROUND]))
    told = {words.why(kind): count for kind, count in tiles.background.items() if count}
    rest = tiles.outcomes[Outcome.BACKGROUND] - sum(told.values())
    lines += [Count(kind, count, True) for kind, count in told.items()]
    if rest:
        lines.append(Count("not told apart", rest, True))
    for outcome in (Outcome.FAILED, Outcome.DROPPED, Outcome.CANCELLED):
        lines.append(Count(outcome.value, tiles.outcomes[outcome]))
    lines.append(Count(words.why("unread"), tiles.unread))
    return lines


def tile_views(
    results: Results,
    choice: Choice,
    shots: Mapping[int, Shot],
    colours: Mapping[str, Swatch],
    naming: Naming,
    letter: str,
) -> list[TileView]:
    """The tiles of one kind. letter: of their keys."""
    numbers = choice.most if letter == "S" else choice.doubtful
    return [
        _view(results, number, f"{letter}{nth}", shots, colours, naming)
        for nth, number in enumerate(numbers, start=1)
    ]


def left_out_views(
    results: Results,
    choice: Choice,
    shots: Mapping[int, Shot],
    colours: Mapping[str, Swatch],
    naming: Naming,
) -> list[LeftOut]:
    """One example of each reason."""
    return [
        LeftOut(why, words.why(why), count, _view(results, number, "", shots, colours, naming))
        for why, (number, count) in choice.left_out.items()
    ]


def _view(
    results: Results,
    number: int,
    key: str,
    shots: Mapping[int, Shot],
    colours: Mapping[str, Swatch],
    naming: Naming,
) -> TileView:
    one, shot = results.tiles[number], shots.get(number, Shot(number))
    picture = overlay = None
    explained = ""
    if shot.pixels is not None:
        small = shrunk(shot.pixels, TILE_PX)
        picture = jpeg_uri(small, TILE_BYTES)
        if shot.explanation is not None:
            overlay, explained = jpeg_uri(shot.explanation.overlay(small), TILE_BYTES), shot.explanation.label
    error = shot.error or one.error
    return TileView(
        key=key,
        number=number + 1,
        at=naming.tile(results, number),
        swatch=None if one.label is None else colours[one.label],
        caption=_chances(results, number),
        picture=picture,
        overlay=overlay,
        explained=explained,
        error=None if error is None else naming.error(error),
    )


def _chances(results: Results, number: int) -> str:
    """The probabilities of the two likeliest classes, "3+ 0.531, 0/1+ 0.466"."""
    chances = results.tiles[number].probabilities
    if chances is None:
        return ""
    both = sorted(zip(chances.tolist(), results.labels, strict=True), reverse=True)[:2]
    return ", ".join(f"{label} {chance:.3f}" for chance, label in both)
