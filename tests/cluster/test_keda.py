"""The real operator of KEDA on EPC, by our scaler: it pulls and is pushed; what is not known moves nothing."""

import asyncio
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
from ruamel.yaml import YAML
from testbed import keda
from testbed.binaries import ensure
from testbed.layout import HOST_ADDRESS
from testbed.trouble import Lacking, Trouble
from tests import pages
from tests.cluster import metrics_server
from tests.cluster.agents import NAMESPACE
from tests.cluster.autoscaling import APP, REQUEST, Load, deployment, ready_replicas, running, served
from tests.cluster.conftest import Cluster
from tests.cluster.release import Release, installed
from tests.ports import free_port

from donjon.adapters import clock
from donjon.adapters.keda.scaler import ScalerServer
from donjon.kube.epc_report import ContainerEpc, EpcReport, PodContainer
from donjon.metricsapi.use import NodeUse, PodSite, by_pod
from donjon.services.metrics.scaler import EpcScaler
from donjon.sgx.epc import EpcSource, EpcUse

Wait = Callable[..., Any]

OPERATOR_PORT = 9666


@dataclass(slots=True, kw_only=True)
class Meters:
    """What our scaler knows: the Deployment's pods, and what the meter of their node would say of them now."""

    load: Load
    age: timedelta = timedelta()

    def of(self, namespace: str) -> Mapping[str, PodSite]:
        pods = (_site(each) for each in self.load.pods)
        return {each.name: each for each in pods} if namespace == self.load.namespace else {}

    def get(self, node: str) -> NodeUse | None:
        exists, evicted = self.load.each
        use = EpcUse(resident=exists - evicted, existing=exists, evicted=evicted)
        names = [_name(each) for each in self.load.pods if each["spec"]["nodeName"] == node]
        containers = tuple(ContainerEpc(name=each, request=REQUEST, use=use) for each in names)
        moment = clock.moment() - self.age
        report = EpcReport(
            node=node, moment=moment.isoformat(), source=EpcSource.BPF, total=None, free=None, use=use, containers=containers
        )
        return by_pod(report, moment)


def _site(pod: Any) -> PodSite:
    metadata = pod["metadata"]
    return PodSite(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        node=pod["spec"]["nodeName"],
        address="",
        labels=metadata["labels"],
        requests={APP: REQUEST << 20},
        start=datetime.fromisoformat(pod["status"]["startTime"]) - timedelta(minutes=1),
        runs=True,
    )


def _name(pod: Any) -> PodContainer:
    metadata = pod["metadata"]
    return PodContainer(namespace=metadata["namespace"], pod=metadata["name"], pod_uid=metadata["uid"], container=APP)


@dataclass(slots=True, kw_only=True)
class Scaler:
    """Our scaler, in a thread of its own until it is killed."""

    meters: Meters
    port: int
    counted: list[tuple[str, str]] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._ended.clear()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()

    def kill(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    async def _serve(self) -> None:
        answers = EpcScaler(self.meters, self.meters, clock.moment)
        server = ScalerServer(answers, (HOST_ADDRESS, self.port), count=lambda call, code: self.counted.append((call, code)))
        await server.start()
        await asyncio.to_thread(self._ended.wait)
        await server.close()


@dataclass(slots=True, kw_only=True)
class Keda:
    """KEDA's operator beside the cluster, which can be killed; its log, and its metrics server's, are in the folder."""

    folder: Path
    command: tuple[str | Path, ...]
    environment: Mapping[str, str]
    running: ExitStack
    operator: Popen[bytes] | None = None

    def start(self) -> None:
        self.operator = self.running.enter_context(running(self.log, *self.command, environment=self.environment))

    def kill(self) -> None:
        assert self.operator is not None
        self.operator.kill()

    @property
    def log(self) -> Path:
        return self.folder / "operator.log"


@dataclass(slots=True, kw_only=True)
class World:
    """A Deployment, its load, and who scales it."""

    cluster: Cluster
    namespace: str
    load: Load
    scaler: Scaler
    address: str
    tell: Callable[[], None] = lambda: None

    def scaled_object(self, trigger: str = "external", fallback: int = 0, **says: str) -> None:
        """The page's own; its autoscaler waits not five minutes before it takes pods away."""
        text = next(each for each in pages.examples("autoscaling.md", "yaml") if "kind: ScaledObject" in each)
        scaled = YAML(typ="safe").load(text)
        scaled["spec"] |= {"pollingInterval": 2, "cooldownPeriod": 5}
        at_once = {"scaleDown": {"stabilizationWindowSeconds": 0}}
        scaled["spec"]["advanced"] = {"horizontalPodAutoscalerConfig": {"behavior": at_once}}
        if fallback:
            scaled["spec"]["fallback"] = {"failureThreshold": 2, "replicas": fallback}
        (only,) = scaled["spec"]["triggers"]
        only["type"] = trigger
        only["metadata"] |= {"scalerAddress": self.address, **says}
        self.cluster.apply(scaled, namespace=self.namespace)

    def replicas(self) -> int:
        found = ready_replicas(self.cluster, self.namespace)
        self.load.look()
        self.tell()
        return found

    def conditions(self) -> dict[str, str]:
        found = self.cluster.get("scaledobject", "-n", self.namespace, APP)["status"].get("conditions", [])
        return {each["type"]: each["status"] for each in found}

    def is_read(self) -> bool:
        """Whether the autoscaler has a number."""
        return self.autoscaler().get("ScalingActive") == ("True", "ValidMetricFound")

    def autoscaler(self) -> dict[str, tuple[str, str]]:
        hpas = self.cluster.get("hpa", "-n", self.namespace)["items"]
        found = [each for hpa in hpas for each in hpa["status"].get("conditions", [])]
        return {each["type"]: (each["status"], each["reason"]) for each in found}


@pytest.fixture(scope="module")
def operator(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keda]:
    """KEDA's operator and its metrics server beside the cluster, and its kinds in it."""
    if cluster.testbed is None:
        pytest.skip("needs the testbed: KEDA runs beside it")
    layout, folder = cluster.testbed.layout, tmp_path_factory.mktemp("keda")
    try:
        ensure(layout, ("keda",))
        source = keda.source(shutil.which("go") or "go", layout.folder / "go" / "keda")
    except (Lacking, Trouble) as error:
        pytest.skip(f"needs KEDA: {error}")
    kinds = source / "config" / "crd" / "bases"
    cluster.kubectl("create", "namespace", "keda")
    cluster.kubectl("apply", "--server-side", "-f", str(kinds))
    certificates = folder / "certificates"
    certificates.mkdir()
    for name, own in (("ca.crt", "ca.crt"), ("apiserver.crt", "tls.crt"), ("apiserver.key", "tls.key")):
        shutil.copy(layout.certificates / name, certificates / own)
    environment = {
        **os.environ,
        "KUBECONFIG": str(cluster.kubeconfig),
        "WATCH_NAMESPACE": "",
        "POD_NAMESPACE": "keda",
        "KEDA_CLUSTER_OBJECT_NAMESPACE": "keda",
    }
    port = free_port()
    of_operator = (f"--cert-dir={certificates}", "--metrics-bind-address=127.0.0.1:0", "--health-probe-bind-address=127.0.0.1:0")
    of_server = [f"--secure-port={port}", f"--cert-dir={certificates}", f"--client-ca-file={certificates / 'ca.crt'}"]
    of_server += [f"--tls-cert-file={certificates / 'tls.crt'}", f"--tls-private-key-file={certificates / 'tls.key'}"]
    of_server += [f"--metrics-service-address=localhost:{OPERATOR_PORT}", f"--port={free_port()}"]
    of_server += [f"--{each}-kubeconfig={cluster.kubeconfig}" for each in ("lister", "authentication", "authorization")]
    with ExitStack() as stack:
        command = (layout.program("keda-operator"), *of_operator)
        it = Keda(folder=folder, command=command, environment=environment, running=stack)
        it.start()
        server = layout.program("keda-adapter")
        stack.enter_context(running(folder / "server.log", server, *of_server, environment=environment))
        group = "external.metrics.k8s.io"
        stack.enter_context(served(cluster, "keda", "keda-metrics-apiserver", port, group=group, version="v1beta1"))
        yield it
    cluster.kubectl("delete", "namespace", "keda", "--wait=false")
    cluster.kubectl("delete", "--wait=false", "-f", str(kinds), check=False)


@pytest.fixture(scope="module")
def release(cluster: Cluster) -> Iterator[Release]:
    yield from installed(cluster)


@pytest.fixture
def world(cluster: Cluster, operator: Keda, release: Release, namespace: str, wait_for: Wait) -> Iterator[World]:
    """A Deployment of one pod under a small load, with KEDA and our scaler running."""
    del operator, release
    load = Load(cluster=cluster, namespace=namespace, total=4)
    cluster.apply(deployment(), namespace=namespace)
    scaler = Scaler(meters=Meters(load=load), port=free_port())
    it = World(cluster=cluster, namespace=namespace, load=load, scaler=scaler, address=f"{HOST_ADDRESS}:{scaler.port}")
    it.scaler.start()
    wait_for(lambda: it.replicas() == 1, what="one pod runs")
    yield it
    it.cluster.kubectl("delete", "scaledobject", "-n", namespace, "--all", "--timeout=30s", check=False)
    it.scaler.kill()


@pytest.mark.parametrize("trigger", ["external", "external-push"])
def test_keda_scales_on_epc_up_and_down(world: World, operator: Keda, trigger: str, wait_for: Wait) -> None:
    world.scaled_object(trigger)
    wait_for(world.is_read, seconds=90, what="KEDA reads it")
    assert world.replicas() == 1

    world.load.total = 4 * REQUEST  # to be shared by five at 80 percent
    wait_for(lambda: world.replicas() == 5, seconds=90, every=1, what="five pods share forty MiB")
    world.load.total = 4
    wait_for(lambda: world.replicas() == 1, seconds=90, every=1, what="one pod is enough again")
    assert "malformed header" not in operator.log.read_text()
    asked = {call for call, code in world.scaler.counted if not code}
    assert asked >= {"GetMetricSpec", "GetMetrics", "IsActive"}
    assert ("StreamIsActive" in asked) is (trigger == "external-push")


def test_without_the_scaler_or_a_fresh_report_nothing_moves_and_then_it_goes_on(world: World, wait_for: Wait) -> None:
    world.load.total = 4 * REQUEST
    world.scaled_object()
    wait_for(lambda: world.replicas() == 5, seconds=120, every=1, what="five pods share forty MiB")

    world.load.total = 4
    world.scaler.meters.age = timedelta(minutes=5)
    unknown = ("False", "FailedGetExternalMetric")
    wait_for(lambda: world.autoscaler().get("ScalingActive") == unknown, seconds=60, what="nothing is known")
    assert world.replicas() == 5
    assert ("GetMetrics", "DJ762") in world.scaler.counted

    world.scaler.kill()
    world.scaler.meters.age = timedelta()
    wait_for(lambda: world.conditions().get("Ready") != "True", seconds=60, what="KEDA tells that nobody answers")
    assert world.replicas() == 5

    world.scaler.start()
    wait_for(lambda: world.replicas() == 1, seconds=150, every=1, what="one pod is enough again")
    wait_for(lambda: world.conditions()["Ready"] == "True", seconds=60, what="KEDA is well again")


def test_where_nothing_is_known_keda_does_what_its_fallback_says(world: World, wait_for: Wait) -> None:
    world.scaled_object(fallback=3)
    wait_for(world.is_read, seconds=90, what="KEDA reads it")
    assert world.replicas() == 1
    world.scaler.meters.age = timedelta(minutes=5)
    wait_for(lambda: world.replicas() == 3, seconds=120, every=1, what="three pods, as the fallback says")
    world.scaler.meters.age = timedelta()
    wait_for(lambda: world.replicas() == 1, seconds=120, every=1, what="one pod is enough, as the meters say")


def test_without_keda_itself_nothing_moves_and_then_it_goes_on(world: World, operator: Keda, wait_for: Wait) -> None:
    world.load.total = 2 * REQUEST
    world.scaled_object()
    wait_for(lambda: world.replicas() > 1, seconds=120, every=1, what="there are more pods")
    before = world.replicas()
    operator.kill()
    try:
        world.load.total = 1
        unknown = ("False", "FailedGetExternalMetric")
        wait_for(lambda: world.autoscaler().get("ScalingActive") == unknown, seconds=90, what="nothing is known")
        assert world.replicas() == before
    finally:
        operator.start()
    wait_for(lambda: world.replicas() == 1, seconds=150, every=1, what="one pod is enough again")


def test_the_charts_own_scaler_is_asked_and_reads_the_meters(world: World, release: Release, wait_for: Wait) -> None:
    cluster, nodes = world.cluster, world.cluster.sgx_nodes
    cluster.apply(*map(metrics_server.meter, nodes))
    on = ("metricsApi.enabled=true", "metricsApi.keda.enabled=true", "metricsApi.replicas=1", "metricsApi.every=1")
    try:
        release.upgrade(*on, 'admission.mode="policies"')
        for name in (*(f"{metrics_server.METER}-{each}" for each in nodes), "donjon-metrics"):
            cluster.kubectl("-n", NAMESPACE, "rollout", "status", f"deployment/{name}", "--timeout=60s")
        (pod,) = cluster.get("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=metrics")["items"]
        world.address = f"{pod['status']['podIP']}:9812"
        world.tell = lambda: tell(world)
        world.scaled_object()
        wait_for(lambda: world.replicas() == 1 and world.is_read(), seconds=90, what="KEDA reads it")
        world.load.total = 4 * REQUEST
        wait_for(lambda: world.replicas() == 5, seconds=120, every=1, what="five pods share forty MiB")
        world.load.total = 4
        wait_for(lambda: world.replicas() == 1, seconds=120, every=1, what="one pod is enough again")
        assert not world.scaler.counted
    finally:
        for each in nodes:
            cluster.kubectl("-n", NAMESPACE, "delete", "deployment", f"{metrics_server.METER}-{each}", check=False)
        cluster.kubectl("delete", "scaledobject", "-n", world.namespace, "--all", "--timeout=30s", check=False)
        release.upgrade()


def tell(world: World) -> None:
    """Have each node's meter say what its pods hold now."""
    exists, evicted = world.load.each
    use = {"resident": exists - evicted, "existing": exists, "evicted": evicted, "enclaves": 1, "debug": 0, "building": 0}
    for node in world.cluster.sgx_nodes:
        containers = [
            {
                "namespace": world.namespace,
                "pod": each["metadata"]["name"],
                "podUid": each["metadata"]["uid"],
                "container": APP,
                "request": REQUEST << 20,
                "use": use,
                "guests": 0,
                "peak": exists,
                "processes": 1,
            }
            for each in world.load.pods
            if each["spec"]["nodeName"] == node
        ]
        metrics_server.say(world.cluster, node, metrics_server.report(node, containers))


def test_a_trigger_with_a_fault_is_told_in_the_operators_words(world: World, operator: Keda, wait_for: Wait) -> None:
    world.scaled_object(metric="cpu")

    def told() -> bool:
        return "metric is 'cpu', expected one of" in operator.log.read_text()

    wait_for(told, seconds=60, what="the fault is told")
    assert "DJ761" in operator.log.read_text()
    assert world.replicas() == 1
