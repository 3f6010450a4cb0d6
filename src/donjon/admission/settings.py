"""What the rules need to know besides the pod: where it is to run, and what whoever runs the cluster has chosen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from donjon.admission.nodes import LargestNode
from donjon.kube.names import LABEL_COMPONENT, LABEL_PROVISION, PROVISION_ALLOWED


def wired_by_policy(name: str) -> str:
    """What wires pods inside the API server, as the words of a refusal go on: "check that …"."""
    return f"the policy and its binding are there (kubectl get mutatingadmissionpolicy,mutatingadmissionpolicybinding {name})"


def wired_by_webhook(namespace: str) -> str:
    """What wires pods where the API server calls us for it, as the words of a refusal go on: "check that …"."""
    return f"the webhook runs (kubectl get pods -n {namespace} -l {LABEL_COMPONENT}=admission)"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionContext:
    """The namespace that a pod is made in."""

    namespace: str
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    made_by: str = "Pod"  # the kind of the object that makes the pod
    by_kubelet: bool = False  # whether a kubelet asks for it to be made
    largest_node: LargestNode | None = None  # where the nodes are known

    @property
    def may_provision(self) -> bool:
        """Whether its pods may have the provisioning key."""
        return self.labels.get(LABEL_PROVISION) == PROVISION_ALLOWED


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What whoever runs the cluster has chosen."""

    wired_by: str = wired_by_policy("donjon")  # what wires pods and how to see it, for the words of a refusal
    provision_accounts: tuple[str, ...] = ()  # NAMESPACE:NAME of service accounts whose pods may have the provisioning key
    provision_by_annotation: bool = False  # as Intel's webhook: whoever annotates may
    refuse_host_devices: bool = False  # refused, not only warned about
