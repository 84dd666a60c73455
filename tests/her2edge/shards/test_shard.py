"""Which slides are a shard's: every slide is one shard's, the same on every machine, and it stays there."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2edge.cohort import CohortSlide, read_cohort
from her2edge.errors import OptionError
from her2edge.shards import Shard, auto_shard, read_shard
from her2edge.shards.shard import number_of

SLURM = {
    "SLURM_ARRAY_TASK_ID": "7",
    "SLURM_ARRAY_TASK_MIN": "5",
    "SLURM_ARRAY_TASK_MAX": "9",
    "SLURM_ARRAY_TASK_COUNT": "5",
}
EVERY_SECOND = {"SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_STEP": "2", "SLURM_ARRAY_TASK_MAX": "9"}
POD = {"JOB_COMPLETION_INDEX": "2", "HER2EDGE_SHARDS": "4"}

names = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=1, unique=True)


def listed(*paths: str) -> list[CohortSlide]:
    return [CohortSlide(Path("/slides", one), row, listed=one) for row, one in enumerate(paths, start=2)]


@given(names, st.integers(1, 50))
def test_every_slide_is_in_exactly_one_shard(paths: list[str], count: int) -> None:
    slides = listed(*paths)
    parts = [Shard(number, count).slides(slides) for number in range(1, count + 1)]
    rows = [slide.row for part in parts for slide in part]
    assert sorted(rows) == [slide.row for slide in slides]
    assert all(part == sorted(part, key=lambda one: one.row) for part in parts)


def test_the_shard_is_the_hash_of_the_path_in_the_list_modulo_their_number() -> None:
    """Anybody can find it again: it is no secret of a version."""
    for path in ("a.svs", "cases/P 07.svs", "Schnitt-ä.svs"):
        digest = hashlib.sha256(path.encode()).hexdigest()
        assert number_of(listed(path)[0], 10) == int(digest[:16], 16) % 10 + 1


@given(names, st.lists(st.integers(0, 10**6).map(lambda n: f"new-{n}.svs"), unique=True))
def test_adding_slides_or_sorting_the_list_moves_none(paths: list[str], more: list[str]) -> None:
    before = {one.listed: number_of(one, 7) for one in listed(*paths)}
    after = {one.listed: number_of(one, 7) for one in listed(*more, *reversed(paths))}
    assert {path: after[path] for path in before} == before


@pytest.mark.parametrize("spelling", ["./a/ä.svs", "a//ä.svs", "b/../a/ä.svs", "a\\ä.svs", "a/a\u0308.svs"])
def test_a_path_in_another_spelling_is_in_the_same_shard(spelling: str) -> None:
    assert number_of(listed(spelling)[0], 1000) == number_of(listed("a/ä.svs")[0], 1000)


def test_the_folder_of_the_list_does_not_matter_for_relative_paths(tmp_path: Path) -> None:
    """Two machines may mount the same share in two places."""
    numbers = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "list.csv").write_text("slide\nsub/a.svs\nb.svs\n")
        slides = read_cohort(tmp_path / name / "list.csv", must_exist=False)
        numbers.append([number_of(one, 1000) for one in slides])
    assert numbers[0] == numbers[1]


def test_shards_are_written_from_one() -> None:
    assert read_shard("3/10") == Shard(3, 10)
    assert str(Shard(3, 10)) == "3/10"
    assert read_shard("1/1", {}) == Shard()


@pytest.mark.parametrize(
    "text", ["0/2", "3/2", "1/0", "1", "1/", "a/2", "-1/2", "1/2/3", "1 / 2", "", "AUTO", "1.0/2"]
)
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="expected"):
        read_shard(text, {})


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        (SLURM, Shard(3, 5)),
        (SLURM | EVERY_SECOND, Shard(4, 5)),
        (SLURM | {"HER2EDGE_SHARDS": "100"}, Shard(8, 100)),
        ({"SLURM_ARRAY_TASK_ID": "0", "HER2EDGE_SHARDS": "2"}, Shard(1, 2)),
        (POD, Shard(3, 4)),
        (POD | {"SLURM_ARRAY_TASK_ID": ""}, Shard(3, 4)),
    ],
    ids=["from 5", "every second", "of a larger array", "without bounds", "pod", "an empty variable"],
)  # fmt: skip
def test_auto_takes_the_shard_from_slurm_or_kubernetes(environment: dict[str, str], wanted: Shard) -> None:
    assert auto_shard(environment) == wanted == read_shard("auto", environment)


@pytest.mark.parametrize(
    ("environment", "word"),
    [
        ({}, "neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX"),
        (SLURM | POD, "SLURM_ARRAY_TASK_ID and JOB_COMPLETION_INDEX"),
        ({"JOB_COMPLETION_INDEX": "0"}, "without HER2EDGE_SHARDS"),
        (POD | {"JOB_COMPLETION_INDEX": "4"}, "task 4 of 4"),
        (POD | {"HER2EDGE_SHARDS": "many"}, "HER2EDGE_SHARDS='many'"),
        (POD | {"HER2EDGE_SHARDS": "0"}, "task 2 of 0"),
        (SLURM | {"SLURM_ARRAY_TASK_COUNT": "2"}, "has gaps: set HER2EDGE_SHARDS"),
        ({"SLURM_ARRAY_TASK_ID": "3"}, "SLURM_ARRAY_TASK_MIN=''"),
        (SLURM | {"SLURM_ARRAY_TASK_ID": "-1"}, "SLURM_ARRAY_TASK_ID='-1'"),
    ],
)  # fmt: skip
def test_auto_refuses_what_would_leave_slides_to_nobody(environment: dict[str, str], word: str) -> None:
    with pytest.raises(OptionError) as caught:
        auto_shard(environment)
    assert word in str(caught.value)
