"""Artefacts drawn on tiles: what quality codes are chosen on, and, with other seeds and inks, scored on."""

from __future__ import annotations

import cv2
import numpy as np

from her2edge.tile import Pixels

INKS_CHOSEN_ON = {
    "green": ((20, 130, 70), (60, 150, 90), (10, 90, 60)),
    "blue": ((30, 50, 170), (60, 90, 190), (20, 35, 120)),
    "black": ((30, 30, 34), (48, 46, 50), (15, 15, 15)),
}
INKS_SCORED_ON = {
    "green": ((35, 115, 55), (5, 105, 75), (75, 165, 80)),
    "blue": ((45, 70, 150), (15, 60, 185), (40, 60, 130)),
    "black": ((22, 25, 28), (42, 40, 38), (36, 38, 46)),
}


def blurred(pixels: Pixels, sigma: float) -> Pixels:
    """Out of focus by a Gaussian of `sigma` pixels."""
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8)


def moved(pixels: Pixels, length: float, angle: float) -> Pixels:
    """By a stage that moved so many pixels while the picture was taken, `angle` radians to the rows."""
    reach = int(length) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    for along in np.linspace(-length / 2, length / 2, 16 * reach):
        x, y = reach + along * np.cos(angle), reach + along * np.sin(angle)
        for row, column in (
            (int(y), int(x)),
            (int(y), int(x) + 1),
            (int(y) + 1, int(x)),
            (int(y) + 1, int(x) + 1),
        ):
            kernel[row, column] += (1 - abs(x - column)) * (1 - abs(y - row))
    return np.asarray(
        cv2.filter2D(pixels, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT), np.uint8
    )


def noisy(pixels: Pixels, sd: float, seed: int) -> Pixels:
    """With a sensor's noise of so many grey values in each channel."""
    noise = np.random.default_rng(seed).normal(0, sd, pixels.shape)
    return np.asarray(np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8))


def stored(pixels: Pixels, quality: int) -> Pixels:
    """As a JPEG file of this quality, 0..100, has them."""
    _, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1])


def brighter(pixels: Pixels, times: float) -> Pixels:
    """With so many times the light, cut off at white."""
    return np.asarray(np.clip(pixels.astype(np.float32) * times, 0, 255).astype(np.uint8))


def stroke(
    pixels: Pixels, ink: tuple[int, int, int], width: int, seed: int, *, clear: bool = False
) -> Pixels:
    """A wavy stroke right across the middle, `width` pixels wide, of uneven ink.

    Ink covers 80 to 95 % of what is below it; where it is `clear`, it takes light from it like a filter.
    """
    rng = np.random.default_rng(seed)
    height, side = pixels.shape[:2]
    angle = rng.uniform(0, np.pi)
    along = np.array([np.cos(angle), np.sin(angle)])
    places = np.linspace(-side, side, 60)
    wave = rng.uniform(5, 30) * np.sin(places / rng.uniform(60, 160) + rng.uniform(0, 6))
    middle = rng.uniform(0.35, 0.65, 2) * (side, height)
    path = middle + places[:, None] * along + wave[:, None] * np.array([-along[1], along[0]])
    mask = np.zeros((height, side), np.float32)
    cv2.polylines(mask, [path.astype(np.int32).reshape(-1, 1, 2)], False, 1.0, width)
    mask = cv2.GaussianBlur(mask, (0, 0), 2)[..., None] * rng.uniform(0.8, 0.95)
    uneven = 1 + rng.normal(0, 0.04, (height, side, 1)).astype(np.float32)
    colour = np.array(ink, np.float32) * uneven
    over = pixels * colour / 255 if clear else colour
    return np.clip(pixels * (1 - mask) + over * mask, 0, 255).astype(np.uint8)
