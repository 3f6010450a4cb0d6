"""Admission on a real API server: what comes out of it, what it refuses and with what words, and what the node agent may not do.

The policies are applied under a prefix of their own, so the tests need no chart; where the chart is installed too, both say the
same. Pods are made by server-side dry run wherever nothing has to run.
"""

import json
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.cluster import parity

from donjon.admission.policies.accounts import Account
from donjon.admission.policies.agent import CLAIM
from donjon.admission.policies.all import for_pods, for_the_node_agent
from donjon.admission.policies.printing import manifest
from donjon.admission.policies.refusals import watch_debugging
from donjon.admission.settings import Settings

if TYPE_CHECKING:
    from tests.cluster.conftest import Cluster

Wait = Callable[..., Any]

PREFIX = "donjon-test"
OF_THE_CHART = {"donjon", "donjon-refuse"}  # what wires and what refuses pods, of the release with the usual name
ACCOUNT = Account(namespace="donjon-test", name="agent")
CLEANUP = Account(namespace="donjon-test", name="cleanup")
IMAGE = "donjon.dev/testbed/busybox:1"
EPC, ENCLAVE, PROVISION = "sgx.intel.com/epc", "sgx.intel.com/enclave", "sgx.intel.com/provision"
FAQ, AKS, ALIBABA = "sgx.intel.com/sgx_epc_mem_in_MiB", "kubernetes.azure.com/sgx_epc_mem_in_MiB", "alibabacloud.com/sgx_epc_MiB"
WIRED = {EPC: "10Mi", ENCLAVE: "1"}

RIGHTS = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": PREFIX},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [{"kind": "ServiceAccount", "namespace": each.namespace, "name": each.name} for each in (ACCOUNT, CLEANUP)],
}

FAQ_JOB = """\
apiVersion: batch/v1
kind: Job
metadata:
  name: sgx-test
  labels:
    app: sgx-test
spec:
  template:
    metadata:
      labels:
        app: sgx-test
    spec:
      containers:
      - name: sgxtest
        image: oeciteam/sgx-test:1.0
        resources:
          limits:
            sgx.intel.com/sgx_epc_mem_in_MiB: 10 # this limit alone places the job on a confidential computing node
      restartPolicy: Never
  backoffLimit: 0
"""


def container(name: str = "app", /, *, sidecar: bool = False, **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": IMAGE, **({"restartPolicy": "Always"} if sidecar else {}), **fields}


def asking(limits: dict[str, Any], name: str = "app", *, sidecar: bool = False) -> dict[str, Any]:
    return container(name, sidecar=sidecar, resources={"limits": limits})


def pod(*containers: dict[str, Any], init: tuple[dict[str, Any], ...] = (), **spec: Any) -> dict[str, Any]:
    whole = {"automountServiceAccountToken": False, "containers": list(containers) or [container()], **spec}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": whole | ({"initContainers": list(init)} if init else {}),
    }


def workload(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    """The smallest workload of that kind with that pod."""
    labels = {"app": "w"}
    template = {"metadata": {"labels": labels}, "spec": spec}
    batch = {"template": {"spec": spec | {"restartPolicy": "Never"}}}
    selected = {"selector": {"matchLabels": labels}, "template": template}
    version, body = {
        "Job": ("batch/v1", batch),
        "CronJob": ("batch/v1", {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": batch}}),
        "StatefulSet": ("apps/v1", selected | {"serviceName": "w"}),
    }.get(kind, ("apps/v1", selected))
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "w"}, "spec": body}


ORDINARY: dict[str, dict[str, Any]] = {
    "bare": pod(),
    "with limits": pod(container(resources={"limits": {"cpu": "1", "memory": "64Mi"}, "requests": {"cpu": "100m"}})),
    "with another device": pod(asking({"example.com/gpu": 1})),
    "with init containers": pod(init=(container("first"), container("beside", sidecar=True))),
    "on a node by hand": pod(nodeName="nowhere"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A namespace of a cluster in which the policies are in force, and what ordinary pods looked like before they were."""

    cluster: "Cluster"
    namespace: str
    before: dict[str, Any]

    def admit(self, made: dict[str, Any], *, namespace: str | None = None) -> dict[str, Any]:
        """The object as it would be admitted."""
        where = namespace or self.namespace
        said = self.cluster.kubectl("create", "-n", where, "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(made))
        admitted: dict[str, Any] = json.loads(said)
        return admitted

    def said(self, made: dict[str, Any]) -> str:
        """What kubectl prints, be it a refusal or warnings."""
        arguments = ("create", "-n", self.namespace, "--dry-run=server", "-f", "-")
        return self.cluster.kubectl(*arguments, stdin=json.dumps(made), check=False)

    def resources(self, made: dict[str, Any]) -> dict[str, dict[str, str]]:
        """The limits of each container as admitted, which its requests repeat."""
        spec = self.admit(made)["spec"]
        found = {}
        for each in spec.get("initContainers", []) + spec["containers"]:
            assert each["resources"].get("limits") == each["resources"].get("requests")
            found[each["name"]] = each["resources"].get("limits", {})
        return found


@pytest.fixture(scope="module")
def world(cluster: "Cluster") -> Iterator[World]:
    """The policies, in force for the tests of this module."""
    namespace = f"test-admission-{secrets.token_hex(3)}"
    cluster.kubectl("create", "namespace", namespace)
    wait(lambda: "default" in cluster.kubectl("get", "serviceaccounts", "-n", namespace))
    before = World(cluster=cluster, namespace=namespace, before={})
    made = World(cluster=cluster, namespace=namespace, before={name: plain(before.admit(one)) for name, one in ORDINARY.items()})
    # All rights, so that every refusal is the policy's.
    text = f"{manifest((*for_pods(PREFIX), *for_the_node_agent(PREFIX, ACCOUNT)))}---\n{json.dumps(RIGHTS)}\n"
    cluster.kubectl("apply", "-f", "-", stdin=text)
    try:
        wait(lambda: in_force(made))
        yield made
    finally:
        cluster.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=text)
        cluster.kubectl("delete", "namespace", namespace, "--wait=false")


def wait(asked: Callable[[], object]) -> None:
    from tests.cluster.conftest import wait_until  # noqa: PLC0415 - pytest makes the module known only when tests run.

    wait_until(asked, seconds=20, what="the policies in force")


def in_force(world: World) -> bool:
    """Each policy of ours takes effect by itself, up to a second after it was made."""
    warned = world.said(workload("Job", pod(asking({EPC: 10}))["spec"]))
    by_hand = world.said(pod(asking({EPC: 10, ENCLAVE: 0})))
    agent = world.cluster.kubectl("get", "--raw", "/api/v1/nodes/nowhere/proxy/", *as_agent("nowhere"), check=False)
    unwired = "[DJ102]" in world.said(pod(asking({FAQ: 10})))
    names = [f"{PREFIX}-warn-workloads", f"{PREFIX}-warn'"]
    # One refusal alone is shown: that of ours, or of the chart, where that is installed, in the same words.
    refused = any(f"'{prefix}-refuse'" in by_hand for prefix in (PREFIX, "donjon"))
    return refused and all(name in warned + by_hand for name in names) and "DJ110" in agent and not unwired


def plain(admitted: dict[str, Any]) -> dict[str, Any]:
    """The object without what differs from one request to the next."""
    for field in ("uid", "creationTimestamp", "managedFields", "resourceVersion"):
        admitted["metadata"].pop(field, None)
    return admitted


def as_agent(node: str) -> tuple[str, ...]:
    """The words that make kubectl speak as the agent of that node."""
    return (f"--as={ACCOUNT.username}", f"--as-user-extra={CLAIM}={node}")


def test_the_faqs_job_verbatim_comes_out_wired(world: World, namespace: str, wait_for: Wait) -> None:
    cluster = world.cluster
    cluster.kubectl("apply", "-n", namespace, "-f", "-", stdin=FAQ_JOB)
    (made,) = wait_for(lambda: cluster.get("pods", "-n", namespace, "-l", "app=sgx-test")["items"], what="the Job's pod")
    assert made["spec"]["containers"][0]["resources"] == {"limits": WIRED, "requests": WIRED}


@pytest.mark.parametrize(
    ("limits", "admitted"),
    [
        ({FAQ: 10}, WIRED),
        ({AKS: 10}, WIRED),
        ({ALIBABA: 10}, WIRED),
        ({ALIBABA: "10"}, WIRED),
        ({FAQ: 1024}, {EPC: "1Gi", ENCLAVE: "1"}),
        ({FAQ: "1e3"}, {EPC: "1000Mi", ENCLAVE: "1"}),
        ({FAQ: "1Ki"}, {EPC: "1Gi", ENCLAVE: "1"}),
        ({FAQ: "0.5Ki"}, {EPC: "512Mi", ENCLAVE: "1"}),
        ({FAQ: 67108863}, {EPC: "67108863Mi", ENCLAVE: "1"}),
        ({EPC: "10Mi"}, WIRED),
        ({EPC: "10485760"}, {EPC: "10485760", ENCLAVE: "1"}),
        ({EPC: "10M"}, {EPC: "10M", ENCLAVE: "1"}),
        ({EPC: "0.5Mi"}, {EPC: "512Ki", ENCLAVE: "1"}),
        ({EPC: "1e3"}, {EPC: "1e3", ENCLAVE: "1"}),
        ({EPC: 42}, {EPC: "42", ENCLAVE: "1"}),
        ({EPC: "63Ti"}, {EPC: "63Ti", ENCLAVE: "1"}),
        ({EPC: "10Mi", ENCLAVE: "1000m"}, {EPC: "10Mi", ENCLAVE: "1"}),
        ({FAQ: 10, ENCLAVE: 1}, WIRED),
        ({EPC: "10Mi", FAQ: 10, AKS: 10, ALIBABA: 10}, WIRED),
        ({EPC: "10485760", FAQ: 10}, {EPC: "10485760", ENCLAVE: "1"}),
        ({FAQ: 10, ALIBABA: 10}, WIRED),
        ({EPC: 0}, {EPC: "0"}),
        ({FAQ: 0}, {EPC: "0"}),
        ({ENCLAVE: 1}, {ENCLAVE: "1"}),
        ({EPC: "10Mi", PROVISION: 0}, WIRED | {PROVISION: "0"}),
        ({FAQ: 10, "cpu": "1", "example.com/gpu": 2}, WIRED | {"cpu": "1", "example.com/gpu": "2"}),
    ],
    ids=str,
)
def test_every_name_of_epc_becomes_epc_and_brings_its_device(
    world: World, limits: dict[str, Any], admitted: dict[str, str]
) -> None:
    assert world.resources(pod(asking(limits))) == {"app": admitted}


def test_init_containers_and_sidecars_are_wired_each_by_itself(world: World) -> None:
    first, beside = asking({FAQ: 3}, "first"), asking({EPC: "5Mi"}, "beside", sidecar=True)
    made = pod(container("plain"), asking({AKS: 10}, "app"), init=(container("before"), first, beside))
    assert world.resources(made) == {
        "before": {},
        "first": {EPC: "3Mi", ENCLAVE: "1"},
        "beside": {EPC: "5Mi", ENCLAVE: "1"},
        "plain": {},
        "app": WIRED,
    }


def test_only_resources_annotation_and_tolerations_are_changed(world: World) -> None:
    made = plain(world.admit(pod(asking({FAQ: 10}))))
    made["spec"]["containers"][0]["resources"] = {}
    assert made["metadata"].pop("annotations") == {EPC: "10Mi"}
    assert [each["key"] for each in made["spec"]["tolerations"][-4:]] == [EPC, FAQ, AKS, ALIBABA]
    made["spec"]["tolerations"] = made["spec"]["tolerations"][:-4]
    assert made == world.before["bare"]


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_pod_is_the_same_to_the_byte_with_and_without_policies(world: World, name: str) -> None:
    assert json.dumps(plain(world.admit(ORDINARY[name]))) == json.dumps(world.before[name])


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no device, by hand": (
        pod(asking({EPC: "10Mi", ENCLAVE: 0})),
        f"container app: asks for EPC and says {ENCLAVE}: 0: it would start without its device [DJ101]; take {ENCLAVE} out",
    ),
    "no device, in another spelling": (pod(asking({EPC: "10Mi", ENCLAVE: "0e3"})), "[DJ101]"),
    "no device, beside a container that is well": (
        pod(asking(WIRED, "a"), asking({EPC: "1Mi", ENCLAVE: 0}, "b")),
        "container b: asks",
    ),
    "more than an int64 in Mi, capped": (pod(asking({EPC: "8796093022208Mi"})), "[DJ103]"),
    "a node by hand, wired by hand": (pod(asking(WIRED), nodeName="sgx-1"), "[DJ105]"),
    "more than any number": (pod(asking({EPC: "1e400"})), f"container app: asks for {EPC}: 10e399: no machine has that much"),
    "more than an int64, capped": (pod(asking({EPC: "10Ei"})), "[DJ103]; ask for what an enclave needs, such as"),
    "more than an int64 in MiB": (pod(asking({FAQ: 8796093022208})), f"asks for {FAQ}: 8796093022208: no machine has that much"),
    "more together than an int64": (pod(asking({EPC: "6Ei"}), asking({EPC: "6Ei"}, "b")), "[DJ103]"),
    "devices beyond counting": (pod(asking({EPC: "1Mi", ENCLAVE: "6Ei"})), f"{ENCLAVE}: 6Ei: no machine has that much"),
    "more than an int64 in Ti of MiB": (pod(asking({ALIBABA: "8Ti"})), "[DJ103]"),
    "all devices of a node": (
        pod(asking({EPC: "4Ki", ENCLAVE: 110})),
        f"container app: asks for {ENCLAVE}: 110: one device is all that a container can use",
    ),
    "two devices beside another name of EPC": (pod(asking({FAQ: 10, ENCLAVE: 2})), "[DJ117]; ask for 1"),
    "two devices and no EPC": (pod(asking({ENCLAVE: "2e0"})), "[DJ117]"),
    "two devices in an init container": (pod(init=(asking({EPC: "1Mi", ENCLAVE: 2}, "first"),)), "container first: asks for"),
    "two devices in a sidecar": (pod(init=(asking({EPC: "1Mi", ENCLAVE: 2}, "beside", sidecar=True),)), "container beside: asks"),
    "the provisioning key twice": (pod(asking({EPC: "1Mi", PROVISION: 2})), f"asks for {PROVISION}: 2: one device is all"),
    "the provisioning key": (
        pod(asking({EPC: "10Mi", PROVISION: 1})),
        f"container app: asks for {PROVISION}: namespace NAMESPACE may not",
    ),
    "the provisioning key alone": (
        pod(asking({PROVISION: 1})),
        "or have an administrator allow it: kubectl label namespace NAMESPACE donjon.dev/provision=allowed",
    ),
    "the provisioning key in an init container": (pod(init=(asking({PROVISION: 1}, "first"),)), "container first: asks for"),
    "a node by hand": (
        pod(asking({FAQ: 10}), nodeName="sgx-1"),
        "pod: spec.nodeName is sgx-1: set by hand it bypasses the scheduler",
    ),
    "a node by hand, with the device alone": (pod(asking({ENCLAVE: 1}), nodeName="sgx-1"), "[DJ105]; leave it out and choose"),
    "bytes beside MiB": (
        pod(asking({EPC: 10, FAQ: 10})),
        f"container app: asks for {EPC}: 10 and {FAQ}: 10: these are different amounts of EPC under different names [DJ106]",
    ),
    "two foreign names": (pod(asking({AKS: 11, ALIBABA: 10})), "[DJ106]"),
    "none beside some": (pod(asking({EPC: 0, ALIBABA: 10})), "[DJ106]"),
    "two containers, one sentence": (
        pod(asking({PROVISION: 1}, "a"), asking({PROVISION: 1}, "b")),
        f"container a, b: asks for {PROVISION}",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_with_a_code_and_words(world: World, case: str) -> None:
    made, words = REFUSED[case]
    said = world.said(made)
    assert "(Forbidden)" in said
    assert words.replace("NAMESPACE", world.namespace) in said


def test_a_refusal_says_all_reasons_at_once_and_each_container_once(world: World) -> None:
    first, second = asking({EPC: 10, FAQ: 10, PROVISION: 1}, "a"), asking({EPC: "1Mi", ENCLAVE: 0}, "b")
    said = world.said(pod(first, second, asking({FAQ: "1e400"}, "c"), asking({FAQ: 1}, "d"), nodeName="sgx-1"))
    refusal = said[said.index("denied request") :]
    assert re.findall(r"DJ\d+", refusal) == ["DJ101", "DJ103", "DJ104", "DJ105", "DJ106"]
    assert "container d" not in refusal


def test_a_refusal_of_many_containers_is_still_in_words(world: World) -> None:
    many = [asking({EPC: 10, FAQ: 10, PROVISION: 1}, f"c{number:02}{'x' * 60}") for number in range(100)]
    said = world.said(pod(*many))
    assert "[DJ104]" in said
    assert "[DJ106]" in said
    assert "..." in said
    assert "variables." not in said


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ({"limits": {EPC: -1}}, "must be greater than or equal to 0"),
        ({"limits": {FAQ: -1}}, "must be greater than or equal to 0"),
        ({"limits": {FAQ: "1.5"}}, "must be an integer"),
        ({"limits": {FAQ: 3}, "requests": {FAQ: 2}}, "must be equal to"),
        ({"requests": {FAQ: 2}}, "Limit must be set"),
        ({"limits": {FAQ: 3}, "requests": {EPC: "2Mi"}}, "Limit must be set"),
        ({"limits": {FAQ: 3}, "requests": {ENCLAVE: 2}}, "Limit must be set"),
        ({"requests": {PROVISION: 1}}, "Limit must be set"),
    ],
    ids=str,
)
def test_what_the_api_server_refuses_by_itself_keeps_its_words(world: World, resources: dict[str, Any], words: str) -> None:
    said = world.said(pod(container(resources=resources)))
    assert words in said
    assert "variables." not in said


@contextmanager
def without_the_charts_policies(cluster: "Cluster") -> Iterator[None]:
    """Where Donjon is installed, its policies wire and refuse, too; their bindings are put back as they were."""
    kinds = "mutatingadmissionpolicybindings,validatingadmissionpolicybindings"
    names = [name for name in cluster.kubectl("get", kinds, "-o", "name").split() if name.partition("/")[2] in OF_THE_CHART]
    bindings = [cluster.get(name) for name in names]
    for each in bindings:
        for field in ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"):
            each["metadata"].pop(field, None)
    try:
        for name in names:
            cluster.kubectl("delete", name)
        yield
    finally:
        for each in bindings:
            cluster.kubectl("create", "-f", "-", stdin=json.dumps(each), check=False)


@contextmanager
def wiring_aside(world: World, binding: dict[str, Any]) -> Iterator[None]:
    """The test's own wiring is not in force until the end of the block."""
    world.cluster.kubectl("delete", "mutatingadmissionpolicybinding", PREFIX)
    try:
        yield
    finally:
        world.cluster.apply(binding)
        wait(lambda: in_force(world))


def test_without_the_wiring_policy_a_pod_that_asks_is_refused_and_an_ordinary_one_is_not(world: World, wait_for: Wait) -> None:
    binding = next(entry for entry in for_pods(PREFIX) if entry["kind"] == "MutatingAdmissionPolicyBinding")
    with without_the_charts_policies(world.cluster), wiring_aside(world, binding):
        wait_for(lambda: "[DJ102]" in world.said(pod(asking({FAQ: 10}))), seconds=10, what="foreign name refused")
        assert f"(kubectl get mutatingadmissionpolicy,mutatingadmissionpolicybinding {PREFIX})" in world.said(
            pod(asking({FAQ: 10}))
        )
        assert "[DJ101]; check that the policy and its binding are there" in world.said(pod(asking({EPC: "10Mi"})))
        assert world.resources(pod(asking(WIRED))) == {"app": WIRED}
        assert plain(world.admit(pod())) == world.before["bare"]


def test_a_daemon_sets_pods_keep_their_node_affinity_and_are_wired(
    world: World, namespace: str, node: str, wait_for: Wait
) -> None:
    daemons = workload("DaemonSet", pod(asking({FAQ: 10}))["spec"] | {"nodeSelector": {"donjon.dev/test": node}})
    world.cluster.apply(daemons, namespace=namespace)
    (made,) = wait_for(lambda: world.cluster.get("pods", "-n", namespace)["items"], what="the DaemonSet's pod")
    required = made["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert required == {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]}
    assert made["spec"]["containers"][0]["resources"]["limits"] == WIRED


def test_provision_is_admitted_in_a_namespace_with_the_right(world: World, namespace: str, wait_for: Wait) -> None:
    world.cluster.kubectl("label", "namespace", namespace, "donjon.dev/provision=allowed")
    made = pod(asking({FAQ: 10, PROVISION: 1}))
    arguments = ("create", "-n", namespace, "--dry-run=server", "-o", "json", "-f", "-")
    said = wait_for(
        lambda: json.loads(world.cluster.kubectl(*arguments, stdin=json.dumps(made), check=False).partition("Error")[0] or "{}"),
        seconds=5,
        what="the right known to the API server",
    )
    assert said["spec"]["containers"][0]["resources"]["limits"] == WIRED | {PROVISION: "1"}


def test_another_value_of_the_label_is_no_right(world: World, namespace: str) -> None:
    world.cluster.kubectl("label", "namespace", namespace, "donjon.dev/provision=denied")
    arguments = ("create", "-n", namespace, "--dry-run=server", "-f", "-")
    assert "[DJ104]" in world.cluster.kubectl(*arguments, stdin=json.dumps(pod(asking({PROVISION: 1}))), check=False)


def test_a_resource_quota_counts_what_was_asked_under_a_foreign_name(world: World, namespace: str, wait_for: Wait) -> None:
    cluster, amount = world.cluster, f"requests.{EPC}"
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "epc"}, "spec": {"hard": {amount: "16Mi"}}}
    cluster.apply(quota, namespace=namespace)
    wait_for(lambda: cluster.get("quota", "epc", "-n", namespace)["status"].get("used"), what="the quota in force")
    cluster.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(pod(asking({FAQ: 10}))))
    wait_for(lambda: cluster.get("quota", "epc", "-n", namespace)["status"]["used"] == {amount: "10Mi"}, what="10Mi used")
    second = pod(asking({ALIBABA: 7}))
    second["metadata"]["name"] = "second"
    said = cluster.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(second), check=False)
    assert f"exceeded quota: epc, requested: {amount}=7Mi, used: {amount}=10Mi, limited: {amount}=16Mi" in said


WARNED: dict[str, tuple[dict[str, Any], str]] = {
    "a name that is misspelt": (
        pod(asking({"sgx.intel.com/EPC": "64Mi"})),
        "container app: asks for sgx.intel.com/EPC, which is no name of SGX: Donjon offers nothing of that name, so the pod",
    ),
    "a name that is misspelt beside ten thousand others": (
        pod(asking({"sgx.intel.com/EPC": "64Mi"} | {f"example.com/a{number}": 1 for number in range(10_000)})),
        "[DJ151]",
    ),
    "ten bytes": (
        pod(asking({EPC: 10})),
        f"container app: asks for {EPC}: 10: these are bytes, less than one page of EPC (4096) [DJ107]",
    ),
    "bytes under a name that counts MiB": (pod(asking({FAQ: "10Mi"})), "[DJ122]; did you mean sgx.intel.com/epc: 64Mi"),
    "the device alone": (pod(asking({ENCLAVE: 1})), "[DJ108]; ask for what they need"),
    "no multiple of a page": (
        pod(asking({EPC: "10M"})),
        "container app: asks for sgx.intel.com/epc: 10M: EPC is handed out in pages",
    ),
}


@pytest.mark.parametrize("case", WARNED)
@pytest.mark.parametrize("kind", ["Pod", "Job", "Deployment"])
def test_warns_on_the_pod_and_on_what_makes_it(world: World, case: str, kind: str) -> None:
    made, words = WARNED[case]
    said = world.said(made if kind == "Pod" else workload(kind, made["spec"]))
    assert words in said
    assert "created (server dry run)" in said


def test_a_daemon_set_that_goes_everywhere_is_warned_about(world: World) -> None:
    said = world.said(workload("DaemonSet", pod(asking({FAQ: 10}))["spec"]))
    assert "DaemonSet: asks for EPC on every node: its pods stay Pending where there is no SGX [DJ116]" in said
    assert "DJ116" not in world.said(workload("Deployment", pod(asking({FAQ: 10}))["spec"]))


def test_a_pod_as_large_as_etcd_takes_is_wired(world: World) -> None:
    assert len(json.dumps(parity.large())) > 1_400_000
    assert world.resources(parity.large()) == {"app": {EPC: "1Mi", ENCLAVE: "1"}}


MIRROR = {
    "annotations": {"kubernetes.io/config.mirror": "x"},
    "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "NODE", "uid": "UID", "controller": True}],
}


def test_a_kubelets_account_of_a_static_pod_is_taken_and_counted(world: World, node: str) -> None:
    uid = world.cluster.get("node", node)["metadata"]["uid"]
    made = pod(asking({EPC: "10Mi"}), nodeName=node)
    made["metadata"] |= json.loads(json.dumps(MIRROR).replace("NODE", node).replace("UID", uid))
    arguments = ("create", "-n", world.namespace, "--dry-run=server", "-o", "json", "-f", "-")
    kubelet = (f"--as=system:node:{node}", "--as-group=system:nodes", "--as-group=system:authenticated")
    admitted = json.loads(world.cluster.kubectl(*arguments, *kubelet, stdin=json.dumps(made)))
    assert admitted["spec"]["containers"][0]["resources"]["limits"] == WIRED
    assert "[DJ105]" in world.said(made), "nobody else makes such a pod"


@pytest.mark.parametrize(
    ("profile", "asks", "words"),
    [
        ("sysadmin", {EPC: "10Mi"}, "is privileged: every device of the host is open to it"),
        ("general", {EPC: "10Mi"}, None),
        ("sysadmin", {}, None),
    ],
)
def test_a_privileged_container_put_beside_enclaves_is_warned_about(
    world: World, namespace: str, profile: str, asks: dict[str, Any], words: str | None
) -> None:
    cluster = world.cluster
    made = pod(asking(asks), nodeSelector={"nobody": "has"})
    cluster.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(made))
    debug = ("debug", "-n", namespace, "p", "--image", IMAGE, "--profile", profile, "--attach=false", "--quiet", "-c")
    said = cluster.kubectl(*debug, "first", check=False)
    assert (f"container first: {words}" in said) if words else ("DJ115" not in said)
    again = cluster.kubectl(*debug[:-1], "-c", "second", "--profile=general", check=False)
    assert "DJ115" not in again, "what is there already is not told again"
    assert {each["name"] for each in cluster.get("pod", "p", "-n", namespace)["spec"]["ephemeralContainers"]} == {
        "first",
        "second",
    }


def test_a_privileged_container_put_beside_enclaves_is_refused_where_that_was_chosen(
    world: World, namespace: str, wait_for: Wait
) -> None:
    cluster, prefix = world.cluster, namespace
    refusing = watch_debugging(f"{prefix}-debug", Settings(refuse_host_devices=True))
    cluster.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(pod(asking({EPC: "10Mi"}), nodeSelector={"a": "b"})))
    debug = ("debug", "-n", namespace, "p", "--image", IMAGE, "--profile=sysadmin", "--attach=false", "--quiet")
    cluster.kubectl("apply", "-f", "-", stdin=manifest(refusing))
    try:
        wait_for(lambda: "denied request: container" in cluster.kubectl(*debug, check=False), what="refused in words")
    finally:
        cluster.kubectl("delete", "-f", "-", stdin=manifest(refusing))


def test_two_thousand_containers_that_ask_are_refused_in_words(world: World) -> None:
    said = world.said(pod(*(asking({FAQ: 1, PROVISION: 1}, f"c{number}") for number in range(2000))))
    assert "pod: has 2000 containers and asks for SGX" in said
    assert "variables." not in said


@pytest.mark.parametrize("kind", ["Job", "CronJob", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"])
def test_a_workload_whose_pods_will_be_refused_is_made_with_a_warning(world: World, kind: str) -> None:
    first, second = asking({EPC: 10, FAQ: 10, PROVISION: 1}, "a"), asking({EPC: "1Mi", ENCLAVE: 0}, "b")
    spec = pod(first, second, asking({FAQ: "1e400"}, "c"), asking({FAQ: 1}, "d"), nodeName="sgx-1")["spec"]
    said = world.said(workload(kind, spec))
    assert "created (server dry run)" in said
    warning = next(line for line in said.splitlines() if f"{PREFIX}-warn-workloads" in line and "will be refused" in line)
    assert f"the pods of this {kind} will be refused: " in warning
    assert re.findall(r"DJ\d+", warning) == ["DJ101", "DJ103", "DJ104", "DJ105", "DJ106"]


@pytest.mark.parametrize("kind", ["Job", "CronJob", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"])
@pytest.mark.parametrize("limits", [{}, {FAQ: 10}, {EPC: "10Mi"}, WIRED], ids=str)
def test_a_workload_whose_pods_will_run_is_made_without_a_word(world: World, kind: str, limits: dict[str, Any]) -> None:
    chosen = {"nodeSelector": {"sgx.intel.com/capable": "true"}} if kind == "DaemonSet" else {}
    assert "Warning" not in world.said(workload(kind, pod(asking(limits))["spec"] | chosen))


@pytest.fixture
def node(cluster: "Cluster") -> Iterator[str]:
    """A node object that no kubelet stands behind, for what may be spoiled."""
    name = f"test-{secrets.token_hex(4)}"
    labels = {"donjon.dev/test": name, "kubernetes.io/hostname": name}
    cluster.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
    amounts = {"cpu": "4", "memory": "8Gi", "pods": "110"}
    ready = {"type": "Ready", "status": "True", "reason": "Test", "message": ""}
    patch_status(cluster, name, {"capacity": amounts, "allocatable": amounts, "conditions": [ready]})
    yield name
    cluster.kubectl("delete", "node", name, "--ignore-not-found")


def patch_status(cluster: "Cluster", node: str, status: dict[str, Any], *who: str) -> str:
    words = ("patch", "node", node, "--subresource=status", "--type=strategic", "-p", json.dumps({"status": status}), *who)
    return cluster.kubectl(*words, check=not who)


def patch(cluster: "Cluster", node: str, change: dict[str, Any], *who: str) -> str:
    return cluster.kubectl("patch", "node", node, "--type=merge", "-p", json.dumps(change), *who, check=False)


MINE: dict[str, dict[str, Any]] = {
    "capacity and allocatable": {"capacity": {EPC: "1Gi"}, "allocatable": {EPC: "1Gi"}},
    "the condition": {"conditions": [{"type": "SGXReady", "status": "True", "reason": "Test", "message": "ready"}]},
}
NOT_MINE: dict[str, tuple[dict[str, Any], str]] = {
    "another capacity": ({"capacity": {"cpu": "1"}}, "change capacity of cpu"),
    "another allocatable": ({"allocatable": {"pods": "0"}}, "change allocatable of pods"),
    "a new resource": ({"capacity": {"example.com/gpu": "1"}}, "change capacity of example.com/gpu"),
    "another condition": ({"conditions": [{"type": "Ready", "status": "False"}]}, "change conditions other than SGXReady"),
    "a new condition": ({"conditions": [{"type": "Other", "status": "True"}]}, "change conditions other than SGXReady"),
    "addresses": ({"addresses": [{"type": "InternalIP", "address": "10.1.2.3"}]}, "change status.addresses"),
    "what the kubelet told": ({"nodeInfo": {"kernelVersion": "1"}}, "change status.nodeInfo"),
}
NOT_MINE_EITHER: dict[str, tuple[dict[str, Any], str]] = {
    "cordon": ({"spec": {"unschedulable": True}}, "change spec (taints, cordon)"),
    "a taint": ({"spec": {"taints": [{"key": "a", "effect": "NoExecute"}]}}, "change spec (taints, cordon)"),
    "a foreign label": ({"metadata": {"labels": {"example.com/a": "b"}}}, "change label example.com/a"),
    "a label taken away": ({"metadata": {"labels": {"kubernetes.io/hostname": None}}}, "change label kubernetes.io/hostname"),
    "a label of ours that is not the agent's": (
        {"metadata": {"labels": {"donjon.dev/test": "x"}}},
        "change label donjon.dev/test",
    ),
    "an annotation": ({"metadata": {"annotations": {"donjon.dev/a": "b"}}}, "change metadata.annotations"),
    "a finalizer": ({"metadata": {"finalizers": ["donjon.dev/a"]}}, "change metadata.finalizers"),
    "an owner": (
        {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "b"}]}},
        "change metadata.ownerReferences",
    ),
}


@pytest.mark.parametrize("case", MINE)
def test_the_node_agent_may_write_epc_and_its_condition(world: World, node: str, case: str) -> None:
    assert "patched" in patch_status(world.cluster, node, MINE[case], *as_agent(node))


def test_the_node_agent_may_write_and_take_away_its_labels(world: World, node: str) -> None:
    labels = {"sgx.intel.com/capable": "true", "donjon.dev/sgx": "2", "donjon.dev/edmm": "true"}
    labels |= {"donjon.dev/driver": "in-tree", "donjon.dev/aesm": "ready"}
    assert "patched" in patch(world.cluster, node, {"metadata": {"labels": labels}}, *as_agent(node))
    taken = dict.fromkeys(labels)
    assert "patched" in patch(world.cluster, node, {"metadata": {"labels": taken}}, *as_agent(node))


@pytest.mark.parametrize("case", NOT_MINE)
def test_the_node_agent_may_write_nothing_else_of_the_status(world: World, node: str, case: str) -> None:
    change, words = NOT_MINE[case]
    said = patch_status(world.cluster, node, change, *as_agent(node))
    assert f"the node agent of node {node} may not {words} [DJ110]" in said


@pytest.mark.parametrize("case", NOT_MINE_EITHER)
def test_the_node_agent_may_write_nothing_else_of_the_node(world: World, node: str, case: str) -> None:
    change, words = NOT_MINE_EITHER[case]
    said = patch(world.cluster, node, change, *as_agent(node))
    assert f"the node agent of node {node} may not {words} [DJ110]" in said


def test_the_node_agent_may_not_touch_another_node(world: World, node: str) -> None:
    change = {"metadata": {"labels": {"donjon.dev/sgx": "2"}}}
    assert f"the node agent of node other may not touch node {node} [DJ110]" in patch(
        world.cluster, node, change, *as_agent("other")
    )
    said = patch_status(world.cluster, node, MINE["capacity and allocatable"], *as_agent("other"))
    assert f"the node agent of node other may not touch node {node} [DJ110]" in said


def test_a_token_of_the_agent_that_names_no_node_is_good_for_nothing(world: World, node: str) -> None:
    said = patch(world.cluster, node, {"metadata": {"labels": {"donjon.dev/sgx": "2"}}}, f"--as={ACCOUNT.username}")
    assert f"the node agent of no node (its token names none) may not touch node {node} [DJ110]" in said


def test_the_node_agent_may_not_make_delete_or_reach_through_nodes(world: World, node: str) -> None:
    cluster, who = world.cluster, as_agent(node)
    made = json.dumps({"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"{node}-2"}})
    assert "may not create nodes, only patch one [DJ110]" in cluster.kubectl("create", "-f", "-", *who, stdin=made, check=False)
    assert "may not delete nodes, only patch one [DJ110]" in cluster.kubectl("delete", "node", node, *who, check=False)
    path = f"/api/v1/nodes/{node}/proxy/pods"
    assert "may not connect nodes, only patch one [DJ110]" in cluster.kubectl("get", "--raw", path, *who, check=False)


def test_the_accounts_of_others_are_not_concerned(world: World, node: str) -> None:
    cleanup = (f"--as={CLEANUP.username}",)
    assert "patched" in patch(world.cluster, node, {"metadata": {"labels": {"donjon.dev/test": "x"}}}, *cleanup)
    assert "patched" in patch_status(world.cluster, node, {"capacity": {EPC: "0"}, "allocatable": {EPC: "0"}}, *cleanup)
