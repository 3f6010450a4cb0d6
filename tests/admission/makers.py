"""What makes pods: each kind with its place in the API, and one of it around a pod."""

from donjon.formats.json import JsonObject, at

MAKERS = {
    "DaemonSet": ("apis/apps/v1", "daemonsets"),
    "Deployment": ("apis/apps/v1", "deployments"),
    "ReplicationController": ("api/v1", "replicationcontrollers"),
    "CronJob": ("apis/batch/v1", "cronjobs"),
}
"""Kinds that make pods, each of another shape, with their place in the API."""


def workload(kind: str, pod: JsonObject) -> JsonObject:
    """What makes that pod."""
    name, group = str(at(pod, "metadata", "name")), MAKERS[kind][0].partition("/")[2]
    labels: JsonObject = {"a": name}
    metadata = {**{field: value for field, value in member(pod, "metadata").items() if field != "name"}, "labels": labels}
    restarts = "Never" if kind == "CronJob" else "Always"
    template: JsonObject = {"metadata": metadata, "spec": {**member(pod, "spec"), "restartPolicy": restarts}}
    made: JsonObject = {"apiVersion": group, "kind": kind, "metadata": {"name": name}}
    if kind == "CronJob":
        return {**made, "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": template}}}}
    selector: JsonObject = labels if kind == "ReplicationController" else {"matchLabels": labels}
    return {**made, "spec": {"selector": selector, "template": template}}


def member(owner: JsonObject, field: str) -> JsonObject:
    """The object under that name."""
    value = owner[field]
    assert isinstance(value, dict)
    return value
