"""Compiled kernels are kept where only this user can write, or nowhere (RELIABILITY 20)."""

from __future__ import annotations

import compileall
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import her2edge

USE = """
import numpy as np
from her2edge import TissueFilter, _quality_kernels
share = TissueFilter().background_share(np.full((8, 8, 3), 200, np.uint8))
stats = _quality_kernels.bright_and_glass.stats
print(share, sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


def run(code, folder):
    """(standard output, standard error) of Python with this cache folder."""
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_DISABLE_JIT"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment | {"NUMBA_CACHE_DIR": str(folder)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.split(), done.stderr


ROOT_ONLY = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only the superuser gives files away"
)


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_the_second_process_compiles_nothing(tmp_path):
    folder = tmp_path / "cache"
    assert run(USE, folder) == (["1.0", "0", "1"], "")
    assert files(folder)
    assert folder.stat().st_mode & 0o077 == 0
    assert run(USE, folder) == (["1.0", "1", "0"], "")


MORE = """
import hashlib, sys
from her2edge import MacenkoNormalizer
knows = lambda: "numba.np.linalg" in sys.modules
print(knows())
tile = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
print(hashlib.sha256(MacenkoNormalizer().normalize(tile).pixels).hexdigest(), knows())
"""


def test_what_numba_knows_of_numpy_is_loaded_for_a_compilation_only(tmp_path):
    """It is most of what a start takes. Beside kernels of the cache others are compiled as ever."""
    (*_, knows, whole, compiled), _ = run(USE + MORE, tmp_path / "whole")
    assert (knows, compiled) == ("True", "True")
    run(USE, tmp_path / "some")
    (*some, knows, mixed, compiled), _ = run(USE + MORE, tmp_path / "some")
    assert (some, knows, compiled) == (["1.0", "1", "0"], "False", "True")
    (*_, cached, knows), _ = run(USE + MORE, tmp_path / "some")
    assert knows == "False"
    assert whole == mixed == cached


def test_importing_neither_makes_the_folder_nor_compiles(tmp_path):
    run("import her2edge", tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def make_group_writable(folder):
    folder.mkdir()
    folder.chmod(0o770)


def make_link(folder):
    (folder.parent / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(folder.parent / "elsewhere")


def make_open_above(folder):
    folder.parent.chmod(0o777)
    folder.mkdir(mode=0o700)


def make_file_above(folder):
    folder.parent.rmdir()
    folder.parent.write_text("not a folder")


def make_link_above(folder):
    folder.parent.rmdir()
    (folder.parents[1] / "elsewhere").mkdir()
    (folder.parents[1] / "elsewhere").chmod(0o770)
    folder.parent.symlink_to(folder.parents[1] / "elsewhere")


def make_foreign_file(folder):
    """What somebody could have planted while the folder was open."""
    folder.mkdir(mode=0o700)
    (folder / "planted.nbi").write_bytes(b"")
    (folder / "planted.nbi").chmod(0o666)


def make_folder_of_another(folder):
    """Who owns the folder above may put another one into its place."""
    folder.mkdir(mode=0o700)
    os.chown(folder.parent, 12345, -1)


def make_link_of_another(folder):
    folder.parent.rmdir()
    (folder.parents[1] / "elsewhere").mkdir()
    folder.parent.symlink_to(folder.parents[1] / "elsewhere")
    os.chown(folder.parent, 12345, -1, follow_symlinks=False)


@pytest.mark.skipif(os.name != "posix", reason="modes and links are POSIX's")
@pytest.mark.parametrize(
    "make",
    [
        make_group_writable,
        make_link,
        make_open_above,
        make_file_above,
        make_link_above,
        make_foreign_file,
        pytest.param(make_folder_of_another, marks=ROOT_ONLY),
        pytest.param(make_link_of_another, marks=ROOT_ONLY),
    ],
)
def test_a_folder_that_others_could_write_to_is_not_used(tmp_path, make):
    folder = tmp_path / "above" / "cache"
    folder.parent.mkdir()
    make(folder)
    out, said = run(USE, folder)
    assert out[0] == "1.0"
    assert "compiled again in each process" in said
    assert not [path for path in files(tmp_path) if path.suffix == ".nbc"]
    assert run(USE, folder)[0] == ["1.0", "0", "1"]


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_a_torn_cache_file_costs_a_compilation_and_nothing_else(tmp_path, suffix):
    folder = tmp_path / "cache"
    run(USE, folder)
    for path in files(folder):
        if path.suffix == suffix:
            path.write_bytes(path.read_bytes()[:100])
    out, said = run(USE, folder)
    assert out == ["1.0", "0", "1"]
    assert "compiled again" in said


def test_a_full_disk_costs_the_cache_and_nothing_else(tmp_path):
    code = "import numba.core.caching as c\ndef full(*a): raise OSError(28, 'No space left on device')\n"
    code += "c.IndexDataCacheFile._save_data = full\n" + USE
    out, said = run(code, tmp_path / "cache")
    assert out[0] == "1.0"
    assert "cannot be saved" in said


def test_a_program_without_sources_or_a_home_compiles_and_goes_on(tmp_path):
    """Frozen programs and users without a home folder: no cache, no crash."""
    package = tmp_path / "lib" / "her2edge"
    shutil.copytree(Path(her2edge.__file__).parent, package, ignore=shutil.ignore_patterns("*.tflite"))
    compileall.compile_dir(package, legacy=True, quiet=1)
    for source in package.rglob("*.py"):
        source.unlink()
    out, said = run(f"import sys; sys.path.insert(0, {str(package.parent)!r})\n" + USE, tmp_path / "cache")
    assert out[0] == "1.0"
    assert "cannot be cached" in said
    homeless = "import platformdirs\ndef none(*a, **k): raise RuntimeError('no home')\n"
    homeless += "platformdirs.user_cache_path = none\n" + USE
    out, said = run(homeless, "")
    assert out[0] == "1.0"
    assert "no home" in said


def test_a_kernel_can_be_compiled_again_as_any_of_numbas(tmp_path):
    code = USE.replace("stats =", "_quality_kernels.bright_and_glass.recompile()\nstats =")
    assert run(code, tmp_path / "cache")[0][0] == "1.0"


def test_a_file_that_numba_renames_meanwhile_is_passed_over(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    other = tmp_path / "other"
    other.touch()
    other.chmod(0o666)
    from her2edge import _jit

    monkeypatch.setattr(Path, "rglob", lambda *_: iter([folder / "gone"]))
    assert "gone" not in str(_jit._why_not_private(folder))
    monkeypatch.setattr(Path, "rglob", lambda *_: iter([folder / "gone", other]))
    assert _jit._why_not_private(folder) == "another user owns or may write to other"
