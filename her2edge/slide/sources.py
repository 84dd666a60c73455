"""Where a slide's pixels come from: OpenSlide (imported only here), or a plain image held in memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from her2edge.errors import SlideError, SlideReadError
from her2edge.extras import needs_extra
from her2edge.slide.images import IMAGE_SUFFIXES, MAX_PIXELS, over_white, read_image, without_folder
from her2edge.tile import Pixels

SLIDE_SUFFIXES = frozenset(
    {".svs", ".tif", ".tiff", ".ndpi", ".mrxs", ".scn", ".vms", ".vmu", ".bif", ".svslide", ".dcm"}
)
SUPPORTED = "supported: " + " ".join(sorted(SLIDE_SUFFIXES | IMAGE_SUFFIXES)) + ", or a folder of tile images"

# Of decoded tiles. No cache holds a row of a slide; for a tile's neighbours half of OpenSlide's is enough.
_CACHE_BYTES = 16 << 20


@dataclass(frozen=True)
class Level:
    """One resolution of a slide; pixel i covers [i * downsample, (i + 1) * downsample) at level 0."""

    width: int
    height: int
    downsample: float


class Source(Protocol):
    """A slide that can be read by region.

    levels:     finest first, level 0 has downsample 1.
    origin:     (x, y) of the slide's frame in level 0, pixels: the corner of the scanned part.
    dimensions: (width, height) of the frame, level-0 pixels.
    mpp:        (x, y) um per pixel at level 0 as the file says; None where it says nothing trustworthy.
    """

    levels: tuple[Level, ...]
    origin: tuple[int, int]
    dimensions: tuple[int, int]
    mpp: tuple[float, float] | None

    def read(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        """(height, width, 3) uint8 RGB of `level`, from (x, y) of the whole level 0 on.

        Raises SlideReadError where it cannot be decoded; the next read may succeed."""
        ...

    def close(self) -> None:
        """Give the file back."""
        ...


def open_source(path: Path) -> Source:
    """Open a file by its suffix, .tif first with OpenSlide and then as a plain image."""
    suffix = path.suffix.lower()
    if suffix in SLIDE_SUFFIXES:
        try:
            return OpenSlideSource(path)
        except _NotASlideError:
            if suffix not in IMAGE_SUFFIXES:
                raise
    if suffix in IMAGE_SUFFIXES:
        return ImageSource(path)
    raise SlideReadError(f"{path.name}: found a file that is neither slide nor image; {SUPPORTED}")


class _NotASlideError(SlideReadError):
    """OpenSlide does not know the format."""


class ImageSource:
    """A plain image, decoded at once; its um per pixel is never trusted."""

    def __init__(self, path: Path) -> None:
        self._pixels = read_image(path)
        height, width = self._pixels.shape[:2]
        self.levels: tuple[Level, ...] = (Level(width, height, 1.0),)
        self.origin: tuple[int, int] = (0, 0)
        self.dimensions: tuple[int, int] = (width, height)
        self.mpp: tuple[float, float] | None = None

    def read(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        assert level == 0  # noqa: S101 - there is no other
        return self._pixels[y : y + height, x : x + width].copy()

    def close(self) -> None:
        self._pixels = np.empty((0, 0, 3), np.uint8)


class OpenSlideSource:
    """A slide behind OpenSlide. After an error the handle is dropped and the next read opens a new one,
    because OpenSlide answers everything on a handle with its first error.

    package: the module openslide, None: the one that is installed."""

    def __init__(self, path: Path, package: Any = None) -> None:
        self._path = path
        self._openslide = package or _import_openslide()
        self._handle: Any = None
        try:
            self._read_header()
        except BaseException:
            self.close()
            raise

    def _read_header(self) -> None:
        try:
            self._open()
            sizes = self._handle.level_dimensions
            downsamples = self._handle.level_downsamples
            properties = self._known_properties(len(sizes))
        except self._openslide.OpenSlideUnsupportedFormatError as error:
            raise _NotASlideError(
                f"{self._path.name}: found no slide format in the file, it may be truncated; {SUPPORTED}"
            ) from error
        except self._openslide.OpenSlideError as error:
            raise SlideReadError(
                f"{self._path.name}: cannot be opened ({without_folder(error, self._path)}); {SUPPORTED}"
            ) from error
        self.levels = tuple(
            Level(width, height, float(downsample))
            for (width, height), downsample in zip(sizes, downsamples, strict=True)
        )
        if any(min(level.width, level.height) < 1 or not level.downsample >= 1 for level in self.levels):
            raise SlideReadError(f"{self._path.name}: found a level without pixels: export the file again")
        _check_native_tiles(properties, len(self.levels), self._path.name)
        self.origin, self.dimensions = _bounds(properties, self.levels[0])
        scales = (_number(properties, "openslide.mpp-x"), _number(properties, "openslide.mpp-y"))
        self.mpp = None if any(map(math.isnan, scales)) else scales

    def _open(self) -> None:
        self._handle = self._openslide.OpenSlide(self._path)
        self._handle.set_cache(self._openslide.OpenSlideCache(_CACHE_BYTES))

    def _known_properties(self, levels: int) -> dict[str, str]:
        """Asked for one by one: iterating fails where a damaged file has a key that is not UTF-8."""
        keys = [
            f"openslide.level[{level}].tile-{side}" for level in range(levels) for side in ("width", "height")
        ]
        keys += [f"openslide.bounds-{side}" for side in ("x", "y", "width", "height")]
        keys += ["openslide.mpp-x", "openslide.mpp-y"]
        values = ((key, self._handle.properties.get(key)) for key in keys)
        return {key: value for key, value in values if value is not None}

    def read(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        try:
            if self._handle is None:
                self._open()
            handle: Any = self._handle
            region = np.asarray(handle.read_region((x, y), level, (width, height)))
        except self._openslide.OpenSlideError as error:
            self.close()
            raise SlideReadError(
                f"{self._path.name}: region at ({x}, {y}), level {level} cannot be read "
                f"({without_folder(error, self._path)})"
            ) from error
        return over_white(region)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.close()
        self._handle = None


def _number(properties: dict[str, str], key: str) -> float:
    """A property as a finite number above 0, else NaN."""
    try:
        value = float(properties[key])
    except (KeyError, ValueError):
        return math.nan
    return value if 0 < value < math.inf else math.nan


def _bounds(properties: dict[str, str], full: Level) -> tuple[tuple[int, int], tuple[int, int]]:
    """((x, y), (width, height)) of the scanned part, level-0 pixels; the whole level where none is stated."""
    try:
        x, y, width, height = (
            int(properties[f"openslide.bounds-{key}"]) for key in ("x", "y", "width", "height")
        )
    except (KeyError, ValueError):
        return (0, 0), (full.width, full.height)
    left, top = max(0, x), max(0, y)
    right, bottom = min(full.width, x + width), min(full.height, y + height)
    if right <= left or bottom <= top:
        return (0, 0), (full.width, full.height)
    return (left, top), (right - left, bottom - top)


def _check_native_tiles(properties: dict[str, str], levels: int, name: str) -> None:
    """A forged header may state tiles of gigabytes, which OpenSlide would allocate at the first read."""
    for level in range(levels):
        width, height = (
            _number(properties, f"openslide.level[{level}].tile-{side}") for side in ("width", "height")
        )
        if width * height > MAX_PIXELS:
            raise SlideError(
                f"{name}: found stored tiles of {width:.0f} x {height:.0f} pixels, expected at most "
                "64 million pixels each: save it again with small tiles (256 or 512)"
            )


def _import_openslide() -> ModuleType:
    with needs_extra("slides"):
        import openslide
    return openslide
