"""Which runtimes there are, and starting one by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from types import MappingProxyType
from typing import Any

from her2edge.errors import OptionError
from her2edge.extras import missing_package
from her2edge.model.file import Model
from her2edge.runtime.adapter import PRECISION
from her2edge.runtime.litert import REQUIREMENT, LiteRTRuntime
from her2edge.runtime.openvino import OpenVINORuntime, precisions
from her2edge.runtime.pool import Pool
from her2edge.runtime.protocol import Runtime
from her2edge.runtime.tflite_runtime import TFLiteRuntime

DEFAULT = "litert"
INFER_PER_PREPARE = 4  # a tile computes at least so much longer in the network than before it


@dataclass(frozen=True)
class Kind:
    """A runtime: the package it comes in, its adapter, the precisions it can be asked for."""

    package: str
    adapter: Callable[..., Runtime]
    precisions: Callable[[], tuple[str, ...]] = lambda: (PRECISION,)

    @property
    def version(self) -> str | None:
        """Of the installed package, without importing it; None where there is none."""
        try:
            return metadata.version(self.package)
        except metadata.PackageNotFoundError:
            return None


RUNTIMES: Mapping[str, Kind] = MappingProxyType(
    {
        DEFAULT: Kind("ai-edge-litert", LiteRTRuntime),
        "openvino": Kind("openvino", OpenVINORuntime, precisions),
        "tflite-runtime": Kind("tflite-runtime", TFLiteRuntime),
    }
)


@dataclass(frozen=True)
class RuntimeUse:
    """What computed: results are the same bytes where this is the same, for one model and architecture.

    name: as in `RUNTIMES`; version: of its package; precision: of the sums that a model leaves in float.
    """

    name: str
    version: str
    precision: str = PRECISION

    def __str__(self) -> str:
        precision = "" if self.precision == PRECISION else f" in {self.precision}"
        return f"{self.name} {self.version}{precision}"


@dataclass(frozen=True)
class Plan:
    """How a model runs: threads for each of so many interpreters side by side."""

    runtime: str
    threads: int
    interpreters: int = 1
    precision: str = PRECISION

    def ahead(self, cores: int) -> int:
        """How many tiles are prepared while others are in the network; none where one core does all."""
        if cores == 1:
            return 0
        return -(-self.threads * self.interpreters // INFER_PER_PREPARE)

    def __str__(self) -> str:
        precision = "" if self.precision == PRECISION else f" in {self.precision}"
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        return f"{self.runtime}{precision}, {self.interpreters} x {threads}"


def kind_of(name: str, runtimes: Mapping[str, Kind] = RUNTIMES) -> Kind:
    """The runtime of this name; raises OptionError for an unknown one."""
    if name not in runtimes:
        raise OptionError(f"found runtime {name!r}, expected one of {', '.join(runtimes)}")
    return runtimes[name]


def use_of(plan: Plan, runtimes: Mapping[str, Kind] = RUNTIMES) -> RuntimeUse:
    """The part of a plan that results depend on."""
    return RuntimeUse(plan.runtime, kind_of(plan.runtime, runtimes).version or "unknown", plan.precision)


def open_runtime(
    name: str,
    model: Model,
    threads: int,
    precision: str = PRECISION,
    runtimes: Mapping[str, Kind] = RUNTIMES,
) -> Runtime:
    """Start the named runtime on a model; constructing it is the only proof that it works.

    Raises OptionError for an unknown name or precision, RuntimeUnavailable where it is not installed or
    cannot be used, ModelError where it refuses the FlatBuffer or that is not what the manifest says.
    """
    kind = kind_of(name, runtimes)
    more: dict[str, Any] = {}
    if precision != PRECISION:
        if precision not in kind.precisions():
            raise OptionError(f"found precision {precision!r}, which {name} does not have on this machine")
        more["precision"] = precision
    return kind.adapter(model, threads, **more)


def open_plan(plan: Plan, model: Model, runtimes: Mapping[str, Kind] = RUNTIMES) -> Runtime:
    """Start a model as planned; raises as `open_runtime`."""
    started = [
        open_runtime(plan.runtime, model, plan.threads, plan.precision, runtimes)
        for _ in range(plan.interpreters)
    ]
    return started[0] if len(started) == 1 else Pool(started)


def installed(runtimes: Mapping[str, Kind] = RUNTIMES) -> tuple[str, ...]:
    """Names of the runtimes whose packages are installed; whether they work is another question.

    Raises RuntimeUnavailable where there is none.
    """
    names = tuple(name for name, kind in runtimes.items() if kind.version is not None)
    if not names:
        raise missing_package("runtime on this machine that reads .tflite", REQUIREMENT)
    return names


def runtime_versions(runtimes: Mapping[str, Kind] = RUNTIMES) -> dict[str, str]:
    """Installed runtime packages and their versions, without importing them."""
    return {kind.package: kind.version for kind in runtimes.values() if kind.version is not None}
