"""Lent: who reads a slide's pixels, lent to the threads that ask for them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from itertools import count
from typing import Any, Generic, TypeVar

from her2edge.slide.isolated import NotStartedError

MOST = 4  # processes of a slide: each holds some 130 MB
_log = logging.getLogger("her2edge")

One = TypeVar("One")
Result = TypeVar("Result")


class Lent(Generic[One]):
    """One for all threads where it is `shared`; else one for each that reads at the same time.

    first: the one that is there. twin: makes one more, which starts when it is first used; None: there can be
    no other. There are at most MOST, made when they are needed; threads beyond them wait in line.
    """

    def __init__(self, first: One, *, shared: bool, twin: Callable[[], One] | None = None) -> None:
        self._shared, self._twin = shared, twin
        self._places = [_Place(first)]
        self._adding, self._others = threading.Lock(), count()

    @property
    def first(self) -> One:
        """The one that was there."""
        return self._places[0].one

    @property
    def at_once(self) -> int | None:
        """How many threads may read at the same time; None: any number."""
        return None if self._shared else 1 if self._twin is None else MOST

    def use(self, call: Callable[[One], Result]) -> Result:
        """What `call` makes of one that no other thread uses, or of the shared one. Raises what it raises."""
        if self._shared:
            return call(self.first)
        place = self._free()
        try:
            with place.turn:
                return call(place.one)
        except NotStartedError as error:
            self._without(place, error)
        with self._places[0].turn:
            return call(self.first)

    def stop(self) -> None:
        """End what processes are doing, from any thread, and let none start."""
        self._twin = None
        for place in list(self._places):
            ends: Any = getattr(place.one, "stop", None)
            if ends is not None:
                ends()

    def close(self) -> None:
        """Close each when its thread has done with it; a shared one waits for its readers itself."""
        for place in list(self._places):
            if self._shared:
                _close(place.one)
                continue
            with place.turn:
                _close(place.one)

    def _free(self) -> _Place[One]:
        """A place that seems to be free, or the one of many; who takes it too waits."""
        with self._adding:
            for place in self._places:
                if not place.turn.locked():
                    return place
            if self._twin is None or len(self._places) >= MOST:
                return self._places[next(self._others) % len(self._places)]
            self._places.append(_Place(self._twin()))
            return self._places[-1]

    def _without(self, place: _Place[One], error: NotStartedError) -> None:
        """Go on with those that work: the system, or the file as it is now, lets no other start."""
        with self._adding:
            if place in self._places:
                self._places.remove(place)
                if self._twin is not None:
                    _log.warning("reading continues with fewer processes: %s", error)
                self._twin = None


class _Place(Generic[One]):
    """turn: of the thread that uses it."""

    def __init__(self, one: One) -> None:
        self.turn, self.one = threading.Lock(), one


def _close(one: Any) -> None:
    one.close()
