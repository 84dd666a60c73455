"""Scores against scikit-learn and hand arithmetic; protocols that cannot flatter themselves."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from msgspec.structs import replace
from sklearn.metrics import roc_auc_score
from training_data import write_cohort

from her2edge.errors import MissingInputError, ModelError, OptionError, OutputError
from her2edge.probability import softmax
from her2edge.tile import LABELS
from her2edge_cli.main import main
from her2edge_training.cohort.split import make_split
from her2edge_training.cohort.tile_list import TileList, TileListError
from her2edge_training.evaluation.collate import Curve, Result, collate, to_json
from her2edge_training.evaluation.intervals import share_interval
from her2edge_training.evaluation.probe import SiteProbe, probe_sites
from her2edge_training.evaluation.report import to_markdown
from her2edge_training.evaluation.scores import (
    calibration_error,
    evaluate,
    fit_temperature,
)
from her2edge_training.evaluation.slides import evaluate_slides
from her2edge_training.evaluation.study import Study, StudyOptions, read_study, run_study
from her2edge_training.recipe import Recipe, Split, Stage
from her2edge_training.run.errors import RunFolderError
from her2edge_training.run.folder import RunFolder
from her2edge_training.run.new_run import NewRun
from her2edge_training.run.predictions import PartLogits, Predictions
from her2edge_training.run.records import Environment, Epoch, split_rows

RECIPE = Recipe("tiny", "se_resnet50", (Stage(32, 1, 1e-3, 4),), tile_px=64)


def predictions(seed: int = 0, n: int = 90, scale: float = 1.0) -> Predictions:
    """Three classes, ten tiles a slide; logits that know a little."""
    random = np.random.default_rng(seed)
    actual = np.repeat(np.arange(9) % 3, 10)[:n]
    logits = random.normal(0, 1, (n, 3)) + 1.5 * np.eye(3)[actual]
    slides = np.array([f"s{i // 10}" for i in range(n)])
    groups = np.char.add("patient:", slides)
    return Predictions(LABELS, actual, (scale * logits).astype(np.float32), slides, groups, slides)


def test_class_scores_are_scikit_learns_and_counted_by_hand() -> None:
    part = predictions()
    scores = evaluate(part, 1.0)
    predicted = part.logits.argmax(axis=1)
    assert scores.accuracy == np.mean(predicted == part.actual)
    assert (scores.tiles, scores.slides, scores.groups) == (90, 9, 9)
    chances = softmax(part.logits, 1.0)
    for index, one in enumerate(scores.classes):
        hit = np.count_nonzero((predicted == index) & (part.actual == index))
        assert one.recall == hit / np.count_nonzero(part.actual == index)
        assert one.precision == hit / np.count_nonzero(predicted == index)
        assert one.one_vs_rest_accuracy == np.mean((predicted == index) == (part.actual == index))
        assert one.auc == roc_auc_score(part.actual == index, chances[:, index])
    assert np.trace(scores.confusion) == hit + sum(
        np.count_nonzero((predicted == i) & (part.actual == i)) for i in (0, 1)
    )
    assert [sum(row) for row in scores.confusion] == [30, 30, 30]


def test_a_part_without_a_class_has_no_auc_for_it() -> None:
    part = predictions(n=20)
    assert evaluate(part, 1.0).classes[2].auc is None


def test_the_temperature_undoes_a_known_scaling() -> None:
    """Logits drawn so that their softmax is the truth, then multiplied by three."""
    random = np.random.default_rng(1)
    logits = random.normal(0, 1.5, (20_000, 3)).astype(np.float32)
    chances = softmax(logits, 1.0)
    actual = (random.random((20_000, 1)) > chances.cumsum(axis=1)).sum(axis=1)
    names = np.array(["s"] * 20_000)
    part = Predictions(LABELS, actual, 3 * logits, names, names, names)
    temperature = fit_temperature(part)
    assert temperature == pytest.approx(3, rel=0.05)
    assert calibration_error(softmax(part.logits, 1.0), actual) > 0.05
    assert calibration_error(softmax(part.logits, temperature), actual) < 0.02


@pytest.mark.parametrize("n", [5, 60, 700])
def test_tiles_that_are_all_named_rightly_make_no_network_certain(n: int) -> None:
    """By the rule of succession n of n show n + 1 in n + 3, however far apart the logits are."""
    actual = np.repeat(np.arange(3), n)
    random = np.random.default_rng(2)
    logits = (random.normal(0, 1, (3 * n, 3)) + 9 * np.eye(3)[actual]).astype(np.float32)
    assert (logits.argmax(axis=1) == actual).all()
    names = np.array(["s"] * 3 * n)
    part = Predictions(LABELS, actual, logits, names, names, names)
    chances = softmax(logits, fit_temperature(part))
    assert chances.max(axis=1).mean() == pytest.approx((n + 1) / (n + 3), abs=0.02)
    assert chances.max(axis=1).mean() < 0.9995


def test_the_calibration_error_of_a_hand_made_case() -> None:
    chances = np.array([[0.9, 0.1, 0.0], [0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.6, 0.4, 0.0]])
    assert calibration_error(chances, np.array([0, 1, 0, 0])) == pytest.approx((0.4 + 0.4) / 2)


def of_groups(groups: int, tiles: int = 20, wrong: int = 0) -> Predictions:
    """Slides of one patient each, all tiles right but those of the first `wrong` slides."""
    names = np.repeat([f"p{i}" for i in range(groups)], tiles)
    actual = np.zeros(groups * tiles, np.int64)
    named = np.repeat(np.arange(groups) < wrong, tiles).astype(int)
    return Predictions(LABELS, actual, np.eye(3, dtype=np.float32)[named], names, names, names)


def test_the_interval_of_an_accuracy_is_the_gates_own() -> None:
    part = of_groups(12, wrong=2)
    assert evaluate(part, 1.0).interval == share_interval(part.logits.argmax(axis=1) == 0, part.groups)


def test_all_right_is_not_certainty() -> None:
    interval = evaluate(of_groups(10), 1.0).interval
    assert interval is not None
    assert interval[0] < 0.97  # resampled, it is 1..1
    assert interval[1] == 1


def test_below_ten_patients_no_interval_is_stated_and_the_report_says_why() -> None:
    assert evaluate(of_groups(10), 1.0).interval is not None
    assert evaluate(of_groups(9), 1.0).interval is None
    one = dataclasses.replace(result("slide-grouped"), evaluation=evaluate(of_groups(9), 1.0))
    assert "| 100.00 | too few patients for an interval |" in to_markdown([one])
    assert json.loads(to_json([one]))[0]["test"]["interval"] is None


@pytest.fixture(scope="module")
def tile_list(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort of two sites."""
    path = write_cohort(tmp_path_factory.mktemp("cohort"), slides=6)
    lines = path.read_text().splitlines()
    lines[1:] = [
        line.replace(",site,", f",{'north' if i // 3 % 2 else 'south'},") for i, line in enumerate(lines[1:])
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("number", range(3))
def test_folds_are_disjoint_in_patients_and_together_all_tiles(tile_list: Path, number: int) -> None:
    records = TileList.read(tile_list).records
    splits = [make_split(records, Split("slide-grouped", fold=(i, 3)), 1) for i in range(3)]
    tests = [set(split.select("test")) for split in splits]
    assert set().union(*tests) == set(records)
    assert sum(map(len, tests)) == len(records)
    groups = [{r.group for r in splits[number].select(part)} for part in ("train", "validation", "test")]
    assert not groups[0] & groups[1]
    assert not (groups[0] | groups[1]) & groups[2]


def test_a_held_out_site_is_the_whole_test_part_and_nothing_else(tile_list: Path) -> None:
    split = make_split(TileList.read(tile_list).records, Split("site-held-out", site="north"), 1)
    assert {r.site for r in split.select("test")} == {"north"}
    assert {r.site for part in ("train", "validation") for r in split.select(part)} == {"south"}
    assert not {r.group for r in split.select("train")} & {r.group for r in split.select("validation")}


def test_a_site_that_is_not_there_is_refused_with_those_that_are(tile_list: Path) -> None:
    with pytest.raises(TileListError, match="north, south"):
        make_split(TileList.read(tile_list).records, Split("site-held-out", site="east"), 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"protocol": "site-held-out"},
        {"protocol": "slide-grouped", "site": "north"},
        {"protocol": "tile-random", "fold": (0, 5)},
        {"protocol": "slide-grouped", "fold": (5, 5)},
        {"protocol": "slide-grouped", "fold": (0, 1)},
    ],
)
def test_splits_that_contradict_themselves_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        Split(**wrong)  # type: ignore[arg-type]


def fake_training(seen: list[str], fail_at: str = "") -> Callable[[Recipe, TileList, Path], None]:
    """Writes a run's files as `train` does, with made-up logits that know the slides of the training part."""

    def train(recipe: Recipe, tiles: TileList, run: Path) -> None:
        seen.append(f"{recipe.name}/{run.name}")
        if run.name == fail_at:
            raise RuntimeError("killed")
        folder, assignment = NewRun(run), make_split(tiles.records, recipe.split, recipe.seed)
        made_with = Environment(packages={}, system="", backend="", tile_list_sha256=tiles.sha256)
        folder.begin(recipe, made_with, split_rows(assignment), (), ())
        known = {record.slide for record in assignment.select("train")}
        sites = [record.site == "north" for record in assignment.select("test")]
        folder.write_features(np.eye(3)[np.array(sites, dtype=int)])  # of nothing but the site
        parts = []
        for part in ("validation", "test"):
            records = assignment.select(part)
            right = np.eye(3, dtype=np.float32)[[LABELS.index(record.label) for record in records]]
            strength = [[4 if record.slide in known else -1] for record in records]
            parts.append(PartLogits(part, records, right * np.array(strength, np.float32)))
        folder.write_predictions(parts, LABELS)
        for number, figures in enumerate(((1.1, 0.4, 1.0, 0.5), (0.9, 0.6, 0.8, 0.7), (0.5, 0.9, 0.9, 0.6))):
            folder.append_log(Epoch(number + 1, 1, 32, *figures, learning_rate=1e-3, seconds=1))
        (run / "metrics.json").write_text("{}")

    return train


FOLDERS = [
    "tile-random",
    "slide-grouped-0-of-2",
    "slide-grouped-1-of-2",
    "site-held-out-north",
    "site-held-out-south",
]


def study_of(tile_list: Path, out: Path, seen: list[str], fail_at: str = "") -> None:
    run_study(
        [RECIPE], TileList.read(tile_list), out, StudyOptions(folds=2),
        train=fake_training(seen, fail_at), report=lambda _line: None,
    )  # fmt: skip


def test_a_study_trains_every_fold_once_and_goes_on_where_it_stopped(tile_list: Path, tmp_path: Path) -> None:
    seen: list[str] = []
    with pytest.raises(RuntimeError, match="killed"):
        study_of(tile_list, tmp_path / "study", seen, fail_at=FOLDERS[2])
    with pytest.raises(MissingInputError, match="3 of 5 runs unfinished"):
        collate([tmp_path / "study"])
    study_of(tile_list, tmp_path / "study", seen)
    assert [name.removeprefix("tiny/") for name in seen] == [*FOLDERS[:3], *FOLDERS[2:]]
    assert read_study(tmp_path / "study").sites == ("north", "south")


def test_another_study_in_the_same_folder_is_refused(tile_list: Path, tmp_path: Path) -> None:
    study_of(tile_list, tmp_path / "study", [])
    with pytest.raises(OutputError, match="the same"):
        run_study(
            [replace(RECIPE, name="other")], TileList.read(tile_list), tmp_path / "study",
            StudyOptions(folds=2),
            train=fake_training([]), report=lambda _line: None,
        )  # fmt: skip
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    with pytest.raises(OutputError, match=r"notes\.txt"):
        study_of(tile_list, tmp_path / "mine", [])


def test_the_same_tiles_held_out_twice_are_refused(tile_list: Path, tmp_path: Path) -> None:
    study_of(tile_list, tmp_path / "study", [])
    run = tmp_path / "study" / "tiny" / FOLDERS[0]
    with pytest.raises(ModelError, match="expected folds of one study"):
        collate([run, run])


def test_an_edited_recipe_and_two_of_one_name_make_no_study_with_the_old_folds(
    tile_list: Path, tmp_path: Path
) -> None:
    study_of(tile_list, tmp_path / "study", [])
    more: dict[str, Any] = {"options": StudyOptions(folds=2), "train": fake_training([]), "report": print}
    tiles = TileList.read(tile_list)
    with pytest.raises(OutputError, match="the same"):
        run_study([replace(RECIPE, dropout=0.3)], tiles, tmp_path / "study", **more)
    with pytest.raises(OptionError, match="expected different names"):
        run_study([RECIPE, replace(RECIPE, seed=2)], tiles, tmp_path / "other", **more)


def test_the_three_protocols_stand_side_by_side_and_show_the_leak(
    tile_list: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A network that only knows slides by heart: perfect by tile, worthless by slide and by site."""
    study_of(tile_list, tmp_path / "study", [])
    assert main(["evaluate", str(tmp_path / "study"), "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    record = {r["protocol"]: r for r in json.loads((tmp_path / "out" / "evaluation.json").read_text())}
    assert record["tile-random"]["test"]["accuracy"] > 0.9
    assert record["slide-grouped"]["test"]["accuracy"] == record["site-held-out"]["test"]["accuracy"] == 0
    assert record["slide-grouped"]["test"]["tiles"] == len(TileList.read(tile_list).records)
    assert record["slide-grouped"]["train_accuracy"] == 0.6  # of the epoch that validated best
    assert record["tile-random"]["site_probe"]["balanced_accuracy"] == 1.0
    assert record["site-held-out"]["site_probe"] is None
    assert "held out by tile, by slide and by site" in printed
    assert "Can the site be told" in printed
    assert "Research use only" in printed
    pictures = sorted(path.name for path in (tmp_path / "out").glob("*.png"))
    assert len(pictures) == 9
    assert cv2.imread(str(tmp_path / "out" / pictures[0])) is not None


def test_the_probe_finds_a_site_that_is_there_and_none_that_is_not() -> None:
    random = np.random.default_rng(2)
    groups = np.array([f"g{i // 10}" for i in range(400)])
    sites = np.array(["north", "south"])[np.arange(400) // 10 % 2]
    noise = random.normal(0, 1, (400, 8))
    blind = probe_sites(noise, sites, groups)
    assert blind is not None
    assert (blind.chance, blind.sites, blind.tiles) == (0.5, 2, 400)
    assert abs(blind.balanced_accuracy - 0.5) < 0.12
    seeing = probe_sites(noise + 3 * (sites == "north")[:, None], sites, groups)
    assert seeing is not None
    assert seeing.balanced_accuracy > 0.97


def test_the_probe_is_not_fooled_by_patients_it_has_seen() -> None:
    """Features that name the patient, not the site: a split by tile would find every site."""
    random = np.random.default_rng(2)
    group = np.arange(400) // 10
    sites = np.array(["north", "south"])[group % 2]
    patients = random.normal(0, 1, (40, 60))[group]
    probe = probe_sites(patients, sites, group.astype(str))
    assert probe is not None
    assert probe.balanced_accuracy < 0.75


def test_a_site_of_one_patient_is_not_probed() -> None:
    groups = np.array(["a", "a", "b", "c"])
    assert probe_sites(np.eye(4), np.array(["north", "north", "south", "south"]), groups) is None
    assert probe_sites(np.eye(4), np.array(["north"] * 4), groups) is None


def test_features_of_another_run_are_refused(tmp_path: Path) -> None:
    NewRun(tmp_path).write_features(np.zeros((3, 2)))
    with pytest.raises(RunFolderError, match="expected finite ones of 4 tiles"):
        RunFolder(tmp_path).features(4)
    (tmp_path / "features.npz").write_bytes(b"damaged")
    with pytest.raises(RunFolderError, match="cannot be read"):
        RunFolder(tmp_path).features(3)


def test_a_split_that_leaks_without_saying_so_is_refused(tile_list: Path, tmp_path: Path) -> None:
    study_of(tile_list, tmp_path / "study", [])
    run = tmp_path / "run"
    shutil.copytree(tmp_path / "study" / "tiny" / FOLDERS[1], run)
    assert collate([run])[0].protocol == "slide-grouped"
    with (run / "split.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    rows[1][4] = "train" if rows[1][4] != "train" else "test"
    with (run / "split.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    with pytest.raises(ModelError, match="two parts of a slide-grouped split"):
        collate([run])


def test_what_is_neither_run_nor_study_is_missing_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(tmp_path), "--out", str(tmp_path / "out")]) == 66
    assert "neither a run nor a study" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_study_command_trains_for_real_in_its_smallest_size(tile_list: Path, tmp_path: Path) -> None:
    arguments = [
        "--data",
        str(tile_list),
        "--out",
        str(tmp_path / "study"),
        "--smoke",
        "--protocol",
        "tile-random",
    ]
    assert main(["study", "demo_se_resnet50", *arguments]) == 0
    assert main(["evaluate", str(tmp_path / "study"), "--out", str(tmp_path / "out")]) == 0
    assert "tile-random" in (tmp_path / "out" / "evaluation.md").read_text()


def test_sites_whose_names_differ_in_signs_only_have_folders_of_their_own() -> None:
    sites = ("Berlin/scanner 1", "Munich/scanner 1", "north")
    study = Study(("tiny",), ("00",), "00", 2, sites, ("site-held-out",))
    names = [name for name, _split in study.splits()]
    assert len(set(names)) == 3
    assert names[2] == "site-held-out-north"
    assert all(name.startswith("site-held-out-scanner_1-") for name in names[:2])


def result(protocol: str, probe: SiteProbe | None = None, recipe: str = "net") -> Result:
    part = predictions()
    curves = {"accuracy": Curve((0.5,), (0.5,)), "loss": Curve((1.0,), (1.0,))}
    slides = evaluate_slides(part, 1.0, shared=protocol == "tile-random")
    return Result(recipe, protocol, (), 0.5, evaluate(part, 1.0), slides, curves, probe, part, np.ones(90))


@pytest.mark.parametrize(
    ("balanced", "interval", "above"),
    [(0.37, (0.30, 0.45), False), (0.60, (0.49, 0.71), False), (0.60, (0.51, 0.69), True)],
)
def test_above_chance_is_said_only_where_the_whole_interval_is(
    balanced: float, interval: tuple[float, float], above: bool
) -> None:
    text = to_markdown([result("slide-grouped", SiteProbe(balanced, interval, 0.5, 2, 90))])
    assert ("net (slide-grouped): above chance" in text) is above
    assert ("net (slide-grouped): not shown to be above chance" in text) is not above
    assert f"{100 * interval[0]:.2f}..{100 * interval[1]:.2f}" in text


def test_the_probes_interval_is_of_patients_and_tells_noise_from_a_site() -> None:
    random = np.random.default_rng(4)
    groups = np.repeat([f"g{i}" for i in range(20)], 10)
    sites = np.repeat(["north", "south"], 100)
    noise = random.normal(0, 1, (200, 8)) + np.repeat(random.normal(0, 1, (20, 8)), 10, axis=0)
    blind, seeing = (
        probe_sites(noise + shift * (sites == "north")[:, None], sites, groups) for shift in (0, 4)
    )
    assert blind is not None
    assert seeing is not None
    assert not blind.above_chance
    assert seeing.above_chance
    assert blind.interval[0] <= blind.balanced_accuracy <= blind.interval[1]
    assert blind.interval[1] - blind.interval[0] > 0.1  # twenty patients, not two hundred tiles


@pytest.mark.parametrize(
    ("protocols", "words", "others"),
    [
        (
            ("tile-random", "slide-grouped"),
            ("by tile and by slide", "next patient"),
            ("laboratory", "by site"),
        ),
        (("slide-grouped", "site-held-out"), ("by slide and by site", "laboratory"), ("sides", "by tile")),
        (("tile-random", "site-held-out"), ("sides", "laboratory"), ("next patient", "by slide")),
        (("tile-random",), (), ("sides", "next patient", "laboratory", "The same network")),
    ],
)
def test_a_column_is_spoken_of_only_where_it_is(
    protocols: tuple[str, ...], words: tuple[str, ...], others: tuple[str, ...]
) -> None:
    text = to_markdown([result(protocol) for protocol in protocols])
    assert all(word in text for word in words)
    assert not any(word in text for word in others)


def test_two_networks_of_a_protocol_each_are_not_the_same_network() -> None:
    text = to_markdown([result("tile-random", recipe="a"), result("site-held-out", recipe="b")])
    assert "The same network" not in text


def of_slides(slides: list[tuple[str, str, int, list[int]]]) -> Predictions:
    """(slide, patient, actual class, class that each tile is given with logit 2)."""
    rows = [(name, patient, actual, named) for name, patient, actual, tiles in slides for named in tiles]
    return Predictions(
        labels=LABELS,
        actual=np.array([actual for _, _, actual, _ in rows]),
        logits=np.array([2.0 * np.eye(3)[named] for *_, named in rows], np.float32),
        slides=np.array([name for name, *_ in rows]),
        groups=np.array([f"patient:{patient}" for _, patient, *_ in rows]),
        sites=np.array(["A"] * len(rows)),
    )


def test_a_slide_answers_by_its_mean_and_a_patient_is_one_witness() -> None:
    from scipy.stats import beta

    given = of_slides(
        [
            ("a", "P", 0, [0, 0, 1]),
            ("b", "P", 0, [1, 1, 0]),
            ("c", "Q", 1, [1]),
            ("d", "R", 2, [2, 2, 0]),
            ("e", "S", 2, [0, 0, 2]),
        ]
    )
    found = evaluate_slides(given, 1.0, shared=False)
    assert (found.slides, found.patients, found.right, found.mixed) == (5, 4, 3, 0)
    assert found.confusion == ((1, 1, 0), (0, 1, 0), (1, 0, 1))
    assert found.interval == pytest.approx(beta.ppf([0.025, 0.975], 0.6 * 4 + 0.5, 0.4 * 4 + 0.5))
    assert [(one.slides, one.right) for one in found.classes] == [(2, 1), (1, 1), (2, 1)]
    one_patient = found.classes[0].interval
    assert one_patient == pytest.approx(beta.ppf([0.025, 0.975], 1.0, 1.0))
    assert found.classes[1].interval == (pytest.approx(beta.ppf(0.025, 1.5, 0.5)), 1.0)


def test_a_slide_answers_at_the_temperature_that_the_model_will_have() -> None:
    """One sure tile against three that lean the other way: sharpened, the three win."""
    given = of_slides([("a", "P", 1, [0, 1, 1, 1]), ("b", "Q", 1, [0, 1, 1, 1])])
    logits = np.tile([[9.0, 0, 0], *[[0, 0.5, 0]] * 3], (2, 1)).astype(np.float32)
    given = dataclasses.replace(given, logits=logits)
    assert [evaluate_slides(given, one, shared=False).right for one in (1.0, 0.1)] == [0, 2]
    each = np.repeat([1.0, 0.1], 4)  # of folds
    assert evaluate_slides(given, each, shared=False).right == 1


def test_slides_of_several_labels_have_no_score_and_are_counted() -> None:
    given = of_slides([("a", "P", 0, [0, 0]), ("a", "P", 1, [1]), ("b", "Q", 1, [1])])
    found = evaluate_slides(given, 1.0, shared=False)
    assert (found.slides, found.mixed) == (1, 1)
    none = evaluate_slides(of_slides([("a", "P", 0, [0]), ("a", "P", 1, [1])]), 1.0, shared=False)
    assert (none.slides, none.agreement, none.interval) == (0, None, None)


def test_slide_answers_are_in_report_and_json_and_a_leaky_split_says_so(tmp_path: Path) -> None:
    honest, leaky = result("slide-grouped"), result("tile-random")
    text = to_markdown([honest])
    assert "## Slide answers" in text
    assert "no answers of new patients" not in text
    both = to_markdown([honest, leaky])
    assert "training had other tiles of these very slides" in both
    assert "slides, slides that training knows" in both
    records = json.loads(to_json([honest, leaky]))
    assert [record["slides"]["shared"] for record in records] == [False, True]
    assert {"confusion", "interval", "classes", "right"} <= set(records[0]["slides"])
