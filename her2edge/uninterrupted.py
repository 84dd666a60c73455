"""Work that no signal handler can cut in two.

A handler written in Python runs in the main thread, between any two of its bytecodes, and may raise there:
Ctrl-C in a notebook, an alarm. A lock that Python code had just taken is then never given back. So what
changes something that is shared runs in another thread, and the main thread only hands it over and waits:
both are calls of C, a `SimpleQueue.put` and a lock. Interrupted, it leaves a job whose answer nobody reads.
Threads end by callbacks of C too, so that an interrupt in a finaliser leaves none.
"""

from __future__ import annotations

import _thread
import atexit
import contextlib
import functools
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")

PATIENCE = 2.0  # seconds that the end of the process waits for threads in native code
_LOOK = 0.0005  # seconds between two looks at whether a thread is off the list
_AGAIN = 0.05  # seconds; a waiter that was interrupted may have taken the end with it


def interruptible() -> bool:
    """Whether handlers may raise in this thread. At the very end of the process no other thread runs."""
    return threading.get_ident() == threading.main_thread().ident and not sys.is_finalizing()


class Job(Generic[Result]):
    """A call that another thread makes. For one thread to wait for."""

    __slots__ = ("__weakref__", "_call", "_done", "_ended", "_error", "_value")

    def __init__(self, call: Callable[[], Result]) -> None:
        self._call: Callable[[], Result] | None = call
        self._value: Any = None
        self._error: BaseException | None = None
        self._done = False
        self._ended = _thread.allocate_lock()
        self._ended.acquire()

    def run(self) -> None:
        """Make the call, unless it was made; raises nothing."""
        call, self._call = self._call, None
        if call is None:
            return
        try:
            self._value = call()
        except BaseException as error:  # noqa: BLE001 - raised again by `result`
            self._error = error
        del call  # and what it holds, before anybody hears of the end
        self._done = True
        self._ended.release()

    @property
    def failed(self) -> bool:
        """Whether the call was made and raised what `result` will raise."""
        return self._error is not None

    def result(self) -> Result:
        """Wait, and return or raise what the call did."""
        if not self._done:
            self._ended.acquire()
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # else its traceback would hold this job, and this job the error
        return self._value  # type: ignore[no-any-return]


def uninterrupted(call: Callable[[], Result]) -> Result:
    """Make a call where no signal handler can raise: here, or in a thread of its own for the main thread."""
    if not interruptible():
        return call()
    job = Job(call)
    _apart(job.run)
    return job.result()


@contextlib.contextmanager
def alongside(call: Callable[[], object]) -> Iterator[None]:
    """Make a call in another thread during the block, which ends when both have. For work whose outcome
    nobody needs: what it raises is lost. Not for the main thread."""
    thread = Background(Job(call).run, "her2edge-alongside", _nothing)
    with contextlib.suppress(RuntimeError):  # no more threads: then it is not made
        thread.start()
    try:
        yield
    finally:
        thread.wait()


def _nothing() -> None:
    """What ends a thread that ends by itself."""


def _apart(run: Callable[[], None]) -> None:
    try:
        _thread.start_new_thread(run, ())
    except RuntimeError:  # no more threads, or the end of the process: then here
        run()


class Background:
    """A daemon thread. stop: what ends it, asked at the end of the process; None: it is not waited for then.

    A daemon thread that comes back from native code into a finalized interpreter may abort the process.
    """

    def __init__(
        self, target: Callable[[], None], name: str, stop: Callable[[], object] | None = None
    ) -> None:
        self._target: Callable[[], None] | None = target
        self._stop, self._pid = stop, os.getpid()
        self._name, self._ident = name, 0
        self._started = self._gone = False
        self._ended = _thread.allocate_lock()
        self._ended.acquire()
        self._thread: Callable[[], threading.Thread | None] = lambda: None

    def start(self) -> None:
        """Raises RuntimeError where the system gives no more threads. Not for the main thread.

        The Thread object is never the main thread's: its end runs Python code, which loses an interrupt.
        """
        _stop_at_exit()
        thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread, self._started = weakref.ref(thread), True
        try:
            thread.start()
        except RuntimeError:
            self._started = False
            raise

    @property
    def current(self) -> bool:
        """Whether this is the thread."""
        return self._ident == threading.get_ident()

    def wait(self, timeout: float | None = None) -> bool:
        """Whether the thread is gone within `timeout` seconds, or was never started; None: wait for ever.

        Not for the main thread.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while self._started and not self._gone and not sys.is_finalizing():
            left = _AGAIN if until is None else min(_AGAIN, until - time.monotonic())
            if left <= 0:
                return False
            if self._ended.acquire(timeout=left):
                self._ended.release()
        thread = self._thread()
        while not sys.is_finalizing() and thread is not None and thread in threading.enumerate():
            time.sleep(_LOOK)
        return True

    def end(self, until: float) -> None:
        """Stop it, and wait for it, where that was asked for and it is this process's."""
        if self._stop is not None and self._pid == os.getpid():
            self._stop()
            uninterrupted(functools.partial(self.wait, max(0.0, until - time.monotonic())))

    def _run(self) -> None:
        self._ident = threading.get_ident()
        _RUNNING.add(self)
        target, self._target = self._target, None
        try:
            if target is not None:
                target()
        finally:
            del target
            _RUNNING.discard(self)
            self._gone = True
            self._ended.release()


_RUNNING: set[Background] = set()


@functools.cache
def _stop_at_exit() -> None:
    def stop_all() -> None:
        until = time.monotonic() + PATIENCE
        for thread in list(_RUNNING):
            thread.end(until)

    atexit.register(stop_all)


class Servant:
    """A thread that makes the calls of the main thread; ends by `stop`, or when nobody refers to it."""

    def __init__(self, name: str) -> None:
        self._served = _Served()
        # Both are C: nothing comes between the end of this object and the end of its thread.
        self._served.when_gone = weakref.ref(self, self._served.jobs.put)
        self.thread = Background(self._served.serve, name, self.stop_from(self._served))

    @staticmethod
    def stop_from(served: _Served) -> Callable[[], object]:
        """What stops the thread, without holding the servant."""
        return functools.partial(served.jobs.put, None)

    def start(self) -> None:
        """Begin to serve; raises RuntimeError where the system gives no more threads."""
        uninterrupted(self._start)

    def _start(self) -> None:
        self.thread.start()
        self._served.away = False

    def call(self, call: Callable[[], Result]) -> Result:
        """Make the call: here, or in the servant's thread for the main thread."""
        if not interruptible():
            return call()
        job = Job(call)
        self._served.jobs.put(job)
        if self._served.away:  # looked at after the job was put: who goes away looks for jobs after saying so
            _apart(self._served.rest)
        return job.result()

    def stop(self) -> None:
        """End the thread; later calls are made in threads of their own."""
        self._served.jobs.put(None)


class _Served:
    """What a servant's thread knows. away: it does not serve."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[Any] = SimpleQueue()  # anything but a Job: stop
        self.when_gone: weakref.ref[Servant] | None = None
        self.away = True

    def serve(self) -> None:
        while isinstance(job := self.jobs.get(), Job):
            job.run()
            del job  # and its result, while this waits for the next
        self.away = True
        self.rest()

    def rest(self) -> None:
        """Make the calls that are left."""
        while True:
            try:
                job = self.jobs.get_nowait()
            except Empty:
                return
            if isinstance(job, Job):
                job.run()
