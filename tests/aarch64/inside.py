"""Runs on both sides: every stain profile, exact and fast, over given tiles.

    python inside.py INPUTS.npz TARGET.json OUT.npz

INPUTS: tile_N, (h, w, 3) uint8 RGB. TARGET: the fit that the profile without a reference aims at.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from her2edge.stain import PROFILES, MacenkoNormalizer, StainFit


def main(tiles: Path, target: Path, out: Path) -> None:
    given = np.load(tiles, allow_pickle=False)
    found: dict[str, Any] = {}
    for profile in PROFILES:
        aim = StainFit.load(target) if profile == "tiatoolbox" else None
        for exact in (True, False):
            normalizer = MacenkoNormalizer(profile, aim, exact=exact)
            for name in given.files:
                key = f"{profile} {'exact' if exact else 'fast'} {name}"
                result = normalizer.normalize(given[name])
                found[key] = result.pixels
                found[f"{key} status"] = np.array(str(result.status))
    np.savez(out, **found)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
