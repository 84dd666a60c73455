"""Whichever call fails, for every n: an honest exit code, and the next run ends with a good one's files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import faults
import pytest
from small_slide import classify as classify_by
from small_slide import draw_folder, draw_slide, files_of, folder_of, interrupted_at, with_options

Failing = Callable[[int], AbstractContextManager[faults.Fault]]
BATCH = 4


def classify(path: Path, out: Path, *more: str) -> int:
    """The exit code; a commit every few results."""
    return classify_by(path, out, *more, by=with_options(batch=BATCH))


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """A slide of 12 tiles and the files of a run that nothing happened to."""
    folder = tmp_path_factory.mktemp("slide")
    path = draw_slide(folder / "slide.png", 4, 3)
    assert classify(path, folder / "whole", *MORE) == 0
    return path, files_of(folder / "whole")


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """The same of a folder of 8 tiles."""
    folder = tmp_path_factory.mktemp("folder")
    path = draw_folder(folder / "tiles", 8)
    assert classify(path, folder / "whole", *MORE) == 0
    return path, files_of(folder / "whole")


MORE = ("--stain", "slide")  # the fit goes through the journal as well


def turns(failing: Failing, input_path: Path, folder: Path, every: int) -> Iterator[tuple[int, Path]]:
    """(exit code, results) of a run in which the n-th call fails, for each `every`-th n."""
    with failing(0) as fault:
        assert classify(input_path, folder / "count", *MORE) == 0
    assert fault.calls >= 5, "the fault is in nobody's way"
    for n in range(1, fault.calls + 1, every):
        out = folder / f"out-{n}"
        with failing(n) as fault:
            code = classify(input_path, out, *MORE)
        assert fault.calls >= n
        yield code, out


def goes_on(input_path: Path, out: Path) -> dict[str, bytes]:
    """The files after the run has been repeated."""
    assert classify(input_path, out, *MORE) == 0
    return files_of(out)


@contextmanager
def half_of(slide: Path, out: Path) -> Iterator[None]:
    """With the journal of an interrupted run in place."""
    assert classify_by(slide, out, *MORE, by=interrupted_at(6, batch=BATCH)) == 130
    yield


some = pytest.param(7, id="some")
all_of_them = pytest.param(1, id="all", marks=pytest.mark.slow)


@pytest.mark.parametrize("every", [some, all_of_them])
@pytest.mark.parametrize("failing", [faults.failing_files, faults.failing_journal])
def test_a_write_that_fails_ends_with_74_and_the_next_run_ends_well(
    slide: Any, tmp_path: Path, failing: Failing, every: int
) -> None:
    path, whole = slide
    codes = set()
    for code, out in turns(failing, path, tmp_path, every):
        codes.add(code)
        assert not out.exists() or not list(out.rglob(".partial*"))
        assert goes_on(path, out) == whole
    assert 74 in codes
    assert codes <= {0, 74}


@pytest.mark.parametrize("every", [some, all_of_them])
@pytest.mark.parametrize("failing", [faults.failing_files, faults.failing_journal])
def test_an_interrupt_at_a_write_ends_with_130_and_the_next_run_ends_well(
    slide: Any, tmp_path: Path, failing: Any, every: int
) -> None:
    path, whole = slide
    for code, out in turns(partial(failing, error=KeyboardInterrupt), path, tmp_path, every):
        assert code == 130
        assert not out.exists() or not list(out.rglob(".partial*"))
        assert goes_on(path, out) == whole


@pytest.mark.parametrize("every", [some, all_of_them])
def test_a_write_that_fails_while_going_on_loses_nothing(slide: Any, tmp_path: Path, every: int) -> None:
    path, whole = slide
    n = 1
    while True:
        out = tmp_path / f"out-{n}"
        with half_of(path, out), faults.failing_journal(n) as fault:
            code = classify(path, out, *MORE)
        assert goes_on(path, out) == whole
        if fault.calls < n:
            break
        assert code in (0, 74)
        n += every
    assert n > 3 * every


@pytest.mark.parametrize("every", [some, all_of_them])
def test_a_region_that_cannot_be_read_costs_its_tile_and_a_later_run_nothing(
    slide: Any, tmp_path: Path, every: int
) -> None:
    """The n-th read may be of the stain's sample, of a tile, or of the thumbnail: then the run is not partly
    failed, but its picture or fit may lack something, with a warning, until it is made again."""
    path, whole = slide
    codes = set()
    for code, out in turns(faults.failing_reads, path, tmp_path, every):
        codes.add(code)
        if code == 3:
            assert b"failed" in files_of(out)["tiles.csv"]
            assert goes_on(path, out) == whole
        else:
            assert code == 0
            assert classify(path, out, *MORE, "--fresh") == 0
            assert files_of(out) == whole
    assert 3 in codes


@pytest.mark.parametrize("every", [pytest.param(3, id="some"), all_of_them])
def test_an_image_that_cannot_be_decoded_costs_its_tile_and_the_next_run_ends_well(
    tiles: Any, tmp_path: Path, every: int
) -> None:
    path, whole = tiles
    codes = set()
    for code, out in turns(faults.failing_decodes, path, tmp_path, every):
        codes.add(code)
        assert code in (0, 3)
        assert classify(path, out, *MORE, *(["--fresh"] if code == 0 else [])) == 0
        assert files_of(out) == whole
    assert 3 in codes


@pytest.mark.parametrize("every", [pytest.param(3, id="some"), all_of_them])
def test_an_inference_that_fails_costs_its_tile_or_refuses_the_model(
    slide: Any, tmp_path: Path, every: int
) -> None:
    path, whole = slide
    codes = set()
    for code, out in turns(faults.failing_inferences, path, tmp_path, every):
        codes.add(code)
        assert goes_on(path, out) == whole
    assert 3 in codes
    assert codes <= {1, 3, 78}, "1 and 78: the self-test, before anything was written"


@pytest.mark.skipif("not __import__('os').name == 'posix'", reason="needs RLIMIT_FSIZE")
@pytest.mark.parametrize(
    "step", [pytest.param(6000, id="some"), pytest.param(1024, id="all", marks=pytest.mark.slow)]
)
def test_a_disk_that_is_full_at_any_size_of_file_ends_with_74_and_the_next_run_ends_well(
    slide: Any, tmp_path: Path, step: int, capsys: Any
) -> None:
    """The kernel refuses, so that SQLite's own handling is tried too."""
    path, whole = slide
    largest = max(map(len, whole.values()))
    codes = []
    for size in range(0, largest + step, step):
        out = tmp_path / f"out-{size}"
        with faults.file_size_limit(size):
            codes.append(classify(path, out, *MORE))
        if codes[-1]:
            assert "Traceback" not in capsys.readouterr().err
        assert not list(folder_of(out).glob(".partial*"))
        assert goes_on(path, out) == whole
    assert codes[0] == 74
    assert codes[-1] == 0
    assert set(codes) == {0, 74}
