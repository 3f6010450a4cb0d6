"""The meter's metrics, as Prometheus counts them. What is not known, or too old, has no series: a zero is a figure."""

from collections.abc import Iterable
from itertools import islice

from prometheus_client import Gauge

from donjon.adapters.metrics.program import ProgramMetrics
from donjon.kube.epc_report import ContainerEpc, EpcReport
from donjon.sgx.epc import EpcSource

MAX_SERIES = 1000  # of each metric of containers

_CONTAINER = ("namespace", "pod", "container", "source")
_OF_NODES = (
    ("total_bytes", "EPC of the node."),
    ("free_bytes", "EPC that the kernel has to give out, where it may be read."),
    ("resident_bytes", "EPC that enclaves hold, each counted once: pages, SECS and version arrays."),
    ("control_bytes", "SECS and version arrays of enclaves, a part of what is resident."),
    ("peak_bytes", "The most EPC that enclaves and virtual machines held since the meter began."),
    ("existing_bytes", "What enclaves hold in EPC, and what of it was evicted."),
    ("evicted_bytes", "What was evicted from EPC and comes back when it is touched."),
    ("guests_bytes", "EPC that virtual machines hold; the enclaves in it are not seen."),
    ("system_bytes", "EPC that no pod holds: enclaves and virtual machines of the host."),
    ("unaccounted_bytes", "EPC that is neither free nor held by a process that was seen."),
)
_OF_CONTAINERS = (
    ("request_bytes", "EPC that the container asked for."),
    ("resident_bytes", "EPC that the container's enclaves and virtual machines hold."),
    ("control_bytes", "SECS and version arrays of its enclaves, a part of what is resident."),
    ("existing_bytes", "What its enclaves hold in EPC, and what of it was evicted."),
    ("evicted_bytes", "What of its enclaves was evicted from EPC."),
    ("peak_bytes", "The most EPC that it held since the meter began."),
    ("enclaves", "Its enclaves."),
    ("debug_enclaves", "Its enclaves in debug mode: whoever runs their host reads their memory."),
)


class MeterMetrics(ProgramMetrics):
    """The metrics of one meter. Each figure of EPC says its source: `bpf` is exact, `maps` an upper bound."""

    def __init__(self, version: str) -> None:
        super().__init__("donjon_meter")
        self._gauge("info", "Version of the meter; always 1.", "version").labels(version).set(1)
        self._seconds = self._gauge("pass_seconds", "Time that the last pass over all processes took.")
        self._passes = self._counter("passes", "Passes over all processes.")
        self._errors = self._counter("errors", "Passes that gave no figures, by why.", "code")
        self._strangers = self._gauge(
            "unknown_pods", "Pods with EPC that the API server does not name; they count for the system."
        )
        self._node = {name: self._gauge(f"epc_{name}", text, "source") for name, text in _OF_NODES}
        self._reclaimer = self._gauge(
            "reclaimer_seconds", "Processor time of ksgxd since boot; it runs when EPC is short.", "source"
        )
        self._unreadable = self._gauge("unreadable_processes", "Processes that could not be read.", "source")
        self._in_part = self._gauge("containers_in_part", "Containers that have more enclaves than are counted of one.", "source")
        self._left_out = self._gauge("containers_left_out", "Containers with EPC that have no series of their own.", "source")
        self._containers = {name: self._gauge(f"container_{name}", text, *_CONTAINER) for name, text in _OF_CONTAINERS}

    def tell(self, report: EpcReport, strangers: int, seconds: float) -> None:
        """What the last pass found, and how long it took."""
        self.forget()
        self._passes.inc()
        self._seconds.set(seconds)
        self._strangers.set(strangers)
        source = report.source.value
        figures = {
            "total_bytes": report.total,
            "free_bytes": report.free,
            "resident_bytes": report.use.resident,
            "control_bytes": report.use.control,
            "peak_bytes": report.peak,
            "existing_bytes": report.use.existing,
            "evicted_bytes": report.use.evicted,
            "guests_bytes": report.guests,
            "system_bytes": report.system.resident + report.system_guests,
            "unaccounted_bytes": report.unaccounted,
        }
        for name, figure in figures.items():
            _set(self._node[name], figure, source)
        _set(self._reclaimer, report.reclaimer_seconds, source)
        _set(self._unreadable, report.unreadable, source)
        _set(self._in_part, sum(each.at_least for each in report.containers), source)
        _set(self._left_out, report.left_out + max(len(report.containers) - MAX_SERIES, 0), source)
        for container in _largest(report.containers):
            self._tell_container(container, source)

    def forget(self) -> None:
        """There is no figure that is young enough."""
        for gauge in (
            *self._node.values(),
            *self._containers.values(),
            self._reclaimer,
            self._unreadable,
            self._in_part,
            self._left_out,
        ):
            gauge.clear()

    def count_error(self, code: str) -> None:
        """Count a pass that gave no figures, by the code of why."""
        self._errors.labels(code).inc()

    def _tell_container(self, container: ContainerEpc, source: str) -> None:
        counts_enclaves = source == EpcSource.BPF  # Areas say nothing of how many there are.
        labels = (container.name.namespace, container.name.pod, container.name.container, source)
        whole = not container.at_least  # Of whom a part is known, there is no figure that anybody should scale by.
        figures = {
            "request_bytes": container.request,
            "resident_bytes": container.use.resident + container.guests if whole else None,
            "control_bytes": container.use.control if whole else None,
            "existing_bytes": container.use.existing if whole else None,
            "evicted_bytes": container.use.evicted if whole else None,
            "peak_bytes": container.peak,
            "enclaves": container.use.enclaves if counts_enclaves and whole else None,
            "debug_enclaves": container.use.debug if counts_enclaves else None,
        }
        for name, figure in figures.items():
            _set(self._containers[name], figure, *labels)


def _largest(containers: Iterable[ContainerEpc]) -> Iterable[ContainerEpc]:
    """Those with most, for there may be no more series than so many."""
    return islice(sorted(containers, key=lambda each: -each.use.resident - each.guests), MAX_SERIES)


def _set(gauge: Gauge, figure: float | None, *labels: str) -> None:
    if figure is not None:
        gauge.labels(*labels).set(figure)
