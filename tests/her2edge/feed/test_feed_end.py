"""How a feed, its tiles and its threads end: whatever hangs, no ticket is left waiting."""

from __future__ import annotations

import gc
import threading
import time

import pytest
from paced import PATIENCE, Network, feed_on, tile, until

from her2edge import Outcome
from her2edge.errors import FeedError, FeedTimeout


@pytest.fixture
def network():
    return Network()


def outcomes(ledger):
    return {outcome: getattr(ledger, outcome) for outcome in Outcome if getattr(ledger, outcome)}


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
    with pytest.raises(FeedError, match="4 more threads"):
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
