"""`donjon status` and the agents' guard on a real cluster: every loss is told first, until it is healed; an upgrade is none."""

import json
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.agents import NAMESPACE, Agent
from tests.cluster.conftest import Cluster, wait_until
from tests.cluster.release import Release, installed
from tests.cluster.test_attestation import on_a_volume, prepared, values

Wait = Callable[..., Any]

DONJON = Path(sys.executable).with_name("donjon")
MODE = 'admission.mode="webhook"'
HEALED = "2m"
PROMISED = 60.0  # seconds until every agent's node tells a gap
EVERY = 0.5  # seconds: each question starts kubectl, whose work would slow down what is waited for

BINDING = "ValidatingAdmissionPolicyBinding"
TAKEN = {
    f"{BINDING}/donjon-refuse": ("DJ024", "is not there"),
    f"{BINDING}/donjon-device-classes": ("DJ025", "spec.matchResources is not as Donjon printed it"),
    "ValidatingAdmissionPolicy/donjon-node-events": ("DJ025", "spec.failurePolicy is not as Donjon printed it"),
}


@pytest.fixture(scope="module")
def release(cluster: Cluster) -> Iterator[Release]:
    yield from installed(cluster)


def begin(cluster: Cluster, *arguments: str) -> subprocess.Popen[str]:
    command = [str(DONJON), "status", "--kubeconfig", str(cluster.kubeconfig), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def status(cluster: Cluster, *arguments: str) -> tuple[int, Any]:
    """The exit code, and the document."""
    with begin(cluster, "--output", "json", *arguments) as program:
        said, complained = program.communicate(timeout=180)
    assert program.returncode in {0, 1}, complained
    return program.returncode, json.loads(said)


def heals(cluster: Cluster) -> None:
    """All is well, and then there is no warning either: one ready replica of two is well, with a warning."""
    assert status(cluster, "--wait", HEALED)[0] == 0
    wait_until(lambda: not worst(cluster), seconds=60, what="there is nothing to warn of")


def worst(cluster: Cluster) -> str:
    """The code of what is told first; empty where all is well."""
    findings = status(cluster)[1]["findings"]
    return str(findings[0]["code"]) if findings else ""


def patch(cluster: Cluster, affinity: object) -> None:
    change = {"spec": {"template": {"spec": {"affinity": affinity}}}}
    cluster.kubectl("patch", "daemonset", "donjon-node", "-n", NAMESPACE, "--type=merge", "-p", json.dumps(change))


def guard(agent: Agent) -> dict[str, float]:
    """What the agent says of each object."""
    counts = {name: value for name, value in agent.metrics().items() if name.startswith("donjon_node_guard{")}
    return {name.split('"')[1]: value for name, value in counts.items()}


def is_whole(agent: Agent, wiring: str) -> bool:
    """Whether the agent says that all is there as it was printed, with what wires."""
    said = guard(agent)
    return f"{wiring}/donjon" in said and set(said.values()) == {1.0}


def message(cluster: Cluster, node: str) -> str:
    """What the condition SGXReady says."""
    conditions = cluster.get("node", node)["status"]["conditions"]
    (said,) = (each for each in conditions if each["type"] == "SGXReady")
    assert said["status"] == "True", "the node runs enclaves all the while"
    return str(said["message"])


def events(cluster: Cluster, node: str, before: Collection[str] = ()) -> dict[str, str]:
    """What the Events about the guard say of the node, by the name of each: those that are not of before."""
    told = cluster.get("events", "-n", "default", "--field-selector", f"involvedObject.name={node}")["items"]
    return {
        each["metadata"]["name"]: f"{each['reason']}: {each['message']}"
        for each in told
        if each["reason"] in {"GuardGap", "GuardWhole"} and each["metadata"]["name"] not in before
    }


def do(cluster: Cluster, command: str, folder: Path) -> None:
    """Run a command as a finding has it."""
    testbed = cluster.testbed
    assert testbed is not None
    path = f"{testbed.layout.program('helm').parent}:/usr/bin:/bin"
    environment = {"PATH": path, "KUBECONFIG": str(cluster.kubeconfig), "HOME": str(folder)}
    done = subprocess.run(["bash", "-c", command], env=environment, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_after_an_install_all_is_well_and_told_in_a_line(cluster: Cluster, release: Release) -> None:
    del release
    heals(cluster)
    with begin(cluster) as program:
        said, complained = program.communicate(timeout=60)
    assert (program.returncode, complained) == (0, "")
    verdict, *table = said.splitlines()
    assert verdict.startswith("well: pods are wired and refused as they must be (tried in namespace default), ")
    assert {line.split()[0] for line in table if line and line[0] != " "} == {"part", "policies", "agents", "nodes", "versions"}


def test_what_somebody_takes_is_told_by_all_and_its_own_command_brings_it_back(
    cluster: Cluster, release: Release, wait_for: Wait, tmp_path: Path
) -> None:
    del release
    agent = Agent(cluster, cluster.sgx_nodes[0])
    before = events(cluster, agent.node)
    narrow = {"spec": {"matchResources": {"namespaceSelector": {"matchLabels": {"a": "b"}}}}}
    cluster.kubectl("delete", BINDING, "donjon-refuse")
    cluster.kubectl("patch", BINDING, "donjon-device-classes", "--type=merge", "-p", json.dumps(narrow))
    lax = json.dumps({"spec": {"failurePolicy": "Ignore"}})
    cluster.kubectl("patch", "ValidatingAdmissionPolicy", "donjon-node-events", "--type=merge", "-p", lax)

    code, document = status(cluster)
    gaps = {each["subject"].replace(" ", "/"): each for each in document["findings"]}
    assert (code, {name: (each["code"], each["found"]) for name, each in gaps.items()}) == (1, TAKEN)
    wait_for(
        lambda: {name for name, whole in guard(agent).items() if not whole} == set(TAKEN),
        seconds=PROMISED,
        what="the agent tells it",
        every=EVERY,
    )
    sentences = [f"{name.replace('/', ' ')}: {words}" for name, (_, words) in TAKEN.items()]
    wait_for(lambda: all(each in message(cluster, agent.node) for each in sentences), what="the condition says so", every=EVERY)
    wait_for(lambda: events(cluster, agent.node, before), what="an Event says so", every=EVERY)

    for each in gaps.values():
        do(cluster, each["do"].partition("bring it back: ")[2], tmp_path)
    heals(cluster)
    whole = "GuardWhole: all of Donjon's policies are in the API server again, as they were printed"
    wait_for(
        lambda: whole in events(cluster, agent.node, before).values(), seconds=PROMISED, what="the agent tells it", every=EVERY
    )
    wait_for(lambda: "DJ02" not in message(cluster, agent.node), what="the condition says no more of it", every=EVERY)


def test_a_node_without_its_agent_is_named_and_waiting_ends_when_it_is_back(
    cluster: Cluster, release: Release, wait_for: Wait
) -> None:
    del release
    (node, *_) = cluster.sgx_nodes
    elsewhere = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "NotIn", "values": [node]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [elsewhere]}}}
    patch(cluster, affinity)
    wait_for(lambda: worst(cluster) == "DJ173", seconds=60, what="the agent is missed")
    code, document = status(cluster)
    assert (code, f"no donjon-node pod on {node}" in document["verdict"]) == (1, True), document
    with begin(cluster, "--wait", HEALED) as program:
        assert program.stderr is not None
        assert node in program.stderr.readline()
        patch(cluster, None)
        said, _ = program.communicate(timeout=180)
    assert (program.returncode, said[:5]) == (0, "well:")


def test_another_mode_is_no_gap_and_a_webhook_that_is_scaled_to_0_is_told_first(
    cluster: Cluster, release: Release, wait_for: Wait, tmp_path: Path
) -> None:
    agent = Agent(cluster, cluster.sgx_nodes[0])
    before = events(cluster, agent.node)
    release.upgrade(MODE)
    heals(cluster)
    cluster.kubectl("scale", "deployment", "donjon-webhook", "-n", NAMESPACE, "--replicas=0")
    wait_for(lambda: worst(cluster) == "DJ175", what="the webhook is missed")
    finding = status(cluster)[1]["findings"][0]
    assert "scaled to 0" in finding["found"]
    do(cluster, finding["do"], tmp_path)
    heals(cluster)
    registration = "MutatingWebhookConfiguration"
    wait_for(lambda: is_whole(agent, registration), seconds=PROMISED, what="whole with the webhook", every=EVERY)
    release.upgrade()
    heals(cluster)
    wait_for(lambda: is_whole(agent, "MutatingAdmissionPolicy"), seconds=PROMISED, what="whole as before", every=EVERY)
    assert events(cluster, agent.node) == before


def test_what_a_failed_upgrade_left_is_told_and_goes_by_the_command_told(
    cluster: Cluster, release: Release, tmp_path: Path
) -> None:
    failure = release.attempt(*release.upgrade_command(MODE, 'image.tag="none"'), "--wait", "--timeout", "3s")
    assert failure.returncode != 0
    release.upgrade()
    code, document = status(cluster, "--wait", HEALED)
    (finding,) = document["findings"]
    assert (code, finding["code"], finding["subject"]) == (0, "DJ183", "webhook")
    do(cluster, finding["do"].partition("take it away: ")[2], tmp_path)
    heals(cluster)
    assert "donjon-webhook" not in cluster.kubectl("get", "deployments,services,clusterroles", "-n", NAMESPACE, "-o", "name")


def test_an_attestation_service_that_is_not_ready_is_told_with_its_own_words(
    cluster: Cluster, release: Release, wait_for: Wait, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with prepared(cluster, "nobody") as (_, __, config), on_a_volume(cluster, tmp_path_factory) as more:
        release.run(*release.upgrade_command(values(config, **more, extraEnv=[{"name": "DONJON_MODE", "value": "offline"}])))
        wait_for(lambda: "DJ512" in status(cluster)[1]["verdict"], seconds=60, what="the service says why")
        assert worst(cluster) == "DJ176"
        release.upgrade()
    heals(cluster)


@pytest.mark.parametrize("taken", ["clusterrole", "serviceaccount"])
def test_agents_whose_rights_are_gone_are_not_ready_and_the_command_makes_them_so(
    cluster: Cluster, release: Release, wait_for: Wait, tmp_path: Path, taken: str
) -> None:
    """With the account gone its tokens are void, those of the agents that run even when it is there again."""
    del release
    agent = Agent(cluster, cluster.sgx_nodes[0])
    heals(cluster)
    place = () if taken == "clusterrole" else ("-n", NAMESPACE)
    cluster.kubectl("delete", taken, "donjon-node", *place)
    (finding,) = (each for each in status(cluster)[1]["findings"] if each["code"] == "DJ184")
    assert finding["found"].lower() == f"the {taken} donjon-node is gone"
    wait_for(lambda: agent.metrics().get("donjon_node_rejected{}") == 1, seconds=120, what="the agent says so", every=EVERY)
    wait_for(lambda: not agent.is_ready(), seconds=60, what="the agent is not ready", every=EVERY)
    late = next(each for each in status(cluster)[1]["findings"] if each["code"] == "DJ174")
    assert "API server: turns the agent's account away: " in late["found"]
    assert "[DJ041]" in late["found"]
    for each in finding["do"].partition("bring it back: ")[2].split("; then "):
        do(cluster, each, tmp_path)
    wait_for(lambda: agent.metrics().get("donjon_node_rejected{}") == 0, seconds=90, what="the next agent may", every=EVERY)
    heals(cluster)
