"""Whatever is wrong with a slide: a typed error of one line that says what to do, and quickly."""

from __future__ import annotations

import contextlib
import os
import struct
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from shared_data import SHARED, needs

from her2edge.errors import (
    Her2EdgeError,
    MissingInputError,
    OptionError,
    RuntimeUnavailable,
    SlideError,
    SlideReadError,
)
from her2edge.slide import SlideReader, encode_png
from her2edge.slide.grid import TileSize
from her2edge.slide.images import read_image
from her2edge.tile import UnreadableTile

CMU = SHARED / "wsi" / "cmu-1-small-region.svs"
SPEC = TileSize(512, 0.5)


def refused(path: Path | str, kind: type[Her2EdgeError], words: str, mpp: float | None = None) -> str:
    """Open `path`, expect `kind` with `words` in one line without the folder; return the message."""
    with pytest.raises(kind, match=words) as caught:
        SlideReader(path, mpp=mpp)
    message = str(caught.value)
    assert "\n" not in message
    assert str(Path(path).parent) == "." or str(Path(path).parent) not in message
    return message


def png_header(width: int, height: int) -> bytes:
    """A PNG of a few hundred bytes that claims any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def test_a_missing_path_is_a_missing_input(tmp_path: Path) -> None:
    refused(tmp_path / "none.svs", MissingInputError, r"none\.svs: no such file")
    refused(str(tmp_path / "nul\0.svs"), MissingInputError, r"nul\?\.svs: no such file")
    with pytest.raises(MissingInputError, match="empty path"):
        SlideReader("")


def test_a_folder_without_images_is_a_missing_input(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.svs").write_bytes(b"x")
    refused(tmp_path / "sub", MissingInputError, "found no tile image in the folder")


@pytest.mark.parametrize("mpp", [0, -0.25, 0.01, 25, float("nan"), float("inf"), "0.25"])
def test_an_absurd_mpp_is_an_option_error(tmp_path: Path, mpp: float) -> None:
    refused(tmp_path / "a.png", OptionError, r"expected a number in 0\.05\.\.20", mpp)


@needs("wsi/tcga-cr-7395-01a-01-ts1.svs")
def test_a_slide_without_a_scale_is_refused_and_told_the_option() -> None:
    refused(
        SHARED / "wsi" / "tcga-cr-7395-01a-01-ts1.svs", SlideError, "found no um per pixel .*--mpp .*mpp="
    )


def test_a_plain_image_needs_mpp_even_if_it_has_a_resolution(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "a.png", dpi=(101_600, 101_600))
    refused(tmp_path / "a.png", SlideError, r"^a\.png: .*--mpp")


@pytest.mark.parametrize(
    ("across", "down", "words"),
    [(0.25, 0.26, "0.25 um per pixel across and 0.26 down"), (352.8, 352.8, "found 352.8")],
)
def test_a_scale_that_differs_by_axis_or_is_no_microscopes_is_refused(
    tmp_path: Path, across: float, down: float, words: str
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, np.zeros((64, 64, 3), np.uint8), tile=(64, 64), photometric="rgb",
        resolution=(1e4 / across, 1e4 / down), resolutionunit="CENTIMETER",
    )  # fmt: skip
    message = refused(path, SlideError, words)
    assert "--mpp" in message
    with SlideReader(path, mpp=0.25) as slide:
        assert slide.mpp == 0.25


def test_a_slide_too_coarse_for_the_model_is_refused_by_name(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "a.png")
    with (
        SlideReader(tmp_path / "a.png", mpp=1.0) as slide,
        pytest.raises(SlideError, match=r"^a\.png: found 1 um per pixel, expected at most 0\.55"),
    ):
        slide.tiles(TileSize(512, 0.25))


@needs("wsi/small-vl-wsi.dcm")
def test_a_dicom_file_that_lacks_attributes_is_refused_naming_them() -> None:
    refused(
        SHARED / "wsi" / "small-vl-wsi.dcm",
        SlideReadError,
        r"^small-vl-wsi\.dcm: found no ImageType, SharedFunctionalGroupsSequence, DimensionOrganizationType "
        r"in the DICOM file, which a whole-slide image must state: export",
    )


@pytest.mark.parametrize("name", ["a.svs", "a.tif", "a.png", "a.jpg", "a.mrxs", "a.dcm", "a.txt", "a"])
@pytest.mark.parametrize(
    "content", [b"", b"no image at all", b"II*\0" + bytes(40), b"\xff\xd8\xff\xe0" + bytes(40)]
)
def test_a_file_that_is_no_image_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name, SlideReadError, name.replace(".", r"\."), mpp=0.25)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
def test_a_truncated_image_is_refused_and_never_half_grey(tmp_path: Path, suffix: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (200, 200, 3), np.uint8)
    path = tmp_path / f"a{suffix}"
    Image.fromarray(pixels).save(path)
    whole = path.read_bytes()
    for share in (0.02, 0.3, 0.6, 0.95):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(SlideReadError):
            SlideReader(path, mpp=0.25)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("L", ".png"), ("L", ".jpg"), ("CMYK", ".jpg"), ("P", ".png"), ("1", ".png"), ("I;16", ".png")],
)
def test_an_image_that_is_not_8_bit_colour_is_refused(tmp_path: Path, mode: str, suffix: str) -> None:
    Image.new(mode, (64, 64)).save(tmp_path / f"a{suffix}")
    refused(
        tmp_path / f"a{suffix}", SlideError, f"found an image of mode {mode}, expected 8-bit RGB", mpp=0.25
    )


def test_16_bit_colour_is_refused_and_not_cut_to_8(tmp_path: Path) -> None:
    import cv2

    deep = np.full((64, 64, 3), 40_000, np.uint16)
    for suffix in (".png", ".tif"):
        cv2.imwrite(str(tmp_path / f"a{suffix}"), deep)
        refused(tmp_path / f"a{suffix}", SlideError, "found an image of 16-bit RGB", mpp=0.25)


@pytest.mark.parametrize("size", [(100_000, 100_000), (8_001, 8_000), (2**31 - 1, 2**31 - 1)])
def test_an_image_that_claims_too_many_pixels_is_refused_at_once(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    (tmp_path / "bomb.png").write_bytes(png_header(*size))
    start = time.monotonic()
    refused(tmp_path / "bomb.png", SlideError, "expected at most 64 million", mpp=0.25)
    with SlideReader(tmp_path) as folder:
        assert [type(tile) for tile in folder.tiles(SPEC)] == [UnreadableTile]
    assert time.monotonic() - start < 1


def test_a_tiff_that_claims_giant_stored_tiles_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tif"
    tifffile.imwrite(
        path, np.zeros((64, 64, 3), np.uint8), tile=(64, 64), photometric="rgb", compression="zlib"
    )
    with tifffile.TiffFile(path, mode="r+") as tiff:
        page = tiff.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        for tag in ("TileWidth", "TileLength"):
            page.tags[tag].overwrite(48_000)
    start = time.monotonic()
    refused(path, Her2EdgeError, r"bomb\.tif: ", mpp=0.25)
    assert time.monotonic() - start < 1


@needs("wsi/cmu-1-small-region.svs")
def test_stored_jpegs_with_a_forged_size_cost_their_tiles_and_no_memory(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="this system does not tell peak memory")
    content = CMU.read_bytes()
    frame = b"\xff\xc0\x00\x11\x08"  # start of frame; height and width follow
    parts = content.split(frame)
    forged = [
        part if n == 0 else struct.pack(">HH", 60_000, 60_000) + part[4:] for n, part in enumerate(parts)
    ]
    path = tmp_path / "bomb.svs"
    path.write_bytes(frame.join(forged))
    with SlideReader(path) as slide:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert {type(tile) for tile in slide.tiles(SPEC)} == {UnreadableTile}
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 256_000  # kB
    assert len(parts) > 100


@needs("wsi/cmu-1-small-region.svs")
@pytest.mark.parametrize("share", [0.0001, 0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.9999])
def test_a_truncated_svs_is_refused_or_loses_tiles_and_nothing_else(tmp_path: Path, share: float) -> None:
    path = tmp_path / "cut.svs"
    whole = CMU.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    try:
        with SlideReader(path) as slide:
            tiles = list(slide.tiles(SPEC))
            assert len(tiles) == len(slide.grid(SPEC))
    except SlideReadError:
        return


@needs("wsi/cmu-1-small-region.svs")
def test_damaged_bytes_inside_an_svs_cost_tiles_and_nothing_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    whole = np.frombuffer(CMU.read_bytes(), np.uint8)
    for round_ in range(6):
        damaged = whole.copy()
        at = rng.integers(0, len(whole), 2000)
        damaged[at] = rng.integers(0, 256, len(at), np.uint8)
        path = tmp_path / f"{round_}.svs"
        path.write_bytes(damaged.tobytes())
        try:
            with SlideReader(path, mpp=0.5) as slide:
                assert len(list(slide.tiles(SPEC))) == len(slide.grid(SPEC))
        except (SlideReadError, SlideError):
            continue


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow tells what it skips
def test_mutated_images_raise_only_her2edge_errors(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    pixels = rng.integers(0, 256, (40, 40, 3), np.uint8)
    for suffix in (".png", ".jpg", ".tif", ".bmp"):
        path = tmp_path / f"a{suffix}"
        Image.fromarray(pixels).save(path)
        whole = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(60):
            mutant = whole.copy()
            at = rng.integers(0, min(len(whole), 400), 4)
            mutant[at] = rng.integers(0, 256, 4, np.uint8)
            path.write_bytes(mutant.tobytes())
            with contextlib.suppress(Her2EdgeError):
                SlideReader(path, mpp=0.25).close()


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything"
)
def test_a_file_without_permission_is_a_read_error(tmp_path: Path) -> None:
    (tmp_path / "a.svs").write_bytes(b"x")
    (tmp_path / "a.svs").chmod(0)
    refused(tmp_path / "a.svs", SlideReadError, "cannot be read .*permissions")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.svs")
    refused(tmp_path / "a.svs", SlideReadError, "found a device or pipe")


@pytest.mark.parametrize(("module", "name"), [("openslide", "a.svs"), ("PIL", "a.png")])
def test_a_missing_library_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, name: str
) -> None:
    (tmp_path / name).write_bytes(b"x")
    monkeypatch.setitem(sys.modules, module, None)
    refused(tmp_path / name, RuntimeUnavailable, r'pip install "her2edge\[slides\]"', mpp=0.25)


def test_a_closed_slide_says_so(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "a.png")
    with SlideReader(tmp_path / "a.png", mpp=0.5) as slide:
        tiles = slide.tiles(SPEC)
    with pytest.raises(SlideError, match="closed slide"):
        next(tiles)


def test_a_folder_has_no_grid(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "a.png")
    with (
        SlideReader(tmp_path) as slide,
        pytest.raises(SlideError, match="a folder of tiles, which has no grid"),
    ):
        slide.grid(SPEC)


def test_a_picture_cut_short_is_said_once(tmp_path: Path) -> None:
    whole = encode_png(np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8))
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SlideReadError) as caught:
        read_image(tmp_path / "cut.png")
    assert str(caught.value).count("cannot be decoded") == 1
