"""Where a slide's pixels come from: OpenSlide (imported only here), or a plain image held in memory."""

from __future__ import annotations

import contextlib
import ctypes
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from her2edge.errors import RuntimeUnavailable, SlideError, SlideReadError
from her2edge.extras import needs_extra
from her2edge.slide.colour import MAX_PROFILE, profile_name
from her2edge.slide.dicom_required import check_dicom, check_largest, refuse_compression, refuse_incomplete
from her2edge.slide.dicom_source import WsidicomSource
from her2edge.slide.handle import SharedHandle
from her2edge.slide.images import IMAGE_SUFFIXES, MAX_PIXELS, over_white, read_picture, without_folder
from her2edge.slide.levels import Level, Size
from her2edge.slide.pixels import PixelForm, check_alpha
from her2edge.slide.stored import SCANNER_KEYS, VENDOR, look_inside, scanner_of
from her2edge.tile import Pixels

SLIDE_SUFFIXES = frozenset(
    {".svs", ".tif", ".tiff", ".ndpi", ".mrxs", ".scn", ".vms", ".vmu", ".bif", ".svslide", ".dcm"}
)
# What people read of them; docs/reference/slides.md has it too.
SLIDE_FORMATS = " ".join(sorted(SLIDE_SUFFIXES))
SUPPORTED = (
    "expected one of " + " ".join(sorted(SLIDE_SUFFIXES | IMAGE_SUFFIXES)) + ", or a folder of tile images"
)

# Of decoded tiles. No cache holds a row of a slide; for a tile's neighbours half of OpenSlide's is enough.
_CACHE_BYTES = 16 << 20
_HALF = 128  # of 8 bits; of a brightfield slide with all its bits in use some place lets more light through
_OPAQUE = 0xFF000000  # the least word of a pixel that lets nothing through
_LOOK, _PIECES = 256, 5  # pixels and number, on each side, of what is looked at where only pixels tell


class Source(Protocol):
    """A slide that can be read by region.

    levels:     finest first, level 0 has downsample 1.
    origin:     (x, y) of the slide's frame in level 0, pixels: the corner of the scanned part, which may lie
                outside of level 0.
    dimensions: (width, height) of the frame, level-0 pixels.
    mpp:        (x, y) um per pixel at level 0 as the file says; None where it says nothing trustworthy.
    scanner:    maker and model as the file says; None where it does not.
    icc_profile: the name of the colour profile in the file, True for one without a name, False for none.
    notes:      what is to be said of how the file is read, a line each.
    shared:     whether several threads may read at the same time, and `close` among them; else each needs one
                of its own.
    """

    shared: bool
    levels: tuple[Level, ...]
    origin: tuple[int, int]
    dimensions: tuple[int, int]
    mpp: tuple[float, float] | None
    scanner: str | None
    icc_profile: str | bool
    notes: tuple[str, ...]

    def read(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        """(height, width, 3) uint8 RGB of `level`, from (x, y) of the whole level 0 on.

        Raises SlideReadError where it cannot be decoded; the next read may succeed."""
        ...

    def close(self) -> None:
        """Give the file back."""
        ...


def open_source(path: Path) -> Source:
    """Open a file by its suffix, .tif first with OpenSlide and then as a plain image, .dcm first with
    OpenSlide and then with wsidicom."""
    suffix = path.suffix.lower()
    if suffix == ".dcm":
        return _open_dicom(path)
    if suffix in SLIDE_SUFFIXES:
        try:
            return OpenSlideSource(path)
        except _NotASlideError:
            if suffix not in IMAGE_SUFFIXES:
                raise
    if suffix in IMAGE_SUFFIXES:
        return ImageSource(path)
    raise SlideReadError(f"{path.name}: found neither a slide nor an image, {SUPPORTED}: name such a file")


def _open_dicom(path: Path) -> Source:
    """OpenSlide first, although wsidicom decodes faster (benchmarks/dicom.py): a tile's network takes ten
    times as long, and nothing interrupts C half-way."""
    try:
        return OpenSlideSource(path)
    except SlideReadError as error:
        files = check_dicom(path)  # again: what it refuses, no reader should try
        refuse_incomplete(files)
        refuse_compression(files)
        try:
            return WsidicomSource(path, files)
        except RuntimeUnavailable as missing:
            raise SlideReadError(f"{error}; to try the reader wsidicom: {missing}") from error


class _NotASlideError(SlideReadError):
    """OpenSlide does not know the format."""


class ImageSource:
    """A plain image, decoded at once; its um per pixel is never trusted."""

    shared = True

    def __init__(self, path: Path) -> None:
        picture = read_picture(path)
        self._pixels = picture.pixels
        height, width = self._pixels.shape[:2]
        self.levels: tuple[Level, ...] = (Level(width, height),)
        self.origin: tuple[int, int] = (0, 0)
        self.dimensions: tuple[int, int] = (width, height)
        self.mpp: tuple[float, float] | None = None
        self.scanner: str | None = None
        self.icc_profile, self.notes = picture.icc_profile, picture.notes

    def read(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        assert level == 0  # noqa: S101 - there is no other
        return self._pixels[y : y + height, x : x + width].copy()

    def close(self) -> None:
        self._pixels = np.empty((0, 0, 3), np.uint8)


class OpenSlideSource:
    """A slide behind OpenSlide, which is made for several threads on one handle.

    package: the module openslide, None: the one that is installed."""

    shared = True

    def __init__(self, path: Path, package: Any = None) -> None:
        self._path = path
        self._openslide = package or _import_openslide()
        self._raw: Any = getattr(getattr(self._openslide, "lowlevel", None), "_read_region", None)
        self._handle = SharedHandle(partial(_open, self._openslide, path), self._openslide.OpenSlideError)
        self._numbers: tuple[int, ...] = (0,)
        self._alpha = True
        self._files = check_dicom(path) if path.suffix.lower() == ".dcm" else []
        try:
            self._read_header()
        except BaseException:
            self.close()
            raise

    def _read_header(self) -> None:
        try:
            sizes, downsamples, properties = self._handle.use(_header)
        except self._openslide.OpenSlideUnsupportedFormatError as error:
            raise _NotASlideError(
                f"{self._path.name}: found no slide format in the file, {SUPPORTED}: it may be cut off, "
                "copy it again"
            ) from error
        except self._openslide.OpenSlideError as error:
            raise SlideReadError(
                f"{self._path.name}: cannot be opened ({without_folder(error, self._path)}), {SUPPORTED}: "
                "it may be cut off, copy it again"
            ) from error
        if any(min(size) < 1 for size in sizes) or not all(number >= 1 for number in downsamples):
            raise SlideReadError(f"{self._path.name}: found a level without pixels: export the file again")
        check_largest(self._path, self._files, sizes[0])
        _check_native_tiles(properties, len(sizes), self._path.name)
        stored = look_inside(self._path, properties.get(VENDOR, ""), sizes, downsamples)
        self._numbers, self.levels, self.notes = (
            tuple(stored.levels),
            tuple(stored.levels.values()),
            stored.notes,
        )
        self.scanner, self.icc_profile = scanner_of(properties), self._profile(properties)
        if stored.form is not None:
            self._check_pixels(stored.form)
        self.origin, self.dimensions = _bounds(properties, self.levels[0])
        scales = (_number(properties, "openslide.mpp-x"), _number(properties, "openslide.mpp-y"))
        self.mpp = None if any(map(math.isnan, scales)) else scales

    def _profile(self, properties: dict[str, str]) -> str | bool:
        size = _number(properties, "openslide.icc-size")
        if not size <= MAX_PROFILE:  # NaN where none is stated
            return size > 0
        try:
            read_profile = self._openslide.lowlevel.read_icc_profile
            return profile_name(self._handle.use(lambda slide: bytes(read_profile(slide._osr))))
        except (AttributeError, TypeError, self._openslide.OpenSlideError):
            self.close()  # the error would answer every read
            return True

    def _check_pixels(self, form: PixelForm) -> None:
        """Decide whether alpha is one, and refuse what only the pixels tell."""
        if form.alpha == "none" and form.bits == 8:
            return
        brightest, most_opaque = self._highest()
        if form.alpha != "none":
            self._alpha = check_alpha(form.alpha, most_opaque, self._path.name, "straight")
        if form.bits > 8 and brightest < _HALF:
            raise SlideError(
                f"{self._path.name}: found {form.bits}-bit RGB of which the upper bits are not used, "
                "expected 8-bit RGB: convert it first"
            )

    def _highest(self) -> tuple[int, int]:
        """The highest colour and alpha, 0..255, of the smallest level, of parts of it where that is large;
        255 where nothing can be read."""
        level = self.levels[-1]
        sides = [_parts(side) for side in (level.width, level.height)]
        highest = []
        for x, width in sides[0]:
            for y, height in sides[1]:
                place = (round(x * level.stated), round(y * level.stated))
                with contextlib.suppress(SlideReadError):
                    part = self._stored(len(self.levels) - 1, *place, width, height)
                    highest.append((int(part[..., :3].max()), int(part[..., 3].max())))
        colours, alphas = zip(*highest, strict=True) if highest else ((255,), (255,))
        return max(colours), max(alphas)

    def read(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        if self._raw is not None or not self._alpha:  # without the binding's image: 8 bytes a pixel less
            argb = self._region(level, x, y, width, height, self._as_stored)
            if not self._alpha or argb.min() >= _OPAQUE:
                return np.asarray(cv2.cvtColor(_bytes_of(argb), cv2.COLOR_BGRA2RGB), np.uint8)
        return over_white(self._region(level, x, y, width, height, self._as_rgba))

    def _stored(self, level: int, x: int, y: int, width: int, height: int) -> Pixels:
        """(height, width, 4) uint8 BGRA, colours as the decoder gives them, whatever the alpha."""
        return _bytes_of(self._region(level, x, y, width, height, self._as_stored))

    def _region(
        self, level: int, x: int, y: int, width: int, height: int, way: Callable[..., NDArray[Any]]
    ) -> NDArray[Any]:
        number = self._numbers[level]
        try:
            return self._handle.use(lambda slide: way(slide, x, y, number, width, height))
        except self._openslide.OpenSlideError as error:
            raise SlideReadError(
                f"{self._path.name}: region at ({x}, {y}), level {number} cannot be read "
                f"({without_folder(error, self._path)})"
            ) from error

    def _as_rgba(self, slide: Any, x: int, y: int, number: int, width: int, height: int) -> Pixels:
        return np.asarray(slide.read_region((x, y), number, (width, height)))

    def _as_stored(
        self, slide: Any, x: int, y: int, number: int, width: int, height: int
    ) -> NDArray[np.uint32]:
        """(height, width) words, alpha in the high byte, then R, G, B.

        Without the division by alpha with which the binding makes an image, and loses colours."""
        words = (ctypes.c_uint32 * (width * height))()
        try:
            self._raw(slide._osr, words, x, y, number, width, height)
        except (AttributeError, TypeError, ctypes.ArgumentError) as error:
            raise SlideError(
                f"{self._path.name}: found samples beside RGB, which this openslide-python hides: save the "
                "slide as 8-bit RGB"
            ) from error
        return np.ctypeslib.as_array(words).reshape(height, width)

    def close(self) -> None:
        self._handle.close()


def _bytes_of(argb: NDArray[np.uint32]) -> Pixels:
    """(h, w) words to (h, w, 4) uint8 BGRA, as little-endian machines have them in memory."""
    return argb.astype("<u4", copy=False).view(np.uint8).reshape(*argb.shape, 4)


def _open(openslide: Any, path: Path) -> Any:
    slide = openslide.OpenSlide(path)
    slide.set_cache(openslide.OpenSlideCache(_CACHE_BYTES))
    return slide


def _header(slide: Any) -> tuple[Sequence[Size], Sequence[float], dict[str, str]]:
    """Sizes and downsamples of the levels, and the properties that are known."""
    sizes = slide.level_dimensions
    return sizes, slide.level_downsamples, _known_properties(slide, len(sizes))


def _known_properties(slide: Any, levels: int) -> dict[str, str]:
    """Asked for one by one: iterating fails where a damaged file has a key that is not UTF-8."""
    keys = [
        f"openslide.level[{level}].tile-{side}" for level in range(levels) for side in ("width", "height")
    ]
    keys += [f"openslide.bounds-{side}" for side in ("x", "y", "width", "height")]
    keys += ["openslide.mpp-x", "openslide.mpp-y", "openslide.icc-size", *SCANNER_KEYS]
    known = {}
    for key in keys:
        with contextlib.suppress(UnicodeDecodeError):
            known[key] = slide.properties.get(key)
    return {key: value for key, value in known.items() if value is not None}


def _number(properties: dict[str, str], key: str) -> float:
    """A property as a finite number above 0, else NaN."""
    try:
        value = float(properties[key])
    except (KeyError, ValueError):
        return math.nan
    return value if 0 < value < math.inf else math.nan


def _bounds(properties: dict[str, str], full: Level) -> tuple[tuple[int, int], tuple[int, int]]:
    """((x, y), (width, height)) of the scanned part, level-0 pixels; the whole level where none is stated.

    As QuPath's OpenslideImageServer has it: the four numbers as they are, also where they lead outside of
    level 0. A rectangle that has nothing of level 0, or lies far outside, is an error of the file."""
    try:
        x, y, width, height = (
            int(properties[f"openslide.bounds-{key}"]) for key in ("x", "y", "width", "height")
        )
    except (KeyError, ValueError):
        return (0, 0), (full.width, full.height)
    for start, length, side in ((x, width, full.width), (y, height, full.height)):
        if length < 1 or not (-side < start < side and 0 < start + length < 2 * side):
            return (0, 0), (full.width, full.height)
    return (x, y), (width, height)


def _parts(side: int) -> list[tuple[int, int]]:
    """(start, length) of what is looked at of a side: all of it, or pieces at even distances."""
    if side <= _LOOK * _PIECES:
        return [(0, side)]
    return [(n * (side - _LOOK) // (_PIECES - 1), _LOOK) for n in range(_PIECES)]


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
