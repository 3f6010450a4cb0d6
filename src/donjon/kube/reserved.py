"""What a pod requests, summed once for all as the scheduler does it (k8s.io/component-helpers, `resource.PodRequests`).

Any resource by its own name, and enclave memory under any of its names. Whether a pod may have it is for `donjon.admission`.
Nothing here raises: a pod may be of a newer API, or nonsense. What is no quantity requests nothing; the API server refuses it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

from donjon.formats.json import Json, JsonObject, at, objects
from donjon.kube.names import EPC, EPC_UNITS
from donjon.kube.objects import CONTAINER_FIELDS, is_over, node_name_of
from donjon.kube.quantities import MAX, amount

Amounts = Mapping[str, Fraction]


@dataclass(frozen=True, slots=True, kw_only=True)
class EpcRequest:
    """The enclave memory that one container requests."""

    container: str
    epc: int  # bytes
    init: bool  # runs to its end before the pod's containers start
    sidecar: bool  # an init container that stays


def peak(starts: Iterable[tuple[Fraction, bool]]) -> Fraction:
    """The most that is held at a time by containers that start in this order: each one's amount, and whether it stays.

    Init containers run one by one, so the largest counts, together with the sidecars started before it; containers and sidecars
    run side by side, so their sum counts.
    """
    highest = staying = Fraction(0)
    for own, stays in starts:
        highest = max(highest, staying + own)
        staying += own if stays else 0
    return highest


def amounts(resources: Json) -> dict[str, Fraction]:
    """The amounts of a resource list (`limits`, `requests`, `allocatable`) as numbers; what is no quantity counts as none."""
    if not isinstance(resources, dict):
        return {}
    return {name: max(amount(quantity) or Fraction(0), Fraction(0)) for name, quantity in resources.items()}


def allocatable(node: JsonObject) -> dict[str, Fraction]:
    """What a node offers to pods, by resource."""
    return amounts(at(node, "status", "allocatable"))


def epc_offered(node: JsonObject) -> Fraction:
    """The EPC that a node offers to pods, in bytes; 0 where it offers none."""
    return allocatable(node).get(EPC, Fraction(0))


def pod_requests(pod: JsonObject, least: Amounts = MappingProxyType({})) -> dict[str, Fraction]:
    """What is set aside for a pod, by resource; a container that says nothing of one counts for `least` of it."""
    starts = [({**least, **_requests(container)}, stays) for container, stays in _starts(pod)]
    by_name: dict[str, list[tuple[Fraction, bool]]] = {}  # of each resource the containers alone that request some
    for own, stays in starts:
        for name, number in own.items():
            by_name.setdefault(name, []).append((number, stays))
    summed = {name: peak(each) for name, each in by_name.items()}
    whole = summed | amounts(at(pod, "spec", "resources", "requests"))  # A pod's own requests go first.
    return {name: total for name, total in _sum(whole, amounts(at(pod, "spec", "overhead"))).items() if total > 0}


def requests_by_node(pods: Iterable[JsonObject]) -> dict[str, dict[str, Fraction]]:
    """What the pods that were given a node hold there, by node; a pod that ended holds nothing."""
    by_node: dict[str, dict[str, Fraction]] = {}
    for pod in pods:
        if (node := node_name_of(pod)) and not is_over(pod):
            by_node[node] = _sum(by_node.get(node, {}), pod_requests(pod) | {"pods": Fraction(1)})
    return by_node


def epc_requests(pod: JsonObject) -> tuple[EpcRequest, ...]:
    """The enclave memory that each container requests, init containers first and in their order, as they start."""
    return tuple(
        EpcRequest(
            container=name if isinstance(name := at(container, "name"), str) else "",
            epc=_epc(container),
            init=not stays,
            sidecar=stays and field == "initContainers",
        )
        for field in CONTAINER_FIELDS
        for container in objects(at(pod, "spec", field))
        for stays in (_stays(field, container),)
    )


def epc_by_container(pod: JsonObject) -> dict[str, int]:
    """The bytes of EPC that each container and init container requests, by its name; 0 for one that requests none."""
    by_container: dict[str, int] = {}
    for request in epc_requests(pod):
        by_container[request.container] = max(request.epc, by_container.get(request.container, 0))
    return by_container


def epc_total(pod: JsonObject) -> int:
    """The bytes of EPC that the scheduler sets aside for the pod."""
    return int(peak((Fraction(request.epc), not request.init) for request in epc_requests(pod)))


def _starts(pod: JsonObject) -> Iterable[tuple[JsonObject, bool]]:
    """The containers in the order in which they start, each with whether it stays."""
    for field in CONTAINER_FIELDS:
        yield from ((container, _stays(field, container)) for container in objects(at(pod, "spec", field)))


def _stays(field: str, container: JsonObject) -> bool:
    return field == "containers" or at(container, "restartPolicy") == "Always"


def _requests(container: JsonObject) -> dict[str, Fraction]:
    """The API server copies a limit without its request to the requests; a template was not there yet."""
    return amounts(at(container, "resources", "limits")) | amounts(at(container, "resources", "requests"))


def _epc(container: JsonObject) -> int:
    """The most that any of the names says, in limits or requests: on an admitted pod they all agree."""
    return max(
        _whole(at(container, "resources", field, name)) * unit
        for field in ("limits", "requests")
        for name, unit in EPC_UNITS.items()
    )


def _whole(quantity: Json) -> int:
    return whole(amount(quantity))


def whole(value: Fraction | None) -> int:
    """What is counted of an amount: nothing of a fraction, of less than none, and of what no int64 holds."""
    return max(int(value), 0) if value is not None and value.denominator == 1 and abs(value) <= MAX else 0


def _sum(some: Amounts, others: Amounts) -> dict[str, Fraction]:
    return {name: some.get(name, Fraction(0)) + others.get(name, Fraction(0)) for name in (*some, *others)}
