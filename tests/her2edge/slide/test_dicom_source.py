"""DICOM slides that OpenSlide refuses: wsidicom reads them, or the message names what the file lacks."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import tiffs
import tiny
import vl_slides
from shared_data import SHARED, needs
from vl_slides import Slide, write_slide

from her2edge import Model, Options, SlideReader, TileClassifier, classify_slide
from her2edge.errors import Her2EdgeError, RuntimeUnavailable, SlideError, SlideReadError
from her2edge.slide import TileSize, UnreadableTile, look_into, slides_in
from her2edge.slide.dicom_required import refuse_incomplete
from her2edge.slide.dicom_source import WsidicomSource
from her2edge.slide.sources import OpenSlideSource, open_source
from her2edge.tile import Tile

P = tiffs.picture()[:200, :250]
SPARSE = {"DimensionOrganizationType": "TILED_SPARSE"}


def whole(source: Any) -> np.ndarray:
    return np.asarray(source.read(0, 0, 0, *source.dimensions))


@pytest.mark.parametrize(
    ("syntax", "reader", "off"),
    [
        ("raw", OpenSlideSource, 0),
        ("jpeg", OpenSlideSource, 60),
        ("j2k", OpenSlideSource, 20),
        ("j2k-lossless", OpenSlideSource, 0),
        ("jpeg-ls", WsidicomSource, 0),
    ],
)
@pytest.mark.parametrize("parts", [1, 3])
def test_every_compression_is_read_and_openslide_first(
    tmp_path: Path, syntax: str, reader: type, off: int, parts: int
) -> None:
    path = write_slide(tmp_path, P, Slide(syntax, levels=2, parts=parts))[-1]
    source = open_source(path)
    assert type(source) is reader
    assert source.dimensions == (250, 200)
    assert source.mpp == pytest.approx((0.25, 0.25))
    assert (source.scanner, source.icc_profile, source.notes) == ("Maker Model 5", False, ())
    assert [(level.width, level.height) for level in source.levels] == [(250, 200), (125, 100)]
    assert np.abs(whole(source).astype(int) - P).max() <= off
    source.close()


def test_both_readers_give_the_same_pixels_wherever_a_region_lies(tmp_path: Path) -> None:
    """One decoder is the other's reference: also over the edge, and in smaller levels."""
    paths = write_slide(tmp_path, P, Slide("raw", levels=3))
    first, second = OpenSlideSource(paths[0]), WsidicomSource(paths[0], paths)
    assert first.levels == second.levels
    for level, x, y, width, height in [
        (0, 0, 0, 250, 200),
        (0, 13, 7, 100, 90),
        (1, 20, 40, 50, 30),
        (2, 0, 0, 62, 50),
    ]:
        one, other = (source.read(level, x, y, width, height) for source in (first, second))
        np.testing.assert_array_equal(one, other)
    beyond = second.read(0, 240, 190, 20, 20)
    assert (beyond[10:] == 255).all()
    assert (beyond[:, 10:] == 255).all()
    assert (second.read(0, 1000, 1000, 5, 5) == 255).all()


def test_of_several_focal_planes_one_is_read_and_that_is_said(tmp_path: Path) -> None:
    (path,) = write_slide(tmp_path, P, Slide())
    image = vl_slides.read_back(path)
    sharp = image.PixelData
    image.PixelData = bytes(len(sharp)) + sharp + bytes(len(sharp))
    image.NumberOfFrames, image.TotalPixelMatrixFocalPlanes = 3 * int(image.NumberOfFrames), 3
    measures = image.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.SpacingBetweenSlices = "0.001"
    image.save_as(path)
    source = open_source(path)
    np.testing.assert_array_equal(whole(source), P)
    assert source.notes == ("found 3 focal planes, and reads the one in the middle",)


@pytest.mark.parametrize("isolate", [False, True])
def test_a_slide_gives_its_tiles_through_either_door(tmp_path: Path, isolate: bool) -> None:
    path = write_slide(tmp_path, P, Slide("jpeg-ls"))[0]
    with SlideReader(path, isolate=isolate) as slide:
        (tile, *_) = slide.tiles(TileSize(100, 0.25))
    assert isinstance(tile, Tile)
    np.testing.assert_array_equal(tile.pixels, P[:100, :100])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ImageType": None}, "found no ImageType in"),
        ({"ImageType": None, "SharedFunctionalGroupsSequence": None, "DimensionOrganizationType": None},
         "found no ImageType, SharedFunctionalGroupsSequence, DimensionOrganizationType in"),
        ({"TotalPixelMatrixRows": None}, "found no TotalPixelMatrixRows in"),
        (SPARSE, "found no PerFrameFunctionalGroupsSequence in"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.34"}, r"no whole-slide image \(SOP Class 1\.2"),
    ],
)  # fmt: skip
def test_what_a_file_lacks_is_named_with_what_to_do(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    path = write_slide(tmp_path, P, Slide(changes=changes))[0]
    with pytest.raises((SlideReadError, SlideError), match=rf"^s1-l0-p0\.dcm: .*{words}.*: \w+") as caught:
        open_source(path)
    assert str(tmp_path) not in str(caught.value)


def test_a_study_that_is_not_named_is_missed_where_the_reader_needs_it(tmp_path: Path) -> None:
    path = write_slide(tmp_path, P, Slide("jpeg-ls", changes={"StudyInstanceUID": None}))[0]
    with pytest.raises(SlideReadError, match="found no StudyInstanceUID in"):
        open_source(path)


def test_a_label_lacks_what_it_needs_not(tmp_path: Path) -> None:
    """Opened by its label, a slide that no reader reads was said to lack the label's um per pixel."""
    label = {"ImageType": ["ORIGINAL", "PRIMARY", "LABEL", "NONE"], "SharedFunctionalGroupsSequence": None}
    unknown = {"PhotometricInterpretation": "YBR_PARTIAL_420"}
    (slide,) = write_slide(tmp_path / "s", P, Slide("jpeg-ls", changes=unknown))
    (path,) = write_slide(tmp_path / "l", P[:64, :64], Slide("jpeg-ls", changes=label))
    path = path.rename(tmp_path / "s" / "a-label.dcm")
    for one in (path, slide):
        with pytest.raises(SlideReadError, match="cannot be read"):
            open_source(one)


@pytest.mark.skipif(find_spec("imagecodecs") is not None, reason="imagecodecs is installed")
def test_a_compression_that_needs_a_package_names_it(tmp_path: Path) -> None:
    (path,) = write_slide(tmp_path, P, Slide("jpeg-ls"))
    data = bytearray(path.read_bytes())
    known, other = b"UI\x16\0001.2.840.10008.1.2.4.80", b"UI\x18\0001.2.840.10008.1.2.4.110\0"
    at = data.index(known)
    data[at : at + len(known)] = other
    data[140] += 2  # the length of the group
    path.write_bytes(data)
    with pytest.raises(SlideReadError, match=r"tiles compressed by JPEG XL, .*`pip install imagecodecs`"):
        open_source(path)


def test_a_smaller_level_never_passes_for_a_slide_whose_largest_cannot_be_read(tmp_path: Path) -> None:
    """Both readers pass over a file that is cut off: tiles came from other places, at twice the scale."""
    paths = write_slide(tmp_path, P, Slide(levels=2))
    paths[0].write_bytes(paths[0].read_bytes()[:1500])
    for path in paths:
        with pytest.raises(SlideReadError, match=r"no level of 250 x 200 pixels|ends before its pixels"):
            open_source(path)


@pytest.mark.parametrize("syntax", ["raw", "jpeg-ls"])
def test_a_split_level_that_is_not_whole_is_refused(tmp_path: Path, syntax: str) -> None:
    paths = write_slide(tmp_path, P, Slide(syntax, parts=3))
    paths[1].unlink()
    with pytest.raises(SlideReadError, match="found 2 of the 3 files that a level is split into"):
        open_source(paths[0])


def test_a_stored_tile_that_cannot_be_decoded_costs_its_tiles_only(tmp_path: Path) -> None:
    path = write_slide(tmp_path, P, Slide("jpeg-ls", tile=50))[0]
    image = vl_slides.read_back(path)
    data = bytearray(image.PixelData)
    at = data.index(b"\xff\xd8", data.index(b"\xff\xd8") + 2)  # of the second tile
    data[at : at + 24] = bytes(24)
    image.PixelData = bytes(data)
    image.save_as(path)
    with SlideReader(path) as slide:
        tiles = list(slide.tiles(TileSize(50, 0.25)))
    broken = [number for number, tile in enumerate(tiles) if isinstance(tile, UnreadableTile)]
    assert broken == [1]
    assert isinstance(tiles[0], Tile)
    assert isinstance(tiles[2], Tile)
    np.testing.assert_array_equal(tiles[2].pixels, P[:50, 100:150])


class Failing:
    """A wsidicom whose first read raises this; counts how often a slide is opened and closed."""

    def __init__(self, error: BaseException) -> None:
        import wsidicom

        self.Settings, self.errors, self.opened, self.closed = wsidicom.Settings, [error], 0, 0
        self.WsiDicom = SimpleNamespace(open=self.open)
        self._real = wsidicom.WsiDicom

    def open(self, files: list[Path], settings: Any) -> Any:
        self.opened += 1
        slide = self._real.open(files, settings=settings)

        def read(*arguments: Any, **more: Any) -> Any:
            if self.errors:
                raise self.errors.pop()
            return slide.read_region(*arguments, **more)

        def close() -> None:
            self.closed += 1
            slide.close()

        return SimpleNamespace(levels=slide.levels, read_region=read, close=close)


@pytest.mark.parametrize("error", [ValueError("/secret/place: bad"), KeyboardInterrupt(), MemoryError()])
def test_whatever_happens_in_a_read_the_next_one_opens_the_slide_anew(
    tmp_path: Path, error: BaseException
) -> None:
    """wsidicom is Python with locks of its own: an interrupt may leave one taken."""
    paths = write_slide(tmp_path, P, Slide())
    package = Failing(error)
    source = WsidicomSource(paths[0], paths, package)
    expected = SlideReadError if isinstance(error, ValueError) else type(error)
    with pytest.raises(expected):
        whole(source)
    assert (package.opened, package.closed) == (1, 1)
    np.testing.assert_array_equal(whole(source), P)
    assert package.opened == 2
    source.close()
    source.close()
    assert package.closed == 2


def test_a_file_in_no_color_that_was_promised_is_refused(tmp_path: Path) -> None:
    paths = write_slide(tmp_path, P, Slide())
    with pytest.raises(SlideError, match="16 bits per sample"):
        open_source(write_slide(tmp_path / "deep", P, Slide(changes={"BitsAllocated": 16}))[0])
    assert open_source(paths[0]).dimensions == (250, 200)


def test_without_the_extra_it_is_named_beside_what_openslide_says(tmp_path: Path) -> None:
    path = write_slide(tmp_path, P, Slide("jpeg-ls"))[0]
    code = (
        "import sys; sys.modules['wsidicom'] = None\n"
        "from pathlib import Path\n"
        "from her2edge.slide.sources import open_source\n"
        "open_source(Path(sys.argv[1]))"
    )
    run = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    last = run.stderr.strip().splitlines()[-1]
    assert "SlideReadError" in last
    assert 'pip install "her2edge[dicom]"' in last


def test_nothing_of_dicom_is_imported_for_a_slide_that_openslide_reads(tmp_path: Path) -> None:
    path = write_slide(tmp_path, P, Slide("jpeg"))[0]
    code = (
        "import sys; from pathlib import Path\n"
        "from her2edge.slide.sources import open_source\n"
        "open_source(Path(sys.argv[1]))\n"
        "assert not {'wsidicom', 'pydicom', 'highdicom'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)


def test_no_value_of_a_file_is_printed(tmp_path: Path) -> None:
    """pydicom's warnings quote values, wsidicom's log names files with a traceback."""
    long = "SECRET" * 20
    write_slide(tmp_path, P, Slide("jpeg-ls", levels=2, changes={"PatientID": long, "StudyID": long}))
    path = next(tmp_path.glob("*l1*"))
    path.write_bytes(path.read_bytes()[:2000])
    code = (
        "import sys; from pathlib import Path\n"
        "from her2edge.slide.sources import open_source\n"
        "source = open_source(Path(sys.argv[1])); source.read(0, 0, 0, 50, 50)"
    )
    run = subprocess.run(
        [sys.executable, "-W", "always", "-c", code, str(next(tmp_path.glob("*l0*")))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0
    assert run.stderr == run.stdout == ""


def test_reports_and_labels_beside_slides_are_no_slides(tmp_path: Path) -> None:
    write_slide(tmp_path, P, Slide())
    report = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.34"}
    write_slide(tmp_path, P, Slide(slide=2, changes=report))
    write_slide(tmp_path, P, Slide(slide=3, changes={"ImageType": ["ORIGINAL", "PRIMARY", "LABEL", "NONE"]}))
    found = list(slides_in(tmp_path, [path.name for path in tmp_path.iterdir()]))
    assert [path.name for path, _ in found] == ["s1-l0-p0.dcm"]
    contents = look_into(tmp_path, 128)
    assert [path.name for path in contents.slides] == ["s1-l0-p0.dcm"]
    assert contents.left_out == {".dcm": 2}


def test_a_folder_of_reports_alone_holds_no_slides(tmp_path: Path) -> None:
    write_slide(tmp_path, P, Slide(changes={"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.34"}))
    with pytest.raises(Her2EdgeError, match="found neither slides nor tile images"):
        look_into(tmp_path, 128)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.05, 0.2, 0.9])
@pytest.mark.parametrize("syntax", ["raw", "jpeg", "jpeg-ls"])
def test_a_file_that_is_cut_off_is_refused_or_loses_tiles(tmp_path: Path, share: float, syntax: str) -> None:
    path = write_slide(tmp_path, P, Slide(syntax))[0]
    data = path.read_bytes()
    path.write_bytes(data[: max(140, int(share * len(data)))])
    try:
        with SlideReader(path) as slide:
            tiles = list(slide.tiles(TileSize(64, 0.25)))
    except SlideReadError as error:
        assert str(error).startswith("s1-l0-p0.dcm: ")  # noqa: PT017 - or it loses tiles
    else:
        assert any(isinstance(tile, UnreadableTile) for tile in tiles)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_mutants_of_what_only_wsidicom_reads_raise_only_her2edge_errors(tmp_path: Path) -> None:
    import mutants

    data = write_slide(tmp_path, P[:64, :64], Slide("jpeg-ls"))[0].read_bytes()
    random = np.random.default_rng(4)
    path = tmp_path / "s1-l0-p0.dcm"
    for _ in range(20):
        path.write_bytes(mutants.mutate(data, random))
        try:
            refuse_incomplete([path])
            WsidicomSource(path, [path]).read(0, 0, 0, 64, 64)
        except RuntimeUnavailable:
            raise
        except Her2EdgeError as error:
            assert str(error).isprintable()  # noqa: PT017 - most are read, or lose tiles
        except MemoryError:
            pass


@pytest.mark.slow
@needs("wsi/cmu-1-small-region.svs")
@pytest.mark.skipif(
    shutil.which("wsidicomizer") is None, reason="the converter wsidicomizer is not on the PATH"
)
def test_a_converted_slide_gives_the_tiles_of_its_source(tmp_path: Path) -> None:
    svs, out = SHARED / "wsi" / "cmu-1-small-region.svs", tmp_path / "dicom"
    converter = shutil.which("wsidicomizer")
    assert converter is not None
    subprocess.run([converter, "-i", str(svs), "-o", str(out)], check=True, capture_output=True)
    paths = sorted(out.iterdir())
    with SlideReader(svs) as source, SlideReader(paths[0]) as converted:
        assert converted.dimensions == source.dimensions
        assert converted.mpp == pytest.approx(source.mpp)
        pairs = zip(source.tiles(TileSize(512, 0.5)), converted.tiles(TileSize(512, 0.5)), strict=True)
        for one, other in pairs:
            assert isinstance(one, Tile)
            assert isinstance(other, Tile)
            np.testing.assert_array_equal(one.pixels, other.pixels)
            assert (one.x, one.y) == pytest.approx((other.x, other.y))
    classifier = TileClassifier(Model.load(tiny.INT8), Options(threads=1))
    tables = []
    for path in (svs, paths[0]):
        run = classify_slide(path, tmp_path / "out", classifier)
        with (run.folder / "tiles.csv").open(encoding="utf-8", newline="") as file:
            tables.append([{**row, "slide": ""} for row in csv.DictReader(file)])
        assert run.answer.tiles.pooled > 0
    assert tables[0] == tables[1]


def test_the_picture_is_not_flat() -> None:
    """Else a reader that mixes tiles up would pass."""
    assert cv2.cvtColor(np.ascontiguousarray(P), cv2.COLOR_RGB2GRAY).std() > 5
