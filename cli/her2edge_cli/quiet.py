"""Chatter of native libraries, kept from the user's stderr in the command's own process.

The switches of the libraries come first (`her2edge.extras.quiet_tensorflow`). Some lines have none: LiteRT's
logger cannot be reached from Python, TensorFlow's converter writes to std::cerr, and CUDA's probe logs
before the level is read. So file descriptor 2 becomes a pipe, and a thread passes on every line but those
known to be chatter; Python's own stderr goes past it. Who sets TF_CPP_MIN_LOG_LEVEL below 3 wants to see
them: nothing is kept back then.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import re
import sys
import threading
from collections.abc import Iterator
from typing import TextIO

LEVEL = "TF_CPP_MIN_LOG_LEVEL"
CHATTER = re.compile(
    rb"(INFO|VERBOSE): "  # TFLite's and LiteRT's logger: `INFO: Created TensorFlow Lite XNNPACK delegate`
    rb"|[IW]\d{4} [\d:.]+ +\d+ [\w.-]+:\d+\] "  # absl: `I0000 00:00:1795.3 14541 cudart_stub.cc:31] ...`
    rb"|\d{4}-\d\d-\d\d [\d:.]+: [IW] "  # the same, as TensorFlow wrote it before
    rb"|WARNING: All log messages before absl::InitializeLog\(\) is called"
    rb"|To enable the following instructions: .* rebuild TensorFlow"
    rb"|fully_quantize: \d"
)


@contextlib.contextmanager
def without_chatter() -> Iterator[None]:
    """Inside it, what native code writes to stderr is passed on line by line, less the chatter."""
    if os.environ.get(LEVEL, "3") < "3":
        yield
        return
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # "5 out of the last 5 calls to <function ..."
    try:
        sys.stderr.flush()
        real, (reading, writing) = os.dup(2), os.pipe()
        os.dup2(writing, 2)
        os.close(writing)
    except (AttributeError, OSError, ValueError):  # a process without stderr has nothing to keep quiet
        yield
        return
    python, former = _stderr_on(real), sys.stderr
    sys.stderr = python
    watched = faulthandler.is_enabled()  # by who runs us: it stays as it is
    if not watched:
        faulthandler.enable(python)  # what a crash says in its last moment does not come through the pipe
    passing = threading.Thread(target=_pass_on, args=(reading, real), name="her2edge-stderr", daemon=True)
    passing.start()
    try:
        yield
    finally:
        if not watched:
            faulthandler.disable()
        sys.stderr = former
        with contextlib.suppress(OSError, ValueError):
            python.flush()
        os.dup2(real, 2)  # the pipe has no writer left, but for children that are still there
        passing.join(1.0)


def _stderr_on(descriptor: int) -> TextIO:
    """Python's stderr as it was, on another descriptor, which outlives it."""
    return open(
        descriptor, "w", buffering=1, encoding=sys.stderr.encoding, errors=sys.stderr.errors, closefd=False
    )


def _pass_on(reading: int, real: int) -> None:
    """Drains the pipe whatever becomes of stderr: who writes to it must not wait."""
    with open(reading, "rb") as lines:
        for line in lines:
            if not CHATTER.match(line):
                with contextlib.suppress(OSError):
                    os.write(real, line)


def fill_descriptors() -> None:
    """Where the process was started without one of the three, the next file opened would become it, and what
    a library prints would go into that file."""
    for descriptor in range(3 if os.name == "posix" else 0):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
