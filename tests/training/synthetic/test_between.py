"""Slides between two classes: their morphology is, nothing else of them is, and they have no label."""

from __future__ import annotations

import csv
from dataclasses import fields
from pathlib import Path

import pytest

from her2edge.errors import OptionError
from her2edge_cli.main import main
from her2edge_training import synthetic
from her2edge_training.synthetic.between import NEIGHBOURS, mixed

SITE = synthetic.SITES[1]


@pytest.mark.parametrize("neighbours", [0, 1])
def test_each_number_of_its_morphology_lies_between_those_of_its_neighbours(neighbours: int) -> None:
    first, second = (synthetic.make_slide_model(label, SITE, 5) for label in NEIGHBOURS[neighbours])
    slide = synthetic.make_between_model(neighbours, SITE, 5)
    assert slide.label == ""
    for field in fields(slide.morphology):
        a, b, own = (getattr(one.morphology, field.name) for one in (first, second, slide))
        assert min(a, b) <= own <= max(a, b), field.name
    a, b, own = (one.morphology.membrane_completeness for one in (first, second, slide))
    assert 0.3 <= (own - a) / (b - a) <= 0.7
    assert (
        (slide.hematoxylin, slide.psf_px)
        == (first.hematoxylin, first.psf_px)
        == (second.hematoxylin, second.psf_px)
    )


def test_all_the_way_is_the_other_class() -> None:
    one, other = (synthetic.make_slide_model(label, SITE, 5).morphology for label in ("0/1+", "3+"))
    assert (mixed(one, other, 0.0), mixed(one, other, 1.0)) == (one, other)


def test_a_cohort_without_them_is_as_it_was_and_with_them_begins_the_same() -> None:
    plain, some = synthetic.even_cohort(9, 2, seed=4), synthetic.even_cohort(12, 2, seed=4, between=0.25)
    assert [slide.name for slide in some.slides[:9]] == [slide.name for slide in plain.slides]
    assert [slide.label for slide in some.slides[9:]] == [""] * 3
    assert len({slide.patient for slide in some.slides}) == 12
    every = synthetic.even_cohort(16, 1, seed=4, between=1.0)
    assert {slide.label for slide in every.slides} == {""}
    assert len({slide.site.name for slide in every.slides}) == len(synthetic.SITES)
    for share in (-0.1, 1.1):
        with pytest.raises(OptionError, match="expected a share from 0 to 1"):
            synthetic.even_cohort(9, 2, seed=4, between=share)
    with pytest.raises(OptionError, match="at least 3"):
        synthetic.even_cohort(9, 2, seed=4, between=0.8)


def test_the_command_writes_their_tiles_without_a_label(tmp_path: Path) -> None:
    size = ["--tile-px", "32", "--slides", "4", "--tiles", "1", "--between", "0.25"]
    assert main(["synthesize", "--out", str(tmp_path / "a"), *size]) == 0
    rows = list(csv.DictReader((tmp_path / "a" / "cohort.csv").open()))
    assert [row["label"] for row in rows] == ["0/1+", "2+", "3+", ""]
    assert main(["synthesize", "--out", str(tmp_path / "b"), "--paper", "0.01", "--between", "0.5"]) == 2
