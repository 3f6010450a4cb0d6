"""Whether an upgrade of a workload of ours has come to its end, or stands still, and how it is taken back."""

from donjon.diagnosis.installation import NODE, DonjonState
from donjon.diagnosis.own_pods import breakdown
from donjon.formats.json import JsonObject, at
from donjon.formats.words import recite
from donjon.kube.names import LABEL_COMPONENT
from donjon.kube.objects import condition_of, count, is_here, labels_of, name_of


def is_of_one_version(workload: JsonObject | None) -> bool:
    """Whether its controller holds all its pods for its newest version."""
    if labels_of(workload).get(LABEL_COMPONENT) == NODE:
        return workload is not None and is_rolled_out(workload)
    status = at(workload, "status")
    whole = at(status, "updatedReplicas") == at(status, "replicas") and not failure(workload)
    return at(status, "observedGeneration") == at(workload, "metadata", "generation") and whole


def is_rolled_out(daemon_set: JsonObject) -> bool:
    """Whether its controller has seen its newest version, and all its pods are of that."""
    if at(daemon_set, "status", "observedGeneration") != at(daemon_set, "metadata", "generation"):
        return False
    return count(daemon_set, "status", "updatedNumberScheduled") >= count(daemon_set, "status", "desiredNumberScheduled")


def first_breakdown(here: DonjonState, component: str) -> str:
    """The first pod of a program that waiting does not mend, and why; empty where there is none."""
    broken = ((pod, breakdown(pod, here.moment)) for pod in here.pods.of(component) if is_here(pod))
    return next((f"{name_of(pod)}: {words}" for pod, words in broken if words), "")


def failure(deployment: JsonObject | None) -> str:
    """What the Deployment itself says that it cannot do: make a pod, or come to its newest version in time."""
    signs = {"ReplicaFailure": "True", "Progressing": "False"}
    failures = (each for kind, status in signs.items() if (each := condition_of(deployment, kind)).get("status") == status)
    return next((recite(each.get("message")) for each in failures), "")


def go_back(namespace: str) -> str:
    """How an upgrade that stands still is taken back."""
    return (
        f"helm rollback donjon REVISION -n {namespace} goes back (helm history donjon -n {namespace} has the revisions: "
        "take the last that worked, none that failed)"
    )
