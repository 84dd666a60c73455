"""Starts a runtime by its name; says which are installed."""

from __future__ import annotations

from importlib import metadata

from her2edge.errors import OptionError
from her2edge.model import Model
from her2edge.runtime.protocol import Runtime

RUNTIMES = ("litert",)


def open_runtime(name: str, model: Model, threads: int) -> Runtime:
    """Start the named runtime on a model.

    Raises OptionError for an unknown name, RuntimeUnavailable where it is not installed, ModelError
    where the FlatBuffer is not what the manifest says.
    """
    if name not in RUNTIMES:
        raise OptionError(f"found runtime {name!r}, expected one of {', '.join(RUNTIMES)}")
    from her2edge.runtime.litert import LiteRTRuntime

    return LiteRTRuntime(model, threads)


def runtime_versions() -> dict[str, str]:
    """Installed runtimes and their versions, without importing them."""
    found = {}
    for package in ("ai-edge-litert", "openvino", "tflite-runtime"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
