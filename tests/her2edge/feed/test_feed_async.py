"""A feed in an event loop: `async for`, `async with`, and a loop that is never held up."""

from __future__ import annotations

import asyncio

from paced import PATIENCE, Network, feed_on, tile, until

from her2edge import Outcome


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, PATIENCE))


def test_results_come_by_async_for_while_tiles_are_submitted():
    async def main():
        async with feed_on(network, lanes=2, capacity=2) as feed:
            results = feed.results()

            async def submit():
                for x in range(50):
                    await asyncio.to_thread(feed.submit, tile(x))
                await asyncio.to_thread(feed.close)

            submitting = asyncio.create_task(submit())
            got = [result.x async for result in results]
            await submitting
        return got

    network = Network()
    network.go(50)
    assert run(main()) == list(range(50))


def test_a_lone_tile_comes_at_once_and_the_loop_runs_on_meanwhile():
    async def main():
        async with feed_on(network, lanes=2) as feed:
            results = aiter(feed)
            feed.submit(tile(0))
            first = asyncio.ensure_future(anext(results))
            for _ in range(20):
                await asyncio.sleep(0.001)
                turns.append(first.done())
            network.go()
            return await first

    network, turns = Network(), []
    assert run(main()).x == 0
    assert turns == [False] * 20


def test_a_consumer_that_is_cancelled_loses_no_result():
    async def main():
        async with feed_on(network) as feed:
            results = feed.results()
            feed.submit(tile(0))
            impatient = asyncio.ensure_future(anext(results))
            await asyncio.sleep(0.01)
            impatient.cancel()
            network.go()
            return await anext(results)

    network = Network()
    assert run(main()).outcome is Outcome.CLASSIFIED


def test_an_idle_loop_is_not_woken_again_and_again():
    async def main():
        async with feed_on(Network()) as feed:
            waiting = asyncio.ensure_future(anext(feed.results()))
            await asyncio.sleep(0.02)
            real = feed._state.result_or_bell
            feed._state.result_or_bell = lambda *given: (asked.append(1), real(*given))[1]
            await asyncio.sleep(0.05)
            waiting.cancel()

    asked = []
    run(main())
    assert len(asked) <= 1


def test_leaving_async_with_waits_for_the_tiles_without_holding_up_the_loop():
    async def main():
        asyncio.get_running_loop().call_later(0.02, network.go)
        async with feed_on(network) as feed:
            ticket = feed.submit(tile(0))
        return ticket.outcome

    network = Network()
    assert run(main()) is Outcome.CLASSIFIED


def test_a_loop_that_is_gone_disturbs_no_feed():
    async def main():
        waiting = asyncio.ensure_future(anext(results))
        await asyncio.sleep(0.01)
        waiting.cancel()  # its bell is still to be rung

    network = Network()
    with feed_on(network) as feed:
        results = feed.results()
        asyncio.run(main())
        feed.submit(tile(0))
        network.go()
        until(lambda: feed.ledger.ended == 1)
    assert len(list(results)) == 1
