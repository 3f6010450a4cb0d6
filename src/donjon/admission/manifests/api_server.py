"""What the API server does to a pod by itself, where it matters to us: it completes requests, and refuses in its own words.

It decodes before any policy and validates between ours, so what it refuses no rule of ours speaks of. Told here only for
`donjon check`, which has no API server (k8s.io/kubernetes pkg/apis/core/validation, ValidatePodSpec and
validateResourceRequirements; held against a 1.36.3).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from donjon.admission.codes import CORE_RULE
from donjon.admission.intent import FIELDS, text
from donjon.findings import Finding, Severity
from donjon.formats.json import Json, JsonObject, at
from donjon.kube.patch import escape
from donjon.kube.quantities import amount

_BLANKS = " \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
"""What `resource.Quantity` takes off both ends: Go's white space as far as JSON does not escape it."""

_NO_DIGITS = re.compile(r"(?=.)[+-]?\.?(?:[KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,18})?")
"""What `resource.ParseQuantity` takes for zero: a sign or a suffix and no number."""

_OWN_RESOURCES = frozenset({"cpu", "memory", "ephemeral-storage"})
_OWN_PREFIX = "hugepages-"
_DOMAIN = re.compile(
    r"(?=.{1,244}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
)  # "requests." goes before it
_NAME = re.compile(r"(?=.{1,63}$)([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
"""The two parts of a resource's name (k8s.io/apimachinery `validation.IsQualifiedName`)."""

_MEND_AMOUNT = "mend it as said; requests are best left out, they are copied from the limits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """One refusal of the API server's own, and the field that it is about, as a JSON pointer into the pod."""

    finding: Finding
    place: str


def complete(pod: Json) -> JsonObject:
    """The pod as policies see it: amounts decoded, limits copied to requests that are silent. Empty for what is no object."""
    if not isinstance(pod, dict):
        return {}
    spec = pod.get("spec")
    if not isinstance(spec, dict):
        return pod
    fields: JsonObject = {field: _complete_containers(spec[field]) for field in FIELDS if field in spec}
    return {**pod, "spec": {**spec, **fields}}


def _complete_containers(containers: Json) -> Json:
    return [_complete_container(each) for each in containers] if isinstance(containers, list) else containers


def _complete_container(container: Json) -> Json:
    resources = at(container, "resources")
    if not isinstance(container, dict) or not isinstance(resources, dict):
        return container
    fields: JsonObject = {field: _decode_amounts(resources[field]) for field in ("limits", "requests") if field in resources}
    limits, requests = fields.get("limits"), fields.get("requests")
    if isinstance(limits, dict) and isinstance(requests, (dict, type(None))):
        fields["requests"] = {**limits, **(requests or {})}
    return {**container, "resources": {**resources, **fields}}


def _decode_amounts(amounts: Json) -> Json:
    return {name: _decode_quantity(value) for name, value in amounts.items()} if isinstance(amounts, dict) else amounts


def _decode_quantity(quantity: Json) -> Json:
    """A quantity as the API server takes it: without blanks around it, and zero for what says no number."""
    if says_no_number(quantity):
        return "0"
    return quantity.strip(_BLANKS) if isinstance(quantity, str) else quantity


def says_no_number(quantity: Json) -> bool:
    """Whether it is one of the things that the API server takes for zero without a digit in them, `null` among them."""
    return quantity is None or (isinstance(quantity, str) and _NO_DIGITS.fullmatch(quantity.strip(_BLANKS)) is not None)


def complaints(pod: Json) -> tuple[Complaint, ...]:
    """Everything for which the API server would refuse the pod, among what people get wrong about SGX."""
    spec = at(pod, "spec")
    for place, value in (("", pod), ("/spec", spec)):
        if not isinstance(value, (dict, type(None))):
            return (_complaint("pod", place, "expected an object"),)
    return (*_spec(complete(pod)), *_metadata(pod))


def _spec(pod: JsonObject) -> Iterator[Complaint]:
    if not at(pod, "spec", "containers"):
        yield _complaint("pod", "/spec/containers", "spec.containers is missing or empty, expected at least one container")
    if at(pod, "spec", "ephemeralContainers"):
        observation = "spec.ephemeralContainers is set, and only kubectl debug adds those, to a pod that runs"
        yield _complaint("pod", "/spec/ephemeralContainers", observation, "leave it out")
    for field in FIELDS:
        containers = at(pod, "spec", field)
        if not isinstance(containers, (list, type(None))):
            yield _complaint("pod", f"/spec/{field}", f"spec.{field}: expected a list")
            continue
        for index, container in enumerate(containers or ()):
            here = f"/spec/{field}/{index}"
            if isinstance(container, dict):
                yield from _container(f"container {text(container.get('name'))}", here, container)
            else:
                yield _complaint(f"{field}[{index}]", here, "expected an object")
    yield from _volumes(at(pod, "spec", "volumes"))


def _volumes(volumes: Json) -> Iterator[Complaint]:
    for index, volume in enumerate(volumes if isinstance(volumes, list) else ()):
        path = text(at(volume, "hostPath", "path"))
        if ".." in path.split("/"):
            subject, place = f"volume {text(at(volume, 'name'))}", f"/spec/volumes/{index}/hostPath/path"
            yield _complaint(subject, place, f"hostPath {path:.60} must not contain '..'")


def _container(subject: str, here: str, container: JsonObject) -> Iterator[Complaint]:
    yield from _words(subject, here, container, ("name", "image"))
    env = container.get("env")
    for index, variable in enumerate(env if isinstance(env, list) else ()):
        if isinstance(variable, dict):
            yield from _words(subject, f"{here}/env/{index}", variable, ("name", "value"))
    yield from _resources(subject, f"{here}/resources", container.get("resources"))


def _resources(subject: str, here: str, resources: Json) -> Iterator[Complaint]:
    if not isinstance(resources, (dict, type(None))):
        yield _complaint(subject, here, "resources: expected an object")
    for field in ("limits", "requests"):
        amounts = at(resources, field)
        if not isinstance(amounts, (dict, type(None))):
            yield _complaint(subject, f"{here}/{field}", f"resources.{field}: expected an object")
            continue
        for name, quantity in (amounts or {}).items():
            place = f"{here}/{field}/{escape(name)}"
            limit = at(resources, "limits", name)
            wrong = misnamed(name) or _wrong(name, quantity) or (_beside(name, quantity, limit) if field == "requests" else "")
            # What the limit has wrong, the request that was copied from it has too.
            if wrong and not (field == "requests" and quantity == limit):
                yield _complaint(subject, place, f"{name:.200} is {quantity!s:.60}, {wrong}", _MEND_AMOUNT)


def misnamed(name: str) -> str:
    """What is wrong with the name of a resource; empty where nothing is."""
    domain, slash, rest = name.partition("/")
    if not slash:
        own = name in _OWN_RESOURCES or name.startswith(_OWN_PREFIX)
        return "" if own else "but Kubernetes has no such resource of its own, and any other has a domain before it"
    if _DOMAIN.fullmatch(domain) and _NAME.fullmatch(rest):
        return ""
    return "but a resource's name is a domain in small letters, a stroke, and letters, digits, - _ or ."


def _wrong(name: str, quantity: Json) -> str:
    value = amount(quantity)
    if value is None:
        return "expected a quantity such as 10Mi"
    if value < 0:
        return "must be greater than or equal to 0"
    return "must be an integer" if _is_extended(name) and value.denominator != 1 else ""


def _beside(name: str, quantity: Json, limit: Json) -> str:
    value, most = amount(quantity) or Fraction(0), amount(limit)
    if _is_extended(name):
        if limit is None:
            return "but a limit must be set for it too"
        return "" if value == most else f"must be equal to its limit {limit!s:.60}"
    return f"must be less than or equal to its limit {limit!s:.60}" if most is not None and value > most else ""


def _is_extended(name: str) -> bool:
    """Whether it is a resource that cannot be shared or overcommitted: one with a domain that is not Kubernetes' own."""
    return "/" in name and "kubernetes.io/" not in name


def _metadata(pod: Json) -> Iterator[Complaint]:
    for field in ("annotations", "labels"):
        entries = at(pod, "metadata", field)
        if isinstance(entries, dict):
            yield from _words(f"pod, {field}", f"/metadata/{field}", entries, tuple(entries))


def _words(subject: str, here: str, entries: JsonObject, fields: tuple[str, ...]) -> Iterator[Complaint]:
    for field in fields:
        value = entries.get(field)
        if not isinstance(value, (str, type(None))):
            what = text(entries.get("name")) if field == "value" else field
            value_text = str(value).lower() if isinstance(value, bool) else f"{value!s:.60}"
            yield _complaint(
                subject, f"{here}/{escape(field)}", f"{what} is {value_text}, expected a string: put it into quotation marks"
            )


def _complaint(subject: str, place: str, observation: str, do: str = "mend it as said") -> Complaint:
    finding = Finding(
        code=CORE_RULE,
        severity=Severity.ERROR,
        subject=subject,
        observation=observation,
        why="Kubernetes itself refuses this, before any rule of ours",
        do=do,
    )
    return Complaint(finding=finding, place=place)
