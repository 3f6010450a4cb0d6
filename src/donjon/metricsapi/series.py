"""The names under which custom and external metrics tell of EPC, and what each is of a pod.

Few, and each for a decision: what pods hold, what was evicted of it, what that is to what they asked for, and whether the node
is short.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from fractions import Fraction

from donjon.metricsapi.use import PodUse


class Series(StrEnum):
    """One figure of a pod."""

    RESIDENT = "sgx_epc_resident_bytes"  # in EPC now, guests included: what the Resource metric says too
    EVICTED = "sgx_epc_evicted_bytes"  # what exists of its enclaves and is not in EPC
    UTILIZATION = "sgx_epc_utilization"  # all that exists of its enclaves by what it asked for: over 1, it asked for too little
    NODE_EVICTED = "sgx_epc_node_evicted_bytes"  # evicted on its node, whosever it is: the node is short of EPC


EXTERNAL = (Series.RESIDENT, Series.EVICTED, Series.UTILIZATION)
"""Those that pods of a namespace have together."""

_THOUSAND = 1000


def value(series: Series, use: PodUse) -> Fraction | None:
    """That figure of one pod; `None` where it is unknown."""
    return _OF_ONE[series](use)


def together(series: Series, uses: Iterable[PodUse | None]) -> Fraction | None:
    """That figure of several pods together: a sum, or sum by sum; `None` as soon as one of them is unknown."""
    pods = list(uses)
    if series is not Series.UTILIZATION:
        return _sum(None if each is None else value(series, each) for each in pods)
    existing = _sum(None if each is None else _fraction(each.existing) for each in pods)
    requests = sum(each.request for each in pods if each is not None)
    return None if existing is None or not requests else existing / requests


def quantity(number: Fraction) -> str:
    """The number as a quantity, in thousandths where it is no whole one (rounded to the nearest)."""
    return str(int(number)) if number.denominator == 1 else f"{round(number * _THOUSAND)}m"


def _utilization(use: PodUse) -> Fraction | None:
    return None if use.existing is None or not use.request else Fraction(use.existing, use.request)


def _fraction(number: int | None) -> Fraction | None:
    return None if number is None else Fraction(number)


def _sum(values: Iterable[Fraction | None]) -> Fraction | None:
    total = Fraction(0)
    for each in values:
        if each is None:
            return None
        total += each
    return total


_OF_ONE: Mapping[Series, Callable[[PodUse], Fraction | None]] = {
    Series.RESIDENT: lambda use: Fraction(use.resident),
    Series.EVICTED: lambda use: _fraction(use.evicted),
    Series.UTILIZATION: _utilization,
    Series.NODE_EVICTED: lambda use: _fraction(use.node_evicted),
}
