"""What pages show of commands that need a cluster, run in each page's order as it stands there.

The testbed stands in for what a reader brings: a registry, a workload that asks.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests import pages
from tests.admission.checks import FAQ_JOB
from tests.cluster.agents import EPC, pod
from tests.cluster.conftest import ORDINARY_IMAGE, Cluster
from tests.cluster.release import Release, installed
from tests.pages import PROJECT, Terminal

Wait = Callable[..., Any]

NO = 1
COULD_NOT_LOOK = 3


@pytest.fixture(scope="module")
def release(cluster: Cluster) -> Iterator[Release]:
    yield from installed(cluster)


def reader(cluster: Cluster, folder: Path, namespace: str = "default", **instead: str) -> Terminal:
    """Who reads a page in a folder that looks like a checkout, with a context that names the namespace."""
    (folder / "deploy").mkdir()
    (folder / "deploy" / "chart").symlink_to(PROJECT / "deploy" / "chart")
    kubeconfig = folder / "kubeconfig"
    shutil.copy(cluster.kubeconfig, kubeconfig)
    terminal = Terminal(folder=folder, environment={"KUBECONFIG": str(kubeconfig)}, instead=instead)
    terminal.run(f"kubectl config set-context --current --namespace={namespace}")
    return terminal


LEFT = {"Job", "ServiceAccount", "ClusterRole", "ClusterRoleBinding"}
"""Kinds of what Helm makes for an uninstall alone."""


def what_an_interrupted_uninstall_leaves(release: Release) -> list[dict[str, Any]]:
    """The hooks of the chart, their Job suspended."""
    command = release.upgrade_command('cleanup.hooks="always"', 'admission.mode="policies"')
    rendered = YAML(typ="safe").load_all(release.run("template", *command[2:]))
    label = ("app.kubernetes.io/component", "cleanup")
    hooks = [each for each in rendered if each and each["kind"] in LEFT and label in each["metadata"].get("labels", {}).items()]
    assert {each["kind"] for each in hooks} == LEFT
    return [each | {"spec": each["spec"] | {"suspend": True}} if each["kind"] == "Job" else each for each in hooks]


def test_the_page_on_installing_goes_from_nothing_to_nothing(cluster: Cluster, release: Release, tmp_path: Path) -> None:
    release.uninstall()
    cluster.kubectl("delete", "namespace", "donjon", "--ignore-not-found")
    (tmp_path / "donjon.toml").write_text(
        '[instances.team]\nissuer = "https://attest.example"\nkeys = "/etc/donjon-secrets/keys"\n'
    )
    here = f"donjon.dev/donjon --set image.pullPolicy=Never --set node.hostRoot={cluster.host_root}"
    terminal = reader(cluster, tmp_path, **{"registry.example/donjon": here})
    said = {}
    for command in pages.shown("install.md", __file__):
        if of_the_webhook := "component=admission" in command:
            release.run(*release.change_command('admission.mode="webhook"'), "--wait", "--timeout", "90s")
        if "component=cleanup" in command:
            cluster.apply(*what_an_interrupted_uninstall_leaves(release))
        said[command] = terminal.run(command)
        assert "No resources found" not in said[command], command
        if of_the_webhook:
            release.run(*release.change_command('admission.mode="policies"'), "--wait", "--timeout", "90s")
    assert len(re.findall("donjon-cleanup[^\n]* deleted", said[command])) == len(LEFT), said[command]
    assert said["donjon status --wait 2m"].startswith("well: ")
    assert "looked at" in said["donjon attestation serve --check=text --config donjon.toml"]
    assert "serverside-applied" in next(text for command, text in said.items() if command.startswith("helm get manifest"))
    assert not release.is_there()
    kinds = "networkpolicies,daemonsets,serviceaccounts,validatingadmissionpolicies,mutatingadmissionpolicies,clusterroles"
    assert not cluster.get(kinds, "-n", "donjon", "-l", "app.kubernetes.io/part-of=donjon")["items"]
    left = cluster.get("nodes")["items"]
    assert not any("sgx.intel.com/capable" in node["metadata"]["labels"] for node in left)


def test_the_page_on_status_asks_waits_and_looks_at_a_node(cluster: Cluster, release: Release, tmp_path: Path) -> None:
    release.upgrade()
    (node, *_) = cluster.sgx_nodes
    asked, waited, looked = pages.shown("status.md", __file__)
    terminal = reader(cluster, tmp_path, NODE=node)
    assert terminal.run(waited).startswith("well: ")
    assert terminal.run(asked).startswith("well: ")
    assert "SIMULATED" in terminal.run(looked, ok=(0, NO))


def test_the_page_on_why_tells_of_a_pod_and_of_a_job(
    cluster: Cluster, release: Release, namespace: str, tmp_path: Path, wait_for: Wait
) -> None:
    del release
    cluster.apply(pod("greedy", image=ORDINARY_IMAGE, limits={EPC: "1Ti"}), namespace=namespace)
    wait_for(lambda: cluster.get("events", "-n", namespace)["items"], what="the scheduler has tried")
    template = pod("unused", image=ORDINARY_IMAGE, limits={EPC: "1Ti"})["spec"] | {"restartPolicy": "Never"}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "large"}, "spec": {"template": {"spec": template}}}
    cluster.apply(job, namespace=namespace)
    alone, plugin, of_job, role = pages.shown("why.md", __file__)
    terminal = reader(cluster, tmp_path, namespace, POD="greedy", NAME="large")
    assert "DJ132" in terminal.run(alone, ok=(NO,))
    assert terminal.run(plugin, ok=(NO,)) == terminal.run(alone, ok=(NO,))
    wait_for(lambda: "DJ132" in terminal.run(of_job, ok=(0, NO)), what="why knows that the Job's pod is too large")
    assert terminal.run(of_job, ok=(NO,)).startswith(f"job {namespace}/large")
    try:
        assert "created" in terminal.run(role)
    finally:
        cluster.kubectl("delete", "clusterrolebinding", "donjon-why", "--ignore-not-found")


def test_the_page_on_quotas_checks_describes_and_explains(
    cluster: Cluster, release: Release, namespace: str, tmp_path: Path, wait_for: Wait
) -> None:
    del release
    for example in pages.examples("quotas.md", "yaml"):
        (tmp_path / example.partition("\n")[0].removeprefix("# ")).write_text(example)
    terminal = reader(cluster, tmp_path, namespace)
    terminal.run("kubectl apply -f quota.yaml -f large.yaml")
    refused = ("events", "-n", namespace, "--field-selector", "reason=FailedCreate")
    wait_for(lambda: cluster.get(*refused)["items"], what="the controller was refused")
    quota, described, why, default = pages.shown("quotas.md", __file__)
    assert "DJ158" in terminal.run(quota)
    assert "requests.sgx.intel.com/epc" in terminal.run(described)
    assert "DJ131" in terminal.run(why, ok=(NO,))
    assert "DJ157" in terminal.run(default)


def test_the_page_on_checking_manifests_takes_them_from_files_helm_kustomize_and_the_chart(
    cluster: Cluster, release: Release, tmp_path: Path
) -> None:
    del release
    (tmp_path / "job.yaml").write_text(FAQ_JOB)
    (tmp_path / "kustomization.yaml").write_text("resources: [job.yaml]\n")
    (tmp_path / "Chart.yaml").write_text(json.dumps({"apiVersion": "v2", "name": "job", "version": "0.1.0"}))
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "job.yaml").write_text(FAQ_JOB)
    terminal = reader(cluster, tmp_path, IMAGE="registry.example/donjon:1")
    file, helm, kustomize, chart, nodes = (terminal.run(command) for command in pages.shown("checking-manifests.md", __file__))
    for said in (file, helm, kustomize, nodes):
        assert "1 with pods looked at: 1 admitted, 0 refused\n" in said
    assert "DaemonSet donjon-aesmd: admitted" in chart


def test_the_pages_on_metering_and_autoscaling_go_from_no_meter_to_three_pods(
    cluster: Cluster, release: Release, namespace: str, tmp_path: Path, wait_for: Wait
) -> None:
    release.upgrade('admission.mode="policies"')
    (tmp_path / "testbed").mkdir()
    (tmp_path / "testbed" / "examples").symlink_to(PROJECT / "testbed" / "examples")
    typed = {" --every 5s": "", "-n shop": f"-n {namespace}", "--watch": "-o jsonpath={.status.currentReplicas}"}
    terminal = reader(cluster, tmp_path, namespace, **typed)
    on, status, by, role, maps, _, holder, rollout, top, why = pages.shown("metering.md", __file__)
    api, _, autoscaler, watch, gone = pages.shown("autoscaling.md", __file__)
    try:
        terminal.run(on)
        assert "0 of " in terminal.run(status)
        assert "node.meter.maps" in terminal.run(by, ok=(COULD_NOT_LOOK,))
        for command in (role, maps, status, holder, rollout):
            terminal.run(command)
        wait_for(lambda: "≤ 9Mi" in terminal.run(top), seconds=60, what="the meter has seen what the pod maps")
        assert "at most 9Mi in EPC now of 10Mi" in terminal.run(why)
        for command in (api, status, autoscaler):
            terminal.run(command)
        wait_for(lambda: terminal.run(watch).endswith("3"), seconds=180, what="there are three of them")
        terminal.run(gone)
    finally:
        cluster.kubectl("delete", "rolebinding", "donjon-epc", "-n", "donjon", "--ignore-not-found")
        release.upgrade()
