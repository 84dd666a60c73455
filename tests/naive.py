"""The NumPy twin of each kernel: its specification, written for the reader and not for speed."""

from __future__ import annotations

import numpy as np


def _tissue(pixels, od, beta):
    density = od[pixels]
    return density[(density >= beta).all(axis=1)]


def tissue_moments(pixels, od, beta):
    tissue = _tissue(pixels, od, beta)
    products = tissue.T @ tissue
    return np.concatenate([[len(tissue)], tissue.sum(axis=0), products[np.triu_indices(3)]])


def tissue_angles(pixels, od, beta, plane):
    projected = _tissue(pixels, od, beta) @ plane
    return np.arctan2(projected[:, 1], projected[:, 0])


def concentrations(pixels, od, unmix):
    return unmix @ od[pixels].T


def restain(pixels, od, mix, white):
    grey = white * np.exp(-(od[pixels] @ mix.T))
    return np.minimum(grey, 255.0).astype(np.uint8)


def symmetric_eigen(a):
    return np.linalg.eigh(a)
