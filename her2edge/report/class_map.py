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
LETTER_GAP = 16.0  # px, at least, from one letter to the next

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
    """Tiles of one class and strength: a path in columns and rows."""

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
    """left_out, failed, unread: paths in columns and rows, empty where there are none."""

    frame: Frame
    painted: tuple[Painted, ...]
    left_out: str
    failed: str
    unread: str
    letters: tuple[Letter, ...]
    sparse: bool


def draw_map(
    tiles: Sequence[TileResult],
    frame: Frame,
    labels: Sequence[str],
    marks: Mapping[str, str],
    *,
    partly: bool,
) -> ClassMap:
    """marks: the letter of each label and reason. partly: places were left unread."""
    kinds: dict[tuple[str, float], list[Place]] = defaultdict(list)
    left_out: list[Place] = []
    failed: list[Place] = []
    lettered: dict[Place, str] = {}
    for one in tiles:
        place = frame.place(one)
        if one.pooled and one.label is not None:
            kinds[one.label, _strength(one.confidence or 0.0, len(labels))].append(place)
            lettered[place] = one.label
        elif one.outcome is Outcome.CLASSIFIED:
            left_out.append(place)
            lettered[place] = why_left_out(one) or ""
        elif one.outcome is not Outcome.BACKGROUND:
            failed.append(place)
            lettered[place] = one.outcome.value
    painted = tuple(
        Painted(label, strength, path_of(kinds[label, strength]))
        for label in labels
        for strength in STRENGTHS
        if kinds[label, strength]
    )
    every = max(1, math.ceil(LETTER_GAP / frame.step))
    letters = tuple(_letters(lettered, frame, every, set(labels), marks))
    unread = _holes(tiles, frame) if partly else ""
    return ClassMap(frame, painted, path_of(left_out), path_of(failed), unread, letters, every > 1)


def path_of(places: Iterable[Place]) -> str:
    """SVG path of unit squares, a rectangle for each run in a row; places in the order of the grid."""
    runs: list[list[int]] = []
    for column, row in places:
        if runs and runs[-1][1] == row and runs[-1][0] + runs[-1][2] == column:
            runs[-1][2] += 1
        else:
            runs.append([column, row, 1])
    return "".join(f"M{column} {row}h{count}v1h-{count}z" for column, row, count in runs)


def _holes(tiles: Iterable[TileResult], frame: Frame) -> str:
    whole = f"M0 0h{frame.columns}v{frame.rows}h-{frame.columns}z"
    return whole + path_of(map(frame.place, tiles))


def _strength(confidence: float, classes: int) -> float:
    sureness = (confidence - 1 / classes) / (1 - 1 / classes)
    return STRENGTHS[min(2, max(0, int(3 * sureness)))]


def _letters(
    lettered: Mapping[Place, str], frame: Frame, every: int, labels: set[str], marks: Mapping[str, str]
) -> Iterable[Letter]:
    """One letter in each block of `every` tiles across and down: that of most of its tiles."""
    blocks: dict[Place, list[Place]] = defaultdict(list)
    for place in lettered:
        blocks[place[0] // every, place[1] // every].append(place)
    for (column, row), places in blocks.items():
        words = Counter(lettered[place] for place in places)
        word = min(words, key=lambda one: (-words[one], one))
        middle = (column + 0.5) * every - 0.5, (row + 0.5) * every - 0.5
        nearest = min(
            (one for one in places if lettered[one] == word), key=lambda one: math.dist(one, middle)
        )
        x, y = frame.centre(nearest)
        yield Letter(f"{x:.1f}", f"{y:.1f}", marks[word], word not in labels)
