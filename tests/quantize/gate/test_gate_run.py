"""Whole conversions at the gate: what is written, what is refused, and what the files say of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from made_run import REPORTS, convert, silent, tiles_by_part

from her2edge.errors import OptionError, OutputWriteError, TileError
from her2edge.model.file import Model
from her2edge.model.records import Limits, Scheme
from her2edge.probability import softmax
from her2edge.runtime import open_runtime
from her2edge_cli.main import main
from her2edge_quantize.gate.gate_data import read_gate_data
from her2edge_quantize.gate.held_out import held_out_tiles
from her2edge_quantize.gate.reference import keep_answers, reference_key
from her2edge_quantize.gate.verdict import GateRefusedError
from her2edge_quantize.model_file.pack import write_model
from her2edge_training.cohort.store import network_inputs
from her2edge_training.cohort.tile_list import TileList, TileListError
from her2edge_training.run.folder import RunFolder
from her2edge_training.run.trained import TrainedRun
from her2edge_training.synthetic import even_cohort, write_dataset

pytest.importorskip("tensorflow", reason="conversion needs TensorFlow")


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def report_of(out: Path) -> dict[str, Any]:
    return json.loads(out.with_name(f"{out.stem}.report.json").read_bytes())  # type: ignore[no-any-return]


def test_a_refused_model_is_not_written_but_the_report_is_and_one_there_before_stays(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "m.tflite"
    out.write_bytes(b"good work")
    words = r"not shown: 36 held-out tiles of 3 patients.*bring 57 more patients with 35 tiles.*--accept-loss"
    with pytest.raises(GateRefusedError, match=words):
        convert(made, out, limits=Limits())
    assert out.read_bytes() == b"good work"
    assert names(tmp_path) == REPORTS | {"m.tflite"}
    report = report_of(out)
    assert report["outcome"] == "refused"
    assert report["model"]["verdict"]["reasons"]
    assert "refused" in out.with_name("m.report.md").read_text().splitlines()[0]


def test_accepted_loss_stands_in_the_file_the_card_the_report_and_inspect(
    made: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "m.tflite"
    model = convert(made, out, limits=Limits(), accept_loss=True)
    assert model.manifest.gate is not None
    assert model.manifest.gate.accepted_loss
    assert model.manifest.gate.limits == Limits(patients=60)
    assert "Written although the gate refuses it" in model.card
    assert report_of(out)["outcome"] == "refused, loss accepted"
    assert report_of(out)["model_sha256"] == model.sha256
    assert main(["inspect", str(out)]) == 0
    assert "REFUSED, loss accepted: not shown: 36 held-out tiles" in capsys.readouterr().out
    passed = convert(made, tmp_path / "p.tflite", accept_loss=True).manifest.gate
    assert passed is not None
    assert not passed.accepted_loss  # nothing was lost that had to be accepted


def test_the_command_exits_with_78_where_the_gate_refuses(
    made: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, tile_list = made
    arguments = ["quantize", str(run), "--data", str(tile_list), "--scheme", "fp32", "--max-flips", "0.1"]
    assert main([*arguments, "--out", str(tmp_path / "m.tflite")]) == 78
    assert names(tmp_path) == REPORTS
    assert "limit 0.1 %" in capsys.readouterr().err


def test_the_temperature_is_the_one_this_models_own_logits_ask_for(
    made: tuple[Path, Path], converted: Path
) -> None:
    model = Model.load(converted)
    run = TrainedRun.read(made[0])
    records = held_out_tiles(run, TileList.read(made[1])).records  # those that judge have labels here, too
    runtime = open_runtime("litert", model, 1)
    logits = np.stack([runtime.logits(tile) for tile in network_inputs(records, run.recipe)])
    actual = np.array([run.recipe.labels.index(record.label) for record in records])

    def loss(temperature: float) -> float:
        chances = softmax(logits, temperature)
        n = 24  # tiles of each class: what they show is no more than n + 1 in n + 3
        own = np.log(chances[np.arange(len(actual)), actual])
        return -float(np.mean(((n + 1) * own + np.log(chances).sum(axis=1) - own) / (n + 3)))

    temperature = model.manifest.temperature
    assert loss(temperature) <= min(loss(t) for t in np.geomspace(0.06, 19, 200)) + 1e-6
    assert temperature == report_of(converted)["model"]["temperature"]


def test_the_reports_figures_are_the_manifests_and_its_picture_is_one(converted: Path) -> None:
    out = converted
    gate, report = Model.load(out).manifest.gate, report_of(out)
    assert gate is not None
    verdict = report["model"]["verdict"]
    assert (verdict["flips"], verdict["tiles"]) == (gate.flips, gate.tiles)
    assert tuple(verdict["flip_interval"]) == gate.flip_interval
    assert report["model"]["flatbuffer_bytes"] < report["float32_bytes"]
    assert report["model"]["latency"]["median_ms"] > 0
    assert {layer["kind"] for layer in report["layers"]} == {"head", "other"}
    text = out.with_name("m.report.md").read_text()
    assert f"| tiles with another class | {gate.flips} (" in text
    assert "Research use only" in text
    assert "say nothing about patients" in text
    assert cv2.imread(str(out.with_name("m.report.png"))).shape[1] > 800


@pytest.mark.slow
def test_an_int8_model_beyond_the_limits_is_tried_with_its_named_layers_in_float(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "m.tflite"
    slides = write_dataset(tmp_path / "more", even_cohort(3, 10, seed=9), tile_px=64)
    strict = Limits(flips=0, accuracy_drop=0, changed_slides=3, tiles=1, patients=1)  # none can be shown
    plain = convert(made, out, "int8", per_class=4, limits=strict, accept_loss=True, gate_data=(slides,))
    tried = report_of(out)["with_float_layers"]
    assert tried["float_layers"] == ["pool", "dense + dense_bn + dense_relu", "logits"]
    assert tried["flatbuffer_bytes"] > len(plain.flatbuffer)
    assert "--keep-float" in out.with_name("m.report.md").read_text()
    mixed = convert(made, out, "int8", per_class=4, keep_float=True)
    assert len(mixed.flatbuffer) == tried["flatbuffer_bytes"]
    assert list(mixed.manifest.float_layers) == tried["float_layers"]
    assert (mixed.manifest.logits.dtype, mixed.manifest.input.scale) == ("float32", 1.0)
    assert main(["inspect", str(out)]) == 0


def test_only_int8_has_layers_to_keep_in_float(made: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="expected int8"):
        convert(made, tmp_path / "m.tflite", "fp16", keep_float=True)


def test_more_tiles_of_other_patients_are_judged_too_and_those_of_the_run_refused(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    run, tile_list = made
    more = write_dataset(tmp_path / "more", even_cohort(3, 10, seed=9), tile_px=64)
    model = convert(made, tmp_path / "m.tflite", gate_data=(more,))
    assert model.manifest.gate is not None
    assert (model.manifest.gate.tiles, model.manifest.gate.patients) == (66, 6)
    assert report_of(tmp_path / "m.tflite")["tiles_added"] == 30
    trained, own = TrainedRun.read(run), TileList.read(tile_list)
    with pytest.raises(TileListError, match="own cohort"):
        held_out_tiles(trained, own, own.records)
    renamed = tile_list.with_name("renamed.csv")
    renamed.write_text(tile_list.read_text().replace(",P3-", ",Q3-"))
    with pytest.raises(TileListError, match="own cohort"):  # other names, the same files
        held_out_tiles(trained, own, TileList.read(renamed).records)
    other = more.with_name("other.csv")
    for old, new, error in ((",2+,", ",two,", "label"), (",0.25,", ",0.5,", "um per pixel")):
        other.write_text(more.read_text().replace(old, new))
        with pytest.raises(TileError, match=error):
            read_gate_data([other], trained.recipe, 10, silent)


def test_slides_without_a_label_judge_and_accuracy_is_of_tiles_that_have_one(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    random = np.random.default_rng(7)
    for name in ("a", "b"):
        pixels = np.clip(random.normal((160, 90, 150), 30, (400, 400, 3)), 0, 255)
        cv2.imwrite(str(tmp_path / f"{name}.png"), pixels.astype(np.uint8))
    listed = tmp_path / "slides.csv"
    listed.write_text("slide,patient,mpp\na.png,P-a,0.25\nb.png,P-b,0.25\n")
    lines: list[str] = []
    model = convert(made, tmp_path / "m.tflite", gate_data=(listed,), report=lines.append)
    gate = model.manifest.gate
    assert gate is not None
    assert "a.png: 10 tissue tiles for the gate" in lines
    assert (gate.tiles, gate.patients, gate.labelled) == (36 + 20, 3 + 2, 36)
    assert (gate.flips, gate.max_difference) == (0, pytest.approx(0, abs=1e-3))  # fp32 says the same of them
    assert "Accuracy is of 36 tiles with a label." in (tmp_path / "m.report.md").read_text()


def test_a_gate_that_will_refuse_is_said_before_hours_are_spent(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    lines: list[str] = []
    with pytest.raises(GateRefusedError):
        convert(made, tmp_path / "m.tflite", limits=Limits(), report=lines.append)
    assert lines[0].startswith("the gate will refuse: 36 held-out tiles of 3 patients")


def test_the_test_part_is_not_read_and_the_validation_part_judges_nothing(made: tuple[Path, Path]) -> None:
    held, parts = held_out_tiles(TrainedRun.read(made[0]), TileList.read(made[1])), tiles_by_part(made[0])
    assert {record.tile for record in held.records} == parts["validation"] | parts["gate"]
    judges = {record.tile for record, one in zip(held.records, held.judges, strict=True) if one}
    assert judges == parts["gate"]
    assert len(judges) == 36


def test_what_float32_answers_is_asked_once_for_one_network_and_the_same_tiles(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    run, tile_list = made[0], made[1]
    own = tmp_path / "run"
    shutil.copytree(run, own, ignore=shutil.ignore_patterns("float32-*"))
    lines: list[str] = []

    def once(scheme: Scheme = "fp32", **options: Any) -> Any:
        convert((own, tile_list), tmp_path / "m.tflite", scheme, report=lines.append, **options)
        return report_of(tmp_path / "m.tflite")["model"]["verdict"]

    first, again = once(), once()
    assert first == again
    assert [line for line in lines if line.startswith("float32")] == [
        "float32 reads 72 held-out tiles",
        "float32 has already read these 72 held-out tiles",
    ]
    (answers,) = own.glob("float32-*.npy")
    np.save(answers, np.load(answers)[:, ::-1])  # seen to be what the verdict rests on
    assert once()["flips"] > first["flips"]
    answers.write_bytes(answers.read_bytes()[:100])
    assert once() == first  # damaged: asked again
    more = write_dataset(tmp_path / "more", even_cohort(3, 10, seed=9), tile_px=64)
    once(gate_data=(more,))
    assert lines.count("float32 reads 102 held-out tiles") == 1
    assert len(list(own.glob("float32-*.npy"))) == 2


def test_a_run_that_cannot_be_written_to_is_quantised_all_the_same(
    made: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    trained = TrainedRun.read(made[0])
    records = trained.select(TileList.read(made[1]), "validation")
    key = reference_key(trained, records)
    assert key is not None
    keep_answers(RunFolder(made[0] / "no such folder"), key, np.zeros((36, 3), np.float32))
    assert "not kept" in caplog.text
    unhashed = tuple(replace(record, sha256="") for record in records)
    assert reference_key(trained, unhashed) is None  # a tile could change and nobody would know


@contextmanager
def small_files_only(size: int) -> Iterator[None]:
    """A disk that is full after `size` bytes of a file."""
    resource = pytest.importorskip("resource", reason="Windows has no limit for files")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_model_before_and_nothing_partial(converted: Path, tmp_path: Path) -> None:
    out, data = tmp_path / "m.tflite", converted.read_bytes()
    write_model(out, data)
    with small_files_only(10_000), pytest.raises(OutputWriteError, match="free some space"):
        write_model(out, data)
    assert out.read_bytes() == data
    assert names(tmp_path) == {"m.tflite"}


def test_a_disk_that_is_full_before_the_report_gets_no_model(made: tuple[Path, Path], tmp_path: Path) -> None:
    """Reports come first, the model last."""

    def report(line: str) -> None:
        if line.startswith("judging"):
            full.enter_context(small_files_only(1000))

    with ExitStack() as full, pytest.raises(OutputWriteError):
        convert(made, tmp_path / "m.tflite", report=report)
    assert names(tmp_path) == set()
