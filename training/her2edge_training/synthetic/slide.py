"""A synthetic slide: pieces of tissue on glass, painted in one go so that there are no seams."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from her2edge_training.synthetic.model import SlideModel
from her2edge_training.synthetic.optics import draw_pen, expose
from her2edge_training.synthetic.paint import paint
from her2edge_training.synthetic.seeds import generator
from her2edge_training.synthetic.texture import Mask, noise
from her2edge_training.synthetic.tile import check_canvas


@dataclass(frozen=True, eq=False)
class SyntheticSlide:
    """A whole canvas and everything that is true of it; fields as in SyntheticTile, (h, w) the canvas."""

    pixels: NDArray[np.uint8]
    label: str
    stain_matrix: NDArray[np.float64]
    concentrations: NDArray[np.float32]
    nuclei: NDArray[np.int32]
    tissue: Mask
    pen: Mask
    mpp: float


def make_slide_image(
    model: SlideModel,
    width_px: int,
    height_px: int,
    mpp: float = 0.25,
    *,
    blur: float = 0.0,
    pen: bool = False,
) -> SyntheticSlide:
    """A slide's canvas: irregular tissue pieces on glass. The same bytes for the same arguments.

    blur: standard deviation of a defocus, um. pen: a marker stroke crosses the slide. Needs about 90 bytes of
    memory per pixel while it works. Raises OptionError for an argument out of range.
    """
    check_canvas(width_px, height_px, mpp, blur)
    keys = (model.site.name, model.label, model.seed, width_px, height_px)
    shape = (height_px, width_px)
    present = _pieces(generator("slide tissue", *keys), shape)
    concentrations, nuclei = paint(model, generator("slide paint", *keys), present, mpp)
    ink, marked = None, np.zeros(shape, np.bool_)
    if pen:
        ink, marked = draw_pen(generator("slide pen", *keys), shape, mpp)
    pixels = expose(model, generator("slide noise", *keys), concentrations, ink, mpp, blur)
    return SyntheticSlide(
        pixels, model.label, model.stain_matrix, concentrations, nuclei, present, marked, mpp
    )


def _pieces(rng: np.random.Generator, shape: tuple[int, int]) -> Mask:
    """(h, w) bool: two to four ragged pieces well inside the canvas, about half of its area."""
    h, w = shape
    step = max(1, min(h, w) // 256)
    rows, columns = h // step + 1, w // step + 1
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    x, y = x / columns, y / rows
    field = np.full((rows, columns), -9.0, np.float32)
    count = int(rng.integers(2, 5))
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
