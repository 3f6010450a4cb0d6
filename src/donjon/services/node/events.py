"""Events of the API server: what a person sees with `kubectl describe`."""

import logging

from donjon.adapters.kubeapi.client import KubeApi
from donjon.adapters.logs import say
from donjon.errors import Unavailable
from donjon.formats.json import JsonObject, at
from donjon.kube.names import EVENT_COMPONENT
from donjon.node.registration import shorten

LOG = logging.getLogger(__name__)

MAX_NOTE = 1024  # The API server refuses longer messages.


def event(
    *, kind: str, namespace: str, name: str, uid: str, reason: str, message: str, warning: bool, moment: str, host: str
) -> JsonObject:
    """An Event about an object; one about a node lies in the namespace default, as the kubelet's do."""
    involved: JsonObject = {"kind": kind, "apiVersion": "v1", "name": name, "uid": uid}
    if kind != "Node":
        involved["namespace"] = namespace
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{name[:200]}.", "namespace": namespace},
        "involvedObject": involved,
        "reason": reason,
        "message": shorten(message, MAX_NOTE),
        "type": "Warning" if warning else "Normal",
        "source": {"component": EVENT_COMPONENT, "host": host},
        "reportingComponent": EVENT_COMPONENT,
        "reportingInstance": host,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }


def of_node(node: JsonObject, *, reason: str, message: str, warning: bool, moment: str) -> JsonObject:
    """An Event about the agent's own node."""
    name, uid = (str(at(node, "metadata", field) or "") for field in ("name", "uid"))
    return event(
        kind="Node",
        namespace="default",
        name=name,
        uid=uid,
        reason=reason,
        message=message,
        warning=warning,
        moment=moment,
        host=name,
    )


async def announce(api: KubeApi, body: JsonObject) -> None:
    """Write an Event; that it is lost with the API server's trouble is no reason to try again."""
    try:
        await api.create(f"/api/v1/namespaces/{at(body, 'metadata', 'namespace')}/events", body)
    except Unavailable as error:
        say(LOG, "event was not written", level=logging.WARNING, error=str(error))
