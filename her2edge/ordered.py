"""Work on several items at a time, results in the order of the items."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

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
    """
    if workers == 1:
        yield from map(work, items)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="her2edge")
    line: SimpleQueue[Future[Result] | None] = SimpleQueue()  # None: there are no more
    room, stopped = threading.Semaphore(workers + ahead), threading.Event()

    def read() -> None:
        try:
            source = iter(items)
            while room.acquire() and not stopped.is_set():
                try:
                    item = next(source)
                except StopIteration:
                    line.put(None)
                    return
                line.put(pool.submit(work, item))
        except BaseException as error:  # noqa: BLE001 - raised again by the caller, in its place
            failed: Future[Result] = Future()
            failed.set_exception(error)
            line.put(failed)

    reader = threading.Thread(target=read, name="her2edge-reader", daemon=True)
    reader.start()
    try:
        while (future := line.get()) is not None:
            yield future.result()
            room.release()
    finally:
        stopped.set()
        room.release()
        reader.join(patience)
        pool.shutdown(cancel_futures=True)
