"""How often the interval of a slide answer holds the true share, on maps whose neighbours are alike.

.venv/bin/python benchmarks/answer.py [--maps 1000] [--save NAME]

Beside it: the interval that takes every tile for independent. A map's true share is that of the field it is
drawn from, so that a slide which is one of many regions is judged as such.
"""

from __future__ import annotations

import argparse
from statistics import NormalDist
from typing import Any

import numpy as np
from harness import save
from maps import FORMS, field, tissue

from her2edge.answer.beta import beta_quantile
from her2edge.answer.interval import FEWEST_TILES, effective_tiles, share_interval

NOISE = 0.4
SIDES = {"full": (70, 30), "ragged": (110, 70), "sparse 5 %": (280, 160)}
LENGTHS = (0, 1, 3, 6, 12)
SHARES = (0.5, 0.2, 0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--maps", type=int, default=1000, help="of each line, shared by the three shares")
    parser.add_argument("--save", metavar="NAME", help="keep the result in results/NAME.json")
    given = parser.parse_args()
    rows = []
    for form in FORMS:
        for side in SIDES[form]:
            for length in LENGTHS:
                rows.append(coverage(form, side, length, given.maps))
                print(rows[-1], flush=True)
    if given.save:
        print(save("coverage", {"maps": given.maps, "noise": NOISE, "rows": rows}, given.save))


def coverage(form: str, side: int, length: float, maps: int) -> dict[str, Any]:
    """One line of the table: of `maps` maps, how many had an interval, and how many of these hold."""
    rng = np.random.default_rng([FORMS.index(form), side, round(10 * length)])
    tiles, effective, given, holds, independent = [], [], 0, 0, 0
    for number in range(maps):
        share = SHARES[number % len(SHARES)]
        z = field(rng, side, side, length, NOISE)
        rows, columns = np.nonzero(tissue(rng, side, side, form))
        hits = z[rows, columns] > NormalDist().inv_cdf(1 - share)
        n, seen = len(hits), float(hits.mean())
        worth = effective_tiles(columns, rows, hits)
        tiles.append(n)
        effective.append(worth or 0.0)
        low, high = (beta_quantile(p, seen * n + 0.5, (1 - seen) * n + 0.5) for p in (0.025, 0.975))
        independent += low <= share <= high
        interval = share_interval(seen, worth) if n >= FEWEST_TILES else None
        if interval is not None:
            given += 1
            holds += interval[0] <= share <= interval[1]
    return {
        "form": form,
        "tiles": round(float(np.median(tiles))),
        "length": length,
        "effective": round(float(np.median(effective))),
        "given": round(given / maps, 3),
        "coverage": round(holds / given, 3) if given else None,
        "independent": round(independent / maps, 3),
    }


if __name__ == "__main__":
    main()
