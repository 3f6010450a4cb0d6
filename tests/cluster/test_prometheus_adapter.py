"""The stock HorizontalPodAutoscaler on EPC by Debian's Prometheus, the real prometheus-adapter and the chart's rules."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
from ruamel.yaml import YAML
from testbed import packages
from testbed.binaries import ensure
from testbed.layout import HOST_ADDRESS
from testbed.trouble import Lacking, Trouble
from tests import pages
from tests.cluster.autoscaling import APP, MIB, REQUEST, Load, answering, deployment, ready_replicas, running, served
from tests.cluster.conftest import Cluster, Testbed
from tests.ports import HOST, free_port

Wait = Callable[..., Any]

FILES = Path(__file__).parents[2] / "deploy" / "chart" / "files"
NAMES = ("sgx_epc_resident_bytes", "sgx_epc_evicted_bytes", "sgx_epc_utilization", "sgx_epc_node_evicted_bytes")


def scrape(port: int, nodes: list[str]) -> dict[str, Any]:
    """The shipped job, told by hand what Debian's Prometheus cannot discover."""
    (job,) = YAML(typ="safe").load(FILES / "scrape.yaml")["scrape_configs"]
    del job["kubernetes_sd_configs"]
    found = {
        "pod_label_app_kubernetes_io_name": "donjon",
        "pod_label_app_kubernetes_io_component": "node",
        "pod_container_port_name": "metrics",
        "pod_phase": "Running",
        "pod_node_name": nodes[0],
        "namespace": "donjon",
        "pod_name": "the-meter",
    }
    labels = {f"__meta_kubernetes_{name}": value for name, value in found.items()}
    job["static_configs"] = [{"targets": [f"{HOST_ADDRESS}:{port}"], "labels": labels}]
    return {"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}


@dataclass(slots=True, kw_only=True)
class Scaled:
    """A Deployment, its load, and the programs that tell its autoscaler of it."""

    cluster: Cluster
    namespace: str
    load: Load
    folder: Path
    prometheus: Popen[bytes] | None = None
    port: int = 0
    running: ExitStack = field(default_factory=ExitStack)

    def start_prometheus(self) -> None:
        places = (f"--storage.tsdb.path={self.folder / 'data'}", f"--web.listen-address={HOST}:{self.port}")
        command = ("prometheus", f"--config.file={self.folder / 'prometheus.json'}", *places)
        self.prometheus = self.running.enter_context(running(self.folder / "prometheus.log", *command))

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.port}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def said(self, metric: str) -> dict[str, str]:
        """What the custom metrics API says of each pod."""
        path = f"/apis/custom.metrics.k8s.io/v1beta1/namespaces/{self.namespace}/pods/*/{metric}?labelSelector=app%3D{APP}"
        text = self.cluster.kubectl("get", "--raw", path, check=False)
        items = json.loads(text)["items"] if text.startswith("{") else []
        return {each["describedObject"]["name"]: each["value"] for each in items}

    def autoscaler(self, metric: str, average: str) -> None:
        """The page's own, with that target; it waits not five minutes before it takes pods away."""
        hpa = YAML(typ="safe").load(
            next(each for each in pages.examples("autoscaling.md", "yaml") if "kind:" in each and "type: Pods" in each)
        )
        hpa["spec"]["metrics"][0]["pods"] = {
            "metric": {"name": metric},
            "target": {"type": "AverageValue", "averageValue": average},
        }
        hpa["spec"]["behavior"] = {"scaleDown": {"stabilizationWindowSeconds": 0}}
        self.cluster.apply(hpa, namespace=self.namespace)

    def replicas(self) -> int:
        found = ready_replicas(self.cluster, self.namespace)
        self.load.look()
        return found

    def condition(self, name: str) -> tuple[str, str]:
        conditions = self.cluster.get("hpa", "-n", self.namespace, APP)["status"].get("conditions", [])
        return next(((each["status"], each["reason"]) for each in conditions if each["type"] == name), ("", ""))


@pytest.fixture
def scaled(cluster: Cluster, testbed: Testbed, namespace: str, tmp_path: Path, wait_for: Wait) -> Iterator[Scaled]:
    """A Deployment of one pod under a small load, with Prometheus and prometheus-adapter running."""
    try:
        packages.install(packages.PROMETHEUS)
        ensure(testbed.layout, ("prometheus-adapter",))
    except (Lacking, Trouble) as error:
        pytest.skip(f"needs Prometheus and its adapter: {error}")
    load = Load(cluster=cluster, namespace=namespace, total=4)
    cluster.apply(deployment(), namespace=namespace)
    with ExitStack() as stack:
        meter = stack.enter_context(answering({"/metrics": load.metrics}))
        it = Scaled(cluster=cluster, namespace=namespace, load=load, folder=tmp_path, port=free_port(), running=stack)
        (tmp_path / "prometheus.json").write_text(json.dumps(scrape(meter, cluster.sgx_nodes)))
        it.start_prometheus()
        wait_for(it.answers, what="Prometheus answers")
        rules = YAML(typ="safe").load(FILES / "prometheus-adapter.yaml")["rules"]
        (tmp_path / "adapter.json").write_text(json.dumps({"rules": rules["custom"]}))
        port = free_port()
        options = {
            "--secure-port": port,
            "--cert-dir": tmp_path / "certificates",
            "--config": tmp_path / "adapter.json",
            "--prometheus-url": f"http://{HOST}:{it.port}/",
            "--metrics-relist-interval": "2s",
            **dict.fromkeys(
                ("--lister-kubeconfig", "--authentication-kubeconfig", "--authorization-kubeconfig"), cluster.kubeconfig
            ),
        }
        words = [f"{name}={value}" for name, value in options.items()]
        stack.enter_context(running(tmp_path / "adapter.log", testbed.layout.program("prometheus-adapter"), *words))
        stack.enter_context(served(cluster, namespace, "adapter", port, group="custom.metrics.k8s.io", version="v1beta1"))
        wait_for(lambda: it.replicas() == 1, what="one pod runs")
        yield it


@pytest.mark.usefixtures("donjon_installed")
def test_an_autoscaler_follows_the_load_holds_what_it_has_without_prometheus_and_recovers(scaled: Scaled, wait_for: Wait) -> None:
    def all_said() -> dict[str, dict[str, str]]:
        found = {metric: scaled.said(metric) for metric in NAMES}
        return found if all(found.values()) else {}

    found = wait_for(all_said, seconds=60, what="every rule's metric is said")
    (pod,) = (each["metadata"]["name"] for each in scaled.load.pods)
    amount = 4 * MIB
    assert found == {
        "sgx_epc_resident_bytes": {pod: f"{amount}"},
        "sgx_epc_evicted_bytes": {pod: "0"},
        "sgx_epc_utilization": {pod: "400m"},
        "sgx_epc_node_evicted_bytes": {pod: "0"},
    }

    scaled.autoscaler("sgx_epc_utilization", "800m")
    wait_for(
        lambda: scaled.condition("ScalingActive") == ("True", "ValidMetricFound"), seconds=60, what="the autoscaler reads it"
    )
    assert scaled.replicas() == 1

    scaled.load.total = 4 * REQUEST  # to be shared by five at 80 percent
    wait_for(lambda: scaled.replicas() == 5, seconds=90, every=1, what="five pods share forty MiB")

    assert scaled.prometheus is not None
    scaled.prometheus.kill()
    scaled.load.total = 1
    wait_for(lambda: scaled.condition("ScalingActive") == ("False", "FailedGetPodsMetric"), seconds=60, what="nothing is known")
    assert scaled.replicas() == 5

    scaled.start_prometheus()
    wait_for(lambda: scaled.replicas() == 1, seconds=90, every=1, what="one pod is enough again")


@pytest.mark.usefixtures("donjon_installed")
def test_evicted_pages_alone_make_an_autoscaler_add_pods(scaled: Scaled, wait_for: Wait) -> None:
    scaled.load.total = 3 * REQUEST // 2
    wait_for(lambda: scaled.said("sgx_epc_evicted_bytes"), seconds=60, what="the metric is said")
    scaled.autoscaler("sgx_epc_evicted_bytes", "1")
    wait_for(lambda: scaled.replicas() > 1, seconds=90, every=1, what="pages were evicted, so there are more pods")
    wait_for(lambda: set(scaled.said("sgx_epc_evicted_bytes").values()) == {"0"}, seconds=30, what="nothing is evicted any more")
