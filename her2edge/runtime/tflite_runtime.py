"""tflite-runtime 2.14: what LiteRT was called before, for boards that have nothing newer. NumPy 1 only.

Importing it proves nothing: beside NumPy 2 it imports, and no interpreter can be constructed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from her2edge.errors import RuntimeUnavailable
from her2edge.runtime.adapter import first_line
from her2edge.runtime.litert import LiteRTRuntime


class TFLiteRuntime(LiteRTRuntime):
    """tflite-runtime, the same interpreter as LiteRT's, older; raises as `LiteRTRuntime`."""

    title = "tflite-runtime"

    @classmethod
    def _new_interpreter(cls, flatbuffer: bytes, threads: int, keep_all: bool) -> Any:
        """As LiteRT's; its construction is the probe."""
        try:
            return super()._new_interpreter(flatbuffer, threads, keep_all)
        except (SystemError, AttributeError, ImportError) as error:
            if isinstance(error, RuntimeUnavailable):
                raise
            raise RuntimeUnavailable(
                f"found a tflite-runtime that cannot make an interpreter beside NumPy {np.__version__} "
                f"({first_line(error)}), expected one that can: use an environment with "
                '`pip install tflite-runtime==2.14.0 "numpy<2"`, or the runtime litert'
            ) from error

    @staticmethod
    def _module() -> Any:
        try:
            import tflite_runtime.interpreter as interpreter
        except ModuleNotFoundError as error:
            raise RuntimeUnavailable(
                "found no tflite-runtime on this machine, expected the package tflite-runtime: install it "
                'with `pip install tflite-runtime==2.14.0 "numpy<2"` (Python up to 3.11), or use litert'
            ) from error
        return interpreter
