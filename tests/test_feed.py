"""The push API: every tile is answered once, whatever the network, the consumer and the caller do."""

from __future__ import annotations

import gc
import logging
import re
import textwrap
import threading
import time
import weakref
from collections import Counter
from itertools import islice, pairwise

import numpy as np
import pytest
import tiny
from paced import PATIENCE, Network, feed_on, tile, until
from shared_data import SHARED, needs

from her2edge import (
    FeedError,
    FeedTimeout,
    Model,
    OptionError,
    Options,
    Outcome,
    SlideReader,
    Tile,
    TileClassifier,
    TileFeed,
    UnreadableTile,
    summarize,
)


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch):
    monkeypatch.setattr("her2edge.runtime.plan.usable_cores", lambda: 8)


@pytest.fixture(scope="module")
def classifier():
    return TileClassifier(Model.load(tiny.INT8), Options(threads=1))


@pytest.fixture
def two(classifier):
    return TileClassifier(classifier.model, Options(threads=1, interpreters=2))


@pytest.fixture
def network():
    return Network()


def as_bytes(result):
    chances = None if result.probabilities is None else result.probabilities.tobytes()
    return (result.slide, result.x, result.outcome, chances, result.label, result.error, result.stain_status)


def outcomes(ledger):
    return {outcome: getattr(ledger, outcome) for outcome in Outcome if getattr(ledger, outcome)}


# The same answers as through the other doors


@pytest.mark.parametrize("interpreters", [1, 2, 3])
def test_a_feed_gives_the_results_of_the_stream_in_their_order(classifier, interpreters):
    tiles = [*tiny.tissue(9), tiny.glass(), UnreadableTile("torn", x=7.0), np.zeros((3, 3, 3), np.uint8)]
    tiles += tiny.tissue(9, 9)
    expected = list(classifier.stream(tiles))
    several = TileClassifier(classifier.model, Options(threads=1, interpreters=interpreters))
    told = []
    with several.feed(told.append, capacity=4) as feed:
        tickets = [feed.submit(one) for one in tiles]
    assert [as_bytes(result) for result in told] == [as_bytes(result) for result in expected]
    assert [as_bytes(ticket.result()) for ticket in tickets] == [as_bytes(result) for result in expected]
    assert summarize(told) == summarize(expected)
    assert [ticket.number for ticket in tickets] == list(range(1, len(tiles) + 1))


def test_a_lone_tile_is_answered_though_no_other_comes(two):
    """With two interpreters, whose stream reads ahead; by all three ways to hear of it."""
    told, pulled = threading.Event(), threading.Event()
    with two.feed(lambda _: told.set()) as feed:
        assert feed.submit(tiny.tissue(1)[0]).result(PATIENCE).outcome is Outcome.CLASSIFIED
        assert told.wait(PATIENCE)
    with two.feed() as feed:
        results = feed.results()
        threading.Thread(target=lambda: (next(results), pulled.set()), daemon=True).start()
        feed.submit(tiny.tissue(1)[0])
        assert pulled.wait(PATIENCE)


def test_as_many_tiles_are_in_the_network_as_there_are_interpreters(network):
    with feed_on(network, lanes=3) as feed:
        for x in range(5):
            feed.submit(tile(x))
        until(lambda: feed.ledger.running == 3)
        assert (feed.ledger.waiting, sorted(network.begun)) == (2, [0, 1, 2])
        network.go(5)


def test_a_slow_tile_holds_back_the_order_of_results_but_no_ticket():
    first = threading.Event()

    def answer(one):
        assert one.x or first.wait(PATIENCE)
        return Network.__call__(fast, one)

    fast, told = Network(), []
    fast.go(3)
    with feed_on(answer, told.append, lanes=2) as feed:
        slow, *others = [feed.submit(tile(x)) for x in range(3)]
        assert [other.result(PATIENCE).x for other in others] == [1, 2]
        assert (slow.done, slow.outcome, told, feed.ledger.undelivered) == (False, None, [], 2)
        first.set()
    assert [result.x for result in told] == [0, 1, 2]


# A consumer that is slow, or raises


@pytest.mark.parametrize("policy", ["drop_oldest", "reject"])
def test_a_callback_that_hangs_stalls_no_scanner_and_every_drop_is_counted(network, policy):
    hang, network_gate = threading.Event(), network
    network_gate.go(1000)
    with feed_on(network, lambda _: hang.wait(PATIENCE), capacity=3, policy=policy) as feed:
        began = time.monotonic()
        tickets = [feed.submit(tile(x)) for x in range(500)]
        assert time.monotonic() - began < PATIENCE / 2
        until(lambda: feed.ledger.waiting == 3 and not feed.ledger.running)
        held = feed.ledger
        assert held.undelivered <= 2 * 3 + 1
        assert held.dropped == sum(ticket.outcome is Outcome.DROPPED for ticket in tickets) > 480
        hang.set()
    assert feed.ledger.ended == feed.ledger.submitted == 500
    assert feed.ledger.delivered + feed.ledger.untold == 500


def test_with_block_a_slow_callback_slows_submit_and_loses_nothing(network):
    network.go(1000)
    told, deepest = [], []

    def slowly(result):
        time.sleep(0.002)
        told.append(result.x)
        deepest.append((feed.ledger.waiting, feed.ledger.undelivered))

    with feed_on(network, slowly, lanes=2, capacity=4) as feed:
        for x in range(100):
            feed.submit(tile(x))
    assert told == list(range(100))
    assert max(waiting for waiting, _ in deepest) == 4
    assert max(undelivered for _, undelivered in deepest) <= 4 + 2 + 4  # closing lets those that wait pass
    assert outcomes(feed.ledger) == {"classified": 100}


def test_a_callback_that_raises_is_counted_logged_once_and_kills_nothing(network, caplog):
    network.go(20)

    def broken(result):
        raise KeyError(result.x) if result.x % 2 else SystemExit("no")

    with caplog.at_level(logging.ERROR, "her2edge"), feed_on(network, broken) as feed:
        for x in range(20):
            feed.submit(tile(x))
    assert outcomes(feed.ledger) == {"classified": 20}
    assert (feed.ledger.callback_errors, feed.ledger.delivered) == (20, 20)
    assert sorted(record.getMessage() for record in caplog.records) == [
        "on_result raised: KeyError",
        "on_result raised: KeyError: 10 times in all",
        "on_result raised: SystemExit",
        "on_result raised: SystemExit: 10 times in all",
    ]


def test_tickets_alone_need_no_consumer(network):
    network.go(50)
    with feed_on(network, capacity=2) as feed:
        assert [feed.submit(tile(x)).result(PATIENCE).x for x in range(50)] == list(range(50))
    assert (feed.ledger.delivered, feed.ledger.undelivered, feed.ledger.untold) == (0, 0, 0)


def test_results_can_be_fetched_while_tiles_come_and_after_the_feed_is_closed(network):
    network.go(100)
    got = []
    with feed_on(network, lanes=2, capacity=3) as feed:
        results = feed.results()
        thread = threading.Thread(target=lambda: got.extend(result.x for result in results), daemon=True)
        thread.start()
        for x in range(100):
            feed.submit(tile(x))
    thread.join(PATIENCE)
    assert got == list(range(100))

    with feed_on(network, capacity=3) as feed:
        results = iter(feed)
        feed.submit(tile(1)).cancel()
    assert len(list(results)) == 1


def test_closing_waits_for_nobody_who_fetches_later(network):
    """Who fetches in the thread that submits, afterwards: as many tiles as may wait in all."""
    network.go(100)
    with feed_on(network, lanes=2, capacity=3) as feed:
        results = feed.results()
        for x in range(3 + 2 + 3):
            feed.submit(tile(x), timeout=PATIENCE)
        until(lambda: feed.ledger.undelivered == 3 + 2)
        with pytest.raises(FeedTimeout):
            feed.submit(tile(9), timeout=0.01)
        closing = threading.Thread(target=feed.close, daemon=True)
        closing.start()
        closing.join(PATIENCE)
    assert [result.x for result in results] == list(range(8))


def test_who_stops_fetching_is_waited_for_no_longer(network):
    network.go(100)
    with feed_on(network, capacity=2) as feed:
        results = feed.results()
        feed.submit(tile(0))
        next(results)
        results.close()
        for x in range(1, 50):
            feed.submit(tile(x), timeout=PATIENCE)
    assert list(results) == []
    assert (feed.ledger.delivered, feed.ledger.untold, feed.ledger.classified) == (1, 49, 50)


def test_a_feed_has_one_consumer_named_before_the_first_tile(network):
    network.go(9)
    with feed_on(network, print) as feed, pytest.raises(FeedError, match="second consumer"):
        feed.results()
    with feed_on(network) as feed:
        feed.submit(tile(0))
        with pytest.raises(FeedError, match="before the first"):
            iter(feed)


# Policies


def test_block_waits_for_room_and_gives_up_when_told_to(network):
    with feed_on(network, capacity=1) as feed:
        feed.submit(tile(0))
        until(lambda: network.begun)
        feed.submit(tile(1))
        with pytest.raises(FeedTimeout, match="no room"):
            feed.submit(tile(2), timeout=0.01)
        with pytest.raises(TimeoutError):
            feed.submit(tile(2), timeout=0)
        assert (feed.ledger.submitted, feed.ledger.waiting) == (2, 1)
        late = threading.Timer(0.05, network.go, (9,))
        late.start()
        assert feed.submit(tile(2), timeout=PATIENCE).result(PATIENCE).x == 2
    assert outcomes(feed.ledger) == {"classified": 3}


def test_who_waits_for_room_has_it_as_soon_as_the_network_begins_a_tile(network, monkeypatch):
    """Not only when that tile is finished: here it never is before the next has been submitted."""
    with feed_on(network, capacity=1) as feed:
        take = feed._books.take
        monkeypatch.setattr(feed._books, "take", lambda: (time.sleep(0.02), take())[1])
        feed.submit(tile(0))
        until(lambda: network.begun)
        feed.submit(tile(1))
        threading.Timer(0.05, network.go).start()  # tile 0 ends, a little later tile 1 begins
        began = time.monotonic()
        feed.submit(tile(2), timeout=PATIENCE)
        assert time.monotonic() - began < PATIENCE / 2
        assert network.begun == [0, 1]
        network.go(9)


def test_the_network_goes_on_as_soon_as_a_result_is_fetched(network):
    network.go(99)
    with feed_on(network, capacity=2) as feed:
        results = feed.results()
        for x in range(5):
            feed.submit(tile(x))
        until(lambda: feed.ledger.undelivered == 3)
        time.sleep(0.05)  # the lane has seen that it may not begin another
        assert network.begun == [0, 1, 2]
        next(results)
        until(lambda: network.begun == [0, 1, 2, 3])


@pytest.mark.parametrize(
    ("policy", "lost"), [("drop_oldest", [1, 2, 3]), ("reject", [4, 5, 6])], ids=["drop_oldest", "reject"]
)
def test_a_full_feed_drops_the_tile_its_policy_names(network, policy, lost):
    told = []
    with feed_on(network, told.append, capacity=3, policy=policy) as feed:
        tickets = [feed.submit(tile(0))]
        until(lambda: network.begun)
        tickets += [feed.submit(tile(x)) for x in range(1, 7)]
        dropped = [ticket for ticket in tickets if ticket.outcome is Outcome.DROPPED]
        assert [ticket.x for ticket in dropped] == lost
        assert all(policy in ticket.result(0).error for ticket in dropped)
        until(lambda: len(told) == 3)
        network.go(9)
    assert [result.x for result in told] == [*lost, *(x for x in range(7) if x not in lost)]
    assert outcomes(feed.ledger) == {"classified": 4, "dropped": 3}


def test_a_tile_that_waited_too_long_is_dropped_with_the_reason(network):
    with feed_on(network, max_wait=0.02) as feed:
        feed.submit(tile(0))
        until(lambda: network.begun)
        late, patient = feed.submit(tile(1)), feed.submit(tile(2), max_wait=1000)
        time.sleep(0.03)
        network.go(9)
        assert patient.result(PATIENCE).outcome is Outcome.CLASSIFIED
    assert late.outcome is Outcome.DROPPED
    assert "max_wait" in late.result().error
    assert (feed.ledger.late, network.begun) == (1, [0, 2])


def test_tiles_that_are_late_make_room_before_any_other_is_dropped(network):
    with feed_on(network, capacity=2, policy="drop_oldest") as feed:
        feed.submit(tile(0))
        until(lambda: network.begun)
        oldest, late = feed.submit(tile(1)), feed.submit(tile(2), max_wait=0.001)
        time.sleep(0.01)
        feed.submit(tile(3))
        assert (late.outcome, oldest.outcome) == (Outcome.DROPPED, None)
        network.go(9)


# Ending


def test_a_waiting_ticket_can_be_cancelled_and_a_running_one_not(network):
    with feed_on(network) as feed:
        running = feed.submit(tile(0))
        until(lambda: network.begun)
        waiting = feed.submit(tile(1))
        assert (running.cancel(), waiting.cancel(), waiting.cancel()) == (False, True, False)
        assert waiting.result(0).outcome is Outcome.CANCELLED
        network.go()
    assert running.outcome is Outcome.CLASSIFIED
    assert network.begun == [0]


def test_a_ticket_is_waited_for_as_long_as_one_likes(network):
    with feed_on(network) as feed:
        ticket = feed.submit(tile(0))
        for timeout in (0, 0.01):
            with pytest.raises(FeedTimeout, match=f"within {timeout} s"):
                ticket.result(timeout)
        assert (ticket.done, ticket.outcome) == (False, None)
        threading.Timer(0.05, network.go).start()
        assert ticket.result().outcome is ticket.outcome is Outcome.CLASSIFIED


def test_cancelling_the_feed_ends_what_waits_and_finishes_what_runs(network):
    told = []
    with feed_on(network, told.append) as feed:
        tickets = [feed.submit(tile(x)) for x in range(6)]
        until(lambda: network.begun)
        assert feed.cancel() == 5
        network.go()
    assert [ticket.outcome for ticket in tickets] == ["classified", *["cancelled"] * 5]
    assert sorted(result.x for result in told) == list(range(6))


def test_draining_waits_for_the_callback_too(network):
    slow = threading.Event()
    with feed_on(network, lambda _: slow.wait(PATIENCE)) as feed:
        ticket = feed.submit(tile(0))
        assert feed.drain(0.01) is False
        network.go()
        ticket.result(PATIENCE)
        assert feed.drain(0.01) is False
        slow.set()
        assert feed.drain(PATIENCE) is True


def test_leaving_by_an_exception_cancels_what_waits(network):
    def leave():
        with feed_on(network) as feed:
            tickets.extend(feed.submit(tile(x)) for x in range(4))
            until(lambda: network.begun)
            threading.Timer(0.05, network.go).start()
            raise LookupError

    tickets = []
    with pytest.raises(LookupError):
        leave()
    assert [ticket.outcome for ticket in tickets] == ["classified", *["cancelled"] * 3]


def test_a_feed_that_gets_no_threads_says_so_and_leaves_none(network, monkeypatch):
    real, started = threading.Thread.start, []

    def start(thread):
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(FeedError, match="4 threads"):
        feed_on(network, print, lanes=3)
    started[0].join(PATIENCE)
    assert not started[0].is_alive()


def test_closing_ends_every_ticket_even_where_network_and_callback_hang(network):
    hang = threading.Event()
    feed = feed_on(network, lambda _: hang.wait(PATIENCE), lanes=2)
    network.go()
    tickets = [feed.submit(tile(x)) for x in range(4)]
    until(lambda: feed.ledger.delivered == 1 and feed.ledger.running == 2)
    assert feed.close(timeout=0.05) is False
    assert sorted(ticket.outcome for ticket in tickets) == ["cancelled", "classified", "failed", "failed"]
    network.go(9)  # too late: an ended ticket keeps its outcome
    ended = [ticket.outcome for ticket in tickets]
    began = time.monotonic()
    assert feed.close() is False
    assert time.monotonic() - began < PATIENCE / 2
    hang.set()
    until(lambda: not [thread for thread in threading.enumerate() if "her2edge-feed" in thread.name])
    assert [ticket.outcome for ticket in tickets] == ended
    assert (feed.ledger.ended, feed.ledger.delivered, feed.ledger.untold) == (4, 1, 3)


def test_a_closed_feed_stays_closed_and_leaves_no_thread(network):
    network.go(9)
    feed = feed_on(network, print, lanes=3)
    feed.submit(tile(0))
    assert [feed.close(), feed.close()] == [True, True]
    with feed, pytest.raises(FeedError, match="closed"):
        feed.submit(tile(1))
    assert not [thread for thread in threading.enumerate() if "her2edge-feed" in thread.name]
    assert feed.ledger.submitted == 1


def test_a_submit_that_waits_for_room_hears_of_the_close(network):
    feed = feed_on(network, capacity=1)
    feed.submit(tile(0))
    until(lambda: network.begun)
    feed.submit(tile(1))
    heard = []

    def submit():
        try:
            feed.submit(tile(2))
        except FeedError as error:
            heard.append(error)

    thread = threading.Thread(target=submit, daemon=True)
    thread.start()
    time.sleep(0.02)
    closing = threading.Thread(target=feed.close, daemon=True)
    closing.start()
    thread.join(PATIENCE)
    assert heard
    network.go(9)
    closing.join(PATIENCE)
    assert outcomes(feed.ledger) == {"classified": 2}


def test_on_result_is_told_that_it_cannot_wait_for_itself(network):
    network.go(99)
    said = []

    def on_result(result):
        if result.x == 0:
            for wait in (feed.drain, feed.close, feed.submit(tile(2)).result, lambda: feed.submit(tile(3))):
                try:
                    wait()
                except FeedError as error:
                    said.append(str(error))

    slow = Network()
    feed = feed_on(slow, on_result, capacity=1)
    feed.submit(tile(0))
    until(lambda: slow.begun)
    slow.go()
    until(lambda: len(said) >= 3)
    slow.go(9)
    assert feed.close(PATIENCE)
    assert all("on_result" in text for text in said)


def test_a_feed_that_nobody_refers_to_finishes_its_tiles_and_its_threads(network):
    feed = feed_on(network, print, lanes=2)
    tickets = [feed.submit(tile(x)) for x in range(4)]
    del feed
    gc.collect()
    network.go(9)
    assert [ticket.result(PATIENCE).outcome for ticket in tickets] == ["classified"] * 4
    until(lambda: not [thread for thread in threading.enumerate() if "her2edge-feed" in thread.name])


# What goes wrong


def test_bugs_and_dead_interpreters_cost_their_tile_and_are_logged_once(classifier, monkeypatch, caplog):
    real, runs = classifier._runtime.logits, []

    def fails_sometimes(pixels):
        runs.append(1)
        if len(runs) % 3 == 0:
            raise SystemExit("gone") if len(runs) % 2 else ZeroDivisionError("a bug\nwith two lines")
        return real(pixels)

    monkeypatch.setattr(classifier._runtime, "logits", fails_sometimes)
    with caplog.at_level(logging.ERROR, "her2edge"), classifier.feed() as feed:
        tickets = [feed.submit(one) for one in tiny.tissue(12)]
    outcomes = Counter(ticket.outcome for ticket in tickets)  # which of two lanes is first, nobody knows
    assert outcomes == {Outcome.CLASSIFIED: 8, Outcome.FAILED: 4}
    errors = {ticket.result().error for ticket in tickets if ticket.outcome is Outcome.FAILED}
    assert errors == {
        "unexpected, please report it: SystemExit: gone",
        "unexpected, please report it: ZeroDivisionError: a bug",
    }
    assert len(caplog.records) == 4  # two kinds, each once with its traceback and once with its count


def test_a_bug_of_the_feed_itself_leaves_no_ticket_waiting(network, monkeypatch):
    feed = feed_on(network, lanes=2)
    monkeypatch.setattr(feed._books, "end", lambda *_: 1 // 0)
    tickets = [feed.submit(tile(x)) for x in range(5)]
    network.go(9)
    assert {ticket.result(PATIENCE).outcome for ticket in tickets} == {Outcome.FAILED}
    with pytest.raises(FeedError):
        feed.submit(tile(9))
    assert feed.close() is False


def test_tiles_that_cannot_be_used_wait_without_their_pixels(network):
    with feed_on(network) as feed:
        feed.submit(tile(0))
        until(lambda: network.begun)
        large = np.zeros((3000, 3000), np.uint8)
        pixels = weakref.ref(large)
        ticket = feed.submit(large, copy=False)
        del large
        assert (pixels(), feed.ledger.waiting) == (None, 1)
        network.go(9)
    assert ticket.outcome is Outcome.FAILED


def test_tiles_that_cannot_be_used_fail_in_their_turn_for_the_reason_that_the_stream_gives(classifier):
    large = np.zeros((3000, 3000, 3), np.uint8)
    with classifier.feed() as feed:
        tickets = [feed.submit(one) for one in (large, "no tile", Tile(tiny.glass(), mpp=9.0), tiny.glass())]
    assert [ticket.outcome for ticket in tickets] == ["failed", "failed", "failed", "background"]
    assert "3000x3000" in tickets[0].result().error


def test_five_thousand_tiles_of_any_pixels_are_answered_with_a_status_and_numbers(two):
    """Noise, few colours, gradients, blots and glass, from black to white."""
    rng, side, told = np.random.default_rng(18), tiny.SIZE, []

    def any_pixels():
        low, high = sorted(rng.integers(0, 256, 2))
        pixels = rng.integers(low, high + 1, (side, side, 3))
        if rng.random() < 0.3:
            pixels = pixels // 64 * 64
        if rng.random() < 0.3:
            pixels = pixels * np.linspace(0, 1, side)[:, None, None]
        if rng.random() < 0.5:
            pixels[rng.random((side, side)) < rng.random()] = rng.integers(0, 256, 3)
        return pixels.astype(np.uint8)

    with two.feed(told.append) as feed:
        for _ in range(5000):
            feed.submit(any_pixels())
    assert feed.ledger.classified + feed.ledger.background == len(told) == 5000
    assert min(feed.ledger.classified, feed.ledger.background) > 400
    for result in told:
        assert 0 <= result.tissue_fraction <= 1
        if result.outcome is Outcome.CLASSIFIED:
            assert result.stain_status is not None
            assert np.isfinite(result.probabilities).all()
            assert abs(result.probabilities.sum() - 1) < 1e-5
    assert len({result.stain_status for result in told}) > 3


@needs("wsi/cmu-1-small-region.svs")
def test_a_real_slide_pushed_out_of_order_gets_what_the_stream_gives(classifier, two):
    with SlideReader(SHARED / "wsi/cmu-1-small-region.svs") as slide:
        tiles = list(islice(slide.tiles(classifier.model), 400))
    expected = {(result.x, result.y): as_bytes(result) for result in classifier.stream(tiles)}
    mixed = [tiles[i] for i in np.random.default_rng(0).permutation(len(tiles))]
    with two.feed() as feed:
        tickets = [feed.submit(one) for one in mixed]
    assert {(ticket.x, ticket.y): as_bytes(ticket.result()) for ticket in tickets} == expected
    assert len(expected) == len(tiles)
    assert feed.ledger.classified > 50


def test_the_example_of_the_documentation_runs(classifier):
    (example,) = re.findall(r"\n\n((?: {8}.*\n)+)", TileFeed.__doc__)
    told = []
    names = {"classifier": classifier, "scanner": tiny.tissue(3), "show": told.append}
    exec(textwrap.dedent(example), names)  # noqa: S102 - it is ours
    assert names["ticket"].outcome is Outcome.CLASSIFIED
    assert len(told) == names["feed"].ledger.classified == 3


# The caller's arrays


def test_a_scanner_may_fill_its_buffer_again(network):
    seen = []

    def look(one):
        answer = network(one)
        seen.append(int(one.pixels[0, 0, 0]))
        return answer

    buffer = np.zeros((2, 2, 3), np.uint8)
    with feed_on(look) as feed:
        for value, copy in ((1, True), (2, False)):
            buffer[:] = value
            feed.submit(buffer, copy=copy)
            buffer[:] = 99
        network.go(9)
    assert seen == [1, 99]


@pytest.mark.parametrize("cancelled", [False, True], ids=["answered", "cancelled"])
def test_a_tile_that_has_ended_is_let_go_though_its_ticket_is_kept(network, cancelled):
    with feed_on(network) as feed:
        if cancelled:
            feed.submit(tile(0))
            until(lambda: network.begun)
        given = tile(1)
        pixels = weakref.ref(given.pixels)
        ticket = feed.submit(given, copy=False)
        del given
        assert pixels() is not None
        assert not cancelled or ticket.cancel()
        network.go(9)
        ticket.result(PATIENCE)
        until(lambda: pixels() is None)


# Tiles that come twice


def test_a_tile_that_comes_again_gets_the_same_ticket_and_counts_once(network):
    told = []
    with feed_on(network, told.append) as feed:
        ticket = feed.submit(tile(0))
        until(lambda: network.begun)
        waiting = feed.submit(tile(1))
        assert (feed.submit(tile(0)), feed.submit(tile(1))) == (ticket, waiting)
        network.go(9)
        waiting.result(PATIENCE)
        assert feed.submit(tile(1)) is waiting
        assert feed.submit(tile(1, "another slide")) is not waiting
        assert feed.submit(Tile(tile(1).pixels, 1.0, span=(4.0, 4.0), slide="row")) is not waiting
    assert (feed.ledger.submitted, feed.ledger.duplicates, len(told)) == (4, 3, 4)


def test_tiles_that_come_out_of_order_are_answered_like_any_others(classifier):
    tiles = tiny.tissue(9)
    mixed = [tiles[i] for i in (5, 0, 8, 3, 3, 7, 1, 0, 2, 4, 6)]
    with classifier.feed() as feed:
        found = {ticket.x: as_bytes(ticket.result(PATIENCE)) for ticket in map(feed.submit, mixed)}
    assert found == {result.x: as_bytes(result) for result in classifier.stream(tiles)}
    assert (feed.ledger.classified, feed.ledger.duplicates) == (9, 2)


def test_tiles_without_a_place_are_never_taken_for_one_another(network):
    network.go(9)
    pixels = tile(0).pixels
    with feed_on(network) as feed:
        tickets = {feed.submit(one) for one in (pixels, pixels, Tile(pixels), Tile(pixels))}
        placed = {feed.submit(Tile(pixels, y=2.0)) for _ in range(2)}
        corner = {feed.submit(Tile(pixels, span=(2.0, 2.0))) for _ in range(2)}
    assert (len(tickets), len(placed), len(corner), feed.ledger.duplicates) == (4, 1, 1, 2)


@pytest.mark.parametrize("ending", ["failed", "cancelled"])
def test_a_tile_that_was_not_answered_may_be_tried_again(network, ending):
    with feed_on(network) as feed:
        network.outcome = Outcome.FAILED
        first = feed.submit(tile(0))
        until(lambda: network.begun)
        second = feed.submit(tile(1))
        second.cancel()
        network.go()
        first.result(PATIENCE)
        network.outcome = Outcome.CLASSIFIED
        network.go()
        again = feed.submit(tile({"failed": 0, "cancelled": 1}[ending]))
        assert again.result(PATIENCE).outcome is Outcome.CLASSIFIED
    assert feed.ledger.submitted == 3


def test_no_more_answered_tiles_are_known_than_asked_for_and_a_slide_can_be_forgotten(network):
    network.go(99)
    with feed_on(network, remember=3) as feed:
        for x in range(9):
            last = feed.submit(tile(x))
            last.result(PATIENCE)
        assert len(feed._books._known._answered) == 3
        assert len(feed._books._known._open) == 0
        assert feed.submit(tile(8)) is last
        feed.submit(tile(0)).result(PATIENCE)
        assert (feed.ledger.duplicates, feed.ledger.submitted) == (1, 10)
        assert (feed.forget("another"), feed.forget("row")) == (0, 3)
        feed.submit(tile(8)).result(PATIENCE)
    assert (feed.ledger.duplicates, feed.ledger.submitted) == (1, 11)


# Options


@pytest.mark.parametrize(
    "wrong",
    [
        {"capacity": 0},
        {"capacity": 2.5},
        {"policy": "drop_newest"},
        {"max_wait": 0},
        {"max_wait": -1},
        {"max_wait": float("nan")},
        {"remember": -1},
    ],
    ids=str,
)
def test_impossible_options_are_refused(classifier, wrong):
    with pytest.raises(OptionError, match="expected"):
        classifier.feed(**wrong)


@pytest.mark.parametrize("wrong", [{"timeout": -1}, {"max_wait": "soon"}], ids=str)
def test_impossible_times_are_refused(network, wrong):
    with feed_on(network) as feed, pytest.raises(OptionError, match="seconds"):
        feed.submit(tile(0), **wrong)


# Several threads


@pytest.mark.parametrize("policy", ["block", "drop_oldest", "reject"])
def test_several_threads_submit_cancel_and_look_at_the_same_time(policy):
    """Two lanes, four submitters; the ledger adds up whenever it is looked at."""
    busy = Network()
    busy.go(10_000)
    told, tickets, stop, wrong = [], [], threading.Event(), []

    def look(feed):
        while not stop.is_set():
            now = feed.ledger
            if now.submitted != now.waiting + now.running + now.ended or now.waiting > 5:
                wrong.append(now)
            if now.ended != now.delivered + now.undelivered + now.untold:
                wrong.append(now)

    def submit(feed, first):
        for x in range(first, first + 200):
            ticket = feed.submit(tile(x))
            tickets.append(ticket)
            if x % 7 == 0:
                ticket.cancel()

    with feed_on(busy, told.append, lanes=2, capacity=5, policy=policy) as feed:
        looking = threading.Thread(target=look, args=(feed,), daemon=True)
        looking.start()
        threads = [threading.Thread(target=submit, args=(feed, 1000 * i), daemon=True) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    stop.set()
    looking.join(PATIENCE)
    assert not wrong
    assert len({ticket.number for ticket in tickets}) == feed.ledger.submitted == 800
    assert all(ticket.done for ticket in tickets)
    assert len(told) + feed.ledger.untold == 800
    assert policy != "block" or feed.ledger.dropped == feed.ledger.untold == 0
    numbers = {ticket.x: ticket.number for ticket in tickets}
    answered = [numbers[result.x] for result in told if result.outcome is Outcome.CLASSIFIED]
    assert all(a < b for a, b in pairwise(answered))
