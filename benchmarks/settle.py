"""How many tiles settle an answer: seeded maps of known shares, read in the SDK's own random order.

.venv/bin/python benchmarks/settle.py [--maps 1000] [--save NAME] [--picture docs/pictures/settle.png]
.venv/bin/python benchmarks/settle.py --cost

A label alone (the bets between labels, from the first tile on), then with the slide rules and the 30 tissue
tiles of `Settle()`. Wrong: the label is not that of the whole map. The same rule row by row, as a scanner
delivers tiles, is shown to be wrong; the SDK takes no such order. --cost: what taking a result takes.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import time
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from harness import save
from maps import by_rank, field
from numpy.typing import NDArray

from her2edge.answer import RandomOrder, Settle, Settling, order_of_places
from her2edge.answer.martingale import Bets
from her2edge.tile import Outcome, TileResult

SHARES = ((90, 7, 3), (70, 20, 10), (60, 30, 10), (55, 35, 10), (50, 40, 10), (47, 43, 10))
COLUMNS, ROWS = 100, 50
ERROR, MINIMUM = 0.05, 30
NOISE = 0.5
BLOCK = 256
SCANNED = 200  # maps of a line that are read row by row as well
LABELS = ("0/1+", "2+", "3+")
TAKEN, ROUNDS = 3000, 7  # results of which the cost is measured, and how often


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--maps", type=int, default=1000, help="of each line")
    parser.add_argument("--save", metavar="NAME", help="keep the result in results/NAME.json")
    parser.add_argument("--picture", type=Path, help="draw it")
    parser.add_argument("--cost", action="store_true", help="only print what Settling.add takes")
    given = parser.parse_args()
    if given.cost:
        for outcome in (Outcome.BACKGROUND, Outcome.CLASSIFIED):
            print(f"Settling.add, {outcome}: {cost(outcome):.1f} us of processor time, median of {ROUNDS}")
        return
    rows = []
    for length in (0, 6):
        for shares in SHARES:
            rows.append(line(shares, length, given.maps))
            print(rows[-1], flush=True)
    if given.save:
        result = {"tiles": COLUMNS * ROWS, "error": ERROR, "rows": rows}
        print(save("settle", result, given.save))
    if given.picture:
        draw(rows, given.picture)


def line(shares: Sequence[int], length: float, maps: int) -> dict[str, Any]:
    """One line of the table."""
    alone, whole, wrong, row_by_row, scanned = [], [], 0, 0, min(maps, SCANNED)
    for number in range(maps):
        rng = np.random.default_rng([*shares, round(length), number])
        classes = by_rank(field(rng, ROWS, COLUMNS, length, NOISE), shares)
        order = order_of_places(hashlib.sha256(rng.bytes(8)).hexdigest(), COLUMNS, ROWS)
        (tiles, label), (with_rules, _) = settles(classes[order])
        alone.append(tiles)
        whole.append(with_rules)
        wrong += label not in (0, None)
        if number < scanned:
            row_by_row += settles(classes)[0][1] not in (0, None)
    return {
        "maps": maps,
        "shares": list(shares),
        "length": length,
        "median": round(float(np.median(alone))),
        "p90": round(float(np.quantile(alone, 0.9))),
        "wrong": wrong,
        "with_rules": round(float(np.median(whole))),
        "with_rules_p90": round(float(np.quantile(whole, 0.9))),
        "wrong_row_by_row": round(row_by_row / scanned, 3),
    }


def settles(classes: NDArray[np.int64], labels: int = 3) -> list[tuple[int, int | None]]:
    """After how many of these votes a label is settled, and which: None where only the last decides.

    First by the label alone, then with the two slide rules, no tile being novel or of low quality, and the
    minimum of tissue tiles.
    """
    pairs = list(permutations(range(labels), 2))
    votes = np.eye(labels)[classes]
    values = [(1 + votes[:, a] - votes[:, b]) / 2 for a, b in pairs]
    values += [np.full(len(classes), (1 + q / max(q, 1 - q)) / 2) for q in (0.5, 0.3)]
    bets = Bets(len(classes), len(values))
    table, first = np.stack(values, axis=1), (len(classes), None)
    ends: list[tuple[int, int | None]] = [first, first]
    for start in range(0, len(classes), BLOCK):
        won = bets.read(table[start : start + BLOCK]) >= math.log((labels + 1) / ERROR)
        mine = [[i for i, (a, _) in enumerate(pairs) if a == label] for label in range(labels)]
        best = np.stack([won[:, one].all(axis=1) for one in mine], axis=1)
        alone = best.any(axis=1)
        late = np.arange(start, start + len(won)) >= MINIMUM - 1
        for which, decided in enumerate((alone, alone & late & won[:, len(pairs) :].all(axis=1))):
            if decided.any() and ends[which] == first:
                at = int(np.argmax(decided))
                ends[which] = start + at + 1, int(np.argmax(best[at]))
        if first not in ends:
            break
    return ends


def cost(outcome: Outcome) -> float:
    """Microseconds that a result takes: background, or a tile that votes, so that no label is decided."""
    order = RandomOrder(hashlib.sha256(b"cost").hexdigest(), COLUMNS, ROWS)
    chances = np.random.default_rng(0).dirichlet((1, 1, 1), TAKEN).astype(np.float32)
    results = []
    for place, p in zip(order.places[:TAKEN].tolist(), chances, strict=True):
        row, column = divmod(place, COLUMNS)
        at = ("s", 512.0 * column, 512.0 * row, (512.0, 512.0), outcome)
        votes = {"probabilities": p, "novelty": 0.5, "pooled": True} if outcome is Outcome.CLASSIFIED else {}
        results.append(TileResult(*at, **votes))
    spent = []
    for _ in range(ROUNDS):
        settling = Settling(Settle(), order, LABELS)
        began = time.process_time()
        for result in results:
            settling.add(result)
        spent.append(1e6 * (time.process_time() - began) / TAKEN)
    return median(spent)


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Tiles until settled over the distance between the two largest shares."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.2), dpi=110, layout="constrained")
    axes = figure.subplots()
    mine = [row for row in rows if row["length"] == 6]
    gap = [row["shares"][0] - row["shares"][1] for row in mine]
    axes.plot(gap, [row["with_rules"] for row in mine], "o-", color="#2166ac", label="half of slides")
    axes.plot(
        gap, [row["with_rules_p90"] for row in mine], "s--", color="#92c5de", label="nine in ten slides"
    )
    axes.axhline(COLUMNS * ROWS, color="#b2182b", lw=1.2)
    axes.text(84, COLUMNS * ROWS * 1.08, "every tile of the slide", color="#b2182b", ha="right", va="bottom")
    for row, x in zip(mine, gap, strict=True):
        label = f"{row['shares'][0]} : {row['shares'][1]}"
        axes.annotate(
            label, (x, row["with_rules"]), (-6, -12), textcoords="offset points", fontsize=8, ha="right"
        )
    axes.set(yscale="log", xlim=(-6, 90), ylim=(20, 9000))
    axes.set_xticks(range(0, 91, 10))
    axes.set_yticks([30, 100, 300, 1000, 3000], ["30", "100", "300", "1,000", "3,000"])
    axes.set_xlabel("largest share of tiles minus the second largest (percentage points)")
    axes.set_ylabel("tissue tiles read until the answer is settled")
    axes.set_title("A clear slide is settled after few tiles, a close one after most", fontsize=11)
    axes.legend(loc="center right", frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})


if __name__ == "__main__":
    main()
