"""Which rules of the table hold for a pod as it came out of `mutation`, with their words filled in."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from donjon.admission.intent import Container
from donjon.admission.limits import MAX_CONTAINERS, MAX_LIST_LENGTH, UNSHOWN
from donjon.admission.nodes import LargestNode
from donjon.admission.predicates import RuleInput, excessive_resources, repeated_devices
from donjon.admission.rule import AdmissionRule, Scope
from donjon.admission.rules import BEYOND_NODES, BY_HAND, table
from donjon.findings import Finding
from donjon.kube.names import ENCLAVE, EPC_UNITS
from donjon.kube.quantities import canonical


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A rule that holds, and the field that shows it, as a JSON pointer into the pod."""

    finding: Finding
    place: str


def reasons(rule_input: RuleInput) -> tuple[Reason, ...]:
    """Every rule that holds, in the table's order; hardly one for a pod that does not ask."""
    all_reasons: list[Reason] = []
    for rule in _to_be_asked(rule_input):
        concerned = _concerned(rule, rule_input)
        if concerned is not None and rule.applies(rule_input):
            finding = _fill(_in_fitting_words(rule, concerned), concerned, rule_input)
            place = rule.container_place(concerned[0]) if concerned else rule.place
            all_reasons.append(Reason(finding=finding, place=place))
    return tuple(all_reasons)


def _to_be_asked(rule_input: RuleInput) -> tuple[AdmissionRule, ...]:
    """All rules; but only one about a pod that does not ask, and hardly more about one with too many containers."""
    rules = table(refuse_host_devices=rule_input.settings.refuse_host_devices)
    if rule_input.context.largest_node is not None:
        rules += (BEYOND_NODES,)
    scopes = {Scope.ANY}
    if len(rule_input.intent.containers) <= MAX_CONTAINERS:
        scopes |= {Scope.SMALL, Scope.ASKING} if rule_input.intent.asks else {Scope.SMALL}
    elif rule_input.intent.asks:
        scopes |= {Scope.CROWDED}
    return tuple(rule for rule in rules if rule.scope in scopes)


def _concerned(rule: AdmissionRule, rule_input: RuleInput) -> tuple[Container, ...] | None:
    """The containers that it holds for; `None` where it does not hold, nobody where it is about the pod."""
    if rule.concerns is None:
        return ()
    return tuple(container for container in rule_input.intent.containers if rule.concerns(container, rule_input)) or None


def _in_fitting_words(rule: AdmissionRule, concerned: Sequence[Container]) -> AdmissionRule:
    return BY_HAND if rule.code == BY_HAND.code and all(ENCLAVE in container.limits for container in concerned) else rule


def _fill(rule: AdmissionRule, concerned: Iterable[Container], rule_input: RuleInput) -> Finding:
    intent, context = rule_input.intent, rule_input.context
    holes = {
        "containers": _shorten(", ".join(container.name for container in concerned)),
        "quantities": _shorten(", ".join(_quantities(each, EPC_UNITS) for each in concerned)),
        "counted": _shorten(", ".join(_quantities(each, excessive_resources(each)) for each in concerned)),
        "repeated": _shorten(", ".join(_quantities(each, repeated_devices(each)) for each in concerned)),
        "strays": _one_line(_shorten(", ".join(min(each.strays) for each in concerned if each.strays))),
        "namespace": context.namespace,
        "node": intent.node,
        "provider": _one_line(_shorten(intent.quote_provider)),
        "number": str(len(intent.containers)),
        "devices": _one_line(_shorten(", ".join(intent.devices))),
        "wiring": rule_input.settings.wired_by,
        "asked": canonical(intent.epc),
        "largest": _largest(context.largest_node),
    }
    words = {field: getattr(rule, field).format(**holes) for field in ("subject", "observation", "why", "do")}
    return Finding(code=rule.code, severity=rule.severity, **words)


def _largest(node: LargestNode | None) -> str:
    if node is None or not node.epc:
        return f"none of {node.nodes_seen if node else 0} offers any"
    return f"the largest of {node.nodes_seen}, {node.name}, has {canonical(node.epc)}"


def _quantities(container: Container, names: Iterable[str]) -> str:
    return " and ".join(f"{name}: {container.limit_texts[name]}" for name in names if name in container.limit_texts)


def _one_line(words: str) -> str:
    """What someone else wrote, without what ends a line or steers a terminal."""
    return words.translate(dict.fromkeys(map(ord, UNSHOWN), " "))


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_LIST_LENGTH else f"{text[:MAX_LIST_LENGTH]}..."
