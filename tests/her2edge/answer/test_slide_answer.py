"""What tiles say together: every tile is counted, and whatever limits the answer is said with its numbers."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slide_results import slide, tile

from her2edge import LABELS, Outcome, answer_slide
from her2edge.answer import Reason, ReasonCode, Settled, Share, Status, answer_line, pooled_label
from her2edge.answer.sets import prediction_set
from her2edge.answer.words import bounds
from her2edge.errors import OptionError
from her2edge.model.protocol import SlideProtocol, StoppingRule, TilesRead
from her2edge.model.slide_records import AnswerLimits, CalibrationSlides, Pooling
from her2edge.tile import Background

SHA = "0" * 64


def model(labels=LABELS, **fields):
    """As much of a model as an answer asks for."""
    usual = {"limits": AnswerLimits(), "pooling": None, "calibration_slides": None, "limits_sha256": SHA}
    return SimpleNamespace(manifest=SimpleNamespace(labels=labels, **usual | fields))


READ = TilesRead(stain="per_tile")


def protocol(**fields):
    return SlideProtocol(**{"tiles": READ, "limits_sha256": SHA, "min_tissue_tiles": 10} | fields)


def answered(results, model, **fields):
    """The answer where it is known how the tiles were read."""
    return answer_slide(results, model, **{"read": READ} | fields)


def calibrated(per_class=12, scores=None, pooling=None, **fields):
    scores = scores or {label: tuple(np.linspace(0.05, 0.6, per_class)) for label in LABELS}
    slides = CalibrationSlides(**{"scores": scores, "protocol": protocol()} | fields)
    return model(calibration_slides=slides, pooling=pooling)


def codes(answer):
    return [reason.code.value for reason in answer.reasons]


@given(st.lists(st.sampled_from(["pooled", "blurred", "novel", "unfitted", *Outcome])))
def test_every_tile_is_counted_once(kinds):
    fields = {"pooled": {}, "blurred": {"pooled": False, "quality": ("compressed", "blurred")},
              "novel": {"pooled": False, "novelty": 2.0}, "unfitted": {"pooled": False}}  # fmt: skip
    results = [
        tile(place, 9, None if isinstance(kind, Outcome) and kind != "classified" else 1,
             kind if isinstance(kind, Outcome) else Outcome.CLASSIFIED, **fields.get(str(kind), {}))
        for place, kind in enumerate(kinds)
    ]  # fmt: skip
    answer = answer_slide(results, model(), min_tissue_tiles=1)
    tiles = answer.tiles
    assert tiles.total == len(kinds) == sum(tiles.outcomes.values())
    assert tiles.pooled + sum(tiles.left_out.values()) == tiles.outcomes["classified"]
    assert tiles.left_out.get("blurred", 0) == tiles.codes["blurred"] == tiles.codes["compressed"]
    assert tiles.left_out.get("novel", 0) == kinds.count("novel")
    sums = [sum(answer.probabilities.values()), sum(one.share for one in answer.shares.values())]
    assert sums == pytest.approx([1.0 if tiles.pooled else 0.0] * 2)
    assert answer.assessable == bool(answer.labels) == (answer.status is not Status.NOT_ASSESSABLE)


def test_the_label_is_that_of_the_largest_mean_and_the_majority_is_named_as_what_it_is():
    results = [*slide((12, 0, 0), sure=0.5), *(tile(100 + n, 20, 2, sure=1.0) for n in range(10))]
    answer = answer_slide(results, model())
    assert (answer.labels, answer.tile_majority, answer.status) == (("3+",), "0/1+", Status.ANSWERED)
    assert answer.probabilities == pytest.approx({"0/1+": 6 / 22, "2+": 3 / 22, "3+": 13 / 22})
    assert "uncalibrated" in codes(answer)
    assert answer_line(answer) == "3+ (no stated error)"


def test_a_tie_goes_to_the_first_label_and_the_order_of_tiles_does_not_matter():
    results = slide((20, 20, 0), sure=0.9)
    mixed = [results[n] for n in np.random.default_rng(0).permutation(40)]
    assert answer_slide(results, model()).labels == answer_slide(mixed, model()).labels == ("0/1+",)
    assert answer_slide(results, model()) == answer_slide(mixed, model())


@pytest.mark.parametrize(
    ("others", "code", "sentence"),
    [
        ({"pooled": False, "novelty": 2.0}, "far_from_training", "21 of 41 (51 %)"),
        ({"pooled": False, "quality": ("blurred",)}, "low_quality", "21 of 41 (51 %)"),
        ({"pooled": False, "quality": ("edge", "pen")}, "low_quality", "(edge 21)"),
        ({"pooled": False}, "low_quality", "(unfitted 21)"),
    ],
)
def test_a_slide_of_tiles_that_cannot_vote_is_not_assessable(others, code, sentence):
    results = [*slide((0, 0, 20)), *(tile(100 + n, 20, 2, **others) for n in range(21))]
    answer = answer_slide(results, model())
    assert (answer.status, answer.labels, codes(answer)[0]) == (Status.NOT_ASSESSABLE, (), code)
    assert sentence in answer.reasons[0].sentence
    assert answer_line(answer).startswith("not assessable: 21 of 41")


def test_tiles_of_low_quality_are_not_asked_for_novelty():
    bad = [tile(100 + n, 20, 2, pooled=False, quality=("pen",), novelty=9.0) for n in range(8)]
    answer = answer_slide([*slide((0, 0, 20)), *bad], model())
    assert (answer.novelty, answer.labels) == (0.0, ("3+",))
    assert "pen" in codes(answer)


def test_some_novel_tiles_are_said_and_leave_a_label():
    results = [*slide((0, 0, 20)), *(tile(100 + n, 20, 2, pooled=False, novelty=1.1) for n in range(8))]
    answer = answer_slide(results, model())
    assert (answer.labels, answer.novelty) == (("3+",), pytest.approx(8 / 28))
    assert "novel" in codes(answer)
    assert "low_quality" not in codes(answer)


def test_fewer_tiles_than_an_answer_needs_never_make_a_slide_far_from_training():
    """Eight tiles of one piece of tissue are one witness; too little tissue is what there is to say."""
    for judged in (8, 10):
        results = [tile(n, 20, 2, pooled=False, novelty=2.0) for n in range(judged)]
        answer = answer_slide(results, model())
        assert answer.status is Status.NOT_ASSESSABLE
        assert ("far_from_training" in codes(answer)) == (judged >= 10)
        assert "too_little_tissue" in codes(answer)


def test_the_models_limits_are_the_ones_that_count():
    limits = AnswerLimits(far_from_training=0.2, novel=0.1)
    results = [*slide((0, 0, 20)), *(tile(100 + n, 20, 2, pooled=False, novelty=1.1) for n in range(8))]
    assert codes(answer_slide(results, model(limits=limits)))[0] == "far_from_training"


def test_fewer_votes_than_asked_for_are_too_little_tissue():
    answer = answer_slide([*slide((0, 0, 9)), tile(100, 20)], model())
    assert codes(answer)[0] == "too_little_tissue"
    assert answer.reasons[0].sentence == "9 of 9 tissue tiles can vote; an answer needs 10."
    assert answer_slide(slide((0, 0, 9)), model(), min_tissue_tiles=9).labels == ("3+",)
    nothing = answer_slide([], model())
    assert nothing.status is Status.NOT_ASSESSABLE
    assert nothing.reasons[0].sentence == "0 tiles are tissue; an answer needs 10."
    for bad in (0, -1, 2.5, True):
        with pytest.raises(OptionError, match="min_tissue_tiles"):
            answer_slide([], model(), min_tissue_tiles=bad)


def test_tissue_too_pale_for_the_rule_is_said_by_its_area():
    results = [
        *slide((0, 0, 20), glass_fraction=0.2),
        *(tile(100 + n, 20, background=Background.PALE, glass_fraction=0.4) for n in range(60)),
        *(tile(200 + n, 20, background=Background.GLASS, glass_fraction=0.97) for n in range(2000)),
    ]
    answer = answer_slide(results, model())
    assert answer.tissue_classified == pytest.approx(16 / 52)
    assert "Classified 31 % of the tissue" in next(
        one.sentence for one in answer.reasons if one.code is ReasonCode.PALE_TISSUE
    )


def test_tiles_without_a_result_settled_readings_and_enlarged_tiles_are_said():
    failed = [tile(100 + n, 20, None, Outcome.FAILED) for n in range(3)]
    settled = Settled(False, None, 0.05, 30, 23, 400, {})
    answer = answer_slide([*slide((0, 0, 20)), *failed], model(), settled=settled, enlarged=2.0)
    assert {"failed_tiles", "not_settled", "upsampled"} <= set(codes(answer))
    (said,) = [one.sentence for one in answer.reasons if one.code is ReasonCode.NOT_SETTLED]
    assert said.endswith("go by the tiles read, without a stated error.")
    assert (answer.tiles.total, answer.tiles.unread) == (400, 377)
    assert answer.labels == ("3+",)


def settled_answer(**fields):
    at_most = {"0/1+": 0.0312, "2+": 0.05, "3+": 1.0}
    settled = replace(Settled(True, "3+", 0.05, 30, 214, 11466, at_most), **fields)
    return answer_slide(slide((1, 0, 39)), model(), settled=settled)


def test_an_answer_that_settled_says_after_how_many_tiles_and_what_the_rest_could_change():
    answer = settled_answer()
    assert answer_line(answer) == (
        "3+ (no stated error); settled after 214 of 11,466 tiles: reading all would change it in at most 5 % "
        "of slides"
    )
    assert bounds(answer) == [
        "at most 3.2 % of the tissue is 0/1+ (95 %)", "at most 5 % of the tissue is 2+ (95 %)",
    ]  # fmt: skip


def test_the_error_is_said_of_the_label_that_was_settled_and_of_no_other():
    assert settled_answer(label="2+").labels == ("2+",), "the one for which the error is stated"
    other = settled_answer(label=None)
    assert answer_line(other) == "3+ (no stated error); settled after 214 of 11,466 tiles"
    far = answer_slide(
        slide((0, 0, 41), novelty=2.0, pooled=False), model(),
        settled=Settled(True, None, 0.05, 30, 41, 400, {"3+": 1.0}, ReasonCode.FAR_FROM_TRAINING),
    )  # fmt: skip
    assert answer_line(far).endswith(
        "; settled after 41 of 400 tiles: reading all would change it in at most 5 % of slides"
    )
    assert bounds(far) == []


FAR = {"pooled": False, "novelty": 2.0}
BLURRED = {"pooled": False, "quality": ("blurred",)}


def stopped_early(refused, tiles):
    label = None if refused else "3+"
    settled = Settled(True, label, 0.05, 30, len(tiles), 400, dict.fromkeys(LABELS, 1.0), refused)
    return answer_slide(tiles, model(), settled=settled)


@pytest.mark.parametrize(
    ("code", "odd", "words"),
    [
        (ReasonCode.FAR_FROM_TRAINING, FAR, "more than 50 %"),
        (ReasonCode.LOW_QUALITY, BLURRED, "more than 30 %"),
    ],
)
def test_the_slide_rules_are_not_judged_again_on_the_few_tiles_of_a_reading_stopped_early(code, odd, words):
    """The tiles read say the one, what was settled of the whole slide the other: that counts, either way."""
    few, many = ([*slide((0, 0, usual)), *(tile(100 + n, 20, 2, **odd) for n in range(rest))]
                 for usual, rest in ((37, 3), (17, 23)))  # fmt: skip
    refused = stopped_early(code, few)
    assert (refused.status, refused.labels, refused.reasons[0].code) == (Status.NOT_ASSESSABLE, (), code)
    assert words in refused.reasons[0].sentence
    assert codes(refused).count(code.value) == 1
    kept = stopped_early(None, many)
    assert (kept.status, kept.labels) == (Status.ANSWERED, ("3+",))
    assert not {"far_from_training", "low_quality"} & set(codes(kept))
    assert answer_slide(many, model()).status is Status.NOT_ASSESSABLE, "read to the end, they do judge"


def test_a_slide_that_was_read_to_its_end_or_did_not_settle_says_no_error():
    for fields in ({"tiles_seen": 40, "tiles_total": 40}, {"settled": False, "label": None}):
        assert answer_line(settled_answer(**fields)) == "3+ (no stated error)"
    assert bounds(settled_answer(tiles_seen=40, tiles_total=40)) == []
    assert len(bounds(settled_answer(settled=False, label=None))) == 2


def test_an_extra_reason_takes_the_label_away_and_comes_first():
    extra = Reason(ReasonCode.LOW_QUALITY, "The slide has no two stains.")
    answer = answer_slide(slide((0, 0, 20)), model(), extra_reasons=[extra])
    assert (answer.status, answer.labels, answer.reasons[0]) == (Status.NOT_ASSESSABLE, (), extra)


def test_a_large_slide_has_intervals_and_a_second_class_makes_it_heterogeneous():
    labels = np.random.default_rng(0).choice(3, 3000, p=[0.6, 0.38, 0.02])
    answer = answer_slide((tile(n, 60, int(label)) for n, label in enumerate(labels)), model())
    for index, label in enumerate(LABELS):
        share = answer.shares[label]
        assert share.share == pytest.approx(np.mean(labels == index))
        assert 0 <= share.low < share.share < share.high <= 1
    assert answer.heterogeneous
    assert answer.effective_tiles > 500
    assert not {"no_grid", "too_few_regions"} & set(codes(answer))


def test_a_label_that_no_tile_has_has_no_interval_and_the_others_keep_theirs():
    labels = np.random.default_rng(0).choice([0, 2], 3000, p=[0.4, 0.6])
    answer = answer_slide((tile(n, 60, int(label)) for n, label in enumerate(labels)), model())
    assert answer.shares["2+"] == Share(0.0)
    assert answer.shares["0/1+"].low > 0.3
    assert answer.heterogeneous
    assert "too_few_regions" not in codes(answer)


def test_why_no_label_has_an_interval_is_said():
    rng = np.random.default_rng(0)
    chosen = {
        "All 1600 tiles that vote have one label": np.full(1600, 2),
        "The 1600 tiles that vote lie in too few regions": np.repeat([0, 2], 800),
        "fewer than 10 of these have some label, or lack it": (rng.random(1600) < 0.004) * 2,
    }
    for sentence, labels in chosen.items():
        answer = answer_slide((tile(n, 40, int(label)) for n, label in enumerate(labels)), model())
        (why,) = [reason for reason in answer.reasons if reason.code == "too_few_regions"]
        assert sentence in why.sentence
        assert all(one.low is None for one in answer.shares.values())


@pytest.mark.parametrize("twisted", ["two of one place", "between places", "two slides"])
def test_tiles_that_lie_on_no_grid_have_no_interval(twisted):
    results = slide((1000, 1000, 0), columns=50)
    other = {"two of one place": 5, "between places": 0, "two slides": 3000}[twisted]
    odd = tile(other, 50, 1)
    if twisted != "two of one place":
        changed = {"x": 17.0} if twisted == "between places" else {"slide": "t"}
        odd = type(odd)(**{**odd.__dict__, **changed})
    answer = answer_slide([*results, odd], model())
    assert "no_grid" in codes(answer)
    assert answer.effective_tiles is None
    assert all(one.low is None for one in answer.shares.values())


def test_a_model_without_novelty_says_so():
    answer = answer_slide(slide((0, 0, 20), novelty=None), model())
    assert answer.novelty is None
    assert codes(answer)[0] == "no_novelty"


def test_that_nobody_looked_for_novelty_comes_directly_behind_what_refuses():
    failed = [tile(100 + n, 20, None, Outcome.FAILED) for n in range(9)]
    some = [tile(200 + n, 20, 2, novelty=None, quality=("blurred", "pen"), pooled=False) for n in range(4)]
    answer = answer_slide([*slide((0, 0, 9), novelty=None), *some, *failed], model())
    assert codes(answer)[:3] == ["low_quality", "too_little_tissue", "no_novelty"]


def test_the_novelty_share_is_of_the_tiles_without_a_quality_code_fitted_or_not():
    results = [
        *slide((0, 0, 20)),
        *(tile(100 + n, 20, 2, pooled=False, novelty=0.5) for n in range(6)),  # unfitted
        *(tile(200 + n, 20, 2, pooled=False, novelty=2.0) for n in range(8)),
        *(tile(300 + n, 20, 2, pooled=False, quality=("pen",), novelty=9.0) for n in range(2)),
        *slide((0, 0, 0)),
    ]
    answer = answer_slide(results, model())
    assert answer.novelty == pytest.approx(8 / 34)
    novel = next(one.sentence for one in answer.reasons if one.code is ReasonCode.NOVEL)
    assert novel.startswith("8 of 34 (24 %) of the tissue tiles without a quality code are unlike")


def test_probabilities_that_are_no_numbers_are_refused():
    for bad in (np.nan, np.inf):
        odd = replace(tile(3, 20, 2), probabilities=np.array([0.1, bad, 0.1], np.float32))
        with pytest.raises(OptionError, match="not finite numbers"):
            answer_slide([*slide((0, 0, 20)), odd], model())


def test_two_and_four_labels_are_counted_as_three_are():
    for labels in (("low", "high"), ("a", "b", "c", "d")):
        results = slide([0] * (len(labels) - 1) + [20], labels=labels)
        assert answer_slide(results, model(labels)).labels == (labels[-1],)
        with pytest.raises(OptionError, match="of another model"):
            answer_slide(results, model())


def test_twenty_bytes_are_kept_of_a_tile():
    one = tile(0, 1, 1)
    tracemalloc.start()
    answer_slide((one for _ in range(30_000)), model())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30_000 * 100  # 20 while reading; some copies when summed up


def test_sets_hold_what_the_scores_do_not_exclude_and_say_what_is_odd():
    tight = {label: tuple([0.3] * 12) for label in LABELS}
    answer = answered(slide((0, 0, 20), sure=0.9), calibrated(scores=tight))
    assert (answer.labels, answer.status, answer.calibration) == (
        ("3+",),
        Status.ANSWERED,
        dict.fromkeys(LABELS, 12),
    )
    assert answer_line(answer) == "3+, 90 % (12 slides per class; such a calibration may be as low as 78 %)"
    none = answered(slide((0, 0, 20), sure=0.4), calibrated(scores=tight))
    assert (none.labels, codes(none)[0]) == ((), "no_class")
    wide = {label: tuple([0.7] * 12) for label in LABELS}
    every = answered(slide((0, 0, 20), sure=0.4), calibrated(scores=wide))
    assert (every.labels, every.status) == (LABELS, Status.AMBIGUOUS)
    assert "all_classes" in codes(every)
    torn = answered(slide((10, 0, 10), sure=1.0), calibrated(scores=wide))
    assert torn.labels == ("0/1+", "3+")
    assert "contradictory" in codes(torn)
    assert answer_line(torn).startswith("0/1+ or 3+, 90 % (12 slides per class")
    assert answer_line(torn).endswith("): do the IHC, and ISH where it is 2+")


def test_eight_patients_of_a_label_are_no_calibration():
    few = calibrated(8)
    answer = answered(slide((0, 0, 20)), few)
    assert (answer.calibration, answer.labels) == (None, ("3+",))
    assert "8 calibration slides" in answer.reasons[-1].sentence
    assert answered(slide((0, 0, 20)), calibrated(9)).calibration == dict.fromkeys(LABELS, 9)


RULE = StoppingRule(error=0.05, minimum=30, max_tiles=None)


@pytest.mark.parametrize(
    ("given", "rule", "words"),
    [
        ({"stopping": RULE}, None, "here every tile"),
        ({}, RULE, "read every tile, here until settled"),
        ({"stopping": RULE}, StoppingRule(error=0.01), "here until settled (error 1 %"),
        ({"stopping": RULE}, StoppingRule(max_tiles=500), "at most 500 tiles"),
        ({"limits_sha256": "1" * 64}, None, "limits 111111111111, here 000000000000"),
        ({"min_tissue_tiles": 20}, None, "fewest tiles that vote 20, here 10"),
    ],
)
def test_a_calibration_of_another_rule_or_other_limits_promises_nothing(given, rule, words):
    settled = None if rule is None else Settled(True, "3+", 0.05, 30, 20, 400, {}, rule=rule)
    promises_nothing(
        answered(slide((0, 0, 20)), calibrated(protocol=protocol(**given)), settled=settled), words
    )


def promises_nothing(answer, words):
    assert (answer.calibration, answer.promise, answer.labels) == (None, None, ("3+",))
    (said,) = [one.sentence for one in answer.reasons if one.code is ReasonCode.UNCALIBRATED]
    assert words in said
    assert "no stated error" in answer_line(answer)


OTHERWISE = {
    "places": ("regions", "tiles inside regions (every class), here the whole slide"),
    "classes": (("Tumor",), None),  # of regions
    "stain": ("slide", "stains slide, here per-tile"),
    "fits_sha256": ("a" * 64, "stains per-tile (aaaaaaaaaaaa), here per-tile"),
    "scale": (2.0, "scale 2 times the file's, here the file's"),
    "precision": ("bf16", "precision bf16, here f32"),
    "tested": (False, "self-test left out, here passed"),
    "release": ("0.0", "release 0.0, here not stated"),
}


def test_a_calibration_of_tiles_read_in_any_other_way_promises_nothing():
    assert set(OTHERWISE) == set(TilesRead.__struct_fields__), "every part of the record counts"
    for field, (value, words) in OTHERWISE.items():
        read, ours = ({"places": "regions"}, "regions") if words is None else ({}, "whole")
        other = TilesRead(**{"stain": "per_tile"} | read | {field: value})
        answer = answered(
            slide((0, 0, 20)),
            calibrated(protocol=protocol(tiles=other)),
            read=TilesRead(stain="per_tile", places=ours),
        )
        promises_nothing(answer, words or "tiles inside regions (Tumor), here inside regions (every class)")
    promises_nothing(answer_slide(slide((0, 0, 20)), calibrated()), "not stated how the tiles were read")


def test_a_slide_that_is_enlarged_says_where_no_calibration_slide_was():
    for enlarged, known, said in ((2.0, False, True), (2.0, True, False), (None, False, False)):
        answer = answered(slide((0, 0, 20)), calibrated(enlarged=known), enlarged=enlarged)
        assert ("unknown_scanner" in codes(answer)) is said


def test_a_calibration_made_as_the_slide_was_read_holds():
    settled = Settled(True, "3+", 0.05, 30, 20, 400, {}, rule=RULE)
    for fields, reading in (
        ({"protocol": protocol(stopping=RULE)}, settled),
        ({"pooling": Pooling()}, None),
    ):
        answer = answered(slide((0, 0, 20)), calibrated(**fields), settled=reading)
        assert answer.calibration == dict.fromkeys(LABELS, 12)
        assert "uncalibrated" not in codes(answer)


def test_the_rank_of_nine_scores_at_ninety_per_cent_is_the_ninth():
    scores = {"a": [0.1 * n for n in range(1, 10)]}
    assert prediction_set({"a": 0.1}, scores, 0.1) == ("a",)
    assert prediction_set({"a": 0.09}, scores, 0.1) == ()
    assert prediction_set({"a": 0.0}, {"a": scores["a"][:8]}, 0.1) == ("a",)


def test_a_scanner_that_no_calibration_slide_came_from_is_said():
    known = calibrated(scanners=("Aperio AT2",))
    assert "unknown_scanner" in codes(answered(slide((0, 0, 20)), known, scanner="other"))
    assert "unknown_scanner" in codes(answered(slide((0, 0, 20)), known))
    assert "unknown_scanner" not in codes(answered(slide((0, 0, 20)), known, scanner="Aperio AT2"))
    assert "unknown_scanner" not in codes(answered(slide((0, 0, 20)), model(), scanner="other"))


def test_a_site_that_no_calibration_slide_came_from_or_none_is_said_and_its_spelling_does_not_matter():
    known = calibrated(sites=("Basel West", "Bern"))
    for site in (None, "", "Genf"):
        answer = answered(slide((0, 0, 20)), known, site=site)
        (said,) = [one.sentence for one in answer.reasons if one.code is ReasonCode.UNKNOWN_SCANNER]
        assert ("the site 'Genf'" if site == "Genf" else "the site is not stated") in said
    for site in ("Basel West", "basel  west ", "BERN"):
        assert "unknown_scanner" not in codes(answered(slide((0, 0, 20)), known, site=site))
    assert "unknown_scanner" not in codes(answered(slide((0, 0, 20)), calibrated(), site="Genf"))


def test_an_equivocal_answer_says_what_to_do_and_a_remark_stands_behind_each_label():
    answer = answer_slide(slide((0, 20, 0)), model())
    assert answer_line(answer) == "2+ (no stated error): do the IHC, and ISH where it is 2+"
    assert answer_line(answer, "demo model").startswith("2+ (demo model) (no stated error): do the IHC")


@pytest.mark.parametrize(
    ("label", "acts"),
    [("2+", True), ("1+/2+", True), ("2+ or 3+", True), ("HER2 2+", True), ("0/1+", False), ("12+", False),
     ("3+", False)],
)  # fmt: skip
def test_a_label_that_holds_the_equivocal_score_says_what_to_do(label, acts):
    labels = ("none", label)
    answer = answer_slide(slide((0, 20), labels=labels), model(labels))
    for line in (answer_line(answer), answer_line(answer, "demo model")):
        assert ("do the IHC" in line) is acts


def test_the_pooled_label_is_the_answers():
    chances = np.array([[0.5, 0.3, 0.2]] * 6 + [[0.0, 0.1, 0.9]] * 5, np.float32)
    assert pooled_label(chances, LABELS) == "3+"
    assert pooled_label(chances[:9], LABELS) == "not_assessable"
    with pytest.raises(OptionError, match=r"expected \(n, 3\)"):
        pooled_label(chances[:, :2], LABELS)
