"""The alert rules as Prometheus' own promtool tries them: what fires in which world, and that nothing else does.

Each world is a row: it says all alerts that fire at a moment, and so what does not.
"""

import json
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from testbed import packages
from testbed.trouble import Lacking, Trouble
from tests.alerts.worlds import (
    AUDIT,
    BEGIN,
    COLLATERAL,
    DAY,
    EDITION,
    ENCLAVE,
    EVERY,
    EXPIRY,
    FAILURES,
    FETCHES,
    MANAGERS,
    ORDINARY,
    REFUSING,
    REQUESTS,
    SIGNING,
    TCB,
    World,
    agent,
    always,
    changing,
    for_minutes,
    gatekeeper,
    gone,
    node,
    rising,
    scaler,
    series,
    service,
    webhook,
    without,
)

RULES = Path(__file__).parents[2] / "deploy" / "chart" / "files" / "alerts.yaml"
LONG = 120  # minutes, for rules that look an hour back
PROMTOOL = packages.PROMETHEUS["prometheus"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A world that differs from the ordinary one, and what fires in it at that minute: names with their severity."""

    name: str
    changes: World = field(default_factory=dict)
    lacks: tuple[str, ...] = ()
    minute: int = 46
    fires: tuple[str, ...] = ()

    def test(self) -> dict[str, object]:
        """As promtool reads it."""
        world = {**without(ORDINARY, *self.lacks), **self.changes}
        expected = [
            {"labels": f'{{alertname="{name}",severity="{severity}"}}', "value": 1}
            for name, severity in (each.split() for each in self.fires)
        ]
        asked = 'max by (alertname, severity) (ALERTS{alertstate="firing"})'
        return {
            "name": self.name,
            "interval": f"{EVERY}m",
            "input_series": [{"series": name, "values": values} for name, values in world.items()],
            "promql_expr_test": [{"expr": asked, "eval_time": f"{self.minute}m", "exp_samples": expected}],
        }


KSM = {series("kube_node_info", node=name): always(1) for name in ("sgx-1", "plain")}
"""kube-state-metrics of a cluster from which sgx-2 was taken."""


def anew(name: str) -> str:
    """That series of sgx-2's agent as its next pod has it."""
    return name.replace("sgx-2:9808", "new:9808").replace("agent-sgx-2", "new")


RESTARTED = {anew(name): f"_x12 {values}" for name, values in agent("sgx-2").items()}
"""The agent of sgx-2 in its next pod, some minutes after the first was last seen."""
SGX_2_ENDS = {name: gone(float(values.partition("x")[0]), 20) for name, values in agent("sgx-2").items()}
WEBHOOK_AGES = {webhook(BEGIN.format("admission"), name): always(-80 * DAY) for name in "ab"}


def certificate(program: str, name: str, days: float) -> World:
    """A certificate of 90 days that ends so many days from the start."""
    of = service if program == "attestation" else lambda metric: webhook(metric, name)
    return {of(BEGIN.format(program)): always((days - 90) * DAY), of(EXPIRY.format(program)): always(days * DAY)}


CASES = (
    Case(name="the ordinary world; a node without SGX alarms nobody"),
    Case(
        name="Donjon is not seen at all",
        lacks=("component",),
        fires=(
            "DonjonAgentsAbsent critical",
            "DonjonAttestationDown critical",
            "DonjonEnclavesDown critical",
            "DonjonMetricsDown critical",
            "DonjonWebhookDown critical",
        ),
    ),
    # Nodes.
    Case(
        name="a container without its device",
        changes={node("donjon_node_containers_without_device", "sgx-1"): always(1)},
        fires=("DonjonContainerWithoutDevice critical",),
    ),
    Case(
        name="a container that is not accounted for",
        changes={node("donjon_node_containers_not_accounted", "sgx-1"): always(1)},
        fires=("DonjonDeviceNotAccounted warning",),
    ),
    Case(
        name="a refusing policy that is gone, as the plain node's agent was the first to see",
        changes={node("donjon_node_guard", "plain", object=REFUSING): changing(1, 20, 0)},
        fires=("DonjonGuardGap critical",),
    ),
    Case(
        name="a pod that is too large",
        changes={node("donjon_node_pods_too_large", "sgx-1"): always(1)},
        fires=("DonjonPodsTooLarge info",),
    ),
    Case(
        name="a driver that goes",
        changes={node("donjon_node_ready", "sgx-1"): changing(1, 20, 0)},
        fires=("DonjonNodeNotReady warning",),
    ),
    Case(name="a driver that is away for four minutes", changes={node("donjon_node_ready", "sgx-1"): "1x20 0x1 1x75"}, minute=46),
    Case(
        name="a node that comes up again in another pod and without SGX",
        changes={
            **SGX_2_ENDS,
            **RESTARTED,
            anew(node("donjon_node_ready", "sgx-2")): "_x12 0x75",
            anew(node("donjon_node_epc_capacity_bytes", "sgx-2")): "_x12 0x75",
        },
        fires=("DonjonNodeNotReady warning",),
    ),
    Case(
        name="somebody who writes what the agent writes",
        minute=LONG,
        changes={node("donjon_node_reassertions_total", "sgx-1", what="status"): rising(1)},
        fires=("DonjonEpcContended warning",),
    ),
    Case(
        name="a kubelet that registers again and again",
        minute=LONG,
        changes={node("donjon_node_registrations_total", "sgx-1", resource=ENCLAVE): rising(1)},
        fires=("DonjonKubeletFlapping warning",),
    ),
    Case(
        name="no device left",
        changes={node("donjon_node_devices_in_use", "sgx-1", resource=ENCLAVE): always(110)},
        fires=("DonjonDevicesExhausted info",),
    ),
    Case(
        name="a device that goes while pods hold it: they are not the trouble",
        changes={
            node("donjon_node_ready", "sgx-1"): changing(1, 20, 0),
            node("donjon_node_devices_in_use", "sgx-1", resource=ENCLAVE): always(1),
            node("donjon_node_devices", "sgx-1", resource=ENCLAVE, health="Healthy"): changing(110, 20, 0),
        },
        fires=("DonjonNodeNotReady warning",),
    ),
    Case(name="a rolling update of the agents", changes={**SGX_2_ENDS, **RESTARTED}, minute=30),
    Case(name="a rolling update of the agents, afterwards", changes={**SGX_2_ENDS, **RESTARTED}),
    Case(name="an agent that is gone, with its series", changes=SGX_2_ENDS, fires=("DonjonAgentAbsent warning",)),
    Case(name="an agent that is gone from a node that is", changes={**SGX_2_ENDS, **KSM}),
    Case(
        name="an agent that is gone from a node that is there",
        changes={**SGX_2_ENDS, **KSM, series("kube_node_info", node="sgx-2"): always(1)},
        fires=("DonjonAgentAbsent warning",),
    ),
    Case(
        name="an agent of an ordinary node that is gone",
        changes={name: gone(float(values.partition("x")[0]), 20) for name, values in agent("plain", epc=0).items()},
    ),
    Case(
        name="an agent that does not answer",
        changes={node("up", "plain"): changing(1, 20, 0)},
        fires=("DonjonAgentNotScraped warning",),
    ),
    Case(
        name="no agent any more, since the DaemonSet is gone", lacks=('component="node"',), fires=("DonjonAgentsAbsent critical",)
    ),
    Case(
        name="agents whose account is gone, so that they cannot look after the policies",
        changes={
            **{node("donjon_node_rejected", each): changing(0, 20, 1) for each in ("sgx-1", "sgx-2", "plain")},
            **{node("donjon_node_guard", each, object=REFUSING): gone(1, 20) for each in ("sgx-1", "sgx-2", "plain")},
        },
        fires=("DonjonAgentRejected critical",),
    ),
    # The meter.
    Case(
        name="a node that evicts enclave memory",
        changes={node("donjon_node_readiness_reasons", "sgx-1", code="DJ783", severity="warning"): changing(0, 20, 1)},
        fires=("DonjonEpcEvicted warning",),
    ),
    Case(
        name="a node that evicts for a while",
        changes={node("donjon_node_readiness_reasons", "sgx-1", code="DJ783", severity="warning"): "0x18 1x14 0x60"},
    ),
    Case(
        name="a meter that answers, and there is nothing to say",
        changes={
            node("donjon_node_meter_up", "sgx-1", source="bpf"): always(1),
            **{node("donjon_node_epc_containers", "sgx-1", code=code): always(0) for code in ("DJ780", "DJ781", "DJ782")},
        },
    ),
    *(
        Case(
            name=f"containers of which there is to be said {code}",
            changes={node("donjon_node_epc_containers", "sgx-1", code=code): changing(0, 20, 1)},
            fires=(alert,),
        )
        for code, alert in (
            ("DJ780", "DonjonEpcOverRequest info"),
            ("DJ781", "DonjonEpcWithoutRequest warning"),
            ("DJ782", "DonjonDebugEnclave warning"),
        )
    ),
    Case(name="nobody looks into images", lacks=('component="enclaves"',), fires=("DonjonEnclavesDown critical",)),
    Case(
        name="somebody who cannot look into images",
        changes={gatekeeper("donjon_admission_ready", "g"): changing(1, 20, 0)},
        fires=("DonjonEnclavesDown critical",),
    ),
    Case(name="no metrics server", lacks=('component="metrics"',), fires=("DonjonMetricsDown critical",)),
    Case(
        name="a metrics server that is not ready",
        changes={scaler("donjon_metrics_ready", "m"): changing(1, 20, 0)},
        fires=("DonjonMetricsDown critical",),
    ),
    Case(
        name="a metrics server whose certificate was not renewed",
        changes={
            scaler(BEGIN.format("metrics"), "m"): always(-80 * DAY),
            scaler(EXPIRY.format("metrics"), "m"): always(10 * DAY),
        },
        fires=("DonjonMetricsCertificateEnds warning",),
    ),
    Case(
        name="a meter that does not answer any more",
        changes={
            node("donjon_node_meter_up", "sgx-1", source="bpf"): gone(1, 20),
            node("donjon_node_meter_up", "sgx-1", source=""): f"_x20 {always(0)}",
        },
        fires=("DonjonMeterDown warning",),
    ),
    # The webhook.
    Case(name="a rolling update of the webhook", changes={webhook("donjon_admission_ready", "a"): changing(1, 20, 0)}),
    Case(
        name="a webhook of which no replica is ready",
        changes={webhook("donjon_admission_ready", name): changing(1, 20, 0) for name in "ab"},
        fires=("DonjonWebhookDown critical",),
    ),
    Case(name="a webhook whose series are gone", lacks=('component="admission"',), fires=("DonjonWebhookDown critical",)),
    Case(name="a webhook's certificate a day before its renewal", changes=certificate("admission", "a", 31)),
    Case(
        name="a webhook's certificate of 90 days that was not renewed",
        changes=certificate("admission", "a", 13),
        fires=("DonjonWebhookCertificateEnds warning",),
    ),
    Case(
        name="a webhook's certificate that ends in three days",
        changes=certificate("admission", "b", 3),
        fires=("DonjonWebhookCertificateEnds critical", "DonjonWebhookCertificateEnds warning"),
    ),
    Case(
        name="a webhook's certificate that has ended",
        changes=certificate("admission", "b", 0.01),
        fires=("DonjonWebhookCertificateEnds critical", "DonjonWebhookCertificateEnds warning"),
    ),
    Case(
        name="a webhook's certificate of three hours, renewed in time",
        minute=LONG,
        changes={webhook(BEGIN.format("admission"), name): always(6_600 - 3_600) for name in "ab"}
        | {webhook(EXPIRY.format("admission"), name): always(6_600 + 7_200) for name in "ab"},
    ),
    Case(
        name="a webhook without a certificate yet",
        changes={webhook(each.format("admission"), "a"): always(0) for each in (BEGIN, EXPIRY)},
    ),
    Case(
        name="a webhook whose Secret is gone",
        changes={webhook("donjon_admission_certificate_trouble", "a", code="DJ147"): always(1)},
        fires=("DonjonWebhookCertificateTrouble warning",),
    ),
    Case(
        name="a webhook that could not look after its certificate for two minutes",
        changes={
            webhook("donjon_admission_certificate_trouble", "a", code="DJ146"): for_minutes(0, 20, for_minutes(1, 2, always(0)))
        },
    ),
    Case(
        name="a webhook without room for requests",
        changes={webhook("donjon_admission_errors_total", "a", code="DJ148"): rising(3)},
        fires=("DonjonWebhookErrors warning",),
    ),
    Case(
        name="somebody who sends the webhook nonsense",
        changes={webhook("donjon_admission_errors_total", "a", code="DJ144"): rising(100)},
    ),
    # The attestation service.
    Case(
        name="a restart of the attestation service",
        changes={service("donjon_attestation_ready"): "1x20 stale 1x75", service("up"): "1x20 0 1x75"},
        minute=44,
    ),
    Case(
        name="an attestation service that is not ready",
        changes={service("donjon_attestation_ready"): changing(1, 20, 0)},
        fires=("DonjonAttestationDown critical",),
    ),
    Case(
        name="an attestation service whose series are gone",
        lacks=('component="attestation"',),
        fires=("DonjonAttestationDown critical",),
    ),
    Case(name="a request in a thousand that fails", changes={service(REQUESTS, route="/attest/", status="503"): rising(1)}),
    Case(
        name="one request in ten that fails",
        changes={service(REQUESTS, route="/attest/", status="503"): rising(100)},
        fires=("DonjonAttestationErrors warning",),
    ),
    Case(name="callers who are refused", changes={service(REQUESTS, route="/attest/", status="401"): rising(5000)}),
    Case(
        name="a database that is away",
        changes={service("donjon_attestation_database_up"): changing(1, 20, 0)},
        fires=("DonjonDatabaseAway critical",),
    ),
    Case(
        name="no heads of the audit",
        minute=LONG,
        changes={service(FAILURES, work="head"): rising(1)},
        fires=("DonjonAuditIncomplete warning",),
    ),
    Case(
        name="old records of the audit that stay hour after hour",
        minute=LONG,
        changes={service(FAILURES, work="retention"): rising(0.05)},
        fires=("DonjonAuditIncomplete warning",),
    ),
    Case(
        name="old records that stayed for two hours",
        minute=LONG,
        changes={service(FAILURES, work="retention"): changing(0, 100, 2)},
    ),
    Case(name="one head of the audit that failed", minute=LONG, changes={service(FAILURES, work="head"): changing(0, 100, 1)}),
    Case(
        name="signing keys that end in thirteen days",
        changes={service(SIGNING, instance_name="team"): always(13 * DAY)},
        fires=("DonjonSigningKeysEnd warning",),
    ),
    Case(
        name="signing keys that end tomorrow",
        changes={service(SIGNING, instance_name="team"): always(DAY)},
        fires=("DonjonSigningKeysEnd critical", "DonjonSigningKeysEnd warning"),
    ),
    Case(
        name="policy management certificates that end in thirteen days",
        changes={service(MANAGERS, instance_name="team"): always(13 * DAY)},
        fires=("DonjonPolicyCertificatesEnd warning",),
    ),
    Case(
        name="audit keys that end in thirteen days",
        changes={service(AUDIT): always(13 * DAY)},
        fires=("DonjonAuditKeysEnd warning",),
    ),
    Case(
        name="an audit that nobody signs, and no TLS",
        changes={service(each): always(0) for each in (AUDIT, BEGIN.format("attestation"), EXPIRY.format("attestation"))},
    ),
    Case(name="a serving certificate that will be renewed tomorrow", changes=certificate("attestation", "", 31)),
    Case(
        name="a serving certificate that was not renewed",
        changes=certificate("attestation", "", 13),
        fires=("DonjonAttestationCertificateEnds warning",),
    ),
    Case(
        name="a serving certificate that ends in three days",
        changes=certificate("attestation", "", 3),
        fires=("DonjonAttestationCertificateEnds critical", "DonjonAttestationCertificateEnds warning"),
    ),
    Case(
        name="a TCB info that was not renewed",
        changes={service(COLLATERAL, document=TCB): always(2 * DAY)},
        fires=("DonjonCollateralEnds warning",),
    ),
    Case(name="an edition that Intel has withdrawn", changes={service(COLLATERAL, document=EDITION): always(2 * DAY)}),
    Case(
        name="an upstream that is away",
        minute=LONG,
        changes={service(FETCHES, code="DJ281"): rising(0.2)},
        fires=("DonjonUpstreamFails warning",),
    ),
    Case(
        name="an upstream that fails now and then",
        minute=LONG,
        changes={service(FETCHES, code="DJ281"): rising(0.2), service(FETCHES, code=""): rising(0.1)},
    ),
    Case(name="callers who ask for what Intel does not have", minute=LONG, changes={service(FETCHES, code="DJ512"): rising(5)}),
)


def alerts() -> set[str]:
    """Every rule, as a case names it."""
    groups = YAML(typ="safe").load(RULES)["groups"]
    return {f"{rule['alert']} {rule['labels']['severity']}" for group in groups for rule in group["rules"]}


def test_every_rule_fires_in_some_world() -> None:
    assert {fires for case in CASES for fires in case.fires} == alerts()


def test_in_each_world_what_is_to_fire_fires_and_nothing_else(tmp_path: Path) -> None:
    try:
        packages.install(packages.PROMETHEUS)
    except (Lacking, Trouble) as error:
        pytest.skip(f"needs promtool: {error}")
    file = tmp_path / "tests.yaml"
    file.write_text(
        json.dumps({"rule_files": [str(RULES)], "evaluation_interval": f"{EVERY}m", "tests": [each.test() for each in CASES]})
    )
    done = subprocess.run([PROMTOOL, "test", "rules", file], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, re.sub(r"\n\s*\n", "\n", done.stdout + done.stderr)
