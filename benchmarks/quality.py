"""Quality of a tile: milliseconds beside stain and tissue, clean tissue kept out, artefacts found.

    .venv/bin/python benchmarks/quality.py [--save NAME]

Tiles are those of shared/data beside the checkout; without it, synthetic tissue. Limits of blur and of clear
ink are 0.85 of the least, or more than twice the largest, figure of clean tissue of every second source, seen
with artefacts.INKS_CHOSEN_ON; what is scored is drawn on the other sources, with other inks, widths and
places. Prints both parts' figures, so that one sees how much room is left.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

import cv2
from harness import describe, ratio, save, take_turns

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

import artefacts
from quality_rates import (
    Tiles,
    clean_rates,
    found_rates,
    halves,
    least_and_most,
    measured,
    shared_tiles,
    synthetic_tiles,
    tables,
)
from shared_data import SHARED

from her2edge import MacenkoNormalizer, TissueFilter
from her2edge.quality import QualityLimits, measure_quality
from her2edge.tissue import measure_light

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
    first, second = halves(sources)
    parts = {"chosen on": least_and_most(measured(first)), "scored on": least_and_most(measured(second))}
    for name, figures in parts.items():
        print(f"clean tissue, {name}:", ", ".join(f"{key} {value:.4g}" for key, value in figures.items()))
    found = {}
    for width in WIDTHS:
        found |= found_rates(second, limits, artefacts.INKS_SCORED_ON, width, 9000 + width)
    print(tables(clean, found))
    if arguments.save:
        result = {
            "real": real,
            "side_px": 512,
            "times": times,
            "clean": clean,
            "parts": parts,
            "found": found,
        }
        print(save("quality", result, arguments.save))


def speed(sources: Mapping[str, Tiles]) -> dict[str, object]:
    """Milliseconds of each on whole tiles, in turns, and what share of the stain's time quality takes."""
    tiles = [pixels for one in sources.values() for pixels, valid in one if valid == (512, 512)]
    tiles = tiles[:: max(1, len(tiles) // TILES)][:TILES]
    normalizer, rule, limits = MacenkoNormalizer(), TissueFilter(), QualityLimits()
    spent = take_turns(
        {
            "stain": lambda tile: normalizer.normalize(tile),
            "tissue and glass": lambda tile: measure_light(rule, tile),
            "tissue and quality": lambda tile: measure_quality(
                tile, (512, 512), limits, measure_light(rule, tile)
            ),
        },
        tiles,
        rounds=5,
        clock=time.process_time,
    )
    both, light, stain = spent["tissue and quality"], spent["tissue and glass"], spent["stain"]
    share = median((a - b) / c for a, b, c in zip(both, light, stain, strict=True))
    return {
        **describe(spent),
        "quality_over_stain": round(share, 3),
        "tissue_and_quality_over_stain": round(1 / ratio(spent, "stain", "tissue and quality", 6), 3),
    }


if __name__ == "__main__":
    main()
