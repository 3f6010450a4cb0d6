"""Donjon in a cluster, whole, and with one thing changed."""

from collections.abc import Callable
from dataclasses import replace

from tests.diagnosis import worlds
from tests.diagnosis.worlds import ENCLAVE, EPC, NOW

from donjon import __version__
from donjon.admission.policies.guard import ChartValues, GuardExtent, guard
from donjon.diagnosis.installation import DonjonState, Sight, Trial
from donjon.diagnosis.status import Status, judge
from donjon.formats.json import Json, JsonObject, at

IMAGE = f"donjon.dev/donjon:{__version__}"
OBJECTS = tuple(guard(ChartValues(namespace="donjon", extent=GuardExtent.POLICIES)).values())
REFUSED = Trial(
    refusal="try pods: 422 pods \"donjon-probe-x\" is forbidden: ValidatingAdmissionPolicy 'donjon-refuse' …: no [DJ105]"
)
WIRED = Trial(pod={"spec": {"containers": [{"resources": {"limits": {EPC: "1Mi", ENCLAVE: "1"}}}]}})
NOT_WIRED = Trial(refusal="try pods: 422 …: not wired [DJ102]; check")
LET_IN = Trial(pod={"spec": {"containers": [{"resources": {"limits": {"sgx.intel.com/sgx_epc_mem_in_MiB": "1"}}}]}})
MAY_NOT = Trial(refusal='try pods: 403 pods is forbidden: User "dev" cannot create resource "pods"')


def of_kind(kind: str, *, without: str = "") -> Sight:
    """The chart's objects of a kind, but one."""
    return Sight(things=tuple(each for each in OBJECTS if each["kind"] == kind and at(each, "metadata", "name") != without))


def workload(kind: str, component: str, *, image: str = IMAGE, **status: Json) -> JsonObject:
    labels: JsonObject = {
        "app.kubernetes.io/name": "donjon",
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/version": __version__,
    }
    name = {"node": "donjon-node", "admission": "donjon-webhook"}.get(component, f"donjon-{component}")
    spec: JsonObject = {"replicas": 2, "template": {"spec": {"containers": [{"name": "main", "image": image}]}}}
    metadata: JsonObject = {"name": name, "namespace": "donjon", "generation": 1, "labels": labels}
    return {"kind": kind, "metadata": metadata, "spec": spec, "status": dict(status)}


def daemon_set(
    *, desired: int = 2, ready: int = 2, mode: str = "policies", version: str = __version__, **spec: Json
) -> JsonObject:
    made = workload(
        "DaemonSet",
        "node",
        desiredNumberScheduled=desired,
        updatedNumberScheduled=desired,
        numberReady=ready,
        observedGeneration=1,
    )
    words: list[Json] = ["node", "run", f"--chart-version={version}", "--namespace=donjon", f"--guard={mode}"]
    template: JsonObject = {"spec": {"containers": [{"name": "main", "image": IMAGE, "args": words}], **spec}}
    return made | {"spec": {"template": template}}


def of_agents(kind: str) -> Sight:
    """What of that kind gives the agents their rights."""
    return Sight(things=(workload(kind, "node"),))


def own_pod(component: str, on: str, *, ready: bool = True, image: str = IMAGE, **status: Json) -> JsonObject:
    conditions: list[Json] = [
        {"type": "Ready", "status": str(ready), "message": "" if ready else "containers with unready status"}
    ]
    return {
        "metadata": {
            "name": f"donjon-{component}-{on}",
            "namespace": "donjon",
            "labels": {"app.kubernetes.io/name": "donjon", "app.kubernetes.io/component": component},
        },
        "spec": {"nodeName": on, "containers": [{"name": "main", "image": image}]},
        "status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": conditions, **status},
    }


WHOLE = DonjonState(
    moment=NOW,
    client_version=__version__,
    server_version="v1.36.2",
    namespace="default",
    home="donjon",
    wiring=WIRED,
    refusing=REFUSED,
    nodes=Sight(things=(worlds.node("a"), worlds.node("b"), worlds.node("plain", ""))),
    daemon_sets=Sight(things=(daemon_set(),)),
    deployments=Sight(),
    pods=Sight(things=(own_pod("node", "a"), own_pod("node", "b"))),
    policies=of_kind("ValidatingAdmissionPolicy"),
    bindings=of_kind("ValidatingAdmissionPolicyBinding"),
    mutating_policies=of_kind("MutatingAdmissionPolicy"),
    mutating_bindings=of_kind("MutatingAdmissionPolicyBinding"),
    webhooks=Sight(),
    accounts=of_agents("ServiceAccount"),
    roles=of_agents("ClusterRole"),
    role_bindings=of_agents("ClusterRoleBinding"),
    readiness={},
)


def changed(**fields: object) -> Status:
    """The status of the whole installation with these fields said otherwise."""
    change: Callable[..., DonjonState] = replace
    return judge(change(WHOLE, **fields))
