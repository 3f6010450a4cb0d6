"""The node agent's metrics, as Prometheus counts them."""

from collections import Counter
from collections.abc import Iterable, Mapping

from donjon.adapters.metrics.program import ProgramMetrics
from donjon.kube.epc_findings import DEBUG, OVER_REQUEST, WITHOUT_REQUEST
from donjon.node.offer import Offer


class NodeMetrics(ProgramMetrics):
    """The metrics of one node agent."""

    def __init__(self, version: str) -> None:
        super().__init__("donjon_node")
        self._info = self._gauge("info", "Version of the agent and driver of the node; always 1.", "version", "driver")
        self._capacity = self._gauge("epc_capacity_bytes", "EPC of the node.")
        self._allocatable = self._gauge(
            "epc_allocatable_bytes", "EPC offered to pods: capacity less the reserve, 0 when not ready."
        )
        self._ready = self._gauge("ready", "1 when the node can run enclaves.")
        self._reasons = self._gauge("readiness_reasons", "1 for each finding about the node.", "code", "severity")
        self._devices = self._gauge("devices", "Devices offered to the kubelet.", "resource", "health")
        self._in_use = self._gauge("devices_in_use", "Containers that hold a device.", "resource")
        self._without = self._gauge("containers_without_device", "Containers that asked for EPC and run without their device.")
        self._not_accounted = self._gauge(
            "containers_not_accounted", "Containers with their device that the kubelet does not account for any more."
        )
        self._too_large = self._gauge("pods_too_large", "Pods of the node that are too large to be read.")
        self._guard = self._gauge(
            "guard", "1 for each object of Donjon's in the API server that is in force as Donjon printed it, else 0.", "object"
        )
        self._rejected = self._gauge(
            "rejected", "1 while the API server answers the agent with nothing but 401 and 403: it guards nothing then."
        )
        self._meter = self._gauge(
            "meter_up", "1 while the node's meter answers with a report, by its source, else 0 and no source.", "source"
        )
        self._containers = self._gauge(
            "epc_containers", "Containers of which there is something to be said, by the meter.", "code"
        )
        self._registrations = self._counter("registrations", "Registrations with the kubelet.", "resource")
        self._reassertions = self._counter("reassertions", "Patches that put the node object right.", "what")
        self._version = version

    def tell_node(self, *, driver: str, capacity: int, ready: bool, codes: Iterable[tuple[str, str]]) -> None:
        """What the node is like now; `codes` are code and severity of each finding."""
        self._info.clear()
        self._info.labels(self._version, driver).set(1)
        self._capacity.set(capacity)
        self._ready.set(ready)
        self._reasons.clear()
        for code, severity in codes:
            self._reasons.labels(code, severity).set(1)

    def tell_offer(self, offer: Offer) -> None:
        """What is offered now."""
        self._allocatable.set(offer.epc)
        self._devices.clear()
        for device in offer.devices:
            for health, count in (("Healthy", device.count * device.healthy), ("Unhealthy", device.count * (not device.healthy))):
                self._devices.labels(device.resource, health).set(count)

    def tell_use(self, in_use: dict[str, int], without_device: int, not_accounted: int) -> None:
        """How many containers hold a device of each resource, run without theirs, and run with one that is not accounted for."""
        for resource, count in in_use.items():
            self._in_use.labels(resource).set(count)
        self._without.set(without_device)
        self._not_accounted.set(not_accounted)

    def tell_too_large(self, pods: int) -> None:
        """How many pods are too large to be read."""
        self._too_large.set(pods)

    def tell_guard(self, whole: Mapping[str, bool]) -> None:
        """Which objects of ours the API server has as they were printed; none of them while that is unknown."""
        self._guard.clear()
        for name, is_whole in whole.items():
            self._guard.labels(name).set(is_whole)

    def tell_rejected(self, *, rejected: bool) -> None:
        """Whether the API server turns the agent's account away."""
        self._rejected.set(rejected)

    def tell_meter(self, source: str, codes: Iterable[str]) -> None:
        """Who counts what enclaves hold, and what is to be said of containers, a code for each."""
        self._meter.clear()
        self._meter.labels(source).set(1)
        counts = Counter(codes)
        for code in (OVER_REQUEST, WITHOUT_REQUEST, DEBUG):
            self._containers.labels(code).set(counts[code])

    def tell_no_meter(self) -> None:
        """The node's meter does not answer: nothing is known of containers."""
        self.forget_meter()
        self._meter.labels("").set(0)

    def forget_meter(self) -> None:
        """There is nothing for a meter to count."""
        self._meter.clear()
        self._containers.clear()

    def count_registration(self, resource: str) -> None:
        """Count a registration with the kubelet."""
        self._registrations.labels(resource).inc()

    def count_reassertion(self, what: str) -> None:
        """Count a patch that puts the node object right."""
        self._reassertions.labels(what).inc()
