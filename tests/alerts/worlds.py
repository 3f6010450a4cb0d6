"""Worlds as Prometheus sees them, series by series, in the words of `promtool test rules`: a sample every two minutes, from 0 on.

The ordinary world has two nodes with SGX and one without, a webhook of two replicas, one replica of what looks into images, and
one attestation service.
"""

from collections.abc import Mapping

DAY = 86_400
EVERY = 2  # minutes
COUNT = 75

World = Mapping[str, str]
"""Values by series."""


def series(metric: str, **labels: str) -> str:
    """A series by its name and labels."""
    return f"{metric}{{{','.join(f'{name}={chr(34)}{value}{chr(34)}' for name, value in labels.items())}}}"


def always(value: float) -> str:
    """One value, all the time."""
    return f"{value:g}x{COUNT}"


def for_minutes(value: float, minutes: int, after: str) -> str:
    """One value for that long, and then what comes after."""
    return f"{value:g}x{minutes // EVERY - 1} {after}"


def changing(value: float, at: int, to: float) -> str:
    """One value until that minute, and then another."""
    return for_minutes(value, at, always(to))


def rising(each: float) -> str:
    """A counter that grows by so much between two samples."""
    return f"0+{each:g}x{COUNT}"


def gone(value: float, at: int) -> str:
    """One value until that minute; then the target is no more."""
    return for_minutes(value, at, "stale")


REFUSING = "ValidatingAdmissionPolicyBinding donjon-refuse"
ENCLAVE = "sgx.intel.com/enclave"


def node(metric: str, name: str, **labels: str) -> str:
    """A series of the agent on that node."""
    return series(metric, node=name, instance=f"{name}:9808", pod=f"agent-{name}", component="node", **labels)


def webhook(metric: str, name: str, **labels: str) -> str:
    """A series of that replica of the webhook."""
    return series(metric, node="sgx-1", instance=f"{name}:9809", pod=f"webhook-{name}", component="admission", **labels)


def service(metric: str, **labels: str) -> str:
    """A series of the attestation service."""
    return series(metric, node="sgx-1", instance="s:9810", pod="attestation-s", component="attestation", **labels)


def agent(name: str, epc: int = 8 << 30) -> World:
    """The series of a node's agent, where nothing is wrong."""
    has_sgx = epc > 0
    return {
        node("up", name): always(1),
        node("donjon_node_info", name, version="0", driver="in-tree" if has_sgx else ""): always(1),
        node("donjon_node_ready", name): always(has_sgx),
        node("donjon_node_epc_capacity_bytes", name): always(epc),
        node("donjon_node_containers_without_device", name): always(0),
        node("donjon_node_containers_not_accounted", name): always(0),
        node("donjon_node_pods_too_large", name): always(0),
        node("donjon_node_rejected", name): always(0),
        node("donjon_node_guard", name, object=REFUSING): always(1),
        node("donjon_node_reassertions_total", name, what="status"): always(1),
        node("donjon_node_registrations_total", name, resource=ENCLAVE): always(has_sgx),
        node("donjon_node_devices_in_use", name, resource=ENCLAVE): always(0),
        node("donjon_node_devices", name, resource=ENCLAVE, health="Healthy"): always(110 * has_sgx),
    }


def replica(name: str) -> World:
    """The series of a replica of the webhook; its certificate's 90 days have 32 left: it will be renewed the day after."""
    return {
        webhook("up", name): always(1),
        webhook("donjon_admission_ready", name): always(1),
        webhook("donjon_admission_certificate_begin_timestamp_seconds", name): always(-58 * DAY),
        webhook("donjon_admission_certificate_expiry_timestamp_seconds", name): always(32 * DAY),
        webhook("donjon_admission_errors_total", name, code="DJ148"): always(0),
    }


def gatekeeper(metric: str, name: str) -> str:
    """A series of that replica of what admits by an enclave's identity."""
    return series(metric, node="sgx-1", instance=f"{name}:9809", pod=f"enclaves-{name}", component="enclaves")


ENCLAVES: World = {gatekeeper("up", "g"): always(1), gatekeeper("donjon_admission_ready", "g"): always(1)}

TCB = "/sgx/certification/v4/tcb?fmspc=00606a000000"
EDITION = f"{TCB}&tcbEvaluationDataNumber=16"
SIGNING, AUDIT = (f"donjon_attestation_{keys}_keys_expiry_timestamp_seconds" for keys in ("signing", "audit"))
MANAGERS = "donjon_attestation_policy_certificates_expiry_timestamp_seconds"
COLLATERAL = "donjon_attestation_collateral_expiry_timestamp_seconds"
FETCHES, REQUESTS = "donjon_attestation_collateral_fetches_total", "donjon_attestation_requests_total"
FAILURES = "donjon_attestation_audit_failures_total"
BEGIN, EXPIRY = (f"donjon_{{}}_certificate_{which}_timestamp_seconds" for which in ("begin", "expiry"))

ATTESTATION: World = {
    service("up"): always(1),
    service("donjon_attestation_ready"): always(1),
    service("donjon_attestation_database_up"): always(1),
    service(SIGNING, instance_name="team"): always(700 * DAY),
    service(AUDIT): always(700 * DAY),
    service(MANAGERS, instance_name="team"): always(700 * DAY),
    service(BEGIN.format("attestation")): always(-200 * DAY),
    service(EXPIRY.format("attestation")): always(165 * DAY),
    service(COLLATERAL, document=TCB): always(9.5 * DAY),
    service(FETCHES, code=""): always(12),
    service(REQUESTS, route="/attest/", status="200"): rising(1000),
    service(FAILURES, work="head"): always(0),
    service(FAILURES, work="retention"): always(0),
}


def scaler(metric: str, name: str, **labels: str) -> str:
    """A series of that replica of the metrics server."""
    return series(metric, node="sgx-1", instance=f"{name}:9811", pod=f"metrics-{name}", component="metrics", **labels)


METRICS: World = {
    scaler("up", "m"): always(1),
    scaler("donjon_metrics_ready", "m"): always(1),
    scaler(BEGIN.format("metrics"), "m"): always(-58 * DAY),
    scaler(EXPIRY.format("metrics"), "m"): always(32 * DAY),
}
ORDINARY: World = {
    **agent("sgx-1"),
    **agent("sgx-2"),
    **agent("plain", epc=0),
    **replica("a"),
    **replica("b"),
    **ENCLAVES,
    **ATTESTATION,
    **METRICS,
}


def without(world: World, *parts: str) -> World:
    """What is left where no series has one of these words in it."""
    return {name: values for name, values in world.items() if not any(part in name for part in parts)}
