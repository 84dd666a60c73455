"""How often the interval of a slide answer holds the true share, on maps whose neighbours are alike.

.venv/bin/python benchmarks/answer.py [--maps 1000] [--save NAME]

Beside it: the interval that takes every tile for independent. A map's true share is that of the endless map
it is a part of, so that a slide which is one of many regions is judged as such. The rule was chosen on other
maps of the first three kinds; discs were not looked at.
"""

from __future__ import annotations

import argparse
import math
import zlib
from typing import Any

import numpy as np
from drawn import FORMS, KINDS, hits, tissue
from harness import save

from her2edge.answer.beta import beta_quantile
from her2edge.answer.interval import effective_tiles, share_interval

SIDES = {"full": (70, 40), "ragged": (110, 50), "strip": (110,), "sparse 5 %": (280, 100)}
LENGTHS = (0, 1, 3, 6, 12)
SHARES = (0.5, 0.2, 0.05, 0.9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--maps", type=int, default=1000, help="of each kind and line, shared by the shares")
    parser.add_argument("--save", metavar="NAME", help="keep the result in results/NAME.json")
    given = parser.parse_args()
    rows = []
    for form in FORMS:
        for side in SIDES[form]:
            for length in LENGTHS:
                rows.append(line(form, side, length, given.maps))
                print(rows[-1], flush=True)
    if given.save:
        print(save("coverage", {"maps": given.maps, "shares": SHARES, "rows": rows}, given.save))


def line(form: str, side: int, length: int, maps: int) -> dict[str, Any]:
    """One line of the table. regions: that the tissue has room for, about."""
    kinds = {kind: coverage(kind, form, side, length, maps) for kind in KINDS[: None if length else 1]}
    first = kinds[KINDS[0]]
    area = first["tiles"] if form != "sparse 5 %" else side**2
    return {
        "form": form,
        "tiles": first["tiles"],
        "length": length,
        "regions": round(area / (4 * math.pi * length**2), 1) if length else None,
        "effective": first["effective"],
        "independent": first["independent"],
        "kinds": {
            kind: {name: found[name] for name in ("given", "coverage")} for kind, found in kinds.items()
        },
    }


def coverage(kind: str, form: str, side: int, length: int, maps: int) -> dict[str, Any]:
    """Of `maps` maps, the share that had an interval, and of these the share that holds."""
    rng = np.random.default_rng(zlib.crc32(f"{kind}, {form}, {side}, {length}".encode()))
    tiles, effective, given, holds, independent = [], [], 0, 0, 0
    for number in range(maps):
        share = SHARES[number % len(SHARES)]
        columns, rows, found = hits(rng, kind, tissue(rng, side, form), length, share)
        n, seen = len(found), float(found.mean())
        (worth,) = effective_tiles(columns, rows, found)
        tiles.append(n)
        effective += [] if worth is None else [worth.tiles]
        low, high = (beta_quantile(p, seen * n + 0.5, (1 - seen) * n + 0.5) for p in (0.025, 0.975))
        independent += low <= share <= high
        interval = share_interval(seen, worth)
        if interval is not None:
            given += 1
            holds += interval[0] <= share <= interval[1]
    return {
        "tiles": round(float(np.median(tiles))),
        "effective": round(float(np.median(effective))) if effective else None,
        "given": round(given / maps, 3),
        "coverage": round(holds / given, 3) if given else None,
        "independent": round(independent / maps, 3),
    }


if __name__ == "__main__":
    main()
