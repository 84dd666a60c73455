"""What could be gained by another runtime, in one line; nothing is measured and nothing is chosen here."""

from __future__ import annotations

from her2edge.errors import Her2EdgeError, RuntimeUnavailable
from her2edge.model.file import Model
from her2edge.runtime.choose import Plan, installed
from her2edge.runtime.host import Host
from her2edge.runtime.plan import TUNED
from her2edge.runtime.profile import Profile, Setting, read_profile

WORTH_SAYING = 1.2  # times as fast
MEASURE = "`her2edge doctor --tune` finds which runtime is the fastest"


def runtime_advice(model: Model, plan: Plan, host: Host, *, looked: bool) -> str | None:
    """The line for a model that runs as `plan`; None where there is nothing to gain, or nothing to compare.

    It says that an installed runtime was never measured on this machine, or that the profile has another
    runtime or precision that is more than 1.2 times as fast.
    looked: whether `make_plan` looked for the profile, and so has warned of one that is of no use here.
    """
    try:
        others = [name for name in installed(host.runtimes) if name != plan.runtime]
    except RuntimeUnavailable:
        return None
    try:
        profile = read_profile(model, host)
    except Her2EdgeError:  # damaged, or measured on another machine
        return None if looked else _never_measured(others)
    if profile is None:
        return _never_measured(others)
    return _faster(profile, plan)


def _never_measured(others: list[str]) -> str | None:
    if not others:
        return None
    are = "are installed and were" if len(others) > 1 else "is installed and was"
    return f"{' and '.join(others)} {are} never measured with this model on this machine: {MEASURE}"


def _faster(profile: Profile, plan: Plan) -> str | None:
    """A setting of another runtime or precision, beside the best of those that are in use."""
    in_use, others = _split(profile, plan)
    if not in_use or not others:
        return None
    here, there = (max(some, key=_rate) for some in (in_use, others))
    times = _rate(there) / _rate(here)
    if times <= WORTH_SAYING:
        return None
    return (
        f"{there.plan} was measured {times:.2f} times as fast on this machine as {here.plan}: "
        f"--runtime {TUNED} uses it for new results, and reads finished slides again"
    )


def _split(profile: Profile, plan: Plan) -> tuple[list[Setting], list[Setting]]:
    able = [one for one in profile.measured if one.tiles_per_second is not None]
    used = [one for one in able if (one.runtime, one.precision) == (plan.runtime, plan.precision)]
    return used, [one for one in able if one not in used]


def _rate(setting: Setting) -> float:
    return setting.tiles_per_second or 0.0
