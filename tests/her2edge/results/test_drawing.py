"""Words in pictures."""

from __future__ import annotations

import numpy as np

from her2edge.results.drawing import width_of, wrapped, write_line


def test_lines_are_wrapped_within_their_width_and_hold_every_word():
    text = "Research use only. Not for diagnosis. " * 4
    lines = wrapped(text, 300)
    assert len(lines) > 2
    assert " ".join(lines).split() == text.split()
    assert wrapped("naïve", 300) == ["na?ve"]


def test_a_micrometre_is_drawn_as_um_and_measured_as_it_is_drawn():
    pictures = [np.full((30, 200, 3), 255, np.uint8) for _ in range(2)]
    for picture, words in zip(pictures, ("200 µm", "200 um"), strict=True):
        write_line(picture, words, 20, 20)
    assert np.array_equal(*pictures)
    assert width_of("200 µm") == width_of("200 um")


def test_a_line_is_as_wide_as_it_says_and_begins_where_it_is_put():
    picture = np.full((30, 200, 3), 255, np.uint8)
    write_line(picture, "HER2", 20, 20)
    columns = np.flatnonzero((picture < 255).any(axis=(0, 2)))
    assert 18 <= columns[0] <= 24
    assert columns[-1] <= 20 + width_of("HER2")
