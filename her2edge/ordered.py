"""Work on several items at a time, results in the order of the items."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from her2edge.errors import InferenceError
from her2edge.processes import Birthplace
from her2edge.uninterrupted import Background, Job, uninterrupted

Item = TypeVar("Item")
Result = TypeVar("Result")

PATIENCE = 2.0  # seconds; an item on its way may never come


class Deferred(Iterator[Item]):
    """Items that are made when they are asked for: by who iterates, or by several threads of `in_order`.

    calls: each makes one item. at_once: how many may be made at the same time; None: any number.
    """

    def __init__(self, calls: Iterator[Callable[[], Item]], at_once: int | None = 1) -> None:
        self.calls, self.at_once = calls, at_once

    def __next__(self) -> Item:
        return next(self.calls)()


def in_order(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    ahead: int = 1,
    patience: float = PATIENCE,
    readers: int = 1,
) -> Generator[Result, None, None]:
    """Yield work(item) for each, in order, lazily: `ahead` more items than workers may be read ahead.

    A thread of its own advances `items`, so reading goes on beside the work, and a result is there as soon
    as it is made, though the next item be long in coming. One worker and one reader: all in the caller's
    thread.

    patience: seconds that who stops early waits for an item on its way. readers: threads that make the items
    of a Deferred, never more than that allows; what is on its way in each counts as read ahead.

    What `items` raises comes after the results of all items before it; what `work` raises, in its place.
    Raises InferenceError in a process that was forked meanwhile.
    """
    readers = _readers(items, readers)
    if workers == readers == 1:
        yield from map(work, items)
        return
    process = Birthplace("stream", InferenceError)
    crew = Crew(work, items, workers, ahead, readers)
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


def _readers(items: Iterable[Any], readers: int) -> int:
    """How many threads may make these items."""
    if not isinstance(items, Deferred):
        return 1
    return readers if items.at_once is None else min(readers, items.at_once)


class Crew(Generic[Item, Result]):
    """Readers and workers, joined by queues. They end by `stop`, or when nobody refers to the crew.

    results: jobs in the order of the items; None: there are no more. room: True for each item to be read.
    """

    def __init__(
        self,
        work: Callable[[Item], Result],
        items: Iterable[Item],
        workers: int,
        ahead: int,
        readers: int = 1,
    ) -> None:
        line = _Line(_calls(items), readers)
        self.results, self.room = line.results, line.room
        self._ends = (line.stopped.append, line.room.put, line.jobs.put)  # of C, all of them
        line.when_gone = [weakref.ref(self, end) for end in self._ends]
        for _ in range(workers + ahead):
            self.room.put(True)
        self._readers = [Background(partial(line.read, work), f"her2edge-reader-{i}") for i in range(readers)]
        stop = partial(_stop, self._ends)
        self._workers = [Background(line.work, f"her2edge-{i}", stop) for i in range(workers)]

    def start(self) -> None:
        """Not for the main thread. Raises RuntimeError where the system gives no more threads."""
        for thread in (*self._workers, *self._readers):
            thread.start()

    def stop(self) -> None:
        """Begin no more."""
        _stop(self._ends)

    def wait(self, patience: float) -> None:
        """Until all have ended: the readers within `patience` seconds. Not for the main thread."""
        until = time.monotonic() + patience
        for thread in self._workers:
            thread.wait()
        for thread in self._readers:
            thread.wait(max(0.0, until - time.monotonic()))


def _stop(ends: Iterable[Callable[[None], object]]) -> None:
    for end in ends:
        end(None)


def _calls(items: Iterable[Item]) -> Iterator[Callable[[], Item]]:
    """What makes the items: those of an ordinary iterable are there when they come."""
    yield from items.calls if isinstance(items, Deferred) else map(_given, items)  # which hold no item


class _Line:
    """What the threads of a crew know of one another. stopped: has something in it when they are to end."""

    def __init__(self, calls: Iterator[Callable[[], Any]], readers: int) -> None:
        self.results: SimpleQueue[Job[Any] | None] = SimpleQueue()
        self.room: SimpleQueue[Any] = SimpleQueue()  # anything but True: stop
        self.jobs: SimpleQueue[Any] = SimpleQueue()  # anything but a Job: stop
        self.stopped: list[Any] = []
        self.when_gone: list[weakref.ref[Any]] = []
        self._calls, self._reading = calls, readers
        self._turn = threading.Lock()  # never the main thread's

    def read(self, work: Callable[[Any], Any]) -> None:
        """A reader: makes one item after the other, until there are no more or one fails."""
        try:
            while self.room.get() is True and not self.stopped and self._read_one(work):
                pass
        finally:
            self.room.put(None)  # for the next
            with self._turn:
                self._reading -= 1
                if not self._reading:  # no job comes any more
                    self._calls = iter(())
                    self.jobs.put(None)

    def _read_one(self, work: Callable[[Any], Any]) -> bool:
        """Whether there may be another one."""
        with self._turn:
            item = self._next()
            if item is None:
                return False
            job = Job(partial(_work_on, work, item))
            self.results.put(job)
        item.run()
        if not item.failed:
            self.jobs.put(job)
            return True
        job.run()
        return False

    def _next(self) -> Job[Any] | None:
        """What makes the next item, in its turn. An error in finding it has its place among the results."""
        try:
            return Job(next(self._calls))
        except StopIteration:
            self.results.put(None)
        except BaseException as error:  # noqa: BLE001 - raised again by the caller, in its place
            failed = Job(partial(_raise, error))
            failed.run()
            self.results.put(failed)
        return None

    def work(self) -> None:
        while isinstance(job := self.jobs.get(), Job) and not self.stopped:
            job.run()
            del job
        self.jobs.put(None)  # for the next


def _given(item: Item) -> Callable[[], Item]:
    return partial(_itself, item)


def _itself(item: Item) -> Item:
    return item


def _work_on(work: Callable[[Any], Any], item: Job[Any]) -> Any:
    return work(item.result())


def _raise(error: BaseException) -> None:
    raise error
