"""Plain images to RGB pixels and back. Pillow both checks the size and decodes.

One parser, so that the size which was checked is the size which is decoded; and Pillow refuses a
truncated JPEG, where cv2.imdecode fills the missing part with grey and says nothing to its caller.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import cv2
import numpy as np

from her2edge.errors import Her2EdgeError, MissingInputError, SlideError, SlideReadError
from her2edge.extras import needs_extra
from her2edge.slide.colour import profile_name
from her2edge.slide.pixels import PixelForm, check_alpha, check_pages, image_form
from her2edge.slide.tiff import Page, read_pages
from her2edge.tile import Pixels

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"})
MAX_PIXELS = 64_000_000
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP")  # never Pillow's whole list: some start other programs
_TILE_WIDTH, _TILE_LENGTH, _ORIENTATION = 322, 323, 274  # TIFF tags
_TURNED_BACK = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # by Orientation: Image.Transpose that undoes it
_BAND = 256  # rows handed over at a time, so that the pixels exist once in Pillow and once here


@dataclass(frozen=True)
class Picture:
    """A decoded image: (h, w, 3) uint8 RGB; the colour profile's name, True for one without a name, False for
    none; what is to be said of how it is read, a line each."""

    pixels: Pixels
    icc_profile: str | bool
    notes: tuple[str, ...]


def read_image(path: str | os.PathLike[str]) -> Pixels:
    """Decode a PNG, JPEG, TIFF or BMP to (h, w, 3) uint8 RGB; alpha over white, but where it is 0 everywhere;
    Orientation and colour profile ignored; of several pages the first.

    Raises SlideError above 64 Mpx, for other than 8-bit colour, or where another page is larger than the
    first; SlideReadError where it cannot be decoded, MissingInputError where it is not there.
    """
    return read_picture(Path(path)).pixels


def read_picture(path: Path) -> Picture:
    """`read_image`, with the colour profile and notes beside the pixels.

    Raises as it.
    """
    try:
        with path.open("rb") as file:
            return _decode(file, path)
    except Her2EdgeError:  # an OSError too, that says all there is to say
        raise
    except FileNotFoundError as error:
        raise MissingInputError(f"{path.name}: no such file, expected an image: check the path") from error
    except OSError as error:
        raise _undecodable(error, path) from error


def decode_image(file: BinaryIO, path: Path) -> Pixels:
    """`read_image` of a file that is open; `path` is what errors name."""
    return _decode(file, path).pixels


def picture_size(path: Path) -> tuple[int, int] | None:
    """(width, height) in pixels as the head of a PNG, JPEG, TIFF or BMP states them; None for what is none.

    Far too many pixels are said as `MAX_PIXELS` in a row."""
    pillow = _import_pillow()
    try:
        with pillow.open(path, formats=_FORMATS) as image:
            return image.width, image.height
    except pillow.DecompressionBombError:
        return MAX_PIXELS, 1
    except Exception:  # noqa: BLE001 - a damaged head raises anything; who reads the picture says what
        return None


def _decode(file: BinaryIO, path: Path) -> Picture:
    pillow = _import_pillow()
    pages = read_pages(file)
    file.seek(0)
    try:
        with pillow.open(file, formats=_FORMATS) as image:
            form = _check_header(image, path.name, pages[0] if pages else None)
            notes = check_pages(pages, pages[0], (), path.name) if len(pages) > 1 else ()
            profile = profile_name(image.info.get("icc_profile") or b"")
            return Picture(_pixels(image, form, path.name), profile, notes)
    except Her2EdgeError:
        raise
    except pillow.UnidentifiedImageError as error:
        raise _undecodable(ValueError("no image of a known form"), path) from error
    except pillow.DecompressionBombError as error:
        raise SlideError(_too_large(path.name, "far more")) from error
    except Exception as error:
        raise _undecodable(error, path) from error


def _pixels(image: Any, form: PixelForm, name: str) -> Pixels:
    """(h, w, 3) uint8 RGB, band by band."""
    turned = _TURNED_BACK.get(getattr(image, "tag_v2", {}).get(_ORIENTATION, 1))
    image.load()
    if turned is not None:  # Pillow turns TIFFs, and no other format
        image = image.transpose(turned)
    highest = image.getchannel("A").getextrema()[1] if image.mode == "RGBA" else 255
    alpha = check_alpha(form.alpha, highest, name, "associated")
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, _BAND):
        band = image.crop((0, top, image.width, min(top + _BAND, image.height)))
        if alpha and image.mode == "RGB":
            band = band.convert("RGBA")  # the colour that stands for transparent
        out = np.asarray(band)
        pixels[top : top + _BAND] = over_white(out) if alpha else out[..., :3]
    return pixels


def _undecodable(error: Exception, path: Path) -> SlideReadError:
    return SlideReadError(
        f"{path.name}: cannot be decoded ({without_folder(error, path)}); expected a whole PNG, JPEG, TIFF "
        "or BMP of 8-bit RGB: copy or export the file again"
    )


def encode_png(pixels: Pixels) -> bytes:
    """(h, w, 3) uint8 RGB as a PNG file's bytes."""
    return bytes(cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1])


def over_white(pixels: Pixels) -> Pixels:
    """(h, w, 3) or (h, w, 4) uint8, alpha straight, to (h, w, 3) over white."""
    if pixels.shape[2] == 3:
        return pixels
    # Alpha is the high byte of a little-endian word: one vectorised minimum tells whether all is opaque.
    words = np.ascontiguousarray(pixels).view("<u4")
    colour = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGBA2RGB), np.uint8)
    if words.min() >= 0xFF000000:
        return colour
    alpha = pixels[..., 3:].astype(np.uint32)
    return ((colour * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def without_folder(error: BaseException, path: Path) -> str:
    """The message of a foreign error without the folder of the user's machine that `path` lies in."""
    text = str(error) or type(error).__name__
    for folder in {str(path.absolute().parent), str(path.parent)} - {".", "/"}:
        text = text.replace(f"{folder}/", "").replace(f"{folder}\\", "")
    return text


def _check_header(image: Any, name: str, page: Page | None) -> PixelForm:
    if image.width * image.height > MAX_PIXELS:
        raise SlideError(_too_large(name, f"{image.width} x {image.height}"))
    tags = getattr(image, "tag_v2", {})
    if int(tags.get(_TILE_WIDTH, 0)) * int(tags.get(_TILE_LENGTH, 0)) > MAX_PIXELS:
        raise SlideError(_too_large(name, "TIFF tiles of more"))
    form = image_form(image, page)
    colour = image.mode in {"RGB", "RGBA", "RGBX"}
    if form.bits > 8 or not colour:
        colours = f"{form.bits}-bit RGB" if colour else f"mode {image.mode}"
        raise SlideError(f"{name}: found an image of {colours}, expected 8-bit RGB or RGBA: convert it first")
    return form


def _too_large(name: str, size: str) -> str:
    return (
        f"{name}: found {size} pixels, expected at most 64 million in a plain image: "
        "save it as a tiled pyramid (e.g. `vips tiffsave --tile --pyramid`) or cut it into tiles"
    )


def _import_pillow() -> ModuleType:
    with needs_extra("slides"):
        from PIL import Image
    return Image
