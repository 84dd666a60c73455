"""A student at the gate: beside its own float network, beside its teacher, and where that is unsure."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_run import LOOSE, REPORTS, convert
from msgspec import UNSET

from her2edge.errors import ModelError, OptionError
from her2edge.model.file import Model
from her2edge.model.patients import TrainingPatients, patient_group
from her2edge.model.records import Limits, Verdict
from her2edge.model.slide_records import StudentLimits, Unsure
from her2edge.stain import StainMode
from her2edge.tissue import TissueFilter
from her2edge_cli.main import main
from her2edge_quantize.gate.held_out import HeldOut, held_out_tiles
from her2edge_quantize.gate.school import School, refuse_pupils
from her2edge_quantize.gate.school_reasons import school_reasons
from her2edge_quantize.gate.verdict import GateRefusedError
from her2edge_quantize.options import QuantizeOptions
from her2edge_training.cohort.tile_list import TileList, TileListError
from her2edge_training.recipe import Stain
from her2edge_training.run.predictions import Predictions
from her2edge_training.run.teacher import Teacher
from her2edge_training.run.trained import TrainedRun
from her2edge_training.synthetic import even_cohort, write_dataset

LABELS = ("0/1+", "2+", "3+")
TEACHER = Teacher(
    "wise 1.0", "ab" * 32, True, LABELS, 64, 0.25, Stain(StainMode.OFF), TissueFilter(), UNSET,
    lambda _px, _threads: lambda pixels: np.zeros((len(pixels), 3), np.float32),
)  # fmt: skip


def logits(classes: Any, sure: float = 6.0) -> Any:
    return (sure * np.eye(3)[np.asarray(classes)]).astype(np.float32)


def school(classes: Any, unsure: int = 240, each: int = 4) -> School:
    """2,000 tiles of 100 slides that judge, all of class 0, and `unsure` tiles, `each` of a slide."""
    every = np.concatenate([np.zeros(2000, int), np.asarray(classes)])
    slides = np.array([f"s{n // 20}" for n in range(2000)] + [f"u{n // each}" for n in range(unsure)])
    reference = Predictions(
        LABELS, np.where(np.arange(len(every)) < 2000, every, -1), logits(every), slides,
        np.array([f"patient:{slide}" for slide in slides]), np.full(len(every), "a"),
    )  # fmt: skip
    brought = np.arange(len(every)) >= 2000
    return School(TEACHER, reference, logits(every), ~brought, brought, np.zeros(len(every), bool))


MIXED = np.arange(240) % 3


def judged(one: School, student: Any, **limits: Any) -> tuple[Verdict, Unsure, list[str]]:
    own = StudentLimits(**limits)
    verdict, unsure = one.beside(logits(student), 1.0, Limits(), own)
    return verdict, unsure, list(school_reasons(verdict, unsure, LABELS))


def test_a_student_that_says_what_its_teacher_says_passes_all() -> None:
    verdict, unsure, why = judged(school(MIXED), np.concatenate([np.zeros(2000, int), MIXED]))
    assert why == []
    assert (verdict.tiles, verdict.slides, verdict.flips) == (2000, 100, 0)
    assert (unsure.tiles, unsure.slides, unsure.agree, unsure.turned) == (240, 60, 240, 240)
    assert unsure.teacher_classes == unsure.classes == (80, 80, 80)


def test_tiles_that_flip_and_slides_that_change_are_refused_as_beside_float32() -> None:
    student = np.concatenate([np.zeros(2000, int), MIXED])
    student[:20] = 1  # one slide of a hundred
    verdict, _, why = judged(school(MIXED), student)
    assert (verdict.flips, verdict.changed_slides) == (20, 1)
    assert "beside the teacher: 1 of 100 slide labels change, limit 0" in why
    assert any(reason.startswith("beside the teacher: up to ") for reason in why)


@pytest.mark.parametrize(("wrong", "refused"), [(24, False), (25, True)])
def test_nine_of_ten_unsure_tiles_must_be_called_alike(wrong: int, refused: bool) -> None:
    given = MIXED.copy()
    places = np.flatnonzero(MIXED != 1)[:wrong]
    given[places] = 2 - given[places]  # 0/1+ and 3+ change places: 2+ stays as large
    _, unsure, why = judged(school(MIXED), np.concatenate([np.zeros(2000, int), given]))
    assert unsure.agree == 240 - wrong
    assert unsure.interval[0] < unsure.agree / 240 < unsure.interval[1]
    assert [f"agrees on {240 - wrong} of 240 tiles" in reason for reason in why] == [True] * refused


@pytest.mark.parametrize(("moved", "refused"), [(8, False), (9, True), (-8, False), (-9, True)])
def test_the_class_in_the_middle_may_not_shrink_or_grow_by_more_than_a_tenth(
    moved: int, refused: bool
) -> None:
    given = MIXED.copy()
    if moved > 0:
        given[np.flatnonzero(MIXED == 1)[:moved]] = 0
    else:
        given[np.flatnonzero(MIXED == 0)[:-moved]] = 1
    _, unsure, why = judged(school(MIXED), np.concatenate([np.zeros(2000, int), given]))
    assert unsure.classes[1] == 80 - moved
    words = f"the student calls {80 - moved} tiles 2+, the teacher 80, limit 10 % more or less"
    assert [words in reason for reason in why] == [True] * refused


def test_two_labels_have_no_class_in_the_middle() -> None:
    unsure = Unsure(
        tiles=300, slides=70, below=300, agree=290, interval=(0.9, 1.0), turned=299,
        teacher_classes=(150, 150), classes=(140, 160), limits=StudentLimits(),
    )  # fmt: skip
    verdict, _, _ = judged(school(MIXED), np.concatenate([np.zeros(2000, int), MIXED]))
    assert list(school_reasons(verdict, unsure, ("negative", "positive"))) == []


def test_too_few_unsure_tiles_or_slides_show_nothing_and_the_way_out_is_said() -> None:
    few, gathered = MIXED[:196], MIXED
    for one, given in ((school(few, 196), few), (school(gathered, each=5), gathered)):
        _, _, why = judged(one, np.concatenate([np.zeros(2000, int), given]))
        (reason,) = why
        assert "expected 200 of 60: bring tissue that lies between classes (--unsure-data" in reason
    none = school(MIXED[:0], 0)
    _, unsure, why = judged(none, np.zeros(2000, int))
    assert (unsure.tiles, unsure.interval) == (0, (0.0, 1.0))
    assert [reason.split(":")[1] for reason in why] == [" not shown"]


def test_tiles_of_too_few_slides_are_refused() -> None:
    one = school(MIXED)
    one.reference.slides[:2000] = [f"s{n // 25}" for n in range(2000)]
    one.reference.groups[:2000] = [f"patient:s{n // 25}" for n in range(2000)]
    _, _, why = judged(one, np.concatenate([np.zeros(2000, int), MIXED]))
    assert any("tiles of 80 slides, expected 100" in reason for reason in why)


def test_tiles_brought_as_unsure_judge_nothing_else(made: tuple[Path, Path]) -> None:
    run, tiles = TrainedRun.read(made[0]), TileList.read(made[1])
    own = tiles.records[0]
    others = tuple(
        own.__class__(f"{n}.png", own.folder, f"x{n}", f"Q{n}", "", "2+", None, None, 0.25, 1.0, "")
        for n in range(5)
    )
    held = held_out_tiles(run, tiles, others[:2], others[2:])
    assert isinstance(held, HeldOut)
    assert held.unsure_tiles.sum() == 3
    assert held.judges.sum() == 36 + 2
    assert held.patients == 3 + 2
    assert [record.label for record in held.records[-3:]] == [""] * 3, "whatever their list says"
    with pytest.raises(TileListError, match="own cohort"):
        held_out_tiles(run, tiles, (), tiles.records[:1])


def test_a_patient_whom_the_teacher_learnt_from_does_not_judge(made: tuple[Path, Path]) -> None:
    record = TileList.read(made[1]).records[0]
    known = TrainingPatients.of("salt", [patient_group(record.patient)])
    with pytest.raises(TileListError, match="found 1 patients for the gate whom the teacher learnt from"):
        refuse_pupils((record,), Teacher(**(vars(TEACHER) | {"patients": known})))


@pytest.fixture
def student(made: tuple[Path, Path], converted: Path, tmp_path: Path) -> tuple[Path, Path]:
    """`made` as if its int8 model had taught it."""
    run = tmp_path / "student"
    shutil.copytree(made[0], run, ignore=shutil.ignore_patterns("float32-*"))
    record = json.loads((run / "environment.json").read_text())
    record["taught_by"] = {
        "teacher": "m 0.1.0", "teacher_sha256": Model.load(converted).sha256, "demo": True,
        "temperature": 4.0, "unlabelled": 7, "background": 0, "patients": {"salt": "s", "hashes": ["0" * 32]},
    }  # fmt: skip
    (run / "environment.json").write_text(json.dumps(record))
    return run, made[1]


@pytest.fixture(scope="module")
def between(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("between")
    return write_dataset(folder, even_cohort(4, 3, seed=12, between=1.0), tile_px=64)


FEW = StudentLimits(slides=1, unsure_tiles=1, unsure_slides=1, agreement=0.0, share=1.0)


def test_a_student_that_passes_says_whose_it_is_in_file_card_report_and_inspect(
    student: tuple[Path, Path],
    converted: Path,
    between: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("tensorflow")
    out, lines = tmp_path / "m.tflite", list[str]()
    options = {"teacher": converted, "unsure_data": (between,), "student_limits": FEW}
    model = convert(student, out, report=lines.append, **options)
    taught = model.manifest.distilled_from
    assert taught is not None
    assert (taught.teacher, taught.teacher_sha256) == ("m 0.1.0", Model.load(converted).sha256)
    assert (taught.tiles, taught.unlabelled, taught.temperature) == (72, 7, 4.0)
    assert taught.transfer_set == "synthetic tissue, 180 tiles of 15 slides"
    verdict, unsure = taught.beside_teacher, taught.unsure
    assert isinstance(verdict, Verdict)
    assert isinstance(unsure, Unsure)
    assert (verdict.tiles, unsure.slides >= 4, unsure.tiles >= 12) == (36, True, True)
    assert sum(unsure.classes) == sum(unsure.teacher_classes) == unsure.tiles
    assert unsure.agree >= 0.9 * unsure.tiles, "int8 of the same network is the teacher"
    assert 0 < verdict.max_difference < 0.2
    assert model.manifest.training_patients.salt == "s"  # type: ignore[union-attr]
    card = model.card
    for words in ("Distilled from m 0.1.0", "## Beside the teacher", "7 tiles have the teacher's answer"):
        assert words in card
    text = (tmp_path / "m.report.md").read_text()
    assert "## Where the teacher is unsure" in text
    report = json.loads((tmp_path / "m.report.json").read_bytes())
    assert report["distilled_from"]["unsure"]["tiles"] == unsure.tiles
    assert main(["inspect", str(out)]) == 0
    said = capsys.readouterr().out
    assert f"a student: answers as its teacher does in {36 - verdict.flips} of 36 held-out tiles" in said
    again: list[str] = []
    convert(student, tmp_path / "again.tflite", report=again.append, **options)
    assert (tmp_path / "again.tflite").read_bytes() == out.read_bytes(), "what the teacher said is kept"


def test_a_student_that_fails_is_not_written_and_ends_with_78(
    student: tuple[Path, Path], converted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorflow")
    out = tmp_path / "out" / "m.tflite"
    out.parent.mkdir()
    with pytest.raises(GateRefusedError, match="where the teacher is unsure: not shown"):
        convert(student, out, limits=LOOSE, teacher=converted)
    assert {path.name for path in out.parent.iterdir()} == REPORTS
    command = ["quantize", str(student[0]), "--data", str(student[1]), "--scheme", "fp32", "--out", str(out)]
    assert main([*command, "--teacher", str(converted)]) == 78
    assert "beside the teacher: not shown: 36 held-out tiles" in capsys.readouterr().err
    assert not out.exists()


def test_a_student_without_its_own_teacher_is_refused_before_anything_is_computed(
    student: tuple[Path, Path], made: tuple[Path, Path], converted: Path, tmp_path: Path
) -> None:
    out = tmp_path / "m.tflite"
    with pytest.raises(OptionError, match=r"found the run of a student.*pass --teacher"):
        convert(student, out)
    with pytest.raises(ModelError, match=r"found another teacher .*expected the one that taught: m 0\.1\.0"):
        convert(student, out, teacher=made[0])
    with pytest.raises(OptionError, match="found a teacher for a run that learnt from labels"):
        convert(made, out, teacher=converted)
    with pytest.raises(OptionError, match="found unsure_data without a teacher"):
        QuantizeOptions(scheme="fp32", unsure_data=(tmp_path,))
    assert not out.exists()
