"""What is to be said of a node's report of EPC: of containers that hold more than they asked for, and of a node that evicts.

The kernel holds nobody to an amount of EPC. So these are warnings, by the kernel's own count, and nothing is said of what only an
upper bound is known.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from donjon.findings import Finding
from donjon.kube.epc_report import UNNAMED, ContainerEpc, EpcReport, PodContainer
from donjon.kube.names import DEBUG_ALLOWED, EPC, EPC_PAGE, EVENT_DEBUG, EVENT_OVER_REQUEST, EVENT_WITHOUT_REQUEST, LABEL_DEBUG
from donjon.kube.quantities import readable
from donjon.sgx.epc import EpcSource

OVER_REQUEST, WITHOUT_REQUEST, DEBUG, EVICTING = "DJ780", "DJ781", "DJ782", "DJ783"
IN_WORK = (
    2 * EPC_PAGE
)  # bytes of one enclave: pages that the driver makes or takes away at the moment, and counts in one place alone
SLACK = 1 << 20  # bytes beyond the request of which nothing is said: SECS and version arrays, which nobody counts beforehand


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerFinding:
    """What is to be said of one container, and the reason of the Event that says it."""

    name: PodContainer
    reason: str
    finding: Finding


def judge_containers(report: EpcReport, debug_namespaces: Collection[str] | None) -> tuple[ContainerFinding, ...]:
    """All that is to be said of the report's containers; `debug_namespaces` allow debug enclaves, `None` while it is unknown."""
    if report.source is not EpcSource.BPF:
        return ()
    checks: tuple[Callable[[ContainerEpc], Iterator[ContainerFinding]], ...] = (
        _over_request,
        _without_request,
        lambda each: _debug(each, debug_namespaces),
    )
    return tuple(finding for each in report.containers for check in checks for finding in check(each))


def in_turn(findings: Iterable[ContainerFinding]) -> list[ContainerFinding]:
    """The first of each namespace, then the second of each: who makes containers by the hundred keeps nobody else's waiting."""
    ranks: Counter[str] = Counter()
    places: list[tuple[int, ContainerFinding]] = []
    for each in findings:
        places.append((ranks[each.name.namespace], each))
        ranks[each.name.namespace] += 1
    return [each for _, each in sorted(places, key=lambda place: place[0])]


def amount(container: ContainerEpc) -> int:
    """Bytes of EPC that the container needs for all that it has made: in EPC and evicted, its guests' with it."""
    use = container.use
    return (use.resident if use.existing is None else use.existing) + container.guests


def gap(report: EpcReport) -> str:
    """Why a report does not tell all, in words; nothing where it does."""
    if not report.unreadable:
        return ""
    many = "1 process" if report.unreadable == 1 else f"{report.unreadable} processes"
    return f"{many} could not be read, so it may be more, and autoscalers take no figure of the node's pods [DJ709]"


def _over_request(container: ContainerEpc) -> Iterator[ContainerFinding]:
    need, request = amount(container), container.request
    if request and need > request + SLACK:
        finding = Finding.warning(
            OVER_REQUEST,
            f"container {container.name.container}",
            f"its enclaves are {readable(need)} of EPC, {readable(container.use.resident)} of it in EPC now; it asked for "
            f"{readable(request)}",
            "no kernel holds it to that: what it has too much is taken from others on the node, and everybody gets slow",
            f"ask for what it needs ({EPC}: {_round_up(need)}), or make its enclaves smaller",
        )
        yield ContainerFinding(name=container.name, reason=EVENT_OVER_REQUEST, finding=finding)


def _without_request(container: ContainerEpc) -> Iterator[ContainerFinding]:
    """Nothing of one that the API server does not name yet, as in the first second of a pod: what it asked for is not known."""
    if container.name.container != UNNAMED and not container.request and (container.use.enclaves or container.guests):
        finding = Finding.warning(
            WITHOUT_REQUEST,
            f"container {container.name.container}",
            f"its enclaves are {readable(amount(container))} of EPC, and it asked for none",
            "the scheduler does not count it, so the node may have promised that EPC to others; it has the device by another "
            "way, as a privileged container or from the host",
            f"ask for it ({EPC}: {_round_up(amount(container))}); the chart's admission.refuseHostDevices refuses the other way",
        )
        yield ContainerFinding(name=container.name, reason=EVENT_WITHOUT_REQUEST, finding=finding)


def _debug(container: ContainerEpc, debug_namespaces: Collection[str] | None) -> Iterator[ContainerFinding]:
    if debug_namespaces is None or not container.use.debug or container.name.namespace in debug_namespaces:
        return
    finding = Finding.warning(
        DEBUG,
        f"container {container.name.container}",
        f"{container.use.debug} of its {container.use.enclaves} enclaves in debug mode, by the kernel's own word",
        "whoever is root on the node reads the memory of such an enclave: it keeps no secret",
        "build it without debug mode (sgx.debug = false in Gramine's manifest, Debug 0 at oesign); where that is meant: "
        f"kubectl label namespace {container.name.namespace} {LABEL_DEBUG}={DEBUG_ALLOWED}",
    )
    yield ContainerFinding(name=container.name, reason=EVENT_DEBUG, finding=finding)


def evicting(report: EpcReport, earlier: EpcReport) -> Finding | None:
    """That the node evicts pages between these two reports, the later one first; `None` where it does not, or nobody knows.

    A page that is being added exists before it is in EPC. So who builds enclaves all the while looks as if some of theirs were
    evicted, a page of each; the kernel evicts sixteen at a time.
    """
    work = _difference(report.reclaimer_seconds, earlier.reclaimer_seconds)
    growth = 0.0 if _is_partial(report) or _is_partial(earlier) else _difference(report.use.evicted, earlier.use.evicted)
    if work <= 0 and growth <= IN_WORK * report.use.enclaves:
        return None
    evicted = f"{readable(report.use.evicted)} are evicted now" if report.use.evicted is not None else "how much is unknown"
    by = f", the kernel's ksgxd worked for {work:.2f} s" if work > 0 else ""
    return Finding.warning(
        EVICTING,
        f"node {report.node}",
        f"EPC is short: pages of enclaves are evicted ({evicted}{by})",
        "every enclave on the node gets slow, since evicted pages are decrypted anew when they are touched",
        "see who holds more than it asked for: donjon epc top; move some of them to another node, or ask for less at once",
    )


def _is_partial(report: EpcReport) -> bool:
    """Whether somebody is counted in part: which part may change, and with it what is evicted of it."""
    return bool(report.unreadable) or any(each.at_least for each in report.containers)


def _difference(value: float | None, earlier: float | None) -> float:
    return 0 if value is None or earlier is None else value - earlier


def _round_up(number: int) -> str:
    """The next whole MiB, as a quantity."""
    return f"{-(-number // (1 << 20))}Mi"
