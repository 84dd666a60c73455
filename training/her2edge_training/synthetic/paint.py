"""From a slide model to concentrations: nests, nuclei, membranes, cytoplasm and stroma.

Every pattern is first drawn as a raw field, then bent to a distribution that does not know the class
(`texture.match`): how many pixels have a concentration is the slide's, only where they lie is the class's.
"""

from __future__ import annotations

from math import erf
from statistics import NormalDist

import cv2
import numpy as np
from numpy.typing import NDArray

from her2edge_training.synthetic.lines import Focus, membrane_lines
from her2edge_training.synthetic.model import SHARES, SlideModel
from her2edge_training.synthetic.nuclei import Nuclei, place_nuclei
from her2edge_training.synthetic.texture import Field, Mask, fibres, match, noise

_NUCLEAR_EOSIN = 0.045  # mean eosin over mean haematoxylin inside nuclei: little, so that pure H pixels exist
_NORMAL_SHARES = np.linspace(0.0, 1.0, 65)
_NORMAL = np.array([NormalDist().inv_cdf(p) for p in np.clip(_NORMAL_SHARES, 0.003, 0.997).tolist()])


def paint(
    model: SlideModel, rng: np.random.Generator, tissue: Mask, mpp: float, focus: Focus | None = None
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Concentrations (h, w, 2) float32, H and E, and nuclear instances (h, w) int32. mpp: um per pixel."""
    shape = (tissue.shape[0], tissue.shape[1])
    nests, edge = _nests(model, rng, tissue, mpp)
    alive = nests & ~_necrosis(model, rng, shape, mpp)
    nuclei = place_nuclei(rng, alive, tissue & ~nests, model.morphology, mpp, model.fibre_angle)
    nuclei.instances[~tissue] = 0
    inside = nuclei.instances > 0
    outside = tissue & ~inside

    inner = np.asarray(cv2.distanceTransform(inside.view(np.uint8), cv2.DIST_L2, 3), dtype=np.float32)
    outer = cv2.distanceTransform((~inside).view(np.uint8), cv2.DIST_L2, 3)
    outer = np.minimum(outer, np.float32(1e5))  # where there is no nucleus, OpenCV's is the largest float
    signed = inner - outer + np.float32(0.5) - inside.astype(np.float32)  # pixels, > 0 inside nuclei

    cover = _cover(signed, inside, tissue, model.edge, model.psf_px)
    thickness = np.exp(rng.normal(0.0, 0.02, 2))  # a section varies a little within a slide
    nuclear = thickness[0] * model.hematoxylin * model.hematoxylin_curve
    cytoplasmic = thickness[1] * model.eosin * model.eosin_curve
    chromatin = match(_chromatin(model, rng, nuclei, inner, mpp), inside, SHARES, nuclear)
    lines = membrane_lines(model.morphology, rng, nuclei, mpp, focus)
    pattern = _eosin(model, rng, nests, edge, mpp, lines * alive)
    pattern = _fade(rng, pattern, signed, outside, mpp)
    plasma = match(pattern, outside, SHARES, cytoplasmic)
    faint = np.abs(noise(rng, shape, 2.5 / mpp))
    haze = faint * np.float32(model.haze)
    trace = faint[::-1] * np.float32(model.hematoxylin * _NUCLEAR_EOSIN)
    core = (cover >= 0.5).view(np.uint8)
    both = cv2.merge([cv2.copyTo(chromatin, core, haze.copy()), cv2.copyTo(trace, core, plasma.copy())])
    rim = np.flatnonzero((cover > 0) & (cover < 1) & tissue)
    nucleus = np.stack([chromatin.ravel()[rim], trace.ravel()[rim]], axis=1)
    plain = np.stack([haze.ravel()[rim], plasma.ravel()[rim]], axis=1)
    both.reshape(-1, 2)[rim] = _mix(nucleus, plain, cover.ravel()[rim, None], model.stain_matrix)
    if not tissue.all():
        both[~tissue] = 0
    return np.asarray(both, dtype=np.float32), nuclei.instances


def _mix(a: Field, b: Field, share: Field, stain_matrix: NDArray[np.float64]) -> Field:
    """Concentrations (n, 2) of pixels of which `share` (n, 1) is as `a` (n, 2) and the rest as `b` (n, 2).

    Light adds, not density: mixed as a lens mixes them, edges of every width run through the same colours.
    """
    stains = stain_matrix.T.astype(np.float32)
    light = share * np.exp(-(a @ stains)) + (1 - share) * np.exp(-(b @ stains))
    unmix = np.linalg.pinv(stain_matrix).T.astype(np.float32)
    return np.asarray(np.maximum(-np.log(light) @ unmix, 0), dtype=np.float32)


def _cover(signed: Field, inside: Mask, tissue: Mask, edge: float, psf_px: float) -> Field:
    """(h, w) float32 share of nucleus in each pixel, 0..1: a linear ramp across the outlines.

    Small nuclei have more outline per area, so more pixels of mixed colour, which would tell the class once
    stain normalisation has taken the slides' own differences away. So the edge that the camera sees is as
    wide, relative to area per outline, in every class. A ramp of width w behind a blur of standard deviation
    s has the slope erf(w / (2 sqrt(2) s)) / w in its middle; solved for w by fixed-point iteration.
    """
    outline = np.count_nonzero((np.abs(signed) < 1.5) & tissue) / 3
    target = edge * np.count_nonzero(inside) / max(1.0, outline)
    width = float(target)
    for _ in range(20):
        width = max(0.5, float(target) * erf(width / (2.83 * max(psf_px, 1e-3))))
    return np.asarray(np.clip(signed * np.float32(1 / width) + np.float32(0.5), 0, 1), dtype=np.float32)


def _fade(rng: np.random.Generator, raw: Field, signed: Field, outside: Mask, mpp: float) -> Field:
    """Let the eosin pattern give way to plain noise towards the nuclei: (h, w) float32.

    Else the pixels of mixed colour at a nucleus would hold the eosin of that class's cytoplasm. Weights of
    constant norm keep the sum of two normal fields normal.
    """
    shape = (raw.shape[0], raw.shape[1])
    plain = noise(rng, shape, 2.0 / mpp)
    plain *= np.float32(1 / max(float(plain.std()), 1e-3))
    far = outside & (signed < -1.0 / mpp)
    pattern = match(raw, far, _NORMAL_SHARES, _NORMAL)
    weight = np.clip(signed * np.float32(-mpp / 0.9) - np.float32(0.35), 0, 1)
    rest = 1 - weight
    faded = (weight * pattern + rest * plain) / np.sqrt(weight * weight + rest * rest)
    # The same fine grain everywhere: the optics take the same part of the contrast away in every class.
    return np.asarray(faded + np.float32(0.32) * noise(rng, shape, 0.7 / mpp), dtype=np.float32)


def _nests(model: SlideModel, rng: np.random.Generator, tissue: Mask, mpp: float) -> tuple[Mask, Field]:
    """Tumour nests (h, w) bool, and the field whose zero line is their edge."""
    field = noise(rng, (tissue.shape[0], tissue.shape[1]), 42 / mpp)
    field += np.float32(0.12) * noise(rng, (tissue.shape[0], tissue.shape[1]), 6 / mpp)
    sample = field[::8, ::8][tissue[::8, ::8]]
    share = float(np.clip(model.morphology.nest_fraction + rng.normal(0, 0.04), 0.5, 0.97))
    field -= np.float32(np.quantile(sample, 1 - share) if sample.size else 0.0)
    return (field > 0) & tissue, field


def _chromatin(
    model: SlideModel, rng: np.random.Generator, nuclei: Nuclei, inner: Field, mpp: float
) -> Field:
    """Raw haematoxylin: grain, a dark rim, nucleoli, and a tone for each nucleus."""
    m, shape = model.morphology, nuclei.instances.shape
    n = len(nuclei.radii)
    raw = noise(rng, (shape[0], shape[1]), m.chromatin_um / mpp)
    tone = rng.normal(0.0, 0.55, n + 1).astype(np.float32)
    tone[1:][~nuclei.tumour] += 1.0
    raw += np.take(tone, nuclei.instances)
    # A dark rim inside the outline, as wide as suits the nuclei.
    rim = np.float32(0.16 * m.nuclear_radius_um / mpp)
    raw += np.float32(1.2) * cv2.exp(-(((inner - rim) / rim) ** 2))
    spots = np.zeros((shape[0], shape[1]), np.float32)
    counts = np.where(nuclei.tumour, rng.poisson(m.nucleoli, n), 0)
    size = max(1, round(0.17 * m.nuclear_radius_um / mpp))
    for i in np.repeat(np.arange(n), counts).tolist():
        reach = 0.5 * nuclei.radii[i]
        x, y = nuclei.centres[i] + rng.uniform(-reach, reach, 2)
        cv2.circle(spots, (round(x), round(y)), size, 2.5, -1)
    return np.asarray(raw + spots, dtype=np.float32)


def _necrosis(model: SlideModel, rng: np.random.Generator, shape: tuple[int, int], mpp: float) -> Mask:
    """(h, w) bool, where nests hold no cells."""
    cut = NormalDist().inv_cdf(1 - max(model.morphology.necrosis, 1e-6))
    return np.asarray(noise(rng, shape, 30 / mpp) > cut, dtype=np.bool_)


def _eosin(
    model: SlideModel, rng: np.random.Generator, nests: Mask, edge: Field, mpp: float, lines: Field
) -> Field:
    """Raw eosin: fibres in the stroma; cytoplasm and lines in the nests; pale clefts between them."""
    m = model.morphology
    shape = (nests.shape[0], nests.shape[1])
    strands = fibres(rng, shape, model.fibre_angle, 1.5 / mpp)
    blotches = noise(rng, shape, m.blotch_um / mpp)
    cytoplasm = np.float32(m.blotches) * blotches + lines
    raw = strands + np.float32(0.25)
    cv2.copyTo(cytoplasm, nests.view(np.uint8), raw)
    cleft = (edge - np.float32(0.04)) / np.float32(0.07)
    raw -= np.float32(1.8) * cv2.exp(-(cleft**2)) * (blotches > 0)
    return np.asarray(raw, dtype=np.float32)
