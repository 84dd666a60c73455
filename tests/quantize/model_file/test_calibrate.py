"""Calibration of a model file by scored slides: what is taken, refused, written; sets as crepes has them."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from model_v2 import TINY, tiny_v2
from scored_results import Case, results_of, write_case, write_cohort
from signing import KEY

from her2edge import Model, SlideAnswer, answer_slide
from her2edge.answer import answer_line
from her2edge.cohort import CohortError, read_cohort
from her2edge.errors import ModelError, OptionError
from her2edge.model.file import read_members
from her2edge.model.manifest import dump_manifest
from her2edge.model.patients import TrainingPatients, patient_group, slide_group
from her2edge.model.protocol import StoppingRule, TilesRead
from her2edge.results.scored import Scored, read_scored
from her2edge_quantize.model_file.archive import assemble
from her2edge_quantize.model_file.calibrate import calibrate
from her2edge_quantize.model_file.calibration_text import report
from her2edge_quantize.model_file.sign import sign

LABELS = ("0/1+", "2+", "3+")
DATA = TINY[3].read_bytes()


def drawn(seed: int, per_class: int, tiles: int = 20, **fields: object) -> list[Case]:
    """Slides whose tiles lean to their label, more or less."""
    rng = np.random.default_rng(seed)
    cases = []
    for k, label in enumerate(LABELS):
        for n in range(per_class):
            lean = np.full(3, 1.0)
            lean[k] += rng.exponential(1.5)
            chances = rng.dirichlet(lean, tiles)
            name = f"{seed}-{k}-{n}.svs"
            cases.append(Case(name, label, patient=f"P{seed}-{k}-{n}", site="A", chances=chances, **fields))
    return cases


def scored(folder: Path, cases: list[Case]) -> Scored:
    for case in cases:
        write_case(folder / "results", case)
    cohort = read_cohort(write_cohort(folder / "cohort.csv", cases), must_exist=False)
    return read_scored(cohort, folder / "results")


def answered(case: Case, model: Model, **fields: object) -> SlideAnswer:
    return answer_slide(results_of(case), model, read=case.read, **fields)


@pytest.fixture(scope="module")
def thirty(tmp_path_factory: pytest.TempPathFactory) -> Scored:
    return scored(tmp_path_factory.mktemp("thirty"), drawn(1, 12))


def test_answers_of_the_calibrated_model_are_the_sets_of_crepes(thirty: Scored) -> None:
    from crepes import ConformalClassifier

    made = calibrate(DATA, thirty)
    model = Model.from_bytes(made.data, trust="anyone")
    chances = np.array([[s.results.answer.probabilities[one] for one in LABELS] for s in thirty.slides])
    truth = np.array([LABELS.index(slide.label) for slide in thirty.slides])
    oracle = ConformalClassifier()
    oracle.fit(1 - chances[np.arange(len(truth)), truth], bins=truth)
    others = drawn(2, 70)
    answers = [answered(case, model, scanner="Leica GT450") for case in others]
    means = np.array([[one.probabilities[label] for label in LABELS] for one in answers])
    columns = [
        oracle.predict_set(
            (1 - means)[:, [k]], bins=np.full(len(means), k), confidence=0.9 - 1e-9, smoothing=False
        )
        for k in range(3)
    ]
    expected = np.concatenate(columns, axis=1).astype(bool)
    for answer, row in zip(answers, expected, strict=True):
        assert answer.labels == tuple(label for label, held in zip(LABELS, row, strict=True) if held)
    covered = np.mean([case.score in one.labels for case, one in zip(others, answers, strict=True)])
    assert covered > 0.78  # one calibration in twenty is below, by label
    assert answers[0].calibration == dict.fromkeys(LABELS, 12)
    assert answers[0].promise.level == 0.9
    assert answers[0].promise.low == pytest.approx(0.779, abs=5e-4)  # Beta(12, 1) at 5 %
    single = next(one for one in answers if len(one.labels) == 1 and one.labels != ("2+",))
    line = answer_line(single)
    assert line == f"{single.labels[0]}, 90 % (12 slides per class; such a calibration may be as low as 78 %)"


def test_everything_but_calibration_and_card_stays_and_the_same_input_gives_the_same_bytes(thirty) -> None:
    made = calibrate(DATA, thirty)
    before, after = Model.from_bytes(DATA, trust="anyone"), Model.from_bytes(made.data, trust="anyone")
    assert after.flatbuffer == before.flatbuffer
    old, new = read_members(DATA)[0], read_members(made.data)[0]
    changed = {name for name in old if old[name] != new[name]}
    assert changed == {"manifest.json", "MODEL_CARD.md"}
    assert after.manifest.limits_sha256 == before.manifest.limits_sha256
    assert after.manifest.calibration_slides == made.record
    assert made.record.sites == ("A",)
    assert made.record.scanners == ("Leica GT450",)
    assert calibrate(DATA, thirty).data == made.data
    assert after.card.count("## Calibration") == 1
    assert "90 % of patients (12 slides per class" in after.card
    again = calibrate(made.data, _of_model(thirty, after))
    assert Model.from_bytes(again.data, trust="anyone").card == after.card


def _of_model(given: Scored, model: Model) -> Scored:
    """The same slides as if that model had read them."""
    slides = []
    for slide in given.slides:
        summary = slide.results.summary
        named = msgspec.structs.replace(summary.model, sha256=model.sha256)
        results = replace(slide.results, summary=msgspec.structs.replace(summary, model=named))
        slides.append(replace(slide, results=results))
    return Scored(tuple(slides), ())


def test_a_calibrated_models_answers_say_what_is_unknown_of_a_slide(thirty) -> None:
    model = Model.from_bytes(calibrate(DATA, thirty).data, trust="anyone")
    case = drawn(3, 1)[0]
    assert "unknown_scanner" in _codes(answered(case, model, scanner="Other"))
    assert "unknown_scanner" in _codes(answered(case, model))
    known = answered(case, model, scanner="Leica GT450", site="A")
    assert not {"unknown_scanner", "uncalibrated"} & _codes(known)
    fewer = answered(case, model, scanner="Leica GT450", min_tissue_tiles=11)
    assert (fewer.calibration, fewer.promise) == (None, None)
    assert "uncalibrated" in _codes(fewer)


def _codes(answer) -> set[str]:
    return {str(reason.code) for reason in answer.reasons}


def test_fewer_than_nine_of_a_label_are_written_and_say_uncalibrated(tmp_path) -> None:
    cases = drawn(1, 9)[:-1]
    made = calibrate(DATA, scored(tmp_path, cases))
    assert not made.enough
    model = Model.from_bytes(made.data, trust="anyone")
    answer = answered(cases[0], model)
    assert (answer.calibration, answer.promise) == (None, None)
    assert "8 calibration slides" in answer.reasons[-1].sentence
    assert "Uncalibrated" in model.card
    assert "Uncalibrated" in report(made, "tiny")


def test_slides_that_cannot_be_assessed_are_left_out_and_named(tmp_path) -> None:
    cases = drawn(1, 9)
    cases.append(Case("few.svs", "3+", patient="few", counts=(0, 0, 9)))
    made = calibrate(DATA, scored(tmp_path, cases))
    assert [slide.name for slide in made.left_out] == ["few.svs"]
    assert made.record.patients == dict.fromkeys(LABELS, 9)
    assert "few.svs" in report(made, "tiny")


def _refused(tmp_path: Path, cases: list[Case], words: str, data: bytes = DATA) -> None:
    with pytest.raises(CohortError, match=words):
        calibrate(data, scored(tmp_path, cases))


def test_a_patient_twice_is_refused_however_the_name_is_written(tmp_path) -> None:
    cases = drawn(1, 1)
    _refused(
        tmp_path, [*cases, replace(cases[0], name="b.svs", patient="p1-0-0 ")], "found one patient 2 times"
    )


def test_a_slide_under_two_names_is_refused(tmp_path) -> None:
    cases = [replace(case, fingerprint="ab" * 32) for case in drawn(1, 1)]
    _refused(tmp_path, cases, "found one slide, by its content, 3 times")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"patient": ""}, "found no patient for row 2"),
        ({"score": ""}, "found no score"),
        ({"score": "4+"}, "found the score '4\\+'"),
        ({"min_tissue_tiles": 11}, "2 ways .fewest tiles that vote 10, here 11: row 2"),
        ({"stopping": StoppingRule()}, "2 ways .read every tile, here until settled .*: row 2"),
        ({"model": tiny_v2(2), "chances": None, "counts": (10, 20), "score": "3+"}, "another model file"),
    ],
)
def test_a_row_that_is_unlike_the_others_is_refused_by_its_number(tmp_path, change, words) -> None:
    first, *rest = drawn(1, 9)
    _refused(tmp_path, [replace(first, **change), *rest], words)


def test_a_slide_without_results_is_refused(tmp_path) -> None:
    cases = drawn(1, 2)
    for case in cases[1:]:
        write_case(tmp_path / "results", case)
    cohort = read_cohort(write_cohort(tmp_path / "c.csv", cases), must_exist=False)
    with pytest.raises(CohortError, match=r"1 of 6 slides that cannot be used: 1-0-0.svs \(row 2\)"):
        calibrate(DATA, read_scored(cohort, tmp_path / "results"))


def test_one_label_only_is_refused(tmp_path) -> None:
    _refused(tmp_path, drawn(1, 12)[:12], "0/1\\+ 12, 2\\+ 0, 3\\+ 0")


def test_a_patient_that_the_model_learnt_from_is_refused(tmp_path) -> None:
    cases = drawn(1, 9)
    learnt = TrainingPatients.of("salt", [patient_group("somebody"), patient_group(cases[4].patient)])
    data = _with(DATA, training_patients=learnt)
    model = Model.from_bytes(data, trust="anyone")
    given = [replace(case, model=model) for case in cases]
    _refused(tmp_path, given, "1 patients that the model learnt from: P1-0-4 \\(row 6", data)
    given[4] = replace(given[4], patient=cases[4].patient.lower())
    _refused(tmp_path / "spelt", given, "1 patients that the model learnt from: p1-0-4", data)
    assert calibrate(data, _without(scored(tmp_path, given), 4)).checked
    in_part = _with(DATA, training_patients=msgspec.structs.replace(learnt, others="unknown"))
    others = [replace(case, model=Model.from_bytes(in_part, trust="anyone")) for case in cases]
    assert not calibrate(in_part, _without(scored(tmp_path / "in part", others), 4)).checked
    unnamed = TrainingPatients.of("salt", [slide_group("1-0-4")])  # as a tile list of stems has it
    data = _with(DATA, training_patients=unnamed)
    given = [replace(case, model=Model.from_bytes(data, trust="anyone")) for case in cases]
    _refused(tmp_path / "stem", given, "1 patients that the model learnt from", data)
    assert cases[4].patient.encode() not in data


def _without(given: Scored, index: int) -> Scored:
    return Scored((*given.slides[:index], *given.slides[index + 1 :]), ())


def _with(data: bytes, **fields: object) -> bytes:
    model = Model.from_bytes(data, trust="anyone")
    members = read_members(data)[0]
    members["manifest.json"] = dump_manifest(msgspec.structs.replace(model.manifest, **fields))
    return assemble(model.flatbuffer, members)


def test_a_model_without_novelty_is_refused(thirty) -> None:
    import tiny

    with pytest.raises(ModelError, match="without a novelty limit"):
        calibrate(tiny.INT8.read_bytes(), thirty)


def test_a_signature_is_taken_away_and_that_is_said(tmp_path) -> None:
    data = sign(DATA, KEY)
    model = Model.from_bytes(data, trust="anyone")
    made = calibrate(data, scored(tmp_path, [replace(case, model=model) for case in drawn(1, 9)]))
    assert made.unsigned
    assert Model.from_bytes(made.data, trust="anyone").signer is None
    assert "sign it again" in report(made, "tiny")


def test_linear_pooling_is_refused_for_few_slides_and_where_it_is_no_better(tmp_path, thirty) -> None:
    with pytest.raises(OptionError, match=r"found 27 slides .*expected 30 or more"):
        calibrate(DATA, scored(tmp_path, drawn(1, 9)), "linear")
    rng = np.random.default_rng(0)
    sure = [
        replace(case, chances=rng.dirichlet(np.where(np.arange(3) == LABELS.index(case.score), 500, 1), 20))
        for case in drawn(4, 12)
    ]
    with pytest.raises(OptionError, match="no better than the mean"):
        calibrate(DATA, scored(tmp_path / "sure", sure), "linear")


def test_linear_pooling_promises_less_and_answers_by_the_fit_of_scikit_learn(tmp_path) -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(5)
    cases = [replace(case, chances=_focus(rng, LABELS.index(case.score))) for case in drawn(5, 12)]
    made = calibrate(DATA, scored(tmp_path, cases), "linear")
    model = Model.from_bytes(made.data, trust="anyone")
    answers = [answered(case, model, scanner="Leica GT450") for case in cases]
    x = np.array([[*a.means.values(), *a.top_tenths.values()] for a in answers])
    y = [LABELS.index(case.score) for case in cases]
    oracle = LogisticRegression(C=1.0, class_weight="balanced", max_iter=10_000).fit(np.log(x + 1e-4), y)
    assert np.allclose(
        [[a.probabilities[label] for label in LABELS] for a in answers],
        oracle.predict_proba(np.log(x + 1e-4)),
    )
    assert answers[0].promise.level == pytest.approx(0.8)
    assert answers[0].promise.low is None
    assert "80 % (12 slides per class; pooling fitted on 36 slides" in answer_line(answers[0])
    loo = []
    for n in range(len(y)):
        others = [k for k in range(len(y)) if k != n]
        fit = LogisticRegression(C=1.0, class_weight="balanced", max_iter=10_000)
        fit.fit(np.log(x[others] + 1e-4), np.array(y)[others])
        loo.append(1 - fit.predict_proba(np.log(x[[n]] + 1e-4))[0, y[n]])
    for k, label in enumerate(LABELS):
        own = sorted(score for score, one in zip(loo, y, strict=True) if one == k)
        assert made.record.scores[label] == pytest.approx(own, abs=1e-6)


def _focus(rng: np.random.Generator, k: int) -> np.ndarray:
    """A slide that is mostly 0/1+ by its tiles; a sixth of them tell the label."""
    tiles = rng.dirichlet((6, 2, 2), 30)
    lean = np.ones(3)
    lean[k] += 8
    tiles[:5] = rng.dirichlet(lean, 5)
    return tiles


def test_the_top_tenth_is_that_of_each_label_and_is_rounded_up(tmp_path) -> None:
    chances = np.linspace(0, 1, 41)
    case = Case("a.svs", "3+", chances=np.stack([1 - chances, np.zeros(41), chances], axis=1))
    answer = answered(case, tiny_v2())
    assert answer.top_tenths["3+"] == pytest.approx(np.mean(np.sort(chances)[-5:]), abs=1e-7)
    assert answer.top_tenths["0/1+"] == pytest.approx(np.mean(np.sort(1 - chances)[-5:]), abs=1e-7)
    assert answer.means["3+"] == pytest.approx(0.5, abs=1e-7)


def test_an_empty_set_of_a_former_calibration_does_not_leave_a_slide_out(
    thirty: Scored, tmp_path: Path
) -> None:
    former = calibrate(DATA, thirty).record
    never = msgspec.structs.replace(former, scores=dict.fromkeys(LABELS, (0.0,) * 9))
    data = _with(DATA, calibration_slides=never)
    model = Model.from_bytes(data, trust="anyone")
    given = scored(tmp_path, [replace(case, model=model) for case in drawn(1, 9)])
    assert all("no_class" in _codes(slide.results.answer) for slide in given.slides)
    made = calibrate(data, given)
    assert made.left_out == ()
    assert made.record.scores == calibrate(DATA, scored(tmp_path / "plain", drawn(1, 9))).record.scores


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stain": "slide"}, "stains per-tile, here slide"),
        ({"places": "regions"}, "tiles the whole slide, here inside regions"),
        ({"scale": 0.5}, "scale the file's, here 0.5 times"),
    ],
)
def test_slides_that_were_read_in_two_ways_are_refused_by_row(tmp_path, change, words) -> None:
    first, *rest = drawn(1, 9)
    other = replace(first, read=msgspec.structs.replace(first.read, **change))
    _refused(tmp_path, [other, *rest], f"2 ways .{words}.*: row 2")


def test_a_calibration_keeps_how_its_slides_were_read_and_answers_only_for_that(tmp_path) -> None:
    read = TilesRead(stain="slide", places="regions", classes=("Tumor",))
    made = calibrate(DATA, scored(tmp_path, [replace(case, read=read) for case in drawn(1, 9)]))
    assert made.record.protocol.tiles == read
    assert "tiles: inside regions (Tumor); stains: slide" in report(made, "tiny")
    model = Model.from_bytes(made.data, trust="anyone")
    case = drawn(3, 1)[0]
    assert "uncalibrated" in _codes(answered(case, model))
    assert "uncalibrated" not in _codes(answered(replace(case, read=read), model))
