"""Which nodes a pod may go to by its own words: tolerations against taints, selector and required affinity against labels.

Source: k8s.io/component-helpers, `scheduling/corev1` (`toleration.ToleratesTaint`, `nodeaffinity`).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice

from donjon.formats.json import Json, JsonObject, at, objects
from donjon.formats.numbers import whole_number
from donjon.formats.words import recite
from donjon.kube.names import OURS

MAX_MISFITS = 3  # that are told of one pod and node
_HOLDING_BACK = frozenset({"NoSchedule", "NoExecute"})
UNKNOWN_VALUE = "?"
"""Of a label that a node will have and whose value is not known: no selector is said to hold of it.
No label can have this value, nor one that begins like it: such a value is like no other, and nobody can name it.
"""

CORDONED = "node.kubernetes.io/unschedulable"
"""The taint of a node that `kubectl cordon` took out."""
CORDON = f"{CORDONED}:NoSchedule"
"""The same as kubectl writes it."""
STATE_TAINTS = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")
"""How the taints begin by which Kubernetes itself tells the state of a node; no pod with an enclave is to tolerate one."""
SILENCE_TAINTS = ("node.kubernetes.io/not-ready:", "node.kubernetes.io/unreachable:")
"""Those of a node whose condition Ready is not True."""

_BY_MACHINES = (
    *("kubernetes.io", "k8s.io", f"{OURS}.dev", "sgx.intel.com", "openshift.io"),
    *("kubernetes.azure.com", "cloud.google.com", "eks.amazonaws.com", "karpenter.sh"),
)
"""The domains of labels that tell a node from others, or its state: its kubelet, its cloud or an agent writes them."""
_KEY = re.compile(r"(?:[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_BY_HAND = ("node-role.kubernetes.io", "node-restriction.kubernetes.io")
"""The domains below those that are for administrators (kubernetes.io, "Well-Known Labels")."""


def not_tolerated(pod: JsonObject, node: JsonObject) -> tuple[str, ...]:
    """The taints of a node that keep the pod away, each as kubectl writes it."""
    tolerations: dict[Json, list[JsonObject]] = {}  # by their key; without one they stand for every taint
    for each in objects(at(pod, "spec", "tolerations")):
        tolerations.setdefault(str(at(each, "key") or ""), []).append(each)
    taints = [taint for taint in objects(at(node, "spec", "taints")) if at(taint, "effect") in _HOLDING_BACK]
    if at(node, "spec", "unschedulable") is True and not any(at(taint, "key") == CORDONED for taint in taints):
        taints.append({"key": CORDONED, "effect": "NoSchedule"})
    return tuple(
        _taint_text(taint)
        for taint in taints
        if not any(tolerates(each, taint) for key in {"", str(at(taint, "key"))} for each in tolerations.get(key, ()))
    )


def selects(pod: JsonObject, name: str, labels: Mapping[str, Json]) -> bool:
    """Whether the pod's selector and required affinity let it go to a node of that name and with those labels."""
    selector = at(pod, "spec", "nodeSelector")
    if isinstance(selector, dict) and any(labels.get(key) != value for key, value in selector.items()):
        return False
    required = at(pod, "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    return any(_term_holds(term, name, labels) for term in objects(at(required, "nodeSelectorTerms")))


def misfits(pod: JsonObject, labels: Mapping[str, Json]) -> tuple[str, ...]:
    """The first of what the labels do not fit of the pod's selector and required affinity, each in words."""
    return tuple(islice(_misfits(pod, labels), MAX_MISFITS))


def _misfits(pod: JsonObject, labels: Mapping[str, Json]) -> Iterator[str]:
    selector = at(pod, "spec", "nodeSelector")
    for key, value in selector.items() if isinstance(selector, dict) else ():
        if labels.get(key) != value:
            yield f"nodeSelector {key}={value}, and it has {_label_text(key, labels)}"
    required = at(pod, "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    terms = objects(at(required, "nodeSelectorTerms"))
    if any(_term_holds(term, "", labels) for term in terms):
        return
    for each in (each for term in terms for each in objects(at(term, "matchExpressions"))):
        if not _holds(each, labels):
            yield f"node affinity {_expression_text(each)}, and it has {recite(_label_text(str(at(each, 'key')), labels))}"


def label_absences(pod: JsonObject, name: str, labels: Mapping[str, Json]) -> dict[str, str]:
    """The labels that a node has not at all, and that would let the pod in; empty where those that it has keep the pod away."""
    selector = at(pod, "spec", "nodeSelector")
    pairs = selector if isinstance(selector, dict) else {}
    if any(labels.get(key, value) != value for key, value in pairs.items()):
        return {}
    needs = {key: str(value) for key, value in pairs.items() if key not in labels}
    required = at(pod, "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return needs
    for term in objects(at(required, "nodeSelectorTerms")):
        way = needs | _absences(term, labels)
        if way and _term_holds(term, name, {**labels, **way}):
            return way
    return {}


def for_administrators(label: str, value: str) -> bool:
    """Whether an administrator may give a node that label: not one that tells a node from others, or that an agent writes.

    Nor one that is none: API servers of before took any text for a value that an affinity wants.
    """
    if not (_KEY.fullmatch(label) and _VALUE.fullmatch(value)):
        return False
    domain = label.rpartition("/")[0]
    machines = any(domain == each or domain.endswith(f".{each}") for each in _BY_MACHINES)
    return domain in _BY_HAND or not machines


def _absences(term: JsonObject, labels: Mapping[str, Json]) -> dict[str, str]:
    """What a term wants to be there, of what is not."""
    needs = {}
    for each in objects(at(term, "matchExpressions")):
        key, values = str(at(each, "key")), at(each, "values")
        if key not in labels and at(each, "operator") in {"In", "Exists"}:
            needs[key] = str(values[0]) if isinstance(values, list) and values else ""
    return needs


def meant_for(pod: JsonObject) -> frozenset[str] | None:
    """The nodes that a pod names one by one, as those of a DaemonSet do; `None` for one that names none."""
    required = at(pod, "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    terms = [objects(at(term, "matchFields")) for term in objects(at(required, "nodeSelectorTerms"))]
    if not terms or not all(terms):
        return None
    values = (at(field, "values") for fields in terms for field in fields if at(field, "operator") == "In")
    return frozenset(str(name) for names in values if isinstance(names, list) for name in names)


def tolerates(toleration: JsonObject, taint: JsonObject, *, any_value: bool = False) -> bool:
    """Whether a pod with that toleration bears that taint; with `any_value`, whatever value the taint has."""
    effect, key = at(toleration, "effect"), at(toleration, "key")
    if effect and effect != at(taint, "effect"):
        return False
    if key and key != at(taint, "key"):
        return False
    if at(toleration, "operator") == "Exists":
        return True
    return not any_value and bool(key) and (at(toleration, "value") or "") == (at(taint, "value") or "")


def _taint_text(taint: JsonObject) -> str:
    value = at(taint, "value")
    return f"{at(taint, 'key')}{f'={value}' if value else ''}:{at(taint, 'effect')}"


def _label_text(key: str, labels: Mapping[str, Json]) -> str:
    return f"{key}={labels[key]}" if key in labels else f"no label {key}"


def _expression_text(expression: JsonObject) -> str:
    values = at(expression, "values")
    text = f" {', '.join(map(str, values))}" if isinstance(values, list) and values else ""
    return recite(f"{at(expression, 'key')} {at(expression, 'operator')}{text}")


def _term_holds(term: JsonObject, name: str, labels: Mapping[str, Json]) -> bool:
    """A term that says nothing selects nothing."""
    expressions, fields = objects(at(term, "matchExpressions")), objects(at(term, "matchFields"))
    if not expressions and not fields:
        return False
    own_fields: Mapping[str, Json] = {"metadata.name": name}
    return all(_holds(each, labels) for each in expressions) and all(_holds(each, own_fields) for each in fields)


def _holds(expression: JsonObject, labels: Mapping[str, Json]) -> bool:
    key, values = str(at(expression, "key")), at(expression, "values")
    test = OPERATORS.get(str(at(expression, "operator")))
    value, names = labels.get(key), values if isinstance(values, list) else []
    if value == UNKNOWN_VALUE or (str(value).startswith(UNKNOWN_VALUE) and value in names):
        return False
    return test is not None and test(value, names)


def _compare(value: Json, values: list[Json], sign: int) -> bool:
    mine, theirs = whole_number(value), whole_number(values[0] if values else None)
    return mine is not None and theirs is not None and sign * (mine - theirs) > 0


OPERATORS: Mapping[str, Callable[[Json, list[Json]], bool]] = {
    "In": lambda value, values: value is not None and value in values,
    "NotIn": lambda value, values: value is None or value not in values,
    "Exists": lambda value, _: value is not None,
    "DoesNotExist": lambda value, _: value is None,
    "Gt": lambda value, values: _compare(value, values, 1),
    "Lt": lambda value, values: _compare(value, values, -1),
}
"""What an expression of a selector or an affinity says by its operator, of the value that a label has and the values it names."""
