"""What Intel's webhook does to a pod, for tests of what becomes of one that both look at.

Source: intel/intel-device-plugins-for-kubernetes v0.36.0, pkg/webhooks/sgx/sgx.go, by its behaviour: it looks at containers only,
sets the enclave device whatever was there, and appends to env each time it is asked.
"""

import copy

from tests.admission.pods import ENCLAVE, EPC, PROVISION
from tests.admission.samples import QUOTE_PROVIDER

from donjon.formats.json import Json, JsonObject, at, objects
from donjon.kube.quantities import canonical, parse

SOCKET: JsonObject = {"name": "aesmd-socket", "mountPath": "/var/run/aesmd"}


def wired_by_intel(made: JsonObject) -> JsonObject:
    """The pod after Intel's webhook."""
    pod = copy.deepcopy(made)
    containers = [each for each in objects(at(pod, "spec", "containers")) if at(each, "resources", "limits", EPC)]
    annotations = _dict(_dict(pod, "metadata"), "annotations")
    provider = annotations.get(QUOTE_PROVIDER)
    for container in containers:
        devices = {ENCLAVE: "1"} | ({PROVISION: "1"} if provider == container["name"] else {})
        for field in ("limits", "requests"):
            _dict(_dict(container, "resources"), field).update(devices)
        if provider == "aesmd":
            mounts = _list(container, "volumeMounts")
            if not any(at(mount, "mountPath") == SOCKET["mountPath"] for mount in mounts):
                mounts.append(dict(SOCKET))
            _list(container, "env").append({"name": "SGX_AESM_ADDR", "value": "1"})
    if containers and provider == "aesmd":
        _add_volume(_dict(pod, "spec"), containers)
    total = sum(parse(str(at(each, "resources", "limits", EPC))) for each in containers)
    annotations.update({EPC: canonical(total)} if total else {})
    return pod


def _add_volume(spec: JsonObject, containers: list[JsonObject]) -> None:
    volumes = _list(spec, "volumes")
    if any(at(volume, "name") == SOCKET["name"] for volume in volumes):
        return
    beside = len(containers) > 1 and any(each["name"] == "aesmd" for each in containers)
    of_the_pod: JsonObject = {"emptyDir": {"medium": "Memory"}}
    of_the_node: JsonObject = {"hostPath": {"path": "/var/run/aesmd", "type": "DirectoryOrCreate"}}
    volumes.append({"name": SOCKET["name"], **(of_the_pod if beside else of_the_node)})


def _dict(owner: JsonObject, field: str) -> JsonObject:
    value = owner.setdefault(field, {})
    assert isinstance(value, dict)
    return value


def _list(owner: JsonObject, field: str) -> list[Json]:
    value = owner.setdefault(field, [])
    assert isinstance(value, list)
    return value
