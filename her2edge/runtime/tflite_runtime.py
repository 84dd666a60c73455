"""tflite-runtime 2.14: what LiteRT was called before, for boards that have nothing newer. NumPy 1 only.

Importing it proves nothing: beside NumPy 2 it imports, and no interpreter can be constructed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from her2edge.errors import ModelError, RuntimeUnavailable
from her2edge.extras import missing_package
from her2edge.runtime.litert import LiteRTRuntime
from her2edge.text import first_line

REQUIREMENTS = 'tflite-runtime==2.14.0 "numpy<2"'


class TFLiteRuntime(LiteRTRuntime):
    """tflite-runtime, the same interpreter as LiteRT's, older; raises as `LiteRTRuntime`."""

    title = "tflite-runtime"

    @classmethod
    def _new_interpreter(cls, package: Any, flatbuffer: bytes, threads: int, keep_all: bool) -> Any:
        """As LiteRT's; its construction is the probe."""
        try:
            return super()._new_interpreter(package, flatbuffer, threads, keep_all)
        except ModelError as refused:
            error = refused.__cause__
            if not isinstance(error, SystemError | AttributeError | ImportError):
                raise
            raise RuntimeUnavailable(
                f"found a tflite-runtime that cannot make an interpreter beside NumPy {np.__version__} "
                f"({first_line(error)}), expected one that can: use an environment with "
                f"`pip install {REQUIREMENTS}`, or the runtime litert"
            ) from error

    @staticmethod
    def _package() -> Any:
        try:
            import tflite_runtime.interpreter as interpreter  # pyright: ignore[reportMissingImports]
        except ModuleNotFoundError as error:
            raise missing_package(
                "tflite-runtime", REQUIREMENTS, "use the runtime litert (this one ends with Python 3.11)"
            ) from error
        return interpreter
