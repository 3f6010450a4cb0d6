"""How much memory the agent takes does not depend on what the pods of its node hold, however many there are.

Each case is looked at by a process of its own, whose peak is measured; what it is sent is made while it is sent. The agent has
some 42 MiB before it looks, and the chart's limit is 96 MiB.
"""

import asyncio
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.adapters.fakeapi import AUTHORITY, TOKEN
from tests.adapters.fakekubelet import FakeKubelet, Held

from donjon.adapters.kubeapi.stream import LARGEST

BOUND = 32.0  # MiB
MIB = 1 << 20
METADATA = b'"metadata":{"name":"large","namespace":"evil","uid":"u9","resourceVersion":"7"}'


def pod(inner: bytes, times: int) -> Iterator[bytes]:
    """A pod whose container holds so many of the same."""
    yield b"{" + METADATA + b',"spec":{"nodeName":"sgx-1","containers":[{"name":"c","env":['
    at_once = max(1, MIB // len(inner))
    for start in range(0, times, at_once):
        yield b",".join([inner] * min(at_once, times - start)) + (b"," if start + at_once < times else b"")
    yield b"]}]}}"


def long_value(size: int) -> Iterator[bytes]:
    """A pod with one variable of so many bytes, each of which JSON writes as six."""
    yield b"{" + METADATA + b',"spec":{"containers":[{"name":"c","env":[{"name":"A","value":"'
    for _ in range(size >> 10):
        yield b"\\u003c" * 1024
    yield b'"}]}]}}'


def containers(count: int) -> Iterator[bytes]:
    """A pod of many containers that all ask."""
    asks = b'{"name":"%d","image":"i","resources":{"limits":{"sgx.intel.com/epc":"1","sgx.intel.com/enclave":"1"}}}'
    yield b"{" + METADATA + b',"spec":{"containers":['
    yield b",".join(asks % number for number in range(count))
    yield b'],"initContainers":[]},"status":{"containerStatuses":['
    yield b",".join(b'{"name":"%d","state":{"running":{}},"containerID":"x://%d"}' % (number, number) for number in range(count))
    yield b"]}}"


def nested(depth: int) -> Iterator[bytes]:
    """What no API server says."""
    yield b"{" + METADATA + b',"spec":' + b"[" * depth + b"]" * depth + b"}"


@dataclass(frozen=True)
class Case:
    """So many pods of one kind."""

    pod: Callable[[], Iterator[bytes]]
    count: int = 1


CASES = {
    "205,000 variables": Case(lambda: pod(b'{"name":"A"}', 205_000)),
    "twenty pods of 1 MB": Case(lambda: pod(b'{"name":"A"}', 80_000), 20),
    "as large as is read, of empty objects": Case(lambda: pod(b"{}", (LARGEST - 500) // 3), 3),
    "as large as is read, of small objects": Case(lambda: pod(b'{"":0}', (LARGEST - 500) // 7), 3),
    "as large as is read, of empty lists": Case(lambda: pod(b"[]", (LARGEST - 500) // 3), 3),
    "one value of 9 MB": Case(lambda: long_value(3 * MIB // 2), 2),
    "thousands of containers that ask": Case(lambda: containers(13_000), 3),
    "containers that ask, as many as are read": Case(lambda: containers(1_800), 3),
    "nested as deep as is read": Case(lambda: nested(LARGEST // 2 - 500)),
    "thirty megabytes in one pod": Case(lambda: pod(b'{"name":"' + b"A" * 1000 + b'"}', 30_000)),
}


class Server:
    """An API server that says what is to be tried, as a list and then as a watch."""

    def __init__(self, case: Case, *, in_list: bool) -> None:
        self._case, self._in_list = case, in_list

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"gzip" not in head, "a piece that comes packed could be a thousand times larger unpacked"
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n")
        try:
            for piece in self._watch() if b"watch=true" in head else self._list():
                writer.write(piece)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    def _list(self) -> Iterator[bytes]:
        yield b'{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"5"},"items":['
        for number in range(self._case.count if self._in_list else 0):
            yield b"," if number else b""
            yield from self._case.pod()
        yield b"]}\n"

    def _watch(self) -> Iterator[bytes]:
        for _ in range(1 if self._in_list else self._case.count):
            yield b'{"type":"ADDED","object":'
            yield from iter([b"{" + METADATA + b"}"]) if self._in_list else self._case.pod()
            yield b"}\n"


async def looked(*arguments: str | Path | int) -> str:
    """What the process said."""
    program = (sys.executable, "-m", "tests.services.looking", *map(str, arguments))
    process = await asyncio.create_subprocess_exec(*program, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(120):
        said, _ = await process.communicate()
    assert process.returncode == 0
    return said.decode()


def grown(said: str) -> float:
    """By how many MiB its memory grew."""
    match = re.search(r"grew: (\S+)", said)
    assert match is not None, said
    return float(match[1])


@pytest.mark.parametrize("way", ["in a list", "in a watch"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_pods_hold_does_not_grow_the_agent(tmp_path: Path, case: Case, way: str) -> None:
    async def story() -> str:
        (tmp_path / "ca.crt").write_text(AUTHORITY)
        (tmp_path / "token").write_text(TOKEN)
        serving = Server(case, in_list=way == "in a list")
        async with await asyncio.start_server(serving.serve, "127.0.0.1", 0) as server:
            address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            return await looked("pods", address, tmp_path, 1 if way == "in a list" else case.count)

    assert grown(asyncio.run(story())) < BOUND


def test_an_error_of_a_hundred_megabytes_does_not_grow_the_agent(tmp_path: Path) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 Large\r\nconnection: close\r\n\r\n")
        for _ in range(100):
            writer.write(b"x" * MIB)
            await writer.drain()
        writer.close()

    async def story() -> str:
        (tmp_path / "ca.crt").write_text(AUTHORITY)
        (tmp_path / "token").write_text(TOKEN)
        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            return await looked("pods", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", tmp_path, 1)

    said = asyncio.run(story())
    assert "refused: GET /api/v1/pods: 500 Large" in said
    assert grown(said) < BOUND


def test_a_kubelets_account_of_very_many_containers_does_not_grow_the_agent(short: Path) -> None:
    async def story() -> str:
        held: Held = {("evil", f"pod-{pod}", f"container-{each}"): () for pod in range(110) for each in range(900)}
        kubelet = FakeKubelet(short, held=held)
        await kubelet.start()
        try:
            return await looked("account", short / "pod-resources" / "kubelet.sock")
        finally:
            await kubelet.stop()

    assert grown(asyncio.run(story())) < BOUND
