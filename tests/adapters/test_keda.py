"""KEDA's external scaler over real sockets: what is answered, what is refused and how, and what is not said at all."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest
from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.const import Status
from grpclib.exceptions import GRPCError, StreamTerminatedError
from tests.ports import HOST, free_port

from donjon.adapters.keda import scaler as scaler_module
from donjon.adapters.keda.scaler import MAX_REQUEST, ScalerServer, ScaleTrigger
from donjon.adapters.keda.wire import externalscaler_pb2 as wire
from donjon.adapters.keda.wire.externalscaler_grpc import ExternalScalerStub
from donjon.errors import Malformed, Unavailable

NAME = "sgx_epc_utilization"
METADATA = {"metric": NAME, "target": "800m"}


@dataclass
class FakeAnswers:
    """Knows one number, or that it is not known."""

    number: float | None = 1.5
    asked: list[ScaleTrigger] = field(default_factory=list)
    turn: int = 0  # of the event loop
    turns: list[int] = field(default_factory=list)  # in which it was asked

    def target(self, trigger: ScaleTrigger) -> tuple[str, float]:
        self.asked.append(trigger)
        self.turns.append(self.turn)
        if "target" not in trigger.metadata:
            raise Malformed("DJ761", "trigger of web/vault: target is missing")
        return NAME, 0.8

    def amount(self, trigger: ScaleTrigger, name: str) -> float:
        self.target(trigger)
        if name == "mistake":
            raise KeyError(name)
        if self.number is None:
            raise Unavailable("DJ762", "trigger of web/vault: the meter of sgx-1 does not answer")
        return self.number

    def is_active(self, trigger: ScaleTrigger) -> bool:
        return self.amount(trigger, NAME) > 0


@dataclass
class Told:
    """A server, who asks it, and what was counted."""

    answers: FakeAnswers
    stub: ExternalScalerStub
    counted: list[tuple[str, str]]
    port: int


@asynccontextmanager
async def serving(number: float | None = 1.5) -> AsyncIterator[Told]:
    answers, counted, port = FakeAnswers(number), list[tuple[str, str]](), free_port()
    server = ScalerServer(answers, (HOST, port), count=lambda call, code: counted.append((call, code)))
    await server.start()
    try:
        async with Channel(HOST, port) as channel:
            yield Told(answers, ExternalScalerStub(channel), counted, port)
    finally:
        await server.close()


def reference(**metadata: str) -> wire.ScaledObjectRef:
    return wire.ScaledObjectRef(name="vault", namespace="web", scalerMetadata=metadata or METADATA)


def run(story: Callable[[Told], Awaitable[None]], number: float | None = 1.5) -> None:
    async def whole() -> None:
        async with asyncio.timeout(20), serving(number) as told:
            await story(told)

    asyncio.run(whole())


def test_keda_is_told_the_target_the_amount_and_whether_it_is_active() -> None:
    async def story(told: Told) -> None:
        (spec,) = (await told.stub.GetMetricSpec(reference())).metricSpecs
        assert (spec.metricName, spec.targetSizeFloat) == (NAME, 0.8)
        question = wire.GetMetricsRequest(scaledObjectRef=reference(), metricName=NAME)
        (value,) = (await told.stub.GetMetrics(question)).metricValues
        assert (value.metricName, value.metricValueFloat) == (NAME, 1.5)
        assert (await told.stub.IsActive(reference())).result is True
        assert told.answers.asked[0] == ScaleTrigger(namespace="web", name="vault", metadata=METADATA)
        assert told.counted == [("GetMetricSpec", ""), ("GetMetrics", ""), ("IsActive", "")]

    run(story)


def test_what_is_not_known_is_unavailable_and_never_a_number() -> None:
    async def story(told: Told) -> None:
        question = wire.GetMetricsRequest(scaledObjectRef=reference(), metricName=NAME)
        for ask, message in ((told.stub.GetMetrics, question), (told.stub.IsActive, reference())):
            with pytest.raises(GRPCError, match="the meter of sgx-1 does not answer") as caught:
                await ask(message)
            assert caught.value.status is Status.UNAVAILABLE
        assert told.counted == [("GetMetrics", "DJ762"), ("IsActive", "DJ762")]

    run(story, number=None)


def test_a_trigger_that_cannot_be_answered_is_refused_in_words_on_every_way() -> None:
    async def story(told: Told) -> None:
        for ask in (told.stub.GetMetricSpec, told.stub.IsActive, told.stub.StreamIsActive):
            with pytest.raises(GRPCError, match=r"target is missing \[DJ761\]") as caught:
                await ask(reference(metric=NAME))
            assert caught.value.status is Status.INVALID_ARGUMENT

    run(story)


def test_keda_is_told_that_no_target_changes_by_itself() -> None:
    async def story(told: Told) -> None:
        with pytest.raises(GRPCError) as caught:
            await told.stub.StreamMetricSpec(reference())
        assert caught.value.status is Status.UNIMPLEMENTED

    run(story)


@pytest.mark.parametrize("call", ["/grpc.health.v1.Health/Check", "/externalscaler.ExternalScaler/GetMore", "/"])
def test_a_call_that_is_not_there_is_answered_so_that_every_client_understands(call: str) -> None:
    async def story(told: Told) -> None:
        async with Channel(HOST, told.port) as channel:
            with pytest.raises(GRPCError, match="no such call here") as caught:
                await UnaryUnaryMethod(channel, call, wire.ScaledObjectRef, wire.IsActiveResponse)(reference())
        assert caught.value.status is Status.UNIMPLEMENTED
        assert (await told.stub.IsActive(reference())).result is True

    run(story)


def test_a_mistake_of_ours_ends_one_call_and_not_the_server() -> None:
    async def story(told: Told) -> None:
        question = wire.GetMetricsRequest(scaledObjectRef=reference(), metricName="mistake")
        with pytest.raises(GRPCError) as caught:
            await told.stub.GetMetrics(question)
        assert caught.value.status is Status.INTERNAL
        assert (await told.stub.IsActive(reference())).result

    run(story)


def test_a_stream_says_at_once_whether_it_is_active_then_each_change_and_nothing_while_it_is_not_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scaler_module, "LOOK", 0.02)

    async def story(told: Told) -> None:
        async with told.stub.StreamIsActive.open() as stream:
            await stream.send_message(reference(), end=True)

            async def said() -> bool:
                reply = await stream.recv_message()
                assert reply is not None
                return bool(reply.result)

            assert await said() is True
            told.answers.number = None
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(said(), 0.3)
            told.answers.number = 0
            assert await said() is False
            told.answers.number = 7
            assert await said() is True
            await stream.cancel()

    run(story)


def test_a_stream_that_begins_while_nothing_is_known_waits_until_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaler_module, "LOOK", 0.02)

    async def story(told: Told) -> None:
        async with told.stub.StreamIsActive.open() as stream:
            await stream.send_message(reference(), end=True)
            await asyncio.sleep(0.1)
            told.answers.number = 7
            reply = await stream.recv_message()
            assert reply is not None
            assert reply.result
            await stream.cancel()

    run(story, number=None)


def test_a_request_that_is_too_long_is_none_of_ours() -> None:
    async def story(told: Told) -> None:
        with pytest.raises(GRPCError) as caught:
            await told.stub.IsActive(reference(metric="x" * MAX_REQUEST))
        assert caught.value.status is Status.RESOURCE_EXHAUSTED
        assert told.counted == [("IsActive", "DJ763")]

    run(story)


def test_a_request_that_does_not_end_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaler_module, "PATIENCE", 0.1)

    async def story(told: Told) -> None:
        async def half() -> None:
            async with told.stub.StreamIsActive.open() as stream:
                await stream.send_request()
                await stream.recv_message()

        with pytest.raises(GRPCError) as caught:
            await half()
        assert caught.value.status is Status.DEADLINE_EXCEEDED

    run(story)


def test_hundreds_of_triggers_are_pushed_over_one_connection_and_others_are_still_answered() -> None:
    async def story(told: Told) -> None:
        async with AsyncExitStack() as stack:
            for _ in range(300):
                stream = await stack.enter_async_context(told.stub.StreamIsActive.open())
                await stream.send_message(reference(), end=True)
                assert await stream.recv_message() is not None
                stack.push_async_callback(stream.cancel)
            assert (await told.stub.IsActive(reference())).result

    run(story)


def test_many_who_ask_at_once_are_told_one_in_each_turn_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaler_module, "LOOK", 0.05)

    async def count(answers: FakeAnswers) -> None:
        while True:
            answers.turn += 1
            await asyncio.sleep(0)

    async def story(told: Told) -> None:
        counting = asyncio.create_task(count(told.answers))
        async with AsyncExitStack() as stack:
            for _ in range(60):
                stream = await stack.enter_async_context(told.stub.StreamIsActive.open())
                await stream.send_message(reference(), end=True)
                stack.push_async_callback(stream.cancel)
            await asyncio.gather(*(told.stub.IsActive(reference()) for _ in range(60)))
            await asyncio.sleep(0.5)
        counting.cancel()
        assert len(told.answers.turns) > 180
        assert max(Counter(told.answers.turns).values()) <= 2  # One who asks, and one who is told.

    run(story)


def test_triggers_beyond_the_limit_are_not_pushed_until_another_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaler_module, "STREAMS", 1)
    monkeypatch.setattr(scaler_module, "LOOK", 0.01)

    async def push(told: Told) -> wire.IsActiveResponse | None:
        async with told.stub.StreamIsActive.open() as stream:
            await stream.send_message(reference(), end=True)
            reply: wire.IsActiveResponse | None = await stream.recv_message()
            await stream.cancel()
            return reply

    async def story(told: Told) -> None:
        async with told.stub.StreamIsActive.open() as stream:
            await stream.send_message(reference(), end=True)
            assert await stream.recv_message() is not None
            with pytest.raises(GRPCError) as caught:
                await push(told)
            assert caught.value.status is Status.RESOURCE_EXHAUSTED
            await stream.cancel()
        while True:
            try:
                assert await push(told) is not None
            except GRPCError:
                await asyncio.sleep(0.01)
            else:
                return

    run(story)


def test_who_calls_while_there_is_room_and_asks_later_takes_no_second_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaler_module, "STREAMS", 2)

    async def push(told: Told, later: asyncio.Event) -> None:
        async with told.stub.StreamIsActive.open() as stream:
            await stream.send_request()
            await later.wait()
            await stream.send_message(reference(), end=True)
            assert await stream.recv_message() is not None
            await stream.cancel()

    async def story(told: Told) -> None:
        later = asyncio.Event()
        pushes = [asyncio.create_task(push(told, later)) for _ in range(4)]
        await asyncio.sleep(0.2)
        later.set()
        outcomes = await asyncio.gather(*pushes, return_exceptions=True)
        assert sum(each is not None for each in outcomes) == 2, outcomes
        assert told.counted.count(("StreamIsActive", "DJ763")) == 2

    run(story)


def test_connections_beyond_the_limit_are_ended_and_the_first_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaler_module, "CONNECTIONS", 2)

    async def story(told: Told) -> None:
        assert (await told.stub.IsActive(reference())).result
        _, second = await asyncio.open_connection(HOST, told.port)
        reader, third = await asyncio.open_connection(HOST, told.port)
        assert b"" in {await reader.read(1 << 16), await reader.read(1 << 16)}
        assert (await told.stub.IsActive(reference())).result
        second.close()
        third.close()

    run(story)


def test_all_calls_that_may_be_open_fit_into_half_of_the_memory_limit_and_pushes_leave_room_for_questions() -> None:
    an_open_call = 22 << 10  # bytes, as measured
    assert scaler_module.CONNECTIONS * scaler_module.CALLS * an_open_call <= (384 << 20) // 2
    assert scaler_module.STREAMS < scaler_module.CALLS


def test_a_server_that_closes_ends_its_streams_so_that_keda_asks_another() -> None:
    async def whole() -> None:
        port = free_port()
        server = ScalerServer(FakeAnswers(), (HOST, port), count=lambda *_: None)
        await server.start()
        async with Channel(HOST, port) as channel:

            async def watch() -> None:
                async with ExternalScalerStub(channel).StreamIsActive.open() as stream:
                    await stream.send_message(reference(), end=True)
                    assert await stream.recv_message() is not None
                    await server.close()
                    await stream.recv_message()

            with pytest.raises((GRPCError, StreamTerminatedError)):
                await watch()

    asyncio.run(asyncio.wait_for(whole(), 20))


def test_a_port_that_is_taken_is_told() -> None:
    async def whole() -> None:
        async with serving() as told:
            with pytest.raises(Unavailable, match="DJ760"):
                await ScalerServer(FakeAnswers(), (HOST, told.port), count=lambda *_: None).start()

    asyncio.run(whole())
