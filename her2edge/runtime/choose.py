"""Which runtimes there are, and starting one by its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from her2edge.errors import OptionError, RuntimeUnavailable
from her2edge.model.file import Model
from her2edge.runtime.adapter import PRECISION
from her2edge.runtime.litert import LiteRTRuntime
from her2edge.runtime.machine import usable_cores
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


RUNTIMES = {
    DEFAULT: Kind("ai-edge-litert", LiteRTRuntime),
    "openvino": Kind("openvino", OpenVINORuntime, precisions),
    "tflite-runtime": Kind("tflite-runtime", TFLiteRuntime),
}


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

    @property
    def use(self) -> RuntimeUse:
        """The part of the plan that results depend on."""
        return RuntimeUse(self.runtime, kind_of(self.runtime).version or "unknown", self.precision)

    @property
    def ahead(self) -> int:
        """How many tiles are prepared while others are in the network; none where one core does all."""
        if usable_cores() == 1:
            return 0
        return -(-self.threads * self.interpreters // INFER_PER_PREPARE)

    def __str__(self) -> str:
        precision = "" if self.precision == PRECISION else f" in {self.precision}"
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        return f"{self.runtime}{precision}, {self.interpreters} x {threads}"


def kind_of(name: str) -> Kind:
    """The runtime of this name; raises OptionError for an unknown one."""
    if name not in RUNTIMES:
        raise OptionError(f"found runtime {name!r}, expected one of {', '.join(RUNTIMES)}")
    return RUNTIMES[name]


def open_runtime(name: str, model: Model, threads: int, precision: str = PRECISION) -> Runtime:
    """Start the named runtime on a model; constructing it is the only proof that it works.

    Raises OptionError for an unknown name or precision, RuntimeUnavailable where it is not installed or
    cannot be used, ModelError where it refuses the FlatBuffer or that is not what the manifest says.
    """
    kind = kind_of(name)
    more: dict[str, Any] = {}
    if precision != PRECISION:
        if precision not in kind.precisions():
            raise OptionError(f"found precision {precision!r}, which {name} does not have on this machine")
        more["precision"] = precision
    return kind.adapter(model, threads, **more)


def open_plan(plan: Plan, model: Model) -> Runtime:
    """Start a model as planned; raises as `open_runtime`."""
    runtimes = [
        open_runtime(plan.runtime, model, plan.threads, plan.precision) for _ in range(plan.interpreters)
    ]
    return runtimes[0] if len(runtimes) == 1 else Pool(runtimes)


def installed() -> tuple[str, ...]:
    """Names of the runtimes whose packages are installed; whether they work is another question.

    Raises RuntimeUnavailable where there is none.
    """
    names = tuple(name for name, kind in RUNTIMES.items() if kind.version is not None)
    if not names:
        raise RuntimeUnavailable(
            "found no runtime on this machine, expected one that reads .tflite: install the default one with "
            '`pip install "ai-edge-litert>=2.3"`'
        )
    return names


def runtime_versions() -> dict[str, str]:
    """Installed runtime packages and their versions, without importing them."""
    kinds = RUNTIMES.values()
    return {kind.package: kind.version for kind in kinds if kind.version is not None}
