"""Ctrl-C and SIGTERM end a command wherever it is: as KeyboardInterrupt and SystemExit in the main thread.

It stands before anything else is loaded, so it imports nothing of ours.
"""

from __future__ import annotations

import _thread
import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

INTERRUPTED, TERMINATED = 130, 143  # exit codes
AGAIN = 0.02  # seconds until a signal that was lost comes again


class Interrupted(KeyboardInterrupt):
    """Ctrl-C. After a KeyboardInterrupt proper that passed through an exec() of text, as Numba's compiler has
    them, `python -m` ends by the signal whatever the exit code was to be; of a subclass it knows nothing."""


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM raises SystemExit(143), Ctrl-C Interrupted, and neither is lost where nobody can raise.

    Python drops what is raised in a callback from C or in a finaliser, and only tells `sys.unraisablehook`
    (Numba's compiler makes such calls). From there the signal is sent once more.
    """
    main, former_hook = threading.get_ident(), sys.unraisablehook
    ending, ended = threading.Lock(), False

    def send(number: signal.Signals) -> None:
        with ending:
            if ended:
                return
            if hasattr(signal, "pthread_kill"):
                signal.pthread_kill(main, number)  # wakes the thread where it waits
            else:
                _thread.interrupt_main(number)

    def lost(unraisable: Any) -> None:
        number = {Interrupted: signal.SIGINT, SystemExit: signal.SIGTERM}.get(unraisable.exc_type)
        if number is None:
            former_hook(unraisable)
            return
        again = threading.Timer(AGAIN, send, [number])
        again.daemon = True
        again.start()

    # A job in the background ignores Ctrl-C, and goes on doing so.
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    sys.unraisablehook = lost
    try:
        signal.signal(signal.SIGTERM, _terminate)
        if interruptible:
            signal.signal(signal.SIGINT, _interrupt)
        yield
    finally:
        with ending:
            ended = True
        if interruptible:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.unraisablehook = former_hook


def _interrupt(_: int, __: FrameType | None) -> None:
    raise Interrupted


def _terminate(_: int, __: FrameType | None) -> None:
    raise SystemExit(TERMINATED)
