"""A synthetic tile with its ground truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2edge.errors import OptionError
from her2edge_training.synthetic.model import SlideModel
from her2edge_training.synthetic.optics import draw_pen, expose
from her2edge_training.synthetic.paint import paint
from her2edge_training.synthetic.seeds import generator
from her2edge_training.synthetic.texture import Mask, noise

_SMALLEST_PX, _LARGEST_PX = 32, 16384


@dataclass(frozen=True, eq=False)
class SyntheticTile:
    """One tile and everything that is true of it.

    pixels: (h, w, 3) uint8 RGB. label: one of LABELS. mpp: of `pixels`.
    stain_matrix: (3, 2) float64, unit columns H and E, optical density (natural logarithm).
    concentrations: (h, w, 2) float32 >= 0, H and E, sharp: before blur, cast, pen and noise.
    nuclei: (h, w) int32, 0 outside nuclei, else the instance. tissue, pen: (h, w) bool.
    """

    pixels: NDArray[np.uint8]
    label: str
    stain_matrix: NDArray[np.float64]
    concentrations: NDArray[np.float32]
    nuclei: NDArray[np.int32]
    tissue: Mask
    pen: Mask
    mpp: float


def make_tile(
    model: SlideModel,
    index: int,
    tile_px: int = 512,
    mpp: float = 0.25,
    *,
    blur: float = 0.0,
    pen: bool = False,
    tissue: float = 1.0,
) -> SyntheticTile:
    """Tile `index` of a slide: the same bytes for the same arguments.

    tile_px: side in pixels. blur: standard deviation of a defocus, um. pen: a marker stroke crosses the tile.
    tissue: share of the tile under tissue, 0..1; the rest is glass. Blur and pen leave tissue and noise as
    they are without them. Raises OptionError for an argument out of range.
    """
    if index < 0:
        raise OptionError(f"found index={index}, expected 0 or more")
    check_canvas(tile_px, tile_px, mpp, blur)
    if not 0 <= tissue <= 1:
        raise OptionError(f"found tissue={tissue}, expected a share from 0 to 1")
    keys = (model.site.name, model.label, model.seed, index)
    shape = (tile_px, tile_px)
    present = _tissue_share(generator("tissue", *keys), shape, tissue, mpp)
    concentrations, nuclei = paint(model, generator("paint", *keys), present, mpp)
    ink, marked = None, np.zeros(shape, np.bool_)
    if pen:
        ink, marked = draw_pen(generator("pen", *keys), shape, mpp)
    pixels = expose(model, generator("noise", *keys), concentrations, ink, mpp, blur)
    return SyntheticTile(
        pixels, model.label, model.stain_matrix, concentrations, nuclei, present, marked, mpp
    )


def check_canvas(width_px: int, height_px: int, mpp: float, blur: float) -> None:
    """Raise OptionError unless sides, scale and blur are in range."""
    for side in (width_px, height_px):
        if not _SMALLEST_PX <= side <= _LARGEST_PX:
            raise OptionError(f"found a side of {side} px, expected {_SMALLEST_PX} to {_LARGEST_PX}")
    if not 0.1 <= mpp <= 4:
        raise OptionError(f"found mpp={mpp}, expected 0.1 to 4")
    if not 0 <= blur <= 50:
        raise OptionError(f"found blur={blur}, expected a standard deviation from 0 to 50 um")


def _tissue_share(rng: np.random.Generator, shape: tuple[int, int], share: float, mpp: float) -> Mask:
    """(h, w) bool with `share` of it True, in lobes some 50 um wide."""
    if share in (0, 1):
        return np.full(shape, share == 1, np.bool_)
    field = noise(rng, shape, 50 / mpp) + np.float32(0.06) * noise(rng, shape, 4 / mpp)
    return np.asarray(field > np.quantile(field, 1 - share), dtype=np.bool_)
