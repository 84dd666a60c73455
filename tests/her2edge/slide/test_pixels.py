"""What a file's pixels are: right pixels, equal to an independent reading, or a refusal by name."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiffs
from numpy.typing import NDArray
from PIL import Image
from shared_data import SHARED, needs

from her2edge.errors import Her2EdgeError, SlideError
from her2edge.slide import SlideReader, TileSize, read_image
from her2edge.tile import Tile

P = tiffs.picture()
DEEP = P.astype(np.uint16) * 257
GREY = P[..., 0].copy()
PLANES = np.ascontiguousarray(np.moveaxis(P, -1, 0))
COLOURS = (np.random.default_rng(1).integers(0, 256, (3, 256)) * 257).astype(np.uint16)
CASES = SHARED / "cases"

Writer = Callable[[Path], Path]


def pixels_of(path: Path, **more: Any) -> NDArray[np.uint8]:
    """All of level 0, as a model of the slide's scale sees it."""
    with SlideReader(path, mpp=0.25, **more) as slide:
        assert slide.dimensions is not None
        width, height = slide.dimensions
        tile = next(slide.tiles(TileSize(max(width, height), 0.25)))
    assert isinstance(tile, Tile)
    return tile.pixels[:height, :width]


def refusal_of(path: Path) -> str:
    with pytest.raises(SlideError) as refused:
        SlideReader(path, mpp=0.25)
    message = str(refused.value)
    assert message.startswith(f"{path.name}: found ")
    assert "\n" not in message
    return message


def tiled(pixels: NDArray[Any], **more: Any) -> Writer:
    return lambda path: tiffs.write(path, pixels, **more)


def jpeg(**more: Any) -> Writer:
    return lambda path: tiffs.write_encoded(path, P, "JPEG", 7, **more)


def j2k(**more: Any) -> Writer:
    return lambda path: tiffs.write_encoded(path, P, "JPEG2000", 33005, description=tiffs.APERIO, **more)


def turned(orientation: int) -> dict[str, Any]:
    return {"extratags": [(274, "H", 1, orientation, True)]}


def fourth(values: NDArray[np.uint8] | int) -> NDArray[np.uint8]:
    """RGB with a fourth sample."""
    return np.dstack([P, np.broadcast_to(values, P.shape[:2]).astype(np.uint8)])


def premultiplied(alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.dstack([np.round(P * (alpha[..., None] / 255)).astype(np.uint8), alpha])


ALPHA = np.clip(tiffs.picture(channels=1, seed=9)[..., 0], 40, 255).astype(np.uint8)
OVER_WHITE = np.floor(P * (ALPHA[..., None] / 255) + 255 - ALPHA[..., None] + 0.5)
PALETTE = (COLOURS >> 8).T[GREY]
LEVEL_0 = "OpenSlide's level 0"


@pytest.mark.parametrize(
    ("write", "expected", "off"),
    [
        pytest.param(tiled(P), P, 0, id="RGB"),
        pytest.param(tiled(P, compression="zlib", predictor=True), P, 0, id="deflated with predictor"),
        pytest.param(tiled(P, bigtiff=True), P, 0, id="BigTIFF"),
        pytest.param(tiled(P, byteorder=">"), P, 0, id="big-endian"),
        pytest.param(tiled(PLANES, planarconfig="separate"), P, 0, id="planar"),
        pytest.param(jpeg(), LEVEL_0, 0, id="JPEG"),
        pytest.param(jpeg(**turned(3)), LEVEL_0, 0, id="JPEG is never turned"),
        pytest.param(j2k(), P, 0, id="JPEG 2000 of Aperio"),
        pytest.param(j2k(**turned(6)), P, 0, id="JPEG 2000 is never turned"),
        pytest.param(tiled(P, **turned(5)), P, 0, id="Orientation 5, which libtiff leaves alone"),
        pytest.param(tiled(GREY, photometric="palette", colormap=COLOURS), PALETTE, 0, id="palette"),
        pytest.param(tiled(fourth(GREY), photometric="separated"), LEVEL_0, 0, id="CMYK"),
        pytest.param(tiled(DEEP), P, 0, id="16 bit, all used"),
        pytest.param(tiled(DEEP, bigtiff=True, compression="zlib"), P, 0, id="16 bit, BigTIFF"),
        pytest.param(tiled(np.moveaxis(DEEP, -1, 0), planarconfig="separate"), P, 0, id="16 bit, planar"),
        pytest.param(tiled(fourth(0), extrasamples=[0]), P, 0, id="fourth sample 0, not alpha"),
        pytest.param(tiled(fourth(ALPHA), extrasamples=[0]), P, 0, id="fourth of any value, not alpha"),
        pytest.param(tiled(fourth(255), extrasamples=[0]), P, 0, id="fourth sample full, not alpha"),
        pytest.param(
            tiled(np.moveaxis(fourth(0), -1, 0), extrasamples=[0], planarconfig="separate"), P, 0,
            id="fourth sample 0 in a plane of its own",
        ),
        pytest.param(tiled(np.dstack([P, GREY, GREY]), extrasamples=[0, 0]), P, 0, id="two more samples"),
        pytest.param(tiled(fourth(0), extrasamples=[1]), P, 0, id="associated alpha, 0 everywhere"),
        pytest.param(tiled(fourth(255), extrasamples=[2]), P, 0, id="opaque alpha"),
        pytest.param(tiled(premultiplied(ALPHA), extrasamples=[1]), OVER_WHITE, 2, id="associated alpha"),
        pytest.param(tiled(fourth(ALPHA), extrasamples=[2]), OVER_WHITE, 2, id="straight alpha"),
        pytest.param(tiled(P, tile=None), P, 0, id="strips"),
        pytest.param(tiled(fourth(0), extrasamples=[0], tile=None), P, 0, id="strips, fourth sample 0"),
        pytest.param(tiled(fourth(ALPHA), extrasamples=[0], tile=None), P, 0, id="strips, fourth not alpha"),
        pytest.param(tiled(fourth(0), extrasamples=[2], tile=None), P, 0, id="strips, alpha 0 everywhere"),
        pytest.param(tiled(fourth(ALPHA), extrasamples=[2], tile=None), OVER_WHITE, 0, id="strips, alpha"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("isolate", [False, True])
def test_pixels_equal_an_independent_reading(
    tmp_path: Path, write: Writer, expected: Any, off: int, isolate: bool
) -> None:
    path = write(tmp_path / "a.tif")
    wanted = tiffs.level_0(path) if isinstance(expected, str) else expected
    assert np.abs(pixels_of(path, isolate=isolate).astype(int) - wanted).max() <= off


@pytest.mark.parametrize(
    ("write", "words"),
    [
        pytest.param(tiled(P.astype(np.uint16) << 4), "16-bit RGB of which the upper", id="12 of 16"),
        pytest.param(tiled(P.astype(np.uint16) << 2, bigtiff=True), "upper bits", id="10 of 16, BigTIFF"),
        pytest.param(tiled(P.astype(np.uint16) << 6), "upper bits", id="14 of 16 bits"),
        pytest.param(tiled(P.astype(np.uint16) << 4, tile=None), "16-bit RGB", id="16 bits in strips"),
        pytest.param(tiled(P.view(np.int8)), "signed or floating", id="signed"),
        pytest.param(tiled(P.astype(np.float32)), "floating", id="floats"),
        pytest.param(tiled(P.astype(np.uint32)), "32 bits per sample", id="32 bits"),
        pytest.param(tiled(GREY, photometric="minisblack"), "grey image", id="grey"),
        pytest.param(tiled(GREY, photometric="miniswhite"), "grey image", id="grey, white is zero"),
        pytest.param(tiled(DEEP[..., 0], photometric="minisblack"), "grey image", id="grey, 16 bits"),
        pytest.param(tiled(P, photometric="minisblack", planarconfig="contig"), "grey image", id="channels"),
        pytest.param(tiled(PLANES, photometric="minisblack", planarconfig="separate"), "grey", id="planes"),
        pytest.param(tiled(PLANES, photometric="minisblack"), "3 pages of one size", id="a page per channel"),
        pytest.param(tiled(GREY, photometric="minisblack", tile=None), "mode L", id="grey strips"),
        pytest.param(tiled(fourth(0), extrasamples=[2]), "alpha channel that", id="colours lost to alpha"),
        pytest.param(tiled(fourth(0), extrasamples=[1], tile=None), "alpha channel that", id="so in strips"),
        *(
            pytest.param(tiled(P, **turned(n)), "another Orientation than 1", id=f"tiles of Orientation {n}")
            for n in (2, 3, 4, 6, 7, 8)
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_read_as_it_is_stored_is_refused_by_name(
    tmp_path: Path, write: Writer, words: str
) -> None:
    assert words in refusal_of(write(tmp_path / "a.tif"))


def test_a_grey_jpeg_in_tiles_is_refused(tmp_path: Path) -> None:
    more = {"photometric": "minisblack"}
    assert "grey" in refusal_of(tiffs.write_encoded(tmp_path / "a.tif", P[..., :1], "JPEG", 7, **more))


def test_an_ome_tiff_with_a_page_per_channel_is_refused_and_told_why(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    import tifffile

    tifffile.imwrite(path, PLANES, tile=(128, 128), photometric="minisblack", metadata={"axes": "CYX"})
    assert "3 pages of one size, as of one channel each" in refusal_of(path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_orientation_of_strips_is_ignored(tmp_path: Path, orientation: int) -> None:
    shape = P[:200]
    path = tiffs.write(tmp_path / "a.tif", shape, tile=None, **turned(orientation))
    np.testing.assert_array_equal(pixels_of(path), shape)
    np.testing.assert_array_equal(read_image(path), shape)


def test_an_empty_alpha_of_a_png_or_bmp_is_none(tmp_path: Path) -> None:
    Image.fromarray(fourth(0)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), P)
    np.testing.assert_array_equal(read_image(str(tmp_path / "a.png")), P)
    (tmp_path / "a.bmp").write_bytes(bmp_with_alpha(fourth(0)))
    np.testing.assert_array_equal(read_image(tmp_path / "a.bmp"), P)


def bmp_with_alpha(rgba: NDArray[np.uint8]) -> bytes:
    """32 bits per pixel with masks (BITMAPV4HEADER), as Windows programs write it."""
    height, width = rgba.shape[:2]
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    body = rgba[::-1, :, [2, 1, 0, 3]].tobytes()
    info = struct.pack("<IiiHHIIiiII", 108, width, height, 1, 32, 3, len(body), 0, 0, 0, 0) + masks
    info += bytes(108 - len(info))
    return b"BM" + struct.pack("<IHHI", 14 + len(info) + len(body), 0, 0, 14 + len(info)) + info + body


def test_the_transparent_colour_of_a_png_is_white(tmp_path: Path) -> None:
    pixels = P.copy()
    pixels[:50, :60] = (1, 2, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png", transparency=(1, 2, 3))
    expected = pixels.copy()
    expected[:50, :60] = 255
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), expected)


def test_a_sparse_slide_is_white_where_nothing_is_stored(tmp_path: Path) -> None:
    path = tiffs.write(tmp_path / "a.tif", P, compression="zlib")
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        counts = list(page.databytecounts)
    counts[0] = 0
    tiffs.tag(path, 0, TileByteCounts=counts)
    got = pixels_of(path)
    assert (got[:128, :128] == 255).all()
    np.testing.assert_array_equal(got[128:], P[128:])


@needs("cases/tiled-grey-8bit.tif")
@pytest.mark.parametrize(
    "name", ["tiled-grey-8bit.tif", "tiled-rgb-16bit-with-12bit-data.tif", "two-pages-small-label-first.tif"]
)
def test_files_that_were_misread_are_refused(name: str) -> None:
    refusal_of(CASES / name)


@needs("cases/tiled-rgb-fourth-sample-unspecified-zero.tif")
@pytest.mark.parametrize(
    "name", ["tiled-rgb-fourth-sample-unspecified-zero.tif", "stripped-orientation-6.tif"]
)
def test_files_that_were_misread_give_what_is_stored(name: str) -> None:
    import tifffile

    np.testing.assert_array_equal(pixels_of(CASES / name), tifffile.imread(CASES / name)[..., :3])


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "write",
    [tiled(P[:64, :64], tile=(32, 32), bigtiff=True), tiled(DEEP[:64, :64], tile=(32, 32)),
     tiled(fourth(0)[:64, :64], tile=(32, 32), extrasamples=[0]),
     tiled(P[:64, :64], tile=None, **turned(6))],
)  # fmt: skip
def test_mutants_of_tiffs_raise_only_her2edge_errors(tmp_path: Path, write: Writer) -> None:
    import mutants

    whole = write(tmp_path / "whole.tif").read_bytes()
    random = np.random.default_rng(8)
    path = tmp_path / "a.tif"
    for _ in range(150):
        path.write_bytes(mutants.mutate(whole, random))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                mutants.read_slide(path)
            except Her2EdgeError as error:
                assert str(error).isprintable()  # noqa: PT017 - most are read, or lose tiles
