"""Ctrl-C and SIGTERM end a command wherever it is: as KeyboardInterrupt and SystemExit in the main thread."""

from __future__ import annotations

import _thread
import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from her2edge_cli import exits

AGAIN = 0.02  # seconds until a signal that was lost comes again


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM raises SystemExit(143); neither it nor Ctrl-C is lost where nobody can raise.

    Python drops what is raised in a callback from C or in a finaliser, and only tells `sys.unraisablehook`
    (Numba's compiler makes such calls). From there the signal is sent once more.
    """
    told, ending, ended = sys.unraisablehook, threading.Lock(), False

    main = threading.get_ident()

    def send(number: signal.Signals) -> None:
        with ending:
            if ended:
                return
            if hasattr(signal, "pthread_kill"):
                signal.pthread_kill(main, number)  # wakes the thread where it waits
            else:
                _thread.interrupt_main(number)

    def lost(unraisable: Any) -> None:
        number = {KeyboardInterrupt: signal.SIGINT, SystemExit: signal.SIGTERM}.get(unraisable.exc_type)
        if number is None:
            told(unraisable)
            return
        again = threading.Timer(AGAIN, send, [number])
        again.daemon = True
        again.start()

    sys.unraisablehook = lost
    try:
        signal.signal(signal.SIGTERM, _terminate)
        yield
    finally:
        with ending:
            ended = True
        sys.unraisablehook = told


def _terminate(_: int, __: FrameType | None) -> None:
    raise SystemExit(exits.TERMINATED)
