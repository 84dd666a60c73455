"""What an H&E and an IHC section have in common, as one picture: haematoxylin, and where there is tissue."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from her2edge.stain import PROFILES, TARGETS
from her2edge.stain.fit import pseudo_inverse
from her2edge.tile import Pixels

# (h, w, 2) float32 >= 0: channel HAEMATOXYLIN, the root of its concentration, so that weakly and strongly
# stained sections look alike; channel TISSUE, 0 for glass to 1 for dark, 1/2 at an optical density of 0.1.
Picture = NDArray[np.float32]
HAEMATOXYLIN, TISSUE = 0, 1

H_E = TARGETS["macenko"].stain_matrix
# Ruifrok & Johnston 2001, "Quantification of histochemical staining by color deconvolution", Analytical and
# Quantitative Cytology and Histology 23(4):291-299: columns haematoxylin and DAB, rows R, G, B.
H_DAB = np.array([[0.650, 0.268], [0.704, 0.570], [0.286, 0.776]])

_DENSITY = PROFILES["torchstain"].density.astype(np.float32)
_HALF = np.float32(0.1)  # optical density, natural log
_DARKEST_GLASS = 200  # grey value


def draw_picture(pixels: Pixels, stains: NDArray[np.float64]) -> Picture:
    """Of (h, w, 3) uint8 RGB and (3, 2) stains, the first haematoxylin: H_E or H_DAB."""
    unmix = pseudo_inverse(stains)[0].astype(np.float32)
    channels = [pixels[..., channel] for channel in range(3)]
    concentration = sum(_DENSITY[grey] * share for grey, share in zip(channels, unmix, strict=True))
    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    glass = max(_DARKEST_GLASS, int(np.percentile(grey, 99)))
    dark = np.maximum(_DENSITY[grey] - _DENSITY[glass], np.float32(0))
    return np.dstack([np.sqrt(np.maximum(concentration, np.float32(0))), dark / (dark + _HALF)])


def tissue_share(picture: Picture) -> float:
    """Share of the picture under tissue, 0..1."""
    return float((picture[..., TISSUE] > 0.5).mean())


def rescale(picture: Picture, mpp_from: float, mpp_to: float) -> Picture:
    """(h, w) or (h, w, 2) float32 at another um per pixel, from the same corner; smoothed where reduced."""
    ratio = mpp_to / mpp_from
    if ratio > 1:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.5 * ratio), np.float32)
    size = [max(1, round(side / ratio)) for side in (picture.shape[1], picture.shape[0])]
    there = np.array([[ratio, 0, 0.5 * ratio - 0.5], [0, ratio, 0.5 * ratio - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(picture, there, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32
    )
