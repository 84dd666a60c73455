"""What a worker of a cluster does with a slide: the same as this machine, or nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny
from shard_bench import FIT, OTHER_FIT, SHA256, ShardBench, write

from her2edge import Options
from her2edge.errors import OutputError
from her2edge.shards import Outcome
from her2edge_cli import slide_job
from her2edge_cli.options import Choices, load_reading
from her2edge_cli.slide_job import Setup, do, pack, stain_of, unpack


@pytest.fixture
def bench(tmp_path: Path) -> ShardBench:
    slide_job._work.cache_clear()
    return ShardBench(tmp_path, "a.png", "b.png")


def setup_of(bench: ShardBench, **changed: Any) -> dict[str, Any]:
    model = shutil.copy(tiny.INT8, bench.root / "model.tflite")
    choices = Choices(
        out=bench.out, model=Path(model), mpp=tiny.MPP, stain=None, threads=None, interpreters=None,
        runtime="litert", min_tissue_tiles=10, until_settled=False, error=None, max_tiles=None, isolate=False,
        as_json=False, metrics=None,
    )  # fmt: skip
    return pack(Setup(choices, SHA256, None, 2)) | changed


def test_paths_and_plain_values_go_there_and_the_whole_outcome_comes_back(bench: ShardBench) -> None:
    setup = setup_of(bench)
    for slide in bench.slides:
        job = pack(slide)
        assert json.loads(json.dumps([job, setup])) == [job, setup], "plain values, no pixels, no model"
        came = do(setup, job, 1)
        outcome = unpack(came, Outcome)
        assert unpack(json.loads(json.dumps(came)), Outcome) == outcome, "plain values there, too"
        assert outcome.slide == slide
        assert outcome.run.complete_before is False
        again = unpack(do(setup, job, 1), Outcome)
        assert again.run.answer == outcome.run.answer
        assert again.run.complete_before is True
        assert set(again.run.files) == set(outcome.run.files)


def test_an_outcome_without_results_comes_back_whole(bench: ShardBench) -> None:
    bench.fail = lambda _name: OutputError("full")
    first = bench.work()(bench.slides[0])
    bench.fail = lambda _name: ValueError("a bug")
    second = bench.work()(bench.slides[1])
    assert second.aside is not None
    for outcome in (first, second):
        assert unpack(pack(outcome), Outcome) == outcome


def test_the_model_is_loaded_once_with_a_thread_for_each_core_that_the_worker_has(
    bench: ShardBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[Options] = []
    load = slide_job.load_reading

    def counted(choices: Choices) -> Any:
        reading = load(choices)
        loaded.append(reading.classifier.options)
        return reading

    monkeypatch.setattr(slide_job, "load_reading", counted)
    for slide in bench.slides:
        do(setup_of(bench), pack(slide), 2)
    (options,) = loaded
    assert (options.threads, options.interpreters) == (1, 2)


@pytest.mark.parametrize(
    ("changed", "code", "word"),
    [
        ({"version": "0.0.9", "unknown": 1}, 78, "expected 0.0.9, as on the machine that hands out"),
        ({"model": "ab" * 32}, 78, f"found the model {SHA256[:12]}, expected abababababab"),
    ],
)  # fmt: skip
def test_a_worker_of_another_version_or_model_refuses_by_name_and_begins_nothing(
    bench: ShardBench, changed: dict[str, Any], code: int, word: str
) -> None:
    outcome = unpack(do(setup_of(bench, **changed), pack(bench.slides[0]), 1), Outcome)
    assert (outcome.exit_code, outcome.ends, outcome.run) == (code, True, None)
    assert outcome.reason.startswith("worker ")
    assert word in outcome.reason
    assert not bench.out.exists()


def test_a_model_that_the_worker_has_not_or_does_not_trust_ends_the_run(
    bench: ShardBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    import signing

    setup, job = setup_of(bench), pack(bench.slides[0])
    signing.configure(bench.root / "config")
    with monkeypatch.context() as here:
        here.setenv("XDG_CONFIG_HOME", str(bench.root / "config"))
        outcome = unpack(do(setup, job, 1), Outcome)
        assert (outcome.exit_code, outcome.ends) == (78, True)
    (bench.root / "model.tflite").unlink()
    outcome = unpack(do(setup, job, 1), Outcome)
    assert (outcome.exit_code, outcome.ends) == (66, True)
    assert not bench.out.exists()


def test_results_of_a_worker_are_those_of_this_process(bench: ShardBench, tmp_path: Path) -> None:
    from small_slide import contents

    from her2edge_cli.main import main

    for slide in bench.slides:
        do(setup_of(bench), pack(slide), 1)
    here = [
        str(bench.list),
        "--out",
        str(tmp_path / "here"),
        "--model",
        str(tiny.INT8),
        "--mpp",
        str(tiny.MPP),
    ]
    assert main(["cohort", *here]) == 0
    for path, data in contents(tmp_path / "here").items():
        place = path.relative_to(tmp_path / "here")
        if path.name != "run.json" and not place.parts[0].startswith("."):
            assert (bench.out / place).read_bytes() == data


def test_made_results_are_of_the_bench(bench: ShardBench) -> None:
    """What other tests take for a slide's results are complete ones."""
    run = write(bench.out, bench.slides[0].path)
    assert all(path.exists() for path in run.files)
    assert bench.run()["a.png"].run.complete_before is True  # type: ignore[union-attr]


def test_a_worker_whose_stain_fit_is_another_is_told_so(bench: ShardBench) -> None:
    """The same path may hold another file there."""
    setup = setup_of(bench)
    path = bench.root / "fit.json"
    FIT.save(path)
    setup["choices"] |= {"stain": str(path)}
    setup["stain"] = stain_of(load_reading(unpack(setup["choices"], Choices)))
    assert unpack(do(setup, pack(bench.slides[0]), 1), Outcome).exit_code == 0
    slide_job._work.cache_clear()
    OTHER_FIT.save(path)
    refused = unpack(do(setup, pack(bench.slides[1]), 1), Outcome)
    assert (refused.exit_code, refused.ends) == (65, True)
    assert "found the stain fit " in refused.reason
    assert f"expected {setup['stain']}" in refused.reason
