"""What lives in one process: its threads are not in a forked one, and no pickle holds them."""

from __future__ import annotations

import os
from typing import NoReturn, SupportsIndex

from her2edge.errors import Her2EdgeError

MAKE_IT_THERE = "make it in the worker, from the model's path"


class OneProcessError(Her2EdgeError, TypeError):
    """An object with threads or open files was to be sent to another process, or copied."""


class OneProcess:
    """Refuses to be pickled or copied. advice: what to do instead."""

    __slots__ = ()
    advice = MAKE_IT_THERE

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn:
        raise OneProcessError(
            f"found a {type(self).__name__} to pickle or copy, which lives in one process: {self.advice}"
        )


class Birthplace:
    """The process in which something was made. what: was made, for the message."""

    def __init__(self, what: str, error: type[Her2EdgeError]) -> None:
        self._what, self._error, self._pid = what, error, os.getpid()

    @property
    def left(self) -> bool:
        """Whether this is another process, forked from it."""
        return os.getpid() != self._pid

    def check(self) -> None:
        """Raises the error in a forked process: the threads are in the other, and perhaps its locks taken."""
        if self.left:
            raise self._error(
                f"found a {self._what} made before a fork, expected one made in this process: {MAKE_IT_THERE}"
            )
