"""What Kubernetes' own warnings, and a pod's own conditions, say of one that has its node."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from donjon.diagnosis.commands import describe, make_absent, node_of
from donjon.diagnosis.moments import LONG_AGO, ago, creation, moment, moment_of, stretch
from donjon.diagnosis.running import silent_node
from donjon.findings import Finding
from donjon.findings.codes import UNREADY_NODE
from donjon.formats.json import JsonObject, at, objects
from donjon.formats.words import recite
from donjon.kube.names import EVENT_NOT_ACCOUNTED, EVENT_WITHOUT_DEVICE
from donjon.kube.objects import condition_of

START = timedelta(seconds=30)
"""After which a pod that has its node and does not start is said not to."""
MAX_WARNINGS = 3  # that are told, newest first
MAX_REASON = 128  # as events.k8s.io has it

NODE_NOT_READY = "NodeNotReady"
"""k8s.io/kubernetes pkg/controller/util/node: of every pod on a node whose kubelet fell silent."""

_BEFORE_ITS_NODE = frozenset({"FailedScheduling", "FailedCreate"})
_OF_AGENTS = frozenset({EVENT_WITHOUT_DEVICE, EVENT_NOT_ACCOUNTED})  # Believed from the node's own agent alone: `running`.
_OF_ENDINGS = frozenset({"BackOff", "Failed"})  # What the container's own status says with more words.


@dataclass(frozen=True, slots=True, kw_only=True)
class _PodWarning:
    reason: str
    message: str
    moment: datetime | None

    def words(self, now: datetime) -> str:
        when = ago(self.moment, now)
        return f"{recite(self.reason[:MAX_REASON])}: {recite(self.message) or 'no message'}{f' ({when.strip()})' if when else ''}"


def while_starting(pod: JsonObject, events: Iterable[JsonObject], now: datetime, *, is_explained: bool) -> Iterator[Finding]:
    """Warnings about a pod that is to start; `is_explained` where its containers say why it does not."""
    waited = _waited(pod, now)
    reasons = _warnings(pod, events, LONG_AGO, is_explained=is_explained)
    yield from (_of_pod(pod, each, now) for each in reasons)
    if reasons or is_explained or waited is None or waited < START:
        return
    if at(pod, "status", "startTime") is None:
        yield Finding.error(
            UNREADY_NODE,
            f"node {node_of(pod)}",
            f"its kubelet has not taken the pod up in {stretch(waited)}",
            "one that answers does so within seconds: it is stopped, or cut off",
            f"have its administrator look at the kubelet there; kubectl describe node {node_of(pod)}",
        )


def start_words(pod: JsonObject, now: datetime) -> str:
    """How far the kubelet is with a pod of which nothing bad is told."""
    at_work = [each for each in objects(at(pod, "status", "initContainerStatuses")) if at(each, "state", "running") is not None]
    waited = _waited(pod, now)
    if at_work:
        return f"its init container {at(at_work[-1], 'name')} runs first"
    if waited is None or waited < START:
        return "the kubelet is starting it"
    return f"not started after {stretch(waited)}, and no event says why: an image may still be on its way"


def while_running(pod: JsonObject, events: Iterable[JsonObject], now: datetime, *, is_explained: bool) -> Iterator[Finding]:
    """What speaks against a pod that runs: the loss of its node, warnings since it was well, and that it is not ready."""
    ready = condition_of(pod, "Ready")
    is_unready = ready.get("status") == "False"
    since = moment(ready.get("lastTransitionTime"))
    reasons = _warnings(pod, events, _last_start(pod) if is_unready else since or _last_start(pod), is_explained=is_explained)
    silence = [each for each in reasons if each.reason == NODE_NOT_READY]
    if silence or (is_unready and _silenced(pod)):
        words = silence[0].words(now) if silence else f"the pod is not ready{_since(since, now)}, and all its containers were"
        yield silent_node(pod, f"its kubelet does not answer: {words}")
        return
    yield from (_of_pod(pod, each, now, hard=is_unready) for each in reasons)
    if is_unready and not reasons and not is_explained and _all_run(pod) and (since is None or now - since >= START):
        yield Finding.error(
            "DJ138",
            "pod",
            f"is not ready{_since(since, now)}",
            "its readiness probe, or one of its readiness gates, has not said yes yet",
            describe(pod),
        )


def _of_pod(pod: JsonObject, warning: _PodWarning, now: datetime, *, hard: bool = True) -> Finding:
    make = Finding.error if hard else Finding.warning
    do = make_absent(pod, warning.message, "kubelet") or describe(pod)
    return make("DJ138", "pod", warning.words(now), "its node says so in the pod's own events", do)


def _warnings(pod: JsonObject, events: Iterable[JsonObject], since: datetime, *, is_explained: bool) -> Sequence[_PodWarning]:
    """The last of each reason, newest first."""
    elsewhere = _BEFORE_ITS_NODE | _OF_AGENTS | (_OF_ENDINGS if is_explained else frozenset())
    uid = at(pod, "metadata", "uid")
    last: dict[str, _PodWarning] = {}
    for event in events:
        if uid is None or at(event, "involvedObject", "uid") != uid or at(event, "type") != "Warning":
            continue
        each = _PodWarning(
            reason=str(at(event, "reason") or ""), message=str(at(event, "message") or ""), moment=moment_of(event)
        )
        when = each.moment or LONG_AGO
        older = last.get(each.reason)
        if each.reason not in elsewhere and when >= since and (older is None or when >= (older.moment or LONG_AGO)):
            last[each.reason] = each
    return sorted(last.values(), key=lambda each: each.moment or LONG_AGO, reverse=True)[:MAX_WARNINGS]


def _waited(pod: JsonObject, now: datetime) -> timedelta | None:
    """Since it was given to its node."""
    began = moment(condition_of(pod, "PodScheduled").get("lastTransitionTime")) or creation(pod)
    return None if began is None else now - began


def _last_start(pod: JsonObject) -> datetime:
    starts = (moment(at(each, "state", "running", "startedAt")) for each in objects(at(pod, "status", "containerStatuses")))
    return max((each for each in starts if each is not None), default=LONG_AGO)


def _silenced(pod: JsonObject) -> bool:
    """Whether all containers are ready and their pod is not: so the cluster marks the pods of a kubelet that fell silent."""
    statuses = objects(at(pod, "status", "containerStatuses"))
    # Sidecars are init containers, and count among those that are to be ready.
    if condition_of(pod, "ContainersReady").get("status") == "False":
        return False
    return bool(statuses) and not at(pod, "spec", "readinessGates") and all(at(each, "ready") is True for each in statuses)


def _all_run(pod: JsonObject) -> bool:
    """Whether no container has ended: of several that end one by one, a Job's pod is not ready and well."""
    return all(at(each, "state", "running") is not None for each in objects(at(pod, "status", "containerStatuses")))


def _since(then: datetime | None, now: datetime) -> str:
    return "" if then is None or then > now else f" since {stretch(now - then)}"
