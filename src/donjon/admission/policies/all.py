"""All policies that the API server needs, as objects: printed by `donjon admission policies`, installed by the chart."""

from dataclasses import replace

from donjon.admission.policies.accounts import Account
from donjon.admission.policies.agent import hold_to_its_node
from donjon.admission.policies.cleanup import hold_to_taking_away
from donjon.admission.policies.device_classes import refuse_device_classes
from donjon.admission.policies.enclaves import ENCLAVES, ENFORCED, enclave_calls, hold_enclaves
from donjon.admission.policies.events import hold_to_its_events
from donjon.admission.policies.refusals import refuse, warn_on_pods, warn_on_workloads, watch_debugging
from donjon.admission.policies.wiring import wire
from donjon.admission.settings import Settings, wired_by_policy
from donjon.formats.json import Json, JsonObject

DEFAULT_PREFIX = "donjon"
DEFAULT_ACCOUNT = Account(namespace="donjon", name="donjon-node")
DEFAULT_CLEANUP = Account(namespace="donjon", name="donjon-cleanup")


def for_pods(prefix: str, settings: Settings | None = None) -> tuple[JsonObject, ...]:
    """The policies about pods and the workloads that make them: they wire, refuse and warn."""
    return (*wire(prefix), *to_refuse(prefix, replace(settings or Settings(), wired_by=wired_by_policy(prefix))))


def to_refuse(prefix: str, settings: Settings) -> tuple[JsonObject, ...]:
    """The policies that refuse and warn, whatever it is that wires."""
    return (
        *refuse(f"{prefix}-refuse", settings),
        *warn_on_pods(f"{prefix}-warn", settings),
        *warn_on_workloads(f"{prefix}-warn-workloads", settings),
        *watch_debugging(f"{prefix}-debug", settings),
        *refuse_device_classes(f"{prefix}-device-classes"),
    )


def for_enclaves(prefix: str, namespace: str, service: str, enforced: Json = ENFORCED) -> tuple[JsonObject, ...]:
    """What admits by an enclave's identity: the two calls, and the policy that speaks where nobody answers them."""
    name = f"{prefix}-{ENCLAVES}"
    return (*enclave_calls(name, namespace, service, enforced), *hold_enclaves(name, namespace, enforced))


def for_the_node_agent(prefix: str, account: Account) -> tuple[JsonObject, ...]:
    """The policies that hold the node agent to its own node, there and in its Events."""
    return (*hold_to_its_node(f"{prefix}-node-agent", account), *hold_to_its_events(f"{prefix}-node-events", account))


def for_the_cleanup(prefix: str, account: Account) -> tuple[JsonObject, ...]:
    """The policy that holds the account of the uninstall hook to taking away."""
    return hold_to_taking_away(f"{prefix}-uninstall", account)
