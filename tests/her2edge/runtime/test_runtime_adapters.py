"""What an adapter does with its package: seen on stand-ins, so that none needs to be installed."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import types
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tiny
from ai_edge_litert.interpreter import Interpreter
from engines import on

from her2edge import Model, Options
from her2edge.errors import ModelError, OutputWriteError, RuntimeUnavailable
from her2edge.runtime import RUNTIMES, Host, installed, open_runtime
from her2edge.runtime.choose import Kind
from her2edge.runtime.openvino import OpenVINORuntime, precisions
from her2edge.runtime.tflite_runtime import TFLiteRuntime

ROOT = Path(__file__).resolve().parents[3]
MODEL = Model.load(tiny.INT8)


class Port:
    """A tensor as OpenVINO describes it."""

    def __init__(self, shape, dtype, *, dynamic=False):
        self.shape, self.element_type = shape, self
        self.partial_shape = types.SimpleNamespace(is_dynamic=dynamic)
        self.to_dtype = lambda: np.dtype(dtype)
        self.data = np.zeros(shape, dtype)


class FakeOpenVINO(types.ModuleType):
    """Answers each run with 7 as each logit and 3 everywhere in the feature map."""

    def __init__(self, outputs=None, inputs=None):
        super().__init__("openvino")
        logits, features = Port((1, 3), "int8"), Port(MODEL.manifest.features.shape, "int8")
        logits.data[:], features.data[:] = 7, 3
        self.inputs = inputs or [Port((1, tiny.SIZE, tiny.SIZE, 3), "uint8")]
        self.outputs = [logits, features] if outputs is None else outputs(logits, features)
        self.seen = {}

    def Core(self):
        return self

    def read_model(self, path):
        path = Path(path)
        self.seen["file"] = (path, path.stat().st_mode, path.parent.stat().st_mode, path.read_bytes())
        return types.SimpleNamespace(inputs=self.inputs, outputs=self.outputs)

    def compile_model(self, network, device, settings):
        self.seen["settings"] = (device, settings)
        return self

    def create_infer_request(self):
        return self

    def get_input_tensor(self):
        return self.inputs[0]

    def get_output_tensor(self, index):
        return self.outputs[index]

    def infer(self, share_outputs):
        self.seen["tile"] = self.inputs[0].data.copy()

    def get_property(self, device, name):
        return ["FP32", "INT8", "BF16"]


def standing_in(module):
    """The runtimes there are, OpenVINO's package being `module`."""
    kind = Kind("openvino", partial(OpenVINORuntime, package=module), partial(precisions, module))
    return RUNTIMES | {"openvino": kind}


def test_openvino_reads_exactly_the_verified_bytes_from_a_file_nobody_else_can_open():
    module = FakeOpenVINO()
    OpenVINORuntime(MODEL, 2, package=module)
    path, mode, folder_mode, data = module.seen["file"]
    assert data == MODEL.flatbuffer
    if os.name == "posix":
        assert (stat.S_IMODE(mode), stat.S_IMODE(folder_mode)) == (0o600, 0o700)
    assert not path.parent.exists()


def test_the_private_file_is_gone_when_openvino_refuses_it():
    class Refusing(FakeOpenVINO):
        def read_model(self, path):
            super().read_model(path)
            raise RuntimeError(f"Exception from core.cpp:84:\nFrontEnd API failed:\n{path} is bad\n\n")

    module = Refusing()
    with pytest.raises(ModelError, match=r"^OpenVINO refuses the FlatBuffer: model.tflite is bad$"):
        OpenVINORuntime(MODEL, 2, package=module)
    assert not module.seen["file"][0].parent.exists()


@pytest.mark.parametrize("order", [lambda a, b: [a, b], lambda a, b: [b, a]], ids=["as is", "turned"])
def test_logits_and_features_are_never_taken_for_each_other(order):
    module = FakeOpenVINO(outputs=order)
    runtime = OpenVINORuntime(MODEL, 1, package=module)
    logits, features = runtime.logits_and_features(MODEL.golden.tiles[0])
    said = MODEL.manifest
    np.testing.assert_allclose(logits, [(7 - said.logits.zero_point) * said.logits.scale] * 3, rtol=1e-6)
    assert features.shape == said.features.shape[1:]
    np.testing.assert_allclose(features, (3 - said.features.zero_point) * said.features.scale, rtol=1e-6)
    np.testing.assert_array_equal(module.seen["tile"][0], MODEL.golden.tiles[0])


WRONG = {
    "one output": {"outputs": lambda a, b: [b]},
    "two alike": {"outputs": lambda a, b: [a, Port((1, 3), "int8")]},
    "another dtype": {"outputs": lambda a, b: [Port((1, 3), "float32"), b]},
    "another size": {"inputs": [Port((1, 32, 32, 3), "uint8")]},
    "no fixed size": {"inputs": [Port((1, tiny.SIZE, tiny.SIZE, 3), "uint8", dynamic=True)]},
    "two inputs": {"inputs": [Port((1, tiny.SIZE, tiny.SIZE, 3), "uint8")] * 2},
}


@pytest.mark.parametrize("parts", WRONG.values(), ids=WRONG.keys())
def test_a_network_that_openvino_reads_otherwise_than_the_manifest_is_refused(parts):
    with pytest.raises(ModelError, match="manifest"):
        OpenVINORuntime(MODEL, 1, package=FakeOpenVINO(**parts))


def test_openvino_gets_threads_and_full_precision_and_lower_ones_only_when_named():
    module = FakeOpenVINO()
    runtimes = standing_in(module)
    open_runtime("openvino", MODEL, 3, runtimes=runtimes)
    device, settings = module.seen["settings"]
    assert device == "CPU"
    assert (settings["INFERENCE_NUM_THREADS"], settings["INFERENCE_PRECISION_HINT"]) == (3, "f32")
    assert settings["PERFORMANCE_HINT"] == "LATENCY"
    open_runtime("openvino", MODEL, 3, "bf16", runtimes)
    assert module.seen["settings"][1]["INFERENCE_PRECISION_HINT"] == "bf16"
    with pytest.raises(ValueError, match="f16"):
        open_runtime("openvino", MODEL, 3, "f16", runtimes)
    with pytest.raises(ValueError, match="bf16"):
        open_runtime("litert", MODEL, 1, "bf16")


def test_a_runtime_that_answers_nonsense_is_refused_by_name_before_the_first_tile():
    host = Host(runtimes=standing_in(FakeOpenVINO()))
    with pytest.raises(ModelError, match=r"OpenVINO .* disagrees with the model's golden tiles"):
        on(host, MODEL, Options(runtime="openvino"))


def test_no_room_for_the_private_file_is_an_error_of_writing(monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("her2edge.runtime.openvino.tempfile.TemporaryDirectory", full)
    with pytest.raises(OutputWriteError, match="TMPDIR"):
        OpenVINORuntime(MODEL, 1, package=FakeOpenVINO())


@pytest.mark.parametrize(
    ("name", "module", "word"),
    [
        ("litert", "ai_edge_litert.interpreter", 'pip install "ai-edge-litert>=2.3"'),
        ("openvino", "openvino", r"her2edge\[openvino\]"),
        ("tflite-runtime", "tflite_runtime", "numpy<2"),
    ],
)
def test_a_runtime_that_is_not_installed_says_what_to_install(monkeypatch, name, module, word):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(RuntimeUnavailable, match=word):
        open_runtime(name, MODEL, 1)


def test_no_runtime_at_all_says_what_to_install():
    absent = {name: replace(kind, package="her2edge-has-no-such-package") for name, kind in RUNTIMES.items()}
    with pytest.raises(RuntimeUnavailable, match="pip install"):
        installed(absent)


def test_tflite_runtime_is_the_same_interpreter_under_its_former_name():
    runtime = TFLiteRuntime(MODEL, 2, package=types.SimpleNamespace(Interpreter=Interpreter))
    for tile in MODEL.golden.tiles:
        np.testing.assert_array_equal(runtime.logits(tile), open_runtime("litert", MODEL, 1).logits(tile))


@pytest.mark.parametrize(
    "error", [SystemError("returned a result with an exception set"), AttributeError("_ARRAY_API")]
)
def test_tflite_runtime_beside_numpy_2_is_found_out_by_construction(error):
    def construct(**_):
        raise error

    with pytest.raises(RuntimeUnavailable, match=r"cannot make an interpreter beside NumPy \d.*numpy<2"):
        TFLiteRuntime(MODEL, 1, package=types.SimpleNamespace(Interpreter=construct))


@pytest.fixture(scope="session")
def legacy(tmp_path_factory):
    """A Python with tflite-runtime 2.14 and NumPy 1, made from wheels where those can be had."""
    folder = tmp_path_factory.mktemp("legacy")
    if sys.version_info[:2] > (3, 11):
        pytest.skip("tflite-runtime 2.14 has no wheel for this Python")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    wanted = [
        "tflite-runtime==2.14.0",
        "numpy<2",
        "numba",
        "opencv-python-headless",
        "msgspec",
        "platformdirs",
    ]
    install = [str(python), "-m", "pip", "install", "--quiet", "--only-binary=:all:", *wanted]
    done = subprocess.run(install, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"tflite-runtime cannot be installed here: {done.stderr.strip().splitlines()[-1]}")
    return python


LEGACY = f"""
import numpy, sys
from her2edge import Model, Options, TileClassifier
from her2edge.runtime import installed
assert numpy.__version__.startswith("1.")
assert installed() == ("tflite-runtime",)
for path in {[str(tiny.INT8), str(tiny.FP32)]!r}:
    model = Model.load(path)
    classifier = TileClassifier(model, Options(runtime="tflite-runtime", threads=2))
    print(classifier.tested.difference, classifier.explain(model.golden.tiles[0]).map.shape)
"""


@pytest.mark.slow
def test_the_real_tflite_runtime_agrees_with_the_golden_tiles(legacy):
    done = subprocess.run(
        [str(legacy), "-c", LEGACY],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        assert float(line.split()[0]) <= 0.03


@pytest.mark.slow
def test_the_real_tflite_runtime_beside_numpy_2_is_unavailable_and_says_so(legacy, tmp_path):
    """It imports beside NumPy 2; only constructing an interpreter tells."""
    site = next((legacy.parents[3]).rglob("tflite_runtime")).parent
    (tmp_path / "tflite_runtime").symlink_to(site / "tflite_runtime")
    code = f"""
from her2edge import Model
from her2edge.errors import RuntimeUnavailable
from her2edge.runtime import open_runtime
try:
    open_runtime("tflite-runtime", Model.load({str(tiny.INT8)!r}), 1)
except RuntimeUnavailable as error:
    print(error)
"""
    path = os.pathsep.join([str(ROOT), str(tmp_path)])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}
    )
    assert "numpy<2" in done.stdout, done.stderr
