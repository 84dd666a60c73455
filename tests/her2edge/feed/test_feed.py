"""The push API: every tile is answered once, whatever the network, the consumer and the caller do."""

from __future__ import annotations

import logging
import threading
import time

import numpy as np
import pytest
import tiny
from engines import on_cores
from paced import PATIENCE, Network, feed_on, tile, until

from her2edge import Model, Options, Outcome, TileClassifier, answer_slide
from her2edge.errors import FeedError, FeedTimeout
from her2edge.feed.state import State
from her2edge.slide import UnreadableTile


@pytest.fixture(scope="module")
def classifier():
    return TileClassifier(Model.load(tiny.INT8), Options(threads=1))


@pytest.fixture
def two(classifier):
    return on_cores(classifier.model, threads=1, interpreters=2)


@pytest.fixture
def network():
    return Network()


def as_bytes(result):
    chances = None if result.probabilities is None else result.probabilities.tobytes()
    said = (result.quality, result.novelty, result.pooled, result.background, result.glass_fraction)
    kept = (result.slide, result.x, result.outcome, chances, result.label, result.error, result.stain_status)
    return kept + said


def outcomes(ledger):
    return {outcome: getattr(ledger, outcome) for outcome in Outcome if getattr(ledger, outcome)}


# The same answers as through the other doors


@pytest.mark.parametrize("interpreters", [1, 2, 3])
def test_a_feed_gives_the_results_of_the_stream_in_their_order(classifier, interpreters):
    tiles = [*tiny.tissue(9), tiny.glass(), UnreadableTile("torn", x=7.0), np.zeros((3, 3, 3), np.uint8)]
    tiles += tiny.tissue(9, 9)
    expected = list(classifier.stream(tiles))
    several = on_cores(classifier.model, threads=1, interpreters=interpreters)
    told = []
    with several.feed(told.append, capacity=4) as feed:
        tickets = [feed.submit(one) for one in tiles]
    assert [as_bytes(result) for result in told] == [as_bytes(result) for result in expected]
    assert [as_bytes(ticket.result()) for ticket in tickets] == [as_bytes(result) for result in expected]
    assert answer_slide(told, several.model) == answer_slide(expected, several.model)
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
    network.go(101)
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
        with pytest.raises(FeedTimeout, match="stayed full"):
            feed.submit(tile(2), timeout=0.01)
        with pytest.raises(TimeoutError):
            feed.submit(tile(2), timeout=0)
        assert (feed.ledger.submitted, feed.ledger.waiting) == (2, 1)
        late = threading.Timer(0.05, network.go, (9,))
        late.start()
        assert feed.submit(tile(2), timeout=PATIENCE).result(PATIENCE).x == 2
    assert outcomes(feed.ledger) == {"classified": 3}


class SlowToTake(State):
    """A lane that comes for its next tile a little late."""

    def take(self):
        time.sleep(0.02)
        return super().take()


def test_who_waits_for_room_has_it_as_soon_as_the_network_begins_a_tile(network):
    """Not only when that tile is finished: here it never is before the next has been submitted."""
    with feed_on(network, capacity=1, state=SlowToTake) as feed:
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
