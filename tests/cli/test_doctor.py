"""her2edge doctor: a machine's health in words, in JSON and in the exit code."""

from __future__ import annotations

import importlib.metadata
import json
import sys

import cv2
import pytest
import tiny
from repack import edited, golden, packed

from her2edge import Model
from her2edge.runtime.profile import find_profile
from her2edge_cli.main import main


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    """A state folder of its own for each test, and LiteRT alone to keep it short."""
    monkeypatch.setattr(
        "her2edge.runtime.profile.platformdirs.user_state_path", lambda *_, **__: tmp_path / "state"
    )
    monkeypatch.setattr("her2edge.runtime.tune.SECONDS", 0.01)
    hide(monkeypatch, "openvino")


def hide(monkeypatch, *packages):
    real = importlib.metadata.version

    def version(name):
        if name in packages:
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr("her2edge.runtime.choose.metadata.version", version)


def test_a_healthy_machine_ends_with_0_and_says_what_it_is(capsys):
    assert main(["doctor", str(tiny.INT8)]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == "healthy: this machine classifies"
    for word in ("Research use only", "cores", "ai-edge-litert", "numba", "cache", "golden tiles", "--tune"):
        assert word in said


def test_json_says_the_same(capsys):
    assert main(["doctor", str(tiny.INT8), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["healthy"] is True
    assert report["machine"]["cores"] >= 1
    assert {trial["runtime"]: trial["status"] for trial in report["runtimes"]} == {
        "litert": "works",
        "openvino": "not installed",
        "tflite-runtime": "not installed",
    }
    assert report["profile"] is None


def test_a_runtime_that_disagrees_is_named_and_refused_with_78(tmp_path, capsys):
    false = tmp_path / "false.tflite"
    false.write_bytes(packed(edited() | {"golden.npz": golden(logits=-Model.load(tiny.INT8).golden.logits)}))
    assert main(["doctor", str(false)]) == 78
    said = capsys.readouterr().out
    assert "litert         2" in said
    assert "refused: LiteRT" in said
    assert said.splitlines()[-1].startswith("not healthy: litert")


@pytest.mark.parametrize("old", [True, False], ids=["without VNNI", "with it"])
def test_another_runtime_that_disagrees_is_refused_and_the_default_one_goes_on(monkeypatch, capsys, old):
    from her2edge.runtime.choose import RUNTIMES, Kind
    from her2edge.runtime.litert import LiteRTRuntime

    class Wrong(LiteRTRuntime):
        title = "OpenVINO"

        def logits(self, pixels):
            return -super().logits(pixels)

    monkeypatch.setitem(RUNTIMES, "openvino", Kind("ai-edge-litert", Wrong))
    monkeypatch.setattr("her2edge_cli.doctor.saturates", lambda _: old)
    assert main(["doctor", str(tiny.INT8)]) == 0
    said = capsys.readouterr().out
    assert "refused: OpenVINO" in said
    assert ("without VNNI" in said) is old
    assert said.splitlines()[-1].endswith("do not use openvino for this model here")


def test_no_runtime_at_all_ends_with_78_and_says_what_to_install(monkeypatch, capsys):
    hide(monkeypatch, "openvino", "ai-edge-litert", "tflite-runtime")
    assert main(["doctor", str(tiny.INT8)]) == 78
    assert "pip install" in capsys.readouterr().out.splitlines()[-1]
    assert main(["doctor", str(tiny.INT8), "--tune"]) == 78
    assert "pip install" in capsys.readouterr().err


def test_a_runtime_that_is_there_and_cannot_be_used_says_why(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    assert main(["doctor", str(tiny.INT8)]) == 78
    assert "unavailable: found no LiteRT" in capsys.readouterr().out


def test_a_model_that_is_refused_does_not_hide_what_the_machine_is(tmp_path, capsys):
    path = tmp_path / "flipped.tflite"
    data = bytearray(tiny.INT8.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    assert main(["doctor", str(path)]) == 78
    said = capsys.readouterr().out
    assert "SHA-256" in said
    assert "cores" in said
    assert main(["doctor", str(tmp_path / "none.tflite")]) == 66


def test_tune_keeps_a_profile_that_classify_uses_and_every_output_names_a_tuned_runtime(
    tmp_path, capsys, monkeypatch
):
    assert main(["doctor", str(tiny.FP32), "--tune"]) == 0
    said = capsys.readouterr()
    assert "tiles/s" in said.out
    assert "measured litert, 1 x 1 thread" in said.err
    best = find_profile(Model.load(tiny.FP32)).best("litert")
    tile = tmp_path / "tiles" / "a.png"
    tile.parent.mkdir()
    cv2.imwrite(str(tile), cv2.cvtColor(tiny.tissue(1)[0].pixels, cv2.COLOR_RGB2BGR))

    def classify(out, *more):
        command = ["classify", str(tile.parent), "--model", str(tiny.FP32), "--out", str(tmp_path / out)]
        assert main([*command, *more]) == 0
        (folder,) = (tmp_path / out).iterdir()
        return {path.name: path.read_text() for path in folder.iterdir()}

    files = classify("default")
    run = json.loads(files["run.json"])
    assert (run["threads"], run["interpreters"]) == (best.threads, best.interpreters)
    assert not any("Computed by" in text for text in files.values())
    monkeypatch.setattr("her2edge.results.notices.DEFAULT", "another")  # so that litert is not the default
    for text in classify("tuned", "--runtime", "tuned").values():
        assert "Computed by litert 2." in text


def test_a_full_disk_while_tuning_ends_with_74(monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("her2edge.files.os.fsync", full)
    assert main(["doctor", str(tiny.INT8), "--tune"]) == 74
    assert find_profile(Model.load(tiny.INT8)) is None


def test_the_clock_and_the_network_do_not_matter(monkeypatch, capsys):
    """Durations come from the monotonic clock; nothing opens a socket (RELIABILITY 21, 22)."""
    monkeypatch.setattr("time.time", lambda: 0.0)
    monkeypatch.setattr("socket.socket", lambda *_, **__: pytest.fail("a socket"))
    assert main(["doctor", str(tiny.INT8), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["runtimes"][0]["tested"]["seconds"] > 0
