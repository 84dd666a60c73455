"""Splits keep slides and patients whole, meet their fractions, and say what is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2edge.errors import OptionError
from her2edge_training.cohort.split import PARTS, SplitAssignment, make_split
from her2edge_training.cohort.tile_list import LABELS, TileListError, TileRecord
from her2edge_training.recipe import Split
from her2edge_training.run.codecs import table_bytes
from her2edge_training.run.records import SplitRow, split_rows


def record(number: int, slide: str, patient: str, label: str) -> TileRecord:
    tile = f"{number:05d}.png"
    return TileRecord(tile, Path(), slide, patient, "", label, 0.0, 0.0, 0.25, 0.9, "")


def cohort(patients: int, slides: int, tiles: int, mixed: bool = False) -> list[TileRecord]:
    """`patients` per class, each with `slides` of `tiles`; mixed: a second class on every third tile."""
    records = []
    for c, label in enumerate(LABELS):
        for p in range(patients):
            for s in range(slides):
                for t in range(tiles + (p % 3)):
                    other = LABELS[(c + 1) % 3] if mixed and t % 3 == 2 else label
                    records.append(record(len(records), f"s{c}-{p}-{s}", f"p{c}-{p}", other))
    return records


def parts_of(assignment: SplitAssignment, key: str) -> dict[str, set[str]]:
    parts: dict[str, set[str]] = {}
    for item, part in zip(assignment.records, assignment.parts, strict=True):
        parts.setdefault(getattr(item, key), set()).add(part)
    return parts


@settings(max_examples=25, deadline=None)
@given(
    patients=st.integers(3, 9),
    slides=st.integers(1, 3),
    tiles=st.integers(1, 5),
    mixed=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_no_slide_or_patient_crosses_and_no_class_is_missing(
    patients: int, slides: int, tiles: int, mixed: bool, seed: int
) -> None:
    assignment = make_split(cohort(patients, slides, tiles, mixed), Split(), seed)
    assert all(len(parts) == 1 for parts in parts_of(assignment, "patient").values())
    assert all(len(parts) == 1 for parts in parts_of(assignment, "slide").values())
    for part in PARTS:
        assert {item.label for item in assignment.select(part)} == set(LABELS)
    assert sum(len(assignment.select(part)) for part in PARTS) == len(assignment.records)


def test_a_slide_without_patient_is_its_own_group() -> None:
    records = [record(i, f"s{i // 4}", "", LABELS[i // 4 % 3]) for i in range(60)]
    assignment = make_split(records, Split(), 3)
    assert all(len(parts) == 1 for parts in parts_of(assignment, "slide").values())


def test_grouped_fractions_are_near_what_was_asked() -> None:
    assignment = make_split(cohort(10, 1, 5), Split(), 1)
    shares = [len(assignment.select(part)) / len(assignment.records) for part in PARTS]
    np.testing.assert_allclose(shares, (0.6, 0.2, 0.2), atol=0.06)


def test_tile_random_is_stratified_and_lets_slides_cross() -> None:
    assignment = make_split(cohort(4, 1, 19), Split("tile-random"), 1)
    for label in LABELS:
        counts = [sum(r.label == label for r in assignment.select(part)) for part in PARTS]
        np.testing.assert_allclose(np.array(counts) / sum(counts), (0.6, 0.2, 0.2), atol=0.02)
    assert any(len(parts) > 1 for parts in parts_of(assignment, "slide").values())


@pytest.mark.parametrize("protocol", ["slide-grouped", "tile-random"])
def test_a_seed_fixes_the_split_and_another_changes_it(protocol: str) -> None:
    records = cohort(6, 1, 3)
    first = make_split(records, Split(protocol), 1)
    assert make_split(records, Split(protocol), 1) == first
    assert make_split(records, Split(protocol), 2).parts != first.parts


def test_a_class_on_too_few_slides_is_refused_by_name() -> None:
    records = [r for r in cohort(5, 1, 3) if r.label != "3+" or r.slide in ("s2-0-0", "s2-1-0")]
    with pytest.raises(TileListError, match=r"class 3\+.*has 2 patients"):
        make_split(records, Split(), 1)


def test_too_few_slides_or_tiles_are_refused() -> None:
    with pytest.raises(TileListError, match="expected at least 3"):
        make_split(cohort(3, 1, 4)[:8], Split(), 1)
    with pytest.raises(TileListError, match="too few"):
        make_split(cohort(1, 1, 1), Split("tile-random"), 1)


@pytest.mark.parametrize("fractions", [(0.6, 0.2, 0.3), (0.8, 0.2, 0.0), (0.5, 0.5)])
def test_fractions_must_be_three_that_sum_to_one(fractions: tuple[float, float, float]) -> None:
    with pytest.raises(OptionError, match="fractions"):
        Split("slide-grouped", fractions)


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(OptionError, match=r"slide-grouped, tile-random"):
        Split("random")


def test_split_csv_has_a_row_per_tile_and_defuses_formulas() -> None:
    records = [record(i, f"=s{i // 3}", f"@p{i // 3}", LABELS[i // 3 % 3]) for i in range(36)]
    lines = table_bytes(SplitRow, split_rows(make_split(records, Split(), 1))).decode().splitlines()
    assert lines[0] == "tile,slide,patient,label,part"
    assert len(lines) == 37
    assert lines[1].startswith("00000.png,'=s0,'@p0,0/1+,")
