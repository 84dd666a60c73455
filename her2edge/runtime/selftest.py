"""Golden tiles: a model carries inputs and the logits they gave where it was packed.

A damaged library, a processor that saturates or a runtime of another mind shows here, before the first
tile of a patient does.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from her2edge.errors import InferenceError, ModelError
from her2edge.model.file import Model
from her2edge.probability import probabilities
from her2edge.runtime.choose import RuntimeUse
from her2edge.runtime.machine import CPUINFO, architecture, tells_processor
from her2edge.runtime.protocol import Runtime

TILES = 2
MAX_DIFFERENCE = 0.03  # of a probability, between runtimes or architectures
_OTHERWISE = "use another runtime (`her2edge doctor` tries all), or install this one or pack the model again"
_MOUNT = (
    "found no /proc/cpuinfo either, without which runtimes do not know the processor and compute other bits: "
    "mount /proc (`mount -t proc proc /proc`; containers have it unless told otherwise), and run again"
)
CLEAR_MARGIN = 0.06  # between the two first classes: closer than this, either may come first


@dataclass(frozen=True)
class SelfTest:
    """A passed self-test. difference: of a probability, the largest, 0 where all outputs are identical."""

    tiles: int
    identical: bool
    difference: float
    seconds: float

    def __str__(self) -> str:
        return "identical" if self.identical else f"within {self.difference:.4f}"


def self_test(runtime: Runtime, model: Model, use: RuntimeUse, cpuinfo: Path = CPUINFO) -> SelfTest:
    """Run two golden tiles and hold their logits against the model's.

    An int8 model must give identical outputs where runtime, version and architecture are those of its golden
    tiles; else no probability may differ by more than 0.03, nor the class where its margin is above 0.06.
    cpuinfo: where the system describes the processor.

    Raises ModelError naming the runtime and the difference.
    """
    golden, started = model.golden, time.perf_counter()
    if len(golden.tiles) == 0:
        raise ModelError("found no golden tiles in the model, expected two: pack the model again")
    try:
        logits = np.stack([runtime.logits(tile) for tile in golden.tiles[:TILES]])
    except InferenceError as error:
        raise ModelError(f"the golden tiles cannot be run: {error}") from error
    seconds = time.perf_counter() - started
    expected = golden.logits[:TILES]
    identical = bool(np.array_equal(logits, expected))
    difference, classes_agree = _compare(logits, expected, model.manifest.temperature)
    strict = _same_origin(model, use)
    if (strict and not identical) or not (difference <= MAX_DIFFERENCE and classes_agree):
        wanted = "identical outputs" if strict else f"{MAX_DIFFERENCE} at most and the same classes"
        advice = _OTHERWISE if tells_processor(cpuinfo) else _MOUNT
        raise ModelError(
            f"{runtime.title} ({use}) disagrees with the model's golden tiles: found probabilities that "
            f"differ by {difference:.3f}, expected {wanted}: {advice}"
        )
    return SelfTest(len(logits), identical, difference, seconds)


def _compare(
    logits: NDArray[np.float32], expected: NDArray[np.float32], temperature: float
) -> tuple[float, bool]:
    """The largest difference of a probability, and whether all clear classes are the same."""
    ours, theirs = probabilities(logits, temperature), probabilities(expected, temperature)
    second, first = np.sort(theirs, axis=1)[:, -2:].T
    clear = first - second > CLEAR_MARGIN
    same = ours.argmax(axis=1) == theirs.argmax(axis=1)
    return float(np.abs(ours - theirs).max()), bool(np.all(same | ~clear))


def _same_origin(model: Model, use: RuntimeUse) -> bool:
    """Whether the golden logits are of an int8 model and were made by the same code."""
    origin = model.manifest.golden_origin
    if origin is UNSET or model.manifest.logits.dtype == "float32":
        return False
    return (origin.runtime, origin.version, origin.architecture) == (use.name, use.version, architecture())
