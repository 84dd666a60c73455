"""From concentrations to grey levels: Beer-Lambert, colour cast, pen, blur, noise."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from her2edge_training.synthetic.model import SlideModel
from her2edge_training.synthetic.seeds import generator
from her2edge_training.synthetic.sites import IO
from her2edge_training.synthetic.texture import Mask

_ROWS = 1024  # a band of rows at a time: memory stays flat for a whole slide
_INKS = np.array(
    [[1.7, 0.95, 0.25], [1.6, 0.55, 1.15], [1.9, 1.9, 1.9]], dtype=np.float32
)  # blue, green, black


def expose(
    model: SlideModel,
    rng: np.random.Generator,
    concentrations: NDArray[np.float32],
    ink: NDArray[np.float32] | None,
    mpp: float,
    blur_um: float,
) -> NDArray[np.uint8]:
    """The camera's picture, (h, w, 3) uint8 RGB.

    I = gains * IO * exp(-(stain_matrix @ concentrations + ink)), then the slide's optical blur with a
    defocus of standard deviation `blur_um`, then noise. ink: (h, w, 3) float32 optical density, or None.
    """
    h, w = concentrations.shape[:2]
    site = model.site
    white = np.log(IO * np.asarray(site.gains))
    sigma = float(np.hypot(model.psf_px, blur_um / mpp))
    halo = int(np.ceil(4 * sigma)) + 1 if sigma > 0 else 0
    out = np.empty((h, w, 3), np.uint8)
    for top in range(0, h, _ROWS):
        bottom = min(h, top + _ROWS)
        a, b = max(0, top - halo), min(h, bottom + halo)
        # ln I = ln(gains * IO) - stain_matrix @ concentrations, plane by plane: the fast way
        h_plane, e_plane = cv2.split(concentrations[a:b])
        planes = [
            cv2.addWeighted(h_plane, -row[0], e_plane, -row[1], gamma)
            for row, gamma in zip(model.stain_matrix.tolist(), white.tolist(), strict=True)
        ]
        log_light = cv2.merge(planes)
        if ink is not None:
            log_light = cv2.subtract(log_light, ink[a:b])
        light = cv2.exp(log_light)
        if sigma > 0:
            light = cv2.GaussianBlur(light, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
        light = light[top - a : bottom - a]
        if site.noise_levels > 0:
            light = light + np.float32(site.noise_levels) * _grain(rng, bottom - top, w)
        cv2.convertScaleAbs(np.maximum(light, 0, out=light), dst=out[top:bottom])
    return out


@lru_cache(maxsize=1)
def _pool() -> NDArray[np.float32]:
    """A million normal deviates, the same in every process: drawing anew would cost 10 ms a tile."""
    return generator("sensor noise").standard_normal(2**20, dtype=np.float32)


def _grain(rng: np.random.Generator, h: int, w: int) -> NDArray[np.float32]:
    """(h, w, 3) float32 sensor noise of unit variance: each row a random stretch of the pool."""
    windows = np.lib.stride_tricks.sliding_window_view(_pool(), 3 * w)
    return np.asarray(windows[rng.integers(0, len(windows), h)].reshape(h, w, 3))


def draw_pen(
    rng: np.random.Generator, shape: tuple[int, int], mpp: float, length: float = 1.0
) -> tuple[NDArray[np.float32], Mask]:
    """A marker's stroke across the field: optical density (h, w, 3) float32 and its mask (h, w) bool.

    length: share of the stroke that is drawn, 0..1; below 0.5 it comes in from a side and ends.

    The stroke is 40..80 um wide, in blue, green or black, at most a third of the shorter side.
    """
    h, w = shape
    width = int(np.clip(rng.uniform(40, 80) / mpp, 3, max(3, min(h, w) / 3)))
    turn = rng.uniform(0, np.pi)
    t = np.linspace(-0.8, 0.8, 24)[:, None] * np.hypot(h, w)
    along, across = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    bend = 0.08 * min(h, w) * np.sin(t / np.hypot(h, w) * rng.uniform(3, 6) + rng.uniform(0, 6))
    middle = np.array([w, h]) * rng.uniform(0.35, 0.65, 2)
    points = np.round(middle + t * along + bend * across).astype(np.int32)[: max(2, round(len(t) * length))]
    mask = np.zeros((h, w), np.uint8)
    cv2.polylines(mask, [points], False, 1, width, cv2.LINE_8)
    strength = rng.uniform(0.8, 1.1) * _INKS[int(rng.integers(len(_INKS)))]
    return mask[..., None] * strength.astype(np.float32), mask.view(np.bool_)
