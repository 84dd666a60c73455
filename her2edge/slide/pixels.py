"""What the pixels of a file are: asked in one way of plain images, TIFFs behind OpenSlide, and DICOM.

Nothing here decodes. What no model can be fed with is refused by name: fewer than three colours, more than 8
bits where only a part of them is used, pixels that the decoder would turn in their place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from her2edge.errors import SlideError
from her2edge.slide.dicom import Head
from her2edge.slide.tiff import Page

Alpha = Literal["none", "unsaid", "associated", "straight"]

_GREY = {0: "white is zero", 1: "black is zero", 4: "a mask"}  # PhotometricInterpretation of one channel
_RGB, _YCBCR = 2, 6
_JPEG, _APERIO_J2K = 7, {33003, 33005}  # what OpenSlide decodes itself, and then as it is stored
_AS_STORED = {1, 5}  # libtiff turns tiles for the others; for 5 only if asked to transpose
_GREY_MODES = {"1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"}


@dataclass(frozen=True)
class PixelForm:
    """The pixels as they are stored.

    bits:     per sample.
    channels: colours per pixel: 1 grey, 3 RGB or what is turned into it.
    alpha:    what the sample behind the colours is: "none" there, "unsaid" what it is (then it is none),
              "associated" (colours are multiplied with it) or "straight".
    known:    False where numbers are signed or floats.
    turned:   whether the decoder would turn each stored tile in its place.
    """

    bits: int = 8
    channels: int = 3
    alpha: Alpha = "none"
    known: bool = True
    turned: bool = False


def tiff_form(page: Page, vendor: str = "") -> PixelForm:
    """Of a page that OpenSlide reads."""
    deepest = max(page.bits)
    form = PixelForm(
        bits=deepest if len(set(page.bits)) == 1 else max(deepest, 9),
        channels=1 if page.photometric in _GREY else 3,
        known=set(page.formats) <= {1, 4},
        turned=page.orientation not in _AS_STORED and 2 <= page.orientation <= 8,
    )
    if page.photometric == _RGB and page.samples > 3:
        kinds: dict[int, Alpha] = {1: "associated", 2: "straight"}
        form = replace(form, alpha=kinds.get(page.extra[0], "unsaid") if page.extra else "unsaid")
    if _decoded_by_openslide(page, vendor):
        form = replace(form, turned=False)
    return form


def _decoded_by_openslide(page: Page, vendor: str) -> bool:
    if page.compression in _APERIO_J2K:
        return vendor == "aperio"
    plain = page.planar == 1 and set(page.bits) == {8} and page.samples == 3
    return page.compression == _JPEG and plain and page.photometric in (_RGB, _YCBCR)


def image_form(image: Any, page: Page | None = None) -> PixelForm:
    """Of an image that Pillow has opened; `page` is that of a TIFF."""
    deep = (
        ";16" in str(image.tile) + image.mode
    )  # Pillow would cut 16-bit RGB to its high byte without a word
    form = PixelForm(bits=16 if deep else 8, channels=1 if image.mode in _GREY_MODES else 3)
    if "transparency" in image.info:  # of a PNG: one colour of RGB
        return replace(form, alpha="straight")
    if image.mode == "RGBX" or (page is not None and image.mode == "RGBA" and not page.extra):
        return replace(form, alpha="unsaid")
    if page is not None and page.extra[:1] == (1,):
        return replace(form, alpha="associated")  # which Pillow divides the colours by
    return replace(form, alpha="straight") if image.mode == "RGBA" else form


def dicom_form(head: Head) -> PixelForm:
    """Of a DICOM file."""
    grey = head.photometric.startswith("MONOCHROME") or head.samples == 1
    return PixelForm(bits=head.bits, channels=1 if grey else 3, known=head.signed == 0)


def check_form(form: PixelForm, name: str, pages: int = 1, *, deep: bool = False) -> None:
    """Raise SlideError unless the pixels are colours of at most 8 bits and are decoded as stored.

    deep: 16 bits will do; whether they are used, only the pixels tell. pages: of the same size and kind."""
    if form.channels == 1:
        each = f", {pages} pages of one size, as of one channel each" if pages > 1 else ""
        raise SlideError(f"{name}: found a grey image{each}, expected 8-bit RGB: convert it first")
    if not form.known:
        raise SlideError(
            f"{name}: found signed or floating-point samples, expected 8-bit RGB: convert it first"
        )
    if form.bits > 8 and not (deep and form.bits == 16):
        raise SlideError(f"{name}: found {form.bits} bits per sample, expected 8-bit RGB: convert it first")
    if form.turned:
        raise SlideError(
            f"{name}: found stored tiles with another Orientation than 1, which would be turned one by one: "
            "save it again with Orientation 1 (e.g. `tiffset -s 274 1`)"
        )


def check_alpha(alpha: Alpha, highest: int, name: str, lost: Alpha) -> bool:
    """Whether alpha is one: a sample that is not said to be alpha is none, nor is one that is 0 everywhere.

    highest: of all alpha values. Raises SlideError where the decoder has lost the colours with it, as it has
    with the kind `lost`."""
    if alpha in ("none", "unsaid"):
        return False
    if highest == 0 and alpha == lost:
        raise SlideError(f"{name}: found an alpha channel that is 0 everywhere: save it without alpha")
    return highest > 0


def check_pages(pages: Sequence[Page], read: Page, levels: Sequence[Page], name: str) -> tuple[str, ...]:
    """What is to be said of the pages that are not read; `levels` are smaller versions of `read`.

    Raises SlideError where one of them has more pixels than the one that is read."""
    rest = [page for page in pages if page is not read and not any(page is level for level in levels)]
    this = f"page {_number(pages, read)} ({read.width} x {read.height} pixels)"
    for page in rest:
        if page.width * page.height > read.width * read.height:
            raise SlideError(
                f"{name}: found {len(pages)} pages, of which {this} would be read, but page "
                f"{_number(pages, page)} is larger ({page.width} x {page.height}): save the slide alone"
            )
    if all(page.reduced for page in rest):
        return ()
    return (f"found {len(pages)} pages, and reads {this} only",)


def _number(pages: Sequence[Page], page: Page) -> int:
    return next(number for number, other in enumerate(pages, start=1) if other is page)
