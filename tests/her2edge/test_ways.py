"""The way to a file: planted links, names in any locale, memory that is short (RELIABILITY 30, 33)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
from shared_data import SHARED

from her2edge import Model, TileClassifier
from her2edge.errors import ModelError, OptionError, OutputError
from her2edge.files import ensure_folder, parse_json
from her2edge.runtime.choose import RuntimeUse
from her2edge.runtime.selftest import self_test
from her2edge_training.cohort.tile_list import COLUMNS, TileList, TileListError
from her2edge_training.recipe import read_recipe

POSIX = pytest.mark.skipif(os.name != "posix", reason="links and locales are POSIX's")


@pytest.mark.parametrize(
    ("name", "read", "error"),
    [
        ("model-member-name-not-utf8.tflite", Model.load, ModelError),
        ("recipe-not-utf8.json", read_recipe, OptionError),
    ],
)
def test_the_cases_that_were_reported_are_typed_errors(name: str, read: object, error: type) -> None:
    path = SHARED / "cases" / name
    if not path.is_file():
        pytest.skip(f"needs {name} of the shared data")
    with pytest.raises(error):
        read(path)  # type: ignore[operator]


def test_json_nested_beyond_the_stack_is_a_value_error(tmp_path: Path) -> None:
    for kind in (dict[str, object], list, dict[str, int]):
        with pytest.raises(ValueError, match=r"."):
            parse_json(b'{"a":' + b"[" * 100_000, kind)
    (tmp_path / "recipe.json").write_bytes(b'{"name":' + b"[" * 100_000)
    with pytest.raises(OptionError, match=r"recipe\.json"):
        read_recipe(tmp_path / "recipe.json")


def test_a_tile_name_longer_than_any_file_names_the_line(tmp_path: Path) -> None:
    row = ["a" * 300 + ".png", "s", "", "", "2+", "0", "0", "0.25", "", ""]
    (tmp_path / "list.csv").write_text(",".join(COLUMNS) + "\n" + ",".join(row) + "\n")
    with pytest.raises(TileListError, match="line 2"):
        TileList.read(tmp_path / "list.csv")


@POSIX
def test_no_link_inside_an_output_is_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "real").mkdir()
    out = tmp_path / "out"
    out.symlink_to("real")  # the user's own
    ensure_folder(out / "tiles" / "a", inside=out)
    (out / "planted").symlink_to(tmp_path / "elsewhere")
    for folder in (out / "planted", out / "planted" / "a", out / "planted" / "a" / "b"):
        with pytest.raises(OutputError, match="planted: found a link"):
            ensure_folder(folder, inside=out)
    assert not list((tmp_path / "elsewhere").iterdir())


class Other:
    """A runtime that computes other bits."""

    title = "LiteRT"

    def __init__(self, model: Model) -> None:
        self._model = model

    def logits(self, _: object) -> object:
        return -self._model.golden.logits[0]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_where_the_processor_is_hidden_the_advice_is_to_mount_proc(tmp_path: Path) -> None:
    model = Model.load(tiny.INT8)
    use = RuntimeUse("litert", "2.3.0")
    with pytest.raises(ModelError, match="mount -t proc"):
        self_test(Other(model), model, use, tmp_path / "cpuinfo")  # type: ignore[arg-type]
    (tmp_path / "cpuinfo").write_text("model name: any\n")
    with pytest.raises(ModelError, match="use another runtime"):
        self_test(Other(model), model, use, tmp_path / "cpuinfo")  # type: ignore[arg-type]
    assert TileClassifier(model)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not keep the limit")
@pytest.mark.parametrize("megabytes", [550, 800])
def test_too_little_memory_is_said_and_ends_with_75(tmp_path: Path, megabytes: int) -> None:
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({megabytes} * 10**6,) * 2)\n"
        "from her2edge_cli import run; run()"
    )
    command = [sys.executable, "-c", code, "demo", "--out", str(tmp_path / "out")]
    # OpenBLAS asks for memory for each of its threads while it is loaded, and without end where there is none
    env = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=300)
    assert "Traceback" not in done.stderr
    assert done.returncode == 75
    assert "no more memory" in done.stderr


@POSIX
def test_a_name_has_the_same_folder_in_every_locale(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from her2edge.slide.parts import name_of\n"
        "from her2edge.results import slide_folder\n"
        "folder = slide_folder(Path(sys.argv[1]), name_of(Path(sys.argv[2])), 16 * '0')\n"
        "folder.mkdir(exist_ok=True)"
    )
    for locale, mode in (("C", "0"), ("C.UTF-8", "0"), ("C", "1")):
        words = {"LC_ALL": locale, "PYTHONUTF8": mode, "PYTHONCOERCECLOCALE": "0"}
        command = [sys.executable, "-c", code, str(tmp_path), "\u00fcn\u00efcode.tif"]
        subprocess.run(command, check=True, env=os.environ | words)
    names = [os.fsencode(path.name) for path in tmp_path.iterdir()]
    assert names == ["\u00fcn\u00efcode.tif-0000000000000000".encode()]
