"""What a file says of itself, its scale, scanner and colour profile: noted, or warned of."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiffs
from PIL import Image, ImageCms

from her2edge.slide import SlideReader
from her2edge.slide.colour import profile_name
from her2edge.slide.stored import scanner_of

P = tiffs.picture()
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def warnings_of(caplog: pytest.LogCaptureFixture, path: Path, mpp: float | None = None) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING, "her2edge"), SlideReader(path, mpp=mpp):
        pass
    return [record.getMessage() for record in caplog.records]


def at(path: Path, mpp: float) -> Path:
    return tiffs.write(path, P, resolution=(1e4 / mpp, 1e4 / mpp))


def test_a_given_scale_that_differs_from_the_files_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = at(tmp_path / "a.tif", 0.25)
    (message,) = warnings_of(caplog, path, 0.5)
    assert message.startswith("a.tif: found 0.25 um per pixel in the file and 0.5 given with --mpp (mpp=)")
    assert warnings_of(caplog, path, 0.26) == warnings_of(caplog, path) == []
    (message,) = warnings_of(caplog, path, 0.237)
    assert "0.25 um per pixel in the file and 0.237 given" in message
    assert warnings_of(caplog, at(tmp_path / "dpi.tif", 352.8), 0.5) == []


def test_a_scale_finer_than_any_scanners_is_warned_of_and_what_it_may_be(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (message,) = warnings_of(caplog, at(tmp_path / "a.tif", 0.25 / 2.54))
    assert "found 0.09843 um per pixel, finer than a scanner gives: it is 0.25 if inches" in message
    assert warnings_of(caplog, at(tmp_path / "b.tif", 0.11)) == []


@pytest.mark.parametrize("isolate", [False, True])
def test_a_colour_profile_is_noted_and_not_applied(tmp_path: Path, isolate: bool) -> None:
    name = "sRGB built-in"
    paths = [
        tiffs.write(tmp_path / "tiled.tif", P, iccprofile=SRGB),
        tiffs.write(tmp_path / "strips.tif", P, iccprofile=SRGB, tile=None),
        tmp_path / "a.png",
        tmp_path / "a.jpg",
    ]
    for path in paths[2:]:
        Image.fromarray(P).save(path, icc_profile=SRGB)
    for path in paths:
        with SlideReader(path, mpp=0.25, isolate=isolate) as slide:
            assert (path.name, slide.icc_profile) == (path.name, name)
    with SlideReader(tiffs.write(tmp_path / "b.tif", P), isolate=isolate) as slide:
        assert slide.icc_profile is False
    with SlideReader(tmp_path, isolate=isolate) as folder:
        assert (folder.icc_profile, folder.scanner) == (None, None)


def test_the_name_of_a_profile_is_read_whatever_its_version_and_damage() -> None:
    old = b"\0" * 128 + (1).to_bytes(4, "big") + b"desc" + (144).to_bytes(4, "big") + (40).to_bytes(4, "big")
    old += b"desc\0\0\0\0" + (13).to_bytes(4, "big") + b"ScanScope v1\0"
    assert profile_name(old) == "ScanScope v1"
    assert profile_name(b"") is False
    assert profile_name(b"no profile") is True
    random = np.random.default_rng(4)
    for profile in (old, SRGB):
        for _ in range(2000):
            mutant = bytearray(profile)
            for place in random.integers(0, min(len(mutant), 300), 3):
                mutant[place] = random.integers(0, 256)
            name = profile_name(bytes(mutant[: random.integers(1, len(mutant))]))
            assert name is True or (isinstance(name, str) and name.isprintable() and len(name) <= 80)


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"openslide.vendor": "aperio", "aperio.ScanScope ID": "SS1302"}, "aperio SS1302"),
        ({"openslide.vendor": "aperio"}, "aperio"),
        ({"openslide.vendor": "mirax"}, "mirax"),
        (
            {"openslide.vendor": "hamamatsu", "tiff.Make": "Hamamatsu", "tiff.Model": "C9600-12"},
            "Hamamatsu C9600-12",
        ),
        ({"openslide.vendor": "dicom", "dicom.Manufacturer": "Leica"}, "Leica"),
        ({"openslide.vendor": "generic-tiff"}, None),
        ({"openslide.vendor": "generic-tiff", "tiff.Make": "A\nB\x1b"}, "A B?"),
        ({}, None),
    ],
)
def test_the_scanner_is_maker_and_model_as_stated(properties: dict[str, str], expected: str | None) -> None:
    assert scanner_of(properties) == expected


def test_a_tiff_that_names_its_maker_says_so(tmp_path: Path) -> None:
    tags: list[Any] = [(271, "s", 0, "Maker", True), (272, "s", 0, "S 60", True)]
    with SlideReader(tiffs.write(tmp_path / "a.tif", P, extratags=tags)) as slide:
        assert slide.scanner == "Maker S 60"
    with SlideReader(tiffs.write(tmp_path / "b.tif", P)) as slide:
        assert slide.scanner is None
