"""A results folder is for one model, one her2edge, one set of options, one number of shards."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from her2edge.cohort import Cohort, read_cohort
from her2edge.errors import Her2EdgeError, MissingInputError, OptionError, OutputError, ResultsError
from her2edge.shards import Plan, begin_plan, planned_slides
from her2edge.shards.plan import read_plan

PLAN = Plan(model="ab" * 32, name="m 1", options={"stain": None, "mpp": 0.25}, shards=2)


def a_list(root: Path, *names: str) -> Cohort:
    root.mkdir(exist_ok=True)
    rows = "".join(f'"{name}",P1,Basel,0.25,3+\n' for name in names)
    (root / "list.csv").write_text(f"slide,patient,site,mpp,score\n{rows}")
    return read_cohort(root / "list.csv", must_exist=False)


def changed(**fields: object) -> Plan:
    return msgspec.structs.replace(PLAN, **fields)


@pytest.mark.parametrize(
    ("plan", "kind", "word"),
    [
        (changed(model="cd" * 32), ResultsError, "begun with m 1 (abababababab)"),
        (changed(her2edge="9.9.9"), ResultsError, "found her2edge 9.9.9 for a folder that was begun with"),
        (changed(options={"stain": "off", "mpp": 0.25}), ResultsError, "--stain off instead of None"),
        (changed(options={"stain": None, "mpp": 0.25, "new": 1}), ResultsError, "--new 1 instead of None"),
        (changed(shards=3), OptionError, "found 3 shards for a folder that was begun with 2"),
    ],
)  # fmt: skip
def test_who_would_do_it_otherwise_is_refused_and_changes_nothing(
    tmp_path: Path, plan: Plan, kind: type[Her2EdgeError], word: str
) -> None:
    begin_plan(tmp_path / "out", PLAN, a_list(tmp_path / "a", "a.svs"))
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    with pytest.raises(kind) as caught:
        begin_plan(tmp_path / "out", plan, a_list(tmp_path / "b", "b.svs"))
    assert word in str(caught.value)
    assert {path: path.read_bytes() for path in before} == before


def test_who_names_no_shard_goes_with_any_number_of_them(tmp_path: Path) -> None:
    slides = a_list(tmp_path / "a", "a.svs")
    begin_plan(tmp_path / "out", changed(shards=None), slides)
    begin_plan(tmp_path / "out", PLAN, slides)
    begin_plan(tmp_path / "out", changed(shards=None), slides)
    assert read_plan(tmp_path / "out") == PLAN


def test_the_list_is_the_last_one_with_whole_paths(tmp_path: Path) -> None:
    begin_plan(tmp_path / "out", PLAN, a_list(tmp_path / "a", "a.svs"))
    longer = a_list(tmp_path / "a", "a.svs", "sub/b, c.svs")
    begin_plan(tmp_path / "out", PLAN, longer)
    read = planned_slides(tmp_path / "out")
    kept = [(one.path, one.patient, one.site, one.mpp, one.score) for one in read]
    assert kept == [(one.path, one.patient, one.site, one.mpp, one.score) for one in longer]
    with pytest.raises(MissingInputError, match="found no list of slides"):
        planned_slides(tmp_path / "a")


def test_many_shards_that_begin_at_once_agree(tmp_path: Path) -> None:
    slides = a_list(tmp_path / "a", "a.svs")
    with ThreadPoolExecutor(16) as pool:
        done = [pool.submit(begin_plan, tmp_path / "out", PLAN, slides) for _ in range(16)]
    assert [one.exception() for one in done] == [None] * 16
    assert read_plan(tmp_path / "out") == PLAN
    assert sorted(path.name for path in (tmp_path / "out" / ".cohort").iterdir()) == [
        "plan.json",
        "slides.csv",
    ]


def test_a_damaged_plan_and_one_of_another_version_are_refused_by_name(tmp_path: Path) -> None:
    slides = a_list(tmp_path / "a", "a.svs")
    begin_plan(tmp_path / "out", PLAN, slides)
    path = tmp_path / "out" / ".cohort" / "plan.json"
    later = json.loads(path.read_text()) | {"schema_version": 2}
    for text in ("{", json.dumps(later)):
        path.write_text(text)
        with pytest.raises(ResultsError, match=r"plan.json: .* remove .cohort"):
            begin_plan(tmp_path / "out", PLAN, slides)


def test_a_link_where_the_plan_goes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / ".cohort").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="a link in place of the results"):
        begin_plan(tmp_path / "out", PLAN, a_list(tmp_path / "a", "a.svs"))
    assert not list((tmp_path / "elsewhere").iterdir())
