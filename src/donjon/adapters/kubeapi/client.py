"""Get, patch, create and follow objects of the API server with a service account's token.

Source: Kubernetes API Concepts, "Efficient detection of changes".
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Generic, TypeVar

from donjon.adapters.kubeapi.objects import Conversion, parse, read
from donjon.adapters.kubeapi.stream import Items, Lines, ObjectText
from donjon.adapters.transport.client import HttpAnswer, HttpClient
from donjon.adapters.transport.tls import client_context
from donjon.errors import Misconfigured, Unavailable
from donjon.findings.codes import codes_in
from donjon.formats.json import JsonObject, at

T = TypeVar("T")

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT = 10.0
ALTOGETHER = 30.0  # seconds, for the whole answer to one request
WATCH_SECONDS = 60
SHORT = 1.0  # seconds; a watch that ends sooner is a failure, and is tried again with patience
PAGE = 25  # objects of one page of a list
MAX_ANSWER = 2 << 20  # bytes of an answer that is one object; the largest Secret there can be is smaller
HTTP_UNAUTHORIZED, HTTP_FORBIDDEN, HTTP_NOT_FOUND, HTTP_CONFLICT, HTTP_GONE = 401, 403, 404, 409, 410
_GONE_EVENT = ObjectText(b'{"type":"ERROR","object":{"code":410}}', large=False)


class ApiRefusal(Unavailable):
    """The server answered, with an error: its status tells whether the object is missing or was changed by another."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__("DJ041", message)
        self.status = status
        self.missing = status == HTTP_NOT_FOUND
        self.changed = status == HTTP_CONFLICT
        # What a policy of ours refuses, the server had let through before.
        self.rejects = status in {HTTP_UNAUTHORIZED, HTTP_FORBIDDEN} and not codes_in(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Our account is turned away, and nothing but that was answered for so many seconds up to the last answer, in these words."""

    seconds: float
    words: str


class PatchType(StrEnum):
    """How a patch is meant, by its media type."""

    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAccess:
    """Where the API server is, whom to trust there, and the file that holds our token (it is renewed every hour)."""

    server: str
    authority: Path
    token: Path


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """What is kept of all objects there are; what was known before is to be forgotten."""

    items: tuple[T, ...]


@dataclass(frozen=True, slots=True)
class Changed(Generic[T]):
    """What is kept of an object that was added or changed, or is gone."""

    item: T
    is_deleted: bool


def in_cluster(environment: Mapping[str, str]) -> ServerAccess:
    """The access that every pod finds; raises `Misconfigured` DJ040 outside a pod."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (ACCOUNT / "token").exists():
        raise Misconfigured("DJ040", "API server: no service account here; this command runs in a pod of the chart")
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return ServerAccess(server=server, authority=ACCOUNT / "ca.crt", token=ACCOUNT / "token")


class KubeApi:
    """One API server; every failure of it is `Unavailable` DJ041 with its own words.

    Raises `Misconfigured` DJ040 for an authority that is none.
    """

    def __init__(self, access: ServerAccess) -> None:
        self._token = access.token
        trust = client_context(access.authority, code="DJ040", what=f"API server: authority {access.authority}")
        self._client = HttpClient(code="DJ041", seconds=TIMEOUT, trust=trust, server=access.server, direct=True)
        self._rejected_since = 0.0
        self.rejection: Rejection | None = None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def get(self, path: str) -> JsonObject:
        """The object, or the list of objects, at that path."""
        return await self._call("GET", path)

    async def patch(self, path: str, body: JsonObject, kind: PatchType) -> JsonObject:
        """The object as it is after the patch."""
        return await self._call("PATCH", path, body=body, kind=kind)

    async def create(self, path: str, body: JsonObject) -> JsonObject:
        """The object as it was created."""
        return await self._call("POST", path, body=body)

    async def replace(self, path: str, body: JsonObject) -> JsonObject:
        """The object as it is after it was replaced; `ApiRefusal.changed` where it is not any more of the version in the body."""
        return await self._call("PUT", path, body=body)

    async def delete(self, path: str) -> None:
        """Take the object away; raises `ApiRefusal`, `missing` where it is not there."""
        await self._call("DELETE", path)

    async def all(self, path: str, keep: Callable[[JsonObject], T], *, labels: str = "") -> tuple[T, ...]:
        """What `keep` makes of all objects of a kind, or of those that a label selector finds.

        Raises `Unavailable` where one is too large to be read.
        """
        return (await self._list(path, {"labelSelector": labels} if labels else {}, Conversion(path, keep, None)))[0]

    async def follow(
        self,
        path: str,
        selector: str,
        keep: Callable[[JsonObject], T],
        beyond: Callable[[JsonObject], T] | None = None,
    ) -> AsyncGenerator[Listing[T] | Changed[T], None]:
        """What `keep` makes of all objects that the field selector finds, then of every change.

        Nothing else of the objects stays in memory. Of an object larger than `stream.LARGEST` nothing is read but its names, of
        which `beyond` makes something; without it such an object is `Unavailable`. Ends where the server has forgotten where we
        were.
        """
        loop, conversion = asyncio.get_running_loop(), Conversion(path, keep, beyond)
        items, version = await self._list(path, {"fieldSelector": selector} if selector else {}, conversion)
        yield Listing(items)
        del items
        while True:
            began = loop.time()
            async with aclosing(self._watch(path, selector, version)) as parts:
                async for part in parts:
                    kind, item = conversion.event(part)
                    if kind == "ERROR":
                        if at(item, "code") == HTTP_GONE and loop.time() - began > SHORT:
                            return
                        raise Unavailable("DJ041", f"watch {path}: {at(item, 'message') or 'ended at once'}")
                    version = str(at(item, "metadata", "resourceVersion") or version)
                    if kind != "BOOKMARK":
                        yield Changed(conversion.convert(item, large=part.large), is_deleted=kind == "DELETED")
            if loop.time() - began < SHORT:
                raise Unavailable("DJ041", f"watch {path}: ended at once")

    async def _list(self, path: str, selectors: Mapping[str, str], conversion: Conversion[T]) -> tuple[tuple[T, ...], str]:
        """What is kept of all objects, read in pages, and the version from which to watch."""
        objects: list[T] = []
        token = ""
        while True:
            query = {"limit": str(PAGE), **selectors} | ({"continue": token} if token else {})
            items = Items()
            async with self._answer("GET", path, query=query) as answer, aclosing(answer.pieces()) as pieces:
                async for data in pieces:
                    objects += [conversion.convert(conversion.object(part), large=part.large) for part in items.feed(data)]
            page = read(items.rest(), f"GET {path}")
            token = str(at(page, "metadata", "continue") or "")
            if not token:
                return tuple(objects), str(at(page, "metadata", "resourceVersion") or "")

    async def _watch(self, path: str, selector: str, version: str) -> AsyncGenerator[ObjectText, None]:
        """The events of a watch, each as it came."""
        query = {
            "watch": "true",
            "fieldSelector": selector,
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        lines = Lines()
        try:
            answering = self._answer("GET", path, query=query, silence=WATCH_SECONDS + TIMEOUT)
            async with answering as answer, aclosing(answer.pieces()) as pieces:
                async for data in pieces:
                    for part in lines.feed(data):
                        yield part
        except ApiRefusal as error:
            if error.status != HTTP_GONE:
                raise
            yield _GONE_EVENT
        if (rest := lines.rest()).text:
            yield rest

    async def _call(
        self, method: str, path: str, *, body: JsonObject | None = None, kind: str = "application/json"
    ) -> JsonObject:
        try:
            async with asyncio.timeout(ALTOGETHER), self._answer(method, path, body=body, kind=kind) as answer:
                whole = await answer.whole(MAX_ANSWER)
        except TimeoutError as error:
            raise Unavailable("DJ041", f"{method} {path}: no whole answer within {ALTOGETHER:g} s") from error
        return parse(whole, f"{method} {path}")

    @asynccontextmanager
    async def _answer(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
        kind: str = "application/json",
        silence: float | None = None,
    ) -> AsyncIterator[HttpAnswer]:
        """The server's answer, to be read while it comes; raises `ApiRefusal` for an error, in the server's own words."""
        content = None if body is None else json.dumps(body).encode()
        headers = self._headers() | ({} if body is None else {"Content-Type": kind})
        what = f"{'watch' if silence else method} {path}"
        asking = self._client.ask(method, path, what=what, query=query, body=content, headers=headers, silence=silence)
        async with asking as answer:
            if not answer.is_success:
                refusal = ApiRefusal(f"{what}: {await _reason(answer)}", answer.status)
                self._note(refusal)
                raise refusal
            self.rejection = None
            yield answer

    def _note(self, refusal: ApiRefusal) -> None:
        """Keep since when all that is answered is that our account may not."""
        if not refusal.rejects:
            self.rejection = None
            return
        now = asyncio.get_running_loop().time()
        if self.rejection is None:
            self._rejected_since = now
        self.rejection = Rejection(seconds=now - self._rejected_since, words=refusal.message)

    def _headers(self) -> dict[str, str]:
        try:
            token = self._token.read_text().strip()
        except OSError as error:
            raise Unavailable("DJ041", f"token {self._token}: {error.strerror}") from error
        return {"Authorization": f"Bearer {token}", "Accept": "application/json"}


def read_once(access: ServerAccess, path: str) -> JsonObject:
    """One object, for a program that has no event loop."""

    async def once() -> JsonObject:
        api = KubeApi(access)
        try:
            return await api.get(path)
        finally:
            await api.close()

    return asyncio.run(once())


async def _reason(answer: HttpAnswer) -> str:
    """The server's own words where it has some."""
    try:
        message = at(parse(await answer.whole(MAX_ANSWER), ""), "message")
    except Unavailable:
        message = None
    return f"{answer.status} {message or answer.phrase}"[:1000]
