"""What several tests ask of the node agents: where each runs, what it counts, and what a node says."""

import json
import re
import urllib.request
from dataclasses import dataclass
from typing import Any, Protocol

NAMESPACE = "donjon"
EPC, ENCLAVE, PROVISION = "sgx.intel.com/epc", "sgx.intel.com/enclave", "sgx.intel.com/provision"
_SAMPLE = re.compile(r"^(?P<name>\w+)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)$")


class Asked(Protocol):
    """The part of the cluster fixture that is needed here."""

    def get(self, *arguments: str) -> Any: ...

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str: ...


@dataclass(frozen=True, slots=True)
class Agent:
    """The agent of one node."""

    cluster: Asked
    node: str

    def pod(self) -> Any:
        """The agent's pod, `None` while there is none that is not on its way out."""
        selector = ("-l", "app.kubernetes.io/component=node", "--field-selector", f"spec.nodeName={self.node}")
        pods = self.cluster.get("pods", "-n", NAMESPACE, *selector)["items"]
        return next((pod for pod in pods if "deletionTimestamp" not in pod["metadata"]), None)

    def is_ready(self) -> bool:
        """Whether the pod there is counts as ready."""
        pod = self.pod()
        conditions = {} if pod is None else {each["type"]: each["status"] for each in pod["status"].get("conditions", [])}
        return conditions.get("Ready") == "True"

    def metrics(self) -> dict[str, float]:
        """What the agent counts, by name and labels as they are written; empty while it does not answer."""
        address = (self.pod() or {}).get("status", {}).get("podIP")
        try:
            with urllib.request.urlopen(f"http://{address}:9808/metrics", timeout=2) as answer:
                text = answer.read().decode()
        except OSError:
            return {}
        matches = [match for line in text.splitlines() if (match := _SAMPLE.match(line))]
        return {f"{match['name']}{{{match['labels'] or ''}}}": float(match["value"]) for match in matches}

    def registrations(self) -> float:
        """How often the enclave device was registered since the agent started; -1 while the agent does not answer."""
        return self.metrics().get(f'donjon_node_registrations_total{{resource="{ENCLAVE}"}}', -1)

    def logs(self) -> list[dict[str, Any]]:
        """The agent's log lines."""
        name = self.pod()["metadata"]["name"]
        return [json.loads(line) for line in self.cluster.kubectl("logs", "-n", NAMESPACE, name).splitlines()]


def offered(cluster: Asked, node: str) -> dict[str, tuple[str | None, str | None]]:
    """What the node object says of each of our resources: capacity and allocatable."""
    status = cluster.get("node", node)["status"]
    return {name: (status["capacity"].get(name), status["allocatable"].get(name)) for name in (EPC, ENCLAVE, PROVISION)}


def condition(cluster: Asked, node: str) -> str | None:
    """The status of the condition SGXReady."""
    conditions = cluster.get("node", node)["status"]["conditions"]
    return next((each["status"] for each in conditions if each["type"] == "SGXReady"), None)


def pod(name: str, *command: str, image: str, limits: dict[str, str] | None = None) -> dict[str, Any]:
    """A pod of one container with these limits, which stops as soon as it is told to."""
    container: dict[str, Any] = {"name": "app", "image": image, "imagePullPolicy": "IfNotPresent"}
    if limits:
        container["resources"] = {"limits": limits}
    if command:
        container["command"] = list(command)
    spec = {"containers": [container], "restartPolicy": "Never", "terminationGracePeriodSeconds": 0}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
