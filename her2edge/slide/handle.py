"""SharedHandle: an OpenSlide handle that several threads read from."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")


class _Handle:
    """An open slide; closed when the last thread that reads from it has done so.

    reading: one entry for each read under way. failed: it answers everything with its first error.
    """

    def __init__(self, slide: Any) -> None:
        self.slide, self.failed = slide, False
        self.reading: list[object] = []

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.slide.close()


class SharedHandle:
    """An OpenSlide handle for any number of threads, which share its cache of decoded tiles.

    OpenSlide answers everything on a handle with its first error. So a handle that failed is dropped, and
    whoever cannot know whether the error was his own reads once more from a handle that nobody else has.

    opened: opens the slide. error: what OpenSlide raises.
    """

    def __init__(self, opened: Callable[[], Any], error: type[Exception]) -> None:
        self._opened, self._error = opened, error
        self._handle: _Handle | None = None

    def use(self, read: Callable[[Any], Result]) -> Result:
        """What `read` returns of an open slide. Raises what it raises there, for its own fault only."""
        handle = self._handle
        if handle is None:
            handle = self._handle = _Handle(self._opened())
        me = object()
        handle.reading.append(me)
        try:
            return read(handle.slide)
        except self._error:
            # In this order: who fails says so before he goes, so that nobody else takes it for his own.
            alone = len(handle.reading) == 1 and not handle.failed
            handle.failed = True
            if self._handle is handle:
                self._handle = None
            if alone:
                raise
        finally:
            handle.reading.remove(me)
        own = _Handle(self._opened())
        result = read(own.slide)
        self._handle = own
        return result

    def close(self) -> None:
        """Give the file back when the reads under way have ended; the next one opens it again."""
        self._handle = None
