"""The chart on a real cluster, with real Helm: what install, upgrade, rollback and uninstall leave, and in which order they work.

These tests take Donjon out of the testbed and put it back. A cluster that was given keeps its Donjon as it is.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.cluster.agents import ENCLAVE, EPC, NAMESPACE, PROVISION, condition, offered, pod
from tests.cluster.conftest import ORDINARY_IMAGE, Cluster
from tests.cluster.release import Release, installed, is_wired, outcome

Wait = Callable[..., Any]

POLICY_KINDS = (
    "mutatingadmissionpolicies,mutatingadmissionpolicybindings,validatingadmissionpolicies,validatingadmissionpolicybindings"
)
EVERYWHERE = f"clusterroles,clusterrolebindings,{POLICY_KINDS}"
INSIDE = "daemonsets,jobs,pods,serviceaccounts,configmaps,secrets,services,roles,rolebindings"
OURS = ("-l", "app.kubernetes.io/part-of=donjon")
OUR_LABELS = ("donjon.dev/", "sgx.intel.com/")


def names(cluster: Cluster, kinds: str, *where: str) -> set[str]:
    listed = cluster.kubectl("get", kinds, "-o", "name", *where)
    return set(listed.split())


def cluster_wide(cluster: Cluster) -> set[str]:
    """Objects of no namespace that are ours by label or by name."""
    by_name = {each for each in names(cluster, EVERYWHERE) if each.partition("/")[2].startswith("donjon")}
    return (by_name | names(cluster, EVERYWHERE, *OURS)) - {each for each in by_name if "/donjon-test" in each}


def allocatable(cluster: Cluster, node: str) -> int:
    return int(offered(cluster, node)[EPC][1] or 0)


@pytest.fixture(scope="module")
def release(cluster: Cluster) -> Iterator[Release]:
    yield from installed(cluster)


@pytest.fixture
def absent(release: Release) -> Release:
    """The release, not installed."""
    release.uninstall()
    return release


@pytest.fixture
def present(release: Release, cluster: Cluster, wait_for: Wait) -> Release:
    """The release as it is by default, agents ready and EPC on offer."""
    release.upgrade()
    wait_for(lambda: all(allocatable(cluster, node) for node in cluster.sgx_nodes), what="EPC is on offer")
    return release


def test_an_install_offers_no_epc_before_the_policies_are_in_force(absent: Release, cluster: Cluster, wait_for: Wait) -> None:
    (node, *_) = cluster.sgx_nodes
    wait_for(lambda: outcome(cluster) == "unwired", what="the policies of the last release are no longer felt")
    with subprocess.Popen(absent.command(*absent.upgrade_command()), stdout=subprocess.DEVNULL):
        wait_for(lambda: allocatable(cluster, node), seconds=60, every=0.02, what="EPC is on offer")
        # The API server may take the refusing policy up a moment before the wiring one: a pod is then refused, and never unwired.
        assert outcome(cluster) in {"wired", "refused"}
    wait_for(lambda: is_wired(cluster), seconds=5, what="pods are wired")


def test_an_install_makes_agents_ready_and_says_so_on_the_nodes(present: Release, cluster: Cluster) -> None:
    status = cluster.get("daemonset", "-n", NAMESPACE, "donjon-node")["status"]
    assert status["numberReady"] == status["desiredNumberScheduled"] == len(cluster.node_names)
    assert {condition(cluster, node) for node in cluster.sgx_nodes} == {"True"}
    assert "Wait for the agents" in present.run("get", "notes", "donjon")


STAND_IN_AESMD = """\
import os, socket
path = "/var/run/aesmd/aesm.socket"
if os.path.exists(path): os.unlink(path)
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()
while True: listener.accept()[0].close()
"""


def test_a_quote_helper_runs_on_sgx_nodes_alone_and_makes_them_answer(present: Release, cluster: Cluster, wait_for: Wait) -> None:
    image = cluster.get("daemonset", "-n", NAMESPACE, "donjon-node")["spec"]["template"]["spec"]["containers"][0]["image"]
    helper = {
        "enabled": True,
        "image": image,
        "command": ["/usr/bin/python3", "-c", STAND_IN_AESMD],
        "securityContext": {"runAsUser": 0, "runAsNonRoot": False},
        "epc": "1Mi",
    }
    present.upgrade(f"quoteHelper={json.dumps(helper)}")
    status = cluster.get("daemonset", "-n", NAMESPACE, "donjon-aesmd")["status"]
    assert status["numberReady"] == status["desiredNumberScheduled"] == len(cluster.sgx_nodes)
    wait_for(
        lambda: all(
            cluster.get("node", node)["metadata"]["labels"].get("donjon.dev/aesm") == "ready" for node in cluster.sgx_nodes
        ),
        what="the agents see an AESM that answers",
    )
    (pods,) = {
        each["spec"]["serviceAccountName"]
        for each in cluster.get("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=quote-helper")["items"]
        if each["spec"]["containers"][0]["resources"]["limits"] == {EPC: "1Mi", ENCLAVE: "1", PROVISION: "1"}
    }
    assert pods == "donjon-aesmd"


def test_an_upgrade_changes_the_offer_and_never_withdraws_it(
    present: Release, cluster: Cluster, namespace: str, wait_for: Wait
) -> None:
    (node, *_) = cluster.sgx_nodes
    before = allocatable(cluster, node)
    holder = pod("holder", "sleep", "600", image=ORDINARY_IMAGE, limits={EPC: "1Mi", ENCLAVE: "1"})
    cluster.apply(holder, namespace=namespace)
    wait_for(lambda: cluster.get("pod", "-n", namespace, "holder")["status"]["phase"] == "Running", what="the pod runs")
    seen = set()
    with subprocess.Popen(
        present.command(*present.upgrade_command('node.epcReserve="64Mi"'), "--wait"), stdout=subprocess.DEVNULL
    ) as upgrading:
        while upgrading.poll() is None:
            seen.add(allocatable(cluster, node))
    wait_for(lambda: allocatable(cluster, node) == before - (64 << 20), seconds=10, what="the reserve is kept back")
    assert seen <= {before, before - (64 << 20)}
    held = cluster.get("pod", "-n", namespace, "holder")["status"]
    assert held["containerStatuses"][0]["restartCount"] == 0
    assert is_wired(cluster)


def test_a_rollback_brings_the_former_offer_back(present: Release, cluster: Cluster, wait_for: Wait) -> None:
    (node, *_) = cluster.sgx_nodes
    before = allocatable(cluster, node)
    present.upgrade('node.epcReserve="64Mi"')
    wait_for(lambda: allocatable(cluster, node) == before - (64 << 20), seconds=10, what="the reserve is kept back")
    present.run("rollback", "donjon", "--wait", "--timeout", "90s")
    wait_for(lambda: allocatable(cluster, node) == before, seconds=10, what="the reserve is given back")
    assert is_wired(cluster)


def test_an_upgrade_after_the_policies_were_made_again_by_hand_succeeds(
    present: Release, cluster: Cluster, wait_for: Wait
) -> None:
    made = [each for each in YAML(typ="safe").load_all(present.run("get", "manifest", "donjon")) if each]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [each for each in made if "AdmissionPolicy" in each["kind"]]})
    cluster.kubectl("delete", "-f", "-", stdin=text)
    cluster.kubectl("create", "-f", "-", stdin=text)
    present.upgrade('node.epcReserve="64Mi"')
    wait_for(lambda: is_wired(cluster), seconds=5, what="pods are wired")


def test_a_wrong_value_is_refused_and_changes_nothing(present: Release, cluster: Cluster) -> None:
    before = cluster.get("daemonset", "-n", NAMESPACE, "donjon-node")["metadata"]["generation"]
    done = present.attempt(*present.upgrade_command("node.enclaveLimits=3"))
    assert done.returncode != 0
    assert "enclaveLimits" in done.stderr
    assert cluster.get("daemonset", "-n", NAMESPACE, "donjon-node")["metadata"]["generation"] == before


def test_a_second_release_is_refused_since_a_node_has_one_agent(present: Release) -> None:
    done = present.attempt(*present.upgrade_command(name="another"))
    assert done.returncode != 0
    assert 'must equal "another": current value is "donjon"' in done.stderr


@pytest.mark.usefixtures("present")
def test_pod_security_is_told_what_the_agents_need_and_the_namespace_stays(release: Release, cluster: Cluster) -> None:
    release.run(*release.upgrade_command("namespace.create=true"), "--take-ownership", "--wait", "--timeout", "90s")
    labels = cluster.get("namespace", NAMESPACE)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "privileged"
    release.uninstall()
    assert cluster.get("namespace", NAMESPACE)["status"]["phase"] == "Active"


@pytest.mark.usefixtures("present")
def test_an_uninstall_takes_epc_off_before_the_policies_go(release: Release, cluster: Cluster) -> None:
    unguarded = []
    with subprocess.Popen(release.command("uninstall", "donjon", "--timeout", "60s"), stdout=subprocess.DEVNULL) as uninstalling:
        while uninstalling.poll() is None:
            # In this order: what is offered after the policies were seen missing is offered without them.
            if "mutatingadmissionpolicy.admissionregistration.k8s.io/donjon" not in names(cluster, POLICY_KINDS):
                unguarded += [node for node in cluster.node_names if allocatable(cluster, node)]
    assert uninstalling.returncode == 0
    assert not unguarded


def test_an_uninstall_leaves_nothing_but_the_kubelets_own_entries(present: Release, cluster: Cluster, wait_for: Wait) -> None:
    present.uninstall()
    assert not cluster_wide(cluster)
    assert names(cluster, INSIDE, "-n", NAMESPACE) <= {"serviceaccount/default", "configmap/kube-root-ca.crt"}
    for node in cluster.node_names:
        found = cluster.get("node", node)
        assert not [label for label in found["metadata"]["labels"] if label.startswith(OUR_LABELS)]
        assert condition(cluster, node) is None
        assert offered(cluster, node)[EPC] == (None, None)
        for resource in (ENCLAVE, PROVISION):
            wait_for(
                lambda node=node, resource=resource: offered(cluster, node)[resource][1] in {None, "0"},
                seconds=15,
                what=f"{node} offers no {resource}",
            )
