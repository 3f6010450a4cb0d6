"""The meter as it runs: a fake reader and a fake API server around it, and this machine's processes as holders."""

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.fakeapi import FakeApi
from tests.adapters.trees import entry_number, written

from donjon.adapters import clock
from donjon.adapters.epc.processes import holder_of
from donjon.adapters.http import Response
from donjon.adapters.kubeapi.client import KubeApi
from donjon.adapters.metrics.meter import MeterMetrics
from donjon.errors import Misconfigured, Unavailable
from donjon.formats.json import JsonObject
from donjon.kube import epc_report
from donjon.kube.epc_report import EpcReport
from donjon.node.enclaves import EnclavePass, EnclaveReading, GuestReading
from donjon.services.meter import loop, sources
from donjon.services.meter.loop import MeterLoop
from donjon.services.meter.passes import PassThread
from donjon.services.meter.pods import PodsLoop
from donjon.services.meter.run import _routes
from donjon.services.meter.settings import FRESH, MeterSettings, read
from donjon.services.meter.sources import Source
from donjon.services.meter.state import MeterState
from donjon.sgx.epc import EnclaveFlag, EpcSource
from donjon.simulation import host

OWN = holder_of(os.getpid())
PAGE, MIB = 4096, 1 << 20
UID, ID = "0c5a7c4e-9d6e-4a57-8f5e-2f3a1b2c3d4e", "ab" * 32


def enclave(children: int = 255) -> EnclaveReading:
    return EnclaveReading(
        base=0,
        size=MIB,
        flags=EnclaveFlag.INITIALIZED | EnclaveFlag.DEBUG,
        existing=300,
        children=children,
        secs=1,
        version_arrays=1,
        holders=(OWN,),
    )


@dataclass
class FakeReader:
    """Reads what the test says: passes, or why there is none."""

    outcome: EnclavePass | Unavailable | OSError = field(
        default_factory=lambda: EnclavePass(source=EpcSource.BPF, enclaves={1: enclave()}, guests={})
    )
    closed: bool = False

    def read(self) -> EnclavePass:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    def close(self) -> None:
        self.closed = True


def pod(name: str = "app", uid: str = UID) -> JsonObject:
    return {
        "metadata": {"name": name, "namespace": "ns", "uid": uid},
        "spec": {
            "nodeName": "sgx-1",
            "containers": [{"name": "main", "resources": {"limits": {"sgx.intel.com/epc": "1Mi"}}}],
        },
        "status": {"phase": "Running", "containerStatuses": [{"name": "main", "containerID": f"containerd://{ID}"}]},
    }


@dataclass
class MeterWorld:
    """What a test sees and touches."""

    api: FakeApi
    reader: FakeReader
    state: MeterState
    metrics: MeterMetrics
    meter: MeterLoop

    def ask(self, path: str) -> Response:
        return _routes(self.state, self.metrics)[path]()

    def report(self) -> EpcReport:
        answer = self.ask("/epc")
        assert (answer.status, answer.content_type) == (200, "application/json")
        return epc_report.decode(answer.body, "sgx-1")

    def metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"donjon_meter_{name}", {"source": "bpf", **labels})

    def container(self, name: str) -> float | None:
        return self.metric(f"container_{name}", namespace="ns", pod="app", container="main")


@asynccontextmanager
async def world(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MeterWorld]:
    """A meter without its clock: the test looks; holders are in the pod's container."""
    monkeypatch.setattr(sources, "cgroups_of", lambda *_: f"0::/kubepods/pod{UID}/{ID}\n")
    api, reader = FakeApi(), FakeReader()
    await api.start()
    settings = MeterSettings(
        node_name="sgx-1", host_root=written(folder / "h", host.host("dc2ds-v3")), listen_host="127.0.0.1", listen_port=0
    )
    client, state, metrics = KubeApi(api.access(folder)), MeterState(), MeterMetrics("test")
    source = Source(settings.host_root, lambda: reader, folder / "proc")
    here = MeterWorld(api, reader, state, metrics, MeterLoop(settings, state, metrics, source))
    follow = asyncio.create_task(PodsLoop(settings, state, client).run())
    try:
        yield here
    finally:
        follow.cancel()
        await asyncio.gather(follow, return_exceptions=True)
        await client.close()
        await api.stop()
        await asyncio.sleep(0.02)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event.
            await asyncio.sleep(0.01)


def test_a_pass_is_answered_as_a_report_and_as_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with world(tmp_path, monkeypatch) as here:
            here.api.put("/api/v1/pods/app", pod())
            await until(lambda: UID in here.state.pods)
            await here.meter.look()
            report = here.report()
            (container,) = report.containers
            assert (container.name.pod, container.name.container, container.request) == ("app", "main", MIB)
            assert (container.use.resident, container.use.evicted, container.peak) == (257 * PAGE, 44 * PAGE, 257 * PAGE)
            assert (report.total, report.source, report.system.resident) == (8 << 30, EpcSource.BPF, 0)
            assert here.container("resident_bytes") == 257 * PAGE
            assert here.container("request_bytes") == MIB
            assert here.container("debug_enclaves") == 1
            assert here.metric("epc_resident_bytes") == 257 * PAGE
            assert here.metric("epc_total_bytes") == 8 << 30
            assert here.metric("epc_free_bytes") is None
            assert here.ask("/readyz").status == 200

    asyncio.run(story())


def test_a_report_is_made_and_written_beside_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of tens of thousands of enclaves that takes seconds, in which probes and autoscalers ask."""
    places: set[bool] = set()

    def noted(work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: object) -> object:
            places.add(threading.current_thread() is threading.main_thread())
            return work(*arguments)

        return call

    for name in ("account", "encode"):
        monkeypatch.setattr(loop, name, noted(getattr(loop, name)))

    async def story() -> None:
        async with world(tmp_path, monkeypatch) as here:
            await until(here.state.is_listed.is_set)
            await here.meter.look()
            assert here.report().use.enclaves == 1

    asyncio.run(story())
    assert places == {False}


def test_the_peak_of_a_container_outlives_what_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with world(tmp_path, monkeypatch) as here:
            here.api.put("/api/v1/pods/app", pod())
            await until(lambda: UID in here.state.pods)
            await here.meter.look()
            here.reader.outcome = EnclavePass(source=EpcSource.BPF, enclaves={1: enclave(9)}, guests={})
            await here.meter.look()
            assert (here.container("resident_bytes"), here.container("peak_bytes")) == (11 * PAGE, 257 * PAGE)

    asyncio.run(story())


def test_a_pod_is_named_as_soon_as_the_api_server_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with world(tmp_path, monkeypatch) as here:
            await until(here.state.is_listed.is_set)
            await here.meter.look()
            assert (here.report().containers, here.report().system.resident) == ((), 257 * PAGE)
            assert here.metrics.registry.get_sample_value("donjon_meter_unknown_pods") == 1
            here.api.put("/api/v1/pods/app", pod())
            await until(lambda: UID in here.state.pods)
            await here.meter.look()
            assert [each.name.pod for each in here.report().containers] == ["app"]
            assert here.metrics.registry.get_sample_value("donjon_meter_unknown_pods") == 0

    asyncio.run(story())


def test_who_has_ended_before_its_cgroups_were_read_counts_for_the_pod_whose_cgroup_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with world(tmp_path, monkeypatch) as here:
            monkeypatch.setattr(sources, "cgroups_of", lambda *_: None)
            container = tmp_path / f"h/sys/fs/cgroup/kubepods/pod{UID}/{ID}"
            container.mkdir(parents=True)
            (tmp_path / "h/sys/fs/cgroup/cgroup.controllers").touch()
            one, two, three = (replace(OWN, started=each) for each in (1, 2, 3))
            holders = (
                replace(one, cgroup=entry_number(container)),
                replace(two, cgroup=entry_number(container.parent)),
                replace(three, cgroup=1),
            )
            enclaves = {each: replace(enclave(), holders=(holder,)) for each, holder in enumerate(holders)}
            here.reader.outcome = EnclavePass(source=EpcSource.BPF, enclaves=enclaves, guests={})
            here.api.put("/api/v1/pods/app", pod())
            await until(lambda: UID in here.state.pods)
            await here.meter.look()
            assert (here.container("resident_bytes"), here.report().system.resident) == (2 * 257 * PAGE, 257 * PAGE)

    asyncio.run(story())


def test_before_pods_are_named_there_is_no_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with world(tmp_path, monkeypatch) as here:
            await here.meter.look()
            answer = here.ask("/epc")
            assert answer.status == 503
            assert b"DJ708" in answer.body
            assert b"DJ041" in answer.body

    asyncio.run(story())


def test_processes_that_cannot_be_read_are_told_with_the_first_of_them_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    async def story() -> None:
        async with world(tmp_path, monkeypatch) as here:
            await until(here.state.is_listed.is_set)
            bound = EnclavePass(source=EpcSource.MAPS, enclaves={}, guests={}, unreadable=2, obstacle="process 7: forbidden")
            for here.reader.outcome in (bound, bound, EnclavePass(source=EpcSource.MAPS, enclaves={}, guests={})):
                await here.meter.look()

    asyncio.run(story())
    lines = [each.getMessage() for each in caplog.records if "cannot be read" in each.getMessage()]
    assert lines == ["processes that cannot be read: trying again", "processes that cannot be read: works again"]
    (warning,) = (each.__dict__["fields"] for each in caplog.records if each.levelname == "WARNING")
    assert warning["error"] == "meter: 2 processes could not be read: process 7: forbidden"


def test_an_old_figure_is_never_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with world(tmp_path, monkeypatch) as here:
            await until(here.state.is_listed.is_set)
            await here.meter.look()
            here.reader.outcome = Unavailable("DJ706", "meter: cut short")
            await here.meter.look()
            assert here.ask("/epc").status == 200  # Young still.
            assert here.metric("epc_resident_bytes") == 257 * PAGE
            here.state.read_at -= FRESH
            await here.meter.look()
            answer = here.ask("/epc")
            assert (answer.status, here.ask("/readyz").status) == (503, 503)
            assert b"DJ706" in answer.body
            assert here.metric("epc_resident_bytes") is None
            assert here.metrics.registry.get_sample_value("donjon_meter_errors_total", {"code": "DJ706"}) == 2

    asyncio.run(story())


def test_a_proc_that_cannot_be_read_ends_no_meter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with world(tmp_path, monkeypatch) as here:
            await until(here.state.is_listed.is_set)
            here.reader.outcome = PermissionError(13, "Permission denied", "/proc")
            await here.meter.look()
            assert b"DJ706" in here.ask("/epc").body

    asyncio.run(story())


def test_where_epc_cannot_be_measured_the_pod_is_ready_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with world(tmp_path, monkeypatch) as here:
            await until(here.state.is_listed.is_set)
            (tmp_path / "proc/self").mkdir(parents=True)
            (tmp_path / "proc/self/status").write_text("CapEff:\t0000000000000000\n")
            here.reader.outcome = Unavailable("DJ705", "meter: another shape")
            await here.meter.look()
            answer = here.ask("/readyz")
            assert here.reader.closed
            assert (answer.status, here.ask("/epc").status) == (200, 503)
            assert b"DJ705" in answer.body
            assert b"another shape" in answer.body

    asyncio.run(story())


def test_a_node_without_sgx_is_said_once_and_is_no_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with world(tmp_path, monkeypatch) as here:
            here.reader.outcome = Unavailable("DJ700", "meter: neither sgx_enclave nor sgx_vepc")
            await until(here.state.is_listed.is_set)
            assert "no pass yet [DJ708]" in here.ask("/epc").body.decode()
            with caplog.at_level(logging.INFO):
                for _ in range(3):
                    await here.meter.look()
            assert [each.levelno for each in caplog.records if "nothing to measure" in each.message] == [logging.INFO]
            assert not [each for each in caplog.records if each.levelno >= logging.WARNING]

    asyncio.run(story())


def test_a_pass_that_hangs_is_told_and_no_second_begins_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "PASS_SECONDS", 0.1)
    go, count = threading.Event(), []

    def hang() -> int:
        count.append(1)
        go.wait(10)
        return 1

    async def story() -> None:
        thread = PassThread()
        for _ in range(2):
            with pytest.raises(Unavailable, match="DJ707"):
                await thread.run(hang, 0.05)
        assert len(count) == 1
        go.set()
        await asyncio.sleep(0.1)
        assert await thread.run(hang, 5) == 1

    asyncio.run(story())


def test_what_a_pass_raises_comes_where_it_was_waited_for() -> None:
    async def story() -> None:
        with pytest.raises(ZeroDivisionError):
            await PassThread().run(lambda: 1 // 0, 5)

    asyncio.run(story())


def test_metrics_have_no_more_series_than_so_many(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("donjon.adapters.metrics.meter.MAX_SERIES", 2)

    async def story() -> None:
        async with world(tmp_path, monkeypatch) as here:
            for number in range(3):
                here.api.put(f"/api/v1/pods/p{number}", pod(f"p{number}", UID[:-1] + str(number)))
            await until(lambda: len(here.state.pods) == 3)
            here.reader.outcome = EnclavePass(
                source=EpcSource.BPF, enclaves={}, guests={1: GuestReading(pages=7, holders=(OWN,))}
            )
            await here.meter.look()
            assert here.metric("containers_left_out") == 1
            assert len(here.report().containers) == 3
            assert here.metric("epc_guests_bytes") == 7 * PAGE

    asyncio.run(story())


def test_metrics_are_written_once_a_second_however_many_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    moment, metrics = [100.0], MeterMetrics("test")
    monkeypatch.setattr("donjon.services.meter.run.clock.monotonic", lambda: moment[0])
    ask = _routes(MeterState(), metrics)["/metrics"]
    first = ask()
    metrics.count_error("DJ706")
    assert ask() is first
    moment[0] += 1.0
    assert b'donjon_meter_errors_total{code="DJ706"} 1.0' in ask().body


def test_settings_that_are_wrong_are_all_told() -> None:
    with pytest.raises(Misconfigured) as caught:
        read({"every": "0", "listen": "nowhere"}, {}, "")
    assert len(caught.value.faults) == 3
    assert read({"node-name": "n"}, {}, "").listen_port == 9810


def test_the_loop_reads_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with world(tmp_path, monkeypatch) as here:
            task = asyncio.create_task(here.meter.run())
            await until(lambda: here.state.is_fresh(clock.monotonic()))
            assert here.ask("/healthz").status == 200
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(story())


def test_a_container_of_which_not_all_is_counted_is_named_in_the_log_and_in_the_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with world(tmp_path, monkeypatch) as here:
            here.api.put("/api/v1/pods/app", pod())
            await until(lambda: UID in here.state.pods)
            here.reader.outcome = EnclavePass(source=EpcSource.BPF, enclaves={1: enclave()}, guests={}, partly=((OWN,),))
            await here.meter.look()
            assert [each.at_least for each in here.report().containers] == [True]
            assert here.metric("containers_in_part") == 1
            assert (here.container("resident_bytes"), here.container("evicted_bytes")) == (None, None)
            assert here.container("request_bytes") == MIB

    asyncio.run(story())
    (warning,) = (each.__dict__["fields"] for each in caplog.records if each.levelname == "WARNING")
    assert warning["error"] == "meter: of ns/app more enclaves are there than are counted of one container"
