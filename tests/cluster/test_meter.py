"""The meter on the real cluster: installed beside the agent, it finds the pod that maps the device, and says by what it measures.

The testbed's kernel counts no enclaves, so what is seen here is the way by areas (source `maps`), and that BPF says why it is not
taken. What BPF reads, the kernels of `make meter` show.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from testbed import demo
from tests.cluster.agents import EPC, NAMESPACE, Agent, pod
from tests.cluster.conftest import Cluster
from tests.cluster.release import Release, installed

from donjon import __version__
from donjon.kube import epc_report
from donjon.kube.epc_report import ContainerEpc, EpcReport
from donjon.sgx.epc import EpcSource

Wait = Callable[..., Any]

MIB = 1 << 20
SIZE = 6 * MIB
HOLD = f"""
import mmap, os, time
file = os.open("/dev/sgx_enclave", os.O_RDWR)
area = mmap.mmap(file, {SIZE}, flags=mmap.MAP_PRIVATE)
print("holds", flush=True)
while True:
    time.sleep(60)
"""


MAKE_MAP = """
import ctypes, os, struct
libc = ctypes.CDLL(None, use_errno=True)
array = struct.pack("<5I", 2, 4, 4, 1, 0).ljust(72, b"\\0")
descriptor = libc.syscall(321, 0, ctypes.create_string_buffer(array, len(array)), len(array))
print("made" if descriptor >= 0 else os.strerror(ctypes.get_errno()))
"""


@pytest.fixture(scope="module")
def release(cluster: Cluster) -> Iterator[Release]:
    yield from installed(cluster)


@dataclass(frozen=True, slots=True)
class Meter:
    """The meter of one node."""

    agent: Agent

    def ask(self, path: str) -> tuple[int, bytes]:
        """Status and body of its answer; nothing while it does not answer."""
        address = (self.agent.pod() or {}).get("status", {}).get("podIP")
        try:
            with urllib.request.urlopen(f"http://{address}:9810{path}", timeout=5) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""

    def report(self) -> EpcReport | None:
        status, body = self.ask("/epc")
        return epc_report.decode(body, self.agent.node) if status == 200 else None

    def container(self, name: str) -> ContainerEpc | None:
        report = self.report()
        return None if report is None else next((each for each in report.containers if each.name.pod == name), None)

    def security(self) -> Any:
        containers = {each["name"]: each for each in self.agent.pod()["spec"]["containers"]}
        return containers["meter"]["securityContext"]


@pytest.fixture
def meter(cluster: Cluster) -> Meter:
    return Meter(Agent(cluster, cluster.sgx_nodes[0]))


def holder(name: str, node: str) -> dict[str, Any]:
    """A pod that maps the enclave device as a loader does, and touches nothing."""
    made = pod(name, "/usr/bin/python3", "-c", HOLD, image=f"{demo.IMAGE}:{__version__}", limits={EPC: "16Mi"})
    made["spec"]["nodeSelector"] = {"kubernetes.io/hostname": node}
    made["spec"]["containers"][0] |= {"imagePullPolicy": "Never", "securityContext": {"runAsUser": 0}}  # as the device's owner
    return made


def test_by_areas_a_pod_is_found_by_what_it_maps(
    cluster: Cluster, release: Release, meter: Meter, namespace: str, wait_for: Wait
) -> None:
    release.upgrade("node.meter.enabled=true", "node.meter.maps=true")
    cluster.apply(holder("holds", meter.agent.node), namespace=namespace)
    wait_for(lambda: cluster.kubectl("logs", "holds", "-n", namespace, check=False) == "holds\n", seconds=60, what="it maps it")
    wait_for(lambda: (found := meter.container("holds")) and found.use.resident, seconds=90, what="the pod's areas are found")
    found, report = meter.container("holds"), meter.report()
    assert found is not None
    assert report is not None
    assert (found.use.resident, found.use.existing, found.use.evicted, found.use.enclaves) == (SIZE, None, None, 0)
    assert (found.name.namespace, found.name.container, found.request, found.processes) == (namespace, "app", 16 * MIB, 1)
    assert (report.source, report.node, report.unreadable) == (EpcSource.MAPS, meter.agent.node, 0)
    samples = dict(line.rsplit(" ", 1) for line in meter.ask("/metrics")[1].decode().splitlines() if "pod=" in line)
    labels = f'{{container="app",namespace="{namespace}",pod="holds",source="maps"}}'
    assert float(samples[f"donjon_meter_container_resident_bytes{labels}"]) == SIZE
    assert f"donjon_meter_container_debug_enclaves{labels}" not in samples
    _, ready = meter.ask("/readyz")
    assert ready == b"ok\n"
    cluster.kubectl("delete", "pod", "holds", "-n", namespace, "--wait")
    wait_for(lambda: meter.container("holds") is None, seconds=60, what="a pod that is gone holds nothing")


def test_without_the_right_to_read_others_nothing_is_measured_and_the_agent_is_as_ready(
    release: Release, meter: Meter, wait_for: Wait
) -> None:
    release.upgrade("node.meter.enabled=true")
    assert meter.security()["capabilities"] == {"drop": ["ALL"], "add": ["BPF", "PERFMON"]}
    wait_for(lambda: b"DJ700" in meter.ask("/epc")[1], seconds=60, what="the meter says that the kernel has no driver")
    status, words = meter.ask("/epc")
    assert status == 503
    assert b"DJ708" in words
    assert b"DJ709" in words
    assert meter.ask("/readyz")[0] == 200
    assert "donjon_meter_epc_resident_bytes{" not in meter.ask("/metrics")[1].decode()
    wait_for(meter.agent.is_ready, what="the agent's pod is ready")


def test_bpf_is_open_to_the_meter_and_closed_to_the_agent_beside_it(
    cluster: Cluster, release: Release, meter: Meter, wait_for: Wait
) -> None:
    release.upgrade("node.meter.enabled=true")
    wait_for(lambda: meter.ask("/healthz")[0] == 200, seconds=60, what="the meter is there")
    name = meter.agent.pod()["metadata"]["name"]
    outcomes = {
        container: cluster.kubectl("exec", "-n", NAMESPACE, name, "-c", container, "--", "/usr/bin/python3", "-c", MAKE_MAP)
        for container in ("meter", "node")
    }
    assert outcomes == {"meter": "made\n", "node": "Operation not permitted\n"}


def test_the_meter_stays_small(release: Release, meter: Meter, wait_for: Wait) -> None:
    release.upgrade("node.meter.enabled=true", "node.meter.maps=true")
    wait_for(lambda: meter.report() is not None, seconds=60, what="the meter measures")
    lines = [line for line in meter.ask("/metrics")[1].decode().splitlines() if line.startswith("process_resident_memory_bytes")]
    assert float(lines[0].split()[1]) <= 40 * MIB
    assert json.loads(meter.ask("/epc")[1])["version"] == epc_report.VERSION
