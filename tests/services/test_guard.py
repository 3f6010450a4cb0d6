"""The node agent looks after Donjon's objects in the API server: a gap is told once, everywhere, and an upgrade is none."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.fakeapi import Answer, FakeApi, Request, status
from tests.services.agent import NODE, bare_node

from donjon import __version__
from donjon.adapters.kubeapi.client import KubeApi
from donjon.adapters.metrics.node import NodeMetrics
from donjon.admission.policies import guard as objects
from donjon.admission.policies.guard import ChartValues, GuardExtent
from donjon.formats.json import Json, JsonObject
from donjon.services.node import guard as loop
from donjon.services.node.guard import GuardLoop
from donjon.services.node.settings import NodeSettings
from donjon.services.node.state import AgentState

DAEMON_SET = "/apis/apps/v1/namespaces/donjon/daemonsets/donjon-node"
REFUSES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/donjon-refuse"
WIRES = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings/donjon"
GAP = "ValidatingAdmissionPolicyBinding/donjon-refuse"


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks follow one another as fast as a test can read."""
    monkeypatch.setattr(loop, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(loop, "LOOK_AGAIN", 0.02)


class Cluster:
    """An API server with what the chart put there, and an agent that looks after it."""

    def __init__(self, api: FakeApi, folder: Path, mode: GuardExtent = GuardExtent.POLICIES, version: str = __version__) -> None:
        self.api, self.state, self.metrics = api, AgentState(), NodeMetrics("test")
        self.chart = ChartValues(version=version, namespace="donjon", extent=mode)
        self.client = KubeApi(api.access(folder))
        self.settings = NodeSettings(
            node_name="sgx-1",
            host_root=folder,
            listen_host="127.0.0.1",
            listen_port=0,
            chart=self.chart,
        )
        api.answer = self.leash
        api.put(NODE, bare_node())
        self.roll_out(mode)
        for each in objects.guard(self.chart).values():
            api.put(objects.path(each), each)

    def roll_out(self, mode: GuardExtent) -> None:
        """The DaemonSet as Helm writes it."""
        words: list[Json] = ["node", "run", f"--chart-version={self.chart.version}", "--namespace=donjon", f"--guard={mode}"]
        spec: JsonObject = {"template": {"spec": {"containers": [{"name": "node", "args": words}]}}}
        self.api.put(DAEMON_SET, {"metadata": {}, "spec": spec, "status": {"desiredNumberScheduled": 2}})

    def leash(self, request: Request) -> bytes | None:
        """What the policy about the agent's account says of its probe."""
        if request.method == "PATCH" and "dryRun" in request.query:
            return status(403, "the node agent of node sgx-1 may not change label x [DJ110]")
        return None

    def change(self, path: str, **spec: Any) -> None:
        before: Any = self.api.objects[path]
        self.api.put(path, before | {"spec": before["spec"] | spec})

    @property
    def gauge(self) -> dict[str, float]:
        (family,) = (each for each in self.metrics.registry.collect() if each.name == "donjon_node_guard")
        return {sample.labels["object"]: sample.value for sample in family.samples}

    @property
    def reasons(self) -> list[object]:
        return [event["reason"] for event in self.api.events]

    async def looks(self, number: int) -> None:
        """Wait until so many more looks have begun."""
        before = len(self.api.asked("GET", DAEMON_SET))
        await self.until(lambda: len(self.api.asked("GET", DAEMON_SET)) >= before + number)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - what is waited for is told by nobody.
                await asyncio.sleep(0.01)


Story = Callable[[Cluster], Awaitable[None]]


def told(story: Story, folder: Path, mode: GuardExtent = GuardExtent.POLICIES, version: str = __version__) -> None:
    async def run() -> None:
        api = FakeApi()
        await api.start()
        here = Cluster(api, folder, mode, version)
        task = asyncio.create_task(GuardLoop(here.settings, here.state, here.metrics, here.client).run())
        try:
            await story(here)
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await here.client.close()
            await api.stop()

    asyncio.run(run())


@pytest.mark.parametrize("mode", [GuardExtent.ACCOUNTS, GuardExtent.POLICIES, GuardExtent.WEBHOOK])
def test_what_is_as_it_was_printed_is_told_by_the_gauge_alone(short: Path, mode: GuardExtent) -> None:
    async def story(here: Cluster) -> None:
        await here.until(lambda: set(here.gauge.values()) == {1.0})
        await here.looks(3)
        assert set(here.gauge) == set(objects.guard(here.chart))
        assert (here.state.gaps, here.api.events) == ((), [])

    told(story, short, mode)


@pytest.mark.parametrize("path", [REFUSES, WIRES])
def test_a_gap_is_told_once_and_once_that_it_is_closed(short: Path, path: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def story(here: Cluster) -> None:
        await here.until(lambda: bool(here.gauge))
        lost = here.api.objects[path]
        here.api.delete(path)
        await here.until(lambda: "GuardGap" in here.reasons)
        await here.looks(4)
        (finding,) = here.state.gaps
        assert finding.code == "DJ024"
        assert [name for name, whole in here.gauge.items() if not whole] == [finding.subject.replace(" ", "/")]
        assert here.reasons == ["GuardGap"]
        assert "[DJ024]" in str(here.api.events[0]["message"])
        here.api.put(path, lost)
        await here.until(lambda: "GuardWhole" in here.reasons)
        await here.looks(2)
        assert (here.state.gaps, here.reasons, set(here.gauge.values())) == ((), ["GuardGap", "GuardWhole"], {1.0})

    told(story, short)
    messages = [record.message for record in caplog.records]
    assert [messages.count(f"Donjon's policies {each}") for each in ("have a gap", "are whole again")] == [1, 1]


def test_a_changed_binding_is_told_with_its_field(short: Path) -> None:
    async def story(here: Cluster) -> None:
        here.change(REFUSES, validationActions=["Warn"])
        await here.until(lambda: bool(here.state.gaps))
        assert "spec.validationActions is not as Donjon printed it" in here.state.gaps[0].sentence()
        assert here.gauge[GAP] == 0

    told(story, short)


def test_a_leash_that_is_there_and_not_felt_is_told(short: Path) -> None:
    async def story(here: Cluster) -> None:
        await here.until(lambda: bool(here.gauge))
        here.api.answer = felt_no_more(here.api.answer)
        await here.until(lambda: bool(here.state.gaps))
        assert here.state.gaps[0].code == "DJ026"

    def felt_no_more(_: Answer) -> Answer:
        return lambda request: b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}" if request.method == "PATCH" else None

    told(story, short)


def test_what_is_gone_for_one_look_is_no_gap(short: Path) -> None:
    """As while Helm replaces an object."""

    async def story(here: Cluster) -> None:
        await here.until(lambda: bool(here.gauge))
        lost = here.api.objects[REFUSES]
        here.api.answer = once_gone(here)
        await here.looks(4)
        assert lost == here.api.objects[REFUSES]
        assert (here.state.gaps, here.api.events, set(here.gauge.values())) == ((), [], {1.0})

    def once_gone(here: Cluster) -> Answer:
        answers = iter([status(404, "not found")])

        def answer(request: Request) -> bytes | None:
            return next(answers, None) if request.path == REFUSES else here.leash(request)

        return answer

    told(story, short)


def test_an_agent_that_is_about_to_be_replaced_says_nothing_of_its_successors_policies(short: Path) -> None:
    async def story(here: Cluster) -> None:
        await here.until(lambda: bool(here.gauge))
        here.roll_out(GuardExtent.WEBHOOK)
        await here.until(lambda: not here.gauge)
        here.api.delete(WIRES)
        here.change(REFUSES, validationActions=["Deny"])
        await here.looks(4)
        assert (here.state.gaps, here.api.events, here.gauge) == ((), [], {})

    told(story, short)


def forbids(_: Request) -> bytes:
    return status(403, "donjon-node cannot get resource")


@pytest.mark.parametrize(("version", "words"), [("9.9", "the chart of 9.9"), (__version__, "cannot get resource")])
def test_where_nothing_can_be_known_the_gauge_is_away_and_the_log_says_so_once(
    short: Path, version: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An older ClusterRole, or an agent of another version than the chart."""

    async def story(here: Cluster) -> None:
        if version == __version__:
            here.api.answer = forbids
        await here.until(lambda: bool(lines()))
        assert (here.state.gaps, here.api.events, here.gauge) == ((), [], {})

    def lines() -> list[logging.LogRecord]:
        return [record for record in caplog.records if record.message == "the look at Donjon's policies: trying again"]

    told(story, short, version=version)
    (line,) = lines()
    assert words in vars(line)["fields"]["error"]


def test_an_api_server_that_is_away_takes_the_gauge_away_and_brings_it_back(short: Path) -> None:
    async def story(here: Cluster) -> None:
        await here.until(lambda: bool(here.gauge))
        await here.api.stop()
        await here.until(lambda: not here.gauge)
        await here.api.start()
        await here.until(lambda: bool(here.gauge))
        assert (here.state.gaps, here.api.events) == ((), [])

    told(story, short)


def test_a_daemon_set_that_is_gone_takes_the_gauge_away_and_the_log_says_so(
    short: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As while the uninstall's own takes its name."""

    async def story(here: Cluster) -> None:
        await here.until(lambda: bool(here.gauge))
        here.api.delete(DAEMON_SET)
        await here.until(lambda: not here.gauge)
        assert (here.state.gaps, here.api.events) == ((), [])

    told(story, short)
    assert [each.message for each in caplog.records] == ["the look at Donjon's policies: trying again"]


@pytest.mark.parametrize(("agents", "longest"), [(0, 25.0), (2, 25.0), (100, 25.0), (200, 50.0), (5000, 1250.0)])
def test_of_many_agents_each_looks_the_more_seldom(monkeypatch: pytest.MonkeyPatch, agents: int, longest: float) -> None:
    monkeypatch.setattr(loop, "LOOK_EVERY", 25.0)
    assert loop.longest_pause(agents) == longest
