"""What is stored in a file that OpenSlide opens: levels, the form of their pixels, what it says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from her2edge.slide.levels import Level, Size, plan_levels
from her2edge.slide.pixels import PixelForm, check_form, check_pages, tiff_form
from her2edge.slide.tiff import Page, pages_of
from her2edge.text import one_line

GENERIC = "generic-tiff"
VENDOR = "openslide.vendor"
_MAKERS = (  # (maker, model), or a model behind the vendor's name
    ("dicom.Manufacturer", "dicom.ManufacturerModelName"),
    ("philips.DICOM_MANUFACTURER", "philips.DICOM_MANUFACTURERS_MODEL_NAME"),
    ("tiff.Make", "tiff.Model"),
    (VENDOR, "aperio.ScanScope ID"),
    (VENDOR, "hamamatsu.Product"),
    (VENDOR, "leica.device-model"),
    (VENDOR, "ventana.ScannerModel"),
    (VENDOR, "mirax.NONHIERLAYER_0_SECTION.SCANNER_HARDWARE_VERSION"),
)
SCANNER_KEYS = (VENDOR, *{key for keys in _MAKERS for key in keys if key != VENDOR})
_MAX_NAME = 128


@dataclass(frozen=True)
class Stored:
    """levels: by OpenSlide's numbers; form: of their pixels, None where the file is no TIFF; notes: what is
    to be said of the file, a line each."""

    levels: dict[int, Level]
    form: PixelForm | None = None
    notes: tuple[str, ...] = ()


def look_inside(path: Path, vendor: str, sizes: Sequence[Size], stated: Sequence[float]) -> Stored:
    """Of a slide with levels of these sizes, and OpenSlide's downsamples.

    Raises SlideError where level 0 is not read as it is stored, or is not the largest page of a plain TIFF.
    A level whose pixels are stored in another form, or that is no smaller picture of level 0, is left out.
    """
    # Scanners' own formats round twice: some state a level by its um per pixel.
    levels = plan_levels(sizes, stated, rounding=1 if vendor == GENERIC else 2)
    pages = pages_of(path)
    full, *_ = stored = [_page_of(size, pages, vendor) for size in sizes]
    if full is None:
        return Stored(levels)
    form = tiff_form(full, vendor)
    alike = [page for page in pages if page.size == full.size and page.photometric == full.photometric]
    check_form(form, path.name, len(alike), deep=True)
    for number in list(levels)[1:]:
        page = stored[number]
        if page is not None and tiff_form(page, vendor) != form:
            del levels[number]
    if vendor != GENERIC:
        return Stored(levels, form)
    used = [page for number in levels if (page := stored[number]) is not None]
    return Stored(levels, form, check_pages(pages, full, used, path.name))


def _page_of(size: Size, pages: Sequence[Page], vendor: str) -> Page | None:
    """The page of a level. Where a scanner's format joins levels from pages, the largest stands for them."""
    if vendor == GENERIC:
        pages = [page for n, page in enumerate(pages) if page.tiled and (n == 0 or page.reduced)]
    same = next((page for page in pages if page.size == size), None)
    if same is not None or vendor == GENERIC:
        return same
    return max(
        (page for page in pages if page.tiled), key=lambda page: page.width * page.height, default=None
    )


def scanner_of(properties: Mapping[str, str]) -> str | None:
    """Maker and model as the file says; None where it says neither."""
    vendor = properties.get(VENDOR, "")
    for maker, model in _MAKERS:
        parts = [properties.get(maker, ""), properties.get(model, "")]
        if parts[1] or (parts[0] and maker != VENDOR):
            return one_line(" ".join(parts))[:_MAX_NAME] or None
    return None if vendor in ("", GENERIC, "dicom") else one_line(vendor)[:_MAX_NAME]
