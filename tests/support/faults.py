"""Fails the n-th call of a write, a read, a decode or an inference, as SQLite tests itself: for every n."""

from __future__ import annotations

import errno
import io
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from her2edge.claim import claim
from her2edge.errors import SlideReadError
from her2edge.runtime.litert import LiteRTRuntime
from her2edge.slide.sources import ImageSource


class Fault:
    """Called before what may fail; the n-th call raises, counted from 1. n=0: none does, all are counted."""

    def __init__(self, n: int, error: Callable[[], BaseException]) -> None:
        self.n, self.error, self.calls = n, error, 0

    def __call__(self) -> None:
        self.calls += 1
        if self.calls == self.n:
            raise self.error()

    def before(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """`real`, which fails in its turn."""

        def call(*arguments: Any, **named: Any) -> Any:
            self()
            return real(*arguments, **named)

        return call


def disk_full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def sqlite_full() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error


@contextmanager
def failing_files(n: int, error: Callable[[], BaseException] = disk_full) -> Iterator[Fault]:
    """Creating, writing, syncing and renaming files of results."""
    fault = Fault(n, error)

    class File(io.BufferedWriter):
        write = fault.before(io.BufferedWriter.write)

    def opened(descriptor: int, mode: str, closefd: bool) -> File:
        return File(io.FileIO(descriptor, mode.replace("b", ""), closefd=closefd))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("her2edge.files.open", opened, raising=False)
        patch.setattr("her2edge.files.claim", fault.before(claim))
        patch.setattr("her2edge.alone.claim", fault.before(claim))
        patch.setattr(os, "fsync", fault.before(os.fsync))
        patch.setattr(Path, "replace", fault.before(Path.replace))
        patch.setattr(Path, "mkdir", fault.before(Path.mkdir))
        yield fault


@contextmanager
def failing_journal(n: int, error: Callable[[], BaseException] = sqlite_full) -> Iterator[Fault]:
    """Every statement that the journal gives to SQLite, reading ones too."""
    fault = Fault(n, error)

    class Connection(sqlite3.Connection):
        execute = fault.before(sqlite3.Connection.execute)
        executemany = fault.before(sqlite3.Connection.executemany)

    real = sqlite3.connect
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", lambda path, **more: real(path, factory=Connection, **more))
        yield fault


@contextmanager
def failing_reads(n: int) -> Iterator[Fault]:
    """Regions of a slide, those of the thumbnail among them."""
    fault = Fault(n, lambda: SlideReadError("slide.png: region cannot be read"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImageSource, "read", fault.before(ImageSource.read))
        yield fault


@contextmanager
def failing_decodes(n: int) -> Iterator[Fault]:
    """Image files."""
    from PIL import Image

    fault = Fault(n, lambda: OSError(errno.EIO, os.strerror(errno.EIO)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image, "open", fault.before(Image.open))
        yield fault


@contextmanager
def failing_inferences(n: int) -> Iterator[Fault]:
    """Runs of the network."""
    fault = Fault(n, lambda: RuntimeError("failed to invoke"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LiteRTRuntime, "_infer", fault.before(LiteRTRuntime._infer))
        yield fault


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes: the kernel's own "no"."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
