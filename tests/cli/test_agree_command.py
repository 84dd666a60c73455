"""`her2edge agree`: a kit from real results folders, and bad input of every kind."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import faults
import msgspec
import pytest
from model_v2 import tiny_v2
from scored_results import Case, write_case, write_cohort

from her2edge import LABELS
from her2edge.model.protocol import SlideProtocol, StoppingRule, TilesRead
from her2edge.model.slide_records import CalibrationSlides
from her2edge.report.page import pseudonym_of
from her2edge_cli.main import main

FILES = {"agree.csv", "agree.html", "agree.json", "agree.md"}
Agree = Callable[..., int]


def cases(per_label: int = 9, **fields: Any) -> list[Case]:
    """Slides that all agree: thirty tiles of the known label, one of each other."""
    made = []
    for row in range(per_label * 3):
        counts = tuple(30 if k == row % 3 else 1 for k in range(3))
        made.append(Case(f"case{row}.svs", LABELS[row % 3], f"p{row}", "AB"[row % 2], counts, **fields))
    return made


def lay_out(place: Path, made: Sequence[Case], name: str = "list.csv") -> None:
    """Results and list, below a folder."""
    for case in made:
        if case.written:
            write_case(place / "results", case)
    write_cohort(place / name, made)


def agree(place: Path, *more: str, out: str = "kit", name: str = "list.csv") -> int:
    fixed = ["agree", str(place / "results"), "--cohort", str(place / name), "--out", str(place / out)]
    return main([*fixed, *more])


def kit(place: Path, out: str = "kit") -> dict[str, Any]:
    return json.loads((place / out / "agree.json").read_text())


def refusal(place: Path, capsys: pytest.CaptureFixture[str], code: int = 65, *more: str) -> str:
    """The one line of an error; nothing is left behind."""
    assert agree(place, *more) == code
    assert not (place / "kit").exists()
    (line,) = [one for one in capsys.readouterr().err.splitlines() if one.startswith("her2edge: ")]
    return line


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_lab_gets_a_page_to_sign_and_every_slide_is_accounted_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = cases(10)
    made[0] = replace(made[0], counts=(1, 1, 30))  # 0/1+ answered 3+
    made[4] = replace(made[4], counts=(1, 2, 1))  # too little tissue
    made[5] = replace(made[5], written=False)
    lay_out(tmp_path, made)
    (tmp_path / "results" / "strange").mkdir()
    assert agree(tmp_path) == 3
    assert {path.name for path in (tmp_path / "kit").iterdir()} == FILES
    written = kit(tmp_path)
    agreement = written["agreement"]
    assert agreement["agreed"]["count"] == 27
    assert agreement["confusion"]["0/1+"]["3+"] == 1
    assert agreement["confusion"]["2+"]["not assessable"] == 1
    assert agreement["confusion"]["3+"]["no results"] == 1
    assert sum(sum(row.values()) for row in agreement["confusion"].values()) == len(made) == 30
    rows = list(csv.DictReader((tmp_path / "kit" / "agree.csv").open(encoding="utf-8")))
    assert [row["slide"] for row in rows] == [case.name for case in made]
    assert [row["agrees"] for row in rows].count("true") == 27
    assert rows[0]["answer"] == "3+ (demo model)"  # as everywhere outside of Python
    assert written["slides"][0]["answer"] == "3+ (demo model)"
    assert "classify it" in rows[5]["why"]
    printed = capsys.readouterr().out
    assert "agreement: 27 of 30 (90 %, 95 % interval 73 to 98 %)" in printed
    assert "1 patient has no results" in printed
    page = Page((tmp_path / "kit" / "agree.html").read_text(encoding="utf-8"))
    markdown = (tmp_path / "kit" / "agree.md").read_text(encoding="utf-8")
    model, listed = made[0].model.sha256, written["cohort"]["sha256"]
    for text in (page.text, markdown):
        for words in ("Research use only", "Name", "Role", "Date", "Signature", model, listed, "every tile"):
            assert words in text
    apart = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert len(apart) == 2  # what has no results has no link
    for link in apart:
        assert link is not None
        assert (tmp_path / "kit" / unquote(link)).resolve().is_file()


def test_the_page_has_no_script_asks_nobody_and_escapes_names(tmp_path: Path) -> None:
    made = cases()
    evil = "<script>alert(1)<img src=x>, [a](b) | =1+1.svs"
    made[0] = replace(made[0], name=evil, patient="=cmd", site="<b>", counts=(1, 30, 1))
    lay_out(tmp_path, made)
    assert agree(tmp_path) == 0
    text = (tmp_path / "kit" / "agree.html").read_text(encoding="utf-8")
    page = Page(text)
    assert evil in page.text
    assert not {tag for tag, _ in page.tags} & {"script", "img", "link", "b", "iframe", "object"}
    assert not re.search(r"https?:|url\(|@import", text)
    (policy,) = [one["content"] for tag, one in page.tags if tag == "meta" and "http-equiv" in one]
    assert policy is not None
    assert "default-src 'none'" in policy
    markdown = (tmp_path / "kit" / "agree.md").read_text(encoding="utf-8")
    assert "<script>" not in markdown
    assert r"\<script\>alert(1)\<img src=x\>, \[a\](b) \| =1+1.svs" in markdown
    rows = list(csv.reader((tmp_path / "kit" / "agree.csv").open(encoding="utf-8", newline="")))
    assert rows[1][1:3] == [evil, "'=cmd"]


MARK = "Zappelmann"


def test_a_kit_under_pseudonyms_holds_no_name_and_the_same_figures(tmp_path: Path) -> None:
    made = [
        replace(case, name=f"{MARK} {row}.svs", patient=f"{MARK}, {row}")
        for row, case in enumerate(cases(12))
    ]
    made[3] = replace(made[3], patient=made[0].patient.upper())  # a second slide
    made[4] = replace(made[4], counts=(30, 1, 1))  # does not agree
    made[5] = replace(made[5], written=False)
    made[7] = replace(made[7], patient="")
    lay_out(tmp_path, made, f"{MARK}.csv")
    write_case(tmp_path / "results", Case(f"{MARK} other.svs", "3+"))
    damaged = next((tmp_path / "results").glob(f"{MARK}_8*/summary.json"))
    damaged.write_text("{}")
    assert agree(tmp_path, name=f"{MARK}.csv", out="named") == 3
    assert agree(tmp_path, "--pseudonym", name=f"{MARK}.csv") == 3
    named, kept = kit(tmp_path, "named"), kit(tmp_path)
    for path in (tmp_path / "kit").iterdir():
        assert MARK.lower() not in path.read_text(encoding="utf-8").lower(), path.name
    assert MARK in (tmp_path / "named" / "agree.md").read_text()
    assert named["agreement"] == kept["agreement"]
    for one, other in zip(named["slides"], kept["slides"], strict=True):
        private = ("slide", "patient", "why", "page")
        assert {k: v for k, v in one.items() if k not in private} == {
            k: v for k, v in other.items() if k not in private
        }
    slides = kept["slides"]
    assert slides[0]["slide"] == pseudonym_of(hashlib.sha256(made[0].name.encode()).hexdigest())
    assert [slides[n]["patient"] for n in (0, 1, 3, 7)] == ["patient 1", "patient 2", "patient 1", ""]
    assert (slides[5]["slide"], slides[5]["why"]) == ("row 7", "no results")
    assert (slides[8]["slide"], slides[8]["why"]) == ("row 10", "unreadable results")
    text = (tmp_path / "kit" / "agree.md").read_text()
    assert "1 slide with results is not in the list, and not used." in text
    assert "1 patient has several slides" in text
    assert "1 slide of the list without a patient" in text
    write_cohort(tmp_path / "month.csv", made[:9])  # too few scores: the page says why, and of whom
    assert (
        agree(tmp_path, "--pseudonym", "--baseline", str(tmp_path / "kit"), name="month.csv", out="month")
        == 3
    )
    assert "3+ 1 (3 listed)" in kit(tmp_path, "month")["no_agreement"]
    for path in (tmp_path / "month").iterdir():
        assert MARK.lower() not in path.read_text(encoding="utf-8").lower(), path.name


def test_a_calibrated_model_s_sets_are_checked_against_what_they_promise(tmp_path: Path) -> None:
    plain = tiny_v2()
    calibration = CalibrationSlides(
        scores=dict.fromkeys(LABELS, (0.01,) * 9 + (0.4,)), protocol=SlideProtocol(
            tiles=TilesRead(stain="per_tile"), limits_sha256=plain.manifest.limits_sha256, min_tissue_tiles=10
        ), scanners=("Leica GT450",), sites=("A", "B"),
    )  # fmt: skip
    manifest = msgspec.structs.replace(plain.manifest, calibration_slides=calibration)
    model = replace(plain, manifest=manifest, sha256="c" * 64)
    made = [replace(case, model=model) for case in cases(10)]
    made[0] = replace(made[0], counts=(15, 15, 1))  # neither label is probable enough: the set is empty
    made += [Case("few.svs", "3+", "few", counts=(3, 3, 1), model=model)]  # that too, and too little tissue
    lay_out(tmp_path, made)
    assert agree(tmp_path) == 0
    written = kit(tmp_path)
    assert written["read_by"]["error"] == 0.1
    assert written["read_by"]["calibration"] == dict.fromkeys(LABELS, 10)
    covered = written["agreement"]["covered"]
    assert (covered["count"], covered["of"], written["agreement"]["set_size"]) == (29, 30, 29 / 30)
    assert written["agreement"]["patients"] == 31
    text = (tmp_path / "kit" / "agree.md").read_text()
    assert "promised: 90 %" in text
    assert "less often than promised" not in text
    wrong = [replace(case, score=LABELS[(row + row // 3 % 2) % 3]) for row, case in enumerate(made)]
    write_cohort(tmp_path / "wrong.csv", wrong)  # every second patient has another score
    assert agree(tmp_path, out="other", name="wrong.csv") == 0
    assert "the known label less often than promised" in (tmp_path / "other" / "agree.md").read_text()
    ill = [replace(case, counts=(1, 30, 1)) if case.score == "3+" and n < 15 else case
           for n, case in enumerate(made)]  # fmt: skip
    lay_out(tmp_path / "ill", ill)
    assert agree(tmp_path / "ill") == 0
    remarks = (tmp_path / "ill" / "kit" / "agree.md").read_text()
    assert "the known label 3+ less often than promised: 19 to 81 %, promised 90 %" in remarks
    assert "the known label less often" not in remarks


def test_fewer_than_nine_of_a_label_are_refused_with_the_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = cases()
    made[2] = replace(made[2], written=False)
    lay_out(tmp_path, made)
    line = refusal(tmp_path, capsys)
    assert "0/1+ 9, 2+ 9, 3+ 8 (9 listed); expected 9 of each label" in line
    assert "add patients" in line


def test_one_class_only_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lay_out(tmp_path, [replace(case, score="2+") for case in cases()])
    assert "0/1+ 0, 2+ 27, 3+ 0" in refusal(tmp_path, capsys)


def test_too_few_patients_are_refused_with_what_became_of_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = cases()
    made[3] = replace(made[3], patient="p0")
    lay_out(tmp_path, made)
    summary = next((tmp_path / "results").glob("case4*/summary.json"))
    summary.write_text("{}")
    line = refusal(tmp_path, capsys)
    assert "0/1+ 8, 2+ 8 (9 listed), 3+ 9; expected 9 of each label" in line
    assert "1 slide is another of a patient who is counted; 1 patient has no results, first case4.svs" in line
    assert "found summary.json changed" in line
    one = summary.parent
    code = main(["agree", str(one), "--cohort", str(tmp_path / "list.csv"), "--out", str(tmp_path / "kit")])
    assert code == 66
    assert "found the results of one slide" in capsys.readouterr().err


def test_a_patient_with_several_slides_is_counted_once_and_that_is_said(tmp_path: Path) -> None:
    made = cases(10)
    made[3] = replace(made[3], patient="P0 ", counts=(1, 1, 30))  # the second slide does not agree
    lay_out(tmp_path, made)
    assert agree(tmp_path) == 0
    written = kit(tmp_path)
    assert written["agreement"]["patients"] == 29
    assert written["agreement"]["agreed"]["count"] == 29
    assert [one["slide"] for one in written["slides"] if not one["counts"]] == ["case3.svs"]
    assert "1 patient has several slides" in (tmp_path / "kit" / "agree.md").read_text()


def test_unknown_scores_are_refused_by_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = cases()
    made[1], made[2] = replace(made[1], score="4+"), replace(made[2], score="high")
    lay_out(tmp_path, made)
    line = refusal(tmp_path, capsys)
    assert "row 3 '4+', row 4 'high', expected one of 0/1+, 2+, 3+" in line


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"model": replace(tiny_v2(), sha256="d" * 64)}, "model: 26 of"),
        ({"stopping": StoppingRule(error=0.05)}, "read: 26 of every tile, 1 of until settled"),
        ({"min_tissue_tiles": 5}, "fewest tiles that vote: 26 of 10, 1 of 5"),
        ({"read": TilesRead(stain="slide")}, "stains: 26 of per-tile, 1 of slide"),
    ],
)
def test_results_of_two_ways_of_reading_are_refused(
    other: dict[str, Any], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = cases()
    made[4] = replace(made[4], **other)
    lay_out(tmp_path, made)
    line = refusal(tmp_path, capsys)
    assert f"found results of more than one kind, {words}" in line
    assert "with the same options" in line


def test_slides_that_are_all_not_assessable_agree_with_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lay_out(tmp_path, [replace(case, counts=(1, 1, 1)) for case in cases()])
    assert agree(tmp_path) == 0
    agreement = kit(tmp_path)["agreement"]
    assert (agreement["agreed"]["count"], agreement["not_assessable"]["count"]) == (0, 27)
    assert agreement["kappa"]["value"] is None
    assert "Not one slide is assessable" in capsys.readouterr().out


def test_an_empty_folder_of_results_and_none_of_the_list_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lay_out(tmp_path, [replace(case, written=False) for case in cases()])
    assert "no such folder" in refusal(tmp_path, capsys, 66)
    (tmp_path / "results").mkdir()
    assert "no results" in refusal(tmp_path, capsys, 66)
    write_case(tmp_path / "results", Case("other.svs", "3+"))
    assert "no results of any slide in the list" in refusal(tmp_path, capsys)


def test_a_kit_is_replaced_only_when_asked_and_nothing_else_ever(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lay_out(tmp_path, cases())
    assert agree(tmp_path) == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "kit").iterdir()}
    assert agree(tmp_path) == 73
    assert "may be signed" in capsys.readouterr().err
    assert agree(tmp_path, "--force") == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "kit").iterdir()} == before
    (tmp_path / "kit" / "notes.txt").write_text("mine")
    assert agree(tmp_path, "--force") == 73
    assert {path.name for path in (tmp_path / "kit").iterdir()} == {*FILES, "notes.txt"}


@pytest.mark.slow
def test_a_disk_that_is_full_at_any_file_costs_a_former_kit_nothing(tmp_path: Path) -> None:
    lay_out(tmp_path, cases())
    assert agree(tmp_path) == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "kit").iterdir()}
    write_cohort(tmp_path / "list.csv", [replace(case, site="new") for case in cases()])
    with faults.failing_files(0) as counted:
        assert agree(tmp_path, out="other") == 0
    assert counted.calls >= len(FILES)
    renaming = 0
    for n in range(1, counted.calls + 1):
        with faults.failing_files(n):
            assert agree(tmp_path, "--force") == 74
        now = {path.name: path.read_bytes() for path in (tmp_path / "kit").iterdir()}
        renaming += now != before
        assert now == before or "agree.json" not in now  # no half of it passes for a whole
        if now != before:
            assert agree(tmp_path, "--force") == 0
            before = {path.name: path.read_bytes() for path in (tmp_path / "kit").iterdir()}
    assert renaming <= len(FILES)  # all were written before the first took its place


def test_a_month_without_scores_is_put_beside_the_baseline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lay_out(tmp_path, cases())
    assert agree(tmp_path, out="first") == 0
    month = [replace(case, score="", name=f"month-{case.name}", counts=(1, 1, 30)) for case in cases(4)]
    lay_out(tmp_path, month, "month.csv")
    capsys.readouterr()
    assert agree(tmp_path, "--baseline", str(tmp_path / "first"), name="month.csv") == 0
    printed = capsys.readouterr().out
    assert "agreement is not computed: the list has no known score" in printed
    assert "answer 3+ was 33 %, is 100 %: look before further use" in printed
    written = kit(tmp_path)
    assert written["agreement"] is None
    assert {line["what"] for line in written["drift"]["lines"] if line["flagged"]} == {"answer 3+"}
    text = (tmp_path / "kit" / "agree.html").read_text()
    assert "look before further use" in text
    assert "Slides beside a baseline" in text


def test_a_baseline_of_another_model_or_none_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lay_out(tmp_path, cases())
    assert agree(tmp_path, out="first") == 0
    record = kit(tmp_path, "first")
    record["read_by"]["sha256"] = "e" * 64
    (tmp_path / "first" / "agree.json").write_text(json.dumps(record))
    capsys.readouterr()
    line = refusal(tmp_path, capsys, 65, "--baseline", str(tmp_path / "first"))
    assert "a baseline of another model" in line
    (tmp_path / "first" / "agree.json").write_text("{}")
    assert "agree.json" in refusal(tmp_path, capsys, 65, "--baseline", str(tmp_path / "first"))
    refusal(tmp_path, capsys, 66, "--baseline", str(tmp_path / "nowhere"))


def test_without_jinja_all_but_the_page_is_written_and_nothing_heavy_is_imported(tmp_path: Path) -> None:
    lay_out(tmp_path, cases())
    program = """
import sys
class Gone:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"jinja2", "keras", "tensorflow", "shapely", "sklearn", "scipy"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Gone())
from her2edge_cli.main import main
code = main(["agree", "results", "--cohort", "list.csv", "--out", "kit"])
print(sorted({"keras", "tensorflow", "openslide"} & set(sys.modules)))
sys.exit(code)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "[]"
    assert "agree.html is not written" in ran.stderr
    assert '"her2edge[report]"' in ran.stderr
    assert {path.name for path in (tmp_path / "kit").iterdir()} == FILES - {"agree.html"}
