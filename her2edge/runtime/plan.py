"""How a model runs here: what the caller asks for, else what was measured on this machine, else a guess."""

from __future__ import annotations

import logging

from her2edge.errors import OptionError
from her2edge.model.file import Model
from her2edge.runtime.adapter import PRECISION
from her2edge.runtime.choose import Plan
from her2edge.runtime.host import Host
from her2edge.runtime.profile import find_profile

TUNED = "tuned"
MOST_THREADS = 4  # more seldom help one tile; `doctor --tune` finds where they do
_log = logging.getLogger("her2edge")


def make_plan(
    model: Model,
    runtime: str,
    threads: int | None = None,
    interpreters: int | None = None,
    host: Host | None = None,
) -> Plan:
    """The plan for a model.

    runtime: a name, or "tuned": the fastest that `her2edge doctor --tune` found for this model here.
    threads, interpreters: None for both: the profile's for this runtime, where there is one.
    host: the machine it is for; None: this one.

    Never more threads than cores: those beyond are left out, with a warning. Raises OptionError.
    """
    host = host or Host()
    names = (*host.runtimes, TUNED)
    if runtime not in names:
        raise OptionError(f"found runtime {runtime!r}, expected one of {', '.join(names)}")
    guess = threads is None and interpreters is None
    precision = PRECISION
    if runtime == TUNED or guess:
        profile = find_profile(model, host)
        best = profile and profile.best(None if runtime == TUNED else runtime)
        if best:
            runtime, precision = best.runtime, best.precision
            if guess:
                threads, interpreters = best.threads, best.interpreters
        elif runtime == TUNED:
            raise OptionError(
                'found runtime "tuned" without a profile of this model on this machine, expected one: run '
                "`her2edge doctor --tune` with the model first"
            )
    return _within_cores(host.cores, runtime, threads, interpreters, precision)


def _within_cores(
    cores: int, runtime: str, threads: int | None, interpreters: int | None, precision: str
) -> Plan:
    side_by_side = min(interpreters or 1, cores)
    plan = Plan(runtime, min(threads or MOST_THREADS, cores // side_by_side), side_by_side, precision)
    if plan.threads < (threads or 1) or plan.interpreters < (interpreters or 1):
        _log.warning(
            "found %d x %d threads asked for on %d cores, expected no more than cores: using %s",
            interpreters or 1, threads or 1, cores, plan,
        )  # fmt: skip
    return plan
