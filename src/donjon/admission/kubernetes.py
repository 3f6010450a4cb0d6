"""What the API server does to a pod by itself, where it matters to us: it completes requests, and refuses in its own words.

It decodes before any policy and validates between ours, so what it refuses no rule of ours speaks of. Told here only for
`donjon check`, which has no API server (k8s.io/kubernetes pkg/apis/core/validation, ValidateResourceRequirements).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from donjon.admission.intent import FIELDS, amount, text
from donjon.admission.rules import CORE_RULE
from donjon.findings import Finding, Severity
from donjon.kube.json import Json, JsonObject, at
from donjon.kube.patch import escaped


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """One refusal of the API server's own, and the field that it is about, as a JSON pointer into the pod."""

    finding: Finding
    place: str


def completed(pod: JsonObject) -> JsonObject:
    """The pod with its containers' limits copied to their requests where those are silent."""
    spec = pod.get("spec")
    if not isinstance(spec, dict):
        return pod
    fields: JsonObject = {field: _completed_all(spec[field]) for field in FIELDS if field in spec}
    return {**pod, "spec": {**spec, **fields}}


def _completed_all(containers: Json) -> Json:
    return [_completed(each) for each in containers] if isinstance(containers, list) else containers


def _completed(container: Json) -> Json:
    limits, requests = at(container, "resources", "limits"), at(container, "resources", "requests")
    if not isinstance(container, dict) or not isinstance(limits, dict) or not isinstance(requests, (dict, type(None))):
        return container
    resources = container["resources"]
    return {
        **container,
        "resources": {**(resources if isinstance(resources, dict) else {}), "requests": {**limits, **(requests or {})}},
    }


def complaints(pod: JsonObject) -> tuple[Complaint, ...]:
    """Everything for which the API server would refuse the pod, among what people get wrong about SGX."""
    return (*_spec(pod), *_metadata(pod))


def _spec(pod: JsonObject) -> Iterator[Complaint]:
    for field in FIELDS:
        containers = at(pod, "spec", field)
        if not isinstance(containers, (list, type(None))):
            yield _complaint("pod", f"/spec/{field}", "expected a list")
            continue
        for index, container in enumerate(containers or ()):
            here = f"/spec/{field}/{index}"
            if isinstance(container, dict):
                yield from _container(f"container {text(container.get('name'))}", here, container)
            else:
                yield _complaint(f"{field}[{index}]", here, "expected an object")


def _container(subject: str, here: str, container: JsonObject) -> Iterator[Complaint]:
    yield from _words(subject, here, container, ("name", "image"))
    env = container.get("env")
    for index, variable in enumerate(env if isinstance(env, list) else ()):
        if isinstance(variable, dict):
            yield from _words(subject, f"{here}/env/{index}", variable, ("name", "value"))
    yield from _resources(subject, f"{here}/resources", container.get("resources"))


def _resources(subject: str, here: str, resources: Json) -> Iterator[Complaint]:
    for field in ("limits", "requests"):
        stated = at(resources, field)
        if not isinstance(stated, (dict, type(None))):
            yield _complaint(subject, f"{here}/{field}", "expected an object")
            continue
        for name, quantity in (stated or {}).items():
            place = f"{here}/{field}/{escaped(name)}"
            wrong = _wrong(name, quantity) or (field == "requests" and _beside(name, quantity, at(resources, "limits", name)))
            # What the limit has wrong, the request that was copied from it has too.
            if wrong and not (field == "requests" and quantity == at(resources, "limits", name)):
                yield _complaint(subject, place, f"{name} is {quantity!s:.60}, {wrong}")


def _wrong(name: str, quantity: Json) -> str:
    value = amount(quantity)
    if value is None:
        return "expected a quantity such as 10Mi"
    if value < 0:
        return "must be greater than or equal to 0"
    return "must be an integer" if _extended(name) and value.denominator != 1 else ""


def _beside(name: str, quantity: Json, limit: Json) -> str:
    value, most = amount(quantity) or Fraction(0), amount(limit)
    if _extended(name):
        if limit is None:
            return "but a limit must be set for it too"
        return "" if value == most else f"must be equal to its limit {limit!s:.60}"
    return f"must be less than or equal to its limit {limit!s:.60}" if most is not None and value > most else ""


def _extended(name: str) -> bool:
    """Whether it is a resource that cannot be shared or overcommitted: one with a domain that is not Kubernetes' own."""
    return "/" in name and "kubernetes.io/" not in name


def _metadata(pod: JsonObject) -> Iterator[Complaint]:
    for field in ("annotations", "labels"):
        stated = at(pod, "metadata", field)
        if isinstance(stated, dict):
            yield from _words(f"pod, {field}", f"/metadata/{field}", stated, tuple(stated))


def _words(subject: str, here: str, stated: JsonObject, fields: tuple[str, ...]) -> Iterator[Complaint]:
    for field in fields:
        value = stated.get(field)
        if not isinstance(value, (str, type(None))):
            what = text(stated.get("name")) if field == "value" else field
            shown = str(value).lower() if isinstance(value, bool) else f"{value!s:.60}"
            yield _complaint(
                subject, f"{here}/{escaped(field)}", f"{what} is {shown}, expected a string: put it into quotation marks"
            )


def _complaint(subject: str, place: str, found: str) -> Complaint:
    finding = Finding(
        code=CORE_RULE,
        severity=Severity.ERROR,
        subject=subject,
        found=found,
        why="Kubernetes itself refuses this, before any rule of ours",
        do="mend it as said; requests are best left out, they are copied from the limits",
    )
    return Complaint(finding=finding, place=place)
