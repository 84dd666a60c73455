"""Several interpreters: the same results in the same order as with one."""

from __future__ import annotations

import threading
import time
import weakref
from functools import partial

import numpy as np
import pytest
import tiny
from engines import on, on_cores, with_network
from hypothesis import given, settings
from hypothesis import strategies as st

from her2edge import Model, Options, Tile, TileClassifier
from her2edge.errors import OptionError
from her2edge.ordered import Deferred, in_order
from her2edge.runtime import Host, LiteRTRuntime, Plan
from her2edge.runtime.choose import Kind


@settings(max_examples=60, deadline=None)
@given(delays=st.lists(st.integers(0, 3), max_size=20), workers=st.integers(1, 5))
def test_results_come_in_the_order_of_the_items_whatever_takes_longer(delays, workers):
    def work(item):
        time.sleep(item[1] / 2000)
        return item[0]

    assert list(in_order(work, enumerate(delays), workers)) == list(range(len(delays)))


@pytest.mark.parametrize("ahead", [1, 7])
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_no_more_is_read_ahead_than_asked_for(workers, ahead):
    read = 0

    def items():
        nonlocal read
        for i in range(40):
            read += 1
            yield i

    most = 0
    for done in in_order(lambda i: i, items(), workers, ahead):
        time.sleep(0.001)
        assert read - done <= workers + ahead
        most = max(most, read - done)
    assert most == (1 if workers == 1 else workers + ahead)


@pytest.mark.parametrize("workers", [1, 3])
def test_an_iterable_that_fails_does_so_after_the_results_before_it(workers):
    def items():
        yield from range(5)
        raise OSError("the disk is gone")

    got = []
    with pytest.raises(OSError, match="gone"):
        got.extend(in_order(lambda i: i * 2, items(), workers))
    assert got == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("workers", [1, 3])
def test_work_that_fails_does_so_in_its_place(workers):
    got = []
    with pytest.raises(ZeroDivisionError):
        got.extend(in_order(lambda i: 6 // (2 - i), range(9), workers))
    assert got == [3, 6]


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_result_is_there_though_the_next_item_has_not_come(workers):
    """As a scanner hands over tiles: the next one only when the answer to the last is known."""
    answered = threading.Event()

    def items():
        for i in range(5):
            yield i
            assert answered.wait(20), "the result was held back"
            answered.clear()

    for expected, result in enumerate(in_order(lambda i: i, items(), workers)):
        assert result == expected
        answered.set()


def test_who_stops_early_need_not_wait_for_an_item_that_never_comes():
    closed, waited = threading.Event(), []

    def items():
        yield 1
        waited.append(closed.wait(20))

    results = in_order(lambda i: i, items(), 2, patience=0.05)
    assert next(results) == 1
    results.close()
    assert waited == [], "closing waited for the second item"
    closed.set()


def test_nothing_is_read_after_who_stops_early():
    read = []
    results = in_order(lambda i: i, map(read.append, range(100)), 3)
    next(results)
    results.close()
    many = len(read)
    time.sleep(0.02)
    assert len(read) == many <= 5


def test_who_stops_early_leaves_no_thread():
    before = set(threading.enumerate())  # of classifiers that other tests keep
    results = in_order(lambda i: i, range(100), 4)
    assert [next(results), next(results)] == [0, 1]
    results.close()
    assert not [t for t in set(threading.enumerate()) - before if t.name.startswith("her2edge")]


def made_later(count, make=lambda i: i, at_once=None):
    """Items that threads make; `make` gets their numbers."""
    return Deferred((partial(make, i) for i in range(count)), at_once)


@settings(max_examples=60, deadline=None)
@given(
    delays=st.lists(st.integers(0, 3), max_size=20),
    workers=st.integers(1, 4),
    readers=st.integers(1, 5),
    at_once=st.none() | st.integers(1, 3),
)
def test_what_several_threads_read_comes_in_the_order_of_the_items(delays, workers, readers, at_once):
    def make(i):
        time.sleep(delays[i] / 2000)
        return i

    items = made_later(len(delays), make, at_once)
    results = list(in_order(lambda i: 2 * i, items, workers, readers=readers))
    assert results == [2 * i for i in range(len(delays))]


@pytest.mark.parametrize("readers", [2, 5, 12])
def test_what_all_readers_read_ahead_is_counted_together(readers):
    begun, most = [], 0
    items = made_later(60, lambda i: begun.append(i) or i)
    for done in in_order(lambda i: i, items, 2, 7, readers=readers):
        time.sleep(0.001)
        assert len(begun) - done <= 2 + 7
        most = max(most, len(begun) - done)
    assert most == 2 + 7
    assert len(begun) == 60


@pytest.mark.parametrize(("readers", "at_once", "most"), [(3, None, 3), (8, 2, 2), (1, None, 1)])
def test_as_many_readers_read_at_once_as_asked_for_and_allowed(readers, at_once, most):
    together, inside, seen = threading.Barrier(most, timeout=20), [], []

    def make(i):
        inside.append(i)
        together.wait()
        seen.append(len(inside))
        together.wait()
        inside.remove(i)
        return i

    assert len(list(in_order(lambda i: i, made_later(12, make, at_once), 2, 30, readers=readers))) == 12
    assert max(seen) == most


@pytest.mark.parametrize("readers", [1, 4])
def test_an_item_that_cannot_be_made_ends_the_results_in_its_place(readers):
    def make(i):
        if i == 5:
            raise OSError("the disk is gone")
        return i

    got, before = [], set(threading.enumerate())
    with pytest.raises(OSError, match="gone"):
        got.extend(in_order(lambda i: i, made_later(30, make), 3, readers=readers))
    assert got == [0, 1, 2, 3, 4]
    assert not [t for t in set(threading.enumerate()) - before if t.name.startswith("her2edge")]


def test_who_stops_early_leaves_no_reader_and_nothing_is_read_after():
    read, before = [], set(threading.enumerate())
    results = in_order(lambda i: i, made_later(100, read.append), 2, 3, readers=4)
    next(results)
    results.close()
    assert not [t for t in set(threading.enumerate()) - before if t.name.startswith("her2edge")]
    assert len(read) <= 1 + 2 + 3


def test_with_one_worker_and_one_reader_items_are_made_in_the_callers_thread():
    items = made_later(3, lambda _: threading.current_thread())
    assert set(in_order(lambda thread: thread, items, 1)) == {threading.current_thread()}


def test_items_that_are_made_later_are_an_ordinary_iterator():
    items = made_later(4)
    assert next(items) == 0
    assert list(items) == [1, 2, 3]


def test_an_item_is_let_go_when_its_result_is_there():
    class Big:
        pass

    kept = []

    def make(_):
        big = Big()
        kept.append(weakref.ref(big))
        return big

    results = in_order(lambda _: None, made_later(20, make), 2, 2, readers=3)
    for _ in range(10):
        next(results)
    assert sum(one() is not None for one in kept[:8]) == 0
    results.close()


@pytest.mark.parametrize(("cores", "readers"), [(1, 1), (2, 2), (8, 8), (64, 16)])
def test_a_machine_reads_a_tile_for_each_core_up_to_sixteen(cores, readers):
    assert on_cores(Model.load(tiny.INT8), cores, threads=1, self_test=False).readers == readers
    chosen = on_cores(Model.load(tiny.INT8), cores, threads=1, self_test=False, readers=3)
    assert chosen.readers == 3


@pytest.mark.parametrize("readers", [0, -1, 257, 1.5, "2"])
def test_a_number_of_readers_out_of_range_is_refused(readers):
    with pytest.raises(OptionError, match="readers="):
        Options(readers=readers)


def as_bytes(result):
    chances = None if result.probabilities is None else result.probabilities.tobytes()
    return (result.slide, result.x, result.outcome, chances, result.label, result.error, result.stain_status)


@pytest.mark.parametrize("interpreters", [2, 3])
def test_several_interpreters_give_the_bytes_of_one(interpreters):
    model = Model.load(tiny.INT8)
    tiles = [*tiny.tissue(9), tiny.glass(), "no tile", np.zeros((3, 3, 3), np.uint8), *tiny.tissue(6, 9)]
    one = TileClassifier(model, Options(threads=1))
    several = on_cores(model, threads=1, interpreters=interpreters)
    assert several.plan.interpreters == interpreters
    expected = list(map(as_bytes, one.stream(tiles)))
    assert list(map(as_bytes, several.stream(tiles))) == expected
    first = tiny.tissue(1)[0]
    assert as_bytes(several.classify(first)) == as_bytes(one.classify(first))
    np.testing.assert_array_equal(several.explain(first).map, one.explain(first).map)


def test_while_a_tile_is_in_the_network_the_next_is_prepared_and_the_one_after_it_read():
    """The network waits for both, as long as it takes: it would wait for ever where all went by turns."""
    classifier = on_cores(Model.load(tiny.INT8), threads=1)
    assert classifier.ahead == 1
    infer = classifier.engine.runtime.logits
    filtered, read = threading.Event(), threading.Semaphore(0)
    runs = []

    class Watched(Tile):
        """A tile that says when the tissue filter is through with it: then its result is begun."""

        def __getattribute__(self, name):
            if name == "slide" and self.x:
                filtered.set()
            return super().__getattribute__(name)

    def tiles():
        for tile in tiny.tissue(6):
            read.release()
            yield Watched(**{name: getattr(tile, name) for name in Tile.__match_args__})

    def logits(pixels):
        runs.append(1)
        if len(runs) == 1:
            assert filtered.wait(20), "the second tile was not prepared"
            assert all(read.acquire(timeout=20) for _ in range(3)), "the third tile was not read"
        return infer(pixels)

    watched = with_network(classifier, logits=logits)
    assert [result.outcome for result in watched.stream(tiles())] == ["classified"] * 6


def test_waiting_for_an_interpreter_counts_as_no_inference():
    classifier = on_cores(Model.load(tiny.INT8), threads=1)
    chances = np.zeros(3, np.float32)
    classifier = with_network(classifier, logits=lambda _: time.sleep(0.05) or chances)
    tiles, began = tiny.tissue(8), time.perf_counter()
    spent = sum(result.seconds.infer for result in classifier.stream(tiles))
    assert 8 * 0.05 <= spent <= time.perf_counter() - began  # one after the other on the one interpreter


@pytest.mark.parametrize(
    ("cores", "plan", "ahead"),
    [(1, Plan("litert", 1), 0), (2, Plan("litert", 1), 1), (2, Plan("litert", 2), 1),
     (2, Plan("litert", 1, 2), 1), (16, Plan("litert", 4), 1),
     (16, Plan("litert", 1, 16), 4), (64, Plan("litert", 2, 32), 16)],
)  # fmt: skip
def test_a_tile_is_prepared_ahead_for_every_four_inference_threads(cores, plan, ahead):
    assert plan.ahead(cores) == ahead


def test_on_one_core_all_is_done_in_the_callers_thread():
    classifier = on_cores(Model.load(tiny.INT8), 1, threads=1)
    threads = []
    results = classifier.stream(threads.append(threading.current_thread()) or tile for tile in tiny.tissue(3))
    assert len(list(results)) == 3
    assert set(threads) == {threading.current_thread()}


def test_each_worker_has_an_interpreter_of_its_own():
    """Two tiles are in the network at the same time, on two interpreters, and never more."""
    both, seen = threading.Barrier(2, timeout=20), set()

    class Meeting(LiteRTRuntime):
        def _infer(self, pixels, names):
            both.wait()
            seen.add(id(self))
            return super()._infer(pixels, names)

    host = Host(cores=8, runtimes={"litert": Kind("ai-edge-litert", Meeting)})
    classifier = on(host, Model.load(tiny.INT8), Options(threads=1, interpreters=2, self_test=False))
    results = list(classifier.stream(tiny.tissue(8)))
    assert {result.outcome for result in results} == {"classified"}
    assert len(seen) == 2
