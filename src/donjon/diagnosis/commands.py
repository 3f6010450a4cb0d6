"""What a pod is called, and the commands with which a person goes on."""

from donjon.formats.json import JsonObject, at, objects
from donjon.formats.words import recite
from donjon.kube.names import ANNOTATION_MIRROR


def subject_of(kind: str, thing: JsonObject) -> str:
    """A thing of the cluster as a person names it."""
    return f"{kind.lower()} {at(thing, 'metadata', 'namespace') or 'default'}/{at(thing, 'metadata', 'name')}"


def node_of(pod: JsonObject) -> str:
    """The node that it was given."""
    return str(at(pod, "spec", "nodeName") or "no node")


def static(pod: JsonObject) -> bool:
    """Whether its kubelet took it from a file, and never asked the API server."""
    return at(pod, "metadata", "annotations", ANNOTATION_MIRROR) is not None


def describe(pod: JsonObject) -> str:
    """The command that shows what Kubernetes knows of it."""
    return f"kubectl describe pod -n {_namespace(pod)} {_name(pod)}"


def logs(pod: JsonObject, container: str, *, previous: bool = False) -> str:
    """The command that shows what a container printed."""
    return f"kubectl logs -n {_namespace(pod)} {_name(pod)} -c {container}{' --previous' if previous else ''}"


def remake(pod: JsonObject) -> str:
    """How to come to a new pod: what has an owner is made again by it."""
    if static(pod):
        return (
            f"take its file out of the folder of static pods on {node_of(pod)} and make it a DaemonSet or a pod of its own: "
            "a static pod is wired by nobody"
        )
    delete = f"kubectl delete pod -n {_namespace(pod)} {_name(pod)}"
    owned = objects(at(pod, "metadata", "ownerReferences"))
    return (
        f"{delete}; {recite(at(owned[0], 'kind'))} {recite(at(owned[0], 'name'))} makes a new one"
        if owned
        else f"{delete}, and create it again"
    )


def _namespace(pod: JsonObject) -> str:
    return str(at(pod, "metadata", "namespace") or "default")


def _name(pod: JsonObject) -> str:
    return str(at(pod, "metadata", "name"))
