"""What a stolen token of each of our accounts is good for: the table of docs/limits.md, each cell tried on a real API server.

The rights are those of the chart as Helm renders it, the policies those that it installs, under names and a namespace of their
own, so that a release that is installed too plays no part. Nothing is changed: every try is a dry run, or a reading.
"""

import json
import re
import secrets
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from donjon.admission.policies.accounts import Account
from donjon.admission.policies.agent import CLAIM
from donjon.admission.policies.all import for_the_cleanup, for_the_node_agent
from donjon.admission.policies.printing import manifest
from donjon.kube.names import EPC

if TYPE_CHECKING:
    from tests.cluster.conftest import Cluster

PROJECT = Path(__file__).parents[2]
CHART = PROJECT / "deploy" / "chart"
LIMITS = PROJECT / "docs" / "limits.md"
ACCOUNTS = {
    "node agent": "donjon-node",
    "webhook": "donjon-webhook",
    "attestation": "donjon-attestation",
    "cleanup": "donjon-cleanup",
}
"""The columns of the table, with the chart's names of the accounts."""
EVERYTHING = (
    'image.repository="donjon.dev/donjon"',
    'admission.mode="webhook"',
    'cleanup.hooks="always"',
    'attestation={"enabled": true, "tls": {"secretName": "served"}, "tokenReview": true}',
)
CREATE = ("create", "--dry-run=server", "--validate=false", "-f", "-")
"""By kubectl, which would read definitions for its own checks that these accounts may not read."""
REFUSED = re.compile(r"forbidden|may not|denied", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The accounts with their rights, in a namespace of their own, and two nodes behind which nobody stands."""

    cluster: "Cluster"
    namespace: str
    nodes: tuple[str, str]

    def username(self, name: str) -> str:
        return Account(namespace=self.namespace, name=name).username

    def identity(self, name: str) -> tuple[str, ...]:
        """The words that make kubectl speak with that account's token; the kubelet of the first node got it."""
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{self.namespace}", "system:authenticated")
        return (
            f"--as={self.username(name)}",
            *(f"--as-group={group}" for group in groups),
            f"--as-user-extra={CLAIM}={self.nodes[0]}",
        )

    def said(self, name: str, *arguments: str, stdin: object = None) -> str:
        """What an account is answered."""
        text = None if stdin is None else json.dumps(stdin)
        return self.cluster.kubectl(*self.identity(name), *arguments, stdin=text, check=False)


def rendered(world_namespace: str, helm: str) -> list[dict[str, Any]]:
    """The chart's objects about rights, for accounts of that namespace and under names of its own."""
    options = [part for setting in EVERYTHING for part in ("--set-json", setting)]
    command = [helm, "template", "donjon", str(CHART), "--namespace", world_namespace, "--kube-version", "1.36.3", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    objects = [each for each in YAML(typ="safe").load_all(done.stdout) if each]
    found = [each for each in objects if each["kind"] in {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}]
    for each in found:
        if each["kind"].startswith("Cluster"):
            each["metadata"]["name"] = f"{world_namespace}-{each['metadata']['name']}"
            if each["kind"] == "ClusterRoleBinding" and not each["roleRef"]["name"].startswith("system:"):
                each["roleRef"]["name"] = f"{world_namespace}-{each['roleRef']['name']}"
        each["metadata"].pop("annotations", None)
    return [*found, *for_kubectl(world_namespace)]


def for_kubectl(namespace: str) -> list[dict[str, Any]]:
    """The right to read one field of nodes: kubectl reads a status before it patches it, which the patch alone does not need."""
    name, group = f"{namespace}-kubectl", "rbac.authorization.k8s.io"
    rule = {"apiGroups": [""], "resources": ["nodes/status"], "verbs": ["get"]}
    role = {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": [rule]}
    subjects = [{"kind": "ServiceAccount", "name": each, "namespace": namespace} for each in ACCOUNTS.values()]
    reference = {"apiGroup": group, "kind": "ClusterRole", "name": name}
    bound = {"apiVersion": f"{group}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name}}
    return [role, {**bound, "roleRef": reference, "subjects": subjects}]


@pytest.fixture(scope="module")
def world(cluster: "Cluster") -> Iterator[World]:
    """Rights and policies, in force."""
    if cluster.testbed is None:
        pytest.skip("needs the testbed (its Helm, and nodes that may be spoiled): DONJON_TEST_KUBECONFIG names another cluster")
    namespace = f"test-accounts-{secrets.token_hex(3)}"
    made = World(cluster=cluster, namespace=namespace, nodes=(f"{namespace}-own", f"{namespace}-other"))
    rights = rendered(namespace, str(cluster.testbed.layout.program("helm")))
    agent, cleanup = (Account(namespace=namespace, name=ACCOUNTS[each]) for each in ("node agent", "cleanup"))
    policies = manifest((*for_the_node_agent(namespace, agent), *for_the_cleanup(namespace, cleanup)))
    text = f"{policies}---\n{json.dumps({'apiVersion': 'v1', 'kind': 'List', 'items': rights})}\n"
    cluster.kubectl("create", "namespace", namespace)
    try:
        cluster.kubectl("apply", "-f", "-", stdin=text)
        for node in made.nodes:
            labels = {"donjon.dev/sgx": "2"}
            cluster.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node, "labels": labels}})
            status = {"capacity": {"cpu": "1", EPC: "1Gi"}, "allocatable": {"cpu": "1", EPC: "1Gi"}, "conditions": [READY]}
            cluster.kubectl("patch", "node", node, "--subresource=status", "-p", json.dumps({"status": status}))
        cluster.apply(pod_on(made.nodes[1]), namespace=namespace)
        wait(lambda: in_force(made))
        yield made
    finally:
        cluster.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=text)
        cluster.kubectl("delete", "node", "--ignore-not-found", *made.nodes)
        cluster.kubectl("delete", "pods", "--all", "-n", namespace, "--force", "--grace-period=0", check=False)
        cluster.kubectl("delete", "namespace", namespace, "--wait=false")


READY = {"type": "SGXReady", "status": "True", "reason": "Test", "message": "ready"}


def wait(asked: Callable[[], object]) -> None:
    from tests.cluster.conftest import wait_until  # noqa: PLC0415 - pytest makes the module known only when tests run.

    wait_until(asked, seconds=20, what="rights and policies in force")


def in_force(world: World) -> bool:
    """Each of the three policies speaks, and so every right is there too."""
    other, event = world.nodes[1], told(world, component="kubelet")
    said = (
        patched(world, ACCOUNTS["node agent"], other, {"metadata": {"labels": {"donjon.dev/sgx": "1"}}}),
        patched(world, ACCOUNTS["cleanup"], other, {"metadata": {"labels": {"donjon.dev/sgx": "1"}}}),
        world.said(ACCOUNTS["node agent"], *CREATE, stdin=event),
    )
    return all(code in words for code, words in zip(("DJ110", "DJ118", "DJ119"), said, strict=True))


def pod_on(node: str) -> dict[str, Any]:
    container = {"name": "app", "image": "none", "env": [{"name": "PASSWORD", "value": "hunter2"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"nodeName": node, "containers": [container]}}


def told(world: World, *, component: str = "donjon-node", host: str = "", about: str = "Pod", **fields: Any) -> dict[str, Any]:
    """An Event about the pod on the other node, or about a node."""
    host = host or world.nodes[0]
    where = world.namespace if about == "Pod" else "default"
    name = "p" if about == "Pod" else about
    involved = {"apiVersion": "v1", "kind": "Pod" if about == "Pod" else "Node", "name": name}
    if about == "Pod":
        involved["namespace"] = where
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name}.{secrets.token_hex(4)}", "namespace": where},
        "involvedObject": involved,
        "reason": "RunsWithoutDevice",
        "message": "told",
        "type": "Warning",
        "source": {"component": component, "host": host},
        "reportingComponent": component,
        "reportingInstance": host,
        **fields,
    }


def newer(event: dict[str, Any]) -> dict[str, Any]:
    """The same Event in the form of events.k8s.io/v1, which has no source."""
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": event["metadata"],
        "regarding": event["involvedObject"],
        "reason": event["reason"],
        "note": event["message"],
        "type": event["type"],
        "action": "Looked",
        "eventTime": "2026-11-28T12:00:00.000000Z",
        "reportingController": event["reportingComponent"],
        "reportingInstance": event["reportingInstance"],
    }


def patched(world: World, name: str, node: str, change: dict[str, Any], *, status: bool = False) -> str:
    words = ("patch", "node", node, "--dry-run=server", "--type=strategic", "-p", json.dumps(change))
    return world.said(name, *words, *(("--subresource=status",) if status else ()))


def amounts(epc: str | None) -> dict[str, Any]:
    return {"status": {"capacity": {EPC: epc}, "allocatable": {EPC: epc}}}


def _all_of(*said: str) -> str:
    """One answer of several tries that the table speaks of together: a refusal of one is a refusal."""
    return next((each for each in said if REFUSED.search(each)), "".join(said))


def offers(world: World, name: str, node: str) -> str:
    condition = {"status": {"conditions": [READY | {"status": "False"}]}}
    return _all_of(
        patched(world, name, node, {"metadata": {"labels": {"donjon.dev/sgx": "1"}}}),
        patched(world, name, node, amounts("2Gi"), status=True),
        patched(world, name, node, condition, status=True),
    )


def takes_off(world: World, name: str, node: str) -> str:
    condition = {"status": {"conditions": [{"$patch": "delete", "type": "SGXReady"}]}}
    return _all_of(
        patched(world, name, node, {"metadata": {"labels": {"donjon.dev/sgx": None}}}),
        patched(world, name, node, amounts(None), status=True),
        patched(world, name, node, condition, status=True),
    )


def changes(world: World, name: str, node: str) -> str:
    """The easiest of all other changes that is let through, else a refusal."""
    tries = (
        patched(world, name, node, {"spec": {"unschedulable": True}}),
        patched(world, name, node, {"spec": {"taints": [{"key": "a", "effect": "NoExecute"}]}}),
        patched(world, name, node, {"metadata": {"annotations": {"a": "b"}}}),
        patched(world, name, node, {"metadata": {"labels": {"a": "b"}}}),
        patched(world, name, node, {"status": {"capacity": {"cpu": "9"}}}, status=True),
        patched(world, name, node, {"status": {"addresses": [{"type": "InternalIP", "address": "10.1.2.3"}]}}, status=True),
        patched(world, name, node, {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}, status=True),
        world.said(name, "delete", "node", node, "--dry-run=server"),
    )
    return next((each for each in tries if not REFUSED.search(each)), tries[0])


def tells(world: World, name: str, *events: dict[str, Any]) -> str:
    """The easiest that is let through of these Events, else a refusal."""
    tries = [world.said(name, *CREATE, stdin=event) for event in events]
    return next((each for each in tries if not REFUSED.search(each)), tries[0])


def tells_otherwise(world: World, name: str) -> str:
    own, other = world.nodes
    events = (
        told(world, component="kubelet"),
        told(world, host=other),
        told(world, reason="Killing"),
        told(world, about=other),
        told(world, source={"component": "kubelet", "host": own}),
    )
    return tells(world, name, *events, *map(newer, events), newer(told(world)))


def asks_for_tokens(world: World, name: str) -> str:
    return world.said(name, "create", "token", "default", "-n", world.namespace)


def reviews_tokens(world: World, name: str) -> str:
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": "none"}}
    return world.said(name, "create", "--validate=false", "-o", "json", "-f", "-", stdin=review)


def makes_pods(world: World, name: str) -> str:
    tries = (
        world.said(name, *CREATE, "-n", world.namespace, stdin=pod_on("")),
        world.said(name, "delete", "pod", "p", "-n", world.namespace, "--dry-run=server"),
        world.said(name, "get", "--raw", f"/api/v1/namespaces/{world.namespace}/pods/p/log"),
        world.said(name, "exec", "-n", world.namespace, "p", "--", "true"),
    )
    return next((each for each in tries if not REFUSED.search(each)), tries[0])


def writes_own_secret(world: World, name: str) -> str:
    return world.said(name, "auth", "can-i", "update", "secret/donjon-webhook-tls", "-n", world.namespace)


def may(verb: str, resource: str, *where: str) -> Callable[[World, str], str]:
    return lambda world, name: world.said(name, "auth", "can-i", verb, resource, *where)


TRIES: Mapping[str, Callable[[World, str], str]] = {
    "read all nodes": lambda world, name: world.said(name, "get", "--raw", "/api/v1/nodes?limit=1"),
    "read all pods, values of variables included": lambda world, name: world.said(
        name, "get", "pod", "p", "-n", world.namespace, "-o", "jsonpath={.spec.containers[0].env[0].value}"
    ),
    "read Secrets of others, ConfigMaps": lambda world, name: world.said(name, "get", "--raw", "/api/v1/secrets?limit=1"),
    "read and write the Secret of the webhook's certificate": writes_own_secret,
    "offer EPC, write our labels and `SGXReady` on the token's own node": lambda world, name: offers(world, name, world.nodes[0]),
    "the same on other nodes": lambda world, name: offers(world, name, world.nodes[1]),
    "take EPC, our labels and `SGXReady` off any node": lambda world, name: takes_off(world, name, world.nodes[1]),
    "cordon or taint nodes, change addresses, other resources, labels, conditions, delete nodes": lambda world, name: _first_let(
        changes(world, name, node) for node in world.nodes
    ),
    "write an Event of the agent about a pod of any node, in its own node's name": lambda world, name: tells(
        world, name, told(world)
    ),
    "write an Event in another node's or component's name, or for another reason": tells_otherwise,
    "change what the API server asks the webhook about": may(
        "update", "mutatingwebhookconfigurations.admissionregistration.k8s.io/donjon"
    ),
    "change policies, or registrations of others": lambda world, name: _first_let(
        may("update", f"{each}.admissionregistration.k8s.io/other")(world, name)
        for each in ("mutatingwebhookconfigurations", "validatingadmissionpolicies", "mutatingadmissionpolicies")
    ),
    "ask whose a token is": reviews_tokens,
    "make, read the log of, delete or enter pods": makes_pods,
    "make tokens": asks_for_tokens,
}


def _first_let(said: Iterator[str]) -> str:
    """The first answer that is no refusal, else the last."""
    answers = list(said)
    return next((each for each in answers if not refuses(each)), answers[-1])


def refuses(said: str) -> bool:
    """Whether an answer of kubectl's is a refusal, or the no of `auth can-i`."""
    return bool(REFUSED.search(said)) or said.split()[:1] == ["no"]


def table() -> dict[str, dict[str, bool]]:
    """What docs/limits.md says: by row and column, whether it can."""
    lines = [line for line in LIMITS.read_text(encoding="utf-8").splitlines() if line.startswith("| a stolen token can")]
    (head,) = lines
    text = LIMITS.read_text(encoding="utf-8")
    body = text[text.index(head) :].split("\n\n", 1)[0].splitlines()
    columns = [each.strip() for each in head.strip("|").split("|")][1:]
    rows = [[each.strip() for each in line.strip("|").split("|")] for line in body[2:]]
    assert all(set(row[1:]) <= {"yes", "–"} for row in rows)
    return {row[0]: {column: cell == "yes" for column, cell in zip(columns, row[1:], strict=True)} for row in rows}


def test_the_table_has_a_row_for_each_try_and_a_column_for_each_account() -> None:
    assert set(table()) == set(TRIES)
    assert all(list(row) == list(ACCOUNTS) for row in table().values())


@pytest.mark.parametrize("account", ACCOUNTS)
@pytest.mark.parametrize("row", TRIES)
def test_a_stolen_token_can_do_what_the_table_says(world: World, row: str, account: str) -> None:
    said = TRIES[row](world, ACCOUNTS[account])
    assert refuses(said) is not table()[row][account], said


def test_events_of_both_forms_are_held_and_the_agents_own_are_let_through(world: World) -> None:
    own, _ = world.nodes
    name = ACCOUNTS["node agent"]
    let = world.said(name, *CREATE, stdin=told(world, about=own, reason="SGXReady"))
    assert "created (server dry run)" in let
    # With all rights, so that every refusal is the policy's.
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": world.namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "namespace": world.namespace, "name": name}],
    }
    world.cluster.apply(binding)
    try:
        wait(lambda: "yes" in world.said(name, "auth", "can-i", "delete", "events"))
        foreign = told(world, component="kubelet")
        for event in (foreign, newer(foreign), newer(told(world))):
            said = world.said(name, *CREATE, stdin=event)
            assert f"the node agent of node {own} may not write an Event of another" in said
            assert "component than donjon-node [DJ119]" in said
        assert "created (server dry run)" in world.said(name, *CREATE, stdin=told(world))
    finally:
        world.cluster.kubectl("delete", "clusterrolebinding", world.namespace)


@pytest.mark.usefixtures("donjon_installed")
@pytest.mark.parametrize("name", ["sgx.intel.com/epc", "sgx.intel.com/enclave", "sgx.intel.com/provision", "example.com/gpu"])
def test_a_device_class_may_not_stand_for_a_name_of_ours(cluster: "Cluster", name: str) -> None:
    if "deviceclasses" not in cluster.kubectl("api-resources", "--api-group=resource.k8s.io", "-o", "name"):
        pytest.skip("needs dynamic resource allocation: DONJON_TEST_KUBECONFIG names a cluster before Kubernetes 1.34")
    made = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "DeviceClass",
        "metadata": {"name": "test"},
        "spec": {"extendedResourceName": name},
    }
    said = cluster.kubectl(*CREATE, stdin=json.dumps(made), check=False)
    refused = f"DeviceClass test: spec.extendedResourceName is {name}: Donjon offers that name by itself" in said
    assert refused is name.startswith("sgx.intel.com/"), said
