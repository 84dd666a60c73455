"""An exported file is found by its slide's name and read however it is packed; bombs are refused by name."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from drawn import feature, square

from her2edge.errors import AnnotationError, Her2EdgeError, MissingInputError, OptionError
from her2edge.regions.annotations import read_annotation
from her2edge.regions.exports import find_exports
from her2edge.regions.unpack import LIMIT
from her2edge_training.register.carry import carry, read_shapes
from her2edge_training.register.errors import CarryError

PLAIN = json.dumps([feature([square(0, 0, 9, 9)])]).encode()


def zipped(*entries: tuple[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return file.getvalue()


PACKED = {
    "plain": PLAIN,
    "byte order mark": b"\xef\xbb\xbf" + PLAIN,
    "gzip": gzip.compress(PLAIN),
    "gzip in two members": gzip.compress(PLAIN[:50]) + gzip.compress(PLAIN[50:]),
    "zip": zipped(("P07.geojson", PLAIN)),
    "stored zip": zipped(("P07.geojson", PLAIN), how=zipfile.ZIP_STORED),
    "zip of macOS": zipped(("P07.json", PLAIN), ("__MACOSX/._P07.json", b"x"), (".DS_Store", b"y")),
    "zip with a folder": zipped(("rois/", b""), ("rois/P07.geojson", PLAIN)),
    "gzip of a zip": gzip.compress(zipped(("P07.geojson", PLAIN))),
    "zip of a gzip": zipped(("P07.geojson.gz", gzip.compress(PLAIN))),
}


@pytest.mark.parametrize("name", PACKED)
def test_an_export_is_read_however_it_is_packed(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.geojson").write_bytes(PACKED[name])
    assert read_annotation(tmp_path / "a.geojson").regions[0].shape.area == 81
    assert carry(read_shapes(tmp_path / "a.geojson"), [[1, 0, 0], [0, 1, 0]]) == json.loads(PLAIN)


def encrypted() -> bytes:
    data = bytearray(zipped(("a.geojson", PLAIN)))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


DAMAGED = {
    "half a gzip": gzip.compress(PLAIN)[:40],
    "gzip with a wrong sum": gzip.compress(PLAIN)[:-8] + bytes(8),
    "half a zip": zipped(("a.geojson", PLAIN))[:40],
    "two files in a zip": zipped(("a.geojson", PLAIN), ("b.geojson", PLAIN)),
    "nothing in a zip": zipped(),
    "a rare compression": zipped(("a.geojson", PLAIN), how=zipfile.ZIP_BZIP2),
    "an encrypted zip": encrypted(),
    "many files in a zip": zipped(*((f"{at}.geojson", PLAIN) for at in range(1001))),
    "packed many times": gzip.compress(gzip.compress(gzip.compress(gzip.compress(PLAIN)))),
    "bzip2": bz2.compress(PLAIN),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_cannot_be_unpacked_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.geojson.gz").write_bytes(DAMAGED[name])
    with pytest.raises(AnnotationError, match=r"^a.geojson.gz: "):
        read_annotation(tmp_path / "a.geojson.gz")
    with pytest.raises(CarryError, match=r"^a.geojson.gz: "):
        read_shapes(tmp_path / "a.geojson.gz")


def test_damaged_archives_give_typed_errors_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    for good in (PACKED["gzip"], PACKED["zip"]):
        for at in range(len(good)):
            data = bytearray(good)
            data[at] ^= 0xFF
            path.write_bytes(data)
            try:
                read_annotation(path)
            except Her2EdgeError:
                continue


@pytest.mark.parametrize("kind", ["gzip", "zip"])
def test_a_bomb_is_refused_at_its_limit(tmp_path: Path, kind: str) -> None:
    much = bytes(LIMIT + (16 << 20))
    data = gzip.compress(much, 1) if kind == "gzip" else zipped(("a.geojson", much))
    del much
    (tmp_path / "a.zip").write_bytes(data)
    tracemalloc.start()
    with pytest.raises(AnnotationError, match=r"^a.zip: found more than 256 MiB when unpacked"):
        read_annotation(tmp_path / "a.zip")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * LIMIT


def slides(folder: Path, *names: str) -> list[Path]:
    return [folder / "slides" / name for name in names]


def exports(folder: Path, *names: str) -> Path:
    folder.joinpath("drawn").mkdir(exist_ok=True)
    for name in names:
        (folder / "drawn" / name).write_bytes(PLAIN)
    return folder / "drawn"


@pytest.mark.parametrize("slide", ["P07.svs", "P07.ome.tif"])
@pytest.mark.parametrize(
    "suffix", [".geojson", ".json", ".geojson.gz", ".json.gz", ".zip", ".geojson.zip", ".GeoJSON"]
)
def test_an_export_is_found_by_the_name_of_its_slide(tmp_path: Path, slide: str, suffix: str) -> None:
    for name in (slide, Path(slide).stem, "P07"):
        folder = exports(tmp_path, f"{name}{suffix}", f"other{suffix}")
        assert [path.name for path in find_exports(slides(tmp_path, slide), folder)] == [f"{name}{suffix}"]
        (folder / f"{name}{suffix}").unlink()
    with pytest.raises(MissingInputError, match=r"found no P07(\.ome)?\.geojson in the folder"):
        find_exports(slides(tmp_path, slide), folder)


def test_the_name_with_the_suffix_of_the_slide_goes_first(tmp_path: Path) -> None:
    folder = exports(tmp_path, "P07.geojson", "P07.svs.geojson", "P07.json")
    assert find_exports(slides(tmp_path, "P07.svs"), folder) == [folder / "P07.svs.geojson"]


def test_one_file_is_never_taken_for_two_slides(tmp_path: Path) -> None:
    folder = exports(tmp_path, "A.geojson")
    for names in (("A.svs", "A.tif"), ("A.svs", "A.ome.tif"), ("A.svs", "b.svs", "A.SVS")):
        with pytest.raises(
            OptionError, match=r"A\.geojson: found one annotation file for the slides A\.svs and A"
        ):
            find_exports(slides(tmp_path, *names), exports(tmp_path, "b.geojson"))
    exports(tmp_path, "A.svs.geojson")
    with pytest.raises(OptionError, match=r"name them A\.svs\.geojson and A\.tif\.geojson"):
        find_exports(slides(tmp_path, "A.svs", "A.tif"), folder)
    exports(tmp_path, "A.tif.geojson.gz")
    found = find_exports(slides(tmp_path, "A.tif", "A.svs"), folder)
    assert [path.name for path in found] == ["A.tif.geojson.gz", "A.svs.geojson"]


def test_a_slide_without_suffix_has_its_own_export(tmp_path: Path) -> None:
    folder = exports(tmp_path, "A.geojson")
    assert find_exports(slides(tmp_path, "A"), folder) == [folder / "A.geojson"]
    with pytest.raises(OptionError, match=r"one annotation file for the slides"):
        find_exports(slides(tmp_path, "A", "A.svs"), folder)


def test_two_exports_of_one_slide_are_refused_by_name(tmp_path: Path) -> None:
    folder = exports(tmp_path, "A.geojson", "A.geojson.gz")
    with pytest.raises(OptionError, match=r"A\.svs: found 2 annotation files, A\.geojson and A\.geojson\.gz"):
        find_exports(slides(tmp_path, "A.svs"), folder)


def test_names_are_the_same_in_either_form_of_unicode(tmp_path: Path) -> None:
    folder = exports(tmp_path, "Mu\u0308ller.geojson")
    assert len(find_exports(slides(tmp_path, "M\u00fcller.svs"), folder)) == 1


def test_deep_or_enormous_shapes_are_not_carried_but_refused() -> None:
    deep: object = {"type": "Point", "coordinates": [1, 2]}
    for _ in range(900):
        deep = {"type": "GeometryCollection", "geometries": [deep]}
    for shape in (
        deep,
        {"type": "Point", "coordinates": [10**400, 1]},
        {"type": "Point", "coordinates": deep},
    ):
        with pytest.raises(CarryError, match="export the objects"):
            carry(shape, [[1, 0, 0], [0, 1, 0]])
