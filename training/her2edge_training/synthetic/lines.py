"""The lines of tumour nests: membranes around cells, or strands of the same form between them."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import cv2
import numpy as np
from numpy.typing import NDArray

from her2edge_training.synthetic.morphology import Morphology
from her2edge_training.synthetic.nuclei import Nuclei
from her2edge_training.synthetic.texture import Field, Mask, noise


@dataclass(frozen=True, eq=False)
class Focus:
    """Where a slide is of another class. mask: (h, w) bool. membrane_completeness: of it, 0..1."""

    mask: Mask
    membrane_completeness: float


def membrane_lines(
    m: Morphology, rng: np.random.Generator, nuclei: Nuclei, mpp: float, focus: Focus | None = None
) -> Field:
    """(h, w) float32, 0 away from lines, about 3 on their ridge: membranes, and strands for what they lack.

    m: of the slide. focus: where another completeness holds. mpp: um per pixel.
    Strands are the same net of cell borders, laid elsewhere, about a cell away, and broken in the same way.
    So lines have one form and one colour in all classes; where they cannot be told apart by what they
    surround, they cannot be told apart.
    """
    full = nuclei.instances.shape
    step = 2 if mpp < 0.35 else 1  # half the resolution is enough for a line of 1 um
    keep = np.arange(len(nuclei.radii) + 1, dtype=np.int32)
    keep[1:][~nuclei.tumour] = 0
    seeds = np.take(keep, nuclei.instances[::step, ::step])
    shape, mpp = (seeds.shape[0], seeds.shape[1]), mpp * step
    border = _borders(seeds, 1.2 * m.nuclear_radius_um / mpp)
    if border is None:
        return np.zeros(full, np.float32)
    away = cv2.distanceTransform(1 - border, cv2.DIST_L2, 3)
    away = np.minimum(away, np.float32(1e4))  # where there is no border, OpenCV's is the largest float
    strands = cv2.exp(-((away / np.float32(0.5 * m.membrane_width_um / mpp)) ** 2))
    ridge = np.asarray(strands, dtype=np.float32)
    moved = _moved(ridge, seeds == 0, rng, m.nuclear_radius_um / mpp)
    lost = float(ridge.sum()) / max(float(moved.sum()), 1e-6)  # nuclei cover some of the strands
    field, thinned = noise(rng, shape, 3.2 / mpp), noise(rng, shape, 6.0 / mpp)

    def net(lined: float) -> Field:
        elsewhere = moved * _gate(-field, min(1.0, (1 - lined) * lost))
        return np.asarray(np.maximum(ridge * _gate(field, lined), elsewhere), dtype=np.float32)

    lines = net(m.membrane_completeness)
    if focus is not None:
        inside = focus.mask[::step, ::step][: shape[0], : shape[1]]
        cv2.copyTo(net(focus.membrane_completeness), inside.view(np.uint8), lines)
    lines *= np.float32(m.line_strength) * _gate(thinned, m.line_amount)
    return np.asarray(cv2.resize(lines, (full[1], full[0]), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def _moved(ridge: Field, seen: Mask, rng: np.random.Generator, radius: float) -> Field:
    """The net of `ridge` laid elsewhere, by about a cell, with the same clearance from nuclei."""
    turn = rng.uniform(0, 2 * np.pi)
    shift = round(2.2 * radius * np.sin(turn)), round(2.2 * radius * np.cos(turn))
    moved = np.roll(ridge, shift, axis=(0, 1))
    clear = cv2.distanceTransform(seen.view(np.uint8), cv2.DIST_L2, 3)
    room = np.clip((clear - np.float32(0.30 * radius)) / np.float32(0.35 * radius), 0, 1)
    return np.asarray(moved * room, dtype=np.float32)


def _borders(seeds: NDArray[np.int32], reach: float) -> NDArray[np.uint8] | None:
    """(h, w) uint8, 1 on the borders of cells: regions nearest to a nucleus, cut off where cytoplasm ends."""
    empty = seeds == 0
    if empty.all() or not empty.any():
        return None
    distance, nearest = cv2.distanceTransformWithLabels(
        empty.view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    owner = np.zeros(int(nearest.max()) + 1, np.int32)
    owner[nearest[~empty]] = seeds[~empty]
    cells = np.take(owner, nearest) * (distance < np.float32(reach))
    border = np.zeros(seeds.shape, np.uint8)
    border[1:] |= cells[1:] != cells[:-1]
    border[:, 1:] |= cells[:, 1:] != cells[:, :-1]
    return border


def _gate(field: Field, share: float) -> Field:
    """(h, w) float32, 1 where a line stands and 0 where it is broken, over some um at a time."""
    cut = NormalDist().inv_cdf(float(np.clip(1 - share, 0.002, 0.998)))
    return np.asarray(np.clip((field - np.float32(cut)) * np.float32(3.0) + np.float32(0.5), 0, 1))
