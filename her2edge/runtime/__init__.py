"""Runtimes: each file here that touches an interpreter is the only one that does so for its kind."""

from her2edge.runtime.choose import (
    DEFAULT,
    RUNTIMES,
    Plan,
    RuntimeUse,
    installed,
    open_plan,
    open_runtime,
    runtime_versions,
)
from her2edge.runtime.litert import Activations
from her2edge.runtime.plan import TUNED, make_plan
from her2edge.runtime.protocol import Runtime
from her2edge.runtime.selftest import SelfTest, self_test

__all__ = [
    "DEFAULT",
    "RUNTIMES",
    "TUNED",
    "Activations",
    "Plan",
    "Runtime",
    "RuntimeUse",
    "SelfTest",
    "installed",
    "make_plan",
    "open_plan",
    "open_runtime",
    "runtime_versions",
    "self_test",
]
