"""What `make test-aarch64` does before it emulates anything, and how it compares; the rest takes long."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from shared_data import ROOT

SCRIPTS = ROOT / "tests" / "aarch64"


@pytest.fixture
def aarch64(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The scripts' modules."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import compared
    import debian
    import qemu

    yield SimpleNamespace(qemu=qemu, debian=debian, compared=compared)
    for name in ("qemu", "debian", "compared"):
        sys.modules.pop(name, None)


def program(folder: Path, said: str, name: str = "qemu-aarch64") -> Path:
    """A program that says this when it is asked for its version."""
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{said}'\n")
    path.chmod(0o755)
    return path


OLD = "qemu-aarch64 version 7.2.17 (Debian 1:7.2+dfsg-7+deb12u16)"
NEW = "qemu-aarch64 version 10.0.13 (Debian 1:10.0.13+ds-0+deb13u1)"


@pytest.mark.parametrize(
    ("said", "version"),
    [(OLD, (7, 2, 17)), (NEW, (10, 0, 13)), ("qemu-aarch64 version 11.1", (11, 1, 0)),
     (f"{NEW}\nCopyright (c) 2003-2025 Fabrice Bellard", (10, 0, 13))],
)  # fmt: skip
def test_a_version_of_qemu_is_read(aarch64: Any, said: str, version: tuple[int, int, int]) -> None:
    assert aarch64.qemu.parse_version(said) == version


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands for qemu")
def test_an_old_qemu_is_refused_by_name_and_version_and_a_new_one_taken(aarch64: Any, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"found qemu-aarch64 7\.2\.17, expected 10 or newer .*QEMU=FILE"):
        aarch64.qemu.find_qemu(program(tmp_path, OLD), tmp_path / "none")
    assert aarch64.qemu.find_qemu(program(tmp_path, NEW), tmp_path / "none").text == "10.0.13"


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands for qemu")
def test_an_old_qemu_on_the_path_is_passed_over(
    aarch64: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Debian 12: the one that an earlier run has unpacked is taken."""
    (tmp_path / "path").mkdir()
    (tmp_path / "q" / "usr" / "bin").mkdir(parents=True)
    program(tmp_path / "path", OLD, "qemu-aarch64-static")
    kept = program(tmp_path / "q" / "usr" / "bin", NEW)
    monkeypatch.setattr(
        aarch64.qemu.shutil, "which", lambda name: str(tmp_path / "path" / name) if "static" in name else None
    )
    assert aarch64.qemu.find_qemu(None, tmp_path / "q").path == kept


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands for qemu")
def test_what_is_no_qemu_is_refused(aarch64: Any, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="is not a qemu that runs here"):
        aarch64.qemu.find_qemu(program(tmp_path, "hello"), tmp_path / "none")
    with pytest.raises(SystemExit, match="is not a qemu that runs here"):
        aarch64.qemu.find_qemu(tmp_path / "missing", tmp_path / "none")


def test_sources_get_another_suite_and_others_are_left_out(aarch64: Any) -> None:
    replaced = aarch64.debian.replaced
    stanzas = (
        "Types: deb\n# as installed\nURIs: mirror\nSuites: bookworm bookworm-updates\nComponents: main\n"
        "Signed-By: key\n\nTypes: deb\nURIs: mirror-security\nSuites: bookworm-security\n\n"
        "Types: deb\nURIs: elsewhere\nSuites: nodistro\n"
    )
    made = replaced(stanzas, "bookworm", "trixie")
    assert "Suites: trixie trixie-updates\n" in made
    assert "Suites: trixie-security" in made
    assert "Signed-By: key" in made
    assert "nodistro" not in made
    assert "bookworm" not in made
    lines = "deb mirror bookworm main\n# deb mirror bookworm contrib\ndeb other tool-bookworm main\n"
    assert replaced(lines, "bookworm", "trixie").split("\n\n")[:-1] == ["deb mirror trixie main"]


def test_versions_of_packages_are_read_off_their_archives(aarch64: Any) -> None:
    archive = Path("zlib1g_1%3a1.2.13.dfsg-1_arm64.deb")
    assert aarch64.debian.name_and_version(archive) == ("zlib1g", "1:1.2.13.dfsg-1")


def picture(level: int) -> bytes:
    """A PNG of one grey."""
    return bytes(cv2.imencode(".png", np.full((4, 4, 3), level, np.uint8))[1])


RESULTS = {
    "s/tiles.csv": b"1",
    "s/summary.json": b'{"share": 0.5, "tiles": 4}',
    "s/heatmap.png": picture(100),
}


def test_results_that_are_the_same_pass(aarch64: Any) -> None:
    assert all(check.holds for check in aarch64.compared.check_files("m", RESULTS, dict(RESULTS)))
    assert not any(check.holds for check in aarch64.compared.check_files("m", {}, {}))


@pytest.mark.parametrize(
    ("name", "data", "failed"),
    [("s/tiles.csv", b"2", "s/tiles.csv"), ("s/tiles.csv", None, "s/tiles.csv"),
     ("s/more.txt", b"", "s/more"),
     ("s/summary.json", b'{"share": 0.5001, "tiles": 4}', "relative 0.0002"),
     ("s/summary.json", b'{"share": 0.5, "tiles": 5}', "relative inf"),
     ("s/summary.json", b'{"share": 0.50000000001, "tiles": 4}', None),
     ("s/heatmap.png", picture(101), None), ("s/heatmap.png", picture(102), "grey level 2")],
)  # fmt: skip
def test_a_table_may_not_differ_by_a_byte_and_numbers_and_pictures_by_little(
    aarch64: Any, name: str, data: bytes | None, failed: str | None
) -> None:
    there = {one: kept for one, kept in (RESULTS | {name: data}).items() if kept is not None}
    wrong = [check for check in aarch64.compared.check_files("m", RESULTS, there) if not check.holds]
    assert len(wrong) == (failed is not None)
    for check in wrong:
        assert str(failed) in str(check)
        assert str(check).startswith("FAILED")


def test_pixels_may_differ_by_one_grey_level_where_they_are_fast_and_by_none_where_exact(
    aarch64: Any,
) -> None:
    tile = np.full((4, 4, 3), 7, np.uint8)
    other = tile.copy()
    other[0, 0, 0] += 1
    for kind, change, holds in (
        ("fast", 1, True),
        ("fast", 2, False),
        ("exact", 1, False),
        ("exact", 0, True),
    ):
        other[0, 0, 0] = 7 + change
        found = aarch64.compared.greys({f"p {kind} t": tile}, {f"p {kind} t": other}, f"p {kind}")
        assert (found.tiles, found.largest) == (1, change)
        assert aarch64.compared.check_greys(f"p {kind}", found).holds is holds


def test_a_student_that_fails_a_tile_or_differs_by_more_than_golden_tiles_may_fails(aarch64: Any) -> None:
    def slide(*chances: float, outcome: str = "classified") -> list[tuple[str, Any]]:
        return [(outcome, np.array([chance, 1 - chance])) for chance in chances]

    def check(*sides: list[tuple[str, Any]]) -> Any:
        return aarch64.compared.check_tiles("m", *sides)

    assert check(slide(0.2, 0.9), slide(0.22, 0.9))[0].holds
    assert not check(slide(0.2, 0.9), slide(0.24, 0.9))[0].holds
    assert not check(slide(0.2), slide(0.2, outcome="failed"))[0].holds
    assert not check(slide(0.2), slide(float("nan")))[0].holds
    assert not check([], [])[0].holds
    anything = aarch64.compared.check_tiles
    assert anything("m", slide(0.2), slide(0.4), most=np.inf)[0].holds
    assert not anything("m", slide(0.2), slide(float("nan")), most=np.inf)[0].holds
    assert not anything("m", slide(0.2), slide(0.2, outcome="failed"), most=np.inf)[0].holds
