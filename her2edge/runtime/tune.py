"""Which runtimes work here, and which setting is the fastest: measured, never assumed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Literal

import msgspec

from her2edge.errors import Her2EdgeError, RuntimeUnavailable
from her2edge.model.file import Model
from her2edge.ordered import in_order
from her2edge.runtime.adapter import PRECISION
from her2edge.runtime.choose import Kind, Plan, installed, open_plan, runtime_versions, use_of
from her2edge.runtime.host import Host
from her2edge.runtime.machine import this_machine
from her2edge.runtime.plan import make_plan
from her2edge.runtime.profile import Profile, Setting
from her2edge.runtime.protocol import Runtime
from her2edge.runtime.selftest import SelfTest, self_test

SECONDS = 1.5  # per setting
_log = logging.getLogger("her2edge")


@dataclass(frozen=True)
class Trial:
    """A runtime tried on the golden tiles of a model. reason: why it does not work, one line."""

    runtime: str
    version: str | None
    status: Literal["works", "refused", "unavailable", "not installed"]
    plan: Plan | None = None
    tested: SelfTest | None = None
    reason: str | None = None


def try_runtimes(model: Model, host: Host) -> tuple[Trial, ...]:
    """Every runtime there is, in the order of preference, as `TileClassifier` would start it."""
    return tuple(_try(name, model, host) for name in host.runtimes)


def _try(name: str, model: Model, host: Host) -> Trial:
    version = host.runtimes[name].version
    if version is None:
        return Trial(name, version, "not installed")
    plan = make_plan(model, name, host=host)
    try:
        tested = self_test(open_plan(plan, model, host.runtimes), model, use_of(plan, host.runtimes))
    except RuntimeUnavailable as error:
        return Trial(name, version, "unavailable", plan, reason=str(error))
    except Her2EdgeError as error:
        return Trial(name, version, "refused", plan, reason=str(error))
    return Trial(name, version, "works", plan, tested)


def tune(
    model: Model, report: Callable[[Setting], None], host: Host, *, seconds: float | None = None
) -> Profile:
    """Measure runtime x precision x interpreters x threads on this machine; report: called with each.

    seconds: for each setting, 1.5 by default; two tiles on each interpreter are run whatever they take.
    Every setting must agree with the golden tiles; one that does not ends its runtime and precision.
    Raises RuntimeUnavailable where no runtime is installed.
    """
    seconds = SECONDS if seconds is None else seconds
    if host.busy:
        _log.warning("other programs keep this machine busy: measure again when it is not")
    measured = []
    for name in installed(host.runtimes):
        for precision in _precisions(host.runtimes[name]):
            for interpreters, threads in _placements(host.cores):
                setting = _measure(Plan(name, threads, interpreters, precision), model, host, seconds)
                report(setting)
                measured.append(setting)
                if setting.refused is not None:
                    break
    return Profile(1, model.sha256, this_machine(), runtime_versions(host.runtimes), tuple(measured))


def _precisions(kind: Kind) -> tuple[str, ...]:
    try:
        return kind.precisions()
    except RuntimeUnavailable:
        return (PRECISION,)  # its measurement says why it cannot be used


def _placements(cores: int) -> Iterator[tuple[int, int]]:
    """(interpreters, threads of each), powers of two and all cores, never more threads than cores."""
    counts = sorted({*(1 << i for i in range(cores.bit_length())), cores})
    return ((a, b) for a in counts for b in counts if a * b <= cores)


def _measure(plan: Plan, model: Model, host: Host, seconds: float) -> Setting:
    setting = Setting(plan.runtime, plan.threads, plan.interpreters, plan.precision)
    try:
        runtime = open_plan(plan, model, host.runtimes)
        tested = self_test(runtime, model, use_of(plan, host.runtimes))
        rounds = max(2, round(seconds / (tested.seconds / tested.tiles)))
        rate = _tiles_per_second(runtime, model, plan.interpreters, rounds)
    except Her2EdgeError as error:
        return msgspec.structs.replace(setting, refused=str(error))
    return msgspec.structs.replace(setting, tiles_per_second=round(rate, 3))


def _tiles_per_second(runtime: Runtime, model: Model, interpreters: int, rounds: int) -> float:
    """Of the network alone; one tile on each interpreter goes before, as warm-up."""
    network_rate(runtime, model, interpreters, interpreters)
    return network_rate(runtime, model, interpreters, rounds * interpreters)


def network_rate(runtime: Runtime, model: Model, interpreters: int, count: int) -> float:
    """Tiles per second of the network alone, `count` tiles and all interpreters busy."""
    began = time.perf_counter()
    for _ in in_order(runtime.logits, repeat(model.golden.tiles[0], count), interpreters):
        pass
    return count / (time.perf_counter() - began)
