"""What docs/deploy says of many machines works: a Slurm array, a Kubernetes Indexed Job, a Dask scheduler."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny
from shard_bench import ShardBench, write
from small_slide import draw_slide

from her2edge import SlideRun
from her2edge_cli.cohort import cohort
from her2edge_cli.main import main
from her2edge_cli.parts import Parts

DEPLOY = Path(__file__).resolve().parents[2] / "docs" / "deploy"
SLURM, JOB = (DEPLOY / name for name in ("her2edge-cohort.sbatch", "her2edge-cohort.yaml"))
PAGE = DEPLOY.parent / "how-to" / "dask.md"
NAMES = ("a.png", "b.png", "c.png", "d.png")


def made(path: Path, out: Path, *_: object, **__: object) -> SlideRun:
    return write(out, path)


def table(out: Path) -> dict[str, str]:
    """State by slide."""
    rows = list(csv.DictReader(io.StringIO((out / "results.csv").read_text("utf-8-sig"))))
    assert len({row["slide"] for row in rows}) == len(rows)
    return {row["slide"]: row["state"] for row in rows}


def the_job() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="comes with the extra cluster")
    job: dict[str, Any] = yaml.safe_load(JOB.read_text())
    return job


def test_a_slurm_array_does_each_slide_once_and_tasks_that_run_again_have_their_own_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The script's own command and variable, with Slurm's variables as it sets them."""
    bench, text = ShardBench(tmp_path, *NAMES), SLURM.read_text()
    array = re.search(r"^#SBATCH --array=0-(\d+)$", text, re.MULTILINE)
    shards = re.search(r"^export HER2EDGE_SHARDS=(\d+)$", text, re.MULTILINE)
    command = re.search(r"^exec her2edge (cohort .+)$", text, re.MULTILINE)
    assert array
    assert shards
    assert command
    assert int(array[1]) + 1 == int(shards[1]), "as many as the array has"
    model = tmp_path / "model.tflite"
    model.write_bytes(tiny.INT8.read_bytes())
    given = {"$1": str(bench.list), "$2": str(bench.out), "$3": str(model)}
    line = [given.get(word, word) for word in shlex.split(command[1])] + ["--mpp", str(tiny.MPP)]
    tasks = 3
    monkeypatch.setenv("HER2EDGE_SHARDS", str(tasks))
    for first, last in ((0, tasks - 1), (1, 1)):  # the whole array, then `sbatch --array=1`
        for index in range(first, last + 1):
            for name, value in (("ID", index), ("MIN", first), ("MAX", last), ("COUNT", last - first + 1)):
                monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))
            assert main(line, Parts(classify_slide=made)) == 0
            assert f"shard {index + 1}/{tasks}: " in capsys.readouterr().err
    assert main(["cohort", "--collect", str(bench.out)]) == 0
    assert table(bench.out) == dict.fromkeys(NAMES, "done")


def test_the_slurm_script_is_one_that_bash_reads() -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")
    assert subprocess.run([bash, "-n", str(SLURM)], check=False).returncode == 0
    assert SLURM.read_text().startswith("#!/bin/bash\n")


def test_an_indexed_job_does_each_slide_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, job = ShardBench(tmp_path, *NAMES), the_job()
    (container,) = job["spec"]["template"]["spec"]["containers"]
    paths = {"/slides/cohort.csv": bench.list, "/results": bench.out, "/slides/model.tflite": tiny.INT8}
    line = [str(paths.get(word, word)) for word in container["args"]] + ["--mpp", str(tiny.MPP)]
    pods = 3
    monkeypatch.setenv("HER2EDGE_SHARDS", str(pods))
    for index in range(pods):
        monkeypatch.setenv("JOB_COMPLETION_INDEX", str(index))
        assert main(line, Parts(classify_slide=made)) == 0
    assert main(["cohort", "--collect", str(bench.out)]) == 0
    assert table(bench.out) == dict.fromkeys(NAMES, "done")


def test_the_job_tells_pods_how_many_there_are_and_tries_a_slide_until_it_is_set_aside() -> None:
    job = the_job()
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environment = {one["name"]: one["value"] for one in container["env"]}
    assert (job["kind"], spec["completionMode"]) == ("Job", "Indexed")
    assert environment["HER2EDGE_SHARDS"] == str(spec["completions"])
    assert pod["restartPolicy"] == "Never", "backoffLimitPerIndex wants it"
    retries = cohort.make_context("cohort", ["x"]).params["retries"]
    # retries + 1 pods die of a slide, one more sets it aside: tries beyond the first pod
    assert spec["backoffLimitPerIndex"] >= retries + 1
    (rule,) = spec["podFailurePolicy"]["rules"]
    codes = rule["onExitCodes"]["values"]
    assert rule["action"] == "FailIndex"
    assert not {0, 1, 3, 74, 75} & set(codes), "those another try may cure"
    volumes = {one["name"] for one in pod["volumes"]}
    assert {one["name"] for one in container["volumeMounts"]} == volumes == {"slides", "results", "scratch"}


def tls(folder: Path) -> dict[str, str]:
    """The environment of the page's tls.yaml, with a key and certificate made here."""
    pytest.importorskip("distributed", reason="needs the extra cluster")
    from distributed import Security

    security = Security.temporary()
    (folder / "ca.pem").write_text(security.tls_ca_file)
    (folder / "key.pem").write_text(security.tls_client_key)
    (folder / "cert.pem").write_text(security.tls_client_cert)
    block = re.search(r"^    distributed:\n(?:^ {6,}.*\n)+", PAGE.read_text(), re.MULTILINE)
    assert block
    text = re.sub("^    ", "", block[0], flags=re.MULTILINE)
    (folder / "tls.yaml").write_text(text.replace("/home/me/.dask", str(folder)))
    return os.environ | {"DASK_CONFIG": str(folder)}


def commands() -> Iterator[list[str]]:
    """The page's lines that start a scheduler and workers."""
    for line in re.findall(r"^    dask ((?:scheduler|worker) .+)$", PAGE.read_text(), re.MULTILINE):
        yield shlex.split(line)


@pytest.mark.slow
def test_a_scheduler_with_tls_as_the_page_has_it_is_used_and_one_that_goes_away_costs_nothing(
    tmp_path: Path,
) -> None:
    environment = tls(tmp_path)
    for number, name in enumerate(NAMES):
        draw_slide(tmp_path / name, 2 + number, 2)
    listed, out, file = tmp_path / "list.csv", tmp_path / "out", tmp_path / "scheduler.json"
    listed.write_text("slide\n" + "".join(f"{name}\n" for name in NAMES))
    scheduler_line, worker_line = commands()
    running = []

    def start(line: list[str], *more: str) -> None:
        program = [sys.executable, "-m", f"distributed.cli.dask_{line[0]}", *line[1:], *more]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        running.append(subprocess.Popen(program, env=environment, cwd=tmp_path, **quiet))

    def her2edge(*more: str) -> subprocess.CompletedProcess[str]:
        fixed = [str(listed), "--out", str(out), "--model", str(tiny.INT8), "--mpp", str(tiny.MPP)]
        return subprocess.run(
            [sys.executable, "-m", "her2edge_cli", "cohort", *fixed, "--engine", "dask", *more],
            env=environment, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip

    try:
        start(scheduler_line, "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
        until = time.monotonic() + 300
        while not file.exists():
            assert time.monotonic() < until
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        assert address.startswith("tls://127.0.0.1:")
        worker_line[worker_line.index("--nworkers") + 1] = "1"
        start([address if "://" in word else word for word in worker_line])
        done = her2edge("--scheduler", address)
        assert done.returncode == 0, done.stderr
        assert "4 done" in done.stderr
        plain = her2edge("--scheduler", address.replace("tls://", "tcp://"))
        assert plain.returncode == 78, "require-encryption"
    finally:
        for one in running:
            one.kill()
            one.wait()
    gone = her2edge("--scheduler", address)
    assert gone.returncode == 78
    assert f"found no Dask scheduler at {address}" in gone.stderr
    assert main(["cohort", "--collect", str(out)]) == 0
    assert table(out) == dict.fromkeys(NAMES, "done")
