"""Donjon's own pods: why one is not ready."""

from collections.abc import Iterable
from datetime import datetime

from donjon.diagnosis.endings import endings, stuck
from donjon.diagnosis.installation import DonjonState
from donjon.fleet.placement import node_trouble
from donjon.formats.json import Json, JsonObject, at, objects
from donjon.formats.words import recite
from donjon.kube.objects import condition_of, name_of, node_name_of

YES = "ok"
"""How the text of `/readyz` begins where a program is ready; what it has to say all the same follows."""


def own_trouble(pod: JsonObject, here: DonjonState) -> str:
    """Why a pod of ours is not ready, in its program's own words where it has some; empty where it is."""
    words = pod_trouble(pod, here.moment, here.nodes)
    return own_no(pod, here) or words if words else ""


def own_no(pod: JsonObject, here: DonjonState) -> str:
    """Why a pod's program says that it is not ready; empty where it was not asked, or says that it is."""
    no = here.readiness.get(name_of(pod), YES)
    return "" if no.startswith(YES) else recite(no)


def pod_trouble(pod: JsonObject, moment: datetime, nodes: Iterable[JsonObject]) -> str:
    """Why a pod of ours is not ready, as far as it or its node says; empty where it is."""
    ready, scheduled = condition_of(pod, "Ready"), condition_of(pod, "PodScheduled")
    if ready.get("status") == "True":
        return ""
    if words := silence(pod, nodes) or breakdown(pod, moment):
        return words
    if scheduled.get("status") == "False":
        return f"it has no node: {recite(scheduled.get('message'))}"
    if message := ready.get("message"):
        return recite(message)
    statuses = objects(at(pod, "status", "containerStatuses"))
    if statuses and all(at(each, "ready") is True for each in statuses):
        # Only the controller of nodes takes readiness from a pod whose kubelet last said that all of it is ready.
        return f"its node is away: kubectl describe node {node_name_of(pod)}"
    return "it is starting"


def silence(pod: JsonObject, nodes: Iterable[JsonObject]) -> str:
    """Why the pod's node is not ready itself: then what the pod says is old. Empty where the node is, or cannot be read."""
    place = node_name_of(pod)
    return next((node_trouble(node) for node in nodes if place and name_of(node) == place), "")


def breakdown(pod: JsonObject, moment: datetime) -> str:
    """What keeps a container of the pod from running, which waiting does not mend; empty where there is nothing."""
    trouble = next(iter((*stuck(pod, moment), *endings(pod, moment))), None)
    if trouble is None:
        return ""
    images = {at(each, "name"): at(each, "image") for each in objects(at(pod, "spec", "containers"))}
    over = [each for each in objects(at(pod, "status", "containerStatuses")) if at(each, "state", "terminated") is not None]
    # Between its end and its next start a container shows the image that it ran, which is not the one that it is to run.
    changes = [str(images[name]) for each in over if _is_another(at(each, "image"), images.get(name := at(each, "name")))]
    return f"{trouble.observation}; its image was changed to {recite(changes[0])}" if changes else trouble.observation


def _is_another(image: Json, target: Json) -> bool:
    """Whether two names of images differ, but for the registry that a runtime writes before short ones."""
    return isinstance(image, str) and isinstance(target, str) and not image.endswith(target) and "@" not in f"{image}{target}"
