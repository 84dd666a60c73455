"""Formats of several files: they are one slide, whole when all of them are, another when one of them is."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from shared_data import SHARED, needs

from her2edge.slide import fingerprint_slide, slides_in
from her2edge.slide.dicom import series_of
from her2edge.slide.parts import slide_files
from her2edge.watch.inbox import Inbox

DICOM = SHARED / "wsi" / "small-vl-wsi.dcm"
UNDEFINED = struct.pack("<I", 0xFFFFFFFF)


def element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
    """Explicit VR, little-endian."""
    return struct.pack("<HH2sH", group, number, kind, len(value)) + value


def item(number: int, length: bytes = b"\0\0\0\0") -> bytes:
    return struct.pack("<HH", 0xFFFE, number) + length


def dicom(series: bytes, pixels: bytes = b"") -> bytes:
    """As a scanner writes it: before its own series it refers to another one, in sequences in sequences."""
    other = element(0x0020, 0x000E, b"UI", b"9.9.9\0")
    deeper = struct.pack("<HH2sH", 0x0008, 0x1199, b"SQ", 0) + UNDEFINED
    deeper += item(0xE000, struct.pack("<I", len(other))) + other + item(0xE0DD)
    outer = struct.pack("<HH2sH", 0x0008, 0x1115, b"SQ", 0) + UNDEFINED
    outer += item(0xE000, UNDEFINED) + deeper + other + item(0xE00D) + item(0xE0DD)
    known = struct.pack("<HH2sHI", 0x0008, 0x2218, b"SQ", 0, 8) + item(0xE000)
    own = element(0x0020, 0x000D, b"UI", b"5.5\0") + element(0x0020, 0x000E, b"UI", series)
    return b"\0" * 128 + b"DICM" + element(2, 0x10, b"UI", b"1.2\0") + outer + known + own + pixels


@needs(DICOM)
def test_the_series_of_a_real_file_is_read() -> None:
    assert series_of(DICOM) == "1.2.826.0.1.3680043.8.498.859956824875581540195623656735145902693"


def test_a_series_is_the_files_own_and_not_one_it_refers_to(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom(b"1.2.3\0"))
    assert series_of(path) == "1.2.3"
    path.write_bytes(dicom(b"1.2.34"))  # written again
    assert series_of(path) == "1.2.34"


def test_what_is_cut_off_or_no_dicom_has_none(tmp_path: Path) -> None:
    whole = dicom(b"1.2.3\0")
    for end in range(0, len(whole) - 6, 3):
        path = tmp_path / f"{end}.dcm"
        path.write_bytes(whole[:end])
        assert series_of(path) is None
    assert series_of(tmp_path / "none.dcm") is None


def test_the_files_of_a_dicom_series_are_one_slide(tmp_path: Path) -> None:
    for name, series in (("b.dcm", b"1\0"), ("a.dcm", b"1\0"), ("c.dcm", b"2\0"), ("d.dcm", b"1\0")):
        (tmp_path / name).write_bytes(dicom(series, name.encode()))
    (tmp_path / "e.dcm").write_bytes(b"no DICOM")
    (tmp_path / "f.dcm").write_bytes(b"nor this")
    box = Inbox(tmp_path, 0)
    assert [slide.path.name for slide in box.arrived()] == ["a.dcm", "c.dcm", "e.dcm", "f.dcm"]
    before = {name: fingerprint_slide(tmp_path / name) for name in ("a.dcm", "b.dcm", "c.dcm")}
    assert before["a.dcm"] == before["b.dcm"] != before["c.dcm"]
    seen = box.seen
    (tmp_path / "d.dcm").write_bytes(dicom(b"1\0", b"more of it"))
    assert {slide.path.name for slide in set(box.arrived()) - seen} == {"a.dcm"}
    assert fingerprint_slide(tmp_path / "a.dcm") != before["a.dcm"]
    assert fingerprint_slide(tmp_path / "c.dcm") == before["c.dcm"]


@pytest.mark.parametrize("suffix", [".vms", ".vmu"])
def test_a_hamamatsu_index_counts_with_the_images_it_names(tmp_path: Path, suffix: str) -> None:
    for name in ("a.jpg", "a(0,1).jpg", "other.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    index = tmp_path / f"slide{suffix}"
    index.write_text(
        "[Slide]\nImageFile=a.jpg\nImageFile(0,1)=a(0,1).jpg\nMapFile=../other.jpg\nNoLayers=1\n"
    )
    assert [file.name for file in slide_files(index)] == [index.name, "a(0,1).jpg", "a.jpg"]
    box = Inbox(tmp_path, 0)
    (before,) = box.arrived()
    fingerprint = fingerprint_slide(index)
    with (tmp_path / "a.jpg").open("ab") as file:
        file.write(b"is still copied")
    (after,) = box.arrived()
    assert (before.path, after.path) == (index, index)
    assert before != after
    assert fingerprint_slide(index) != fingerprint


def test_links_that_lead_nowhere_and_names_that_are_hidden_are_no_slides(tmp_path: Path) -> None:
    try:
        (tmp_path / "gone.svs").symlink_to(tmp_path / "nothing")
        (tmp_path / "gone.vms").symlink_to(tmp_path / "nothing")
    except OSError:
        pytest.skip("links need rights here")
    (tmp_path / ".a.dcm").write_bytes(dicom(b"1\0"))
    assert [path.name for path, _ in slides_in(tmp_path, ["gone.svs", "gone.vms", ".a.dcm"])] == ["gone.svs"]
    assert Inbox(tmp_path, 0).arrived() == []
