"""The attestation service's metrics, as Prometheus counts them."""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

from donjon.adapters.metrics.program import ProgramMetrics
from donjon.pki.intel import Window

_SECONDS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5)


class AuditWork(StrEnum):
    """What is done for the audit beside its records."""

    HEAD = "head"  # stating how far it has come
    RETENTION = "retention"  # dropping what is older than records are kept


class AttestationMetrics(ProgramMetrics):
    """The metrics of one process."""

    def __init__(self, version: str) -> None:
        super().__init__("donjon_attestation")
        self._gauge("info", "Version of the service; always 1.", "version").labels(version).set(1)
        self._ready = self._gauge("ready", "1 while the service could answer, as its /readyz says.")
        self._database = self._gauge("database_up", "1 while the database answers, and takes records where there are instances.")
        self._failures = self._counter("audit_failures", "What the audit needs and could not be done.", "work")
        for work in AuditWork:  # From the start, so that the first failure is an increase.
            self._failures.labels(work)
        self._answers = self._counter("collateral_answers", "Answers about collateral.", "route", "status")
        self._answer = lru_cache(maxsize=None)(lambda route, status: self._answers.labels(route, str(status)))
        self._decisions = self._counter("decisions", "Attestations decided; no code: allowed.", "type", "verdict", "code")
        self._requests = self._counter("requests", "Answers of the routes of instances.", "route", "status")
        self._verification = self._histogram("verification_seconds", "Time that verifying a quote took.", _SECONDS)
        self._decision = lru_cache(maxsize=None)(self._decisions.labels)
        self._request = lru_cache(maxsize=None)(lambda route, status: self._requests.labels(route, str(status)))
        self._fetches = self._counter("collateral_fetches", "Documents asked of the upstream; no code: fetched.", "code")
        self._documents = self._gauge("collateral_expiry_timestamp_seconds", "When a document ends.", "document")
        self._keys = self._gauge(
            "signing_keys_expiry_timestamp_seconds", "When an instance's last signing key ends.", "instance_name"
        )
        self._policy_certificates = self._gauge(
            "policy_certificates_expiry_timestamp_seconds",
            "When the last certificate ends that may sign policies of an instance of mode Isolated.",
            "instance_name",
        )
        self._audit_keys = self._gauge(
            "audit_keys_expiry_timestamp_seconds", "When the last key that signs the audit ends; 0 where none does."
        )
        self._begin = self._gauge("certificate_begin_timestamp_seconds", "When the serving certificate began; 0 without TLS.")
        self._expiry = self._gauge("certificate_expiry_timestamp_seconds", "When the serving certificate ends; 0 without TLS.")
        self._connections = self._gauge("connections", "Open connections.")

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
        self._documents.labels(document).set(expires.timestamp())

    def signs_until(self, instance: str, ends: Callable[[], datetime]) -> None:
        """From now on, who reads the figures is told when that instance's last signing key ends."""
        self._keys.labels(instance).set_function(lambda: ends().timestamp())

    def policies_are_signed_until(self, instance: str, ends: datetime) -> None:
        """Until then somebody may sign the policies of that instance, of mode Isolated."""
        self._policy_certificates.labels(instance).set(ends.timestamp())

    def audit_is_signed_until(self, ends: Callable[[], datetime]) -> None:
        """From now on, who reads the figures is told when the last key that signs the audit ends."""
        self._audit_keys.set_function(lambda: ends().timestamp())

    def serves(self, window: Callable[[], Window]) -> None:
        """From now on, who reads the figures is told from when until when the serving certificate is good."""
        self._begin.set_function(lambda: window().begins.timestamp())  # noqa: PLW0108 - a renewal brings another window.
        self._expiry.set_function(lambda: window().ends.timestamp())  # noqa: PLW0108 - as above.

    def tells_readiness(self, is_ready: Callable[[], bool]) -> None:
        """From now on, who reads the figures is told whether the service is ready."""
        self._ready.set_function(is_ready)

    def tells_database(self, is_up: Callable[[], bool]) -> None:
        """From now on, who reads the figures is told whether the database does what is needed of it."""
        self._database.set_function(is_up)

    def count_audit_failure(self, work: AuditWork) -> None:
        """Count what the audit needs and could not be done."""
        self._failures.labels(work).inc()

    def count_connections(self, count: Callable[[], int]) -> None:
        """From now on, who reads the figures is told how many connections are open."""
        self._connections.set_function(count)
