"""What the rules ask of a container, and of a pod where it stands.

A container has one reason concerning its EPC, the first that fits: too much, amounts that differ, a foreign name, no device.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from donjon.admission.intent import Container, Intent
from donjon.admission.limits import BOUNDS, LIKELY, MAX_COUNTED
from donjon.admission.settings import AdmissionContext, Settings
from donjon.kube.names import AESMD, DEVICES, ENCLAVE, EPC, EPC_PAGE, EPC_UNITS, FOREIGN_EPC, LABELS_PLATFORM, PROVISION
from donjon.kube.patch import escape


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleInput:
    """A pod as it came out of `mutation`, as it was before, where it stands, and what was chosen there."""

    intent: Intent
    original: Intent  # a DaemonSet chooses its nodes by that
    context: AdmissionContext
    settings: Settings


def excessive_resources(container: Container) -> tuple[str, ...]:
    """What it asks too much of."""
    return tuple(name for name, bound in BOUNDS.items() if container.limits.get(name, 0) >= bound)


def repeated_devices(container: Container) -> tuple[str, ...]:
    """The devices of which it asks for more than one, and not for so many that they are too much."""
    return tuple(name for name in DEVICES if 1 < container.limits.get(name, 0) < BOUNDS[name])


def asks_too_much(container: Container) -> bool:
    """Whether it asks for too much of anything."""
    return bool(excessive_resources(container))


def has_differing_amounts(container: Container) -> bool:
    """Whether it asks for different amounts of EPC under different names."""
    return len(_byte_amounts(container)) > 1


def is_unlikely(container: Container) -> bool:
    """Whether it asks for more EPC than hardly a machine has, and not for too much."""
    return any(amount >= LIKELY for amount in _byte_amounts(container))


def _byte_amounts(container: Container) -> set[Fraction]:
    """The bytes of EPC that its names say, none where it is too much; a part of a MiB says none, for Kubernetes refuses it."""
    if asks_too_much(container):
        return set()
    return {
        amount * EPC_UNITS[name]
        for name, amount in container.limits.items()
        if name == EPC or (name in FOREIGN_EPC and amount.denominator == 1)
    }


def has_foreign_name(container: Container) -> bool:
    """Whether it still asks for EPC under a name that no node offers."""
    return container.wants_any(FOREIGN_EPC) and not (asks_too_much(container) or has_differing_amounts(container))


def lacks_device(container: Container) -> bool:
    """Whether it asks for EPC and has no enclave device."""
    if container.wants(ENCLAVE) or not container.wants_any(EPC_UNITS):
        return False
    return not (asks_too_much(container) or has_differing_amounts(container) or has_foreign_name(container))


def may_not_provision(rule_input: RuleInput) -> bool:
    """Whether neither its namespace nor its account may have the provisioning key."""
    context, account = rule_input.context, rule_input.intent.account
    return not (context.may_provision or f"{context.namespace}:{account}" in rule_input.settings.provision_accounts)


def takes_provision(container: Container, rule_input: RuleInput) -> bool:
    """Whether it wants the provisioning key, and not as the one that was allowed it by its annotation."""
    by_annotation = rule_input.settings.provision_by_annotation and container.name == rule_input.intent.quote_provider
    return container.wants(PROVISION) and not by_annotation


def bypasses_scheduler(rule_input: RuleInput) -> bool:
    """Whether its node was chosen by hand; a kubelet may say which one a static pod is on."""
    intent = rule_input.intent
    return bool(intent.node) and not (rule_input.context.by_kubelet and intent.mirrors)


def is_beyond_nodes(rule_input: RuleInput) -> bool:
    """Whether no node has as much EPC."""
    largest = rule_input.context.largest_node
    return largest is not None and rule_input.intent.epc > largest.epc


def goes_everywhere(rule_input: RuleInput) -> bool:
    """Whether it is a DaemonSet's that chooses no nodes."""
    return rule_input.context.made_by == "DaemonSet" and is_unselective(rule_input.original)


def names_nobody(intent: Intent) -> bool:
    """Whether the quote provider names no container of a pod that wants EPC."""
    names = {"", AESMD, *(container.name for container in intent.containers)}
    return intent.quote_provider not in names and any(container.wants_any(EPC_UNITS) for container in intent.containers)


def is_unselective(intent: Intent) -> bool:
    """Whether a pod that wants EPC says nothing of the nodes that it goes to, but what all of them are."""
    terms = intent.required_terms
    selected = any(label not in LABELS_PLATFORM for label in intent.selector)
    is_selective = selected or (bool(terms) and all(term.chooses for term in terms))
    return not is_selective and any(container.wants_any(EPC_UNITS) for container in intent.containers)


def is_below_page(container: Container) -> bool:
    """Whether it asks for less than one page of EPC."""
    return 0 < container.limits.get(EPC, 0) < EPC_PAGE


def is_unaligned(container: Container) -> bool:
    """Whether it asks for EPC that is no multiple of a page."""
    epc = container.limits.get(EPC, 0)
    return EPC_PAGE < epc < MAX_COUNTED and epc % EPC_PAGE != 0


def is_annotated_alone(intent: Intent) -> bool:
    """Whether its annotation says a total of EPC, and nothing else of it asks; with a runtime class it may be for Kata."""
    return intent.is_annotated and not intent.asks and not intent.runtime


def is_unaccounted(container: Container) -> bool:
    """Whether it has the device and asks for no EPC."""
    return container.wants(ENCLAVE) and not container.wants_any(EPC_UNITS)


def limit_pointer(container: Container, names: Sequence[str] = tuple(EPC_UNITS)) -> str:
    """Where the first of these of its limits stands, as a JSON pointer."""
    name = next((name for name in names if name in container.limits), EPC)
    return f"{container.path}/limits/{escape(name)}"
