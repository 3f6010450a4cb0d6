"""The webhook on a real cluster, away, slow, wrong or renewed: nobody starts without a device, nobody else is hindered."""

import base64
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from testbed import clock, processes
from tests.cluster import impostor, parity
from tests.cluster.agents import ENCLAVE, EPC, NAMESPACE, PROVISION, pod
from tests.cluster.conftest import ORDINARY_IMAGE, Cluster
from tests.cluster.load import ORDINARY, Load
from tests.cluster.release import Release, installed, is_wired, outcome

from donjon.admission.policies.registration import WAITS
from donjon.admission.settings import AdmissionContext, Settings, wired_by_webhook

Wait = Callable[..., Any]

MODE = 'admission.mode="webhook"'
DEPLOYMENT = "deployment/donjon-webhook"
ENDURANCE = float(os.environ.get("DONJON_ENDURANCE_SECONDS", "0"))
FAQ = {"sgx.intel.com/sgx_epc_mem_in_MiB": "1"}
OWN = {EPC: "1Mi"}


@pytest.fixture(scope="module")
def release(cluster: Cluster) -> Iterator[Release]:
    yield from installed(cluster)


@pytest.fixture
def webhook(release: Release, cluster: Cluster, wait_for: Wait) -> Release:
    """The release with its webhook, two replicas ready, pods wired by it."""
    release.upgrade(MODE)
    wait_for(lambda: "donjon" not in names(cluster, "mutatingadmissionpolicies"), what="the policy that wires is gone")
    wait_for(lambda: is_wired(cluster), seconds=60, what="pods are wired")
    return release


def names(cluster: Cluster, kind: str, *where: str) -> set[str]:
    return {name.rpartition("/")[2] for name in cluster.kubectl("get", kind, "-o", "name", *where).split()}


def replicas(cluster: Cluster) -> list[str]:
    """The webhook's pods that are not on their way out."""
    pods = cluster.get("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=admission")["items"]
    return sorted(each["metadata"]["name"] for each in pods if "deletionTimestamp" not in each["metadata"])


def created(cluster: Cluster, limits: dict[str, str], **more: Any) -> str:
    """What the API server says to a pod with these limits."""
    asked = {**pod("asks", image=ORDINARY_IMAGE, limits=limits), **more}
    return cluster.kubectl("create", "-n", "default", "--dry-run=server", "-f", "-", stdin=json.dumps(asked), check=False)


def nobody_is_hindered_and_nobody_starts_without_a_device(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    with Load(cluster, tmp_path, rate=20, made=ORDINARY) as ordinary:
        for limits in (FAQ, OWN):
            said = created(cluster, limits)
            assert "not wired" in said
            assert f"kubectl get pods -n {NAMESPACE} -l app.kubernetes.io/component=admission" in said
        # A pod that is made for good as well: what holds in a dry run is to hold here.
        cluster.apply(pod("plain", "true", image=ORDINARY_IMAGE), namespace=namespace)
    assert set(ordinary.outcomes) == {"unwired"}
    assert max(ordinary.seconds) < WAITS  # A pod that does not ask is never a reason to wait for the webhook.
    wired_by_itself = created(cluster, {EPC: "1Mi", ENCLAVE: "1"})
    assert "created (server dry run)" in wired_by_itself


def scaled_to_none(cluster: Cluster, stack: ExitStack, wait_for: Wait) -> None:
    cluster.kubectl("-n", NAMESPACE, "scale", DEPLOYMENT, "--replicas=0")
    stack.callback(cluster.kubectl, "-n", NAMESPACE, "scale", DEPLOYMENT, "--replicas=2")
    wait_for(lambda: not replicas(cluster), what="no replica is left")


def frozen(cluster: Cluster, stack: ExitStack, wait_for: Wait) -> None:
    """Its processes are stopped in the middle of what they do: they hold their sockets and say nothing."""
    del cluster, wait_for
    ours = [process for process, words in processes.ours().items() if "donjon admission serve" in words]
    assert len(ours) >= 2
    for process in ours:
        process.signal(signal.SIGSTOP)
        stack.callback(process.signal, signal.SIGCONT)


def killed(cluster: Cluster, stack: ExitStack, wait_for: Wait) -> None:
    """Its processes are killed again and again, as by a node that is out of memory."""
    del cluster, wait_for
    stopped = threading.Event()

    def kill() -> None:
        while not stopped.wait(0.05):
            found = [process for process, words in processes.ours().items() if "donjon admission serve" in words]
            processes.end(found, number=signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    stack.callback(thread.join)
    stack.callback(stopped.set)


def replaced_by(answer: impostor.Answer, *, ended: bool = False) -> Callable[[Cluster, ExitStack, Wait], None]:
    def replace(cluster: Cluster, stack: ExitStack, wait_for: Wait) -> None:
        scaled_to_none(cluster, stack, wait_for)
        url, authority = stack.enter_context(impostor.impostor(answer, ended=ended))
        service = cluster.get("mutatingwebhookconfiguration", "donjon")["webhooks"][0]["clientConfig"]["service"]
        stack.callback(call, cluster, {"service": service, "url": None})
        call(cluster, {"service": None, "url": url, "caBundle": base64.b64encode(authority).decode()})
        clock.pause(1)  # until the API server has heard of it

    return replace


def call(cluster: Cluster, client: dict[str, Any]) -> None:
    """Let the API server call someone else."""
    path = "/webhooks/0/clientConfig"
    patch = [
        {"op": "remove" if value is None else "add", "path": f"{path}/{field}", **({} if value is None else {"value": value})}
        for field, value in client.items()
    ]
    cluster.kubectl("patch", "mutatingwebhookconfiguration", "donjon", "--type=json", "-p", json.dumps(patch))


@pytest.mark.parametrize(
    "away",
    [
        pytest.param(scaled_to_none, id="scaled to none"),
        pytest.param(killed, id="killed again and again"),
        pytest.param(frozen, id="frozen"),
        pytest.param(replaced_by(impostor.late), id="ten seconds late"),
        pytest.param(replaced_by(impostor.garbage), id="answers garbage"),
        pytest.param(replaced_by(impostor.another_kind), id="answers with another kind"),
        pytest.param(replaced_by(impostor.garbage, ended=True), id="its certificate has ended"),
    ],
)
def test_while_the_webhook_is_away_others_are_not_hindered_and_pods_that_ask_are_refused_in_words(
    *,
    webhook: Release,
    cluster: Cluster,
    namespace: str,
    tmp_path: Path,
    wait_for: Wait,
    away: Callable[[Cluster, ExitStack, Wait], None],
) -> None:
    assert webhook.is_there()
    with ExitStack() as stack:
        away(cluster, stack, wait_for)
        wait_for(lambda: outcome(cluster) == "refused", what="the webhook is away")
        nobody_is_hindered_and_nobody_starts_without_a_device(cluster, namespace, tmp_path)
    wait_for(lambda: is_wired(cluster), seconds=90, what="pods are wired again, without a hand")


def test_the_api_server_never_waits_longer_than_three_seconds(
    webhook: Release, cluster: Cluster, tmp_path: Path, wait_for: Wait
) -> None:
    assert webhook.is_there()
    with ExitStack() as stack:
        replaced_by(impostor.late)(cluster, stack, wait_for)
        with Load(cluster, tmp_path, rate=2) as load:
            clock.pause(3)
    assert set(load.outcomes) == {"refused"}
    assert max(load.seconds) < 2 * WAITS  # The impostor would take ten seconds.
    wait_for(lambda: is_wired(cluster), seconds=60, what="pods are wired again")


def lost_calls(cluster: Cluster, begin: int) -> list[str]:
    """Why the API server got no answer, call by call, in its log from there on."""
    log = api_server_log(cluster).read_text(encoding="utf-8", errors="replace")[begin:]
    return [line for line in log.splitlines() if "failing open wire.donjon.dev" in line]


def api_server_log(cluster: Cluster) -> Path:
    assert cluster.testbed is not None
    return cluster.testbed.layout.logs / "kube-apiserver.log"


def test_a_rolling_restart_loses_no_call(webhook: Release, cluster: Cluster, tmp_path: Path) -> None:
    """What took longer than three seconds is no call that was lost: it is a machine with more to do than it can."""
    assert webhook.is_there()
    begin = len(api_server_log(cluster).read_text(encoding="utf-8", errors="replace"))
    before = replicas(cluster)
    with Load(cluster, tmp_path, rate=50) as load:
        clock.pause(1)
        cluster.kubectl("-n", NAMESPACE, "rollout", "restart", DEPLOYMENT)
        cluster.kubectl("-n", NAMESPACE, "rollout", "status", DEPLOYMENT, "--timeout=60s")
        clock.pause(12)  # The last old replica answers for ten seconds more.
    assert not set(before) & set(replicas(cluster))
    assert [line for line in lost_calls(cluster, begin) if "deadline exceeded" not in line] == []
    assert set(load.outcomes) <= {"wired", "refused"}
    assert load.outcomes["wired"] > max(500, 0.99 * load.outcomes.total())


def serials(cluster: Cluster) -> str:
    return str(cluster.get("secret", "-n", NAMESPACE, "donjon-webhook-tls")["data"]["tls.crt"])


def test_certificates_renewed_under_load_lose_no_call(release: Release, cluster: Cluster, tmp_path: Path, wait_for: Wait) -> None:
    release.upgrade('admission={"mode": "webhook", "webhook": {"certificate": {"lifetime": "45s"}}}')
    wait_for(lambda: is_wired(cluster), seconds=60, what="pods are wired")
    seen = {serials(cluster)}
    until = clock.now() + (ENDURANCE or 75)
    with Load(cluster, tmp_path, rate=20) as load:
        while clock.now() < until:
            seen.add(serials(cluster))
            clock.pause(1)
    assert set(load.outcomes) == {"wired"}
    assert len(seen) > 2 * (ENDURANCE or 75) / 75, "every certificate lived 30 s, and was followed by another"


def test_a_change_of_the_mode_and_back_never_lets_a_pod_through_unwired(
    webhook: Release, cluster: Cluster, tmp_path: Path, wait_for: Wait
) -> None:
    with Load(cluster, tmp_path, rate=20) as load:
        webhook.upgrade('admission.mode="policies"')
        wait_for(lambda: is_wired(cluster), seconds=30, what="pods are wired by the policy")
        webhook.upgrade(MODE)
        wait_for(lambda: is_wired(cluster), seconds=60, what="pods are wired by the webhook")
        webhook.upgrade('admission.mode="policies"')
        wait_for(lambda: is_wired(cluster), seconds=30, what="pods are wired by the policy")
    assert set(load.outcomes) <= {"wired", "refused"}
    assert load.outcomes["wired"] > 0
    assert names(cluster, "mutatingwebhookconfigurations") & {"donjon"} == set()


WAYS_TO_THE_PROVISIONING_KEY: dict[str, dict[str, Any]] = {
    "the annotation": {
        "metadata": {"name": "asks", "annotations": {"sgx.intel.com/quote-provider": "asks"}},
        "spec": {"containers": [{"name": "asks", "image": "i", "resources": {"limits": {EPC: "1Mi"}}}]},
    },
    "the resource itself": {
        "metadata": {"name": "asks"},
        "spec": {"containers": [{"name": "asks", "image": "i", "resources": {"limits": {EPC: "1Mi", PROVISION: "1"}}}]},
    },
    "the resource alone": {
        "metadata": {"name": "asks"},
        "spec": {"containers": [{"name": "asks", "image": "i", "resources": {"limits": {PROVISION: "1"}}}]},
    },
    "an init container": {
        "metadata": {"name": "asks"},
        "spec": {
            "initContainers": [{"name": "first", "image": "i", "resources": {"limits": {EPC: "1Mi", PROVISION: "1"}}}],
            "containers": [{"name": "asks", "image": "i"}],
        },
    },
    "the annotation of an init container": {
        "metadata": {"name": "asks", "annotations": {"sgx.intel.com/quote-provider": "first"}},
        "spec": {
            "initContainers": [{"name": "first", "image": "i", "resources": {"limits": {EPC: "1Mi"}}}],
            "containers": [{"name": "asks", "image": "i"}],
        },
    },
}


def nobody_gets_the_key(cluster: Cluster, *, wired: bool) -> None:
    for way, asks in WAYS_TO_THE_PROVISIONING_KEY.items():
        said = created(cluster, {}, **asks)
        # A pod that nothing wired has no provisioning device by the annotation either, and is refused for being unwired.
        assert "[DJ104]" in said or (not wired and "annotation" in way and "[DJ101]" in said), f"{way}: {said}"


def test_no_way_leads_to_the_provisioning_key_without_the_right(webhook: Release, cluster: Cluster, wait_for: Wait) -> None:
    nobody_gets_the_key(cluster, wired=True)
    with ExitStack() as stack:
        scaled_to_none(cluster, stack, wait_for)
        wait_for(lambda: outcome(cluster) == "refused", what="the webhook is away")
        nobody_gets_the_key(cluster, wired=False)
    webhook.upgrade('admission.mode="policies"')
    wait_for(lambda: is_wired(cluster), seconds=30, what="pods are wired by the policy")
    nobody_gets_the_key(cluster, wired=True)


@pytest.mark.parametrize("batch", parity.BATCHES)
def test_the_webhook_and_the_python_rules_come_to_the_same(
    webhook: Release, cluster: Cluster, namespace: str, batch: str
) -> None:
    assert webhook.is_there()
    around = AdmissionContext(namespace=namespace, labels={})
    parity.agree(cluster, around, Settings(wired_by=wired_by_webhook(NAMESPACE)), batch)


def test_a_pod_as_large_as_etcd_takes_is_wired(webhook: Release, cluster: Cluster, namespace: str) -> None:
    assert webhook.is_there()
    arguments = ("create", "-n", namespace, "--dry-run=server", "-o", "json", "-f", "-")
    admitted = json.loads(cluster.kubectl(*arguments, stdin=json.dumps(parity.large())))
    assert admitted["spec"]["containers"][0]["resources"]["limits"] == {EPC: "1Mi", ENCLAVE: "1"}


def test_without_its_secret_the_webhook_serves_on_and_an_upgrade_brings_certificate_and_bundle_back(
    webhook: Release, cluster: Cluster, wait_for: Wait
) -> None:
    before = serials(cluster)
    cluster.kubectl("-n", NAMESPACE, "delete", "secret", "donjon-webhook-tls")
    log = ("logs", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=admission", "--tail=-1")
    wait_for(lambda: "DJ147" in cluster.kubectl(*log), what="the webhook says what is missing")
    assert is_wired(cluster)
    webhook.upgrade(MODE)
    where = ("secret", "-n", NAMESPACE, "donjon-webhook-tls")
    wait_for(lambda: cluster.get(*where).get("data", {}).get("tls.crt") == before, what="the same certificate is back")
    call(cluster, {"caBundle": None})
    wait_for(lambda: is_wired(cluster), seconds=30, what="pods are wired again")


def test_more_than_any_node_has_is_warned_about_with_the_largest(webhook: Release, cluster: Cluster, wait_for: Wait) -> None:
    assert webhook.is_there()
    (largest, *_) = cluster.sgx_nodes
    wait_for(lambda: "[DJ132]" in created(cluster, {EPC: "1Ti"}), what="the webhook knows the nodes")
    assert f"{largest}, has " in created(cluster, {EPC: "1Ti"})
    assert "[DJ132]" not in created(cluster, {EPC: "1Mi"})


def test_an_upgrade_keeps_certificate_and_bundle(webhook: Release, cluster: Cluster) -> None:
    before = serials(cluster)
    webhook.upgrade(MODE, 'commonLabels={"team": "vaults"}')
    assert serials(cluster) == before
    assert is_wired(cluster)
