"""A real Prometheus beside the cluster, by the job and the rules that the chart ships: every program answers, and alerts fire.

Two things are not as shipped. Debian's Prometheus is built without the discovery of Kubernetes, so the test says what that would
find, in the labels that Prometheus documents for pods. And `for` is taken out of the rules, so that nobody waits for minutes.
"""

import json
import os
import re
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from testbed import packages
from testbed.trouble import Lacking
from tests import runbooks
from tests.cluster.agents import NAMESPACE
from tests.cluster.conftest import Cluster, Testbed
from tests.cluster.release import Release, installed
from tests.cluster.test_attestation import on_a_volume, prepared, values
from tests.ports import HOST, free_port

from donjon.adapters import clock
from donjon.adapters.keys import fresh
from donjon.kube.names import EVENT_REASONS
from donjon.kube.objects import is_here
from donjon.pki.serving import issue

Wait = Callable[..., Any]

PROJECT = Path(__file__).parents[2]
FILES = PROJECT / "deploy" / "chart" / "files"
REPLICAS = {"admission": 2, "enclaves": 2, "attestation": 1, "metrics": 2}
METERS = ("node.meter.enabled=true", "node.meter.maps=true", "metricsApi.enabled=true", "metricsApi.external=true")


def told_of_pods(cluster: Cluster) -> list[dict[str, Any]]:
    """What Prometheus' discovery of pods finds in Donjon's namespace: a target for each port of each container."""
    found = []
    for pod in cluster.get("pods", "-n", NAMESPACE)["items"]:
        meta, spec, status = pod["metadata"], pod["spec"], pod["status"]
        labels = {f"pod_label_{re.sub(r'[^a-zA-Z0-9_]', '_', name)}": value for name, value in meta["labels"].items()}
        labels |= {"namespace": meta["namespace"], "pod_name": meta["name"], "pod_phase": status["phase"]}
        labels |= {"pod_node_name": spec.get("nodeName", ""), "pod_ip": status.get("podIP", "")}
        for container in spec["containers"]:
            for port in container.get("ports", []):
                here = {**labels, "pod_container_port_name": port["name"]}
                found.append(
                    {
                        "targets": [f"{status['podIP']}:{port['containerPort']}"] if status.get("podIP") else [],
                        "labels": {f"__meta_kubernetes_{name}": value for name, value in here.items()},
                    }
                )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Prometheus:
    """One that runs, and the file that says which pods there are."""

    cluster: Cluster
    port: int
    targets: Path

    def discover(self) -> None:
        """Say once more which pods there are; whole or not at all, since it looks at any moment."""
        part = self.targets.with_suffix(".part")
        part.write_text(json.dumps(told_of_pods(self.cluster)))
        part.rename(self.targets)

    def ask(self, path: str) -> Any:
        """What its API answers; nothing while it does not."""
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.port}/api/v1/{path}", timeout=5) as answer:
                return json.load(answer)["data"]
        except OSError:
            return None

    def up(self) -> list[tuple[str, str]]:
        """Component and node of every target; nothing unless all of them are up."""
        targets = (self.ask("targets?state=active") or {"activeTargets": []})["activeTargets"]
        if any(each["health"] != "up" for each in targets):
            return []
        return sorted((each["labels"]["component"], each["labels"]["node"]) for each in targets)

    def firing(self) -> dict[str, str]:
        """The summary of each alert that fires."""
        alerts = (self.ask("alerts") or {"alerts": []})["alerts"]
        return {each["labels"]["alertname"]: each["annotations"]["summary"] for each in alerts if each["state"] == "firing"}


@pytest.fixture(scope="module")
def everything(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """Agents with meters, both webhooks, the attestation service and the metrics server."""
    for release in installed(cluster):
        with prepared(cluster, "nobody") as (_, _, config), on_a_volume(cluster, tmp_path_factory) as more:
            release.upgrade('admission.mode="webhook"', "admission.enclaves.enabled=true", values(config, **more), *METERS)
            yield release
            release.upgrade()


@pytest.fixture
def prometheus(cluster: Cluster, everything: Release, tmp_path: Path, wait_for: Wait) -> Iterator[Prometheus]:
    """One that scrapes and looks at its rules every second."""
    del everything
    try:
        packages.install(packages.PROMETHEUS)
    except Lacking as error:
        pytest.skip(f"needs Prometheus: {error}")
    yaml = YAML(typ="safe")
    settings, rules = yaml.load(FILES / "scrape.yaml"), yaml.load(FILES / "alerts.yaml")
    for group in rules["groups"]:
        for rule in group["rules"]:
            del rule["for"]
    (job,) = settings["scrape_configs"]
    del job["kubernetes_sd_configs"]
    job["file_sd_configs"] = [{"files": [str(tmp_path / "targets.json")], "refresh_interval": "1s"}]
    settings |= {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": [str(tmp_path / "rules.json")]}
    for name, content in (("prometheus.json", settings), ("rules.json", rules)):
        (tmp_path / name).write_text(json.dumps(content))
    running = Prometheus(cluster=cluster, port=free_port(), targets=tmp_path / "targets.json")
    running.discover()
    places = (f"--storage.tsdb.path={tmp_path / 'data'}", f"--web.listen-address={HOST}:{running.port}")
    with (tmp_path / "log").open("wb") as log:
        command = ["prometheus", f"--config.file={tmp_path / 'prometheus.json'}", *places]
        with subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path) as process:
            try:
                wait_for(lambda: running.ask("status/runtimeinfo"), what=f"it answers; {(tmp_path / 'log').read_text()[-800:]}")
                yield running
            finally:
                process.kill()


def test_every_program_is_scraped_all_is_well_and_what_breaks_is_told(
    prometheus: Prometheus, cluster: Cluster, testbed: Testbed, wait_for: Wait
) -> None:
    (broken, *_) = cluster.sgx_nodes
    expected = 2 * len(cluster.node_names) + sum(REPLICAS.values())  # An agent has a meter beside it.

    def all_up() -> list[tuple[str, str]]:
        prometheus.discover()
        found = prometheus.up()
        return found if len(found) == expected else []

    found = wait_for(all_up, seconds=30, every=1, what="every target is up")
    assert sorted(node for component, node in found if component == "node") == sorted(2 * cluster.node_names)
    assert {component for component, _ in found} == {"node", *REPLICAS}
    shipped = YAML(typ="safe").load(FILES / "alerts.yaml")["groups"]
    loaded = prometheus.ask("rules")["groups"]
    assert [len(each["rules"]) for each in loaded] == [
        len(each["rules"]) for each in sorted(shipped, key=lambda each: each["name"])
    ]

    def well() -> bool:
        prometheus.discover()
        return not prometheus.firing()

    wait_for(well, seconds=15, every=1, what="no alert fires")

    testbed.remove_devices(broken)
    cluster.kubectl("scale", "-n", NAMESPACE, "deployment/donjon-webhook", "--replicas=0")

    def told() -> bool:
        prometheus.discover()
        return prometheus.firing() == {
            "DonjonNodeNotReady": f"SGX on {broken} is no longer ready",
            "DonjonWebhookDown": "No replica of Donjon's webhook answers",
        }

    try:
        wait_for(told, seconds=60, every=1, what="both are told, and nothing else")
    finally:
        testbed.return_devices(broken)
        cluster.kubectl("scale", "-n", NAMESPACE, "deployment/donjon-webhook", "--replicas=2")
    wait_for(well, seconds=60, every=1, what="all is well again")


def monitor(kind: str) -> dict[str, Any]:
    """The Prometheus operator's kind of object, as far as an API server must know it to keep one."""
    names = {"kind": kind, "plural": f"{kind.lower()}s", "singular": kind.lower()}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.monitoring.coreos.com"},
        "spec": {
            "group": "monitoring.coreos.com",
            "scope": "Namespaced",
            "names": names,
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }


def agent_of(cluster: Cluster, node: str) -> str:
    here = ("-l", "app.kubernetes.io/component=node", "--field-selector", f"spec.nodeName={node}")
    (agent,) = (each for each in cluster.get("pods", "-n", NAMESPACE, *here)["items"] if is_here(each))
    return str(agent["metadata"]["name"])


def filled(command: str, cluster: Cluster) -> str:
    """The command of a woken person, who has put in which node and which pod it is about."""
    (node, *_) = cluster.sgx_nodes
    words = {"NODE": node, "NAMESPACE": NAMESPACE, "NAME": "donjon-webhook", "SECRET": "runbook-tls"}
    if re.search(r"\bPOD\b", command):
        words["POD"] = agent_of(cluster, node)
    return re.sub(rf"(?<![=\w'])({'|'.join(words)})\b", lambda each: words[each[1]], command)


def event(reason: str, node: str) -> dict[str, Any]:
    """An Event as an agent writes it, so that who looks for such Events finds one."""
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"runbook-{reason.lower()}", "namespace": "default"},
        "involvedObject": {"apiVersion": "v1", "kind": "Node", "name": node},
        "type": "Warning",
        "reason": reason,
        "message": "made by a test",
    }


def test_every_command_of_the_runbooks_and_of_the_page_of_monitoring_runs(
    everything: Release, cluster: Cluster, testbed: Testbed, wait_for: Wait, tmp_path: Path
) -> None:
    kinds = [monitor(kind) for kind in ("PodMonitor", "PrometheusRule")]
    events = [event(reason, cluster.sgx_nodes[0]) for reason in EVENT_REASONS]
    cluster.apply(*kinds, *events)
    (tmp_path / "deploy").symlink_to(PROJECT / "deploy")
    serving = issue(("donjon-attestation.donjon.svc",), fresh(), clock.moment(), timedelta(days=1))
    (tmp_path / "tls.crt").write_bytes(serving.certificate)
    (tmp_path / "tls.key").write_bytes(serving.key)
    try:
        wait_for(lambda: "podmonitors" in cluster.kubectl("api-resources", check=False), what="the kinds are served")
        path = f"{PROJECT / '.venv' / 'bin'}:{testbed.layout.program('kubectl').parent}:{os.environ['PATH']}"
        environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig), "PATH": path}
        for shown in runbooks.of_a_cluster():
            command = ["bash", "-o", "pipefail", "-c", filled(shown, cluster)]
            done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60)
            assert done.returncode == 0, f"{command}: {done.stdout} {done.stderr}"
            assert done.stdout + done.stderr, command
            assert "No resources found" not in done.stderr, command
        rules = cluster.get("prometheusrules", "-n", NAMESPACE)["items"]
        assert len(rules[0]["spec"]["groups"]) == 5
    finally:
        # Helm upgrades nothing of whose kinds the API server has never heard.
        off = ("metrics.podMonitor.enabled=false", "metrics.prometheusRule.enabled=false")
        settings = [word for each in off for word in ("--set", each)]
        everything.run("upgrade", "donjon", str(PROJECT / "deploy" / "chart"), "--reuse-values", *settings)
        cluster.kubectl("delete", "secret", "-n", NAMESPACE, "runbook-tls", check=False)
        names = [each["metadata"]["name"] for each in events]
        cluster.kubectl("delete", "events", "-n", "default", "--ignore-not-found", *names, check=False)
        for kind in kinds:
            cluster.kubectl("delete", "customresourcedefinition", kind["metadata"]["name"], check=False)
