"""The class map as vectors: tiles as paths, letters, what was left out hatched, what was not read veiled."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from her2edge.report.choose import why_left_out
from her2edge.results.slide_info import SlideInfo
from her2edge.tile import Outcome, TileResult

WIDTH, HEIGHT = 510.0, 680.0  # px, at most, of one of the two pictures side by side
STRENGTHS = (0.25, 0.42, 0.6)  # opacity of tiles that are little, rather and very sure
LETTER_GAP, SPARSE_GAP = (
    16.0,
    26.0,
)  # px, at least, from letter to letter; where not every tile has room for one
ALIKE = 0.6  # of the squares that a letter stands for
MOST_SQUARES = 22_000

Place = tuple[int, int]  # column, row


@dataclass(frozen=True)
class Frame:
    """Level-0 pixels as pixels of the page. scale: page pixels of one; step: side of a tile, page pixels."""

    width: float
    height: float
    scale: float
    step: float
    columns: int
    rows: int

    @classmethod
    def of(cls, slide: SlideInfo) -> Frame | None:
        """None for a folder of tiles, which has no places."""
        if not (slide.width and slide.height and slide.step and slide.columns and slide.rows):
            return None
        scale = min(WIDTH / slide.width, HEIGHT / slide.height)
        return cls(
            slide.width * scale, slide.height * scale, scale, slide.step * scale, slide.columns, slide.rows
        )

    def place(self, tile: TileResult) -> Place:
        """Column and row of a tile."""
        return round(tile.x * self.scale / self.step), round(tile.y * self.scale / self.step)

    def centre(self, place: Place) -> tuple[float, float]:
        """Of a tile, page pixels; inside the slide, where the tile lies partly outside."""
        across, down = ((number + 0.5) * self.step for number in place)
        return min(across, self.width), min(down, self.height)


@dataclass(frozen=True)
class Painted:
    """Squares of one class and strength: a path in columns and rows of squares."""

    label: str
    strength: float
    path: str


@dataclass(frozen=True)
class Letter:
    """x, y: page pixels of its middle. out: it is a reason's, not a class's."""

    x: str
    y: str
    text: str
    out: bool


@dataclass(frozen=True)
class ClassMap:
    """tiles: that a square has on a side, 1 for slides of ordinary size; side: of a square, page pixels.

    left_out, failed, unread, outside (the regions): paths in columns and rows of squares, to be filled by
    even and odd, empty where there are none. sparse: a letter stands for several squares.
    """

    frame: Frame
    tiles: int
    side: float
    painted: tuple[Painted, ...]
    left_out: str
    failed: str
    unread: str
    outside: str
    letters: tuple[Letter, ...]
    sparse: bool


@dataclass(frozen=True)
class _Kind:
    """What became of a tile: word: its label, or why it has none; "" for background."""

    word: str
    strength: float = 0.0


def draw_map(
    tiles: Sequence[TileResult],
    frame: Frame,
    labels: Sequence[str],
    marks: Mapping[str, str],
    *,
    partly: bool,
    inside: Sequence[Place] | None = None,
) -> ClassMap:
    """marks: the letter of each label and reason. partly: places were left unread. inside: the places that
    were to be read, row by row; None: all.

    Where tiles are too many for a page, a square is what most tiles of a block of them are.
    """
    block = max(1, math.ceil(math.sqrt(frame.columns * frame.rows / MOST_SQUARES)))
    squares = _squares(tiles, frame, len(labels), block)
    side = frame.step * block
    by_kind: dict[_Kind, list[Place]] = defaultdict(list)
    for place, kind in squares.items():
        by_kind[kind].append(place)
    painted = tuple(
        Painted(label, strength, path_of(by_kind[kind]))
        for label in labels
        for strength in STRENGTHS
        if (kind := _Kind(label, strength)) in by_kind
    )
    lost = {one.value for one in Outcome}
    out = [place for place, kind in squares.items() if kind.word not in {*labels, *lost, ""}]
    failed = [place for place, kind in squares.items() if kind.word in lost]
    every = max(1, math.ceil((LETTER_GAP if side >= LETTER_GAP else SPARSE_GAP) / side))
    letters = tuple(_letters(squares, frame, side, every, set(labels), marks))
    whole = f"M0 0h{math.ceil(frame.columns / block)}v{math.ceil(frame.rows / block)}H0z"
    outside, unread = "", whole + path_of(squares)
    if inside is not None:
        chosen = dict.fromkeys((column // block, row // block) for column, row in inside)
        ordered = sorted(chosen, key=_row_by_row)
        outside, unread = whole + path_of(ordered), path_of(one for one in ordered if one not in squares)
    if not partly:
        unread = ""
    return ClassMap(
        frame, block, side, painted, path_of(out), path_of(failed), unread, outside, letters, every > 1
    )


def _row_by_row(place: Place) -> Place:
    return place[1], place[0]


def _squares(tiles: Sequence[TileResult], frame: Frame, classes: int, block: int) -> dict[Place, _Kind]:
    """What each square shows, row by row; `block` tiles on a side."""
    kinds: dict[Place, Counter[_Kind]] = defaultdict(Counter)
    for one in tiles:
        column, row = frame.place(one)
        kinds[column // block, row // block][_kind(one, classes)] += 1
    ordered = sorted(kinds, key=_row_by_row)
    return {place: kinds[place].most_common(1)[0][0] for place in ordered}


def _kind(one: TileResult, classes: int) -> _Kind:
    if one.outcome is Outcome.BACKGROUND:
        return _Kind("")
    if one.pooled and one.label is not None:
        return _Kind(one.label, _strength(one.confidence or 0.0, classes))
    return _Kind(why_left_out(one) or "")


def path_of(places: Iterable[Place]) -> str:
    """SVG path of unit squares, a rectangle for each run in a row; places in the order of the grid."""
    runs: list[list[int]] = []
    for column, row in places:
        if runs and runs[-1][1] == row and runs[-1][0] + runs[-1][2] == column:
            runs[-1][2] += 1
        else:
            runs.append([column, row, 1])
    return "".join(f"M{column} {row}h{count}v1h-{count}z" for column, row, count in runs)


def _strength(confidence: float, classes: int) -> float:
    sureness = (confidence - 1 / classes) / (1 - 1 / classes)
    return STRENGTHS[min(2, max(0, int(3 * sureness)))]


def _letters(
    squares: Mapping[Place, _Kind],
    frame: Frame,
    side: float,
    every: int,
    labels: set[str],
    marks: Mapping[str, str],
) -> Iterable[Letter]:
    """One letter in each block of `every` squares across and down, where most of them are alike."""
    blocks: dict[Place, list[Place]] = defaultdict(list)
    for place in squares:
        blocks[place[0] // every, place[1] // every].append(place)
    for (column, row), places in blocks.items():
        words = Counter(squares[place].word for place in places)
        word = words.most_common(1)[0][0]
        if not word or words[word] < ALIKE * len(places):
            continue
        middle = (column + 0.5) * every - 0.5, (row + 0.5) * every - 0.5
        alike = (one for one in places if squares[one].word == word)
        nearest = min(alike, key=lambda one: (math.dist(one, middle), one))
        x, y = ((number + 0.5) * side for number in nearest)
        x, y = min(x, frame.width - 5), min(y, frame.height - 6)
        yield Letter(f"{x:.1f}", f"{y:.1f}", marks[word], word not in labels)
