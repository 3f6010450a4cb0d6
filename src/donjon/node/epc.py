"""From a pass of the meter to the report of a node: each enclave counted once, for the container that had it first.

An enclave may have many holders, in several containers where a descriptor was passed on. Its owner is the holder that started
first among those in pods; one that no pod holds is the host's.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from donjon.kube.epc_report import MAX_CONTAINERS, MOST, ContainerEpc, EpcReport, PodContainer
from donjon.kube.names import EPC_PAGE
from donjon.node.cgroups import CgroupPlace
from donjon.node.enclaves import EnclaveHolder, EnclavePass, EnclaveReading
from donjon.node.tenants import TenantPod, by_folder
from donjon.sgx.epc import NOTHING, EnclaveFlag, EpcUse

_WRAPPED = 1 << 31  # a counter of the kernel, taken below zero, is up here; as pages it were 8 TiB


Places = Mapping[EnclaveHolder, CgroupPlace | None]
"""Where holders are; `None`, or no entry, for one of the host, and for one that is gone."""


Owner = Callable[[tuple[EnclaveHolder, ...]], PodContainer | None]
"""Whose something is that these processes hold; `None` for the host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeMoment:
    """What the report says beside the pass; `None` is unknown."""

    node: str
    moment: str
    total: int | None
    reclaimer_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Peaks:
    """The most that was resident at one moment, in bytes, since the meter began."""

    containers: Mapping[PodContainer, int] = field(default_factory=dict)
    pods: Mapping[str, int] = field(default_factory=dict)  # by uid
    node: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EpcAccount:
    """A report, and the pods that hold EPC and that the API server does not name: they count for the system meanwhile."""

    report: EpcReport
    strangers: frozenset[str] = frozenset()  # by what their cgroups are called


@dataclass(slots=True)
class _Sum:
    """What one container, or the host, holds."""

    use: EpcUse
    guests: int = 0
    holders: set[EnclaveHolder] = field(default_factory=set)
    at_least: bool = False


def account(survey: EnclavePass, places: Places, pods: Iterable[TenantPod], moment: NodeMoment, peaks: Peaks) -> EpcAccount:
    """Who holds how much; `peaks` are those up to now."""
    folders = by_folder(pods)
    strangers: set[str] = set()
    owner_of = _owner(places, folders, strangers)
    nothing = NOTHING[survey.source]
    partly = [owner_of(holders) for holders in survey.partly]
    sums = _sums(survey, owner_of, partly)
    host, whole = sums.pop(None, _Sum(nothing)), _whole(survey)
    requests = {_name(pod, name): epc for pod in folders.values() if pod.is_here for name, epc in pod.requests.items()}
    by_pod = _by_pod(sums)
    containers = [
        _container(name, requests.get(name, 0), sums.get(name, _Sum(nothing)), peaks, by_pod.get(name.pod_uid, 0))
        for name in {*requests, *(name for name in sums if name is not None)}
    ]
    containers.sort(key=lambda each: (-each.use.resident - each.guests, -each.request, each.name))
    report = EpcReport(
        node=moment.node,
        moment=moment.moment,
        source=survey.source,
        total=moment.total,
        free=None if survey.free is None else survey.free * EPC_PAGE,
        use=_within(whole.use),
        guests=whole.guests,
        peak=max(peaks.node, min(whole.use.resident + whole.guests, MOST)),
        unaccounted=_unaccounted(moment.total, survey.free, whole),
        system=_within(host.use),
        system_guests=host.guests,
        reclaimer_seconds=moment.reclaimer_seconds,
        unreadable=survey.unreadable + partly.count(None),  # Which may be anybody's: whose they are was not to be found out.
        containers=tuple(sorted(containers[:MAX_CONTAINERS], key=lambda each: each.name)),
        left_out=max(len(containers) - MAX_CONTAINERS, 0) + max(len(strangers) - MAX_CONTAINERS, 0),
        strangers=tuple(sorted(strangers)[:MAX_CONTAINERS]),
    )
    return EpcAccount(report=report, strangers=frozenset(strangers))


def _sums(survey: EnclavePass, owner_of: Owner, partly: Iterable[PodContainer | None]) -> dict[PodContainer | None, _Sum]:
    """What each owner holds; of those `partly` counted it is known that there is more."""
    sums: defaultdict[PodContainer | None, _Sum] = defaultdict(lambda: _Sum(NOTHING[survey.source]))
    for use, guests, holders in _amounts(survey):
        entry = sums[owner_of(holders)]
        entry.use, entry.guests = entry.use + use, entry.guests + guests
        entry.holders.update(holders)
    for owner in partly:
        sums[owner].at_least = True
    return dict(sums)


def renew(peaks: Peaks, report: EpcReport, pods: Iterable[TenantPod]) -> Peaks:
    """The peaks with that report's; those of pods that are no more are forgotten."""
    uids = {pod.uid for pod in pods}
    containers = {name: peak for name, peak in peaks.containers.items() if name.pod_uid in uids}
    by_uid = {uid: peak for uid, peak in peaks.pods.items() if uid in uids}
    return Peaks(
        containers=containers | {each.name: each.peak for each in report.containers if each.peak},
        pods=by_uid | {each.name.pod_uid: each.pod_peak for each in report.containers if each.pod_peak},
        node=report.peak,
    )


def use_of(enclave: EnclaveReading) -> EpcUse:
    """What one enclave holds, in bytes."""
    own = _counter(enclave.children) + enclave.secs
    existing = max(_counter(enclave.existing), own)  # A page is counted here before there while the driver works.
    return EpcUse(
        resident=(own + enclave.version_arrays) * EPC_PAGE,
        control=(enclave.secs + enclave.version_arrays) * EPC_PAGE,
        existing=(existing + enclave.version_arrays) * EPC_PAGE,
        evicted=(existing - own) * EPC_PAGE,
        enclaves=1,
        debug=int(EnclaveFlag.DEBUG in enclave.flags),
        building=int(EnclaveFlag.INITIALIZED not in enclave.flags),
    )


def _counter(pages: int) -> int:
    return 0 if pages >= _WRAPPED else pages


def _amounts(survey: EnclavePass) -> Iterable[tuple[EpcUse, int, tuple[EnclaveHolder, ...]]]:
    """Of each enclave, guest and area: what it holds, of that a guest, and its holders."""
    for enclave in survey.enclaves.values():
        yield use_of(enclave), 0, enclave.holders
    for guest in survey.guests.values():
        yield EpcUse(), guest.pages * EPC_PAGE, guest.holders
    for area in survey.areas:
        yield EpcUse(resident=area.size, control=None, existing=None, evicted=None), 0, (area.holder,)


def _whole(survey: EnclavePass) -> _Sum:
    whole = _Sum(NOTHING[survey.source])
    for use, guests, _ in _amounts(survey):
        whole.use, whole.guests = whole.use + use, whole.guests + guests
    return whole


def _owner(places: Places, folders: Mapping[str, TenantPod], strangers: set[str]) -> Owner:
    def owner(holders: tuple[EnclaveHolder, ...]) -> PodContainer | None:
        first = min((holder for holder in holders if places.get(holder) is not None), default=None)
        there = None if first is None else places[first]
        if there is None:
            return None
        pod = folders.get(there.pod_uid)
        if pod is None:
            strangers.add(there.pod_uid)
            return None
        return _name(pod, pod.container(there))

    return owner


def _name(pod: TenantPod, container: str) -> PodContainer:
    return PodContainer(namespace=pod.namespace, pod=pod.name, pod_uid=pod.uid, container=container)


def _by_pod(sums: Mapping[PodContainer | None, _Sum]) -> dict[str, int]:
    """What each pod holds, by its uid."""
    by_pod: defaultdict[str, int] = defaultdict(int)
    for name, entry in sums.items():
        if name is not None:
            by_pod[name.pod_uid] += entry.use.resident + entry.guests
    return by_pod


def _container(name: PodContainer, request: int, entry: _Sum, peaks: Peaks, of_pod: int) -> ContainerEpc:
    use = _within(entry.use)
    return ContainerEpc(
        name=name,
        request=request,
        use=use,
        guests=entry.guests,
        peak=max(peaks.containers.get(name, 0), min(use.resident + entry.guests, MOST)),
        pod_peak=max(peaks.pods.get(name.pod_uid, 0), min(of_pod, MOST)),
        processes=len(entry.holders),
        at_least=entry.at_least,
    )


def _within(use: EpcUse) -> EpcUse:
    """No more than a report holds: the areas of many forks come to any sum, and nobody reads a report that is none."""
    return replace(use, resident=min(use.resident, MOST))


def _unaccounted(total: int | None, free: int | None, whole: _Sum) -> int | None:
    """What is neither free nor held: of enclaves on their way between processes, for one."""
    if total is None or free is None:
        return None
    return max(total - free * EPC_PAGE - whole.use.resident - whole.guests, 0)
