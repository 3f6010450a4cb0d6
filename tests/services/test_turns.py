"""Turns of instances: whose work is done when. The executor is one that does a piece when the test says so."""

import asyncio
import gc
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import TypeVar

import pytest

from donjon.errors import Malformed, Unavailable
from donjon.services.attestation.turns import MAX_WAITING, Line, Turns

T = TypeVar("T")


class Bench(Executor):
    """Does nothing until it is told to."""

    def __init__(self) -> None:
        self.pending: list[Callable[[], None]] = []

    def submit(self, work: Callable[..., T], /, *args: object, **named: object) -> Future[T]:
        future: Future[T] = Future()

        def do() -> None:
            try:
                future.set_result(work(*args, **named))
            except Exception as error:  # noqa: BLE001 - as an executor does.
                future.set_exception(error)

        self.pending.append(do)
        return future

    async def do(self) -> None:
        """The piece whose turn it is, of which there is never more than one."""
        (work,) = self.pending
        self.pending.clear()
        work()
        for _ in range(4):
            await asyncio.sleep(0)


class Story:
    """Who was served, in order."""

    def __init__(self) -> None:
        self.bench, self.served = Bench(), list[str]()
        self.turns = Turns(self.bench)

    async def ask(self, who: str, times: int = 1, line: Line = Line.ATTEST) -> list[asyncio.Task[None]]:
        return await self.take(who, line, who, "", times)

    async def come(self, site: str, times: int = 1) -> list[asyncio.Task[None]]:
        """Callers of one instance from there."""
        return await self.take("aad", Line.ATTEST, site, site, times)

    async def take(self, instance: str, line: Line, told: str, site: str, times: int) -> list[asyncio.Task[None]]:
        def serve() -> None:
            self.served.append(told)

        tasks = [asyncio.create_task(self.turns.take(instance, line, serve, site)) for _ in range(times)]
        await asyncio.sleep(0)
        return tasks


def test_a_flood_of_one_instance_delays_another_by_one_piece() -> None:
    async def happen() -> list[str]:
        story = Story()
        await story.ask("flood", 5)
        await story.ask("honest", 2)
        for _ in range(7):
            await story.bench.do()
        return story.served

    assert asyncio.run(happen()) == ["flood", "flood", "honest", "flood", "honest", "flood", "flood"]


def test_who_changes_a_policy_does_not_wait_behind_those_who_have_it_applied() -> None:
    async def happen() -> list[str]:
        story = Story()
        await story.ask("aad", MAX_WAITING + 1)
        (change,) = await story.ask("aad", 1, Line.CHANGE)
        for _ in range(3):
            await story.bench.do()
        assert change.done()
        return story.served

    assert asyncio.run(happen()) == ["aad"] * 3


def test_who_comes_when_too_many_wait_is_sent_away_and_another_instance_is_not() -> None:
    async def happen() -> None:
        story = Story()
        waiting = await story.ask("flood", MAX_WAITING + 1)  # One of them is being served.
        with pytest.raises(Unavailable, match="flood") as refused:
            await story.turns.take("flood", Line.ATTEST, lambda: None)
        assert refused.value.code == "DJ455"
        (honest,) = await story.ask("honest")
        await story.bench.do()
        await story.bench.do()
        assert [each.done() for each in (waiting[0], waiting[1], honest)] == [True, True, False]
        await story.bench.do()
        assert honest.done()

    asyncio.run(happen())


def test_who_has_gone_is_passed_over() -> None:
    async def happen() -> list[str]:
        story = Story()
        _, gone, _ = [*await story.ask("a"), *await story.ask("gone"), *await story.ask("b")]
        gone.cancel()
        await asyncio.sleep(0)
        await story.bench.do()
        await story.bench.do()
        assert story.bench.pending == []
        return story.served

    assert asyncio.run(happen()) == ["a", "b"]


def test_what_the_work_raises_its_caller_gets_and_the_next_is_served() -> None:
    def fail() -> None:
        raise Malformed("DJ400", "no policy")

    async def happen() -> list[str]:
        story = Story()
        failing = asyncio.create_task(story.turns.take("a", Line.CHANGE, fail))
        await asyncio.sleep(0)
        await story.ask("b")
        await story.bench.do()
        with pytest.raises(Malformed):
            await failing
        await story.bench.do()
        return story.served

    assert asyncio.run(happen()) == ["b"]


def test_a_flood_from_one_address_delays_another_of_the_same_instance_by_one_piece() -> None:
    async def happen() -> list[str]:
        story = Story()
        await story.come("flood", 5)
        await story.come("honest", 2)
        for _ in range(7):
            await story.bench.do()
        return story.served

    assert asyncio.run(happen()) == ["flood", "flood", "honest", "flood", "honest", "flood", "flood"]


def test_who_takes_most_of_a_full_line_gives_way_and_is_told_so() -> None:
    async def happen() -> None:
        story = Story()
        flood = await story.come("flood", MAX_WAITING + 1)  # One of them is being served.
        honest = await story.come("honest", 2)
        await asyncio.wait(flood[-2:])
        assert not any(each.done() for each in flood[:-2])
        assert [str(each.exception())[-7:] for each in flood[-2:]] == ["[DJ455]"] * 2
        for _ in range(5):
            await story.bench.do()
        assert all(each.done() for each in honest)

    asyncio.run(happen())


def test_nobody_gives_way_to_who_would_then_take_more() -> None:
    async def happen() -> None:
        story = Story()
        await story.come("served")
        one, other = await story.come("one", MAX_WAITING // 2), await story.come("other", MAX_WAITING // 2)
        (refused,) = await story.come("one")
        assert isinstance(refused.exception(), Unavailable)
        (refused,) = await story.come("other")
        assert isinstance(refused.exception(), Unavailable)
        assert not any(each.done() for each in (*one, *other))

    asyncio.run(happen())


def test_where_everybody_has_one_place_of_a_full_line_the_next_is_sent_away() -> None:
    async def happen() -> None:
        story = Story()
        await story.come("served")
        waiting = [task for number in range(MAX_WAITING) for task in await story.come(f"site {number}")]
        (refused,) = await story.come("late")
        assert isinstance(refused.exception(), Unavailable)
        assert not any(each.done() for each in waiting)

    asyncio.run(happen())


def test_work_is_done_without_a_look_through_all_objects_that_would_hold_up_the_loop() -> None:
    async def happen() -> None:
        turns = Turns()
        try:
            assert await turns.take("a", Line.ATTEST, gc.isenabled) is False
        finally:
            turns.close()
        assert gc.isenabled()

    asyncio.run(happen())
