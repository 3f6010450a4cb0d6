"""A Deployment for a wrapped image: its EPC worked out, the quoting service wired, and what is mounted, mounted."""

from collections.abc import Iterable

from donjon.enclave.sizing import control_pages, epc_need
from donjon.formats.json import Json, JsonObject
from donjon.kube.names import AESMD, ANNOTATION_QUOTE_PROVIDER, EPC, EPC_PAGE
from donjon.kube.quantities import canonical
from donjon.wrapping.mounts import EnclaveMount, MountKind
from donjon.wrapping.sizing import MIB


def epc_request(manifest: bytes, size: int, processes: int) -> int:
    """Bytes of EPC for enclaves of a manifest, one a process: all that each may take, whole MiB, as `donjon enclave size` says.

    An enclave that grows may take as much as its size, which bounds it.
    """
    need = epc_need(manifest, processes)
    if need is not None and not need.grows_unbounded:
        return need.request
    pages = size // EPC_PAGE
    return -(-(pages + control_pages(pages)) * processes * EPC_PAGE // MIB) * MIB


def deployment(name: str, image: str, request: int, mounts: Iterable[EnclaveMount], uid: int) -> JsonObject:
    """The Deployment of one pod; a volume for each mount of the user's is an empty one, to be replaced by what is given to it."""
    volumes = [each for each in mounts if each.kind is not MountKind.TMPFS]
    container: JsonObject = {
        "name": name,
        "image": image,
        "resources": {"limits": {EPC: canonical(request)}},
    }
    spec: JsonObject = {"containers": [container]}
    if volumes:
        container["volumeMounts"] = [{"name": f"volume-{number}", "mountPath": each.path} for number, each in enumerate(volumes)]
        spec["volumes"] = [_volume(number) for number, _ in enumerate(volumes)]
    if uid:
        container["securityContext"] = {"runAsUser": uid}
    labels: JsonObject = {"app.kubernetes.io/name": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels, "annotations": {ANNOTATION_QUOTE_PROVIDER: AESMD}}, "spec": spec},
        },
    }


def _volume(number: int) -> Json:
    return {"name": f"volume-{number}", "emptyDir": {}}
