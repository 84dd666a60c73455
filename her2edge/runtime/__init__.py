"""Runtimes: each file here that touches an interpreter is the only one that does so for its kind."""

from her2edge.runtime.choose import (
    DEFAULT,
    RUNTIMES,
    Kind,
    Plan,
    RuntimeUse,
    installed,
    open_plan,
    open_runtime,
    runtime_versions,
)
from her2edge.runtime.engine import Engine
from her2edge.runtime.host import Host
from her2edge.runtime.litert import Activations, LiteRTRuntime, answers, read_tensors
from her2edge.runtime.plan import TUNED, make_plan
from her2edge.runtime.protocol import Runtime
from her2edge.runtime.selftest import SelfTest, self_test

__all__ = [
    "DEFAULT",
    "RUNTIMES",
    "TUNED",
    "Activations",
    "Engine",
    "Host",
    "Kind",
    "LiteRTRuntime",
    "Plan",
    "Runtime",
    "RuntimeUse",
    "SelfTest",
    "answers",
    "installed",
    "make_plan",
    "open_plan",
    "open_runtime",
    "read_tensors",
    "runtime_versions",
    "self_test",
]
