"""What a gate that refuses still asks for, in numbers: how many patients, how many tiles of each."""

from __future__ import annotations

import math

from msgspec import UNSET

from her2edge.model.records import GATE_PATIENTS, Limits, Verdict
from her2edge.text import percent
from her2edge_training.evaluation.intervals import FLOOR, upper_end

_MOST = 2000  # patients; what takes more is no advice
ADVICE = "--gate-data takes slides, folders or lists of them; labels are not needed"


def fewest_patients(limits: Limits) -> int:
    """GATE_PATIENTS where the limits do not say."""
    return GATE_PATIENTS if limits.patients is UNSET else limits.patients


def few_tiles(tiles: int, patients: int, limits: Limits) -> str:
    """What there is, what is asked for, and what to bring."""
    wanted = fewest_patients(limits)
    more = max(0, wanted - patients)
    missing = max(0, limits.tiles - tiles)
    if more:
        each = max(math.ceil(limits.tiles / max(wanted, 1)), math.ceil(missing / more))
        bring = f"bring {more} more patients with {each} tiles of each"
    else:
        bring = f"bring {missing} more tiles"
    return (
        f"{tiles} held-out tiles of {patients} patients, expected at least {limits.tiles} tiles of {wanted} "
        f"patients that chose nothing: {bring} ({ADVICE})"
    )


def more_patients(verdict: Verdict) -> str:
    """How many patients, with as many tiles of each and flips as often, would show what the limit asks."""
    limit, share = verdict.limits.flips, verdict.flips / verdict.tiles
    each = max(1, round(verdict.tiles / verdict.patients))
    alike = verdict.flip_likeness if isinstance(verdict.flip_likeness, float) else FLOOR
    patients = patients_needed(share, each, limit, verdict.patients, max(FLOOR, alike))
    if patients is None:
        return (
            f"more tiles will not show it, since {percent(share, 2)} flip: try --scheme int8-qat, "
            "--keep-float or --scheme fp16"
        )
    return (
        f"if flips stay as rare, {patients} patients with {each} tiles of each show it: bring "
        f"{patients - verdict.patients} more ({ADVICE})"
    )


def patients_needed(share: float, each: int, limit: float, above: int, alike: float) -> int | None:
    """How many patients, more than `above`, show a share of flips below the limit; None: too many.

    each: tiles of a patient. alike: intra-class correlation of their flips, 0..1.
    """
    effect = 1 + alike * (each - 1)
    for patients in range(above + 1, _MOST + 1):
        if upper_end(share, patients * each / effect) <= limit:
            return patients
    return None
