"""What a node object must say, and the patches that make it say so.

EPC is no device: the agent writes it into the node's status itself, capacity and allocatable together, and again whenever
another hand or a new node object lost it. The condition `SGXReady` says why a node does or does not serve enclaves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from donjon.findings import Finding, Severity
from donjon.formats.json import Json, JsonObject, at
from donjon.kube.names import CONDITION_READY, EPC
from donjon.kube.objects import condition_of, labels_of
from donjon.kube.quantities import same_amount
from donjon.node.labels import NO_LABELS
from donjon.node.offer import Advertise
from donjon.node.readiness import Readiness
from donjon.node.rivals import NFD_ANNOTATION

MAX_MESSAGE = (
    8_000  # Characters, so at most 32,000 bytes of the 32,768 that a condition holds; a cut message ends in an ellipsis.
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCondition:
    """The condition SGXReady, without its times."""

    status: bool
    reason: str
    message: str

    @property
    def state(self) -> str:
        """The status as Kubernetes writes it."""
        return "True" if self.status else "False"


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """What the node object must say; `None` is what the agent leaves alone."""

    epc: int | None
    labels: dict[str, str | None]
    condition: NodeCondition | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Patches:
    """A strategic merge patch for the node's status and a merge patch for the node; `None` where nothing is to be said."""

    status: JsonObject | None
    node: JsonObject | None


NOTHING_TO_DO = Patches(status=None, node=None)


def condition(readiness: Readiness, gaps: Sequence[Finding]) -> NodeCondition:
    """The verdict as the node's condition: the codes of its errors as the reason, their sentences as the message.

    What is amiss with the guard in the API server is said behind it, and decides nothing: the node can run enclaves all the same.
    """
    errors = [finding for finding in readiness.findings if finding.severity is Severity.ERROR]
    others = [finding for finding in readiness.findings if finding.severity is not Severity.ERROR]
    of_guard = [finding.sentence() for finding in gaps]
    if errors:
        reason = "_".join(dict.fromkeys(finding.code for finding in errors))[:1024]
        return NodeCondition(
            status=False, reason=reason, message=shorten("; ".join([*(finding.sentence() for finding in errors), *of_guard]))
        )
    notes = [f"{finding.subject}: {finding.observation} [{finding.code}]" for finding in others]
    return NodeCondition(
        status=True, reason="SGXReady", message=shorten("; ".join(["this node runs enclaves", *of_guard, *notes]))
    )


def shorten(text: str, most: int = MAX_MESSAGE) -> str:
    """The text, or its beginning and a sign that there was more."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def plan(node: JsonObject, desired: Desired, *, moment: str) -> Patches:
    """The patches that make the node say what is desired; `moment` (RFC 3339) is when a changed condition changed."""
    return Patches(status=_status(node, desired, moment), node=_labels(node, desired.labels))


def epc_is_anothers(node: JsonObject) -> bool:
    """Whether Node Feature Discovery writes this node's EPC: it keeps a list of what it owns in an annotation."""
    owned = at(node, "metadata", "annotations", NFD_ANNOTATION)
    return isinstance(owned, str) and EPC in {name.strip() for name in owned.split(",")}


def stated_condition(node: JsonObject) -> JsonObject:
    """The condition SGXReady as the node object has it; empty where it has none."""
    return condition_of(node, CONDITION_READY)


def farewell(node: JsonObject, advertised: frozenset[Advertise]) -> Patches:
    """The patches that take away what agents that advertise so wrote on a node; what others write there stays."""
    status: JsonObject = {}
    if Advertise.EPC in advertised and not epc_is_anothers(node):
        status |= {field: {EPC: None} for field in ("capacity", "allocatable") if at(node, "status", field, EPC) is not None}
    if stated_condition(node):
        status["conditions"] = [{"$patch": "delete", "type": CONDITION_READY}]
    labels = _labels(node, NO_LABELS if Advertise.LABELS in advertised else {})
    return Patches(status={"status": status} if status else None, node=labels)


def _status(node: JsonObject, desired: Desired, moment: str) -> JsonObject | None:
    status: JsonObject = {}
    if desired.epc is not None and _epc_differs(node, desired.epc):
        status |= {field: {EPC: str(desired.epc)} for field in ("capacity", "allocatable")}
    if desired.condition is not None:
        current = stated_condition(node)
        fields: JsonObject = {
            "status": desired.condition.state,
            "reason": desired.condition.reason,
            "message": desired.condition.message,
        }
        if any(current.get(key) != value for key, value in fields.items()):
            turned = moment if current.get("status") != fields["status"] else current.get("lastTransitionTime", moment)
            times: JsonObject = {"lastTransitionTime": turned, "lastHeartbeatTime": moment}
            status["conditions"] = [{"type": CONDITION_READY} | fields | times]
    return {"status": status} if status else None


def _epc_differs(node: JsonObject, epc: int) -> bool:
    """Whether capacity or allocatable say another amount; a node that says none is right where there is none."""
    amounts = [at(node, "status", field, EPC) for field in ("capacity", "allocatable")]
    if epc == 0 and amounts == [None, None]:
        return False
    return any(not (isinstance(amount, str) and same_amount(amount, epc)) for amount in amounts)


def _labels(node: JsonObject, desired: dict[str, str | None]) -> JsonObject | None:
    labels = labels_of(node)
    changed: dict[str, Json] = {name: value for name, value in desired.items() if labels.get(name) != value}
    return {"metadata": {"labels": changed}} if changed else None
