"""An API server as far as the node agent knows it: lists, watches, patches and takes events, over plain HTTP.

It is made of bare sockets and not of a web server, so that it can also do what no web server does.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.node.patches import merged, strategically_merged

from donjon.adapters.kubeapi.client import ServerAccess
from donjon.formats.json import JsonObject, at

# A certificate authority that signed nothing; plain HTTP needs none, the client wants one all the same.
AUTHORITY = """\
-----BEGIN CERTIFICATE-----
MIIBqjCCAU+gAwIBAgIUARBLPS/kTnRpN1/TgHX0YquQwtQwCgYIKoZIzj0EAwIw
KTEnMCUGA1UEAwweYXV0aG9yaXR5IG9mIGEgZmFrZSBBUEkgc2VydmVyMCAXDTI2
MTEyMzEyMDU1N1oYDzIxMjYxMDMwMTIwNTU3WjApMScwJQYDVQQDDB5hdXRob3Jp
dHkgb2YgYSBmYWtlIEFQSSBzZXJ2ZXIwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AASreOESqwx8wpl9hUWbd3rFopCyLUPoXCm7gRKi8/dXq7vvcd/SbioPe2Nh7+rj
SMkeDyg/WwHqYJHQf+3DNjtoo1MwUTAdBgNVHQ4EFgQUDNgP4TdJ02E4defXBJwA
gEPlXJgwHwYDVR0jBBgwFoAUDNgP4TdJ02E4defXBJwAgEPlXJgwDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEA+uzHubUATnQTZQOsFHFJ7aLMJz8J
rBvdiGfvDSNPDIUCIQDWY2zyYvVJ0vBxOESlp0+OXoBTiX8eHSp2tQi3zJghsw==
-----END CERTIFICATE-----
"""

TOKEN = "a-token-of-the-fake"  # noqa: S105 - it opens nothing.


_OF_KIND = {False: ("", "api", "v1", "nodes"), True: ("", "apis", "donjon.dev", "v1alpha1", "enclaveimages")}
"""The parts of a path that lists objects, in the core group and in another."""


@dataclass(frozen=True)
class Request:
    """What came in."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Request], bytes | None]
"""Raw bytes to be sent before the connection is dropped, instead of what the server would say; None for no say in it."""


def http(status: int, body: bytes, reason: str = "Said") -> bytes:
    """A whole answer, as it goes over the wire."""
    head = (f"HTTP/1.1 {status} {reason}", f"content-length: {len(body)}", "content-type: application/json", "connection: close")
    return "\r\n".join((*head, "", "")).encode() + body


@dataclass
class FakeApi:
    """One API server with its objects by path: /api/v1/nodes/NAME and so on."""

    objects: dict[str, JsonObject] = field(default_factory=dict)
    events: list[JsonObject] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    answer: Answer = lambda _: None
    port: int = 0
    lag: float = 0.0  # seconds between a deed and its answer; those who watch are told at once

    def __post_init__(self) -> None:
        self._version = 100
        self._watchers: dict[asyncio.Queue[bytes], tuple[str, str]] = {}
        self._told: list[tuple[int, str, str, JsonObject]] = []  # for who listed before and watches after
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    async def start(self) -> None:
        """Listen, at the same port as before if there was one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Be gone: nobody listens and every connection breaks."""
        if self._server is not None:
            self._server.close()
            self._server = None
        connections = dict(self._connections)
        for writer, task in connections.items():
            writer.transport.abort()
            if task is not None:
                task.cancel()
        await asyncio.gather(*filter(None, connections.values()))

    def access(self, folder: Path) -> ServerAccess:
        """How a client reaches it."""
        (folder / "ca.crt").write_text(AUTHORITY)
        (folder / "token").write_text(f"{TOKEN}\n")
        return ServerAccess(server=f"http://127.0.0.1:{self.port}", authority=folder / "ca.crt", token=folder / "token")

    def put(self, path: str, item: JsonObject) -> JsonObject:
        """Make or change an object, and tell those who watch."""
        kind = "MODIFIED" if path in self.objects else "ADDED"
        self.objects[path] = self._stamped(item)
        self._tell(kind, path, self.objects[path])
        return self.objects[path]

    def delete(self, path: str) -> None:
        """Take an object away, and tell those who watch."""
        self._tell("DELETED", path, self._stamped(self.objects.pop(path)))

    def bookmark(self) -> None:
        """Tell those who watch how far they are."""
        self._version += 1
        for queue in self._watchers:
            queue.put_nowait(_line("BOOKMARK", {"metadata": {"resourceVersion": str(self._version)}}))

    def forget(self) -> None:
        """Tell those who watch that the server does not remember where they were."""
        for queue in self._watchers:
            queue.put_nowait(_line("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}))

    def say(self, line: bytes) -> None:
        """Send those who watch whatever it is; nothing at all ends their watches, as the server does every minute."""
        for queue in self._watchers:
            queue.put_nowait(line)

    @property
    def watched(self) -> int:
        """How many watch."""
        return len(self._watchers)

    def asked(self, method: str, path: str) -> list[Request]:
        """The requests of that kind so far."""
        return [request for request in self.requests if (request.method, request.path) == (method, path)]

    def _stamped(self, item: JsonObject) -> JsonObject:
        self._version += 1
        metadata = item.get("metadata")
        return item | {"metadata": (metadata if isinstance(metadata, dict) else {}) | {"resourceVersion": str(self._version)}}

    def _tell(self, kind: str, path: str, item: JsonObject) -> None:
        self._told.append((self._version, kind, path, item))
        for queue, (folder, selector) in self._watchers.items():
            if path.rpartition("/")[0] == folder and _selected(item, selector):
                queue.put_nowait(_line(kind, item))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections[writer] = asyncio.current_task()
        try:
            await self._answer(await _request(reader), writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # Python 3.11 takes a cancelled connection for an error that nobody caught.
        finally:
            del self._connections[writer]
            writer.close()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        self.requests.append(request)
        raw = self.answer(request)
        if raw is None and request.query.get("watch") == "true":
            await self._watch(request, writer)
            return
        said = self._respond(request) if raw is None else raw
        await asyncio.sleep(self.lag)
        writer.write(said)
        await writer.drain()

    def _respond(self, request: Request) -> bytes:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return status(401, "Unauthorized")
        if request.method == "POST" and request.path.endswith("/events"):
            self.events.append(json.loads(request.body))
            return http(201, request.body)
        path = request.path.removesuffix("/status")
        if request.method == "PATCH" and path in self.objects:
            return http(200, json.dumps(self._patched(path, request)).encode())
        if request.method in {"PUT", "POST"}:
            return self._written(request)
        if request.method == "DELETE" and path in self.objects:
            self.delete(path)
            return http(200, b"{}")
        if request.method == "GET" and path in self.objects:
            return http(200, json.dumps(self.objects[path]).encode())
        if request.method == "GET" and path.count("/") == len(_OF_KIND[path.startswith("/apis/")]) - 1:
            return http(200, json.dumps(self._list(request)).encode())
        return status(404, f"{request.path} not found")

    def _written(self, request: Request) -> bytes:
        """An object created, or replaced if it is still of the version that the body says."""
        item = json.loads(request.body)
        path = request.path if request.method == "PUT" else f"{request.path}/{at(item, 'metadata', 'name')}"
        if request.method == "POST":
            return status(409, f"{path} already exists") if path in self.objects else http(201, _text(self.put(path, item)))
        if path not in self.objects:
            return status(404, f"{path} not found")
        version = at(item, "metadata", "resourceVersion")
        if version is not None and version != at(self.objects[path], "metadata", "resourceVersion"):
            return status(409, "the object has been modified; please apply your changes to the latest version and try again")
        return http(200, _text(self.put(path, item)))

    def _patched(self, path: str, request: Request) -> JsonObject:
        patch = json.loads(request.body)
        known = self.objects[path]
        kind = request.headers["content-type"]
        result = merged(known, patch) if kind == "application/merge-patch+json" else strategically_merged(known, patch)
        assert isinstance(result, dict)
        return self.put(path, result)

    def _list(self, request: Request) -> JsonObject:
        selector = request.query.get("fieldSelector", "")
        label, _, value = request.query.get("labelSelector", "").partition("=")
        found = [
            item
            for path, item in self.objects.items()
            if path.rpartition("/")[0] == request.path
            and _selected(item, selector)
            and (not label or at(item, "metadata", "labels", label) == value)
        ]
        return {"items": [*found], "metadata": {"resourceVersion": str(self._version)}}

    async def _watch(self, request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        selector = request.query.get("fieldSelector", "")
        self._watchers[queue] = request.path, selector
        since = int(request.query.get("resourceVersion") or self._version)
        for version, kind, path, item in self._told:
            if version > since and path.rpartition("/")[0] == request.path and _selected(item, selector):
                queue.put_nowait(_line(kind, item))
        try:
            while line := await queue.get():
                writer.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
                await writer.drain()
            writer.write(b"0\r\n\r\n")
        finally:
            del self._watchers[queue]


def status(code: int, message: str) -> bytes:
    """An error as the API server says it."""
    body: JsonObject = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
    return http(code, json.dumps(body).encode())


@asynccontextmanager
async def api_server() -> AsyncIterator[FakeApi]:
    """A server that listens until the block ends."""
    api = FakeApi()
    await api.start()
    try:
        yield api
    finally:
        await api.stop()


async def _request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return Request(method=method, path=parts.path, query=query, headers=headers, body=body)


def _text(item: JsonObject) -> bytes:
    return json.dumps(item).encode()


def _line(kind: str, item: JsonObject) -> bytes:
    return json.dumps({"type": kind, "object": item}).encode() + b"\n"


def _selected(item: JsonObject, selector: str) -> bool:
    """Whether every term of a field selector holds."""
    return all(_holds(item, term) for term in selector.split(",") if term)


def _holds(item: JsonObject, term: str) -> bool:
    name, sign, value = term.partition("!=") if "!=" in term else term.partition("=")
    return (at(item, *name.split(".")) == value) is (sign == "=")
