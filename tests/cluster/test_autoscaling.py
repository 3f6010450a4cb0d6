"""Kubernetes' own autoscaler on EPC: metrics-server's API with EPC in it, by the real aggregation layer."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.cluster import metrics_server
from tests.cluster.agents import ENCLAVE, EPC, NAMESPACE
from tests.cluster.conftest import ORDINARY_IMAGE, Cluster
from tests.cluster.release import Release, installed

Wait = Callable[..., Any]

ON = ("metricsApi.enabled=true", "metricsApi.resource=true", "metricsApi.custom=true", "metricsApi.external=true")
ON_AND_QUICK = (*ON, "metricsApi.every=1", 'admission.mode="policies"')
MIB = 1 << 20
REQUEST = 4 * MIB
PODS = "/apis/metrics.k8s.io/v1beta1/namespaces/{}/pods"


@dataclass
class World:
    """The release with its metrics server, metrics-server, and meters that say what the test wants."""

    cluster: Cluster
    release: Release
    nodes: list[str]

    def raw(self, path: str) -> Any:
        return json.loads(self.cluster.kubectl("get", "--raw", path))

    def usage(self, namespace: str) -> dict[str, dict[str, str]]:
        """What the metrics API says of each pod's container `app`."""
        text = self.cluster.kubectl("get", "--raw", PODS.format(namespace), check=False)
        if not text.startswith("{"):
            return {}
        items = json.loads(text)["items"]
        return {
            each["metadata"]["name"]: container["usage"]
            for each in items
            for container in each["containers"]
            if container["name"] == "app"
        }

    def pods(self, namespace: str) -> list[Any]:
        items: list[Any] = self.cluster.get("pods", "-n", namespace, "-l", "app=web")["items"]
        return [each for each in items if each["status"]["phase"] == "Running" and "deletionTimestamp" not in each["metadata"]]

    def say(self, namespace: str, amount: int, evicted: int = 0) -> None:
        """From now on, each pod there holds so many bytes, by its node's meter."""
        for node in self.nodes:
            ours = [each for each in self.pods(namespace) if each["spec"]["nodeName"] == node]
            metrics_server.say(self.cluster, node, metrics_server.report(node, [held(each, amount, evicted) for each in ours]))

    def replicas(self, namespace: str) -> int:
        return int(self.cluster.get("deployment", "web", "-n", namespace)["spec"]["replicas"])


def held(pod: Any, amount: int, evicted: int) -> dict[str, Any]:
    metadata = pod["metadata"]
    use = {"resident": amount, "existing": amount + evicted, "evicted": evicted, "enclaves": 1, "debug": 0, "building": 0}
    return {
        "namespace": metadata["namespace"],
        "pod": metadata["name"],
        "podUid": metadata["uid"],
        "container": "app",
        "request": REQUEST,
        "use": use,
        "guests": 0,
        "peak": amount,
        "processes": 1,
    }


@pytest.fixture(scope="module")
def world(cluster: Cluster) -> Iterator[World]:
    for release in installed(cluster):
        assert cluster.testbed is not None
        cluster.apply(*metrics_server.objects(cluster.testbed.layout))
        nodes = cluster.sgx_nodes
        cluster.apply(*map(metrics_server.meter, nodes))
        release.upgrade(*ON_AND_QUICK)
        for name in (f"deployment/{metrics_server.METER}-{each}" for each in nodes):
            cluster.kubectl("-n", NAMESPACE, "rollout", "status", name, "--timeout=60s")
        yield World(cluster=cluster, release=release, nodes=nodes)
        cluster.kubectl("-n", NAMESPACE, "delete", "deployment", "-l", metrics_server.METER, check=False)
        for each in nodes:
            cluster.kubectl("-n", NAMESPACE, "delete", "deployment", f"{metrics_server.METER}-{each}", check=False)
        release.upgrade()
        metrics_server.remove(cluster)


def deployment(replicas: int = 1) -> dict[str, Any]:
    container = {
        "name": "app",
        "image": ORDINARY_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sleep", "100000"],
        "resources": {"limits": {EPC: str(REQUEST), ENCLAVE: "1"}, "requests": {"cpu": "10m"}},
    }
    labels = {"app": "web"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]}},
        },
    }


def autoscaler(*metrics: dict[str, Any]) -> dict[str, Any]:
    """One of 1 to 5 replicas that takes each step at once."""
    at_once = {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 5, "periodSeconds": 1}]}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 1,
            "maxReplicas": 5,
            "metrics": list(metrics),
            "behavior": {"scaleUp": at_once, "scaleDown": at_once},
        },
    }


BY_RESOURCE = {"type": "Resource", "resource": {"name": EPC, "target": {"type": "Utilization", "averageUtilization": 50}}}


def test_the_stock_autoscaler_scales_on_epc_up_and_down(world: World, namespace: str, wait_for: Wait) -> None:
    world.cluster.apply(deployment(), autoscaler(BY_RESOURCE), namespace=namespace)
    wait_for(lambda: world.pods(namespace), what="a pod runs")
    world.say(namespace, REQUEST)
    wait_for(lambda: world.usage(namespace), seconds=60, what="metrics-server knows the pod")
    wait_for(lambda: EPC in next(iter(world.usage(namespace).values()), {}), what="its EPC is told")
    (usage,) = world.usage(namespace).values()
    assert usage[EPC] == str(REQUEST)
    assert {"cpu", "memory"} < usage.keys()
    wait_for(lambda: world.replicas(namespace) == 2, seconds=60, what="two replicas")
    for wanted in (4, 5):
        wait_for(lambda wanted=wanted: len(world.pods(namespace)) >= min(wanted, 5) // 2, seconds=60, what="pods run")
        world.say(namespace, REQUEST)
        wait_for(lambda wanted=wanted: world.replicas(namespace) >= wanted, seconds=90, what=f"{wanted} replicas")
    wait_for(lambda: len(world.pods(namespace)) == 5, seconds=60, what="five pods run")
    world.say(namespace, MIB // 16)
    wait_for(lambda: world.replicas(namespace) == 1, seconds=120, what="one replica")
