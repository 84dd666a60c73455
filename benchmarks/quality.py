"""Quality of a tile: milliseconds beside stain and tissue, clean tissue kept out, artefacts found.

    .venv/bin/python benchmarks/quality.py [--save NAME]

Tiles are those of shared/data beside the checkout; without it, synthetic tissue. Limits were chosen
with artefacts.INKS_CHOSEN_ON; what is scored is drawn on every second source, with other inks, widths and
places. Clean tissue of every source had been seen by then.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

import cv2
from harness import describe, save, take_turns

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

import artefacts
from quality_rates import (
    Tiles,
    clean_rates,
    found_rates,
    halves,
    measured,
    shared_tiles,
    synthetic_tiles,
    tables,
)
from shared_data import SHARED

from her2edge import MacenkoNormalizer, TissueFilter
from her2edge.quality import QualityLimits, measure_quality
from her2edge.tissue import bright_shares

TILES = 40
WIDTHS = (50, 70)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--save", metavar="NAME", help="keep the result in benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    real = SHARED.is_dir()
    sources = shared_tiles() if real else synthetic_tiles()
    times = speed(sources)
    print(times)
    limits = QualityLimits()
    clean = clean_rates(measured(sources), limits)
    _, second = halves(sources)
    found = {}
    for width in WIDTHS:
        found |= found_rates(second, limits, artefacts.INKS_SCORED_ON, width, 9000 + width)
    print(tables(clean, found))
    if arguments.save:
        result = {"real": real, "side_px": 512, "times": times, "clean": clean, "found": found}
        print(save("quality", result, arguments.save))


def speed(sources: Mapping[str, Tiles]) -> dict[str, object]:
    """Milliseconds of each on whole tiles, in turns, and what share of the stain's time quality takes."""
    tiles = [pixels for one in sources.values() for pixels, valid in one if valid == (512, 512)]
    tiles = tiles[:: max(1, len(tiles) // TILES)][:TILES]
    normalizer, rule, limits = MacenkoNormalizer(), TissueFilter(), QualityLimits()
    spent = take_turns(
        {
            "stain": lambda tile: normalizer.normalize(tile),
            "tissue and glass": lambda tile: bright_shares(rule, tile),
            "quality": lambda tile: measure_quality(tile, (512, 512), limits),
        },
        tiles,
        rounds=5,
        clock=time.process_time,
    )
    share = median(a / b for a, b in zip(spent["quality"], spent["stain"], strict=True))
    return {**describe(spent), "quality_over_stain": round(share, 3)}


if __name__ == "__main__":
    main()
