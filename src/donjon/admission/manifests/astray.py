"""SGX asked for where no rule sees it: under a misspelt field, for a pod as a whole, by a name that nobody has, without a number.

`mentions` has names elsewhere in an object, `bounds` the objects that bound or offer EPC; this puts all three together.

No policy can tell, since the API server has refused such a field or dropped it before any is asked: it refuses what it does not
know when kubectl sends it (`fieldValidation=Strict`), and drops it, with a warning, when others do (`Warn`, its default).
So this is for `donjon check`, which sees what was written.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice

from donjon.admission.codes import MISPLACED, UNLIKELY, WITHOUT_NUMBER
from donjon.admission.intent import FIELDS, text
from donjon.admission.limits import LIKELY, MAX_LIST_LENGTH
from donjon.admission.manifests.api_server import misnamed, says_no_number
from donjon.admission.manifests.bounds import bounds, is_bound
from donjon.admission.manifests.mentions import mentions, wrong_place
from donjon.admission.manifests.workloads import PodTemplate, Thing, dotted_path
from donjon.admission.reasons import Reason
from donjon.findings import Finding, Severity
from donjon.findings.codes import MISNAMED
from donjon.formats.json import Json, JsonObject, at
from donjon.kube.names import EPC, FOREIGN_EPC, SGX_RESOURCES
from donjon.kube.patch import escape
from donjon.kube.quantities import BINARY_SUFFIXES, amount, canonical
from donjon.kube.spelling import closest_resource, intended_resource, nobodys, suggestion
from donjon.kube.vocabulary import TABLE, is_ours

MAX_TOGETHER = 100
"""Of one kind of finding about one object: a manifest has room for tens of thousands of names."""
_FREE = frozenset(
    ("metadata", "status", "annotations", "labels", "matchLabels", "nodeSelector", "overhead", "volumeAttributes", "stringData")
)
"""Fields whose keys are chosen freely, or that the cluster writes: a name of SGX there asks for nothing."""

_KINDS = ("limits", "requests")
_LETTERS = frozenset(name.casefold() for name in SGX_RESOURCES)


def astray(thing: Thing, pod_templates: Iterable[PodTemplate]) -> tuple[Reason, ...]:
    """What an object asks of SGX in vain; places are in its document. `pod_templates` are those in it."""
    templates = tuple(pod_templates)
    resource_places = {f"{place}/resources/{kind}" for each in templates for place, _ in _containers(each) for kind in _KINDS}
    stray = _misplaced_names(thing, templates, resource_places) if _may_ask(thing, templates) else ()
    return (
        *_first(bounds(thing)),
        *_first(sorted(stray, key=lambda each: each.finding.severity is not Severity.ERROR)),
        *_first(chain(mentions(thing, templates, resource_places), *map(_in_place, templates))),
    )


def _first(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """As many as are told, the last with the word that there are more, which are not even looked for."""
    first = tuple(islice(reasons, MAX_TOGETHER + 1))
    if len(first) <= MAX_TOGETHER:
        return first
    *rest, last = first[:MAX_TOGETHER]
    observation = f"{last.finding.observation} (and there is more of this object, of which nothing is told)"
    return (*rest, replace(last, finding=replace(last.finding, observation=observation)))


def names_sgx(template: PodTemplate) -> bool:
    """Whether a container of the pod asks for SGX by one of its names, in whatever amount."""
    resources = [at(container, "resources", kind) for _, container in _containers(template) for kind in _KINDS]
    return any(name in SGX_RESOURCES for each in resources if isinstance(each, dict) for name in each)


def _may_ask(thing: Thing, templates: tuple[PodTemplate, ...]) -> bool:
    """Whether a name of SGX in it may ask for SGX: not in a node, a quota, a rule, a part of a pod, which make none."""
    return bool(templates) or (thing.foreign and not thing.rules and not is_bound(thing))


def _containers(template: PodTemplate) -> Iterator[tuple[str, JsonObject]]:
    """Every container with its place."""
    for field in (*FIELDS, "ephemeralContainers"):
        entries = at(template.pod, "spec", field)
        for index, container in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(container, dict):
                yield f"{template.template}/spec/{field}/{index}", container


def _misplaced_names(thing: Thing, templates: tuple[PodTemplate, ...], resource_places: set[str]) -> Iterator[Reason]:
    of_pods = {f"{each.template}/spec/resources/{kind}" for each in templates for kind in _KINDS}
    for place, names in _mentions(thing.path, thing.content, resource_places):
        severity, where, why, do = _FOR_A_POD if place in of_pods else _UNKNOWN_FIELD if thing.is_builtin else _IN_ANOTHERS_KIND
        finding = Finding(
            code=MISPLACED,
            severity=severity,
            subject=dotted_path(place.removeprefix(thing.path))[-MAX_LIST_LENGTH:],
            observation=f"asks for {', '.join(names)} {where}",
            why=why,
            do=do,
        )
        yield Reason(finding=finding, place=f"{place}/{escape(names[0])}")


_UNDER_LIMITS = "write it under resources.limits of the container that needs it"
_FOR_A_POD = (
    Severity.ERROR,
    "for the pod as a whole",
    "Kubernetes counts cpu, memory and huge pages that way and refuses others; before 1.34 it drops them",
    _UNDER_LIMITS,
)
_IN_ANOTHERS_KIND = (
    Severity.WARNING,
    "in a form that is not looked at",
    "what the controller of this kind makes of it shows only in the pods that it makes",
    "look at those: kubectl get pod POD -o yaml | donjon check -",
)
_UNKNOWN_FIELD = (
    Severity.ERROR,
    "where nobody looks",
    "Kubernetes knows no such field: kubectl has it refused, others have it dropped, and the pod asks for nothing",
    _UNDER_LIMITS,
)


def _mentions(path: str, whole: Json, resource_places: set[str]) -> Iterator[tuple[str, list[str]]]:
    """The objects elsewhere that have names of SGX for keys."""
    waiting: list[tuple[str, Json]] = [(path, whole)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, dict) and place not in resource_places:
            names = [name for name in value if name.casefold() in _LETTERS]
            if names:
                yield place, names
            inner = [(f"{place}/{escape(key)}", each) for key, each in value.items() if key not in _FREE]
            waiting += reversed(inner)
        elif isinstance(value, list):
            waiting += [(f"{place}/{index}", each) for index, each in reversed([*enumerate(value)])]


def _in_place(template: PodTemplate) -> Iterator[Reason]:
    """Names and amounts that Kubernetes takes and that nevertheless get nothing."""
    for place, container in _containers(template):
        subject = f"container {text(container.get('name'))}"
        limits, requests = (at(container, "resources", kind) for kind in _KINDS)
        for name, (kind, quantity) in {**_amounts_of_kind("requests", requests), **_amounts_of_kind("limits", limits)}.items():
            finding = (
                _misnamed_resource(subject, name)
                or _without_number(subject, name, quantity)
                or _with_suffix(subject, name, quantity)
            )
            if finding is not None:
                yield Reason(finding=finding, place=f"{place}/resources/{kind}/{escape(name)}")


def _amounts_of_kind(kind: str, amounts: Json) -> dict[str, tuple[str, Json]]:
    return {name: (kind, quantity) for name, quantity in amounts.items()} if isinstance(amounts, dict) else {}


def _misnamed_resource(container: str, name: str) -> Finding | None:
    """What is to be said of a name that a container asks for and no node of ours offers."""
    if not (near := intended_resource(name)):
        return None
    term = TABLE.get(name)
    if term is not None:
        observation = f"asks for {name}, which is no name of SGX"
        return wrong_place(container, name) if term.places else nobodys(container, observation, term)
    return Finding.warning(
        MISNAMED,
        container,
        f"asks for {name}, which is no name of SGX",
        _why(name),
        suggestion(name, near),
    )


def _why(name: str) -> str:
    if misnamed(name):
        return "Kubernetes refuses such a name"
    if is_ours(name) or closest_resource(name):
        return "no node offers that, so the pod would stay Pending for ever"
    return "Donjon offers nothing of that name, so the pod would stay Pending for ever unless another plugin does"


def _without_number(container: str, name: str, quantity: Json) -> Finding | None:
    if name not in SGX_RESOURCES or not says_no_number(quantity):
        return None
    return Finding.warning(
        WITHOUT_NUMBER,
        container,
        f"{name} is {'null' if quantity is None else f'{quantity!s:.60}'}, which says no number",
        "Kubernetes takes that for 0, so the container asks for nothing and starts without SGX",
        "write the amount, such as 10Mi; a template may have had no value to fill in",
    )


def _with_suffix(container: str, name: str, quantity: Json) -> Finding | None:
    """What is to be said of `64Ki` under a name that counts MiB; of what no machine has the rules themselves speak."""
    value = amount(quantity)
    in_bytes = (value or 0) * FOREIGN_EPC.get(name, 0)
    if not (0 < in_bytes < LIKELY and isinstance(quantity, str) and quantity.strip().endswith(BINARY_SUFFIXES)):
        return None
    return Finding.warning(
        UNLIKELY,
        container,
        f"{name} is {quantity:.60}, which is {canonical(int(in_bytes))} of EPC",
        "the name counts MiB by itself, and a suffix that is written besides multiplies them",
        f"write the number of MiB alone, such as 64; with a suffix write {EPC}",
    )
