"""What admission may change in a pod, as values that may be compared."""

from typing import Any

from donjon.formats.json import Json, JsonObject, at, objects
from donjon.kube.quantities import MAX, exact


def wiring(pod: JsonObject) -> dict[str, Any]:
    """What admission may change in a pod, quantities as numbers: the API server spells some of them anew."""
    spec = at(pod, "spec")
    return {
        "annotations": at(pod, "metadata", "annotations") or {},
        "nodeSelector": at(spec, "nodeSelector") or {},
        "tolerations": [
            each for each in objects(at(spec, "tolerations")) if not str(each.get("key")).startswith("node.kubernetes")
        ],
        "volumes": [
            _volume(each) for each in objects(at(spec, "volumes")) if not str(each.get("name")).startswith("kube-api-access")
        ],
        "containers": [_container(each) for field in ("initContainers", "containers") for each in objects(at(spec, field))],
    }


def _volume(volume: JsonObject) -> JsonObject:
    path = volume.get("hostPath")
    return {**volume, "hostPath": {"type": "", **path}} if isinstance(path, dict) else volume


def _container(container: JsonObject) -> dict[str, Any]:
    mounts = objects(container.get("volumeMounts"))
    return {
        "name": container["name"],
        "resources": {field: _amounts(at(container, "resources", field)) for field in ("limits", "requests")},
        "env": container.get("env") or [],
        "volumeMounts": [each for each in mounts if not str(each.get("name")).startswith("kube-api-access")],
    }


def _amounts(resources: Json) -> dict[str, Any]:
    """The amounts as the API server counts, which caps what is written in Ki to Ei at the largest int64."""
    return {name: min(exact(str(quantity)), MAX) for name, quantity in resources.items()} if isinstance(resources, dict) else {}
