"""Pods in virtual machines of their own, as Kata runs them, that are given a socket of the host.

A mount carries the socket's file into the guest, and not what listens at it: the pod starts, and quotes nothing. Which classes
run such machines only their names tell here; the cluster's RuntimeClass objects would say more.
"""

from collections.abc import Iterator

from donjon.admission.codes import IN_A_SANDBOX
from donjon.admission.intent import text
from donjon.admission.reasons import Reason
from donjon.findings import Finding
from donjon.formats.json import JsonObject, at, objects
from donjon.kube.names import AESM_PLACES, AESMD, ANNOTATION_QUOTE_PROVIDER, RUN_FOLDERS

SANDBOXES = ("kata", "firecracker", "gvisor", "runsc")
"""What the names of such classes have in them."""

_SOCKETS = (*AESM_PLACES, *RUN_FOLDERS)


def host_sockets(pod: JsonObject) -> Iterator[Reason]:
    """What is to be said of a pod as admitted that runs in a sandbox and has the quoting service's socket of the host."""
    runtime = text(at(pod, "spec", "runtimeClassName"))
    if not any(sandbox in runtime.casefold() for sandbox in SANDBOXES):
        return
    volumes = [text(at(volume, "hostPath", "path")) for volume in objects(at(pod, "spec", "volumes"))]
    by_annotation = text(at(pod, "metadata", "annotations", ANNOTATION_QUOTE_PROVIDER)) == AESMD
    socket = next((path for path in volumes if path in _SOCKETS), "")
    if socket:
        yield Reason(finding=_finding(runtime, socket, by_annotation=by_annotation), place="/spec/runtimeClassName")


def _finding(runtime: str, path: str, *, by_annotation: bool) -> Finding:
    part = f"{ANNOTATION_QUOTE_PROVIDER}: {AESMD}" if by_annotation else "the volume"
    return Finding.warning(
        IN_A_SANDBOX,
        "pod",
        f"runs in the sandbox {runtime:.60} and has {path} of the host",
        "a socket of the host does not answer in another machine, so nothing would be quoted",
        f"leave {part} out, and bring a container {AESMD} in the pod",
    )
