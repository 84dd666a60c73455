"""The class map: colour on tissue only, a pattern and a letter for each reason, a scale bar that is right."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2edge.quality import KEEPS_OUT
from her2edge.results import SlideInfo
from her2edge.results.class_map import BLEACH, VEIL, Inside, Places, draw_class_map, name_of, tissue_mask
from her2edge.results.hatching import PERIOD, hatching
from her2edge.results.legend import MARGIN, class_items, draw_legend, reason_items, unread_items
from her2edge.results.marks import REASONS, class_marks, reason_marks
from her2edge.results.scale_bar import PLATE, scale_bar, with_scale_bar
from her2edge.tile import Outcome, TileResult

COLOURS = {"0/1+": (69, 117, 180), "2+": (253, 174, 97), "3+": (215, 48, 39)}
SIDE = 100  # level-0 pixels, and pixels of the overview
TISSUE, GLASS = 120, 245


def info(columns: int, rows: int) -> SlideInfo:
    return SlideInfo(
        "s",
        "ab" * 32,
        0.5,
        width=SIDE * columns,
        height=SIDE * rows,
        step=float(SIDE),
        columns=columns,
        rows=rows,
    )


def tile(column: int, row: int, label: str | None = "3+", confidence: float = 1.0, **more: Any) -> TileResult:
    outcome = Outcome.BACKGROUND if label is None else Outcome.CLASSIFIED
    fields = {
        "outcome": outcome,
        "label": label,
        "confidence": confidence,
        "pooled": label is not None,
    } | more
    return TileResult("s", float(column * SIDE), float(row * SIDE), (float(SIDE), float(SIDE)), **fields)


def drawn(overview: Any, tiles: list[TileResult], slide: SlideInfo, **more: Any) -> Any:
    return draw_class_map(overview, Places.of(tiles, slide, tuple(COLOURS)), slide, COLOURS, **more).astype(
        int
    )


def half_glass() -> Any:
    overview = np.full((SIDE, SIDE, 3), TISSUE, np.uint8)
    overview[:, SIDE // 2 :] = GLASS
    return overview


def test_a_tiles_colour_lies_on_its_tissue_and_not_on_glass() -> None:
    picture = drawn(half_glass(), [tile(0, 0)], info(1, 1))
    expected = 0.35 * TISSUE + 0.65 * np.array(COLOURS["3+"])
    np.testing.assert_allclose(picture[10:40, 10:40], np.broadcast_to(expected, (30, 30, 3)), atol=1)
    assert (picture[10:40, 60:90] == GLASS).all()
    assert (picture[0] == COLOURS["3+"]).all(), "a line around it says how far the tile goes"


def test_a_tile_whose_overview_shows_no_tissue_is_coloured_all_the_same() -> None:
    """A part of the overview that could not be decoded is white."""
    picture = drawn(np.full((SIDE, SIDE, 3), 255, np.uint8), [tile(0, 0, "2+")], info(1, 1))
    assert (picture[10:40, 10:90] < 255).any(axis=2).all()


@pytest.mark.parametrize("reason", REASONS)
def test_each_reason_has_lines_of_its_own_on_tissue_only(reason: str) -> None:
    fields: dict[str, Any] = {"pooled": False, "quality": (reason,)}
    if reason == "failed":
        fields = {"outcome": Outcome.FAILED, "label": None, "pooled": False}
    elif reason not in KEEPS_OUT:
        fields = {"pooled": False, "novelty": 2.0 if reason == "novel" else 0.5}
    one = tile(0, 0, **{"label": "3+"} | fields)
    assert name_of(one) == reason
    picture = drawn(half_glass(), [one], info(1, 1))
    lines = (picture[8:40, 8:40] != TISSUE).all(axis=2)
    np.testing.assert_array_equal(lines, hatching(reason, 32, 32, 8, 8))
    assert (picture[10:40, 60:90] == GLASS).all()


def test_patterns_differ_and_run_from_tile_to_tile() -> None:
    whole = {reason: hatching(reason, 8 * PERIOD, 8 * PERIOD) for reason in REASONS}
    assert len({pattern.tobytes() for pattern in whole.values()}) == len(REASONS)
    for reason, pattern in whole.items():
        assert 0.05 < pattern.mean() < 0.5
        np.testing.assert_array_equal(hatching(reason, 20, 30, 5, 9), pattern[5:25, 9:39])


@given(st.lists(st.text(min_size=1, max_size=16), min_size=2, max_size=4, unique=True))
def test_every_class_and_every_reason_has_a_letter_of_its_own(labels: list[str]) -> None:
    marks = class_marks(labels)
    assert list(marks) == labels
    assert len(set(marks.values())) == len(labels)
    assert all(len(mark) == 1 and mark.isascii() and mark.isalnum() for mark in marks.values())
    assert class_marks(("0/1+", "2+", "3+")) == {"0/1+": "0", "2+": "2", "3+": "3"}
    assert len(set(reason_marks().values())) == len(REASONS)


def has_letter(picture: Any, column: int, row: int, side: int = SIDE) -> bool:
    """A rim of white with black in it, which neither tissue nor colours have."""
    middle = picture[
        row * side + side // 4 : (row + 1) * side - side // 4, column * side : (column + 1) * side
    ]
    return bool((middle == 0).all(axis=2).any() and (middle == 255).all(axis=2).any())


def test_a_tile_has_a_letter_and_background_none() -> None:
    overview = np.full((SIDE, 3 * SIDE, 3), TISSUE, np.uint8)
    picture = drawn(
        overview, [tile(0, 0), tile(1, 0, None), tile(2, 0, pooled=False, novelty=2.0)], info(3, 1)
    )
    assert [has_letter(picture, column, 0) for column in range(3)] == [True, False, True]


def test_small_tiles_share_a_letter_where_they_are_alike_and_have_none_where_not() -> None:
    """4 x 4 tiles of 10 pixels: two blocks beside each other."""
    overview = np.full((40, 80, 3), TISSUE, np.uint8)
    tiles = [tile(column, row) for row in range(4) for column in range(8)]
    picture = drawn(overview, tiles, info(8, 4))
    assert [has_letter(picture, block, 0, 40) for block in range(2)] == [True, True]
    tiles[5] = tile(5, 0, "2+")
    picture = drawn(overview, tiles, info(8, 4))
    assert [has_letter(picture, block, 0, 40) for block in range(2)] == [True, False]


def test_unread_places_inside_regions_lie_under_a_veil_and_the_outside_is_bleached() -> None:
    overview = np.full((SIDE, 3 * SIDE, 3), TISSUE, np.uint8)
    inside = Inside(np.array([[True, True, False]]))
    picture = drawn(overview, [tile(0, 0, None)], info(3, 1), partly=True, inside=inside)
    veiled, bleached = TISSUE * (1 - VEIL) + 128 * VEIL, TISSUE * (1 - BLEACH) + 255 * BLEACH
    np.testing.assert_allclose(
        [picture[50, at].mean() for at in (50, 150, 250)], [TISSUE, veiled, bleached], atol=1
    )


def test_specks_are_no_tissue_and_loose_tissue_is_one_area() -> None:
    overview = np.full((40, 40, 3), GLASS, np.uint8)
    overview[5, 5] = 0
    overview[10:30, 10:30] = TISSUE
    overview[20, 20] = GLASS
    mask = tissue_mask(overview)
    assert not mask[5, 5]
    assert mask[12:28, 12:28].all()
    assert tissue_mask(np.full((5, 5, 3), (250, 200, 230), np.uint8)).all(), "pale eosin has a colour"


@given(st.floats(0.01, 2000), st.integers(50, 5000))
def test_a_scale_bar_is_the_longest_round_length_in_a_quarter_of_the_picture(um: float, width: int) -> None:
    bar = scale_bar(um, width)
    digit = bar.um / 10 ** math.floor(math.log10(bar.um) + 1e-9)
    assert min(abs(digit - one) for one in (1, 2, 5)) < 1e-6
    assert bar.px == pytest.approx(bar.um / um)
    assert 0.1 * width * (1 - 1e-6) <= bar.px <= 0.25 * width * (1 + 1e-6)
    number, unit = bar.words.split()
    assert float(number) * {"nm": 1e-3, "µm": 1, "mm": 1e3, "cm": 1e4}[unit] == pytest.approx(bar.um)


def test_the_bar_that_is_drawn_has_that_length_and_covers_nothing() -> None:
    picture = np.full((200, 800, 3), TISSUE, np.uint8)
    below = with_scale_bar(picture, 2.0)
    assert (below[:200] == TISSUE).all()
    dark = (below[200:].max(axis=2) < 60).sum(axis=1).max()
    assert below.shape[0] == 200 + PLATE
    assert dark == scale_bar(2.0, 800).px == 100  # 200 um; 500 um would be 250 of 800 pixels


class Counted:
    """What of an answer a legend asks for."""

    def __init__(self, labels: list[str]) -> None:
        self.shares = {label: type("Share", (), {"share": 1 / len(labels)}) for label in labels}
        self.tiles = type("Tiles", (), {"pooled": 9})


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("width", [860, 1600])
def test_a_legend_has_room_for_two_to_four_long_labels_and_every_reason(count: int, width: int) -> None:
    labels = [f"{letter}-long label 12" for letter in "ABCD"[:count]]
    colours = {label: (40 * number, 90, 200) for number, label in enumerate(labels)}
    answer: Any = Counted(labels)
    rows = [
        class_items(answer, colours),
        [*reason_items(dict.fromkeys(REASONS, 12345)), *unread_items(99, outside=True)],
    ]
    legend = draw_legend(width, rows, ("words " * 60,))
    assert legend.shape[1] == width
    assert (legend[:, -MARGIN:] == 255).all(), "nothing is cut off at the right"
    for colour in colours.values():
        assert (legend == colour).all(axis=2).sum() > 100


def test_a_picture_is_the_same_whatever_the_number_of_threads() -> None:
    overview = np.random.default_rng(1).integers(0, 256, (300, 300, 3)).astype(np.uint8)
    tiles = [tile(column, row, "2+") for row in range(3) for column in range(3)]
    before = cv2.getNumThreads()
    try:
        pictures = []
        for threads in (1, 4):
            cv2.setNumThreads(threads)
            pictures.append(drawn(overview, tiles, info(3, 3)))
    finally:
        cv2.setNumThreads(before)
    np.testing.assert_array_equal(*pictures)
