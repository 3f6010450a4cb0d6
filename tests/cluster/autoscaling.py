"""What tests of autoscalers share: a Deployment whose pods share a load of EPC, and programs beside the cluster.

The testbed's hardware is make-believe and no kernel counts its enclaves, so the load is said, in a meter's own words.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import Popen
from typing import Any

from testbed.layout import HOST_ADDRESS
from tests.cluster.agents import EPC
from tests.cluster.conftest import ORDINARY_IMAGE, Cluster

MIB = 1 << 20
REQUEST = 10  # MiB of EPC of each pod
APP = "vault"


@dataclass(slots=True, kw_only=True)
class Load:
    """An amount of EPC, in MiB, that the Deployment's pods share evenly: of each, at most what it asked for is in EPC."""

    cluster: Cluster
    namespace: str
    total: int
    pods: list[Any] = field(default_factory=list)

    def look(self) -> None:
        """See which pods share it now."""
        listed = self.cluster.get("pods", "-n", self.namespace, "-l", f"app={APP}")["items"]
        self.pods = [
            each for each in listed if each["status"]["phase"] == "Running" and "deletionTimestamp" not in each["metadata"]
        ]

    @property
    def each(self) -> tuple[int, int]:
        """Bytes that exist of each pod, and those of them that are evicted."""
        exists = self.total * MIB // max(1, len(self.pods))
        return exists, max(0, exists - REQUEST * MIB)

    def metrics(self) -> str:
        """What the meters of all nodes would answer at /metrics."""
        exists, evicted = self.each
        amounts = {"request": REQUEST * MIB, "existing": exists, "evicted": evicted, "resident": exists - evicted}
        lines = []
        for pod in self.pods:
            where = (
                f'namespace="{self.namespace}",pod="{pod["metadata"]["name"]}",container="{APP}",node="{pod["spec"]["nodeName"]}"'
            )
            lines += [f"donjon_meter_container_{kind}_bytes{{{where}}} {amount}" for kind, amount in amounts.items()]
        for node in {pod["spec"]["nodeName"] for pod in self.pods}:
            here = sum(pod["spec"]["nodeName"] == node for pod in self.pods)
            lines.append(f'donjon_meter_epc_evicted_bytes{{node="{node}"}} {here * evicted}')
        return "\n".join((*lines, ""))


@contextmanager
def answering(answers: Mapping[str, Any]) -> Iterator[int]:
    """A server on the testbed's own address; each path has a function that says what is answered there. Yields its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answers[self.path]().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            del words

    with ThreadingHTTPServer((HOST_ADDRESS, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@contextmanager
def running(log: Path, *command: str | Path, environment: Mapping[str, str] | None = None) -> Iterator[Popen[bytes]]:
    """A program beside the cluster, for as long as somebody needs it."""
    with log.open("ab") as stream, Popen([*map(str, command)], stdout=stream, stderr=stream, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def served(cluster: Cluster, namespace: str, name: str, port: int, *, group: str, version: str) -> Iterator[None]:
    """An aggregated API that a program beside the cluster answers at that port."""
    ports = [{"name": "https", "port": 443}]
    service = {"metadata": {"name": name, "namespace": namespace}, "spec": {"clusterIP": "None", "ports": ports}}
    slice_ = {
        "metadata": {"name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [HOST_ADDRESS], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }
    spec = {
        "group": group,
        "version": version,
        "service": {"name": name, "namespace": namespace},
        "insecureSkipTLSVerify": True,
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
    }
    api = {"metadata": {"name": f"{version}.{group}"}, "spec": spec}
    cluster.apply(
        {"apiVersion": "v1", "kind": "Service", **service},
        {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", **slice_},
        {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", **api},
    )
    try:
        yield
    finally:
        cluster.kubectl("delete", "apiservice", f"{version}.{group}", "--ignore-not-found")


def deployment(replicas: int = 1) -> dict[str, Any]:
    """One whose pods ask for EPC."""
    container = {
        "name": APP,
        "image": ORDINARY_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "1000000"],
        "resources": {"limits": {EPC: f"{REQUEST}Mi"}},
    }
    template = {
        "metadata": {"labels": {"app": APP}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": APP}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": APP}, "spec": spec}


def ready_replicas(cluster: Cluster, namespace: str) -> int:
    """How many of the Deployment's pods are wanted, where all of them are ready; else -1."""
    found = cluster.get("deployment", "-n", namespace, APP)
    wanted: int = found["spec"]["replicas"]
    return wanted if found["status"].get("readyReplicas", 0) == wanted == found["status"].get("replicas") else -1
