"""Runtimes: each file here that touches an interpreter is the only one that does so for its kind."""

from her2edge.runtime.choose import open_runtime, runtime_versions
from her2edge.runtime.protocol import Runtime

__all__ = ["Runtime", "open_runtime", "runtime_versions"]
