"""Seven sets of simple numbers of a tile: (h, w, 3) uint8 RGB -> (k,) float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def density(pixels: Array) -> Array:
    """(h, w) float32 optical density of the grey picture."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.asarray(-np.log((grey + 1) / 245))


def colour(pixels: Array) -> Array:
    """Mean, spread and nine quantiles of each channel of RGB and of Lab."""
    both = np.dstack([pixels, cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)]).reshape(-1, 6).astype(np.float32)
    quantiles = np.quantile(both[::7], np.linspace(0.02, 0.98, 9), axis=0)
    return np.concatenate([both.mean(0), both.std(0), quantiles.ravel()])


def lbp(pixels: Array) -> Array:
    """Histograms of uniform, rotation-invariant local binary patterns (Ojala 2002), four radii."""
    grey = cv2.GaussianBlur(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), (0, 0), 0.8).astype(np.float32)
    out = []
    for radius in (1, 2, 4, 8):
        size = grey.shape[0] - 2 * radius
        middle = grey[radius:-radius, radius:-radius]
        bits = []
        for k in range(8):
            x, y = radius * np.cos(np.pi * k / 4), radius * np.sin(np.pi * k / 4)
            place = np.array([[1, 0, radius + x], [0, 1, radius + y]], np.float32)
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            bits.append(cv2.warpAffine(grey, place, (size, size), flags=flags) >= middle)
        ring = np.stack(bits).astype(np.int8)
        changes = (ring != np.roll(ring, 1, axis=0)).sum(0)
        pattern = np.where(changes <= 2, ring.sum(0), 9)
        out.append(np.bincount(pattern.ravel(), minlength=10) / pattern.size)
    return np.concatenate(out)


def haralick(pixels: Array) -> Array:
    """Six properties of co-occurrence matrices (Haralick 1973): red, green, 32 levels, five distances."""
    out = []
    for channel in (0, 1):
        levels = (pixels[..., channel] // 8).astype(np.intp)
        i, j = np.mgrid[0:32, 0:32].astype(float)
        for d in (1, 2, 4, 8, 16):
            pairs = 32 * levels[:, :-d] + levels[:, d:], 32 * levels[:-d] + levels[d:]
            counts = sum(np.bincount(p.ravel(), minlength=1024) for p in pairs).reshape(32, 32)
            p = (counts + counts.T) / (2 * counts.sum())
            mean = (p * i).sum()
            variance = max((p * (i - mean) ** 2).sum(), 1e-9)
            out += [
                (p * (i - j) ** 2).sum(),
                (p * np.abs(i - j)).sum(),
                (p / (1 + (i - j) ** 2)).sum(),
                (p**2).sum(),
                -(p * np.log(p + 1e-12)).sum(),
                (p * (i - mean) * (j - mean)).sum() / variance,
            ]
    return np.array(out)


def gradients(pixels: Array) -> Array:
    """Histograms of gradient strength at four scales, and how aligned directions are in blocks of 32 px."""
    grey = density(pixels)
    out = []
    for sigma in (0.8, 1.6, 3.2, 6.4):
        smooth = cv2.GaussianBlur(grey, (0, 0), sigma)
        x, y = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
        strength = np.hypot(x, y)
        out += np.quantile(strength[::3, ::3], np.linspace(0.05, 0.95, 10)).tolist()
        tensor = [
            cv2.resize(p, None, fx=1 / 32, fy=1 / 32, interpolation=cv2.INTER_AREA)
            for p in (x * x, y * y, x * y)
        ]
        aligned = np.hypot(tensor[0] - tensor[1], 2 * tensor[2]) / (tensor[0] + tensor[1] + 1e-6)
        out += np.quantile(aligned, [0.1, 0.5, 0.9]).tolist()
    return np.array(out)


def spectrum(pixels: Array) -> Array:
    """Logarithm of the power in 24 rings of frequency."""
    grey = density(pixels)
    window = np.outer(np.hanning(grey.shape[0]), np.hanning(grey.shape[1]))
    power = np.abs(np.fft.rfft2((grey - grey.mean()) * window)) ** 2
    radius = np.hypot(np.fft.fftfreq(grey.shape[0])[:, None], np.fft.rfftfreq(grey.shape[1])[None])
    rings = np.digitize(radius, np.geomspace(0.004, 0.5, 25))
    sums = np.bincount(rings.ravel(), power.ravel(), minlength=26)[1:25]
    return np.asarray(np.log(sums / np.maximum(np.bincount(rings.ravel(), minlength=26)[1:25], 1) + 1e-9))


def gabor(pixels: Array) -> Array:
    """Mean, spread and 90 % quantile of Gabor energy of six directions, five wavelengths."""
    grey = density(pixels)
    out = []
    for wavelength in (4, 7, 10, 10, 9):
        if wavelength > 8:  # twice, four, eight times as long, on a smaller picture
            grey = cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        energies = []
        for k in range(6):
            kernels = [
                cv2.getGaborKernel((0, 0), 0.5 * wavelength, np.pi * k / 6, wavelength, 0.7, phase)
                for phase in (0, np.pi / 2)
            ]
            even, odd = (
                cv2.filter2D(grey, cv2.CV_32F, kernel - kernel.mean())[::2, ::2] for kernel in kernels
            )
            energies.append(np.hypot(even, odd))
        all_of = np.stack(energies)
        out += [
            all_of.mean(),
            all_of.std(),
            np.quantile(all_of, 0.9),
            all_of.std(0).mean(),
            all_of.max(0).std(),
        ]
    return np.log(np.array(out) + 1e-9)


def blobs(pixels: Array) -> Array:
    """Nine numbers of the dark blobs: count, share, area, its variation, form, darkness, distance."""
    red = cv2.GaussianBlur(pixels[..., 0], (0, 0), 1.5)
    _, mask = cv2.threshold(red, 0, 1, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)
    _, _, stats, centres = cv2.connectedComponentsWithStats(mask)
    keep = stats[:, 4] > 60
    keep[0] = False
    areas, boxes = stats[keep, 4].astype(float), stats[keep, 2:4].astype(float)
    if len(areas) < 3:
        return np.zeros(9)
    points = centres[keep]
    apart = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    np.fill_diagonal(apart, np.inf)
    nearest = apart.min(1)
    form = boxes.min(1) / boxes.max(1)
    return np.array([
        len(areas), mask.mean(), areas.mean(), areas.std() / areas.mean(), form.mean(), form.std(),
        float(red[mask > 0].mean()), nearest.mean(), nearest.std() / nearest.mean(),
    ])  # fmt: skip


SETS: dict[str, Callable[[Array], Array]] = {
    "colour": colour, "LBP": lbp, "Haralick": haralick, "gradients": gradients,
    "spectrum": spectrum, "Gabor": gabor, "blobs": blobs,
}  # fmt: skip
