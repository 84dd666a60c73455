"""A feed that was forgotten keeps no process alive, and a forked process never waits for one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import tiny
from shared_data import SUPPORT

START = f"""
import os, sys, threading, time
sys.path[:0] = {[str(SUPPORT)]!r}
import her2edge as he
from her2edge.errors import FeedError
import paced
from paced import Network, feed_on, tile, until
paced.PATIENCE = 1e6  # a network without leave hangs for good
def real(**options):
    return he.TileClassifier(he.Model.load({str(tiny.INT8)!r}), he.Options(threads=1, **options))
"""


def run(code, timeout=90):
    return subprocess.run(
        [sys.executable, "-c", START + code], capture_output=True, text=True, timeout=timeout, check=False
    )


FORGOTTEN = {
    "an idle feed": """
feed = real().feed(print)
""",
    "an iterator at work": """
feed = feed_on(Network(), lanes=2)
results = feed.results()
threading.Thread(target=lambda: list(results), daemon=True).start()
tickets = [feed.submit(tile(i)) for i in range(3)]
""",
    "an interpreter at work": """
import numpy as np
classifier = real()
feed = classifier.feed(lambda _: None, policy="drop_oldest")
noise = np.random.default_rng(0).integers(60, 200, (classifier.model.tile_px,) * 2 + (3,), np.uint8)
for _ in range(500):
    feed.submit(noise)
""",
    "a callback that hangs": """
network = Network()
network.go(9)
feed = feed_on(network, lambda _: threading.Event().wait())
feed.submit(tile(0))
until(lambda: feed.ledger.delivered)
""",
    "a network that hangs": """
feed = feed_on(Network(), lanes=2)
feed.submit(tile(0))
until(lambda: feed.ledger.running)
""",
}


@pytest.mark.parametrize("code", FORGOTTEN.values(), ids=FORGOTTEN)
def test_a_process_ends_though_its_feed_was_never_closed(code):
    done = run(code + "print('ready')")
    assert (done.returncode, done.stdout) == (0, "ready\n"), done.stderr
    assert not {"Traceback", "Fatal", "terminate"} & set(done.stderr.replace(":", " ").split())


def test_an_interrupt_while_the_feed_drains_ends_it():
    code = """
import signal
feed = feed_on(Network(), print)
tickets = [feed.submit(tile(i)) for i in range(3)]
until(lambda: feed.ledger.running)
threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    feed.close()
except KeyboardInterrupt:
    print(*sorted(ticket.outcome for ticket in tickets))
"""
    done = run(code)
    assert (done.returncode, done.stdout) == (0, "cancelled cancelled failed\n")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_is_told_that_the_feed_is_not_its_own():
    code = """
n = Network()
with feed_on(n, str) as feed:
    ticket = feed.submit(tile(0))
    until(lambda: feed.ledger.running)
    pid = 0
    feed._state.changed.lock.acquire()  # as another thread might have at that moment
    pid = os.fork()
    if pid:
        feed._state.changed.lock.release()
    else:
        refused = 0
        for act in (lambda: feed.submit(tile(1)), ticket.result, ticket.cancel, feed.drain, feed.cancel,
                    lambda: feed.ledger):
            try:
                act()
            except FeedError:
                refused += 1
        feed.close()
        feed.__exit__(None, None, None)
        del feed, ticket
        sys.exit(40 + refused)
    n.go()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(ticket.outcome, status)
"""
    done = run(code)
    assert done.stdout == "classified 46\n", done.stderr


def test_the_end_of_a_process_ends_every_ticket():
    code = """
import atexit
atexit.register(lambda: print(*sorted(ticket.outcome for ticket in tickets)))
network = Network()
feed = feed_on(network, str)
tickets = [feed.submit(tile(i)) for i in range(4)]
until(lambda: feed.ledger.running)
"""
    done = run(code)
    assert (done.returncode, done.stdout) == (0, "cancelled cancelled cancelled failed\n"), done.stderr
