"""Gaps in the guard: what is missing in the API server or other than Donjon printed it, and how it is put back.

What others could add to weaken an object (selectors, parameters, exclusions) is in none of ours, so a field that was not printed
counts as a change, unless it is empty. Left out: metadata, which decides nothing, and the webhook's `caBundle`, which the webhook
writes itself.
"""

from collections.abc import Iterator, Mapping

from donjon.admission.policies.all import DEFAULT_PREFIX
from donjon.admission.policies.guard import AGENT
from donjon.findings import Finding
from donjon.formats.json import Json, JsonObject

_SPECS = ("spec", "webhooks")
_WRITTEN_BY_THE_WEBHOOK = "webhooks[0].clientConfig.caBundle"
_EMPTY: tuple[Json, ...] = (None, "", {}, [])

_CONSEQUENCES: Mapping[str, str] = {
    DEFAULT_PREFIX: "pods that ask for EPC may not be wired, and are refused then",
    f"{DEFAULT_PREFIX}-refuse": "pods may start that Donjon refuses, without their device or with the provisioning key",
    f"{DEFAULT_PREFIX}-warn": "whoever makes a pod may not be warned",
    f"{DEFAULT_PREFIX}-warn-workloads": "whoever applies a workload may not be warned",
    f"{DEFAULT_PREFIX}-debug": "privileged containers may come beside those of a running pod unseen",
    f"{DEFAULT_PREFIX}-device-classes": "a device class may claim our names",
    f"{DEFAULT_PREFIX}-node-agent": "the agents' account may change every node in any way",
    f"{DEFAULT_PREFIX}-node-events": "the agents' account may write Events of anything",
    f"{DEFAULT_PREFIX}-uninstall": "the account of the uninstall hook may change every node in any way",
}


def gap(name: str, original: JsonObject, live: JsonObject | None, namespace: str) -> Finding | None:
    """What is amiss with the object of that name, as it was printed and as the API server has it; Donjon is in that namespace."""
    if live is None:
        return Finding.warning("DJ024", _subject(name), "is not there", _consequence(name), bring_back(namespace))
    field = first_difference(original, live)
    if not field:
        return None
    words = f"{field} is not as Donjon printed it"
    return Finding.warning("DJ025", _subject(name), words, _consequence(name), bring_back(namespace, name))


def idle_leash(name: str) -> Finding:
    """What to tell of the leash that is there and is not felt."""
    do = "see whether the API server runs with its admission plugin ValidatingAdmissionPolicy, and whether the binding is there"
    return Finding.warning("DJ026", _subject(name), "is there and refuses nothing", _consequence(name), do)


def lost_rights(words: str, namespace: str) -> Finding:
    """What an agent tells whose account the API server turns away in these words; Donjon is in that namespace."""
    return Finding.error(
        "DJ041",
        "API server",
        f"turns the agent's account away: {words}",
        "nobody keeps EPC, labels and SGXReady true, nor looks after Donjon's policies",
        f"{bring_back(namespace)}; then {new_agents(namespace)}",
    )


def new_agents(namespace: str) -> str:
    """How the agents get tokens of an account that was made anew: those of before are of the old one."""
    return f"kubectl rollout restart daemonset -n {namespace} {AGENT}"


def bring_back(namespace: str, changed: str = "") -> str:
    """How all that the chart put into the cluster is put there again, as Helm has it.

    An object that was changed is deleted first: applied over it, our words would stand beside what was added to them.
    """
    kind, _, name = changed.partition("/")
    delete = f"kubectl delete {kind.lower()} {name} && " if changed else ""
    return (
        f"have an administrator of the cluster bring it back: {delete}helm get manifest donjon -n {namespace} | "
        f"kubectl annotate --local -f - -o yaml meta.helm.sh/release-name=donjon meta.helm.sh/release-namespace={namespace} | "
        "kubectl apply --server-side --force-conflicts --field-manager=helm -f -"
    )


def first_difference(original: JsonObject, live: JsonObject) -> str:
    """The first field that is not as it was printed, such as `spec.validationActions[0]`; empty where there is none."""
    return next((path for each in _SPECS for path in _differences(original.get(each), live.get(each), each)), "")


def _differences(original: Json, live: Json, path: str) -> Iterator[str]:
    match original, live:
        case dict(), dict():
            for key in {**original, **live}:
                yield from _differences(original.get(key), live.get(key), f"{path}.{key}")
        case list(), list() if len(original) == len(live):
            for index, (ours, theirs) in enumerate(zip(original, live, strict=True)):
                yield from _differences(ours, theirs, f"{path}[{index}]")
        case _ if original in _EMPTY and live in _EMPTY:
            return
        case _ if original != live and path != _WRITTEN_BY_THE_WEBHOOK:
            yield path


def _consequence(name: str) -> str:
    return _CONSEQUENCES[name.partition("/")[2]]


def _subject(name: str) -> str:
    return name.replace("/", " ")
