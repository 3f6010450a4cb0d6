"""The guard: what the chart puts into the API server for its values, each object as Donjon prints it.

Left out: what is amiss with an object that the API server has, which is `gaps`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from donjon.admission.policies.accounts import Account
from donjon.admission.policies.all import DEFAULT_PREFIX, for_pods, for_the_cleanup, for_the_node_agent, to_refuse
from donjon.admission.policies.objects import API_VERSION
from donjon.admission.policies.registration import call
from donjon.admission.settings import Settings, wired_by_webhook
from donjon.formats.json import JsonObject, at, objects

AGENT, CLEANUP, SERVICE = "donjon-node", "donjon-cleanup", "donjon-webhook"
"""What the chart calls its accounts, and the Service of its webhook."""

LEASH = f"ValidatingAdmissionPolicy/{DEFAULT_PREFIX}-node-agent"
"""The one policy that an agent can feel."""


class GuardExtent(StrEnum):
    """What the chart put into the API server: nothing, what holds our accounts, or that and what is for pods, by what wires."""

    NONE = "none"
    ACCOUNTS = "accounts"
    POLICIES = "policies"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartValues:
    """The chart's values, as far as they decide what it puts into the API server."""

    version: str = ""  # of the chart; another version of Donjon prints the same objects in its own way
    namespace: str
    extent: GuardExtent = GuardExtent.NONE
    rules: Settings = field(default_factory=Settings)


def chart_values(daemon_set: JsonObject) -> ChartValues | None:
    """The values as the chart tells them to the node agents, in the arguments of their DaemonSet; `None` where it does not."""
    values = dict(_arguments(daemon_set))
    if values.get("guard", "") not in frozenset(GuardExtent):
        return None
    return ChartValues(
        version=values.get("chart-version", ""),
        namespace=values.get("namespace", ""),
        extent=GuardExtent(values["guard"]),
        rules=Settings(
            provision_accounts=tuple(filter(None, values.get("provision-account", "").split(","))),
            provision_by_annotation="provision-by-annotation" in values,
            refuse_host_devices="refuse-host-devices" in values,
        ),
    )


def _arguments(daemon_set: JsonObject) -> Iterator[tuple[str, str]]:
    """Each by its name, with its value; of a switch that is empty."""
    for container in objects(at(daemon_set, "spec", "template", "spec", "containers")):
        words = container.get("args")
        for word in words if isinstance(words, list) else ():
            if isinstance(word, str) and word.startswith("--"):
                name, _, value = word.removeprefix("--").partition("=")
                yield name, value


def guard(chart: ChartValues) -> Mapping[str, JsonObject]:
    """The objects that the chart put there, each by its kind and name, such as `ValidatingAdmissionPolicy/donjon-refuse`."""
    return {f"{each['kind']}/{at(each, 'metadata', 'name')}": each for each in _objects(chart)}


def path(original: JsonObject) -> str:
    """Where the API server has the object."""
    kind = str(original["kind"]).lower()
    plural = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
    return f"/apis/{API_VERSION}/{plural}/{at(original, 'metadata', 'name')}"


def _objects(chart: ChartValues) -> tuple[JsonObject, ...]:
    namespace = chart.namespace
    agent, cleanup = (Account(namespace=namespace, name=name) for name in (AGENT, CLEANUP))
    accounts = (*for_the_node_agent(DEFAULT_PREFIX, agent), *for_the_cleanup(DEFAULT_PREFIX, cleanup))
    match chart.extent:
        case GuardExtent.NONE:
            return ()
        case GuardExtent.ACCOUNTS:
            return accounts
        case GuardExtent.POLICIES:
            return (*for_pods(DEFAULT_PREFIX, chart.rules), *accounts)
        case GuardExtent.WEBHOOK:
            rules = replace(chart.rules, wired_by=wired_by_webhook(namespace))
            return (call(DEFAULT_PREFIX, namespace, SERVICE), *to_refuse(DEFAULT_PREFIX, rules), *accounts)
