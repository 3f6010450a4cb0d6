"""What enclave memory a pod asks for, under any of its names. Whether it may have it is `donjon.admission`'s question.

Nothing here raises: a pod may be of a newer API, or nonsense. What is no whole quantity asks for nothing; the API server refuses
it.
"""

from dataclasses import dataclass

from donjon.errors import Malformed
from donjon.formats.json import Json, JsonObject, at, objects
from donjon.kube.names import EPC_UNITS
from donjon.kube.quantities import parse


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What one container asks for."""

    container: str
    epc: int  # bytes
    init: bool  # runs to its end before the pod's containers start
    sidecar: bool  # an init container that stays


def asks(pod: JsonObject) -> tuple[Ask, ...]:
    """What each container asks for, init containers first and in their order, as they start."""
    return tuple(
        Ask(
            container=_text(at(container, "name")),
            epc=_epc(container),
            init=field == "initContainers" and at(container, "restartPolicy") != "Always",
            sidecar=field == "initContainers" and at(container, "restartPolicy") == "Always",
        )
        for field in ("initContainers", "containers")
        for container in objects(at(pod, "spec", field))
    )


def epc_asked(pod: JsonObject) -> dict[str, int]:
    """The bytes of EPC that each container and init container asks for, by its name; 0 for one that does not ask."""
    amounts: dict[str, int] = {}
    for ask in asks(pod):
        amounts[ask.container] = max(ask.epc, amounts.get(ask.container, 0))
    return amounts


def epc_total(pod: JsonObject) -> int:
    """The bytes of EPC that the scheduler sets aside for the pod.

    Init containers run one by one, so the largest counts, together with the sidecars started before it; containers and sidecars
    run side by side, so their sum counts (k8s.io/component-helpers, resource.PodRequests).
    """
    peak = beside = 0
    for ask in asks(pod):
        peak = max(peak, beside + ask.epc)
        if not ask.init:
            beside += ask.epc
    return peak


def _epc(container: JsonObject) -> int:
    """The most that any of the names says, in limits or requests: on an admitted pod they all agree."""
    stated = (
        _bytes(at(container, "resources", field, name), unit)
        for field in ("limits", "requests")
        for name, unit in EPC_UNITS.items()
    )
    return max(stated, default=0)


def _bytes(quantity: Json, unit: int) -> int:
    if isinstance(quantity, bool) or not isinstance(quantity, (str, int, float)):
        return 0
    try:
        return max(parse(quantity if isinstance(quantity, str) else repr(quantity)), 0) * unit
    except (Malformed, ValueError):  # Python does not print integers of more than 4,300 digits.
        return 0


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""
