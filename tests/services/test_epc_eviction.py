"""A node that is short of EPC ends one pod that holds too much, where that is wanted, by the API server's own eviction."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.adapters.fakeapi import FakeApi, Request, http, status
from tests.kube.epc import container, held, report

from donjon.adapters.kubeapi.client import KubeApi
from donjon.formats.json import at
from donjon.services.node import eviction
from donjon.services.node.eviction import Evictor

SHORT = report(container(10, held(30), pod="important"), container(10, held(14), pod="other"), container(10, held(5), pod="good"))


class Node:
    def __init__(self, api: FakeApi, folder: Path) -> None:
        self.api, self.client = api, KubeApi(api.access(folder))
        self.evictor = Evictor("sgx-1", self.client)
        self.evictions: list[tuple[str, str]] = []  # of which pod, with which uid as a condition
        self.budget: set[str] = set()  # pods that a budget holds
        api.answer = self.answer
        for name, priority in (("important", 1000), ("other", 0), ("good", -100)):
            self.put(name, priority)

    def put(self, name: str, priority: int) -> None:
        self.api.put(
            f"/api/v1/namespaces/shop/pods/{name}",
            {
                "metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}"},
                "spec": {"nodeName": "sgx-1", "priority": priority},
                "status": {"phase": "Running"},
            },
        )

    def answer(self, request: Request) -> bytes | None:
        if not request.path.endswith("/eviction"):
            return None
        name = request.path.split("/")[-2]
        if name in self.budget:
            return status(429, "Cannot evict pod as it would violate the pod's disruption budget.")
        body = json.loads(request.body)
        self.evictions.append((name, str(at(body, "deleteOptions", "preconditions", "uid"))))
        return http(201, b"{}")


def lived(folder: Path, story: Callable[[Node], Awaitable[None]]) -> None:
    async def run() -> None:
        api = FakeApi()
        await api.start()
        node = Node(api, folder)
        try:
            await story(node)
        finally:
            await node.client.close()
            await api.stop()
            await asyncio.sleep(0.02)

    asyncio.run(run())


def test_the_least_important_that_holds_too_much_goes_and_nobody_else_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(node: Node) -> None:
        await node.evictor.relieve(SHORT)
        await node.evictor.relieve(SHORT)
        assert node.evictions == [("other", "uid-other")]
        (event,) = node.api.events
        assert (event["reason"], at(event, "involvedObject", "name")) == ("EvictedForEPC", "other")
        assert "4Mi larger than it asked for" in str(event["message"])
        monkeypatch.setattr(eviction, "REST", -1.0)
        node.evictor._rest_until = 0.0
        await node.evictor.relieve(report(*SHORT.containers[:1]))
        assert node.evictions[1:] == [("important", "uid-important")]

    lived(tmp_path, story)


def test_a_disruption_budget_is_held_to(tmp_path: Path) -> None:
    async def story(node: Node) -> None:
        node.budget = {"other"}
        await node.evictor.relieve(SHORT)
        assert node.evictions == [("important", "uid-important")]

    lived(tmp_path, story)


def test_a_pod_that_is_gone_or_another_by_now_is_left_alone(tmp_path: Path) -> None:
    async def story(node: Node) -> None:
        del node.api.objects["/api/v1/namespaces/shop/pods/other"]
        node.put("important", 2_000_000_000)
        await node.evictor.relieve(SHORT)
        assert node.evictions == []
        assert node.api.events == []

    lived(tmp_path, story)


def test_pods_that_cannot_be_evicted_shield_nobody_who_can(tmp_path: Path) -> None:
    async def story(node: Node) -> None:
        shields = [f"going-{number}" for number in range(30)]
        for name in shields:
            node.put(name, 2_000_000_000)
        await node.evictor.relieve(report(*(container(0, held(99), pod=name) for name in shields), *SHORT.containers))
        assert node.evictions == [("other", "uid-other")]

    lived(tmp_path, story)


def test_while_the_api_server_is_away_nobody_is_ended(tmp_path: Path) -> None:
    async def story(node: Node) -> None:
        await node.api.stop()
        await node.evictor.relieve(SHORT)
        assert node.evictions == []
        await node.api.start()
        await node.evictor.relieve(SHORT)
        assert len(node.evictions) == 1

    lived(tmp_path, story)
