"""Everything the gate's report says of a converted model, measured by the SDK's own runtime."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from her2edge.manifest import Limits, Verdict
from her2edge.model import Model
from her2edge.runtime import open_runtime, runtime_versions
from her2edge.tile import Pixels
from her2edge_quantize.gate import judge
from her2edge_training.predictions import Predictions
from her2edge_training.scores import fit_temperature

THREADS = 2


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one tile's inference on this machine; median, first and ninth decile."""

    median_ms: float
    p10_ms: float
    p90_ms: float
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
    model: Model, tiles: Iterable[Pixels], reference: Predictions, limits: Limits
) -> tuple[Measured, NDArray[np.float32]]:
    """Run a model on the network inputs that `reference` speaks of, in its order; one tile at a time.

    Returns what was found, at the temperature the model's own logits ask for, and these (n, 3) logits.
    """
    runtime = open_runtime("litert", model, THREADS)
    answers, seconds = [], []
    for tile in tiles:
        began = time.perf_counter()
        answers.append(runtime.logits(tile))
        seconds.append(time.perf_counter() - began)
    logits = np.stack(answers)
    temperature = round(fit_temperature(replace(reference, logits=logits)), 4)
    found = Measured(
        scheme=model.manifest.scheme,
        float_layers=model.manifest.float_layers,
        flatbuffer_bytes=len(model.flatbuffer),
        temperature=temperature,
        latency=_latency(seconds),
        verdict=judge(reference, logits, temperature, limits),
    )
    return found, logits


def _latency(seconds: list[float]) -> Latency:
    """The first call allocates: it is left out where there are others."""
    low, middle, high = 1e3 * np.quantile(seconds[1:] or seconds, (0.1, 0.5, 0.9))
    return Latency(
        median_ms=round(float(middle), 2),
        p10_ms=round(float(low), 2),
        p90_ms=round(float(high), 2),
        threads=THREADS,
        runtime=f"LiteRT {runtime_versions().get('ai-edge-litert', 'unknown')}",
        system=f"{platform.system()} {platform.machine()}",
        cores=os.cpu_count(),
    )
