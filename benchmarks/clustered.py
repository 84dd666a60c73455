"""How often intervals of tiles of few patients hold, and what the gate's bound lets through.

    .venv/bin/python benchmarks/clustered.py [--draws 2000] [--save NAME]

Patients differ: each has a rate of its own from a beta distribution, of which the intra-class correlation
(ICC) is given. `evaluated` asks how often the interval of an accuracy holds the true one, and how often that
of resampled patients would; `gated` how often the upper end of the flips' interval is within the limit where
the true rate is above it, and where it is far below. Two minutes for 2,000 draws.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
from harness import save

from her2edge.model.records import Limits
from her2edge.tables import markdown
from her2edge.text import percent
from her2edge_training.evaluation.intervals import share_interval

GROUPS = (10, 15, 20, 38)
ACCURACIES = (0.7, 0.9, 0.98)
LIKENESS = (0.1, 0.2, 0.3)
TILES = 50  # of a patient, in `evaluated`
PATIENTS = (60, 100, 160)
GATE_LIKENESS = (0.0, 0.05, 0.1, 0.2, 0.3)
BAD, GOOD = 0.012, 0.001
GATE_TILES = 2000
RESAMPLES = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--save", metavar="NAME")
    arguments = parser.parse_args()
    for part, make, table in (("evaluated", evaluated, evaluated_table), ("gated", gated, gated_table)):
        found = make(arguments.draws)
        print("\n".join(table(found)))
        if arguments.save:
            save(part, found, arguments.save)


def evaluated(draws: int) -> dict[str, Any]:
    """Coverage of `evaluate`'s interval by patients, accuracy and ICC."""
    random = np.random.default_rng(17)
    rows = []
    for groups in GROUPS:
        of = np.repeat(np.arange(groups), TILES)
        for accuracy in ACCURACIES:
            for icc in LIKENESS:
                held = resampled = 0
                for _ in range(draws):
                    right = drawn(random, accuracy, icc, of)
                    low, high = share_interval(right, of)
                    held += low <= accuracy <= high
                    low, high = resample(random, right, of)
                    resampled += low <= accuracy <= high
                shares = {"held": held / draws, "resampled": resampled / draws}
                rows.append({"patients": groups, "accuracy": accuracy, "icc": icc, **shares})
    return {"draws": draws, "tiles_of_a_patient": TILES, "rows": rows}


def gated(draws: int) -> dict[str, Any]:
    """Share of draws in which the flips' bound is within the limit, by patients and ICC."""
    random, limit = np.random.default_rng(18), Limits().flips
    rows = []
    for patients in PATIENTS:
        of = np.arange(GATE_TILES) * patients // GATE_TILES
        for icc in GATE_LIKENESS:
            passed = {
                name: sum(share_interval(drawn(random, rate, icc, of), of)[1] <= limit for _ in range(draws))
                for name, rate in (("bad", BAD), ("good", GOOD))
            }
            shares = {name: count / draws for name, count in passed.items()}
            rows.append({"patients": patients, "icc": icc, **shares})
    return {"draws": draws, "tiles": GATE_TILES, "bad_rate": BAD, "good_rate": GOOD, "rows": rows}


def drawn(random: np.random.Generator, rate: float, icc: float, of: Any) -> Any:
    """(n,) bool; `of`: the patient of each tile, 0, 1, ..."""
    patients = int(of[-1]) + 1
    scale = 1 / icc - 1 if icc else 0
    rates = random.beta(rate * scale, (1 - rate) * scale, patients) if icc else np.full(patients, rate)
    return random.random(len(of)) < rates[of]


def resample(random: np.random.Generator, right: Any, of: Any) -> tuple[float, float]:
    """The interval of whole patients drawn with replacement, all of as many tiles."""
    shares = np.bincount(of, right) / np.bincount(of)
    means = shares[random.integers(0, len(shares), (RESAMPLES, len(shares)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def evaluated_table(found: dict[str, Any]) -> Iterator[str]:
    """Rows of patients and accuracy, a column for each ICC."""
    yield (
        f"{found['draws']:,} draws of each, {found['tiles_of_a_patient']} tiles of a patient; how often the "
        "95 % interval holds the true accuracy, in brackets that of resampled patients:"
    )
    yield ""
    cells = {(one["patients"], one["accuracy"], one["icc"]): one for one in found["rows"]}
    lines = list(dict.fromkeys((patients, accuracy) for patients, accuracy, _icc in cells))
    columns = list(dict.fromkeys(icc for _patients, _accuracy, icc in cells))
    rows = []
    for line in lines:
        of = [cells[(*line, icc)] for icc in columns]
        held = (f"{percent(one['held'], 1)} ({percent(one['resampled'])})" for one in of)
        rows.append((line[0], percent(line[1]), *held))
    yield from markdown(("patients", "accuracy", *(f"ICC {icc:g}" for icc in columns)), rows)


def gated_table(found: dict[str, Any]) -> Iterator[str]:
    """Rows of patients, a column for each ICC."""
    bad, good = (percent(found[name], 1) for name in ("bad_rate", "good_rate"))
    yield (
        f"{found['draws']:,} draws of each, {found['tiles']:,} tiles; how often the flips' bound is within "
        f"{percent(Limits().flips, None)} where the true rate is {bad}, and where it is {good}:"
    )
    yield ""
    cells = {(one["patients"], one["icc"]): one for one in found["rows"]}
    columns = list(dict.fromkeys(icc for _patients, icc in cells))
    rows = []
    for patients in dict.fromkeys(patients for patients, _icc in cells):
        of = [cells[patients, icc] for icc in columns]
        rows.append((patients, *(f"{percent(one['bad'], 1)}, {percent(one['good'])}" for one in of)))
    yield from markdown(("patients", *(f"ICC {icc:g}" for icc in columns)), rows)


if __name__ == "__main__":
    main()
