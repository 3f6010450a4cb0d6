"""The attestation service's metrics, as Prometheus counts them."""

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.process_collector import ProcessCollector

_PREFIX = "donjon_attestation"
_SECONDS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5)


class AttestationMetrics:
    """The metrics of one process."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        Gauge(f"{_PREFIX}_info", "Version of the service; always 1.", ("version",), registry=self.registry).labels(version).set(1)
        self._answers = self._counter("collateral_answers", "Answers about collateral.", "route", "status")
        self._answer = lru_cache(maxsize=None)(lambda route, status: self._answers.labels(route, str(status)))
        self._decisions = self._counter("decisions", "Attestations decided; no code: allowed.", "type", "verdict", "code")
        self._requests = self._counter("requests", "Answers of the routes of instances.", "route", "status")
        self._verification = Histogram(
            f"{_PREFIX}_verification_seconds", "Time that verifying a quote took.", buckets=_SECONDS, registry=self.registry
        )
        self._decision = lru_cache(maxsize=None)(self._decisions.labels)
        self._request = lru_cache(maxsize=None)(lambda route, status: self._requests.labels(route, str(status)))
        self._fetches = self._counter("collateral_fetches", "Documents asked of the upstream; no code: fetched.", "code")
        self._expiry = Gauge(
            f"{_PREFIX}_collateral_expiry_timestamp_seconds", "When a document ends.", ("document",), registry=self.registry
        )
        self._keys = Gauge(
            f"{_PREFIX}_signing_keys_expiry_timestamp_seconds",
            "When an instance's last signing key ends.",
            ("instance",),
            registry=self.registry,
        )
        self._connections = Gauge(f"{_PREFIX}_connections", "Open connections.", registry=self.registry)

    def count_answer(self, route: str, status: int) -> None:
        """Count an answer about collateral."""
        self._answer(route, status).inc()

    def count_decision(self, kind: str, verdict: str, code: str) -> None:
        """Count an attestation by its verdict, and by the first reason why not."""
        self._decision(kind, verdict, code).inc()

    def count_request(self, route: str, status: int) -> None:
        """Count an answer of an instance's route."""
        self._request(route, status).inc()

    def observe_verification(self, seconds: float) -> None:
        """Note how long it took to verify a quote, or to find that it does not hold."""
        self._verification.observe(seconds)

    def count_fetch(self, code: str) -> None:
        """Count a document asked of the upstream, by the code of why it did not come."""
        self._fetches.labels(code).inc()

    def holds(self, document: str, expires: datetime) -> None:
        """That document is here and ends then."""
        self._expiry.labels(document).set(expires.timestamp())

    def signs_until(self, instance: str, ends: Callable[[], datetime]) -> None:
        """From now on, who reads the figures is told when that instance's last signing key ends."""
        self._keys.labels(instance).set_function(lambda: ends().timestamp())

    def count_connections(self, count: Callable[[], int]) -> None:
        """From now on, who reads the figures is told how many connections are open."""
        self._connections.set_function(count)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", text, labels, registry=self.registry)
