"""Runtimes behind one protocol: the same logits and features, or a refusal that names the runtime."""

from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import tiny
from engines import on_cores
from repack import members, packed

from her2edge import Model, Options, TileClassifier
from her2edge.errors import ModelError
from her2edge.runtime import installed, open_runtime
from her2edge.runtime.machine import saturates, this_machine, usable_cores
from her2edge_quantize.convert.edge.flatbuffer import parse, serialize

OTHERS = [name for name in ("openvino",) if importlib.util.find_spec(name)]


def stranger():
    """A FlatBuffer with an operator that no runtime has."""
    graph = parse(Model.load(tiny.FP32).flatbuffer)
    code = graph.operatorCodes[-1]
    code.builtinCode = code.deprecatedBuiltinCode = 32  # CUSTOM
    code.customCode = b"NoSuchOp"
    return serialize(graph)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", OTHERS)
def test_float_logits_and_features_are_litert_s(name, threads):
    model = Model.load(tiny.FP32)
    ours, theirs = open_runtime("litert", model, 1), open_runtime(name, model, threads)
    for tile in model.golden.tiles:
        for a, b in zip(ours.logits_and_features(tile), theirs.logits_and_features(tile), strict=True):
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, atol=1e-4)
        np.testing.assert_array_equal(theirs.logits(tile), theirs.logits_and_features(tile)[0])
        np.testing.assert_array_equal(theirs.features(tile), theirs.logits_and_features(tile)[1])


@pytest.mark.parametrize("name", OTHERS)
def test_threads_change_no_byte_of_another_runtime(name):
    model = Model.load(tiny.INT8)
    answers = {
        b"".join(open_runtime(name, model, n).logits(t).tobytes() for t in model.golden.tiles)
        for n in (1, 2, 4)
    }
    assert len(answers) == 1


@pytest.mark.parametrize("name", ["litert", *OTHERS])
def test_a_profiler_that_keeps_every_frame_it_sees_changes_nothing(name):
    """As Dask's workers have one: a kept frame keeps its locals, and a view of LiteRT's memory among them."""
    model = Model.load(tiny.INT8)
    runtime = open_runtime(name, model, 1)
    wanted = [runtime.logits(tile) for tile in model.golden.tiles]
    frames = []

    def profiler(frame, event, _):
        frames.append(frame)

    sys.setprofile(profiler)
    try:
        found = [runtime.logits(tile) for tile in model.golden.tiles]
    finally:
        sys.setprofile(None)
    assert any(frame.f_code.co_name == "write" for frame in frames)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.skipif("openvino" not in OTHERS, reason="OpenVINO is not installed")
def test_int8_on_openvino_is_right_on_processors_with_vnni_and_refused_by_name_on_others():
    """Without VNNI its 8-bit sums saturate (its documentation says so); only the golden tiles can tell."""
    model, options = Model.load(tiny.INT8), Options(runtime="openvino", threads=1)
    if not saturates(this_machine()):
        tested = TileClassifier(model, options).tested
        assert tested.difference <= 0.03
    else:
        with pytest.raises(ModelError, match=r"OpenVINO \(openvino 20.* disagrees"):
            TileClassifier(model, options)


@pytest.mark.parametrize(("name", "title"), [("litert", "LiteRT"), *((n, "OpenVINO") for n in OTHERS)])
@pytest.mark.parametrize(
    ("flatbuffer", "said"),
    [(stranger(), "NoSuchOp"), (b"TFL3" * 100, ""), (Model.load(tiny.FP32).flatbuffer[:3000], "")],
    ids=["operator", "garbage", "half"],
)
def test_a_flatbuffer_that_a_runtime_cannot_run_is_refused_naming_it(name, title, flatbuffer, said):
    model = Model.from_bytes(packed(members(tiny.FP32.read_bytes()), flatbuffer))
    with pytest.raises(ModelError, match=f"{title}.*{said}") as refused:
        TileClassifier(model, Options(runtime=name))
    assert "\n" not in str(refused.value)
    assert "/" not in str(refused.value).replace("https://", "")


@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("litert", 50),
        *((name, 10) for name in OTHERS),
        *(pytest.param(name, 50, marks=pytest.mark.slow) for name in OTHERS),
    ],
)
def test_a_file_cut_or_deleted_after_loading_costs_nothing(name, times, tmp_path, record_property):
    """A mapped file that shrinks is a SIGBUS; 50 times in a process of their own (RELIABILITY 2)."""
    code = f"""
import os, sys
from pathlib import Path
from her2edge import Model, Options, TileClassifier
data, path = Path({str(tiny.FP32)!r}).read_bytes(), Path({str(tmp_path / "model.tflite")!r})
for i in range({times}):
    path.write_bytes(data)
    model = Model.load(path)
    classifier = TileClassifier(model, Options(threads=1, runtime={name!r}))
    path.unlink() if i % 2 else os.truncate(path, i * len(data) // {times})
    assert classifier.classify(model.golden.tiles[0]).label
print("alive")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "alive\n", (done.returncode, done.stderr)
    record_property("figure", f"{name}: {times} of {times}, no crash")


@pytest.mark.parametrize("name", ["litert", *OTHERS])
def test_no_runtime_opens_a_socket(name):
    code = f"""
import sys
def forbid(event, args):
    if event.startswith("socket."):
        raise SystemExit(f"opened a socket: {{event}} {{args}}")
sys.addaudithook(forbid)
from her2edge import Model, Options, TileClassifier
model = Model.load({str(tiny.FP32)!r})
print(TileClassifier(model, Options(runtime={name!r})).classify(model.golden.tiles[0]).outcome)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "classified\n", done.stderr


@pytest.mark.parametrize("name", ["litert", *OTHERS])
def test_invoke_releases_the_gil(name):
    """With a switch interval of an hour, another thread moves only where the interpreter lets it."""
    runtime = open_runtime(name, Model.load(tiny.FP32), 1)
    invoke = runtime._interpreter.invoke if name == "litert" else runtime._request.infer
    hold, moved = threading.Lock(), threading.Event()

    def wait_for_the_gil():
        with hold:
            moved.set()

    other = threading.Thread(target=wait_for_the_gil)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(3600)
    try:
        with hold:
            other.start()
            time.sleep(0.1)  # until it waits for `hold`
        sum(range(3_000_000))
        assert not moved.is_set()
        runs = 0
        while not moved.is_set() and runs < 5000:
            invoke()
            runs += 1
        assert moved.is_set()
    finally:
        sys.setswitchinterval(interval)
        other.join()


def test_more_threads_than_cores_are_left_out_with_a_warning(caplog):
    model, cores = Model.load(tiny.INT8), usable_cores()
    with caplog.at_level(logging.WARNING, "her2edge"):
        classifier = TileClassifier(model, Options(threads=cores + 6))
    assert classifier.plan.threads == cores
    assert f"on {cores} cores" in caplog.text
    caplog.clear()
    assert TileClassifier(model, Options(threads=cores)).plan.threads == cores
    assert TileClassifier(model, Options(interpreters=cores + 1)).plan.interpreters == cores
    assert len(caplog.records) == 1


def test_results_do_not_depend_on_how_many_threads_were_asked_for():
    """RELIABILITY 16: 1, 2 and 4 threads, on machines with fewer cores too."""
    model, tiles = Model.load(tiny.INT8), tiny.tissue(8)
    answers = set()
    for threads in (1, 2, 4):
        classifier = on_cores(model, 4, threads=threads)
        assert classifier.plan.threads == threads
        answers.add(b"".join(result.probabilities.tobytes() for result in classifier.stream(tiles)))
    assert len(answers) == 1


def test_the_runtimes_installed_are_known_without_importing_them():
    code = "import sys; from her2edge.runtime import installed; installed(); print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"openvino", "ai_edge_litert", "tflite_runtime"} & set(said.split())
    assert "litert" in installed()


DROPPED_ELSEWHERE = """
import gc, os, signal, sys, threading
from her2edge import Model
from her2edge.runtime import open_runtime

held = [open_runtime("openvino", Model.load(sys.argv[1]), 1)]

def drop() -> None:
    held.clear()
    gc.collect()

signal.signal(signal.SIGTERM, lambda *_: print("told"))
other = threading.Thread(target=drop)
other.start()
other.join()
os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="signal stacks of Linux")
@pytest.mark.parametrize("name", OTHERS)
def test_a_signal_after_a_network_was_given_up_in_another_thread_is_told(name):
    """OpenVINO's plugin took the stack away that signals came in on, where the processor has AVX-512."""
    code = DROPPED_ELSEWHERE.replace('"openvino"', repr(name))
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny.INT8)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "told\n"), done.stderr
