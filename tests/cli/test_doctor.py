"""her2edge doctor: a machine's health in words, in JSON and in the exit code."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pictures
import pytest
import tiny
from faults import file_size_limit
from repack import edited, golden, packed

from her2edge import Model, Trust
from her2edge.model.trust import trust_bytes, trust_files
from her2edge.runtime import RUNTIMES, Host, LiteRTRuntime, Plan, runtime_versions
from her2edge.runtime.choose import Kind
from her2edge.runtime.machine import Machine, this_machine
from her2edge.runtime.profile import Profile, Setting, find_profile, profile_path, write_profile
from her2edge.runtime.tune import Trial
from her2edge_cli.doctor import lines
from her2edge_cli.main import main
from her2edge_cli.measure.health import examine, judge
from her2edge_cli.measure.resources import Memory, memory_now
from her2edge_cli.parts import Parts


@pytest.fixture
def host(tmp_path):
    """A machine with a state folder of its own for each test, and LiteRT alone to keep it short."""
    return Host(state=tmp_path / "state", runtimes=without("openvino", "tflite-runtime"))


def without(*names):
    """The runtimes there are, the packages of the named ones not installed."""
    absent = {name: replace(RUNTIMES[name], package="her2edge-has-no-such-package") for name in names}
    return RUNTIMES | absent


def test_a_healthy_machine_ends_with_0_and_says_what_it_is(host, capsys):
    assert main(["doctor", str(tiny.INT8)], Parts(host=host)) == 0
    words = capsys.readouterr().out
    assert words.splitlines()[-1] == "healthy: this machine classifies"
    for word in ("Research use only", "cores", "ai-edge-litert", "numba", "cache", "golden tiles", "--tune"):
        assert word in words


def test_json_says_the_same(host, capsys):
    assert main(["doctor", str(tiny.INT8), "--json"], Parts(host=host)) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["healthy"] is True
    assert report["machine"]["cores"] >= 1
    assert {trial["runtime"]: trial["status"] for trial in report["runtimes"]} == {
        "litert": "works",
        "openvino": "not installed",
        "tflite-runtime": "not installed",
    }
    assert report["profile"] is None


def test_a_runtime_that_disagrees_is_named_and_refused_with_78(host, tmp_path, capsys):
    false = tmp_path / "false.tflite"
    false.write_bytes(packed(edited() | {"golden.npz": golden(logits=-Model.load(tiny.INT8).golden.logits)}))
    assert main(["doctor", str(false)], Parts(host=host)) == 78
    words = capsys.readouterr().out
    assert "litert         2" in words
    assert "refused: LiteRT" in words
    assert words.splitlines()[-1].startswith("not healthy: litert")


def test_another_runtime_that_disagrees_is_refused_and_the_default_one_goes_on(host, capsys):
    class Wrong(LiteRTRuntime):
        title = "OpenVINO"

        def logits(self, pixels):
            return -super().logits(pixels)

    host = replace(host, runtimes=host.runtimes | {"openvino": Kind("ai-edge-litert", Wrong)})
    assert main(["doctor", str(tiny.INT8)], Parts(host=host)) == 0
    words = capsys.readouterr().out
    assert "refused: OpenVINO" in words
    assert words.splitlines()[-1].endswith("do not use openvino for this model here")


@pytest.mark.parametrize(
    ("architecture", "features", "explained"),
    [("x86_64", ("avx2",), True), ("x86_64", ("avx512vnni",), False), ("aarch64", ("neon",), False)],
)
def test_why_openvino_disagrees_is_said_on_a_processor_that_saturates(architecture, features, explained):
    works = Trial("litert", "2", "works", Plan("litert", 1))
    refused = Trial("openvino", "2025", "refused", Plan("openvino", 1), reason="OpenVINO disagrees")
    machine = Machine("a processor", architecture, 2, features)
    health = replace(examine(tiny.INT8), runtimes=(works, refused), machine=machine)
    words = "\n".join(lines(health))
    assert "refused: OpenVINO disagrees" in words
    assert ("without VNNI" in words) is explained


def a_trial(status):
    return lambda name: Trial(name, None if status == "not installed" else "2", status)


works, refused, unavailable, absent = map(a_trial, ("works", "refused", "unavailable", "not installed"))


@pytest.mark.parametrize(
    ("trials", "healthy", "verdict"),
    [
        ([works("litert"), absent("openvino")], True, "healthy: this machine classifies"),
        ([works("litert"), unavailable("openvino")], True, "do not use openvino for this model here"),
        ([absent("litert"), works("openvino")], True, "classifies with --runtime openvino"),
        ([refused("litert"), works("openvino")], False, "litert cannot be used"),
        ([absent("litert"), refused("openvino")], False, "openvino cannot be used"),
        ([absent("litert"), absent("openvino")], False, "pip install"),
    ],
)
def test_a_machine_is_healthy_if_the_default_runtime_works_or_stands_back_for_another(
    trials, healthy, verdict
):
    judged, words = judge(trials)
    assert judged is healthy
    assert verdict in words


def test_no_runtime_at_all_ends_with_78_and_says_what_to_install(host, capsys):
    host = replace(host, runtimes=without(*RUNTIMES))
    assert main(["doctor", str(tiny.INT8)], Parts(host=host)) == 78
    assert "pip install" in capsys.readouterr().out.splitlines()[-1]
    assert main(["doctor", str(tiny.INT8), "--tune"], Parts(host=host)) == 78
    assert "pip install" in capsys.readouterr().err


def test_a_runtime_that_is_there_and_cannot_be_used_says_why(host, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    assert main(["doctor", str(tiny.INT8)], Parts(host=host)) == 78
    assert "unavailable: found no LiteRT" in capsys.readouterr().out


def test_a_model_that_is_refused_does_not_hide_what_the_machine_is(host, tmp_path, capsys):
    path = tmp_path / "flipped.tflite"
    data = bytearray(tiny.INT8.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    assert main(["doctor", str(path)], Parts(host=host)) == 78
    words = capsys.readouterr().out
    assert "SHA-256" in words
    assert "cores" in words
    assert main(["doctor", str(tmp_path / "none.tflite")], Parts(host=host)) == 66


@pytest.fixture
def state(tmp_path, monkeypatch):
    """A state folder of its own for all that this process starts."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    if not Host().state.is_relative_to(tmp_path):
        pytest.skip("this system does not follow XDG_STATE_HOME")


def classify(tmp_path, *more):
    """The files of a folder of one tile, by name."""
    pictures.write(tmp_path / "tiles" / "a.png", tiny.tissue(1)[0].pixels)
    command = ["classify", str(tmp_path / "tiles"), "--model", str(tiny.FP32), "--out", str(tmp_path / "out")]
    assert main([*command, *more]) == 0
    (folder,) = (tmp_path / "out").iterdir()
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_tune_keeps_a_profile_that_classify_uses(state, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("her2edge.runtime.tune.SECONDS", 0.01)
    assert main(["doctor", str(tiny.FP32), "--tune"]) == 0
    words = capsys.readouterr()
    assert "tiles/s" in words.out
    assert "measured litert, 1 x 1 thread" in words.err
    best = find_profile(Model.load(tiny.FP32), Host()).best("litert")
    files = classify(tmp_path)
    run = json.loads(files["run.json"])
    assert (run["threads"], run["interpreters"]) == (best.threads, best.interpreters)
    assert not any("Computed by" in text for text in files.values())


def test_every_output_names_a_tuned_runtime(state, tmp_path):
    pytest.importorskip("openvino")
    model, fastest = Model.load(tiny.FP32), Setting("openvino", 1, 1, "f32", tiles_per_second=9.0)
    profile = Profile(1, model.sha256, this_machine(), runtime_versions(), (fastest,))
    write_profile(profile, profile_path(model, Host()))
    for text in classify(tmp_path, "--runtime", "tuned").values():
        assert "Computed by openvino 2" in text


def test_a_full_disk_while_tuning_ends_with_74(host, capsys):
    host = replace(host, cores=1)  # one setting to measure
    with file_size_limit(10):
        assert main(["doctor", str(tiny.INT8), "--tune"], Parts(host=host)) == 74
    assert find_profile(Model.load(tiny.INT8), host) is None


def test_a_state_folder_that_cannot_be_made_is_found_before_it_measures(host, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    host = replace(host, state=tmp_path / "file" / "state")
    assert main(["doctor", str(tiny.INT8), "--tune"], Parts(host=host)) == 73
    assert "measured" not in capsys.readouterr().err


def test_the_clock_and_the_network_do_not_matter(host, monkeypatch, capsys):
    """Durations come from the monotonic clock; nothing opens a socket (RELIABILITY 21, 22)."""
    monkeypatch.setattr("time.time", lambda: 0.0)
    monkeypatch.setattr("socket.socket", lambda *_, **__: pytest.fail("a socket"))
    assert main(["doctor", str(tiny.INT8), "--json"], Parts(host=host)) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["runtimes"][0]["tested"]["seconds"] > 0


def test_memory_disks_and_where_one_may_write_are_told(host, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["doctor", str(tiny.INT8), "--json"], Parts(host=host)) == 0
    report = json.loads(capsys.readouterr().out)
    places = {place["what"]: place for place in report["places"]}
    assert set(places) == {"results", "config", "state", "cache"}
    assert places["results"]["path"] == str(tmp_path)
    assert places["state"]["path"] == str(tmp_path / "state")  # not there yet
    assert all(place["writable"] for place in report["places"])
    usage = shutil.disk_usage(tmp_path).free
    assert places["results"]["free"] == pytest.approx(usage, rel=0.2)
    if Path("/proc/meminfo").exists():
        assert 0 < report["memory"]["available"] <= report["memory"]["total"]
    assert main(["doctor", str(tiny.INT8)], Parts(host=host)) == 0
    words = capsys.readouterr().out
    assert "GB available" in words
    assert words.count("GB free") == 4


def test_memory_is_what_the_system_says_it_is(tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:        2048 kB\nMemFree: 1 kB\nMemAvailable:    1024 kB\nHugePages: 0\n")
    assert memory_now(meminfo) == Memory(2048 * 1024, 1024 * 1024)


def test_a_folder_that_cannot_be_written_to_is_told_and_the_machine_stays_healthy(host, tmp_path, capsys):
    (tmp_path / "state").write_text("a file where the folder should be")
    assert main(["doctor", str(tiny.INT8)], Parts(host=host)) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "cannot be written to" in line]
    assert "state" in line
    assert "--tune" in line


def test_a_machine_that_trusts_a_key_is_healthy_though_the_demo_is_not_allowed(
    host, tmp_path, monkeypatch, capsys
):
    pytest.importorskip("cryptography")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    if not trust_files()[0].is_relative_to(tmp_path):
        pytest.skip("this system does not follow XDG_CONFIG_HOME")
    trust_files()[0].parent.mkdir(parents=True)
    trust_files()[0].write_bytes(trust_bytes(Trust(bytes(range(1, 33)))))
    assert main(["doctor"], Parts(host=host)) == 0
    words = capsys.readouterr().out
    assert "the demo model is not allowed here" in words.splitlines()[-1]
    assert "found no signature" in words
    assert "golden tiles" in words  # the runtimes are tested all the same
    assert main(["doctor", str(tiny.INT8)], Parts(host=host)) == 78  # a model that was asked for
    trust_files()[0].write_text("no trust")
    assert main(["doctor"], Parts(host=host)) == 78  # nothing loads
    assert capsys.readouterr().out.splitlines()[-1].startswith("not healthy")
