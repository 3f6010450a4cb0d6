"""Get, patch, create and follow objects of the API server with a service account's token.

Source: Kubernetes API Concepts, "Efficient detection of changes".
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Generic, TypeVar, cast

import httpx2

from donjon.errors import Misconfigured, Unavailable
from donjon.kube.json import Json, JsonObject, at, objects

T = TypeVar("T")

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT = 10.0
WATCH_SECONDS = 60
SHORT = 1.0  # seconds; a watch that ends sooner is a failure, and is tried again with patience
PAGE = 25  # objects of one page of a list
GONE = 410


class Refused(Unavailable):
    """The server answered, with an error: its status tells whether the object is missing or was changed by another."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__("DJ041", message)
        self.missing = status == httpx2.codes.NOT_FOUND
        self.changed = status == httpx2.codes.CONFLICT


class PatchType(StrEnum):
    """How a patch is meant, by its media type."""

    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where the API server is, whom to trust there, and the file that holds our token (it is renewed every hour)."""

    server: str
    authority: Path
    token: Path


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """What is kept of all objects there are; what was known before is to be forgotten."""

    items: tuple[T, ...]


@dataclass(frozen=True, slots=True)
class Changed(Generic[T]):
    """What is kept of an object that was added or changed, or is gone."""

    item: T
    gone: bool


def in_cluster(environment: Mapping[str, str]) -> Access:
    """The access that every pod finds; raises `Misconfigured` DJ040 outside a pod."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (ACCOUNT / "token").exists():
        raise Misconfigured("DJ040", "API server: no service account here; this command runs in a pod of the chart")
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return Access(server=server, authority=ACCOUNT / "ca.crt", token=ACCOUNT / "token")


class KubeApi:
    """One API server; every failure of it is `Unavailable` DJ041 with its own words.

    Raises `Misconfigured` DJ040 for an authority that is none.
    """

    def __init__(self, access: Access) -> None:
        self._token = access.token
        try:
            context = ssl.create_default_context(cafile=str(access.authority))
        except OSError as error:  # An SSLError is one.
            raise Misconfigured("DJ040", f"API server: authority {access.authority}: {error.strerror or error}") from error
        self._client = httpx2.AsyncClient(base_url=access.server, verify=context, timeout=TIMEOUT)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def get(self, path: str) -> JsonObject:
        """An object, or a list of them."""
        return await self._call("GET", path)

    async def patch(self, path: str, body: JsonObject, kind: PatchType) -> JsonObject:
        """The object as it is after the patch."""
        return await self._call("PATCH", path, body=body, kind=kind)

    async def create(self, path: str, body: JsonObject) -> JsonObject:
        """The object as it was created."""
        return await self._call("POST", path, body=body)

    async def replace(self, path: str, body: JsonObject) -> JsonObject:
        """The object as it is after it was replaced; `Refused.changed` where it is not any more of the version in the body."""
        return await self._call("PUT", path, body=body)

    async def follow(self, path: str, selector: str, keep: Callable[[JsonObject], T]) -> AsyncIterator[Listed[T] | Changed[T]]:
        """What `keep` makes of all objects that the field selector finds, then of every change.

        Nothing else of the objects stays in memory. Ends where the server has forgotten where we were.
        """
        loop = asyncio.get_running_loop()
        items, version = await self._list(path, selector, keep)
        yield Listed(items)
        del items
        while True:
            began = loop.time()
            async for kind, item in self._watch(path, selector, version):
                if kind == "ERROR":
                    if at(item, "code") == GONE and loop.time() - began > SHORT:
                        return
                    raise Unavailable("DJ041", f"watch {path}: {at(item, 'message') or 'ended at once'}")
                version = str(at(item, "metadata", "resourceVersion") or version)
                if kind != "BOOKMARK":
                    yield Changed(keep(item), gone=kind == "DELETED")
            if loop.time() - began < SHORT:
                raise Unavailable("DJ041", f"watch {path}: ended at once")

    async def _list(self, path: str, selector: str, keep: Callable[[JsonObject], T]) -> tuple[tuple[T, ...], str]:
        """What is kept of all objects, read in pages, and the version from which to watch."""
        kept: list[T] = []
        token = ""
        while True:
            query = {"fieldSelector": selector, "limit": str(PAGE)} | ({"continue": token} if token else {})
            page = await self._call("GET", path, query=query)
            kept += [keep(item) for item in objects(page.get("items"))]
            token = str(at(page, "metadata", "continue") or "")
            if not token:
                return tuple(kept), str(at(page, "metadata", "resourceVersion") or "")

    async def _watch(self, path: str, selector: str, version: str) -> AsyncIterator[tuple[str, JsonObject]]:
        query = {
            "watch": "true",
            "fieldSelector": selector,
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        timeout = httpx2.Timeout(TIMEOUT, read=WATCH_SECONDS + TIMEOUT)
        try:
            async with self._client.stream("GET", path, params=query, headers=self._headers(), timeout=timeout) as response:
                if response.status_code == GONE:
                    yield "ERROR", {"code": GONE}
                    return
                if response.status_code != httpx2.codes.OK:
                    raise Unavailable("DJ041", f"watch {path}: {_reason(response, await response.aread())}")
                async for line in response.aiter_lines():
                    event = _object(line.encode(), f"watch {path}")
                    item = event.get("object")
                    yield str(event.get("type")), item if isinstance(item, dict) else {}
        except httpx2.HTTPError as error:
            raise Unavailable("DJ041", f"watch {path}: {str(error) or type(error).__name__}") from error

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
        kind: str = "application/json",
    ) -> JsonObject:
        content = None if body is None else json.dumps(body).encode()
        headers = self._headers() | ({} if body is None else {"Content-Type": kind})
        try:
            response = await self._client.request(method, path, params=query, content=content, headers=headers)
        except httpx2.HTTPError as error:
            raise Unavailable("DJ041", f"{method} {path}: {str(error) or type(error).__name__}") from error
        if response.is_error:
            raise Refused(f"{method} {path}: {_reason(response, response.content)}", response.status_code)
        return _object(response.content, f"{method} {path}")

    def _headers(self) -> dict[str, str]:
        try:
            return {"Authorization": f"Bearer {self._token.read_text().strip()}", "Accept": "application/json"}
        except OSError as error:
            raise Unavailable("DJ041", f"token {self._token}: {error.strerror}") from error


def read_once(access: Access, path: str) -> JsonObject:
    """One object, for a program that has no event loop."""

    async def read() -> JsonObject:
        api = KubeApi(access)
        try:
            return await api.get(path)
        finally:
            await api.close()

    return asyncio.run(read())


def _object(data: bytes, what: str) -> JsonObject:
    try:
        value = cast("Json", json.loads(data))
    except (ValueError, RecursionError) as error:  # JSON nested too deep for Python is no answer of an API server either.
        raise Unavailable("DJ041", f"{what}: the answer is no JSON") from error
    if not isinstance(value, dict):
        raise Unavailable("DJ041", f"{what}: the answer is no object")
    return value


def _reason(response: httpx2.Response, content: bytes) -> str:
    """The server's own words where it has some."""
    try:
        message = at(_object(content, ""), "message")
    except Unavailable:
        message = None
    return f"{response.status_code} {message or response.reason_phrase}"[:1000]
