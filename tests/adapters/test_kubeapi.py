"""The API server's client, against one that is fake and sometimes mad."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from tests.adapters.fakeapi import FakeApi, Request, api_server, http, status

from donjon.adapters.kubeapi import client
from donjon.adapters.kubeapi.client import ApiRefusal, Changed, KubeApi, Listing, PatchType, in_cluster, read_once
from donjon.errors import DonjonError, Misconfigured, Unavailable
from donjon.formats.json import JsonObject, at

NODES = "/api/v1/nodes"
NODE = f"{NODES}/sgx-1"
SELECTOR = "metadata.name=sgx-1"

Story = Callable[[FakeApi, KubeApi], Awaitable[None]]


def told(story: Story, folder: Path) -> None:
    """Run a story with a server that knows one node, and a client."""

    async def run() -> None:
        async with api_server() as server:
            server.put(NODE, node())
            api = KubeApi(server.access(folder))
            try:
                async with asyncio.timeout(15):
                    await story(server, api)
            finally:
                await api.close()

    asyncio.run(run())


def node(**labels: str) -> JsonObject:
    return {"metadata": {"name": "sgx-1", "labels": {**labels}}, "status": {}}


def name(item: JsonObject) -> object:
    return at(item, "metadata", "name")


def whole(item: JsonObject) -> JsonObject:
    return item


class Follower:
    """A watch in the background, and what it has told so far."""

    def __init__(self, api: KubeApi) -> None:
        self.told: list[Listing[JsonObject] | Changed[JsonObject]] = []
        self.task = asyncio.create_task(self._follow(api))

    async def _follow(self, api: KubeApi) -> None:
        async for change in api.follow(NODES, SELECTOR, whole):
            self.told.append(change)

    async def has(self, count: int) -> None:
        while len(self.told) < count and not self.task.done():  # noqa: ASYNC110 - the server is another program.
            await asyncio.sleep(0.01)
        assert len(self.told) >= count, self.task


async def watching(server: FakeApi, count: int = 1) -> None:
    while server.watched < count:  # noqa: ASYNC110 - the server is another program.
        await asyncio.sleep(0.01)


async def ended(follower: Follower) -> Unavailable:
    with pytest.raises(Unavailable) as refused:
        await follower.task
    return refused.value


async def cancelled(follower: Follower) -> None:
    follower.task.cancel()
    await asyncio.gather(follower.task, return_exceptions=True)


def test_objects_are_got_patched_and_created(tmp_path: Path) -> None:
    async def story(server: FakeApi, api: KubeApi) -> None:
        assert name(await api.get(NODE)) == "sgx-1"
        patched = await api.patch(NODE, {"metadata": {"labels": {"a": "b"}}}, PatchType.MERGE)
        assert at(patched, "metadata", "labels") == {"a": "b"}
        conditions: JsonObject = {"status": {"conditions": [{"type": "SGXReady", "status": "True"}]}}
        await api.patch(f"{NODE}/status", conditions, PatchType.STRATEGIC)
        assert at(server.objects[NODE], "status", "conditions") == [{"type": "SGXReady", "status": "True"}]
        await api.create("/api/v1/namespaces/default/events", {"reason": "SGXReady"})
        assert server.events == [{"reason": "SGXReady"}]
        kinds = [request.headers["content-type"] for request in server.requests[1:]]
        assert kinds == ["application/merge-patch+json", "application/strategic-merge-patch+json", "application/json"]

    told(story, tmp_path)


def test_the_api_server_is_asked_itself_whatever_proxy_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")

    async def story(_: FakeApi, api: KubeApi) -> None:
        assert name(await api.get(NODE)) == "sgx-1"

    told(story, tmp_path)


def test_the_token_is_read_anew_for_every_call_since_it_is_renewed(tmp_path: Path) -> None:
    async def story(server: FakeApi, api: KubeApi) -> None:
        await api.get(NODE)
        (tmp_path / "token").write_text("another")
        with pytest.raises(Unavailable, match="401 Unauthorized"):
            await api.get(NODE)
        (tmp_path / "token").unlink()
        with pytest.raises(Unavailable, match="No such file"):
            await api.get(NODE)
        assert [request.headers["authorization"] for request in server.requests[1:]] == ["Bearer another"]

    told(story, tmp_path)


def test_a_watch_lists_then_tells_every_change_of_what_was_selected(tmp_path: Path) -> None:
    async def story(server: FakeApi, api: KubeApi) -> None:
        follower = Follower(api)
        await watching(server)
        server.put(f"{NODES}/other", {"metadata": {"name": "other"}})
        server.put(NODE, node(a="b"))
        server.delete(NODE)
        await follower.has(3)
        listed, changed, gone = follower.told
        assert isinstance(listed, Listing)
        assert [name(item) for item in listed.items] == ["sgx-1"]
        assert isinstance(changed, Changed)
        assert (at(changed.item, "metadata", "labels"), changed.is_deleted) == ({"a": "b"}, False)
        assert isinstance(gone, Changed)
        assert gone.is_deleted
        await cancelled(follower)

    told(story, tmp_path)


def test_a_watch_that_ends_goes_on_where_a_bookmark_left_it_and_lists_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "SHORT", 0.0)

    async def story(server: FakeApi, api: KubeApi) -> None:
        follower = Follower(api)
        await watching(server)
        server.bookmark()
        await asyncio.sleep(0.05)
        assert len(follower.told) == 1, "a bookmark is nothing to tell"
        server.say(b"")
        while len(server.asked("GET", NODES)) < 3:  # noqa: ASYNC110 - the server is another program.
            await asyncio.sleep(0.01)
        listed, first, second = server.asked("GET", NODES)
        assert "watch" not in listed.query
        assert int(second.query["resourceVersion"]) > int(first.query["resourceVersion"])
        assert first.query["allowWatchBookmarks"] == "true"
        await cancelled(follower)

    told(story, tmp_path)


@pytest.mark.parametrize("manner", ["an event", "an answer"])
def test_a_server_that_forgot_where_we_were_ends_the_watch_so_that_all_is_listed_anew(
    tmp_path: Path, manner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "SHORT", 0.0)

    async def story(server: FakeApi, api: KubeApi) -> None:
        if manner == "an answer":
            server.answer = lambda request: status(410, "too old") if "watch" in request.query else None
        follower = Follower(api)
        if manner == "an event":
            await watching(server)
            server.forget()
        await follower.task
        assert len(follower.told) == 1

    told(story, tmp_path)


def test_servers_that_end_every_watch_at_once_are_not_flooded(tmp_path: Path) -> None:
    async def story(server: FakeApi, api: KubeApi) -> None:
        server.answer = lambda request: http(200, b"") if "watch" in request.query else None
        assert "ended at once" in (await ended(Follower(api))).message
        assert len(server.asked("GET", NODES)) == 2

    told(story, tmp_path)


def test_a_connection_that_breaks_in_the_middle_of_a_watch_is_unavailable(tmp_path: Path) -> None:
    async def story(server: FakeApi, api: KubeApi) -> None:
        follower = Follower(api)
        await watching(server)
        await server.stop()
        assert (await ended(follower)).code == "DJ041"

    told(story, tmp_path)


def test_a_watch_cut_in_the_middle_of_a_line_is_unavailable(tmp_path: Path) -> None:
    async def story(server: FakeApi, api: KubeApi) -> None:
        follower = Follower(api)
        await watching(server)
        server.say(b'{"type":"MODIFIED","obj')
        server.say(b"")
        assert (await ended(follower)).code == "DJ041"

    told(story, tmp_path)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"nonsense\n", "no JSON"),
        (b"[1, 2]\n", "no object"),
        (b"null\n", "no object"),
        (b"\xff\xfe\n", "no JSON"),
        (b"[" * 100_000 + b"\n", "no JSON"),
        (json.dumps({"type": "ERROR", "object": {"code": 500, "message": "etcd is away"}}).encode() + b"\n", "etcd is away"),
        (b'{"type":"ERROR"}\n', "watch /api/v1/nodes"),
    ],
)
def test_a_watch_that_tells_nonsense_is_unavailable(tmp_path: Path, line: bytes, words: str) -> None:
    async def story(server: FakeApi, api: KubeApi) -> None:
        follower = Follower(api)
        await watching(server)
        server.say(line)
        error = await ended(follower)
        assert words in error.message

    told(story, tmp_path)


@pytest.mark.parametrize("line", [b"{}\n", b'{"type":"MODIFIED","object":[]}\n', b'{"type":7,"object":{"metadata":3}}\n'])
def test_an_event_without_sense_is_told_as_an_empty_object(tmp_path: Path, line: bytes) -> None:
    async def story(server: FakeApi, api: KubeApi) -> None:
        follower = Follower(api)
        await watching(server)
        server.say(line)
        server.put(NODE, node(a="b"))
        await follower.has(3)
        await cancelled(follower)

    told(story, tmp_path)


def refusing(raw: bytes) -> Callable[[Request], bytes]:
    return lambda _: raw


ANSWERS = [
    (status(403, 'nodes "sgx-1" is forbidden: no'), '403 nodes "sgx-1" is forbidden: no'),
    (status(404, "not found"), "404 not found"),
    (status(410, "too old"), "410 too old"),
    (status(500, "etcd is away"), "500 etcd is away"),
    (http(503, b"<html>busy</html>", "Busy"), "503 Busy"),
    (http(403, b"[]", "Forbidden"), "403 Forbidden"),
    (http(200, b"<html>welcome</html>"), "the answer is no JSON"),
    (http(200, b""), "the answer is no JSON"),
    (http(200, b"[]"), "the answer is no object"),
    (http(200, b"\xff"), "the answer is no JSON"),
    (http(200, b"[" * 100_000), "the answer is no JSON"),
    (http(200, b'{"a": ' + b"9" * 5000 + b"}"), "the answer is no JSON"),
    (b"garbage\r\n\r\n", ""),
    (b"", ""),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{", ""),
]


@pytest.mark.parametrize(("raw", "words"), ANSWERS)
def test_whatever_the_server_answers_is_an_object_or_unavailable(tmp_path: Path, raw: bytes, words: str) -> None:
    async def story(server: FakeApi, api: KubeApi) -> None:
        server.answer = refusing(raw)
        for call in (api.get(NODE), api.patch(NODE, {}, PatchType.MERGE), api.create(NODE, {})):
            with pytest.raises(Unavailable) as refused:
                await call
            assert refused.value.code == "DJ041"
            assert words in refused.value.message
            assert len(refused.value.message) < 1200
        with pytest.raises(Unavailable):
            await anext(api.follow(NODES, SELECTOR, whole))

    told(story, tmp_path)


def test_a_server_that_is_away_is_unavailable_and_back_when_it_is_back(tmp_path: Path) -> None:
    async def story(server: FakeApi, api: KubeApi) -> None:
        await api.get(NODE)
        await server.stop()
        with pytest.raises(Unavailable):
            await api.get(NODE)
        await server.start()
        assert name(await api.get(NODE)) == "sgx-1"

    told(story, tmp_path)


def test_a_rejection_lasts_from_the_first_to_the_last_answer_that_is_nothing_else(tmp_path: Path) -> None:
    async def story(server: FakeApi, api: KubeApi) -> None:
        async def ask(raw: bytes | None) -> float | None:
            server.answer = lambda _: raw
            with suppress(Unavailable):
                await api.get(NODE)
            return None if api.rejection is None else api.rejection.seconds

        assert await ask(status(401, "Unauthorized")) == 0
        await asyncio.sleep(0.1)
        lasted = await ask(status(403, "nodes is forbidden"))
        assert lasted is not None
        assert lasted >= 0.1
        await server.stop()
        assert await ask(None) == lasted, "a server that is away answers nothing"
        await server.start()
        for other in (None, status(403, "no label x [DJ110]"), status(404, "none"), status(500, "broken")):
            assert await ask(status(401, "Unauthorized")) is not None
            assert await ask(other) is None

    told(story, tmp_path)


async def refuse(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], access: client.ServerAccess, said: str
) -> None:
    """That a server which answers like that is unavailable."""
    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        api = KubeApi(replace(access, server=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
        with pytest.raises(Unavailable, match=said):
            await api.get(NODE)
        await api.close()
        await asyncio.sleep(0.2)  # The server's side ends.


def test_a_server_that_never_answers_is_unavailable_within_the_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.TIMEOUT == 10.0, "the deadline that is promised"
    monkeypatch.setattr(client, "TIMEOUT", 0.2)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    async def story(server: FakeApi, _: KubeApi) -> None:
        await refuse(silent, server.access(tmp_path), "Timeout")

    told(story, tmp_path)


@pytest.mark.parametrize("said", [b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: "])
def test_an_answer_that_drips_is_unavailable_within_the_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(client, "ALTOGETHER", 0.5)

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        with suppress(OSError):
            while not writer.transport.is_closing():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)
        writer.close()

    async def story(server: FakeApi, _: KubeApi) -> None:
        await refuse(drip, server.access(tmp_path), "no whole answer")

    told(story, tmp_path)


def test_one_object_can_be_read_without_a_loop(tmp_path: Path) -> None:
    async def story(server: FakeApi, _: KubeApi) -> None:
        found = await asyncio.to_thread(read_once, server.access(tmp_path), NODE)
        assert name(found) == "sgx-1"

    told(story, tmp_path)


@pytest.mark.parametrize("authority", [None, "", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_an_authority_that_is_none_is_misconfigured(tmp_path: Path, authority: str | None) -> None:
    access = FakeApi().access(tmp_path)
    access.authority.unlink()
    if authority is not None:
        access.authority.write_text(authority)
    with pytest.raises(Misconfigured) as refused:
        KubeApi(access)
    assert refused.value.code == "DJ040"


@pytest.mark.parametrize(
    ("environment", "server"),
    [
        ({"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "6443"}, "https://10.96.0.1:6443"),
        ({"KUBERNETES_SERVICE_HOST": "10.96.0.1"}, "https://10.96.0.1:443"),
        ({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}, "https://[fd00::1]:443"),
    ],
)
def test_a_pod_finds_its_server_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], server: str
) -> None:
    monkeypatch.setattr(client, "ACCOUNT", tmp_path)
    (tmp_path / "token").touch()
    assert in_cluster(environment).server == server


@pytest.mark.parametrize("environment", [{}, {"KUBERNETES_SERVICE_HOST": ""}, {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}])
def test_outside_a_pod_there_is_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    monkeypatch.setattr(client, "ACCOUNT", tmp_path)
    with pytest.raises(DonjonError) as refused:
        in_cluster(environment)
    assert refused.value.code == "DJ040"


def test_an_object_is_replaced_only_in_the_version_that_was_read(tmp_path: Path) -> None:
    async def story(server: FakeApi, api: KubeApi) -> None:
        made = await api.create("/api/v1/nodes", {"metadata": {"name": "sgx-2"}})
        changed = await api.replace("/api/v1/nodes/sgx-2", {**made, "data": "one"})
        assert changed["data"] == server.objects["/api/v1/nodes/sgx-2"]["data"] == "one"
        with pytest.raises(ApiRefusal) as refused:
            await api.replace("/api/v1/nodes/sgx-2", {**made, "data": "two"})
        assert (refused.value.changed, refused.value.missing, refused.value.code) == (True, False, "DJ041")
        with pytest.raises(ApiRefusal) as refused:
            await api.create("/api/v1/nodes", {"metadata": {"name": "sgx-2"}})
        assert refused.value.changed, "someone else made it first"
        with pytest.raises(ApiRefusal) as refused:
            await api.replace("/api/v1/nodes/sgx-3", {"metadata": {"name": "sgx-3"}})
        assert (refused.value.changed, refused.value.missing) == (False, True)

    told(story, tmp_path)
