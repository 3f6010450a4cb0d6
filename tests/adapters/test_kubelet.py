"""The device plugin and the kubelet over real sockets, with a kubelet that is fake and one that is mad."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from tests.adapters.fakekubelet import FakeKubelet, Registered

from donjon.adapters.kubelet import channel as channel_module
from donjon.adapters.kubelet.folder import answers, identity, is_deleted
from donjon.adapters.kubelet.plugin import MAX_CONTAINERS, PluginServer, register
from donjon.adapters.kubelet.podresources import assigned_devices
from donjon.errors import Unavailable
from donjon.kube.names import ENCLAVE, PROVISION
from donjon.node.allocation import allocate
from donjon.node.offer import DeviceOffer

OFFER = DeviceOffer(
    resource=ENCLAVE,
    host_path="/dev/sgx_enclave",
    container_paths=("/dev/sgx_enclave", "/dev/sgx/enclave"),
    count=3,
    healthy=True,
)
ENDPOINT = "donjon-enclave.sock"


async def until(condition: Callable[[], bool], *, within: float = 3.0) -> None:
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - what is waited for is another program's state.
            await asyncio.sleep(0.01)


@asynccontextmanager
async def kubelet_and_plugin(folder: Path) -> AsyncIterator[tuple[FakeKubelet, PluginServer]]:
    kubelet = FakeKubelet(folder)
    await kubelet.start()
    plugin = PluginServer(path=kubelet.plugins / ENDPOINT, offer=OFFER, allocate=partial(allocate, host_prefix=""))
    await plugin.bind()
    try:
        await register(kubelet_socket=kubelet.plugins / "kubelet.sock", endpoint=ENDPOINT, resource=ENCLAVE)
        await until(lambda: ENCLAVE in kubelet.listed)
        yield kubelet, plugin
    finally:
        await plugin.close()
        await kubelet.stop()


def test_a_plugin_registers_and_lists_its_devices(short: Path) -> None:
    async def story() -> None:
        async with kubelet_and_plugin(short) as (kubelet, _):
            assert kubelet.registrations == [Registered(version="v1beta1", endpoint=ENDPOINT, resource=ENCLAVE)]
            assert kubelet.listed[ENCLAVE] == dict.fromkeys(("sgx-enclave-0", "sgx-enclave-1", "sgx-enclave-2"), "Healthy")

    asyncio.run(story())


def test_a_change_of_the_offer_is_told_to_the_kubelet_that_listens(short: Path) -> None:
    async def story() -> None:
        async with kubelet_and_plugin(short) as (kubelet, plugin):
            plugin.offer(replace(OFFER, healthy=False))
            await until(lambda: kubelet.health(ENCLAVE) == {"Unhealthy"})
            assert len(kubelet.listed[ENCLAVE]) == 3
            plugin.offer(OFFER)
            await until(lambda: kubelet.health(ENCLAVE) == {"Healthy"})

    asyncio.run(story())


def test_a_container_is_given_the_device_at_both_paths(short: Path) -> None:
    async def story() -> None:
        async with kubelet_and_plugin(short) as (kubelet, _):
            given = await kubelet.allocate(ENCLAVE, ["sgx-enclave-0"], ["sgx-enclave-1", "sgx-enclave-2"])
            both = [("/dev/sgx_enclave", "/dev/sgx_enclave", "rw"), ("/dev/sgx_enclave", "/dev/sgx/enclave", "rw")]
            assert given == [both, both]

    asyncio.run(story())


@pytest.mark.parametrize(
    ("containers", "code", "words"),
    [
        ([["sgx-enclave-3"]], Status.INVALID_ARGUMENT, "DJ904"),
        ([[]], Status.INVALID_ARGUMENT, "DJ904"),
        ([["sgx-enclave-0"], ["x" * 5000]], Status.INVALID_ARGUMENT, "DJ904"),
        ([["sgx-enclave-0"]] * (MAX_CONTAINERS + 1), Status.INVALID_ARGUMENT, "DJ904"),
    ],
)
def test_nonsense_from_the_kubelet_is_refused_and_the_next_call_works(
    short: Path, containers: list[list[str]], code: Status, words: str
) -> None:
    async def story() -> None:
        async with kubelet_and_plugin(short) as (kubelet, _):
            with pytest.raises(GRPCError, match=words) as refused:
                await kubelet.allocate(ENCLAVE, *containers)
            assert refused.value.status is code
            assert await kubelet.allocate(ENCLAVE, ["sgx-enclave-0"])

    asyncio.run(story())


def test_a_device_that_is_missing_is_not_handed_out(short: Path) -> None:
    async def story() -> None:
        async with kubelet_and_plugin(short) as (kubelet, plugin):
            plugin.offer(replace(OFFER, healthy=False))
            with pytest.raises(GRPCError, match="DJ905") as refused:
                await kubelet.allocate(ENCLAVE, ["sgx-enclave-0"])
            assert refused.value.status is Status.UNAVAILABLE

    asyncio.run(story())


def test_a_plugin_that_closes_lets_the_kubelet_know_at_once(short: Path) -> None:
    async def story() -> None:
        async with kubelet_and_plugin(short) as (kubelet, plugin):
            async with asyncio.timeout(2):
                await plugin.close()
            await until(lambda: kubelet.health(ENCLAVE) == {"Unhealthy"})

    asyncio.run(story())


def test_a_plugin_can_be_bound_again_and_is_then_another_socket(short: Path) -> None:
    async def story() -> None:
        async with kubelet_and_plugin(short) as (kubelet, plugin):
            before = identity(kubelet.plugins / ENDPOINT)
            again = await plugin.bind()
            assert again == identity(kubelet.plugins / ENDPOINT)
            assert again != before

    asyncio.run(story())


def test_a_socket_that_cannot_be_made_is_said_with_its_path(short: Path) -> None:
    async def story() -> None:
        in_the_way = short / ENDPOINT
        in_the_way.mkdir()
        for path in (in_the_way, short / "nowhere" / ENDPOINT, short / ("x" * 120)):
            plugin = PluginServer(path=path, offer=OFFER, allocate=partial(allocate, host_prefix=""))
            with pytest.raises(Unavailable) as refused:
                await plugin.bind()
            assert refused.value.code == "DJ031"
            assert str(path) in refused.value.message
            await plugin.close()

    asyncio.run(story())


def test_the_kubelets_account_is_read_container_by_container(short: Path) -> None:
    async def story() -> None:
        kubelet = FakeKubelet(short)
        kubelet.held = {("default", "app", "enclave"): [ENCLAVE, ENCLAVE, PROVISION], ("default", "app", "web"): []}
        await kubelet.start()
        try:
            assert await assigned_devices(short / "pod-resources" / "kubelet.sock") == {
                ("default", "app", "enclave"): frozenset({ENCLAVE, PROVISION}),
                ("default", "app", "web"): frozenset(),
            }
        finally:
            await kubelet.stop()

    asyncio.run(story())


def test_a_refusal_has_the_kubelets_own_words(short: Path) -> None:
    async def story() -> None:
        kubelet = FakeKubelet(short, refusal="the resource name is taken")
        await kubelet.start()
        try:
            with pytest.raises(Unavailable, match="INVALID_ARGUMENT: the resource name is taken") as refused:
                await register(kubelet_socket=kubelet.plugins / "kubelet.sock", endpoint=ENDPOINT, resource=ENCLAVE)
            assert refused.value.code == "DJ030"
        finally:
            await kubelet.stop()

    asyncio.run(story())


Manner = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def closes_at_once(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def says_garbage(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(bytes(range(256)) * 64)
    await writer.drain()
    writer.close()


async def says_http_1(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
    await writer.drain()


async def reads_and_closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(64)
    writer.close()


async def never_answers(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read(-1)


async def says_settings_and_no_more(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The first frame of HTTP/2 (RFC 9113, 6.5), empty, and silence."""
    writer.write(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
    await reader.read(-1)


def ending(manner: Manner) -> Manner:
    """The same, with its connection closed behind it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await manner(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    return serve


MANNERS = [closes_at_once, says_garbage, says_http_1, reads_and_closes, never_answers, says_settings_and_no_more]
CALLS: list[tuple[str, Callable[[Path], Awaitable[object]]]] = [
    ("DJ030", lambda path: register(kubelet_socket=path, endpoint=ENDPOINT, resource=ENCLAVE)),
    ("DJ032", assigned_devices),
]


@pytest.mark.parametrize("manner", MANNERS, ids=lambda manner: manner.__name__)
@pytest.mark.parametrize(("code", "call"), CALLS, ids=[code for code, _ in CALLS])
def test_a_kubelet_without_manners_is_unavailable_within_the_deadline(
    short: Path, monkeypatch: pytest.MonkeyPatch, manner: Manner, code: str, call: Callable[[Path], Awaitable[object]]
) -> None:
    assert channel_module.TIMEOUT == 2.0, "the deadline that is promised"
    monkeypatch.setattr(channel_module, "TIMEOUT", 0.3)
    socket = short / "kubelet.sock"

    async def story() -> None:
        async with await asyncio.start_unix_server(ending(manner), socket):
            start = time.perf_counter()  # noqa: TID251 - a deadline is under test.
            with pytest.raises(Unavailable) as refused:
                await call(socket)
            assert time.perf_counter() - start < 1.5  # noqa: TID251 - as above.
            assert refused.value.code == code
            assert len(refused.value.message) < 500
            await asyncio.sleep(0.05)  # The server's own side ends, too.

    asyncio.run(story())


@pytest.mark.parametrize(("code", "call"), CALLS, ids=[code for code, _ in CALLS])
def test_a_kubelet_that_is_not_there_is_unavailable_at_once(
    short: Path, code: str, call: Callable[[Path], Awaitable[object]]
) -> None:
    for path in (short / "kubelet.sock", short):
        with pytest.raises(Unavailable) as refused:
            asyncio.run(_awaited(call(path)))
        assert refused.value.code == code


async def _awaited(call: Awaitable[object]) -> None:
    await call


def test_an_identity_is_that_of_a_socket_and_of_nothing_else(short: Path) -> None:
    path = short / "a.sock"
    assert identity(path) is None
    path.touch()
    assert identity(path) is None
    path.unlink()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        first = identity(path)
        assert first is not None
        assert answers(path)
    assert identity(path) == first, "a socket file outlives its process"
    assert not answers(path)
    path.unlink()
    with socket.socket(socket.AF_UNIX) as another:
        another.bind(str(path))
        assert identity(path) != first
    (short / "link").symlink_to(path)
    assert identity(short / "link") is None


def test_a_folder_that_was_never_there_is_not_taken_for_a_deleted_one(short: Path) -> None:
    folder = short / "device-plugins"
    with pytest.raises(Unavailable) as refused:
        is_deleted(folder)
    assert refused.value.code == "DJ031"
    folder.mkdir()
    assert not is_deleted(folder)


def test_nobody_answers_at_a_path_that_no_socket_can_have(short: Path) -> None:
    assert not answers(short / ("x" * 200))
    assert not answers(short)
