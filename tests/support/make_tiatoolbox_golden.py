"""Makes tests/data/tiatoolbox.npz: what tiatoolbox itself does with synthetic tissue.

    pip install tiatoolbox msgspec platformdirs   # in an environment of its own: some 7 GB
    PYTHONPATH=.:training python tests/support/make_tiatoolbox_golden.py

The file holds inputs and outputs, tiatoolbox's version and a SHA-256 over all of them. Nothing of tiatoolbox
is in it, and no patient's pixels.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

OUT = Path(__file__).resolve().parents[1] / "data" / "tiatoolbox.npz"
SIDE = 112


def inputs() -> tuple[np.ndarray, np.ndarray]:
    """A target (h, w, 3) and tiles (n, h, w, 3), uint8 RGB, of all sites; one has pure black in it."""
    from her2edge_training import synthetic

    tiles = [
        synthetic.make_tile(
            synthetic.make_slide_model(synthetic.LABELS[i % 3], site, 50 + i), i, SIDE, 0.5, tissue=0.85
        ).pixels
        for i, site in enumerate((*synthetic.SITES, synthetic.SITES[0]))
    ]
    tiles[2][:3, :5] = 0
    return tiles[0], np.stack(tiles[1:])


def digest(arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 over names and contents, inputs and outputs, in the order of the names."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        total.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return total.hexdigest()


def main() -> None:
    import tiatoolbox  # pyright: ignore[reportMissingImports]
    from tiatoolbox.tools.stainnorm import MacenkoNormalizer  # pyright: ignore[reportMissingImports]

    target, tiles = inputs()
    reference = MacenkoNormalizer()
    reference.fit(target.copy())
    arrays = {
        "target": target,
        "tiles": tiles,
        "target_matrix": reference.stain_matrix_target.T,
        "target_strongest": reference.maxC_target.ravel(),
        "matrices": np.stack([reference.extractor.get_stain_matrix(tile.copy()).T for tile in tiles]),
        "images": np.stack([reference.transform(tile.copy()) for tile in tiles]),
    }
    np.savez_compressed(OUT, version=tiatoolbox.__version__, sha256=digest(arrays), **arrays)


if __name__ == "__main__":
    main()
