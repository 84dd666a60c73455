"""Where nuclei lie and what outline they have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from her2edge_training.synthetic.morphology import Morphology
from her2edge_training.synthetic.texture import Mask

_VERTICES = 28


@dataclass(frozen=True, eq=False)
class Nuclei:
    """instances: (h, w) int32, 0 outside nuclei, else 1 + the nucleus' place in the lists below.
    centres: (n, 2) float64, x and y in pixels. radii: (n,) float64, pixels.
    tumour: (n,) bool, False for the spindle and round nuclei of the stroma.
    """

    instances: NDArray[np.int32]
    centres: NDArray[np.float64]
    radii: NDArray[np.float64]
    tumour: NDArray[np.bool_]


def place_nuclei(
    rng: np.random.Generator, nests: Mask, stroma: Mask, morphology: Morphology, mpp: float, angle: float
) -> Nuclei:
    """Throw nuclei into nests and stroma until the wanted share of each is covered.

    nests, stroma: (h, w) bool. mpp: um per pixel. angle: of the stroma's fibres, radians.
    """
    h, w = nests.shape
    m = morphology
    sigma = float(np.sqrt(np.log1p(m.radius_cv**2)))
    mean = m.nuclear_radius_um / mpp

    def radius(n: int) -> NDArray[np.float64]:
        return np.asarray(mean * np.clip(np.exp(rng.normal(-(sigma**2) / 2, sigma, n)), 0.5, 1.9))

    area = np.pi * mean**2 * (1 + m.radius_cv**2)
    # Nuclei of unequal size overlap a little: throw that much more, so that the covered share is the same.
    share = m.nuclear_fraction * (1 + m.radius_cv**2)
    tumour = _throw(rng, nests, radius, area, share, mean, gap=0.75 / mpp, clumping=m.clumping)
    small = 2.4 / mpp

    def small_radius(n: int) -> NDArray[np.float64]:
        return np.asarray(small * np.exp(rng.normal(0, 0.1, n)))

    others = _throw(rng, stroma, small_radius, np.pi * small**2, m.stroma_fraction, small, gap=2.0 / mpp)
    centres = np.concatenate([tumour[:, :2], others[:, :2]])
    radii = np.concatenate([tumour[:, 2], others[:, 2]])
    is_tumour = np.arange(len(radii)) < len(tumour)
    outlines = _outlines(rng, centres, radii, is_tumour, m, angle)
    instances = np.zeros((h, w), np.int32)
    for i, outline in enumerate(outlines):
        cv2.fillPoly(instances, [outline], i + 1, lineType=cv2.LINE_8, shift=3)
    return Nuclei(instances, centres, radii, is_tumour)


def _throw(
    rng: np.random.Generator,
    allowed: Mask,
    radius: Callable[[int], NDArray[np.float64]],
    area: float,
    share: float,
    mean: float,
    gap: float,
    clumping: float = 0.0,
) -> NDArray[np.float64]:
    """(n, 3) float64 x, y, radius of nuclei that keep their distance: darts on a coarse map.

    clumping: share of nuclei that let another come as near as touching.
    """
    h, w = allowed.shape
    coarse = max(1.0, mean / 8)  # one cell of the map is an eighth of a radius
    margin = 1.5 * mean  # nuclei centred outside the canvas are cut by its edge
    size = (int((w + 2 * margin) / coarse) + 1, int((h + 2 * margin) / coarse) + 1)
    place = np.array([[coarse, 0, -margin], [0, coarse, -margin]], dtype=np.float32)
    free = cv2.warpAffine(
        allowed.view(np.uint8),
        place,
        size,
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    wanted = share * float(np.count_nonzero(free)) * coarse**2
    tries = int(8 * wanted / area) + 16
    xs, ys = rng.random(tries) * size[0], rng.random(tries) * size[1]
    radii = radius(tries)
    kept: list[int] = []
    covered = 0.0
    columns, rows = xs.astype(int).tolist(), ys.astype(int).tolist()
    near = np.where(rng.random(tries) < clumping, 0.35 * mean, mean * 0.97 + gap)
    reach = ((radii + near) / coarse).round().astype(int).tolist()
    areas = (np.pi * radii**2).tolist()
    for i in range(tries):
        if covered >= wanted:
            break
        x, y = columns[i], rows[i]
        if free[y, x]:
            cv2.circle(free, (x, y), reach[i], 0, -1)
            kept.append(i)
            covered += areas[i]
    chosen = np.array(kept, dtype=np.intp)
    return np.column_stack([xs[chosen] * coarse - margin, ys[chosen] * coarse - margin, radii[chosen]])


def _outlines(
    rng: np.random.Generator,
    centres: NDArray[np.float64],
    radii: NDArray[np.float64],
    tumour: NDArray[np.bool_],
    m: Morphology,
    angle: float,
) -> NDArray[np.int32]:
    """(n, vertices, 2) int32 outlines in eighths of a pixel, of about the area of a circle of each radius."""
    n = len(radii)
    turn = np.linspace(0, 2 * np.pi, _VERTICES, endpoint=False)
    wobble = np.ones((n, _VERTICES))
    for k in (2, 3, 4, 5):
        amplitude = m.irregularity * rng.normal(0, 1.0, (n, 1)) * (2.0 if k == 2 else 2.0 / k)
        wobble += np.where(tumour[:, None], amplitude, 0.03) * np.cos(
            k * turn + rng.random((n, 1)) * 2 * np.pi
        )
    r = radii[:, None] * np.clip(wobble, 0.55, 1.6)
    # Stroma: spindles along the fibres, and round lymphocytes.
    spindle = ~tumour & (rng.random(n) >= m.lymphocytes)
    stretch = np.where(spindle, rng.uniform(1.7, 2.3, n), 1.0)[:, None]
    axis = np.where(spindle, angle + rng.normal(0, 0.25, n), 0.0)[:, None]
    u, v = r * np.cos(turn) * stretch, r * np.sin(turn) / stretch
    x = centres[:, :1] + u * np.cos(axis) - v * np.sin(axis)
    y = centres[:, 1:] + u * np.sin(axis) + v * np.cos(axis)
    return np.round(np.dstack([x, y]) * 8).astype(np.int32)
