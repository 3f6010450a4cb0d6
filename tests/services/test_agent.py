"""The node agent in a small world: whatever is taken from it, it is back at the truth within five seconds."""

import asyncio
import json
import logging
import os
import shutil
import socket
from pathlib import Path

import pytest
from tests.adapters.fakeapi import status
from tests.node.patches import merged, strategically_merged
from tests.services.agent import GIB, NODE, PROMISED, World, bare_node, overwritten, settled, told, world

from donjon.errors import Unavailable
from donjon.formats.json import JsonObject, at
from donjon.kube.names import ENCLAVE, EPC, LABEL_CAPABLE, LABEL_DRIVER, LABEL_SGX, NODE_LABELS, PROVISION
from donjon.node.offer import Advertise, OfferSettings
from donjon.node.registration import stated_condition
from donjon.runtime import patience
from donjon.simulation import host

pytestmark = pytest.mark.usefixtures("quick")


# From nothing.


def test_registers_and_writes_epc_labels_condition_and_an_event(short: Path) -> None:
    async def story(here: World) -> None:
        await settled(here)
        assert {each.resource: each.endpoint for each in here.kubelet.registrations} == {
            ENCLAVE: "donjon-enclave.sock",
            PROVISION: "donjon-provision.sock",
        }
        assert len(here.kubelet.listed[ENCLAVE]) == 110
        labels = at(here.node, "metadata", "labels")
        assert isinstance(labels, dict)
        assert (labels[LABEL_CAPABLE], labels[LABEL_SGX], labels[LABEL_DRIVER]) == ("true", "2", "in-tree")
        await here.until(lambda: len(here.events("SGXReady")) == 1)
        (event,) = here.events("SGXReady")
        assert at(event, "involvedObject", "name") == "sgx-1"
        await here.until(here.state.is_ready)

    told(story, short)


def test_a_container_gets_its_devices_through_all_of_it(short: Path) -> None:
    async def story(here: World) -> None:
        await settled(here)
        assert await here.kubelet.allocate(PROVISION, ["sgx-provision-109"]) == [
            [("/dev/sgx_provision", "/dev/sgx_provision", "rw"), ("/dev/sgx_provision", "/dev/sgx/provision", "rw")]
        ]

    told(story, short)


def test_an_ordinary_node_is_told_once_and_left_as_it_was(short: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story(here: World) -> None:
        await here.until(lambda: here.state.node_is_true)
        await asyncio.sleep(0.6)
        assert here.kubelet.registrations == []
        assert {key: value for key, value in here.node.items() if key != "metadata"} == {"status": bare_node()["status"]}
        assert at(here.node, "metadata", "labels") == {"kubernetes.io/os": "linux"}
        assert here.api.events == []
        assert here.state.is_ready()
        assert [record.message for record in caplog.records].count("no SGX here") == 1

    caplog.set_level(logging.INFO)
    told(story, short, machine="none")


# The kubelet.


def test_registers_again_when_another_takes_the_place_of_its_socket(short: Path) -> None:
    async def story(here: World) -> None:
        await settled(here)
        path = here.kubelet.plugins / "donjon-enclave.sock"
        path.unlink()
        path.write_text("not a socket")
        await here.until(lambda: len(here.kubelet.registrations) == 3)
        await here.until(here.is_registered)

    told(story, short)


def test_waits_for_a_kubelet_that_comes_later(short: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story(here: World) -> None:
        await settled(here)
        await here.kubelet.stop()
        for path in here.kubelet.plugins.iterdir():
            path.unlink()
        await asyncio.sleep(0.8)
        assert not here.tasks[0].done()
        await here.new_kubelet()
        await here.until(here.is_registered)

    told(story, short)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_a_kubelet_that_refuses_is_told_once_and_tried_again(short: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story(here: World) -> None:
        await settled(here)
        await here.kubelet.stop()
        here.kubelet.refusal = "not now"
        await here.kubelet.start()
        await asyncio.sleep(1)
        here.kubelet.refusal = ""
        here.kubelet.listed.clear()
        await here.until(here.is_registered)

    told(story, short)
    refused = [record for record in caplog.records if record.message == "the kubelet does not take the plugin yet"]
    assert len(refused) == 2, "once a resource"


def test_a_plugin_folder_that_is_deleted_ends_the_agent_so_that_it_is_given_the_new_one(short: Path) -> None:
    """The agent holds the folder open, as a mount does: the old one stays, and nobody else sees it any more."""
    (short / "k/device-plugins").mkdir(parents=True)
    held = os.open(short / "k/device-plugins", os.O_RDONLY)

    async def run() -> None:
        async with world(short, plugin_folder=Path(f"/proc/self/fd/{held}")) as here:
            await settled(here)
            shutil.rmtree(here.kubelet.plugins)
            here.kubelet.plugins.mkdir()
            with pytest.raises(Unavailable) as ended:
                async with asyncio.timeout(PROMISED):
                    await here.tasks.pop(0)
            assert ended.value.code == "DJ033"

    try:
        asyncio.run(run())
    finally:
        os.close(held)


# The devices.


def test_a_device_that_appears_later_is_offered_without_a_restart(short: Path) -> None:
    async def story(here: World) -> None:
        await settled(here)

    async def late() -> None:
        async with world(short) as here:
            host.remove_devices(here.root)
            await here.until(lambda: here.state.readiness is not None)
            await asyncio.sleep(0.6)
            host.return_devices(here.root)
            await story(here)

    asyncio.run(late())


# The node object.


def test_labels_and_condition_that_another_takes_are_back(short: Path) -> None:
    async def story(here: World) -> None:
        await settled(here)
        here.api.put(
            NODE, strategically_merged(here.node, {"status": {"conditions": [{"$patch": "delete", "type": "SGXReady"}]}})
        )
        nothing: JsonObject = {"metadata": {"labels": dict.fromkeys(NODE_LABELS)}}
        changed = merged(here.node, nothing)
        assert isinstance(changed, dict)
        here.api.put(NODE, changed)
        await here.until(lambda: here.is_true() and at(here.node, "metadata", "labels", LABEL_CAPABLE) == "true")

    told(story, short)


def test_epc_that_is_overwritten_while_we_write_is_put_right_too(short: Path) -> None:
    """Another's write lands between our patch and its answer: what the watch told meanwhile must not be forgotten."""

    async def story(here: World) -> None:
        await settled(here)
        here.api.lag = 0.3
        here.api.put(NODE, overwritten(here.node, "1"))
        await here.until(here.is_true)
        here.api.put(NODE, overwritten(here.node, "7"))
        await here.until(here.is_true)

    told(story, short)


def test_a_node_object_that_is_deleted_and_made_again_gets_all_of_it_again(short: Path) -> None:
    async def story(here: World) -> None:
        await settled(here)
        here.api.delete(NODE)
        await asyncio.sleep(0.7)
        here.api.put(NODE, bare_node())
        await here.until(here.is_true)

    told(story, short)


def test_an_api_server_that_is_away_and_back_is_told_what_changed_meanwhile(
    short: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(here: World) -> None:
        await settled(here)
        await here.api.stop()
        here.api.objects[NODE] = overwritten(here.node, "1")
        await asyncio.sleep(0.8)
        assert not any(task.done() for task in here.tasks)
        assert here.is_registered(), "the device plugin needs no API server"
        await here.api.start()
        await here.until(here.is_true)

    caplog.set_level(logging.INFO)
    told(story, short)
    lines = [record.message for record in caplog.records]
    assert "watch of the node object: works again" in lines


@pytest.mark.parametrize("raw", [status(500, "etcd is away"), b"garbage\r\n\r\n"], ids=["an error", "garbage"])
def test_an_api_server_that_answers_nonsense_for_a_while_costs_nothing_else(short: Path, raw: bytes) -> None:
    async def story(here: World) -> None:
        await settled(here)
        here.api.answer = lambda _: raw
        here.api.put(NODE, overwritten(here.node, "1"))
        here.api.say(b"nonsense\n")
        await asyncio.sleep(1)
        assert not any(task.done() for task in here.tasks)
        here.api.answer = lambda _: None
        await here.until(here.is_true)

    told(story, short)


def test_a_server_that_forgot_the_watch_is_listed_anew(short: Path) -> None:
    async def story(here: World) -> None:
        await settled(here)
        here.api.objects[NODE] = overwritten(here.node, "1")  # Nobody was told.
        here.api.forget()
        await here.until(here.is_true)

    told(story, short)


# Others on the node.


def test_epc_that_node_feature_discovery_owns_is_left_to_it(short: Path) -> None:
    async def story(here: World) -> None:
        await here.until(lambda: here.is_registered() and here.condition() == "True")
        await asyncio.sleep(0.7)
        assert here.epc() == ("5", "5")
        await here.until(lambda: "[DJ014]" in str(stated_condition(here.node)["message"]))

    theirs = overwritten(bare_node(**{"nfd.node.kubernetes.io/extended-resources": EPC}), "5")
    told(story, short, node=theirs)


def test_a_resource_that_intels_plugin_serves_is_left_to_it_until_that_is_gone(short: Path) -> None:
    async def story(here: World) -> None:
        await settled(here)
        with socket.socket(socket.AF_UNIX) as theirs:
            path = here.kubelet.plugins / "sgx.intel.com-enclave.sock"
            theirs.bind(str(path))
            theirs.listen()
            await here.until(lambda: here.kubelet.health(ENCLAVE) == {"Unhealthy"})
            assert here.kubelet.health(PROVISION) == {"Healthy"}
            await here.until(lambda: "[DJ018]" in str(stated_condition(here.node)["message"]))
            path.unlink()
        await settled(here)

    told(story, short)


@pytest.mark.parametrize("left", list(Advertise))
def test_what_is_not_to_be_advertised_is_left_alone(short: Path, left: Advertise) -> None:
    offer = OfferSettings(advertise=frozenset(Advertise) - {left})

    async def story(here: World) -> None:
        await here.until(lambda: here.condition() == "True")
        await asyncio.sleep(0.6)
        assert (here.epc() == (None, None)) is (left is Advertise.EPC)
        assert (here.kubelet.registrations == []) is (left is Advertise.DEVICES)
        assert (at(here.node, "metadata", "labels", LABEL_CAPABLE) is None) is (left is Advertise.LABELS)

    told(story, short, offer=offer)


def test_a_reserve_is_not_offered(short: Path) -> None:
    async def story(here: World) -> None:
        await here.until(lambda: here.is_true(epc=7 * GIB))

    told(story, short, offer=OfferSettings(epc_reserve=GIB))


def test_work_beside_the_rest_begins_anew_after_whatever_failed_in_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(patience, "PAUSE", 0.01)
    tries: list[int] = []

    async def fails() -> None:
        tries.append(1)
        raise ExceptionGroup("loops", [RecursionError("a pod that nobody thought of")])

    async def story() -> None:
        task = asyncio.create_task(patience.beside("the look at pods", fails))
        async with asyncio.timeout(5):
            while len(tries) < 3:  # noqa: ASYNC110 - what is waited for has no event.
                await asyncio.sleep(0.01)
        assert not task.done()
        task.cancel()

    asyncio.run(story())
    assert "the look at pods failed" in caplog.text
    assert "a pod that nobody thought of" in caplog.text


# What the agent says.


def test_lines_are_json_and_one_a_change(short: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story(here: World) -> None:
        await settled(here)
        await here.until(lambda: "node object: status put right" in [record.message for record in caplog.records])

    caplog.set_level(logging.INFO)
    told(story, short)
    lines = [record.message for record in caplog.records if record.name.startswith("donjon")]
    assert lines.count("ready") == 1
    assert lines.count("registered with the kubelet") == 2
    fields = [record.__dict__["fields"] for record in caplog.records if record.message == "ready"]
    assert json.loads(json.dumps(fields[0]))["epc"] == 8 * GIB
