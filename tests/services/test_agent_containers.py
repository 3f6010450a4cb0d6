"""Containers that ask for EPC on the agent's node: those without the device that they asked for are told, and no others."""

import asyncio
from pathlib import Path

import pytest
from tests.services.agent import World, settled, told

from donjon.formats.json import JsonObject, at
from donjon.kube.names import ENCLAVE, EPC
from donjon.services.node import truth

pytestmark = pytest.mark.usefixtures("quick")


def asking_pod(name: str = "app", uid: str = "u1") -> JsonObject:
    return {
        "metadata": {"namespace": "default", "name": name, "uid": uid},
        "spec": {
            "nodeName": "sgx-1",
            "containers": [{"name": "enclave", "resources": {"limits": {EPC: "10Mi"}, "requests": {EPC: "10Mi"}}}],
        },
        "status": {"containerStatuses": [{"name": "enclave", "state": {"running": {}}, "containerID": f"containerd://{uid}"}]},
    }


async def run_pod(here: World, holder: str) -> None:
    """The pod `app` runs and asks for a device; the kubelet accounts for one, of the container of that pod."""
    await settled(here)
    here.kubelet.held["default", holder, "enclave"] = [ENCLAVE]
    here.api.put("/api/v1/pods/app", asking_pod())
    await here.until(lambda: here.metric("devices_in_use", resource=ENCLAVE) == 1)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three rounds at the real pace are within the ten seconds that are promised; here they are quicker."""
    assert 3 * truth.CHECK_EVERY < 10
    monkeypatch.setattr(truth, "CHECK_EVERY", 0.15)


@pytest.mark.usefixtures("often")
def test_a_container_without_its_device_is_told_once_with_an_event(short: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story(here: World) -> None:
        await settled(here)
        here.kubelet.held["default", "app", "enclave"] = []
        here.api.put("/api/v1/pods/app", asking_pod())
        await here.until(lambda: len(here.events("RunsWithoutDevice")) == 1)
        await asyncio.sleep(1)
        (event,) = here.events("RunsWithoutDevice")
        assert at(event, "involvedObject", "uid") == "u1"
        assert at(event, "metadata", "namespace") == "default"
        assert "[DJ020]" in str(event["message"])
        assert here.metric("containers_without_device") == 1
        here.api.delete("/api/v1/pods/app")
        await here.until(lambda: here.metric("containers_without_device") == 0)

    told(story, short)
    assert [record.message for record in caplog.records].count("a container runs without its device") == 1


@pytest.mark.usefixtures("often")
def test_a_container_with_its_device_is_counted_and_not_told(short: Path) -> None:
    async def story(here: World) -> None:
        await run_pod(here, "app")
        await asyncio.sleep(0.6)
        assert here.events("RunsWithoutDevice") == []
        assert here.metric("containers_without_device") == 0

    told(story, short)


@pytest.mark.usefixtures("often")
def test_a_pod_that_ends_leaves_the_kubelets_account_first_and_is_not_told(short: Path) -> None:
    async def story(here: World) -> None:
        await run_pod(here, "app")
        del here.kubelet.held["default", "app", "enclave"]
        here.api.delete("/api/v1/pods/app")
        await here.until(lambda: here.metric("devices_in_use", resource=ENCLAVE) == 0)
        assert here.events("RunsWithoutDevice") == []

    told(story, short)


@pytest.mark.usefixtures("often")
def test_a_pod_that_ended_while_the_api_server_could_not_be_told_is_not_told(short: Path) -> None:
    async def story(here: World) -> None:
        await run_pod(here, "other")
        await asyncio.sleep(1)
        assert here.events("RunsWithoutDevice") == []
        assert here.metric("containers_without_device") == 0

    told(story, short)


@pytest.mark.usefixtures("often")
def test_a_kubelet_that_lost_its_account_of_a_device_is_told_as_that(short: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story(here: World) -> None:
        await run_pod(here, "app")
        here.kubelet.held["default", "app", "enclave"] = []
        await here.until(lambda: len(here.events("DeviceNotAccounted")) == 1)
        (event,) = here.events("DeviceNotAccounted")
        assert "[DJ023]" in str(event["message"])
        assert "the enclave runs on" in str(event["message"])
        await here.until(lambda: here.metric("containers_not_accounted") == 1)
        assert here.metric("containers_without_device") == 0
        assert here.events("RunsWithoutDevice") == []

    told(story, short)
    assert "a container runs without its device" not in [record.message for record in caplog.records]


@pytest.mark.usefixtures("often")
def test_pods_that_have_ended_are_not_even_asked_for(short: Path) -> None:
    async def story(here: World) -> None:
        await settled(here)
        here.kubelet.held["default", "app", "enclave"] = []
        asking = asking_pod()
        assert isinstance(asking["status"], dict)
        here.api.put("/api/v1/pods/app", asking | {"status": {**asking["status"], "phase": "Failed"}})
        await asyncio.sleep(1)
        assert here.events("RunsWithoutDevice") == []
        (listed, *_) = here.api.asked("GET", "/api/v1/pods")
        assert "status.phase!=Succeeded" in listed.query["fieldSelector"]

    told(story, short)


def environment(count: int) -> JsonObject:
    """A pod as anybody may make it, which asks for nothing of ours."""
    container: JsonObject = {"name": "c", "env": [{"name": "A"}] * count}
    return {
        "metadata": {"namespace": "evil", "name": "large", "uid": "u9"},
        "spec": {"nodeName": "sgx-1", "containers": [container]},
    }


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("when", ["before the agent starts to watch", "while it watches"])
def test_a_pod_that_is_too_large_is_said_once_and_the_others_are_looked_at(
    short: Path, caplog: pytest.LogCaptureFixture, when: str
) -> None:
    async def story(here: World) -> None:
        if when == "while it watches":
            await settled(here)
        here.kubelet.held["default", "app", "enclave"] = []
        here.api.put("/api/v1/pods/large", environment(205_000))
        here.api.put("/api/v1/pods/app", asking_pod())
        await here.until(lambda: here.metric("pods_too_large") == 1)
        await here.until(lambda: len(here.events("RunsWithoutDevice")) == 1)
        await settled(here)
        here.api.delete("/api/v1/pods/large")
        await here.until(lambda: here.metric("pods_too_large") == 0)

    told(story, short)
    (line,) = [record for record in caplog.records if record.message == "pods are too large to be read"]
    assert "evil/large" in line.__dict__["fields"]["finding"]
    assert "[DJ022]" in line.__dict__["fields"]["finding"]


@pytest.mark.usefixtures("often")
def test_a_kubelet_that_does_not_account_is_no_proof_against_a_container(short: Path) -> None:
    async def story(here: World) -> None:
        await settled(here)
        here.kubelet.held["default", "app", "enclave"] = []
        (here.folder / "k/pod-resources/kubelet.sock").unlink()
        here.api.put("/api/v1/pods/app", asking_pod())
        await asyncio.sleep(1)
        assert here.events("RunsWithoutDevice") == []
        assert not any(task.done() for task in here.tasks)
        await here.new_kubelet()
        await here.until(lambda: len(here.events("RunsWithoutDevice")) == 1)

    told(story, short)
