"""Whatever happens to a feed, in whatever order: its ledger adds up and no ticket ends twice."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule
from paced import tile

from her2edge import Outcome, TileResult
from her2edge.errors import FeedError, FeedTimeout
from her2edge.feed import POLICIES, FeedOptions
from her2edge.feed.state import State
from her2edge.feed.ticket import Ticket

ENDINGS = (Outcome.CLASSIFIED, Outcome.BACKGROUND, Outcome.FAILED)


class Feed(RuleBasedStateMachine):
    """The state of a feed, with the test in place of lanes, consumer and clock: nothing is left to chance.

    The model beside it is a list of tickets and what was seen of each.
    """

    tickets = Bundle("tickets")

    @initialize(
        capacity=st.integers(1, 4),
        lanes=st.integers(1, 3),
        policy=st.sampled_from(POLICIES),
        remember=st.integers(0, 3),
        consumer=st.booleans(),
    )
    def open(self, capacity, lanes, policy, remember, consumer):
        self.now = 0.0
        self.state = State(FeedOptions(capacity, policy, None, remember), lanes, lambda: self.now)
        self.state.changed.servant.start()
        self.capacity, self.lanes, self.policy, self.consumer = capacity, lanes, policy, consumer
        if consumer:
            self.state.consume()
        self.all: dict[Ticket, Outcome | None] = {}
        self.running: list[tuple[Ticket, object]] = []
        self.got: list[TileResult] = []
        self.duplicates = self.refused = 0
        self.closed = False

    @rule(target=tickets, x=st.integers(0, 9), max_wait=st.none() | st.integers(1, 5))
    def submit(self, x, max_wait):
        due = None if max_wait is None else self.now + max_wait
        new = Ticket(self.state, tile(x), due)
        before = self.state.ledger()
        try:
            ticket = self.state.accept(new, tile(x), 0)
        except FeedTimeout:
            assert (self.policy, before.waiting) == ("block", self.capacity)
            assert self.state.ledger().submitted == before.submitted
            return new
        except FeedError:
            assert self.closed
            return new
        assert not self.closed
        if ticket is new:
            assert self.policy == "reject" or not ticket.done
            self.all[ticket] = None
        else:
            assert ticket in self.all
            assert (ticket.slide, ticket.x, ticket.span) == (new.slide, new.x, new.span)
            self.duplicates += 1
        return ticket

    def may_begin(self):
        ledger = self.state.ledger()
        room = self.closed or not self.state._out.full
        return ledger.waiting and ledger.running < self.lanes and room

    @precondition(lambda self: self.may_begin())
    @rule()
    def begin(self):
        """What a lane does; where all that waits is late, it would go on waiting, so the last is not late."""
        if all(self.state._is_late(ticket) for ticket in self.state._waiting):
            return
        begun = self.state.take()
        assert begun is not None
        self.running.append(begun)

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 2), outcome=st.sampled_from(ENDINGS))
    def answer(self, which, outcome):
        ticket, _ = self.running.pop(which % len(self.running))
        self.state.end(ticket, TileResult(ticket.slide, ticket.x, ticket.y, ticket.span, outcome))
        assert ticket.outcome is outcome

    @rule(ticket=tickets)
    def cancel(self, ticket):
        waiting = ticket in self.all and not ticket.done and ticket not in [one for one, _ in self.running]
        assert ticket.cancel() is waiting
        assert not waiting or ticket.outcome is Outcome.CANCELLED

    @rule()
    def cancel_all(self):
        waiting = self.state.ledger().waiting
        assert self.state.cancel_all() == waiting
        assert self.state.ledger().waiting == 0

    @rule(seconds=st.integers(1, 4))
    def wait(self, seconds):
        self.now += seconds

    @precondition(lambda self: self.consumer)
    @rule()
    def consume(self):
        if (result := self.state.next_result(wait=False)) is not None:
            self.got.append(result)

    @rule()
    def forget(self):
        self.state.forget("row")

    @rule(really=st.integers(0, 9))
    def close(self, really):
        if really == 0:
            self.state.begin_close()
            self.closed = True

    @invariant()
    def it_adds_up(self):
        if not hasattr(self, "all"):
            return
        now = self.state.ledger()
        assert now.submitted == now.waiting + now.running + now.ended == len(self.all)
        seen = [ticket.outcome for ticket in self.all]
        for outcome in Outcome:
            assert getattr(now, outcome) == seen.count(outcome)
        assert (now.running, now.duplicates) == (len(self.running), self.duplicates)
        assert now.late <= now.dropped
        assert now.dropped == now.late or self.policy != "block"

    @invariant()
    def nothing_ends_twice(self):
        for ticket, before in getattr(self, "all", {}).items():
            assert before is None or ticket.outcome is before
            self.all[ticket] = ticket.outcome

    @invariant()
    def memory_is_bounded(self):
        if not hasattr(self, "all"):
            return
        now = self.state.ledger()
        assert now.waiting <= self.capacity
        assert now.undelivered <= (3 if self.closed else 2) * self.capacity + self.lanes

    @invariant()
    def results_come_once_and_those_of_answered_tiles_in_order(self):
        if not hasattr(self, "all"):
            return
        now = self.state.ledger()
        assert now.delivered == len(self.got)
        if self.consumer:
            assert now.ended == now.delivered + now.undelivered + now.untold
        assert len({id(result) for result in self.got}) == len(self.got)
        numbers = {id(ticket._ended): ticket.number for ticket in self.all}
        answered = [numbers[id(result)] for result in self.got if result.outcome in ENDINGS]
        assert answered == sorted(answered)

    def teardown(self):
        """However it is left, closing ends every ticket."""
        if not hasattr(self, "all"):
            return
        self.state.stop()
        self.running.clear()
        assert all(ticket.done for ticket in self.all)
        self.it_adds_up()
        self.nothing_ends_twice()
        while self.consumer and (result := self.state.next_result(wait=False)) is not None:
            self.got.append(result)
        self.results_come_once_and_those_of_answered_tiles_in_order()
        assert self.state.over


Feed.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestFeed = Feed.TestCase
