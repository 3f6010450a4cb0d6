"""The external scaler, served to KEDA's operator: each of its questions handed on, and every no told by its code.

A number that is not known is UNAVAILABLE, never 0: KEDA then leaves the Deployment as it is, or does what its `fallback` says.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from google.protobuf.message import DecodeError, Message
from grpclib.const import Status
from grpclib.exceptions import GRPCError, StreamTerminatedError
from grpclib.server import Stream

from donjon.adapters.keda.wire import externalscaler_pb2 as wire
from donjon.adapters.keda.wire.externalscaler_grpc import ExternalScalerBase
from donjon.adapters.transport.grpc import GrpcServer
from donjon.errors import DonjonError, Malformed, Unavailable

LOG = logging.getLogger(__name__)

MAX_REQUEST = 1 << 16  # bytes
PATIENCE = 10.0  # seconds for a whole request
CONNECTIONS = 8  # KEDA's operator has one, whatever it asks about
CALLS = 1024  # at a time in a connection: one for each trigger that is pushed; each takes 22 KB
STREAMS = 1000  # of all connections together; each is looked at again and again, and leaves a connection room for questions
LOOK = 2.0  # seconds between two looks at whether a trigger became active
MAX_REASON = 400  # characters
_PREFIX = 5  # gRPC: one byte for compression, four for the length

Request = TypeVar("Request", bound=Message)
Reply = TypeVar("Reply", bound=Message)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleTrigger:
    """A trigger of a ScaledObject, by whom it is and what it says."""

    namespace: str
    name: str
    metadata: Mapping[str, str]


class Answers(Protocol):
    """Who knows; raises `Malformed` for a trigger that cannot be answered, `Unavailable` where the answer is not known."""

    def target(self, trigger: ScaleTrigger) -> tuple[str, float]:
        """The metric's name, and how much of it each pod may have."""

    def amount(self, trigger: ScaleTrigger, name: str) -> float:
        """How much of it all pods have together."""

    def is_active(self, trigger: ScaleTrigger) -> bool:
        """Whether there is enough of it to act upon."""


class ScalerServer:
    """The port at which KEDA asks."""

    def __init__(self, answers: Answers, address: tuple[str, int], *, count: Callable[[str, str], None]) -> None:
        """`count` is told each call's name and the code of its no."""
        self._address = address
        self._server = GrpcServer([_ExternalScaler(answers, count)], connections=CONNECTIONS, calls=CALLS)
        self.is_listening = False

    async def start(self) -> None:
        """Listen; raises `Unavailable` DJ760 where that is not possible."""
        host, port = self._address
        try:
            await self._server.start(host, port)
        except OSError as error:
            raise Unavailable("DJ760", f"scaler: {host}:{port}: {error.strerror or error}") from error
        self.is_listening = True

    async def close(self) -> None:
        """End every connection."""
        if self.is_listening:
            self.is_listening = False
            await self._server.leave()


class _ExternalScaler(ExternalScalerBase):
    def __init__(self, answers: Answers, count: Callable[[str, str], None]) -> None:
        self._answers, self._count = answers, count
        self._asking, self._looking = asyncio.Lock(), asyncio.Lock()
        self._streams = 0

    async def IsActive(self, stream: Stream[wire.ScaledObjectRef, wire.IsActiveResponse]) -> None:
        with self._outcome("IsActive"):
            trigger = _object(await _request(stream, wire.ScaledObjectRef))
            async with _turn(self._asking):
                reply = wire.IsActiveResponse(result=self._answers.is_active(trigger))
        await stream.send_message(reply)

    async def StreamIsActive(self, stream: Stream[wire.ScaledObjectRef, wire.IsActiveResponse]) -> None:
        """Says it at once, and again when it changes; while it is not known, nothing is said."""
        with ExitStack() as place:
            with self._outcome("StreamIsActive"):
                place.enter_context(self._place())
                trigger = _object(await _request(stream, wire.ScaledObjectRef))
                async with _turn(self._looking):
                    self._answers.target(trigger)
            await self._push(stream, trigger)

    @contextmanager
    def _place(self) -> Iterator[None]:
        """One of the places, taken before anything is waited for: thousands may call at once, and say later what they ask."""
        if self._streams >= STREAMS:
            raise GRPCError(Status.RESOURCE_EXHAUSTED, f"request: {STREAMS} triggers are pushed already [DJ763]")
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1

    async def _push(self, stream: Stream[wire.ScaledObjectRef, wire.IsActiveResponse], trigger: ScaleTrigger) -> None:
        last: bool | None = None
        while True:
            async with _turn(self._looking):
                is_active = self._activity(trigger)
            if is_active is not None and is_active != last:
                last = is_active
                if not await _send(stream, wire.IsActiveResponse(result=is_active)):
                    return
            await asyncio.sleep(LOOK)

    def _activity(self, trigger: ScaleTrigger) -> bool | None:
        try:
            return self._answers.is_active(trigger)
        except Unavailable:
            return None

    async def GetMetricSpec(self, stream: Stream[wire.ScaledObjectRef, wire.GetMetricSpecResponse]) -> None:
        with self._outcome("GetMetricSpec"):
            trigger = _object(await _request(stream, wire.ScaledObjectRef))
            async with _turn(self._asking):
                name, target = self._answers.target(trigger)
            reply = wire.GetMetricSpecResponse(metricSpecs=[wire.MetricSpec(metricName=name, targetSizeFloat=target)])
        await stream.send_message(reply)

    async def GetMetrics(self, stream: Stream[wire.GetMetricsRequest, wire.GetMetricsResponse]) -> None:
        with self._outcome("GetMetrics"):
            request = await _request(stream, wire.GetMetricsRequest)
            name = request.metricName
            async with _turn(self._asking):
                amount = self._answers.amount(_object(request.scaledObjectRef), name)
            reply = wire.GetMetricsResponse(metricValues=[wire.MetricValue(metricName=name, metricValueFloat=amount)])
        await stream.send_message(reply)

    async def StreamMetricSpec(self, stream: Stream[wire.ScaledObjectRef, wire.GetMetricSpecResponse]) -> None:
        """Optional: a target changes with its ScaledObject alone, and KEDA then asks anew."""
        del stream
        raise GRPCError(Status.UNIMPLEMENTED, "targets do not change by themselves")

    @contextmanager
    def _outcome(self, call: str) -> Iterator[None]:
        """Every no as gRPC says it, and counted."""
        try:
            yield
        except GRPCError:
            self._count(call, "DJ763")
            raise
        except DonjonError as error:
            self._count(call, error.code)
            status = Status.INVALID_ARGUMENT if isinstance(error, Malformed) else Status.UNAVAILABLE
            raise GRPCError(status, str(error)[:MAX_REASON]) from error
        except Exception as error:
            LOG.exception("a mistake in Donjon; please report it")
            self._count(call, "DJ763")
            raise GRPCError(Status.INTERNAL, "scaler: it could not answer; its log says more [DJ763]") from error
        self._count(call, "")


@asynccontextmanager
async def _turn(lock: asyncio.Lock) -> AsyncIterator[None]:
    """One at a time, and everybody else of the process in between: thousands may ask at once, each about thousands of pods."""
    async with lock:
        await asyncio.sleep(0)
        yield


def _object(trigger: wire.ScaledObjectRef) -> ScaleTrigger:
    return ScaleTrigger(namespace=trigger.namespace, name=trigger.name, metadata=dict(trigger.scalerMetadata))


async def _request(stream: Stream[Request, Reply], kind: type[Request]) -> Request:
    """The one message of a call, bounded in length and in time: the library would read any."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await _message(stream._stream.recv_data, kind)  # noqa: SLF001 - it has no other way to the bytes.
    except TimeoutError as error:
        raise GRPCError(Status.DEADLINE_EXCEEDED, f"request: not whole within {PATIENCE:g} s [DJ763]") from error
    except DecodeError as error:
        raise GRPCError(Status.INVALID_ARGUMENT, "request: no message of KEDA's [DJ763]") from error


async def _message(read: Callable[[int], Awaitable[bytes]], kind: type[Request]) -> Request:
    prefix = await read(_PREFIX)
    length = int.from_bytes(prefix[1:])
    if len(prefix) < _PREFIX or prefix[0]:
        raise GRPCError(Status.INVALID_ARGUMENT, "request: none, or a compressed one [DJ763]")
    if length > MAX_REQUEST:
        raise GRPCError(Status.RESOURCE_EXHAUSTED, f"request: {length} bytes, expected at most {MAX_REQUEST} [DJ763]")
    return kind.FromString(await read(length) if length else b"")


async def _send(stream: Stream[Request, Reply], reply: Reply) -> bool:
    """Whether somebody still listens."""
    try:
        await stream.send_message(reply)
    except StreamTerminatedError:
        return False
    return True
