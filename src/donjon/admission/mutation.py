"""A pod's intent to the patch that wires it: every name of EPC becomes `sgx.intel.com/epc`, and EPC brings its enclave device.

A container that is named as its own quote provider gets the provisioning device too; whether it may is for the rules.

A container whose amounts cannot be counted, or disagree, stays as it came: `rules` has words for it, or Kubernetes itself.
"""

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction

from donjon.admission.aesm import aesm_operations
from donjon.admission.intent import Container, Intent
from donjon.admission.limits import BOUNDS, MAX_CONTAINERS, MAX_COUNTED
from donjon.formats.json import Json
from donjon.kube.names import ANNOTATION_EPC, ENCLAVE, EPC, EPC_UNITS, FOREIGN_EPC, PROVISION
from donjon.kube.patch import Add, Operation, Remove, append, escape, put
from donjon.kube.quantities import canonical
from donjon.kube.reserved import peak


def patch(intent: Intent) -> tuple[Operation, ...]:
    """The least that wires the pod; nothing for a pod that is wired, does not ask, or has more containers than are counted."""
    if len(intent.containers) > MAX_CONTAINERS:
        return ()
    wanting = [container for container in intent.containers if (agreed_epc(container) or 0) > 0]
    resources = [operation for container in intent.containers for operation in _wire_container(container, intent.quote_provider)]
    if not wanting:
        return tuple(resources)
    return (*resources, *_annotate(intent), *_add_tolerations(intent), *aesm_operations(intent, wanting))


def _wire_container(container: Container, quote_provider: str) -> Iterator[Operation]:
    epc = agreed_epc(container)
    if epc is None:
        return
    foreign = [name for name in FOREIGN_EPC if name in container.limits]
    missing = {} if EPC in container.limits else {EPC: canonical(int(epc))}
    if epc > 0:
        devices = (ENCLAVE, PROVISION) if container.name and container.name == quote_provider else (ENCLAVE,)
        missing |= {device: "1" for device in devices if device not in container.requests}
    if not (foreign or missing):
        return
    yield from _replace_resources(f"{container.path}/limits", foreign, missing)
    if container.own_requests is None:
        yield Add(path=f"{container.path}/requests", value={})
    yield from _replace_resources(
        f"{container.path}/requests", [name for name in foreign if name in (container.own_requests or ())], missing
    )


def _replace_resources(place: str, removals: Iterable[str], missing: Mapping[str, str]) -> Iterator[Operation]:
    yield from (Remove(path=f"{place}/{escape(name)}") for name in removals)
    yield from (Add(path=f"{place}/{escape(name)}", value=value) for name, value in missing.items())


def agreed_epc(container: Container) -> Fraction | None:
    """The bytes of EPC on which all its names agree; `None` where there is none, or none that can be taken."""
    if not container.legible or (EPC in container.requests and EPC not in container.limits):
        return None
    amounts = {_bytes(container, name) for name in EPC_UNITS if name in container.limits}
    epc = amounts.pop() if len(amounts) == 1 else None
    return epc if epc is not None and epc >= 0 else None


def _bytes(container: Container, name: str) -> Fraction | None:
    """The user's own bytes are never rewritten, so they may be anything; a foreign number must be fit to be multiplied.

    What is too much stays as it came, so that it is refused in the user's own words.
    """
    number = container.limits[name]
    if name == EPC:
        return number
    fits = number.denominator == 1 and 0 <= number < BOUNDS[name] and container.requests.get(name) == number
    return number * EPC_UNITS[name] if fits else None


def _annotate(intent: Intent) -> Iterator[Operation]:
    """The pod's total, as Kata reads it; a pod whose amounts cannot be counted gets none."""
    total = _total(intent)
    if total and intent.epc_annotation != canonical(total):
        way = (("/metadata", intent.metadata), ("/metadata/annotations", intent.annotations))
        yield from put(way, ANNOTATION_EPC, canonical(total))


def _total(intent: Intent) -> int:
    """The bytes that the scheduler sets aside; 0 where they cannot be counted."""
    starts: list[tuple[Fraction, bool]] = []
    for container in sorted(intent.containers, key=lambda each: each.field, reverse=True):  # Init containers start first.
        epc = agreed_epc(container) if any(name in container.limits for name in EPC_UNITS) else Fraction(0)
        if epc is None or epc.denominator != 1 or epc >= MAX_COUNTED:
            return 0
        starts.append((epc, container.stays))
    return int(peak(starts))


def _add_tolerations(intent: Intent) -> Iterator[Operation]:
    entries: list[Json] = [{"key": name, "operator": "Exists", "effect": "NoSchedule"} for name in intent.untolerated]
    yield from append("/spec/tolerations", intent.toleration_list, entries)
