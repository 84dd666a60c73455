"""The lines of tumour nests: around cells in one class, between them in another, and the same in all else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from her2edge_training import synthetic
from her2edge_training.synthetic.lines import Focus, membrane_lines
from her2edge_training.synthetic.morphology import COMPLETENESS, Morphology
from her2edge_training.synthetic.nuclei import Nuclei, place_nuclei
from her2edge_training.synthetic.seeds import generator

SHAPE, MPP = (768, 768), 0.5


@pytest.fixture(scope="module")
def morphology() -> Morphology:
    drawn = synthetic.make_slide_model("2+", synthetic.SITES[0], 5).morphology
    return replace(drawn, line_amount=1.0, nuclear_fraction=0.2)


@pytest.fixture(scope="module")
def nuclei(morphology: Morphology) -> Nuclei:
    nests = np.ones(SHAPE, np.bool_)
    return place_nuclei(generator("nuclei", 1), nests, ~nests, morphology, MPP, 0.0)


def lines(m: Morphology, nuclei: Nuclei, lined: float, focus: Focus | None = None) -> NDArray[Any]:
    """(h, w), 0..1, in units of the lines' strength."""
    drawn = membrane_lines(replace(m, membrane_completeness=lined), generator("lines", 3), nuclei, MPP, focus)
    return drawn / m.line_strength


def test_of_the_cells_borders_the_share_that_was_asked_for_is_lined(
    morphology: Morphology, nuclei: Nuclei
) -> None:
    whole = lines(morphology, nuclei, 1.0) > 0.6
    shares = [float((lines(morphology, nuclei, c) > 0.6)[whole].mean()) for c in (0.0, 0.5, 1.0)]
    assert shares[0] < 0.30  # where a strand crosses a border by chance
    assert shares[1] == pytest.approx((shares[0] + 1) / 2, abs=0.12)
    assert shares[2] == 1.0


def test_what_is_not_in_membranes_lies_elsewhere_as_far_as_there_is_room(
    morphology: Morphology, nuclei: Nuclei
) -> None:
    seen = nuclei.instances == 0
    none, half, whole = (float(lines(morphology, nuclei, c)[seen].mean()) for c in COMPLETENESS)
    assert 0.4 * whole < none < whole
    assert 0.7 * whole < half < 1.1 * whole


def test_strands_keep_as_far_from_nuclei_as_membranes_do(morphology: Morphology, nuclei: Nuclei) -> None:
    away = cv2.distanceTransform((nuclei.instances == 0).view(np.uint8), cv2.DIST_L2, 3) * MPP
    touching = (away > 0) & (away < 0.8)
    none, whole = (lines(morphology, nuclei, c)[touching].mean() for c in (0.0, 1.0))
    assert none < 2 * whole + 0.02


def test_a_focus_has_its_own_completeness_and_ends_at_its_edge(
    morphology: Morphology, nuclei: Nuclei
) -> None:
    mask = np.zeros(SHAPE, np.bool_)
    mask[:, 384:] = True
    mixed = lines(morphology, nuclei, 0.04, Focus(mask, 0.96))
    np.testing.assert_allclose(mixed[:, :380], lines(morphology, nuclei, 0.04)[:, :380])
    np.testing.assert_allclose(mixed[:, 388:], lines(morphology, nuclei, 0.96)[:, 388:])


def test_without_nuclei_there_are_no_lines(morphology: Morphology) -> None:
    none = Nuclei(np.zeros(SHAPE, np.int32), np.zeros((0, 2)), np.zeros(0), np.zeros(0, np.bool_))
    assert not lines(morphology, none, 1.0).any()
