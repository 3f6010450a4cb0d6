"""The guard: what the chart puts into the API server for its values, and what is missing or other than Donjon printed it.

Each object is printed anew from the values and laid over the one that the API server has. What others could add to weaken it
(selectors, parameters, exclusions) is in no object of ours, so a field that was not printed counts as a change, unless it is
empty. Left out: metadata, which decides nothing, and the webhook's `caBundle`, which the webhook writes itself.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from donjon.admission.policies.accounts import Account
from donjon.admission.policies.all import DEFAULT_PREFIX, for_pods, for_the_cleanup, for_the_node_agent, to_refuse
from donjon.admission.policies.objects import API_VERSION
from donjon.admission.policies.registration import call
from donjon.admission.settings import Settings, wired_by_webhook
from donjon.findings import Finding
from donjon.formats.json import Json, JsonObject, at

AGENT, CLEANUP, SERVICE = "donjon-node", "donjon-cleanup", "donjon-webhook"
"""What the chart calls its accounts, and the Service of its webhook."""

LEASH = f"ValidatingAdmissionPolicy/{DEFAULT_PREFIX}-node-agent"
"""The one policy that an agent can feel."""

_SPECS = ("spec", "webhooks")
_WRITTEN_BY_THE_WEBHOOK = "webhooks[0].clientConfig.caBundle"
_EMPTY: tuple[Json, ...] = (None, "", {}, [])


class Guard(StrEnum):
    """What the chart put into the API server: nothing, what holds our accounts, or that and what is for pods, by what wires."""

    NONE = "none"
    ACCOUNTS = "accounts"
    POLICIES = "policies"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartValues:
    """The chart's values, as far as they decide what it puts into the API server."""

    namespace: str
    guard: Guard = Guard.NONE
    rules: Settings = field(default_factory=Settings)


def guard(chart: ChartValues) -> Mapping[str, JsonObject]:
    """The objects that the chart put there, each by its kind and name, such as `ValidatingAdmissionPolicy/donjon-refuse`."""
    return {f"{each['kind']}/{at(each, 'metadata', 'name')}": each for each in _objects(chart)}


def path(original: JsonObject) -> str:
    """Where the API server has the object."""
    kind = str(original["kind"]).lower()
    plural = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
    return f"/apis/{API_VERSION}/{plural}/{at(original, 'metadata', 'name')}"


def first_difference(original: JsonObject, live: JsonObject) -> str:
    """The first field that is not as it was printed, such as `spec.validationActions[0]`; empty where there is none."""
    return next((place for each in _SPECS for place in _differences(original.get(each), live.get(each), each)), "")


def absence(name: str) -> Finding:
    """What to tell of an object that is gone."""
    return Finding.warning("DJ024", _subject(name), "is not there", _consequence(name), _MEND)


def change(name: str, place: str) -> Finding:
    """What to tell of an object that says something else than was printed."""
    return Finding.warning("DJ025", _subject(name), f"{place} is not as Donjon printed it", _consequence(name), _REPLACE)


def idle_leash(name: str) -> Finding:
    """What to tell of the leash that is there and is not felt."""
    do = "see whether the API server runs with its admission plugin ValidatingAdmissionPolicy, and whether the binding is there"
    return Finding.warning("DJ026", _subject(name), "is there and refuses nothing", _consequence(name), do)


_MEND = (
    "put it back with helm upgrade (or apply what your chart renders), and find out who did it: the API server's audit log knows"
)

_REPLACE = f"delete it, since the API server may add our words to theirs, and {_MEND}"

_CONSEQUENCES: Mapping[str, str] = {
    DEFAULT_PREFIX: "pods that ask for EPC are not wired, and are refused",
    f"{DEFAULT_PREFIX}-refuse": "pods may start that Donjon refuses, without their device or with the provisioning key",
    f"{DEFAULT_PREFIX}-warn": "whoever makes a pod may not be warned",
    f"{DEFAULT_PREFIX}-warn-workloads": "whoever applies a workload may not be warned",
    f"{DEFAULT_PREFIX}-debug": "privileged containers may come beside those of a running pod unseen",
    f"{DEFAULT_PREFIX}-device-classes": "a device class may claim our names",
    f"{DEFAULT_PREFIX}-node-agent": "the agents' account may change every node in any way",
    f"{DEFAULT_PREFIX}-node-events": "the agents' account may write Events of anything",
    f"{DEFAULT_PREFIX}-uninstall": "the account of the uninstall hook may change every node in any way",
}


def _consequence(name: str) -> str:
    return _CONSEQUENCES[name.partition("/")[2]]


def _subject(name: str) -> str:
    return name.replace("/", " ")


def _objects(chart: ChartValues) -> tuple[JsonObject, ...]:
    namespace = chart.namespace
    agent, cleanup = (Account(namespace=namespace, name=name) for name in (AGENT, CLEANUP))
    accounts = (*for_the_node_agent(DEFAULT_PREFIX, agent), *for_the_cleanup(DEFAULT_PREFIX, cleanup))
    match chart.guard:
        case Guard.NONE:
            return ()
        case Guard.ACCOUNTS:
            return accounts
        case Guard.POLICIES:
            return (*for_pods(DEFAULT_PREFIX, chart.rules), *accounts)
        case Guard.WEBHOOK:
            rules = replace(chart.rules, wired_by=wired_by_webhook(namespace))
            return (call(DEFAULT_PREFIX, namespace, SERVICE), *to_refuse(DEFAULT_PREFIX, rules), *accounts)


def _differences(original: Json, live: Json, place: str) -> Iterator[str]:
    match original, live:
        case dict(), dict():
            for key in {**original, **live}:
                yield from _differences(original.get(key), live.get(key), f"{place}.{key}")
        case list(), list() if len(original) == len(live):
            for index, (ours, theirs) in enumerate(zip(original, live, strict=True)):
                yield from _differences(ours, theirs, f"{place}[{index}]")
        case _ if original in _EMPTY and live in _EMPTY:
            return
        case _ if original != live and place != _WRITTEN_BY_THE_WEBHOOK:
            yield place
