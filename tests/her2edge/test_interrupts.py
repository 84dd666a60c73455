"""What a signal handler raises in the middle of a call costs that call: nothing hangs, is lost or is left."""

from __future__ import annotations

import copy
import os
import pickle
import random
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import tiny
from interrupts import interrupted_at, interrupted_soon, settled, threads
from paced import PATIENCE, Network, feed_on, tile
from PIL import Image
from shared_data import SUPPORT

from her2edge import Her2EdgeError, Model, Options, SlideReader, Tile, TileClassifier
from her2edge.errors import FeedError
from her2edge.processes import OneProcessError

TILES = tiny.tissue(8)
STEP = 7  # bytecodes between two interrupts in the short tests, those of `make soak` take every one
needs_alarm = pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="this system has no alarm")


@pytest.fixture(scope="module")
def classifier():
    return TileClassifier(Model.load(tiny.INT8), Options(threads=1))


@pytest.fixture(scope="module")
def expected(classifier):
    return [result.probabilities for result in map(classifier.classify, TILES)]


def answers_as_before(classifier, expected, times=1):
    for _ in range(times):
        for one, chances in zip(TILES, expected, strict=True):
            np.testing.assert_array_equal(classifier.classify(one).probabilities, chances)


def adds_up(ledger):
    ended = ledger.classified + ledger.background + ledger.failed + ledger.dropped + ledger.cancelled
    return ledger.submitted == ledger.waiting + ledger.running + ended


def stop_early(classifier):
    results = classifier.stream(TILES[:5])
    next(results)
    results.close()


def push(classifier):
    with classifier.feed(capacity=2) as feed:
        for one in TILES[:3]:
            feed.submit(one)
        feed.ledger  # noqa: B018 - asked for, to be interrupted


CALLS = {
    "classify": lambda classifier: classifier.classify(TILES[0]),
    "explain": lambda classifier: classifier.explain(TILES[0]),
    "stream": lambda classifier: list(classifier.stream(TILES[:3])),
    "a stream that is closed": stop_early,
    "a feed": push,
}


def at_every(step, classifier, expected, call):
    """Interrupt the call at one place after the other; afterwards all is as before."""
    before, number = threads(), 1
    while (place := interrupted_at(number, lambda: call(classifier))) is not None:
        answers_as_before(classifier, expected)
        assert settled(before), f"interrupted at {place}: {threads()}"
        number += step
    assert number > 100


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_interrupted_at_any_place_a_classifier_answers_as_before_and_leaves_no_thread(
    classifier, expected, call
):
    step = 41 if call in (push, stop_early) else 4 * STEP
    at_every(step, classifier, expected, call)


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_interrupted_at_every_bytecode_a_classifier_answers_as_before_and_leaves_no_thread(
    classifier, expected, call
):
    at_every(1, classifier, expected, call)


ACTS = {
    "submit": lambda feed: feed.submit(tile(1)).result(),
    "ledger": lambda feed: feed.ledger,
    "drain": lambda feed: feed.drain(),
    "cancel": lambda feed: feed.cancel(),
    "close": lambda feed: feed.close(),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_interrupted_at_any_place_a_feed_adds_up_and_ends_every_ticket(act):
    before, number, place = threads(), 1, ""
    while place is not None:
        network = Network()
        network.go(9)
        feed = feed_on(network, lambda _: None, capacity=2)
        tickets = [feed.submit(tile(0))]
        place = interrupted_at(number, lambda feed=feed: act(feed))
        assert adds_up(feed.ledger), place
        if act is not ACTS["close"]:
            tickets += [feed.submit(tile(1)), feed.submit(tile(1))]
            assert tickets[1] is tickets[2]
        feed.close(PATIENCE)
        assert all(ticket.done for ticket in tickets), place
        assert feed.ledger.ended == feed.ledger.submitted == len(set(tickets)), place
        assert settled(before), f"interrupted at {place}: {threads()}"
        number += STEP
    assert number > 50


def test_a_consumer_that_was_interrupted_is_asked_for_again_and_gets_every_result():
    number, place = 1, ""
    while place is not None:
        network, held, got = Network(), [], []
        network.go(9)
        with feed_on(network, capacity=2) as feed:

            def fetch(feed=feed, held=held, got=got):
                held.append(feed.results())
                for x in range(2):
                    feed.submit(tile(x))
                got.append(next(held[0]).x)

            place = interrupted_at(number, fetch)
            results = held[0] if held else feed.results()
            for x in range(2):
                feed.submit(tile(x))
            feed._state.begin_close()
            got += [result.x for result in results]
        # No handler runs between the last line of `__next__` and the caller's; the trace of this test does.
        assert got == [0, 1] or (got == [1] and "consumer.py" in place), place
        number += STEP


def test_a_consumer_that_is_gone_holds_nobody_up():
    network = Network()
    network.go(99)
    with feed_on(network, capacity=2) as feed:
        results = feed.results()
        feed.submit(tile(0))
        next(results)
        del results
        for x in range(1, 30):
            feed.submit(tile(x), timeout=PATIENCE)
    assert feed.ledger.delivered == 1
    assert feed.ledger.ended == feed.ledger.delivered + feed.ledger.untold == 30


def at_random(classifier, expected, call, times, check=lambda: None):
    moment, before = random.Random(25), threads()  # noqa: S311 - nothing secret
    for _ in range(times):
        assert interrupted_soon(call, moment)
        answered = []
        thread = threading.Thread(
            target=lambda answered=answered: answered.append(classifier.classify(TILES[0])), daemon=True
        )
        thread.start()
        thread.join(PATIENCE)
        assert answered, "another thread waits for ever"
        np.testing.assert_array_equal(answered[0].probabilities, expected[0])
        check()
    answers_as_before(classifier, expected, 13)
    assert settled(before), threads()


def random_calls(classifier, name, times, expected):
    if name == "submit":
        given, before = iter(range(10**9)), threads()
        feed = classifier.feed(lambda _: None, capacity=4)
        pixels = TILES[0].pixels
        last = []

        def submit():
            last[:] = [Tile(pixels, x=float(next(given)), span=(64.0, 64.0), slide="row")]
            feed.submit(last[0])

        def check():
            assert adds_up(feed.ledger)
            if last:
                assert feed.submit(last[0]) is feed.submit(last[0])

        inside = threads()
        at_random(classifier, expected, submit, times, check)
        assert threads() == inside
        assert feed.close(PATIENCE)
        assert feed.ledger.ended == feed.ledger.submitted
        assert settled(before), threads()
        return
    calls = {
        "classify": lambda: classifier.classify(TILES[1]),
        "stream": lambda: [None for _ in classifier.stream(TILES)],
    }
    at_random(classifier, expected, calls[name], times)


@needs_alarm
@pytest.mark.parametrize("name", ["submit", "classify", "stream"])
def test_a_hundred_alarms_at_random_moments_break_nothing(classifier, expected, name):
    random_calls(classifier, name, 100, expected)


@needs_alarm
@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.parametrize("name", ["submit", "classify", "stream"])
def test_a_thousand_alarms_at_random_moments_break_nothing(classifier, expected, name):
    random_calls(classifier, name, 1000, expected)


FORK = f"""
import os, sys, threading, time, itertools
sys.path[:0] = {[str(SUPPORT)]!r}
import her2edge as he
import tiny
c = he.TileClassifier(he.Model.load({str(tiny.INT8)!r}), he.Options(threads=1))
tiles = tiny.tissue(8)
stream = c.stream(itertools.cycle(tiles))
next(stream)
feed = c.feed(capacity=2)
stop = threading.Event()
def busy(call):
    while not stop.is_set():
        call()
        time.sleep(0.002)
for call in (lambda: c.classify(tiles[0]), lambda: feed.submit(tiles[1].pixels), lambda: next(stream)):
    threading.Thread(target=busy, args=(call,), daemon=True).start()
acts = [lambda: c.classify(tiles[0]), lambda: next(iter(c.stream(tiles))), lambda: c.explain(tiles[0]),
        c.feed, lambda: feed.submit(tiles[2]), lambda: feed.ledger, feed.results]
said, longest = [], 0
for i in range(50):
    pid = os.fork()
    if not pid:
        code = 0
        try:
            acts[i % len(acts)]()
            feed.close()
        except (he.errors.InferenceError, he.errors.FeedError) as error:
            code = 40 if "before a fork" in str(error) and "in the worker" in str(error) else 41
        except BaseException:
            code = 42
        os._exit(code)
    began = time.monotonic()
    while (ended := os.waitpid(pid, os.WNOHANG))[0] == 0:
        if time.monotonic() - began > 10:
            os.kill(pid, 9)
        time.sleep(0.001)
    longest = max(longest, time.monotonic() - began)
    said.append(os.waitstatus_to_exitcode(ended[1]))
stop.set()
print(said.count(40), longest < 5)
feed.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_forked_from_a_busy_process_a_child_is_refused_at_once():
    done = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, "50 True\n"), done.stderr


@pytest.mark.parametrize("send", [pickle.dumps, copy.deepcopy], ids=["pickle", "deepcopy"])
def test_what_lives_in_one_process_says_so_where_it_is_to_be_sent(classifier, send, tmp_path):
    Image.fromarray(tiny.glass()).save(tmp_path / "tile.png")
    with SlideReader(tmp_path) as slide, classifier.feed() as feed:
        ticket = feed.submit(TILES[0])
        advised = {classifier: "model's path", classifier.engine: "model's path", feed: "model's path"}
        for one, advice in (advised | {slide: "slide's path", ticket: "result()"}).items():
            with pytest.raises(OneProcessError) as caught:
                send(one)
            assert advice in str(caught.value)
            assert isinstance(caught.value, Her2EdgeError)
        assert pickle.loads(pickle.dumps(ticket.result())).label == ticket.result().label  # noqa: S301


def test_a_classifier_that_nobody_refers_to_leaves_no_thread():
    before = threads()
    classifier = TileClassifier(Model.load(tiny.INT8), Options(threads=1))
    classifier.classify(TILES[0])
    results = classifier.stream(TILES)
    next(results)
    del results, classifier
    assert settled(before), threads()


def test_a_closed_feed_can_still_be_asked(classifier):
    with classifier.feed() as feed:
        ticket = feed.submit(TILES[0])
    assert (feed.ledger.ended, ticket.cancel(), feed.close()) == (1, False, True)
    with pytest.raises(FeedError, match="closed"):
        feed.submit(TILES[0])
