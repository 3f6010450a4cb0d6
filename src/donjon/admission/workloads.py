"""The pods in a manifest: its own, or those that its template will make. What is no pod and makes none has none."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from donjon.admission.intent import text
from donjon.kube.json import Json, JsonObject, at

_TEMPLATE = ("spec", "template")
TEMPLATES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Pod": (),
        "PodTemplate": ("template",),
        "Job": _TEMPLATE,
        "CronJob": ("spec", "jobTemplate", "spec", "template"),
        "Deployment": _TEMPLATE,
        "StatefulSet": _TEMPLATE,
        "DaemonSet": _TEMPLATE,
        "ReplicaSet": _TEMPLATE,
        "ReplicationController": _TEMPLATE,
    }
)
"""Where each kind holds its pod."""

_GROUPS = ("v1", "batch/v1", "apps/v1")
_LIST = "List"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A pod, or what makes pods of that form."""

    kind: str
    name: str
    namespace: str  # empty where the manifest leaves it open
    path: str  # of the object in its document, as a JSON pointer
    template: str  # of the pod in its document
    pod: JsonObject


def pods(document: Json, path: str = "", kind: str = "") -> Iterator[Made]:
    """Every pod in a document, those of a List too."""
    kind = text(at(document, "kind")) or kind
    items = at(document, "items")
    if kind.endswith(_LIST) and isinstance(items, list):
        for index, item in enumerate(items):
            yield from pods(item, f"{path}/items/{index}", kind.removesuffix(_LIST))
        return
    if kind not in TEMPLATES or (text(at(document, "apiVersion")) or "v1") not in _GROUPS:
        return
    way = TEMPLATES[kind]
    pod = at(document, *way)
    if isinstance(pod, dict):
        yield Made(
            kind=kind,
            name=text(at(document, "metadata", "name")) or text(at(document, "metadata", "generateName")),
            namespace=text(at(document, "metadata", "namespace")),
            path=path,
            template="".join((path, *(f"/{step}" for step in way))),
            pod=pod,
        )
