"""Tiles that chose the checkpoint do not judge a conversion: what is held back, and what is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from her2edge.errors import OptionError
from her2edge_training.cohort.split import SplitAssignment
from her2edge_training.cohort.tile_list import TileRecord, traces
from her2edge_training.recipe import Recipe, Stage
from her2edge_training.run.codecs import read_split, table_bytes
from her2edge_training.run.hold_back import gate_line, hold_back
from her2edge_training.run.records import SplitRow, StartedFrom, crossing_groups, split_rows
from her2edge_training.run.warm_start import FormerRun

LABELS = ("0/1+", "2+", "3+")


def record(patient: int, tile: int) -> TileRecord:
    who = (f"s{patient}", f"p{patient}", "site", LABELS[patient % 3])
    return TileRecord(f"{patient}-{tile}.png", Path(), *who, 0, 0, 0.25, None, "")


def assigned(validation: int, tiles: int = 4, protocol: str = "slide-grouped") -> SplitAssignment:
    """Thirty patients train, thirty test; `validation` validate."""
    parts = ["train"] * 30 + ["test"] * 30 + ["validation"] * validation
    records = [record(patient, tile) for patient in range(len(parts)) for tile in range(tiles)]
    return SplitAssignment(protocol, 7, tuple(records), tuple(p for p in parts for _ in range(tiles)))


def test_half_of_the_validation_patients_are_held_back_whole_and_of_each_class() -> None:
    whole = assigned(120)
    split = hold_back(whole)
    judging, choosing = split.select("gate"), split.select("validation")
    assert len({one.group for one in judging}) == len({one.group for one in choosing}) == 60
    assert crossing_groups(split_rows(split)) == []
    for part in (judging, choosing):
        assert all(sum(one.label == label for one in part) >= 76 for label in LABELS)
    for part in ("train", "test"):
        assert split.select(part) == whole.select(part)
    assert hold_back(whole) == split


def test_a_part_too_small_to_judge_by_itself_goes_on_choosing_whole() -> None:
    assert hold_back(assigned(119)) == assigned(119)
    assert hold_back(assigned(9)) == assigned(9)


def test_a_class_that_only_one_patient_has_is_not_taken_from_those_that_choose() -> None:
    whole = assigned(120)
    records = tuple(replace(one, label="3+" if one.patient == "p179" else "2+") for one in whole.records)
    alone = SplitAssignment(whole.protocol, whole.seed, records, whole.parts)
    assert hold_back(alone) == alone


def test_of_a_tile_random_split_half_the_tiles_are_held_back() -> None:
    split = hold_back(assigned(80, protocol="tile-random"))
    assert len(split.select("gate")) == len(split.select("validation")) == 160


def test_split_csv_holds_the_part_and_no_other_than_those_there_are() -> None:
    rows = split_rows(hold_back(assigned(120)))
    assert read_split(table_bytes(SplitRow, rows)) == rows
    with pytest.raises(ValueError, match="expected one of train, validation, test, gate"):
        read_split(table_bytes(SplitRow, [SplitRow("t", "s", "p", "2+", "gates")]))


def test_weights_that_know_a_patient_held_back_are_no_start() -> None:
    split = hold_back(assigned(120))
    recipe = Recipe("tiny", "se_resnet50", (Stage(32, 1, 1e-3, 4),), tile_px=64)
    known = traces(split.select("gate")[:1])
    source = StartedFrom("tiny", 1.0, "0" * 64)
    for learnt, chosen in ((known, frozenset[str]()), (frozenset[str](), known)):
        with pytest.raises(OptionError, match="found 1 patients to score"):
            FormerRun(Path(), recipe, source, learnt, chosen).refuse_leak(split)


@pytest.mark.parametrize(
    ("split", "words"),
    [
        (lambda: assigned(9), "none can be held back here, so have 60 other patients ready with 34 tiles"),
        (lambda: hold_back(assigned(120, 10)), "600 tiles of 60 patients are held back, so have 42 other"),
        (lambda: hold_back(assigned(120, 34)), "2040 tiles of 60 patients are held back for it"),
    ],
)
def test_the_training_says_what_the_gate_will_ask_for(
    split: Callable[[], SplitAssignment], words: str
) -> None:
    line = gate_line(split())
    assert line.startswith("the gate of quantize will ask for 2000 tiles of 60 patients that chose nothing: ")
    assert words in line
