"""What `import her2edge` pulls in, what it promises, and what must never be in the code."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import her2edge

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("her2edge", "cli/her2edge_cli", "quantize/her2edge_quantize", "training/her2edge_training")
SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
PICKLES = {"pickle", "marshal", "shelve", "dill", "joblib"}
HEAVY = {
    "tensorflow",
    "keras",
    "jax",
    "torch",
    "click",
    "rich",
    "openslide",
    "PIL",
    "sklearn",
    "matplotlib",
    "cryptography",
    "openvino",
}


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_the_sdk_pulls_in_nothing_heavy_and_opens_no_socket():
    code = """
import json, sys
def forbid(event, args):
    if event.startswith("socket."):
        raise SystemExit(f"import opened a socket: {event} {args}")
sys.addaudithook(forbid)
import her2edge
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""
    loaded = set(json.loads(run(code)))
    assert not loaded & (HEAVY | {"ai_edge_litert", "her2edge_cli", "her2edge_training"})


def test_importing_the_sdk_costs_less_than_half_a_second_beyond_numpy_and_numba():
    """CPU seconds, the smallest of three: other load on the machine is not the SDK's."""
    code = (
        "import time, numpy, numba\nstart = time.process_time()\n"
        "import her2edge\nprint(time.process_time() - start)"
    )
    assert min(float(run(code)) for _ in range(3)) < 0.5


def test_all_is_sorted_complete_and_without_twins():
    names = her2edge.__all__
    assert sorted(names, key=lambda name: (not name.isupper(), name)) == names
    assert len(set(names)) == len(names)
    public = {
        name
        for name, value in vars(her2edge).items()
        if not name.startswith("_") and not isinstance(value, type(ast))
    }
    assert public == set(names)


def test_the_version_is_the_distributions():
    text = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{her2edge.__version__}"' in text


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_loads_pickles_prints_or_is_too_long(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            assert not {name.split(".")[0] for name in names} & {
                "pickle",
                "marshal",
                "shelve",
                "dill",
                "joblib",
            }
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            assert name != "print"
            keywords = {k.arg: k.value for k in node.keywords}
            if name == "load_model":
                assert keywords["safe_mode"].value is True
            if name == "load" and getattr(getattr(node.func, "value", None), "id", "") in ("np", "numpy"):
                assert keywords["allow_pickle"].value is False


def test_no_source_speaks_of_treatment_or_of_her2_low():
    words = re.compile(r"trastuzumab|pertuzumab|deruxtecan|her2-low|her2 low|prescrib|therapy", re.I)
    for path in SOURCES:
        assert not words.search(path.read_text()), path


def test_everything_is_logged_under_one_name():
    """TensorFlow's own loggers are told to be quiet, absl's for the time of a conversion; those of DICOM's
    packages, which quote what stands in a patient's file."""
    calls = {
        ast.unparse(node)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("logging.")
    }
    quiet = {
        "logging.getLogger('tensorflow')",
        "logging.getLogger('tensorflow').setLevel(logging.ERROR)",
        "logging.getLogger('absl')",
        "logging.getLogger(package)",
        "logging.NullHandler()",
    }
    making = {call for call in calls if call.startswith(("logging.StreamHandler(", "logging.Formatter("))}
    assert calls - quiet - making == {
        "logging.getLogger('her2edge')",
        *(call for call in calls if call.startswith("logging.getLogger('her2edge').")),
    }


def test_only_the_runtime_touches_an_interpreter():
    for imported, only in (
        ("ai_edge_litert.interpreter", "litert.py"),
        ("tflite_runtime.interpreter", "tflite_runtime.py"),
        ("import openvino\n", "openvino.py"),
    ):
        touching = {path.name for path in SOURCES if imported in path.read_text()}
        assert touching == {only}


def test_constraints_pin_names_and_versions_only():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert lines
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line) for line in lines)


def test_the_committed_schema_of_the_summary_is_its_types_own():
    from her2edge.results.schema import schema_bytes

    assert (ROOT / "her2edge" / "data" / "summary.schema.json").read_bytes() == schema_bytes()


def test_the_committed_schema_is_the_manifests_own():
    from her2edge_quantize.model_file.schema import schema_bytes

    data = ROOT / "her2edge" / "data"
    assert (data / "manifest.schema.json").read_bytes() == schema_bytes()
    assert (data / "manifest-v1.schema.json").read_bytes() == schema_bytes(1)
