"""Slides in DICOM that OpenSlide refuses, read by wsidicom (imported only here).

wsidicom is Python: an error, or an interrupt at any line, may leave it half-way. Its object is dropped then,
and the next read opens a new one.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from her2edge.errors import SlideError, SlideReadError
from her2edge.extras import needs_extra
from her2edge.files import foreign
from her2edge.slide.colour import profile_name
from her2edge.slide.dicom import head_of
from her2edge.slide.dicom_required import check_largest, stored_profile
from her2edge.slide.images import MAX_PIXELS, without_folder
from her2edge.slide.levels import Level, Size, plan_levels
from her2edge.slide.stored import scanner_of
from her2edge.tile import Pixels

_DECODED, _ENCODED = 16 << 20, 1 << 20  # bytes of its two caches; see sources
_EXPECTED = "a whole-slide image that OpenSlide or wsidicom reads: copy it again, or convert it to JPEG tiles"


class WsidicomSource:
    """A `Source` behind wsidicom. files: all of the slide. package: the module, None: the one installed.

    Raises RuntimeUnavailable without the extra `dicom`, SlideReadError where wsidicom refuses, SlideError for
    pixels that are no 8-bit RGB."""

    shared = False  # what ends a read drops the object, and opening it sets Python's filter of warnings

    def __init__(self, path: Path, files: list[Path], package: Any = None) -> None:
        self._path, self._files = path, files
        self._wsidicom = package or _import_wsidicom()
        self._slide: Any = None
        self._numbers: tuple[int, ...] = (0,)
        try:
            self._read_header()
        except BaseException:
            self.close()
            raise

    def _read_header(self) -> None:
        with self._reading("", quiet=True):
            self._open()
            stored = list(self._slide.levels)
            sizes = [(level.size.width, level.size.height) for level in stored]
            numbers = [int(level.level) for level in stored]
            scale = stored[0].default_instance.mpp
            tiles = [level.default_instance.tile_size for level in stored]
            planes, paths = len(stored[0].focal_planes), len(stored[0].optical_paths)
        check_largest(self._path, self._files, sizes[0])
        largest = max(tile.width * tile.height for tile in tiles)
        if largest > MAX_PIXELS:
            raise SlideError(
                f"{self._path.name}: found stored tiles of {largest} pixels, expected at most 64 million "
                "pixels each: save it again with small tiles (256 or 512)"
            )
        levels = plan_levels(sizes, [_stated(sizes[0], size) for size in sizes])
        self._numbers = tuple(numbers[index] for index in levels)
        self.levels: tuple[Level, ...] = tuple(levels.values())
        self.origin: tuple[int, int] = (0, 0)
        self.dimensions: tuple[int, int] = sizes[0]
        self.mpp: tuple[float, float] | None = None if scale is None else (scale.width, scale.height)
        self.notes: tuple[str, ...] = tuple(_notes(planes, paths))
        full = max(self._files, key=lambda file: head_of(file).size)
        head = head_of(full)
        self.scanner = scanner_of(
            {"dicom.Manufacturer": head.maker, "dicom.ManufacturerModelName": head.model}
        )
        self.icc_profile: str | bool = profile_name(stored_profile(full))

    def _opened(self) -> Any:
        """The slide, opened anew where an error closed it."""
        if self._slide is None:
            self._open()
        return self._slide

    def _open(self) -> None:
        settings = self._wsidicom.Settings(
            strict_tile_size_check=False, decoded_frame_cache_size=_DECODED, encoded_frame_cache_size=_ENCODED
        )
        self._slide = self._wsidicom.WsiDicom.open(self._files, settings=settings)

    def read(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        """As `Source.read`; what lies outside of the level is white."""
        one, number = self.levels[level], self._numbers[level]
        left, top = round(x / one.stated), round(y / one.stated)
        x0, y0, x1, y1 = (
            max(left, 0),
            max(top, 0),
            min(left + width, one.width),
            min(top + height, one.height),
        )
        out = np.full((height, width, 3), 255, np.uint8)
        if x1 <= x0 or y1 <= y0:
            return out
        with self._reading(f": region at ({x}, {y}), level {number}", quiet=self._slide is None):
            pixels = self._opened().read_region((x0, y0), number, (x1 - x0, y1 - y0), as_array=True)
        if pixels.dtype != np.uint8 or pixels.shape != (y1 - y0, x1 - x0, 3):
            raise SlideError(
                f"{self._path.name}: found pixels of {pixels.dtype} in the shape {pixels.shape}, expected "
                "8-bit RGB: convert it first"
            )
        out[y0 - top : y1 - top, x0 - left : x1 - left] = pixels
        return out

    @contextlib.contextmanager
    def _reading(self, part: str, *, quiet: bool) -> Iterator[None]:
        """Whatever goes wrong in the block is a SlideReadError; the next read opens the slide anew.

        quiet: without pydicom's warnings, which quote values: a patient's among them."""
        try:
            with (
                foreign(f"{self._path.name}{part}", _EXPECTED, SlideReadError),
                contextlib.ExitStack() as kept,
            ):
                if quiet:
                    kept.enter_context(warnings.catch_warnings())
                    warnings.simplefilter("ignore")
                yield
        except SlideReadError as error:
            self.close()
            raise SlideReadError(without_folder(error, self._path)) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the files back; the next read opens them again."""
        slide, self._slide = self._slide, None
        if slide is not None:
            with contextlib.suppress(Exception):
                slide.close()


def _stated(full: Size, size: Size) -> float:
    """The downsample of a level, as OpenSlide has it."""
    return (full[0] / size[0] + full[1] / size[1]) / 2


def _notes(planes: int, paths: int) -> Iterator[str]:
    if planes > 1:
        yield f"found {planes} focal planes, and reads the one in the middle"
    if paths > 1:
        yield f"found {paths} optical paths, and reads the first one only"


def _import_wsidicom() -> Any:
    with needs_extra("dicom"):
        import wsidicom
    for package in ("wsidicom", "pydicom"):  # else Python prints what they log, with paths and values
        logger = logging.getLogger(package)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
    return wsidicom
