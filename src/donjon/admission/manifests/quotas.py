"""A ResourceQuota's bounds on SGX: of an extended resource, Kubernetes counts requests alone.

pkg/quota/v1/evaluator/core, `isExtendedResourceNameForQuota`: a key without `requests.` before it is taken and counts nothing.
"""

from collections.abc import Iterator

from donjon.admission.codes import BOUNDING, UNCOUNTED
from donjon.admission.limits import MAX_LIST_LENGTH
from donjon.admission.manifests.workloads import Thing, dotted_path
from donjon.admission.reasons import Reason
from donjon.findings import Finding
from donjon.formats.json import Json
from donjon.kube.names import EPC, EPC_PAGE, EPC_UNITS, FOREIGN_EPC, SGX_RESOURCES
from donjon.kube.patch import escape
from donjon.kube.quantities import MAX, amount, canonical
from donjon.kube.vocabulary import without_quota

_REQUESTS = "requests."


def quota(thing: Thing, place: str, hard: dict[str, Json]) -> Iterator[Reason]:
    """What each key of such bounds does, if it names SGX."""
    for key, most in hard.items():
        name = without_quota(key)
        if name in SGX_RESOURCES:
            subject = dotted_path(place.removeprefix(thing.path))[-MAX_LIST_LENGTH:]
            yield Reason(finding=_finding(subject, key, name, most), place=f"{place}/{escape(key)}")


def _finding(subject: str, key: str, name: str, most: Json) -> Finding:
    bound, quantity = f"{key}: {most!s:.60}", _in_bytes(name, most)
    if name in FOREIGN_EPC:
        why = f"admission turns that name into {EPC} before a quota counts"
        return Finding.warning(UNCOUNTED, subject, f"{bound} counts nothing", why, f"write {_REQUESTS}{EPC}: {quantity}")
    if key != f"{_REQUESTS}{name}":
        why = f"Kubernetes counts such a resource under {_REQUESTS}{name} alone"
        return Finding.warning(UNCOUNTED, subject, f"{bound} counts nothing", why, f"write {_REQUESTS}{name}: {quantity}")
    bytes_ = amount(most)
    if name == EPC and bytes_ is not None and 0 < bytes_ < EPC_PAGE:
        why = "these are bytes, less than one page of EPC (4096)"
        return Finding.warning(UNCOUNTED, subject, bound, why, "did you mean Mi?")
    return Finding.info(
        BOUNDING,
        subject,
        bound,
        f"pods of the namespace may ask for as much of {name} together, and for no more",
    )


def _in_bytes(name: str, most: Json) -> str:
    """The amount in the unit of Donjon's own name."""
    number = amount(most)
    unit = EPC_UNITS.get(name, 1)
    fits = number is not None and number.denominator == 1 and 0 <= number * unit <= MAX
    return canonical(int(number * unit)) if number is not None and fits and name in FOREIGN_EPC else f"{most!s:.60}"
