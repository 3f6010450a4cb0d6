"""What the product promises in seconds, at the pace at which the agent really looks."""

import asyncio
import logging
from pathlib import Path

import pytest
from tests.node.patches import strategically_merged
from tests.services.agent import NODE, World, overwritten, settled, told

from donjon.kube.names import ENCLAVE, EPC
from donjon.node.registration import stated_condition
from donjon.simulation import host


def test_registers_within_five_seconds_with_a_kubelet_that_was_started_anew_again_and_again(short: Path) -> None:
    async def story(here: World) -> None:
        await settled(here)
        for _ in range(3):
            await here.new_kubelet()
            await here.until(here.is_registered)
        assert here.metric("registrations_total", resource=ENCLAVE) == 4

    told(story, short)


def test_registers_again_when_its_own_socket_is_wiped(short: Path) -> None:
    async def story(here: World) -> None:
        await settled(here)
        (here.kubelet.plugins / "donjon-enclave.sock").unlink()
        await here.until(lambda: len(here.kubelet.registrations) == 3)
        await here.until(here.is_registered)
        assert here.kubelet.registrations[-1].resource == ENCLAVE

    told(story, short)


def test_devices_that_go_become_unhealthy_with_epc_0_and_healthy_again_when_they_return(short: Path) -> None:
    async def story(here: World) -> None:
        await settled(here)
        host.remove_devices(here.root)
        await here.until(lambda: here.kubelet.health(ENCLAVE) == {"Unhealthy"} and here.is_true(epc=0))
        assert len(here.kubelet.listed[ENCLAVE]) == 110, "gone for now is not gone for good"
        assert stated_condition(here.node)["reason"] == "DJ004"
        assert here.metric("readiness_reasons", code="DJ004", severity="error") == 1
        assert here.metric("devices", resource=ENCLAVE, health="Unhealthy") == 110
        await here.until(lambda: len(here.events("SGXNotReady")) == 1)
        host.return_devices(here.root)
        await settled(here)
        assert here.metric("readiness_reasons", code="DJ004", severity="error") is None
        await here.until(lambda: len(here.events("SGXReady")) == 2)
        assert len(here.kubelet.registrations) == 2, "neither going nor returning takes a registration"

    told(story, short)


def test_epc_that_another_overwrites_or_takes_is_back_within_five_seconds(short: Path) -> None:
    async def story(here: World) -> None:
        await settled(here)
        for amount in ("1", "0", "999Gi"):
            here.api.put(NODE, overwritten(here.node, amount))
            await here.until(here.is_true)
        here.api.put(NODE, strategically_merged(here.node, {"status": {"capacity": {EPC: None}, "allocatable": {EPC: None}}}))
        await here.until(here.is_true)

    told(story, short)


def test_an_agent_that_is_right_says_and_writes_nothing_more(short: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story(here: World) -> None:
        await settled(here)
        await asyncio.sleep(0.7)
        written = len(here.api.requests)
        caplog.clear()
        await asyncio.sleep(2)
        assert [request.method for request in here.api.requests[written:] if request.method != "GET"] == []
        assert [record.message for record in caplog.records if record.name.startswith("donjon")] == []
        assert len(here.kubelet.registrations) == 2

    caplog.set_level(logging.INFO)
    told(story, short)
