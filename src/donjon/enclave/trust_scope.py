"""Where a policy on enclaves holds, and how several of them go together.

Every policy that holds for a namespace is asked, those of the cluster and the namespace's own, and a pod is admitted where all of
them admit it. So a namespace's policies narrow what the cluster's allow, and can never widen it: an enclave for debugging runs
where each policy says `debug: here`, a sample key counts where each names it, and one policy that enforces is enough to refuse.
Where no policy holds, nobody is asked.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from donjon.enclave.trust import EnclaveTrust
from donjon.kube.selection import OPERATORS

MAX_LABELS = 16  # of a selector, and as many expressions
MAX_VALUES = 32  # of an expression


class SelectorOperator(StrEnum):
    """How an expression compares a label."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"

    @property
    def takes_values(self) -> bool:
        """Whether it compares with values, or asks for the label alone."""
        return self in {SelectorOperator.IN, SelectorOperator.NOT_IN}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRule:
    """What one label of a namespace is to be."""

    key: str
    operator: SelectorOperator
    values: tuple[str, ...] = ()

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether the label is that."""
        return OPERATORS[self.operator](labels.get(self.key), list(self.values))


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceSelector:
    """Namespaces by their labels; without any rule, all of them."""

    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    rules: tuple[LabelRule, ...] = ()

    @property
    def is_everywhere(self) -> bool:
        """Whether it selects every namespace."""
        return not (self.labels or self.rules)

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Whether a namespace with these labels is one of them."""
        return all(labels.get(key) == value for key, value in self.labels.items()) and all(
            each.holds(labels) for each in self.rules
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EnclavePolicy:
    """A policy and where it holds: in its own namespace, or, of the cluster, in those that it selects."""

    name: str
    trust: EnclaveTrust
    namespace: str = ""  # empty for a policy of the cluster
    selector: NamespaceSelector = NamespaceSelector()

    def holds_in(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Whether it holds in that namespace, which has these labels."""
        return self.namespace == namespace if self.namespace else self.selector.selects(labels)


def trusts_in(policies: Iterable[EnclavePolicy], namespace: str, labels: Mapping[str, str]) -> tuple[EnclaveTrust, ...]:
    """What holds in a namespace, the cluster's policies first, each kind by name."""
    there = [each for each in policies if each.holds_in(namespace, labels)]
    return tuple(each.trust for each in sorted(there, key=lambda each: (each.namespace, each.name)))
