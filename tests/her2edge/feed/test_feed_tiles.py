"""Tiles of a feed: bad ones, those that come twice, the caller's arrays, several threads at once."""

from __future__ import annotations

import logging
import re
import textwrap
import threading
import weakref
from collections import Counter
from itertools import islice, pairwise

import numpy as np
import pytest
import tiny
from engines import on_cores, with_network
from paced import PATIENCE, Network, feed_on, tile, until
from shared_data import SHARED, needs

from her2edge import Model, Options, Outcome, SlideReader, Tile, TileClassifier, TileFeed
from her2edge.errors import FeedError, OptionError
from her2edge.feed.state import State


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
    return (result.slide, result.x, result.outcome, chances, result.label, result.error, result.stain_status)


# What goes wrong


def test_bugs_and_dead_interpreters_cost_their_tile_and_are_logged_once(classifier, caplog):
    real, runs = classifier.engine.runtime.logits, []

    def fails_sometimes(pixels):
        runs.append(1)
        if len(runs) % 3 == 0:
            raise SystemExit("gone") if len(runs) % 2 else ZeroDivisionError("a bug\nwith two lines")
        return real(pixels)

    failing = with_network(classifier, logits=fails_sometimes)
    with caplog.at_level(logging.ERROR, "her2edge"), failing.feed() as feed:
        tickets = [feed.submit(one) for one in tiny.tissue(12)]
    outcomes = Counter(ticket.outcome for ticket in tickets)  # which of two lanes is first, nobody knows
    assert outcomes == {Outcome.CLASSIFIED: 8, Outcome.FAILED: 4}
    errors = {ticket.result().error for ticket in tickets if ticket.outcome is Outcome.FAILED}
    assert errors == {
        "unexpected, please report it: SystemExit: gone",
        "unexpected, please report it: ZeroDivisionError: a bug",
    }
    assert len(caplog.records) == 4  # two kinds, each once with its traceback and once with its count


class Buggy(State):
    """A state that cannot take a result."""

    def end(self, ticket, result):
        return 1 // 0


def test_a_bug_of_the_feed_itself_leaves_no_ticket_waiting(network):
    feed = feed_on(network, lanes=2, state=Buggy)
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
        assert len(feed._state._tickets._answered) == 3
        assert len(feed._state._tickets._open) == 0
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
