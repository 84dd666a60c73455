"""What made the pixels of a tile cache: another stain, release, decoder or processor may give others."""

from __future__ import annotations

import hashlib
from importlib import metadata

import msgspec
import numpy as np

from her2edge.stain import TARGETS
from her2edge.stain.mode import StainMode
from her2edge.tile import Pixels
from her2edge.version import RELEASE
from her2edge_training.cohort.stains import Normalize
from her2edge_training.recipe import Stain

FORMAT = 1
_PROBE_PX = 128


class Maker(msgspec.Struct, frozen=True):
    """cache.json. probe: SHA-256 of what the normaliser made of one fixed tile, empty where it is off."""

    format: int
    stain_mode: str
    stain_profile: str
    release: str
    decoder: str
    probe: str


def maker_of(stain: Stain, normalize: Normalize | None) -> Maker:
    """This process's, for a stain and its normaliser."""
    probe = "" if normalize is None else hashlib.sha256(normalize(probe_tile()).tobytes()).hexdigest()
    decoder = f"pillow {metadata.version('pillow')}"
    return Maker(FORMAT, str(stain.mode), stain.profile, RELEASE, decoder, probe)


def folder_name(stain: Stain) -> str:
    """Of the stain's own folder in a cache: stains lie side by side."""
    return "off" if stain.mode is StainMode.OFF else f"{stain.mode}-{stain.profile}"


def probe_tile() -> Pixels:
    """(128, 128, 3) uint8 RGB of two stains."""
    amounts = np.random.default_rng(1).gamma(2.0, 0.3, (2, _PROBE_PX**2))
    light = 240 * np.exp(-TARGETS["macenko"].stain_matrix @ amounts)
    return np.ascontiguousarray(light.T.reshape(_PROBE_PX, _PROBE_PX, 3).astype(np.uint8))
