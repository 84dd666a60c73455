"""What a release is made of: wheel and sdist, checked, and run where nothing else of ours is."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import tiny
from shared_data import ROOT
from small_slide import draw_slide

from her2edge import __version__

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(map(find_spec, ("build", "twine"))), reason="needs the extra `release`: build and twine"
    ),
]
PYTHONS = ("3.11", "3.12", "3.13")
SCRIPTS = "Scripts" if os.name == "nt" else "bin"


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints, in an environment that knows of no source of ours."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True,
        timeout=1200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(wheel, sdist), built as `make release` builds them."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", out, ROOT, cwd=out)
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, sdist


def test_both_are_what_a_registry_takes(made: tuple[Path, Path]) -> None:
    printed = run(sys.executable, "-m", "twine", "check", "--strict", *made, cwd=made[0].parent)
    assert printed.count("PASSED") == 2


def test_the_wheel_holds_the_four_packages_and_their_data_and_nothing_else(made: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(made[0]) as wheel:
        names = wheel.namelist()
        (metadata,) = (name for name in names if name.endswith("METADATA"))
        text = wheel.read(metadata).decode()
    packages = {"her2edge", "her2edge_cli", "her2edge_quantize", "her2edge_training"}
    assert {name.split("/")[0] for name in names} == packages | {f"her2edge-{__version__}.dist-info"}
    assert {
        "her2edge/py.typed",
        "her2edge/data/demo-int8.tflite",
        "her2edge/data/summary.schema.json",
    } <= set(names)
    assert f"Version: {__version__}" in text
    assert "License-Expression: Apache-2.0" in text


def test_the_sdist_holds_what_documents_and_tests_are_made_from(made: tuple[Path, Path]) -> None:
    with tarfile.open(made[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {
        "CITATION.cff",
        "SECURITY.md",
        "CHANGELOG.md",
        "LICENSE",
        "Makefile",
        "mkdocs.yml",
        "constraints.txt",
    }
    wanted |= {"docs/index.md", "docs/site/links.py", "examples/scanner_push.py", "tests/conftest.py"}
    assert wanted <= names
    assert not [
        name for name in names if "__pycache__" in name or name.startswith((".venv", "build/", "dist/"))
    ]


def interpreters(version: str) -> Iterator[Path]:
    """Of a version of Python, on the PATH and where pyenv keeps them."""
    found = shutil.which(f"python{version}")
    if found:
        yield Path(found)
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    yield from sorted(kept.glob(f"{version}.*/bin/python"))


def works(python: Path) -> bool:
    return (
        subprocess.run([python, "-c", "import venv, ssl"], capture_output=True, check=False).returncode == 0
    )


@pytest.mark.parametrize("version", PYTHONS)
def test_the_wheel_classifies_in_an_empty_environment(
    made: tuple[Path, Path], tmp_path: Path, version: str
) -> None:
    python = next(filter(works, interpreters(version)), None)
    if python is None:
        pytest.skip(f"no Python {version} here")
    run(python, "-m", "venv", tmp_path / "env", cwd=tmp_path)
    own = tmp_path / "env" / SCRIPTS / "python"
    requirement = f"her2edge[cli,slides] @ {made[0].as_uri()}"
    run(
        own,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--constraint",
        ROOT / "constraints.txt",
        requirement,
        cwd=tmp_path,
    )
    program = tmp_path / "env" / SCRIPTS / "her2edge"
    assert f"her2edge {__version__} (Python {version}." in run(program, "--version", cwd=tmp_path)
    slide = draw_slide(tmp_path / "slide.png", 10, 8)
    fixed = ("--mpp", str(tiny.MPP), "--model", tiny.INT8, "--out", "results", "--json")
    answer = json.loads(run(program, "classify", slide, *fixed, cwd=tmp_path))
    assert answer["answer"]["status"] == "answered"
    where = run(own, "-c", "import her2edge; print(her2edge.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(tmp_path / "env")


def test_the_bill_of_materials_names_what_is_installed_with_versions_and_licences(tmp_path: Path) -> None:
    """`make sbom`, of the environment that runs this test."""
    pytest.importorskip("cyclonedx_py", reason="needs the extra `release`")
    (recipe,) = re.findall(r"^sbom:.*\n\t(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    out = tmp_path / "sbom.json"
    for name, value in {
        "$(BIN)/cyclonedx-py": f"{sys.executable} -m cyclonedx_py",
        "dist/her2edge.cdx.json": str(out),
        "$(WHEEL_PYTHON)": sys.executable,
    }.items():
        assert name in recipe
        recipe = recipe.replace(name, value)
    run(*shlex.split(recipe), cwd=ROOT)
    record = json.loads(out.read_text())
    assert record["bomFormat"] == "CycloneDX"
    found = {one["name"].lower(): one for one in record["components"]}
    for name in ("numpy", "numba", "msgspec"):
        assert found[name]["version"] == importlib.metadata.version(name)
        assert found[name].get("licenses"), name
