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
from her2edge.runtime.litert import (
    Activations,
    CropRuntime,
    LiteRTRuntime,
    Weights,
    answers,
    read_tensors,
    read_weights,
)
from her2edge.runtime.plan import TUNED, make_plan
from her2edge.runtime.pool import Pool
from her2edge.runtime.protocol import Runtime
from her2edge.runtime.selftest import SelfTest, self_test

__all__ = [
    "DEFAULT",
    "RUNTIMES",
    "TUNED",
    "Activations",
    "CropRuntime",
    "Engine",
    "Host",
    "Kind",
    "LiteRTRuntime",
    "Plan",
    "Pool",
    "Runtime",
    "RuntimeUse",
    "SelfTest",
    "Weights",
    "answers",
    "installed",
    "make_plan",
    "open_plan",
    "open_runtime",
    "read_tensors",
    "read_weights",
    "runtime_versions",
    "self_test",
]
