"""Memory that is short is told as that: libraries have any error for it, "no such extra" or "damaged"."""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Iterator

_PROBE = 256 << 20  # bytes; the largest library that is loaded takes 150 MiB


def is_short() -> bool:
    """Whether this process would be refused 256 MiB of addresses now: nothing is written to them."""
    try:
        mmap.mmap(-1, _PROBE).close()
    except (OSError, ValueError, MemoryError):
        return True
    return False


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """An error in the block is a MemoryError where memory is short; else it goes through as it is."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        if is_short():
            raise MemoryError(f"found too little memory for {what}") from error
        raise
