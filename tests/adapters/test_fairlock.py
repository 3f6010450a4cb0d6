"""One at a time, the sites in turn; who has gone keeps nobody waiting."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from donjon.adapters.http.fairlock import Crowded, FairLock


def told(story: Callable[[FairLock, Callable[[str], Awaitable[None]], list[str]], Awaitable[None]]) -> list[str]:
    """Who had a turn, in that order."""
    order: list[str] = []
    turns = FairLock()

    async def take(who: str) -> None:
        async with turns.turn(who[0]):
            order.append(who)
            await asyncio.sleep(0)

    async def run() -> None:
        async with asyncio.timeout(5):
            await story(turns, take, order)

    asyncio.run(run())
    return order


def test_who_sends_most_does_not_keep_another_site_waiting() -> None:
    async def story(_: FairLock, take: Callable[[str], Awaitable[None]], __: list[str]) -> None:
        await asyncio.gather(*map(take, ("a1", "a2", "a3", "a4", "b1", "b2")))

    assert told(story) == ["a1", "a2", "b1", "a3", "b2", "a4"]


@pytest.mark.parametrize("ticks", range(10))
def test_who_has_gone_keeps_nobody_waiting_whether_the_turn_had_come_or_not(ticks: int) -> None:
    async def story(turns: FairLock, take: Callable[[str], Awaitable[None]], order: list[str]) -> None:
        first, gone, last = (asyncio.ensure_future(take(who)) for who in ("a1", "b1", "c1"))
        for _ in range(ticks):
            await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(first, last)
        async with turns.turn("d"):
            order.append("d1")

    order = told(story)
    assert [who for who in order if who != "b1"] == ["a1", "c1", "d1"]


@pytest.mark.parametrize("gone", ["", "before", "after"], ids=["is there", "has gone before", "has gone at the same moment"])
def test_who_is_turned_away_for_another_hands_no_turn_on(gone: str) -> None:
    held: list[str] = []

    async def take(lock: FairLock, site: str) -> None:
        async with lock.turn("line", site):
            held.append(site)
            await asyncio.sleep(0)
            assert held.pop() == site
            assert not held

    async def run() -> None:
        lock = FairLock()
        first, second, last = (asyncio.ensure_future(take(lock, "most")) for _ in range(3))
        await asyncio.sleep(0)
        if gone == "before":
            last.cancel()
        assert lock.make_room("line", "few")
        if gone == "after":
            last.cancel()
        few = asyncio.ensure_future(take(lock, "few"))
        async with asyncio.timeout(5):
            await asyncio.gather(first, second, few)
            (error,) = await asyncio.gather(last, return_exceptions=True)
        assert isinstance(error, asyncio.CancelledError if gone else Crowded)

    asyncio.run(run())
