"""Which rules of the table hold for a pod as it came out of `mutation`, with their words filled in.

A container has one reason concerning its EPC, the first that fits: too much, amounts that differ, a foreign name, no device.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from donjon.admission.intent import Container, Intent, text
from donjon.admission.mutation import MAX_COUNTED
from donjon.admission.nodes import LargestNode
from donjon.admission.rules import (
    BEYOND_NODES,
    BY_HAND,
    HOST_DEVICES,
    MAX_CONTAINERS,
    MAX_DEVICES,
    MAX_LIST_LENGTH,
    UNSHOWN,
    AdmissionRule,
    table,
)
from donjon.admission.settings import AdmissionContext, Settings
from donjon.findings import Finding
from donjon.formats.json import JsonObject, at, objects
from donjon.kube.names import (
    AESMD,
    ANNOTATION_QUOTE_PROVIDER,
    DEVICES,
    ENCLAVE,
    EPC,
    EPC_PAGE,
    EPC_UNITS,
    FOREIGN_EPC,
    LABELS_PLATFORM,
    PROVISION,
)
from donjon.kube.patch import escape
from donjon.kube.quantities import canonical
from donjon.kube.reserved import epc_total

BOUNDS: Mapping[str, int] = {name: MAX_COUNTED // unit for name, unit in EPC_UNITS.items()} | dict.fromkeys(DEVICES, MAX_DEVICES)
"""From where on a number is too much. The sum of all containers that may be in one pod is far below an int64, beyond which the
scheduler and the kubelet wrap: the pod would seem to ask for less than nothing, and so would everybody else on its node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A rule that holds, and the field that shows it, as a JSON pointer into the pod."""

    finding: Finding
    place: str


def reasons(intent: Intent, original: Intent, around: AdmissionContext, settings: Settings) -> tuple[Reason, ...]:
    """Every rule that holds, in the table's order; nothing for a pod that does not ask.

    `original` is the pod as it was before `mutation`: a DaemonSet chooses its nodes by that.
    """
    all_reasons: list[Reason] = []
    for rule in _applicable_rules(intent, around, settings):
        concerned = _concerned_containers(rule, intent, settings)
        if concerned is not None and _about_pod(rule, intent, original, around, settings):
            finding = _fill_holes(_fitting_words(rule, concerned), concerned, intent, around, settings)
            all_reasons.append(Reason(finding=finding, place=_place(rule, concerned)))
    return tuple(all_reasons)


def _applicable_rules(intent: Intent, around: AdmissionContext, settings: Settings) -> tuple[AdmissionRule, ...]:
    """All rules; but only one about a pod that does not ask, and hardly more about one with too many containers."""
    rules = table(refuse_host_devices=settings.refuse_host_devices) + ((BEYOND_NODES,) if around.largest_node else ())
    if not intent.asks:
        return tuple(rule for rule in rules if rule.code == HOST_DEVICES)
    if len(intent.containers) <= MAX_CONTAINERS:
        return tuple(rule for rule in rules if rule.code != "DJ113")
    return tuple(rule for rule in rules if rule.code in {"DJ113", HOST_DEVICES})


def _about_pod(rule: AdmissionRule, intent: Intent, original: Intent, around: AdmissionContext, settings: Settings) -> bool:
    """Whether the rule can hold at all for this pod, where it stands."""
    match rule.code:
        case "DJ104":
            return not (around.may_provision or _account(intent, around) in settings.provision_accounts)
        case "DJ105":
            return bool(intent.node) and not (around.by_kubelet and intent.mirrors)
        case "DJ111":
            return intent.windows
        case "DJ112":
            return _nobody(intent)
        case "DJ114":
            return bool(intent.devices)
        case "DJ132":
            return around.largest_node is not None and epc_total(intent.pod) > around.largest_node.epc
        case "DJ116":
            return around.made_by == "DaemonSet" and _anywhere(original)
        case _:
            return True


def _account(intent: Intent, around: AdmissionContext) -> str:
    return f"{around.namespace}:{text(at(intent.pod, 'spec', 'serviceAccountName')) or 'default'}"


def _nobody(intent: Intent) -> bool:
    """Whether the quote provider names no container of a pod that wants EPC."""
    names = {"", AESMD, *(container.name for container in intent.containers)}
    return intent.quote_provider not in names and any(container.wants_any(EPC_UNITS) for container in intent.containers)


def _anywhere(intent: Intent) -> bool:
    """Whether a pod that wants EPC says nothing of the nodes that it goes to, but what all of them are."""
    selector = at(intent.pod, "spec", "nodeSelector")
    selected = isinstance(selector, dict) and any(label not in LABELS_PLATFORM for label in selector)
    is_selective = selected or (bool(intent.required_terms) and all(map(_chooses_nodes, intent.required_terms)))
    return not is_selective and any(container.wants_any(EPC_UNITS) for container in intent.containers)


def _chooses_nodes(term: JsonObject) -> bool:
    labels = (each.get("key") for each in objects(term.get("matchExpressions")))
    return bool(term.get("matchFields")) or any(label not in LABELS_PLATFORM for label in labels)


def _concerned_containers(rule: AdmissionRule, intent: Intent, settings: Settings) -> tuple[Container, ...] | None:
    """The containers that it holds for; `None` where it does not hold, nobody where it is about the pod."""
    holds = _ABOUT_CONTAINERS.get(rule.code)
    if holds is None:
        return ()
    concerned = tuple(filter(holds, intent.containers))
    if rule.code == "DJ104" and settings.provision_by_annotation:
        concerned = tuple(container for container in concerned if container.name != intent.quote_provider)
    return concerned or None


def _excessive_resources(container: Container) -> tuple[str, ...]:
    """What it asks too much of."""
    return tuple(name for name, bound in BOUNDS.items() if container.limits.get(name, 0) >= bound)


def _repeated_devices(container: Container) -> tuple[str, ...]:
    """The devices of which it asks for more than one, and not for so many that they are too much."""
    return tuple(name for name in DEVICES if 1 < container.limits.get(name, 0) < BOUNDS[name])


def _asks_too_much(container: Container) -> bool:
    return bool(_excessive_resources(container))


def _has_differing_amounts(container: Container) -> bool:
    byte_amounts = {amount * EPC_UNITS[name] for name, amount in container.limits.items() if name in EPC_UNITS}
    return len(byte_amounts) > 1 and not _asks_too_much(container)


def _has_foreign_name(container: Container) -> bool:
    return container.wants_any(FOREIGN_EPC) and not (_asks_too_much(container) or _has_differing_amounts(container))


def _lacks_device(container: Container) -> bool:
    has_other_reason = _asks_too_much(container) or _has_differing_amounts(container) or _has_foreign_name(container)
    return container.wants_any(EPC_UNITS) and not container.wants(ENCLAVE) and not has_other_reason


_ABOUT_CONTAINERS: Mapping[str, Callable[[Container], bool]] = {
    "DJ101": _lacks_device,
    "DJ102": _has_foreign_name,
    "DJ103": _asks_too_much,
    "DJ104": lambda container: container.wants(PROVISION),
    "DJ106": _has_differing_amounts,
    "DJ107": lambda container: 0 < container.limits.get(EPC, 0) < EPC_PAGE,
    "DJ108": lambda container: container.wants(ENCLAVE) and not container.wants_any(EPC_UNITS),
    "DJ115": lambda container: container.privileged,
    "DJ117": lambda container: bool(_repeated_devices(container)),
    "DJ132": lambda container: container.wants_any(EPC_UNITS),
    "DJ109": lambda container: EPC_PAGE < container.limits.get(EPC, 0) < MAX_COUNTED and container.limits[EPC] % EPC_PAGE != 0,
}


_PLACES: Mapping[str, str] = {
    "DJ105": "/spec/nodeName",
    "DJ112": f"/metadata/annotations/{escape(ANNOTATION_QUOTE_PROVIDER)}",
    "DJ113": "/spec/containers",
    "DJ114": "/spec/volumes",
}
"""Where a rule about the pod shows."""


def _place(rule: AdmissionRule, concerned: Sequence[Container]) -> str:
    if not concerned:
        return _PLACES.get(rule.code, "/spec")
    if rule.code == "DJ115":
        return f"{concerned[0].here}/securityContext/privileged"
    own = {"DJ104": (PROVISION,), "DJ108": (ENCLAVE,), "DJ117": _repeated_devices(concerned[0])}
    names = own.get(rule.code, tuple(EPC_UNITS))
    name = next((name for name in names if name in concerned[0].limits), EPC)
    return f"{concerned[0].path}/limits/{escape(name)}"


def _fitting_words(rule: AdmissionRule, concerned: Sequence[Container]) -> AdmissionRule:
    """The rule in the words that fit."""
    return BY_HAND if rule.code == BY_HAND.code and all(ENCLAVE in container.limits for container in concerned) else rule


def _fill_holes(
    rule: AdmissionRule, concerned: Iterable[Container], intent: Intent, around: AdmissionContext, settings: Settings
) -> Finding:
    holes = {
        "containers": _shorten(", ".join(container.name for container in concerned)),
        "quantities": _shorten(", ".join(_quantities(each, EPC_UNITS) for each in concerned)),
        "counted": _shorten(", ".join(_quantities(each, _excessive_resources(each)) for each in concerned)),
        "repeated": _shorten(", ".join(_quantities(each, _repeated_devices(each)) for each in concerned)),
        "namespace": around.namespace,
        "node": intent.node,
        "provider": _one_line(_shorten(intent.quote_provider)),
        "number": str(len(intent.containers)),
        "devices": _one_line(_shorten(", ".join(intent.devices))),
        "wiring": settings.wired_by,
        "asked": canonical(epc_total(intent.pod)),
        "largest": _largest(around.largest_node),
    }
    words = {field: getattr(rule, field).format(**holes) for field in ("subject", "observation", "why", "do")}
    return Finding(code=rule.code, severity=rule.severity, **words)


def _largest(node: LargestNode | None) -> str:
    if node is None or not node.epc:
        return f"none of {node.of if node else 0} offers any"
    return f"the largest of {node.of}, {node.name}, has {canonical(node.epc)}"


def _quantities(container: Container, names: Iterable[str]) -> str:
    return " and ".join(f"{name}: {container.limit_texts[name]}" for name in names if name in container.limit_texts)


def _one_line(words: str) -> str:
    """What someone else wrote, without what ends a line or steers a terminal."""
    return words.translate(dict.fromkeys(map(ord, UNSHOWN), " "))


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_LIST_LENGTH else f"{text[:MAX_LIST_LENGTH]}..."
