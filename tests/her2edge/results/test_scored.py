"""A list of scored slides beside their results: every row accounted for."""

import json
from pathlib import Path

import msgspec
import pytest
from scored_results import Case, write_case, write_cohort

from her2edge.cohort import read_cohort
from her2edge.errors import MissingInputError
from her2edge.model.protocol import StoppingRule
from her2edge.results.scored import Problem, label_of_score, read_scored


def _scored(tmp_path: Path, cases: list[Case]):
    out = tmp_path / "results"
    for case in cases:
        write_case(out, case)
    cohort = read_cohort(write_cohort(tmp_path / "cohort.csv", cases), must_exist=False)
    return read_scored(cohort, out)


def test_a_row_has_the_answer_model_and_rule_of_its_slide(tmp_path):
    rule = StoppingRule(error=0.05, minimum=30)
    case = Case(
        "a.svs", "2+", patient="P1", site="S", counts=(2, 30, 8), scanner="Leica GT450", stopping=rule
    )
    (slide,) = _scored(tmp_path, [case]).usable
    assert (slide.name, slide.row.patient, slide.row.site, slide.label) == ("a.svs", "P1", "S", "2+")
    assert slide.results.model_sha256 == case.model.sha256
    assert slide.results.protocol.limits_sha256 == case.model.manifest.limits_sha256
    assert (slide.results.scanner, slide.results.protocol.stopping) == ("Leica GT450", rule)
    assert slide.results.answer.labels == ("2+",)
    assert slide.results.protocol.min_tissue_tiles == 10


def test_every_row_is_accounted_for_with_a_word_and_its_number(tmp_path):
    cases = [
        Case("used.svs", "3+"),
        Case("unscored.svs", ""),
        Case("unknown.svs", "4+"),
        Case("absent.svs", "3+", written=False),
        Case("twice.svs", "3+"),
    ]
    out = tmp_path / "results"
    for case in cases:
        if case.written:
            write_case(out, case)
    write_case(out, Case("twice.svs", "3+", fingerprint="ab" * 32))
    write_case(out, Case("other.svs", "3+"))
    write_cohort(tmp_path / "c.csv", cases)
    scored = read_scored(read_cohort(tmp_path / "c.csv", must_exist=False), out)
    assert [slide.problem for slide in scored.slides] == [
        None,
        Problem.NO_SCORE,
        Problem.UNKNOWN_SCORE,
        Problem.NO_RESULTS,
        Problem.SEVERAL_RESULTS,
    ]
    assert all(f"(row {slide.row.row})" in slide.why for slide in scored.slides[1:])
    assert scored.others == ("other.svs",)
    assert [slide.name for slide in scored.usable] == ["used.svs"]


@pytest.mark.parametrize("name", ["tiles.csv", "summary.json"])
@pytest.mark.parametrize("content", [b"", b"p 3+\nnan\n", b"\0\0"])
def test_a_file_that_is_not_what_its_run_wrote_makes_a_row_unreadable(tmp_path, name, content):
    case = Case("a.svs", "3+")
    folder = write_case(tmp_path / "results", case)
    (folder / name).write_bytes(content)
    write_cohort(tmp_path / "c.csv", [case])
    (slide,) = read_scored(read_cohort(tmp_path / "c.csv", must_exist=False), tmp_path / "results").slides
    assert slide.problem is Problem.UNREADABLE_RESULTS
    assert name in slide.why
    assert "classify the slide again" in slide.why


def test_a_damaged_run_record_makes_a_row_unreadable(tmp_path):
    case = Case("a.svs", "3+")
    folder = write_case(tmp_path / "results", case)
    (folder / "run.json").write_bytes(b"{")
    write_cohort(tmp_path / "c.csv", [case])
    (slide,) = read_scored(read_cohort(tmp_path / "c.csv", must_exist=False), tmp_path / "results").slides
    assert slide.problem is Problem.UNREADABLE_RESULTS


def test_a_run_that_did_not_finish_is_no_results(tmp_path):
    case, other = Case("a.svs", "3+"), Case("b.svs", "3+")
    (write_case(tmp_path / "results", case) / "run.json").unlink()
    write_case(tmp_path / "results", other)
    write_cohort(tmp_path / "c.csv", [case, other])
    scored = read_scored(read_cohort(tmp_path / "c.csv", must_exist=False), tmp_path / "results")
    assert [slide.problem for slide in scored.slides] == [Problem.NO_RESULTS, None]


def test_files_of_two_runs_in_one_folder_are_unreadable(tmp_path):
    case = Case("a.svs", "3+")
    folder = write_case(tmp_path / "results", case)
    run = json.loads((folder / "run.json").read_bytes())
    run["basis"]["model"] = "0" * 64
    (folder / "run.json").write_bytes(msgspec.json.encode(run))
    write_cohort(tmp_path / "c.csv", [case])
    (slide,) = read_scored(read_cohort(tmp_path / "c.csv", must_exist=False), tmp_path / "results").slides
    assert slide.problem is Problem.UNREADABLE_RESULTS


def test_a_folder_without_results_is_missing(tmp_path):
    write_cohort(tmp_path / "c.csv", [Case("a.svs", "3+")])
    cohort = read_cohort(tmp_path / "c.csv", must_exist=False)
    for folder in (tmp_path / "nothing", tmp_path):
        with pytest.raises(MissingInputError, match="her2edge classify"):
            read_scored(cohort, folder)


@pytest.mark.parametrize(
    ("score", "label"),
    [
        ("0", "0/1+"),
        ("1+", "0/1+"),
        ("1", "0/1+"),
        ("0/1+", "0/1+"),
        (" HER2: 3+", "3+"),
        ("3", "3+"),
        ("IHC 2+", "2+"),
        ("score 2 +", "2+"),
        ("\uff13\uff0b", "3+"),
        ("4+", None),
        ("+", None),
        ("", None),
        ("/", None),
        ("positive", None),
        ("2+/3+", None),
        ("her2", None),
    ],
)
def test_a_score_stands_for_the_label_that_holds_it(score, label):
    assert label_of_score(score, ("0/1+", "2+", "3+")) == label


def test_a_score_that_two_labels_hold_stands_for_none():
    assert label_of_score("1+", ("0/1+", "1+/2+")) is None


def test_results_of_one_slide_are_never_those_of_two_rows_of_its_name(tmp_path):
    from her2edge.slide import fingerprint_slide

    slides = [tmp_path / folder / "x.svs" for folder in "ab"]
    for number, path in enumerate(slides):
        path.parent.mkdir()
        path.write_bytes(bytes([number]))
    write_case(tmp_path / "results", Case("x.svs", "3+", fingerprint=fingerprint_slide(slides[1])))
    (tmp_path / "c.csv").write_text("slide,score\na/x.svs,3+\nb/x.svs,2+\n")
    first, second = read_scored(read_cohort(tmp_path / "c.csv"), tmp_path / "results").slides
    assert (first.problem, second.problem, second.label) == (Problem.NO_RESULTS, None, "2+")
    slides[0].unlink()
    slides[1].unlink()
    cohort = read_cohort(tmp_path / "c.csv", must_exist=False)
    both = read_scored(cohort, tmp_path / "results").slides
    assert [slide.problem for slide in both] == [Problem.SEVERAL_RESULTS] * 2
