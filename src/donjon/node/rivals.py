"""Others who advertise the same on a node: findings, so that nobody fights over a resource."""

from donjon.findings import Finding
from donjon.kube.names import EPC

NFD_ANNOTATION = "nfd.node.kubernetes.io/extended-resources"


def rival_plugin(resource: str) -> Finding:
    """Another device plugin serves the resource."""
    return Finding.warning(
        "DJ018",
        resource,
        "another device plugin (Intel's, by its socket) serves it on this node",
        "two plugins for one resource take it from each other, so Donjon leaves it alone",
        "remove Intel's SGX plugin, or start the agent with --advertise epc,labels",
    )


def rival_epc() -> Finding:
    """Node Feature Discovery writes the node's EPC."""
    return Finding.warning(
        "DJ014",
        EPC,
        f"Node Feature Discovery writes it (annotation {NFD_ANNOTATION})",
        "two writers would take it from each other, so Donjon leaves it alone; it stays when the node is not ready",
        "remove the NodeFeatureRule that sets it, or start the agent with --advertise labels,devices",
    )


def unasked(trouble: str) -> Finding:
    """The API server could not be asked who else writes the node's EPC."""
    return Finding.info(
        "DJ021",
        "node object",
        f"could not be read ({trouble})",
        "whether Node Feature Discovery writes this node's EPC too is unknown",
        f"kubectl get node -o yaml, and look for the annotation {NFD_ANNOTATION}",
    )


def rival_socket(resource: str) -> str:
    """The name that Intel's plugin gives its socket in the kubelet's folder."""
    return f"{resource.replace('/', '-')}.sock"
