"""Work on several items at a time, results in the order of the items."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Generator, Iterable
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from her2edge.errors import InferenceError
from her2edge.processes import Birthplace
from her2edge.uninterrupted import Background, Job, uninterrupted

Item = TypeVar("Item")
Result = TypeVar("Result")

PATIENCE = 2.0  # seconds; an item on its way may never come


def in_order(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    ahead: int = 1,
    patience: float = PATIENCE,
) -> Generator[Result, None, None]:
    """Yield work(item) for each, in order, lazily: `ahead` more items than workers may be read ahead.

    A thread of its own advances `items`, so reading goes on beside the work, and a result is there as soon
    as it is made, though the next item be long in coming. One worker: all in the caller's thread.

    patience: seconds that who stops early waits for an item on its way.

    What `items` raises comes after the results of all items before it; what `work` raises, in its place.
    Raises InferenceError in a process that was forked meanwhile.
    """
    if workers == 1:
        yield from map(work, items)
        return
    process, crew = Birthplace("stream", InferenceError), Crew(work, items, workers, ahead)
    try:
        uninterrupted(crew.start)
        while (job := crew.results.get()) is not None:
            yield job.result()
            process.check()
            crew.room.put(True)
    finally:
        crew.stop()
        if not process.left:
            uninterrupted(partial(crew.wait, patience))


class Crew(Generic[Item, Result]):
    """A reader and its workers, joined by queues. They end by `stop`, or when nobody refers to the crew.

    results: jobs in the order of the items; None: there are no more. room: True for each item to be read.
    """

    def __init__(
        self, work: Callable[[Item], Result], items: Iterable[Item], workers: int, ahead: int
    ) -> None:
        line = _Line()
        self.results, self.room = line.results, line.room
        self._ends = (line.stopped.append, line.room.put, line.jobs.put)  # of C, all of them
        line.when_gone = [weakref.ref(self, end) for end in self._ends]
        for _ in range(workers + ahead):
            self.room.put(True)
        self._reader = Background(partial(line.read, work, items), "her2edge-reader")
        stop = partial(_stop, self._ends)
        self._workers = [Background(line.work, f"her2edge-{i}", stop) for i in range(workers)]

    def start(self) -> None:
        """Not for the main thread. Raises RuntimeError where the system gives no more threads."""
        for thread in (*self._workers, self._reader):
            thread.start()

    def stop(self) -> None:
        """Begin no more."""
        _stop(self._ends)

    def wait(self, patience: float) -> None:
        """Until all have ended: the reader within `patience` seconds. Not for the main thread."""
        until = time.monotonic() + patience
        for worker in self._workers:
            worker.wait()
        self._reader.wait(max(0.0, until - time.monotonic()))


def _stop(ends: Iterable[Callable[[None], object]]) -> None:
    for end in ends:
        end(None)


class _Line:
    """What the threads of a crew know of one another. stopped: has something in it when they are to end."""

    def __init__(self) -> None:
        self.results: SimpleQueue[Job[Any] | None] = SimpleQueue()
        self.room: SimpleQueue[Any] = SimpleQueue()  # anything but True: stop
        self.jobs: SimpleQueue[Any] = SimpleQueue()  # anything but a Job: stop
        self.stopped: list[Any] = []
        self.when_gone: list[weakref.ref[Any]] = []

    def read(self, work: Callable[[Any], Any], items: Iterable[Any]) -> None:
        try:
            source = iter(items)
            while self.room.get() is True and not self.stopped:
                try:
                    item = next(source)
                except StopIteration:
                    self.results.put(None)
                    return
                job = Job(partial(work, item))
                self.results.put(job)
                self.jobs.put(job)
                del item, job
        except BaseException as error:  # noqa: BLE001 - raised again by the caller, in its place
            failed = Job(partial(_raise, error))
            failed.run()
            self.results.put(failed)
        finally:
            self.jobs.put(None)

    def work(self) -> None:
        while isinstance(job := self.jobs.get(), Job) and not self.stopped:
            job.run()
            del job
        self.jobs.put(None)  # for the next


def _raise(error: BaseException) -> None:
    raise error
