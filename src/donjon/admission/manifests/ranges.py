"""A LimitRange's items about SGX: what they give to containers that ask for none, and what they keep out.

k8s.io/kubernetes pkg/apis/core/v1, `SetDefaults_LimitRangeItem`: a container's limit is `default`, else `max`; its request is
`defaultRequest`, else its limit, else `min`. Of an extended resource both must be equal (pkg/apis/core/validation).
"""

from collections.abc import Iterator

from donjon.admission.codes import BOUNDING, GIVEN_TO_ALL
from donjon.admission.intent import text
from donjon.admission.limits import MAX_LIST_LENGTH
from donjon.admission.manifests.workloads import Thing, dotted_path
from donjon.admission.reasons import Reason
from donjon.findings import Finding
from donjon.formats.json import Json, at
from donjon.kube.names import EPC, FOREIGN_EPC, SGX_RESOURCES
from donjon.kube.patch import escape
from donjon.kube.quantities import amount

_FIELDS = ("default", "max", "defaultRequest", "min", "maxLimitRequestRatio")
_OF_CONTAINERS = "Container"
_ADVICE = f"leave default, max and min out, and bound {EPC} by a ResourceQuota"


def is_range(value: dict[str, Json]) -> bool:
    """Whether an object is one item of a LimitRange."""
    return text(value.get("type")) in {_OF_CONTAINERS, "Pod"} and any(isinstance(value.get(field), dict) for field in _FIELDS)


def limit_range(thing: Thing, place: str, item: dict[str, Json]) -> Iterator[Reason]:
    """What such an item does, for each name of SGX in it."""
    for name in SGX_RESOURCES:
        fields = [field for field in _FIELDS if at(item, field, name) is not None]
        if fields:
            subject = dotted_path(place.removeprefix(thing.path))[-MAX_LIST_LENGTH:]
            yield Reason(finding=_finding(subject, item, name), place=f"{place}/{fields[0]}/{escape(name)}")


def _finding(subject: str, item: dict[str, Json], name: str) -> Finding:
    if item.get("type") != _OF_CONTAINERS:
        least = at(item, "min", name)
        return _bounds(subject, f"each pod's {name}") if not least else _shuts_out(subject, f"min {name}: {least!s:.60}")
    limit = _first(item, name, "default", "max")
    request = _first(item, name, "defaultRequest", "default", "max", "min")
    if amount(limit) != amount(request):
        return _unequal(subject, name, limit, request)
    if amount(limit) == 0:
        return _bounds(subject, f"{name} of containers at none")
    if limit is None:
        return _bounds(subject, f"how {name}'s limits and requests differ")
    return _default(subject, name, limit)


def _first(item: dict[str, Json], name: str, *fields: str) -> Json:
    return next((at(item, field, name) for field in fields if at(item, field, name) is not None), None)


def _unequal(subject: str, name: str, limit: Json, request: Json) -> Finding:
    words = "no limit" if limit is None else f"the limit {limit!s:.60}"
    return Finding.warning(
        GIVEN_TO_ALL,
        subject,
        f"gives a container that asks for no {name} {words} and the request {request!s:.60}",
        "of such a resource the request must equal the limit, so Kubernetes refuses the range, or every such pod",
        _ADVICE,
    )


def _default(subject: str, name: str, limit: Json) -> Finding:
    return Finding.warning(
        GIVEN_TO_ALL,
        subject,
        f"gives every container that asks for no {name} {limit!s:.60} of it",
        "so each pod of the namespace takes a node with SGX and its memory, and waits where there is none",
        f"{_ADVICE}{f', which is how pods ask after admission, and not {name}' if name in FOREIGN_EPC else ''}",
    )


def _shuts_out(subject: str, minimum: str) -> Finding:
    why = "so Kubernetes refuses every pod of the namespace that asks for none"
    return Finding.warning(GIVEN_TO_ALL, subject, f"demands {minimum}", why, _ADVICE)


def _bounds(subject: str, what: str) -> Finding:
    return Finding.info(BOUNDING, subject, f"bounds {what}", "a pod beyond it is refused by Kubernetes")
