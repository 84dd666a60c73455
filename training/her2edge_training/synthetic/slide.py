"""A synthetic slide: pieces of tissue on glass, painted in one go so that there are no seams."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from her2edge.errors import OptionError
from her2edge_training.synthetic.lines import Focus
from her2edge_training.synthetic.model import SlideModel
from her2edge_training.synthetic.morphology import COMPLETENESS, LABELS
from her2edge_training.synthetic.optics import draw_pen, expose
from her2edge_training.synthetic.paint import paint
from her2edge_training.synthetic.seeds import generator
from her2edge_training.synthetic.texture import Mask, noise
from her2edge_training.synthetic.tile import check_canvas


@dataclass(frozen=True, eq=False)
class SyntheticSlide:
    """A whole canvas and everything that is true of it; fields as in SyntheticTile, (h, w) the canvas.

    focus: (h, w) bool, where the tissue is of another class. blurred: (h, w) bool, out of focus.
    """

    pixels: NDArray[np.uint8]
    label: str
    stain_matrix: NDArray[np.float64]
    concentrations: NDArray[np.float32]
    nuclei: NDArray[np.int32]
    tissue: Mask
    pen: Mask
    focus: Mask
    blurred: Mask
    mpp: float


def make_slide_image(
    model: SlideModel,
    width_px: int,
    height_px: int,
    mpp: float = 0.25,
    *,
    blur: float = 0.0,
    pen: float = 0.0,
    focus: str | None = None,
    focus_share: float = 0.25,
    corner: float = 0.0,
    pieces: int | None = None,
) -> SyntheticSlide:
    """A slide's canvas: irregular tissue pieces on glass. The same bytes for the same arguments.

    blur: standard deviation of a defocus, um. pen: share of a marker's stroke across the slide that is drawn,
    0..1. focus: a class, of which `focus_share` of the canvas is, in one patch. corner: standard deviation of
    a defocus of the lower right corner, um. None of these changes the rest. pieces: of tissue, 1..9; None:
    two to four. Needs about 90 bytes of memory per pixel while it works. Raises OptionError for an argument
    out of range.
    """
    for defocus in (blur, corner):
        check_canvas(width_px, height_px, mpp, defocus)
    if not 0 <= pen <= 1 or pieces not in (None, *range(1, 10)):
        raise OptionError(f"found pen={pen}, pieces={pieces}, expected a share of 0 to 1 and 1 to 9 pieces")
    if focus not in (None, *LABELS) or not 0 < focus_share < 1:
        raise OptionError(
            f"found focus={focus!r}, {focus_share}, expected one of {', '.join(LABELS)} "
            "and a share between 0 and 1"
        )
    keys = (model.site.name, model.label, model.seed, width_px, height_px)
    shape = (height_px, width_px)
    present = _pieces(generator("slide tissue", *keys), shape, pieces)
    patch = _patch(generator("slide focus", *keys), shape, focus_share if focus else 0.0)
    other = Focus(patch, COMPLETENESS[LABELS.index(focus)]) if focus else None
    concentrations, nuclei = paint(model, generator("slide paint", *keys), present, mpp, other)
    ink, marked = None, np.zeros(shape, np.bool_)
    if pen:
        ink, marked = draw_pen(generator("slide pen", *keys), shape, mpp, pen)
    pixels = expose(model, generator("slide noise", *keys), concentrations, ink, mpp, blur)
    blurred = _corner(shape) if corner else np.zeros(shape, np.bool_)
    if corner:
        soft = expose(
            model, generator("slide noise", *keys), concentrations, ink, mpp, float(np.hypot(blur, corner))
        )
        pixels[blurred] = soft[blurred]
    return SyntheticSlide(
        pixels, model.label, model.stain_matrix, concentrations, nuclei, present, marked, patch, blurred, mpp
    )


def _patch(rng: np.random.Generator, shape: tuple[int, int], share: float) -> Mask:
    """(h, w) bool: `share` of the canvas in one ragged patch, left of the middle or right of it."""
    h, w = shape
    y, x = np.mgrid[0:128, 0:128].astype(np.float32) / 128
    middle = rng.uniform(0.3, 0.7)
    field = noise(rng, (128, 128), 16) * np.float32(0.04) - np.hypot(
        x - np.float32(middle), y - np.float32(0.5)
    )
    inside = (field > np.quantile(field, 1 - share)) if share else np.zeros((128, 128), np.bool_)
    return cv2.resize(inside.view(np.uint8), (w, h), interpolation=cv2.INTER_NEAREST).view(np.bool_)


def _corner(shape: tuple[int, int]) -> Mask:
    """(h, w) bool: the lower right, a ninth of the canvas, cut off by a slant line."""
    h, w = shape
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    return np.asarray(x / w + y / h > 1.53, dtype=np.bool_)


def _pieces(rng: np.random.Generator, shape: tuple[int, int], pieces: int | None) -> Mask:
    """(h, w) bool: ragged pieces, two to four for None, well inside the canvas, about half of its area."""
    h, w = shape
    step = max(1, min(h, w) // 256)
    rows, columns = h // step + 1, w // step + 1
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    x, y = x / columns, y / rows
    field = np.full((rows, columns), -9.0, np.float32)
    drawn = int(rng.integers(2, 5))
    count = pieces or drawn
    for k in range(count):
        cx, cy = (k + 0.5) / count + rng.normal(0, 0.02), rng.uniform(0.4, 0.6)
        rx, ry = 0.46 / count, rng.uniform(0.30, 0.40)
        field = np.maximum(field, 1 - ((x - cx) / rx) ** 2 - ((y - cy) / ry) ** 2)
    field += np.float32(0.22) * noise(rng, (rows, columns), 30) + np.float32(0.07) * noise(
        rng, (rows, columns), 6
    )
    rim = np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y))
    field -= np.float32(4.0) * np.maximum(0, np.float32(0.04) - rim) / np.float32(0.04)
    return np.asarray(cv2.resize(field, (w, h), interpolation=cv2.INTER_CUBIC) > 0, dtype=np.bool_)
