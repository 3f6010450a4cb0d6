"""What a pod is called, and the commands with which a person goes on."""

import re
from collections.abc import Sequence

from donjon.formats.json import JsonObject, at
from donjon.kube.names import ANNOTATION_MIRROR
from donjon.kube.objects import labels_of, name_of, namespace_of, node_name_of, owners_of

_OF_CRON_JOB = re.compile(r"(?P<maker>.+)-\d{8}")
"""What a CronJob calls its Jobs: by the minute (k8s.io/kubernetes pkg/controller/cronjob)."""
_ABSENT = re.compile(r'\b(?P<kind>configmap|secret|persistentvolumeclaim) "(?P<name>[-a-z0-9./]+)" not found')
"""k8s.io/kubernetes pkg/volume, pkg/kubelet and pkg/scheduler, of what a pod is made with."""
_KIND = re.compile(r"[A-Za-z]{1,63}")
_NAME = re.compile(r"[a-z0-9][-.a-z0-9]{0,252}")
_HASH = "pod-template-hash"  # which Deployments write on their pods and ReplicaSets
MAX_NAMES = 3
"""Nodes or pods that a sentence names; a table or rows have all of them."""


def subject_of(kind: str, thing: JsonObject) -> str:
    """A thing of the cluster as a person names it."""
    return f"{kind.lower()} {namespace_of(thing)}/{name_of(thing)}"


def few(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    some = ", ".join(names[:MAX_NAMES])
    return f"{some} and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else some


def place_of(thing: JsonObject) -> str:
    """The words by which kubectl finds a thing, whose kind stands before them."""
    return f"-n {namespace_of(thing)} {name_of(thing)}"


def node_of(pod: JsonObject) -> str:
    """The node that it was given, as a sentence has it."""
    return node_name_of(pod) or "no node"


def static(pod: JsonObject) -> bool:
    """Whether its kubelet took it from a file, and never asked the API server."""
    return at(pod, "metadata", "annotations", ANNOTATION_MIRROR) is not None


def describe(pod: JsonObject) -> str:
    """The command that shows what Kubernetes knows of it."""
    return f"kubectl describe pod {place_of(pod)}"


def logs(pod: JsonObject, container: str, *, previous: bool = False) -> str:
    """The command that shows what a container printed."""
    return f"kubectl logs {place_of(pod)} -c {container}{' --previous' if previous else ''}"


def remake(pod: JsonObject) -> str:
    """How to come to a new pod: what has an owner is made again by it."""
    if static(pod):
        return (
            f"take its file out of the folder of static pods on {node_of(pod)} and make it a DaemonSet or a pod of its own: "
            "a static pod is wired by nobody"
        )
    delete = f"kubectl delete pod {place_of(pod)}"
    owner = _owner(pod)
    return f"{delete}, and create it again" if owner is None else f"{delete}; {' '.join(owner)} makes a new one"


def _owner(thing: JsonObject) -> tuple[str, str] | None:
    """Kind and name of what made it. The API server looks at neither: what no thing can be called becomes part of no command."""
    owners = ((str(at(each, "kind")), str(at(each, "name"))) for each in owners_of(thing))
    return next(((kind, name) for kind, name in owners if _KIND.fullmatch(kind) and _NAME.fullmatch(name)), None)


def make_absent(pod: JsonObject, message: str, who: str) -> str:
    """What is to be made where a message says that something of the pod's is not there; empty where it says no such thing."""
    absent = _ABSENT.search(message)
    if absent is None:
        return ""
    return (
        f"make the {absent['kind']} {absent['name'].rpartition('/')[2]} in namespace {namespace_of(pod)}, or take it out of the "
        f"pod; the {who} tries again by itself"
    )


def change(pod: JsonObject) -> str:
    """How a pod comes to what was just advised: its maker is changed, and what that does not replace is deleted by hand."""
    if static(pod):
        return f"a static pod is changed in its file, on {node_of(pod)}"
    delete = f"kubectl delete pod {place_of(pod)}"
    owner = _owner(pod)
    if owner is None:
        return f"that needs a new pod: {delete}, change it and create it again"
    kind, name = owner
    if kind == "Job":
        maker = _OF_CRON_JOB.fullmatch(name)
        return change_job(namespace_of(pod), name, maker["maker"] if maker else "", " so")
    digest = labels_of(pod).get(_HASH)
    if kind == "ReplicaSet" and isinstance(digest, str) and name.endswith(f"-{digest}"):
        kind, name = "Deployment", name.removesuffix(f"-{digest}")
    own = f"{kind.lower()} {namespace_of(pod)}/{name}"
    if kind in {"Deployment", "DaemonSet"}:
        return f"change {own} so, and apply it again"
    return f"change {own} so, apply it again, then {delete}, which it may not replace by itself"


def change_job(namespace: str, job: str, cron_job: str, how: str) -> str:
    """How another Job comes of it: a Job's template is fixed, and a CronJob may wait for the end of the one that it made."""
    delete = delete_job(namespace, job)
    if cron_job:
        return (
            f"change cronjob {namespace}/{cron_job}{how}, apply it again, then {delete}: the next Job is made by that, and "
            "may be waiting for the end of this one"
        )
    return f"a Job's template cannot be changed: {delete}, change what it was made from{how}, and apply that again"


def cron_job_of(job: JsonObject) -> str:
    """The CronJob that made a Job; empty where none did."""
    owner = _owner(job)
    return owner[1] if owner is not None and owner[0] == "CronJob" else ""


def delete_job(namespace: str, job: str) -> str:
    """The command that ends a Job and its pods."""
    return f"kubectl delete job -n {namespace} {job}"
