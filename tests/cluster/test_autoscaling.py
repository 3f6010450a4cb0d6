"""Kubernetes' own autoscaler on EPC: metrics-server's API with EPC in it, by the real aggregation layer."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from testbed import demo
from tests.cluster import metrics_server
from tests.cluster.agents import ENCLAVE, EPC, NAMESPACE
from tests.cluster.conftest import ORDINARY_IMAGE, Cluster
from tests.cluster.release import Release, installed

from donjon import __version__

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

    def known(self, namespace: str) -> list[Any]:
        """The pods whose EPC the metrics API tells."""
        items: list[Any] = self.raw(PODS.format(namespace))["items"]
        return [each for each in items if "donjon.dev/epc-source" in each["metadata"].get("annotations", {})]

    def pods(self, namespace: str) -> list[Any]:
        items: list[Any] = self.cluster.get("pods", "-n", namespace, "-l", "app=web")["items"]
        return [each for each in items if each["status"]["phase"] == "Running" and "deletionTimestamp" not in each["metadata"]]

    def say(self, namespace: str, amount: int, evicted: int = 0) -> None:
        """From now on, each pod there holds so many bytes, by its node's meter."""
        for node in self.nodes:
            ours = [each for each in self.pods(namespace) if each["spec"]["nodeName"] == node]
            metrics_server.say(self.cluster, node, metrics_server.report(node, [held(each, amount, evicted) for each in ours]))

    def epc(self, namespace: str) -> dict[str, str]:
        """The EPC that the metrics API tells, by pod."""
        return {name: usage[EPC] for name, usage in self.usage(namespace).items() if EPC in usage}

    def scaling(self, namespace: str) -> str:
        """What the autoscaler says of its condition ScalingActive: `False` where it has no figure."""
        conditions = self.cluster.get("hpa", "web", "-n", namespace).get("status", {}).get("conditions", [])
        return next((each["status"] for each in conditions if each["type"] == "ScalingActive"), "")

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
        cluster.kubectl("-n", "kube-system", "rollout", "status", "deployment/metrics-server", "--timeout=90s")
        yield World(cluster=cluster, release=release, nodes=nodes)
        cluster.kubectl("-n", NAMESPACE, "delete", "deployment", "-l", metrics_server.METER, check=False)
        for each in nodes:
            cluster.kubectl("-n", NAMESPACE, "delete", "deployment", f"{metrics_server.METER}-{each}", check=False)
        release.upgrade()
        metrics_server.remove(cluster)


def deployment(replicas: int = 1, *, sides: tuple[Any, ...] = (), **more: Any) -> dict[str, Any]:
    container = {
        "name": "app",
        "image": ORDINARY_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sleep", "100000"],
        "resources": {"limits": {EPC: str(REQUEST), ENCLAVE: "1"}, "requests": {"cpu": "10m"}},
        **more,
    }
    labels = {"app": "web"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 0, "containers": [container, *sides]},
            },
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


HOLD = f"""
import mmap, os, time
file = os.open("/dev/sgx_enclave", os.O_RDWR)
area = mmap.mmap(file, {REQUEST}, flags=mmap.MAP_PRIVATE)
while not os.path.exists("/less"):
    time.sleep(0.2)
area.close()
while True:
    time.sleep(60)
"""
BY_RESOURCE = {"type": "Resource", "resource": {"name": EPC, "target": {"type": "Utilization", "averageUtilization": 50}}}
BY_CONTAINER = {
    "type": "ContainerResource",
    "containerResource": {"name": EPC, "container": "app", "target": {"type": "Utilization", "averageUtilization": 50}},
}
BY_PODS = {
    "type": "Pods",
    "pods": {"metric": {"name": "sgx_epc_utilization"}, "target": {"type": "AverageValue", "averageValue": "500m"}},
}
BY_EXTERNAL = {
    "type": "External",
    "external": {
        "metric": {"name": "sgx_epc_resident_bytes", "selector": {"matchLabels": {"app": "web"}}},
        "target": {"type": "AverageValue", "averageValue": str(REQUEST // 2)},
    },
}
SIDE = {"name": "side", "image": ORDINARY_IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["/bin/sleep", "100000"]}


def steady(
    world: World, namespace: str, wait_for: Wait, *metrics: dict[str, Any], amount: int = REQUEST // 2, **more: Any
) -> None:
    """A Deployment of two pods that its autoscaler leaves at two."""
    world.cluster.apply(deployment(2, **more), namespace=namespace)
    wait_for(lambda: len(world.pods(namespace)) == 2, seconds=60, what="two pods run")
    world.say(namespace, amount)
    wait_for(lambda: len(world.epc(namespace)) == 2, seconds=90, what="the EPC of both is told")
    world.cluster.apply(autoscaler(*metrics), namespace=namespace)
    wait_for(lambda: world.scaling(namespace) == "True", seconds=60, what="the autoscaler has its figure")
    assert world.replicas(namespace) == 2


def test_the_stock_autoscaler_scales_on_epc_up_and_down(world: World, namespace: str, wait_for: Wait) -> None:
    world.cluster.apply(deployment(), autoscaler(BY_RESOURCE), namespace=namespace)
    wait_for(lambda: world.pods(namespace), what="a pod runs")
    world.say(namespace, REQUEST)
    wait_for(lambda: world.epc(namespace), seconds=60, what="its EPC is told")
    (usage,) = world.usage(namespace).values()
    assert usage[EPC] == str(REQUEST)
    assert {"cpu", "memory"} < usage.keys()
    wait_for(lambda: world.replicas(namespace) == 2, seconds=60, what="two replicas")
    for count in (4, 5):
        wait_for(lambda: len(world.pods(namespace)) == world.replicas(namespace), seconds=60, what="pods run")
        world.say(namespace, REQUEST)
        wait_for(lambda count=count: world.replicas(namespace) >= count, seconds=90, what=f"{count} replicas")
    wait_for(lambda: len(world.pods(namespace)) == 5, seconds=60, what="five pods run")
    world.say(namespace, MIB // 16)
    wait_for(lambda: world.replicas(namespace) == 1, seconds=120, what="one replica")


@pytest.mark.parametrize("metric", [BY_CONTAINER, BY_PODS, BY_EXTERNAL], ids=["ContainerResource", "Pods", "External"])
def test_other_kinds_of_metric_scale_too_also_beside_a_container_that_asks_for_nothing(
    world: World, namespace: str, wait_for: Wait, metric: dict[str, Any]
) -> None:
    steady(world, namespace, wait_for, metric, sides=(SIDE,))
    world.say(namespace, REQUEST)
    wait_for(lambda: world.replicas(namespace) == 4, seconds=90, what="four replicas")


def test_utilization_of_a_pod_with_a_container_that_asks_for_nothing_is_refused_in_words(
    world: World, namespace: str, wait_for: Wait
) -> None:
    world.cluster.apply(deployment(1, sides=(SIDE,)), autoscaler(BY_RESOURCE), namespace=namespace)
    wait_for(lambda: world.pods(namespace), what="a pod runs")
    world.say(namespace, REQUEST)
    words = f"missing request for {EPC} in container side"
    wait_for(lambda: words in world.cluster.kubectl("describe", "hpa", "web", "-n", namespace), seconds=90, what=words)
    assert world.replicas(namespace) == 1


def test_unknown_is_not_zero_whoever_is_away_and_all_goes_on_by_itself(world: World, namespace: str, wait_for: Wait) -> None:
    steady(world, namespace, wait_for, BY_RESOURCE)
    by_name = world.cluster.kubectl
    (node,) = world.nodes
    ours, theirs = f"deployment/{metrics_server.METER}-{node}", "deployment/metrics-server"
    for where, name, seconds in (
        ("kube-system", theirs, 60),
        (NAMESPACE, "deployment/donjon-metrics", 60),
        (NAMESPACE, ours, 120),
    ):
        count = by_name("get", name, "-n", where, "-o", "jsonpath={.spec.replicas}")
        by_name("scale", name, "-n", where, "--replicas=0")
        wait_for(
            lambda: world.scaling(namespace) == "False", seconds=seconds, what=f"without {name} the autoscaler has no figure"
        )
        assert world.replicas(namespace) == 2
        by_name("scale", name, "-n", where, f"--replicas={count}")
        by_name("rollout", "status", name, "-n", where, "--timeout=60s")
        if name == ours:
            world.say(namespace, REQUEST // 2)
        wait_for(lambda: world.scaling(namespace) == "True", seconds=90, what=f"with {name} it goes on")
        assert world.replicas(namespace) == 2


def test_a_new_replica_counts_only_once_it_is_ready(world: World, namespace: str, wait_for: Wait) -> None:
    probe = {"exec": {"command": ["/bin/test", "-e", "/ready"]}, "periodSeconds": 1}
    world.cluster.apply(deployment(2, readinessProbe=probe), namespace=namespace)
    wait_for(lambda: len(world.pods(namespace)) == 2, seconds=60, what="two pods run")
    world.say(namespace, REQUEST)
    wait_for(lambda: len(world.usage(namespace)) == 2, seconds=60, what="CPU and memory of both are told")
    assert world.epc(namespace) == {}
    name = world.pods(namespace)[0]["metadata"]["name"]
    world.cluster.kubectl("exec", "-n", namespace, name, "--", "/bin/sh", "-c", ": >/ready")
    wait_for(lambda: world.epc(namespace) == {name: str(REQUEST)}, seconds=30, what="the EPC of who is ready is told")


def test_kubectl_top_and_the_autoscaler_of_cpu_go_on_as_before(world: World, namespace: str, wait_for: Wait) -> None:
    by_cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
    world.cluster.apply(deployment(2), autoscaler(by_cpu), namespace=namespace)
    wait_for(lambda: len(world.pods(namespace)) == 2, seconds=60, what="two pods run")
    wait_for(lambda: world.scaling(namespace) == "True", seconds=90, what="the autoscaler knows CPU")
    assert "CPU(cores)" in world.cluster.kubectl("top", "pods", "-n", namespace)
    assert "MEMORY(bytes)" in world.cluster.kubectl("top", "nodes")
    assert "WINDOW" in world.cluster.kubectl("get", "podmetrics", "-n", namespace)


def test_who_has_no_right_is_refused(world: World, namespace: str) -> None:
    """By the API server already, for whom they ask; ours asks it again, for whoever could reach it past that."""
    path = PODS.format(namespace)
    assert "orbidden" in world.cluster.kubectl("get", "--raw", path, "--as=anna-whom-we-know", check=False)
    role = ("create", "role", "metrics", "-n", namespace, "--verb=list", "--resource=pods.metrics.k8s.io")
    world.cluster.kubectl(*role)
    world.cluster.kubectl("create", "rolebinding", "metrics", "-n", namespace, "--role=metrics", "--user=anna-whom-we-know")
    assert "PodMetricsList" in world.cluster.kubectl("get", "--raw", path, "--as=anna-whom-we-know")
    assert "orbidden" in world.cluster.kubectl("get", "--raw", PODS.format("kube-system"), "--as=anna-whom-we-know", check=False)


def test_kubectl_is_answered_as_metrics_server_answers_it(world: World, namespace: str, wait_for: Wait) -> None:
    kubectl = world.cluster.kubectl
    world.cluster.apply(deployment(), namespace=namespace)
    wait_for(lambda: world.pods(namespace), what="a pod runs")
    world.say(namespace, MIB)
    wait_for(lambda: world.epc(namespace), seconds=60, what="its EPC is told")
    for words in (("top", "pods", "--containers"), ("get", "podmetrics", "-o", "wide"), ("describe", "podmetrics")):
        assert "web-" in kubectl(*words, "-n", namespace)
    assert f'{EPC}: "{MIB}"' in kubectl("get", "podmetrics", "-n", namespace, "-o", "yaml")
    for words in (("get", "podmetrics", "--watch"), ("delete", "podmetrics", "web")):
        assert "(MethodNotAllowed)" in kubectl(*words, "-n", namespace, check=False)

    def schemas_are_told() -> bool:
        listed = world.raw("/openapi/v3")["paths"]
        names = ("apis", "version", "apis/metrics.k8s.io/v1beta1")
        places = (listed.get(name, {}).get("serverRelativeURL", "/openapi/v3/none") for name in names)
        return all('"openapi"' in kubectl("get", "--raw", place, check=False) for place in places)

    wait_for(schemas_are_told, seconds=180, what="ours is told beside the API server's own", every=2)
    assert "ContainerMetrics" in kubectl("explain", "podmetrics.containers")


def test_custom_metrics_of_another_server_are_still_asked_of_that_one(world: World, wait_for: Wait) -> None:
    """As prometheus-adapter's chart registers it: an autoscaler asks the version that comes first, for every metric."""

    def first() -> str:
        return str(world.raw("/apis/custom.metrics.k8s.io")["preferredVersion"]["version"])

    assert first() == "v1beta2"
    spec = {
        "group": "custom.metrics.k8s.io",
        "version": "v1beta1",
        "insecureSkipTLSVerify": True,
        "service": {"name": "metrics-server", "namespace": "kube-system"},
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
    }
    name = "v1beta1.custom.metrics.k8s.io"
    world.cluster.apply(
        {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": name}, "spec": spec}
    )
    try:
        wait_for(lambda: first() == "v1beta1", what="the other server's comes first")
    finally:
        world.cluster.kubectl("delete", "apiservice", name)


def test_nobody_but_the_api_server_is_answered(world: World) -> None:
    """Without a client certificate, and with one that the same authority signed for somebody else, the node's kubelet."""
    pods = world.cluster.get("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=metrics")["items"]
    address = pods[0]["status"]["podIP"]
    assert world.cluster.testbed is not None
    folder = world.cluster.testbed.layout.certificates
    for name in (None, world.nodes[0]):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if name is not None:
            context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
        request = urllib.request.Request(
            f"https://{address}:9443/apis/metrics.k8s.io/v1beta1/pods",
            headers={"X-Remote-User": "admin", "X-Remote-Group": "system:masters"},
        )
        with pytest.raises(urllib.error.HTTPError) as error, urllib.request.urlopen(request, context=context, timeout=10):  # noqa: S310 - of HTTPS.
            pass
        assert error.value.code == 401
        assert b"[DJ721]" in error.value.read()


def test_with_the_nodes_own_meter_pods_that_map_enclave_memory_are_scaled(world: World, namespace: str, wait_for: Wait) -> None:
    """One to five and back, by what the meter of the chart finds mapped: the testbed's kernel counts no enclaves, so by areas."""
    (node,) = world.nodes
    kubectl = world.cluster.kubectl
    kubectl("scale", f"deployment/{metrics_server.METER}-{node}", "-n", NAMESPACE, "--replicas=0")
    world.release.upgrade(*ON_AND_QUICK, "node.meter.enabled=true", "node.meter.maps=true")
    try:
        own: dict[str, Any] = {
            "command": ["/usr/bin/python3", "-c", HOLD],
            "image": f"{demo.IMAGE}:{__version__}",
            "imagePullPolicy": "Never",
        }
        made = deployment(1, securityContext={"runAsUser": 0}, **own)  # as the device's owner
        world.cluster.apply(made, autoscaler(BY_RESOURCE), namespace=namespace)
        wait_for(lambda: world.replicas(namespace) == 5, seconds=240, what="five replicas", every=1)
        (source,) = {each["metadata"]["annotations"]["donjon.dev/epc-source"] for each in world.known(namespace)}
        assert source == "maps"
        wait_for(lambda: len(world.pods(namespace)) == 5, seconds=60, what="five pods run")
        for each in world.pods(namespace):
            kubectl("exec", "-n", namespace, each["metadata"]["name"], "--", "/usr/bin/python3", "-c", "open('/less', 'w')")
        wait_for(lambda: world.replicas(namespace) == 1, seconds=240, what="one replica", every=1)
    finally:
        world.release.upgrade(*ON_AND_QUICK, "node.meter.enabled=false")
        kubectl("scale", f"deployment/{metrics_server.METER}-{node}", "-n", NAMESPACE, "--replicas=1")


def test_metrics_server_has_its_api_back_when_ours_is_off_or_uninstalled_and_by_an_upgrade_after_a_rollback(
    world: World, wait_for: Wait
) -> None:
    before = {"insecureSkipTLSVerify": True, "service": {"name": "metrics-server", "namespace": "kube-system", "port": 443}}

    def registration() -> dict[str, Any]:
        spec: dict[str, Any] = world.cluster.get("apiservice", metrics_server.REGISTRATION)["spec"]
        return {name: spec[name] for name in ("service", "caBundle", "insecureSkipTLSVerify") if name in spec}

    def is_ours() -> bool:
        return bool(registration()["service"]["name"] == "donjon-metrics")

    def is_back() -> bool:
        annotations = world.cluster.get("apiservice", metrics_server.REGISTRATION)["metadata"].get("annotations", {})
        return registration() == before and "donjon.dev/handed-over" not in annotations

    mode = 'admission.mode="policies"'
    wait_for(is_ours, what="it is ours")
    world.release.upgrade(mode)
    assert is_back(), registration()
    world.release.upgrade(*ON_AND_QUICK)
    wait_for(is_ours, seconds=30, what="it is ours again")
    world.release.run("rollback", "donjon", "--wait", "--timeout", "90s")
    assert is_ours(), "a rollback runs no Job"
    world.release.run(*world.release.change_command(), "--wait", "--timeout", "90s")
    assert is_back(), registration()
    world.release.upgrade(*ON_AND_QUICK)
    wait_for(is_ours, seconds=30, what="it is ours once more")
    # The uninstall waits for all agents to be gone, and the make-believe meters bear their labels.
    world.cluster.kubectl("delete", "-n", NAMESPACE, *(f"deployment/{metrics_server.METER}-{each}" for each in world.nodes))
    wait_for(
        lambda: f"{metrics_server.METER}-" not in world.cluster.kubectl("get", "pods", "-n", NAMESPACE), what="no meter is left"
    )
    world.release.uninstall()
    assert is_back(), registration()
    wait_for(lambda: "CPU(cores)" in world.cluster.kubectl("top", "nodes", check=False), seconds=90, what="kubectl top works")
