"""A pod's intent to the patch that wires it: every name of EPC becomes `sgx.intel.com/epc`, and EPC brings its enclave device.

A container whose amounts cannot be counted, or disagree, stays as it came: `rules` has words for it, or Kubernetes itself.
"""

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction

from donjon.admission.intent import Container, Intent
from donjon.kube.names import ENCLAVE, EPC, EPC_UNITS, FOREIGN_EPC
from donjon.kube.patch import Add, Operation, Remove, escaped
from donjon.kube.quantities import MAX, canonical


def patch(intent: Intent) -> tuple[Operation, ...]:
    """The least that wires the pod; nothing for a pod that is wired or does not ask."""
    return tuple(operation for container in intent.containers for operation in _wired(container))


def _wired(container: Container) -> Iterator[Operation]:
    epc = agreed(container)
    if epc is None:
        return
    foreign = [name for name in FOREIGN_EPC if name in container.limits]
    missing = {} if EPC in container.limits else {EPC: canonical(int(epc))}
    if epc > 0 and ENCLAVE not in container.requests:
        missing[ENCLAVE] = "1"
    if not (foreign or missing):
        return
    yield from _changed(f"{container.path}/limits", foreign, missing)
    if container.own_requests is None:
        yield Add(path=f"{container.path}/requests", value={})
    yield from _changed(
        f"{container.path}/requests", [name for name in foreign if name in (container.own_requests or ())], missing
    )


def _changed(place: str, gone: Iterable[str], missing: Mapping[str, str]) -> Iterator[Operation]:
    yield from (Remove(path=f"{place}/{escaped(name)}") for name in gone)
    yield from (Add(path=f"{place}/{escaped(name)}", value=value) for name, value in missing.items())


def agreed(container: Container) -> Fraction | None:
    """The bytes of EPC on which all its names agree; `None` where there is none, or none that can be taken."""
    if not container.legible or (EPC in container.requests and EPC not in container.limits):
        return None
    amounts = {_bytes(container, name) for name in EPC_UNITS if name in container.limits}
    found = amounts.pop() if len(amounts) == 1 else None
    return found if found is not None and found >= 0 else None


def _bytes(container: Container, name: str) -> Fraction | None:
    """The user's own bytes are never rewritten, so they may be anything; a foreign number must be fit to be multiplied."""
    stated = container.limits[name]
    if name == EPC:
        return stated
    fits = stated.denominator == 1 and 0 <= stated * EPC_UNITS[name] <= MAX and container.requests.get(name) == stated
    return stated * EPC_UNITS[name] if fits else None
