"""How a model runs here: what the caller asks for, else what was measured on this machine, else a guess."""

from __future__ import annotations

import logging

from her2edge.errors import OptionError
from her2edge.model import Model
from her2edge.runtime.adapter import PRECISION
from her2edge.runtime.choose import DEFAULT, Plan, kind_of
from her2edge.runtime.machine import usable_cores
from her2edge.runtime.profile import find_profile

TUNED = "tuned"
MOST_THREADS = 4  # more help one tile little; `doctor --tune` finds what does
_log = logging.getLogger("her2edge")


def make_plan(model: Model, runtime: str, threads: int | None, interpreters: int | None) -> Plan:
    """The plan for a model.

    runtime: a name, or "tuned": the fastest that `her2edge doctor --tune` found for this model here.
    threads, interpreters: None for both: the profile's, where there is one.

    Never more threads than cores: those beyond are left out, with a warning. Raises OptionError.
    """
    asked = threads is not None or interpreters is not None
    setting = None
    if runtime == TUNED:
        profile = find_profile(model)
        if profile is None:
            raise OptionError(
                'found runtime "tuned" but no profile of this model on this machine, expected one: run '
                "`her2edge doctor --tune` with the model first"
            )
        setting = profile.tuned
    else:
        kind_of(runtime)
        if runtime == DEFAULT and not asked and (profile := find_profile(model)):
            setting = profile.default
    if setting is None:
        return _within_cores(runtime, threads, interpreters)
    if asked:
        return _within_cores(setting.runtime, threads, interpreters, setting.precision)
    return Plan(setting.runtime, setting.threads, setting.interpreters, setting.precision)


def _within_cores(
    runtime: str, threads: int | None, interpreters: int | None, precision: str = PRECISION
) -> Plan:
    cores = usable_cores()
    side_by_side = min(interpreters or 1, cores)
    each = cores // side_by_side
    plan = Plan(runtime, min(threads or MOST_THREADS, each), side_by_side, precision)
    if plan.threads < (threads or 1) or plan.interpreters < (interpreters or 1):
        _log.warning(
            "found %d x %d threads asked for on %d cores, expected no more than cores: going on with %s",
            interpreters or 1, threads or 1, cores, plan,
        )  # fmt: skip
    return plan
