"""An uninstall that cannot end, or is interrupted: Helm says so soon, every way out works, and what stays goes by one command.

By Helm 4, or by Helm 3 where DONJON_TEST_HELM is helm3. These tests take Donjon out of the testbed and put it back.
"""

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from testbed import binaries
from tests.cluster.agents import EPC, NAMESPACE, offered
from tests.cluster.conftest import Cluster
from tests.cluster.release import Release, installed, is_wired
from tests.cluster.test_status import worst

Wait = Callable[..., Any]

PROJECT = Path(__file__).parents[2]
NO_NODE = 'cleanup.nodeSelector={"no": "such-node"}'
KINDS = (
    "daemonsets,deployments,jobs,pods,serviceaccounts,configmaps,services,networkpolicies,roles,rolebindings,clusterroles,"
    "clusterrolebindings,mutatingadmissionpolicies,mutatingadmissionpolicybindings,validatingadmissionpolicies,"
    "validatingadmissionpolicybindings"
)


@pytest.fixture(scope="module")
def by_helm_4(cluster: Cluster) -> Iterator[Release]:
    yield from installed(cluster)


@pytest.fixture(scope="module")
def release(by_helm_4: Release, cluster: Cluster) -> Iterator[Release]:
    """No release yet, and the Helm to make one with."""
    assert cluster.testbed is not None
    helm = os.environ.get("DONJON_TEST_HELM", "helm")
    binaries.ensure(cluster.testbed.layout, (helm,))
    by_helm_4.uninstall()
    release = Release(cluster=cluster, helm=helm)
    yield release
    release.attempt("uninstall", "donjon", "--no-hooks")


def interrupt(release: Release, seen: Callable[[], bool], wait_for: Wait, what: str) -> None:
    """Begin to uninstall, and stop Helm as Ctrl-C does as soon as that is seen."""
    with subprocess.Popen(release.command("uninstall", "donjon"), stdout=subprocess.DEVNULL) as uninstalling:
        wait_for(seen, every=0.02, what=what)
        uninstalling.send_signal(signal.SIGINT)
    assert uninstalling.returncode != 0


def ours(cluster: Cluster) -> set[str]:
    listed = cluster.kubectl("get", KINDS, "-n", NAMESPACE, "-l", "app.kubernetes.io/part-of=donjon", "-o", "name")
    return set(listed.split())


def has_a_job(cluster: Cluster) -> bool:
    return "job.batch/donjon-cleanup-see-helm-get-notes" in ours(cluster)


def stopped_the_agents(cluster: Cluster) -> bool:
    """Whether the DaemonSet is that of the uninstall, which fits no node."""
    return "nowhere" in cluster.kubectl("get", "daemonset", "-n", NAMESPACE, "donjon-node", "-o", "yaml", check=False)


def offers_epc(cluster: Cluster) -> bool:
    return all(int(offered(cluster, node)[EPC][1] or 0) for node in cluster.sgx_nodes)


def command_of_the_page() -> list[str]:
    """The one command of install.md that takes away what an uninstall without hooks leaves."""
    page = (PROJECT / "docs" / "install.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^\$ kubectl (.*component=cleanup)$", page, re.MULTILINE)
    return shlex.split(command)


def test_no_uninstall_hangs_or_strands_anybody(release: Release, cluster: Cluster, wait_for: Wait) -> None:
    release.upgrade(NO_NODE, "cleanup.deadlineSeconds=3")
    done = release.attempt("uninstall", "donjon")
    assert done.returncode != 0
    assert "donjon-cleanup-see-helm-get-notes" in done.stderr
    assert re.search(r"status: Failed|DeadlineExceeded", done.stderr), done.stderr
    assert is_wired(cluster)
    assert worst(cluster) == "DJ180"
    assert not {each for each in ours(cluster) if "cleanup" in each}
    notes = release.run("get", "notes", "donjon")
    assert command_of_the_page() == shlex.split(next(line for line in notes.splitlines() if "component=cleanup" in line))[1:]

    release.run("rollback", "donjon", "1", "--wait", "--timeout", "60s")
    wait_for(lambda: offers_epc(cluster), what="EPC is on offer after the rollback of what gave up")
    assert worst(cluster) != "DJ180"

    release.upgrade(NO_NODE)
    interrupt(release, lambda: has_a_job(cluster), wait_for, "the Job is there")
    assert worst(cluster) == "DJ180"
    release.run("rollback", "donjon", "1", "--wait", "--timeout", "60s")
    wait_for(lambda: offers_epc(cluster), what="EPC is on offer after the rollback of what was interrupted")

    interrupt(release, lambda: stopped_the_agents(cluster), wait_for, "the agents are stopped")
    release.run("uninstall", "donjon", "--no-hooks")
    cluster.kubectl(*command_of_the_page())
    wait_for(lambda: not ours(cluster), what="nothing is left, nor a pod that ends")

    release.upgrade(NO_NODE)
    wait_for(lambda: offers_epc(cluster), what="EPC is on offer after the new install")
    interrupt(release, lambda: has_a_job(cluster), wait_for, "the Job is there")
    release.run("uninstall", "donjon", "--no-hooks")
    release.upgrade()

    going_back = {"helm": "--rollback-on-failure", "helm3": "--atomic"}[release.helm]
    done = release.attempt(*release.upgrade_command('image.tag="nowhere"'), going_back, "--timeout", "5s")
    assert done.returncode != 0
    assert "nowhere" not in cluster.kubectl("get", "daemonset", "-n", NAMESPACE, "donjon-node", "-o", "yaml")
    wait_for(lambda: offers_epc(cluster), what="EPC is on offer after the upgrade that went back")

    release.run("uninstall", "donjon", "--timeout", "60s")
    wait_for(lambda: not ours(cluster), what="nothing is left of what was uninstalled")
    assert {offered(cluster, node)[EPC] for node in cluster.node_names} == {(None, None)}
