"""Every figure that the gate's report has of a converted model, measured by the SDK's own runtime."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from her2edge.model.file import Model
from her2edge.model.records import Limits, Verdict
from her2edge.runtime import Runtime, open_runtime, runtime_versions
from her2edge.tile import Pixels
from her2edge_quantize.gate.verdict import judge
from her2edge_training.evaluation.scores import fit_temperature
from her2edge_training.run.predictions import Predictions

THREADS = 2
TIMED = 30


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one tile's inference on this machine, medians over `tiles` tiles.

    float32_ms: the fp32 conversion, in turns with the model, so that whatever else the machine does meets
    both alike. ratio: how many times as long float32 takes, median of the pairs.
    """

    median_ms: float
    float32_ms: float
    ratio: float
    tiles: int
    threads: int
    runtime: str
    system: str
    cores: int | None


@dataclass(frozen=True)
class Measured:
    """One converted model. flatbuffer_bytes: without manifest, head and golden tiles."""

    scheme: str
    float_layers: tuple[str, ...]
    flatbuffer_bytes: int
    temperature: float
    latency: Latency
    verdict: Verdict


def measure(
    model: Model,
    float32: Model,
    tiles: Iterable[Pixels],
    reference: Predictions,
    limits: Limits,
    judges: NDArray[np.bool_],
) -> tuple[Measured, NDArray[np.float32]]:
    """Run a model on the network inputs that `reference` answers, in its order; one tile at a time.

    float32: the fp32 conversion, for its time. judges: (n,) tiles that chose nothing. Returns the figures, at
    the temperature that the model's own logits of labelled tiles ask for, and these (n, classes) logits.
    """
    runtime, other = (open_runtime("litert", one, THREADS) for one in (model, float32))
    answers: list[NDArray[np.float32]] = []
    pairs: list[tuple[float, float]] = []
    for tile in tiles:
        answer, own = _timed(runtime, tile)
        answers.append(answer)
        if len(pairs) <= TIMED:
            pairs.append((own, _timed(other, tile)[1]))
    logits = np.stack(answers)
    labelled = replace(reference, logits=logits).only(reference.actual >= 0)
    temperature = round(fit_temperature(labelled), 4)
    figures = Measured(
        scheme=model.manifest.scheme,
        float_layers=model.manifest.float_layers,
        flatbuffer_bytes=len(model.flatbuffer),
        temperature=temperature,
        latency=_latency(pairs),
        verdict=judge(reference, logits, temperature, limits, judges),
    )
    return figures, logits


def _timed(runtime: Runtime, tile: Pixels) -> tuple[NDArray[np.float32], float]:
    """(3,) logits and the milliseconds they took."""
    began = time.perf_counter()
    logits = runtime.logits(tile)
    return logits, 1e3 * (time.perf_counter() - began)


def _latency(pairs: list[tuple[float, float]]) -> Latency:
    """The first pair allocates: it is left out where there are others."""
    own, float32 = np.array(pairs[1:] or pairs).T
    return Latency(
        median_ms=round(float(np.median(own)), 2),
        float32_ms=round(float(np.median(float32)), 2),
        ratio=round(float(np.median(float32 / own)), 2),
        tiles=len(own),
        threads=THREADS,
        runtime=f"LiteRT {runtime_versions().get('ai-edge-litert', 'unknown')}",
        system=f"{platform.system()} {platform.machine()}",
        cores=os.cpu_count(),
    )
