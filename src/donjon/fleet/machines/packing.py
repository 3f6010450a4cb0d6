"""How many machines of one kind pods need: the first fit, the largest first, as many alike at a time as there are.

Source of the reservations: Azure, AKS node resource reservations (Kubernetes 1.29 and later).
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from donjon.fleet.machines.catalogue import Sku
from donjon.kube.names import EPC
from donjon.kube.reserved import Amounts

LEAST_CPUS = 2  # of a machine that AKS takes for a node; AKS, restricted VM sizes
MAX_PODS = 110  # of a node, the kubelet's default
EVICTION = 100 << 20  # bytes of memory that the kubelet keeps free

MAX_OPEN = 50
"""Machines filled alike that stay open, the emptiest: without that the time would grow with the square of different pods."""

_MB = 10**6
_PARTS = 1000
_CPU_STEPS = ((1, 60), (2, 100), (4, 140), (8, 180), (16, 260), (32, 420), (64, 740))  # cores, thousandths of a processor
AZURE = "azure"
KERNEL_SHARE = Fraction(31, 32)
"""Of the EPC that a maker prints, the least that a kernel was seen to have (23808 of 24576 MiB, Alibaba); Azure's is exact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodGroup:
    """Pods that are alike."""

    name: str
    replicas: int
    requests: Amounts  # of one pod
    on_each_node: bool = False  # as a DaemonSet's; then `replicas` does not count


@dataclass(frozen=True, slots=True)
class _Bins:
    """Machines that are filled alike; whole thousandths, which are reckoned with ten times as fast as fractions."""

    free: Mapping[str, int]
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """How many machines it takes, and what is free on all of them together."""

    count: int
    left: Amounts


def room(machine: Sku) -> Amounts:
    """What one machine has for pods; memory that is EPC is no ordinary memory. Raises `KeyError` where its size is unknown."""
    cpus, memory, epc = machine.cpus, machine.memory, machine.epc
    if cpus is None or memory is None or epc is None:
        raise KeyError(machine.name)
    ordinary = memory - epc
    reserved, cores, part = EVICTION, 0, KERNEL_SHARE
    if machine.provider == AZURE:
        reserved += min(20 * _MB * MAX_PODS + 50 * _MB, ordinary // 4)
        cores, part = _reserved_cpu(cpus), Fraction(1)
    return {
        EPC: Fraction(int(epc * part)),
        "memory": Fraction(ordinary - reserved),
        "cpu": Fraction(cpus * 1000 - cores, 1000),
        "pods": Fraction(MAX_PODS),
    }


def _reserved_cpu(cpus: int) -> int:
    """Thousandths; between two steps of the table, in proportion."""
    previous = _CPU_STEPS[0]
    for step in _CPU_STEPS:
        if cpus <= step[0]:
            span = step[0] - previous[0]
            return step[1] if not span else previous[1] + (step[1] - previous[1]) * (cpus - previous[0]) // span
        previous = step
    return previous[1]


def obstacle(group: PodGroup, offer: Amounts) -> str:
    """The resource of which a pod asks for more than a whole machine has; empty where it fits."""
    return next((name for name, amount in _whole(group).items() if amount > offer.get(name, Fraction(0))), "")


def beside(groups: Iterable[PodGroup], offer: Amounts) -> Amounts:
    """What a machine has for pods beside those that are on each."""
    for each in groups:
        if each.on_each_node:
            offer = _without(offer, _whole(each), 1)
    return offer


def pack(groups: Iterable[PodGroup], offer: Amounts) -> Packing:
    """The machines that all of them need; `offer` is beside those on each, and every other pod must fit in it (`obstacle`)."""
    closed: list[_Bins] = []
    bins: list[_Bins] = []
    room_of_one = {name: math.floor(amount * _PARTS) for name, amount in offer.items()}
    for each in sorted((one for one in groups if not one.on_each_node), key=lambda one: -_share(_whole(one), offer)):
        request = {name: math.ceil(amount * _PARTS) for name, amount in _whole(each).items()}
        bins = _place(request, each.replicas, bins, room_of_one)
        if len(bins) > 2 * MAX_OPEN:
            bins.sort(key=lambda one: _least_share(one.free, room_of_one))
            closed, bins = [*closed, *bins[:-MAX_OPEN]], bins[-MAX_OPEN:]
    every = [*closed, *bins]
    left = {name: Fraction(sum(one.free[name] * one.count for one in every), _PARTS) for name in offer}
    return Packing(count=sum(one.count for one in every), left=left)


def _place(request: Mapping[str, int], rest: int, bins: list[_Bins], room_of_one: Mapping[str, int]) -> list[_Bins]:
    after: list[_Bins] = []
    for one in bins:
        parts, rest = _fill(one, request, rest)
        after += parts
    if rest:
        parts, _ = _fill(_Bins(room_of_one, rest), request, rest)
        after += [one for one in parts if one.free is not room_of_one]
    return after


def _fill(bins: _Bins, request: Mapping[str, int], rest: int) -> tuple[list[_Bins], int]:
    """Those bins with as many pods as go in, and how many are left over."""
    if rest == 0:
        return [bins], rest
    each = min((bins.free.get(name, 0) // amount for name, amount in request.items()), default=0)
    if each <= 0:
        return [bins], rest
    full = min(bins.count, rest // each)
    tail = min(rest - full * each, each) if full < bins.count else 0
    parts = (
        _Bins(_less(bins.free, request, each), full),
        _Bins(_less(bins.free, request, tail), 1 if tail else 0),
        _Bins(bins.free, bins.count - full - (1 if tail else 0)),
    )
    return [part for part in parts if part.count], rest - full * each - tail


def _less(free: Mapping[str, int], request: Mapping[str, int], times: int) -> dict[str, int]:
    return {name: amount - request.get(name, 0) * times for name, amount in free.items()}


def _whole(group: PodGroup) -> Amounts:
    return {name: amount for name, amount in {**group.requests, "pods": Fraction(1)}.items() if amount > 0}


def _share(request: Amounts, offer: Amounts) -> Fraction:
    return max((amount / offer[name] for name, amount in request.items() if offer.get(name)), default=Fraction(0))


def _least_share(free: Mapping[str, int], room_of_one: Mapping[str, int]) -> float:
    """Of what a machine has most used up, how much is left."""
    return min((free[name] / whole for name, whole in room_of_one.items() if whole), default=0)


def _without(free: Amounts, request: Mapping[str, Fraction], times: int) -> Amounts:
    return {name: amount - request.get(name, Fraction(0)) * times for name, amount in free.items()}
