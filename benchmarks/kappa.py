"""How often the interval of kappa holds the true one, beside that of plain resampling of patients.

    python benchmarks/kappa.py [--labs 1000]

A lab's table of known scores and answers is drawn from three labels of a third each, of which a share is
answered otherwise, four times as often by the next label as by the one after it. Prints the table of
docs/agree-figures.md.
"""

from __future__ import annotations

import argparse

import numpy as np

from her2edge.agree.kappa import cohen_kappa
from her2edge.tables import markdown
from her2edge.text import percent

WRONG = (0.01, 0.05, 0.3)
PATIENTS = (27, 60, 150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labs", type=int, default=1000)
    labs = parser.parse_args().labs
    rows = [
        (patients, percent(wrong), *map(percent, held(patients, wrong, labs)))
        for patients in PATIENTS
        for wrong in WRONG
    ]
    print("\n".join(markdown(("patients", "wrong", "ours holds", "resampling holds"), rows)))


def held(patients: int, wrong: float, labs: int) -> tuple[float, float]:
    """Shares of labs whose interval holds the true kappa: ours, and that of 1,000 resamplings."""
    near, far, both = 0.8 * wrong, 0.2 * wrong, 0.5 * wrong
    shares = np.array([[1 - wrong, near, far], [both, 1 - wrong, both], [far, near, 1 - wrong]]) / 3
    true = cohen_kappa(np.rint(shares * 3e6)).value
    random = np.random.default_rng(5)
    ours = plain = 0
    for _ in range(labs):
        counts = random.multinomial(patients, shares.ravel())
        interval = cohen_kappa(counts.reshape(3, 3)).interval
        ours += interval is not None and interval.low <= true <= interval.high
        again = random.multinomial(patients, counts / patients, size=1000).reshape(-1, 3, 3)
        low, high = np.quantile(kappas(again), [0.025, 0.975])
        plain += low <= true <= high
    return ours / labs, plain / labs


def kappas(tables: np.ndarray) -> np.ndarray:
    """(n, 3, 3) -> (n,): Cohen's kappa of each."""
    n = tables.sum(axis=(1, 2))
    agreed = np.trace(tables, axis1=1, axis2=2) / n
    chance = (tables.sum(axis=1) * tables.sum(axis=2)).sum(axis=1) / n**2
    return (agreed - chance) / (1 - chance)


if __name__ == "__main__":
    main()
