"""How often the monthly comparison of `her2edge agree` raises an alarm, and how often it finds a change.

    .venv/bin/python benchmarks/drift.py [--months 1000] [--save NAME]

Slides of a baseline and of a month are drawn with known truth: from one laboratory (every alarm is false), or
from one that changed in one thing. Novelty and blur of a slide are skewed: most slides have next to none, one
in eight is poor. Stain strength varies by 15 % from slide to slide. A simulation: it says what the rule does,
nothing of patients.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from harness import save

from her2edge.agree.drift import drift_lines
from her2edge.agree.records import AMBIGUOUS, NOT_ASSESSABLE, SlideRecord
from her2edge.tile import LABELS

SIZES = ((27, 9), (30, 30), (60, 30), (100, 100))  # slides of the baseline, of the month
ANSWERS = (*LABELS, AMBIGUOUS, NOT_ASSESSABLE)
SHARES = (0.35, 0.2, 0.2, 0.2, 0.05)  # of the answers
POOR = 0.125  # share of slides that are poor
UNCHANGED = "no change"
CHANGES: Mapping[str, tuple[Mapping[str, float], str | None]] = MappingProxyType(
    {
        UNCHANGED: ({}, None),
        "haematoxylin 15 % weaker": ({"haematoxylin": 0.85}, "haematoxylin"),
        "haematoxylin 25 % weaker": ({"haematoxylin": 0.75}, "haematoxylin"),
        "10 points more blurred tiles": ({"blurred": 0.1}, "blurred"),
        "20 points more blurred tiles": ({"blurred": 0.2}, "blurred"),
        "10 points more novel tiles": ({"novelty": 0.1}, "novelty"),
        "20 points more novel tiles": ({"novelty": 0.2}, "novelty"),
    }
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--months", type=int, default=1000, help="without a change; a fifth with one")
    parser.add_argument("--save", metavar="NAME", help="keep the result in results/NAME.json")
    given = parser.parse_args()
    rows = [
        {
            "change": name,
            "baseline": before,
            "month": now,
            **alarms(name, before, now, given.months // (1 if name == UNCHANGED else 5)),
        }
        for name in CHANGES
        for before, now in SIZES
    ]
    for row in rows:
        print(row)
    if given.save:
        print(save("drift", {"months": given.months, "rows": rows}, given.save))


def alarms(change: str, before: int, now: int, months: int) -> dict[str, float]:
    """Shares of months: with a flag on what changed, and with a flag on anything else."""
    random = np.random.default_rng([before, now, len(change)])
    factors, what = CHANGES[change]
    found = false = 0
    for _ in range(months):
        lines = drift_lines(slides(random, now, **factors), slides(random, before), LABELS)
        flagged = {line.what for line in lines if line.flagged}
        found += what in flagged
        false += bool(flagged - {what})
    return {"found": round(found / months, 4), "false": round(false / months, 4)}


def slides(
    random: np.random.Generator,
    count: int,
    haematoxylin: float = 1.0,
    blurred: float = 0.0,
    novelty: float = 0.0,
) -> list[SlideRecord]:
    """A laboratory's slides. haematoxylin: factor on its strength; blurred, novelty: added shares."""
    answers = random.choice(len(ANSWERS), count, p=SHARES)
    strength = np.array((1.9 * haematoxylin, 1.0)) * random.lognormal(-0.011, 0.15, (count, 2))
    return [_slide(row, random, int(answers[row]), strength[row], blurred, novelty) for row in range(count)]


def _slide(
    row: int, random: np.random.Generator, answer: int, strength: Any, blurred: float, novelty: float
) -> SlideRecord:
    word = ANSWERS[answer]
    codes = {name: _share(random) for name in ("over_exposed", "no_stain", "pen")}
    return SlideRecord(
        slide=f"{row}.svs",
        row=row,
        patient=f"p{row}",
        site="A",
        scanner="maker model",
        score="",
        label=None,
        counts=True,
        answer=word,
        labels=(word,) if word in LABELS else (),
        novelty=min(1.0, _share(random) + novelty),
        codes={"blurred": min(1.0, _share(random) + blurred), **codes},
        stains=(float(strength[0]), float(strength[1])),
    )


def _share(random: np.random.Generator) -> float:
    """Of a slide's tiles: about 2 %, or of a poor slide about 25 %."""
    return float(random.beta(2, 6) if random.random() < POOR else random.beta(0.5, 25))


if __name__ == "__main__":
    main()
