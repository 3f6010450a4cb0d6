"""What the meter keeps of the pods of its node: names, what each container asked for, and the ids that runtimes gave them."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from donjon.formats.json import JsonObject, at, objects
from donjon.kube.epc_report import UNNAMED
from donjon.kube.names import ANNOTATION_STATIC
from donjon.kube.objects import is_over
from donjon.kube.reserved import epc_requests
from donjon.node.cgroups import CgroupPlace

MAX_IDS = 256  # of a pod; one that asks for EPC has a hundred containers at most, each with the id that it had before
_HASH = re.compile("[0-9a-f]{32}")
_INIT = "initContainerStatuses"
_STATUSES = ("containerStatuses", _INIT, "ephemeralContainerStatuses")


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantPod:
    """A pod of the node. One that is too large to be read has no requests and names no containers."""

    uid: str
    namespace: str
    name: str
    static: str = ""  # the name that the kubelet's folders have for it, where that is not the uid
    requests: Mapping[str, int]  # bytes of EPC by container, those that ask for none left out
    containers: Mapping[str, str]  # by the id that the runtime gave it
    is_here: bool = True

    def container(self, place: CgroupPlace) -> str:
        """The container's name; a pod's only one needs no id."""
        only = next(iter(self.containers.values()), UNNAMED) if len(set(self.containers.values())) == 1 else UNNAMED
        return self.containers.get(place.container_id, only)


def tenant_pod(pod: JsonObject) -> TenantPod:
    """What the meter keeps of a pod as the API server tells it."""
    namespace, name, uid = (str(at(pod, "metadata", field) or "") for field in ("namespace", "name", "uid"))
    return TenantPod(
        uid=uid,
        namespace=namespace,
        name=name,
        static=str(at(pod, "metadata", "annotations", ANNOTATION_STATIC) or ""),
        requests=dict(_requests(pod)),
        containers=dict(islice(_containers(pod), MAX_IDS)),
        is_here=not is_over(pod),
    )


def beyond(pod: JsonObject) -> TenantPod:
    """What is kept of a pod of which only the names are known, since it is too large."""
    namespace, name, uid = (str(at(pod, "metadata", field) or "") for field in ("namespace", "name", "uid"))
    return TenantPod(uid=uid, namespace=namespace, name=name, requests={}, containers={})


def by_folder(pods: Iterable[TenantPod]) -> Mapping[str, TenantPod]:
    """Each pod by what stands for it in the name of its cgroup.

    An annotation says so of a static pod, and anybody's pod may bear it. So it takes no other pod's name, and two with the same
    have none.
    """
    pods = tuple(pods)
    counts = Counter(pod.static for pod in pods)
    static = {pod.static: pod for pod in pods if _HASH.fullmatch(pod.static) and counts[pod.static] == 1}
    return static | {pod.uid: pod for pod in pods}


def _requests(pod: JsonObject) -> Iterable[tuple[str, int]]:
    """Those of an init container as long as it runs: it asks for what the containers after it have, and not for more."""
    running = {at(each, "name") for each in objects(at(pod, "status", _INIT)) if at(each, "state", "running") is not None}
    for request in epc_requests(pod):
        if request.epc and (not request.init or request.container in running):
            yield request.container, request.epc


def _containers(pod: JsonObject) -> Iterable[tuple[str, str]]:
    """Ids and names, also of what each container was before its last restart: its processes may not all be gone."""
    for field in _STATUSES:
        for status in objects(at(pod, "status", field)):
            name = at(status, "name")
            for where in (("lastState", "terminated", "containerID"), ("containerID",)):
                container_id = at(status, *where)
                if isinstance(name, str) and isinstance(container_id, str) and container_id:
                    yield container_id.rpartition("/")[2], name
