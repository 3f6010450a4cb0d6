"""`donjon status` as a person meets it, against a cluster that is a fake."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.adapters.fakecluster import FakeCluster, cluster
from tests.cli.calling import call
from tests.diagnosis import worlds
from tests.diagnosis.installations import OBJECTS, WHOLE, daemon_set, own_pod, workload
from tests.kube.epc import report

from donjon import __version__
from donjon.adapters import clock
from donjon.adapters.cluster import installation
from donjon.cli import status as command
from donjon.formats.json import JsonObject, at, objects
from donjon.kube.epc_report import encode
from donjon.kube.names import ENCLAVE, EPC
from donjon.sgx.epc import EpcSource

ADMISSION = "/apis/admissionregistration.k8s.io/v1"
PLURALS = {
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
    "MutatingAdmissionPolicy": "mutatingadmissionpolicies",
    "MutatingAdmissionPolicyBinding": "mutatingadmissionpolicybindings",
}
BINDINGS = f"{ADMISSION}/validatingadmissionpolicybindings"
PODS = "/api/v1/namespaces/donjon/pods"


def in_force(pod: JsonObject) -> tuple[int, JsonObject | str]:
    """What the API server answers where Donjon's policies are in force."""
    if at(pod, "spec", "nodeName"):
        return (
            422,
            "pods is forbidden: ValidatingAdmissionPolicy 'donjon-refuse' denied request: pod: spec.nodeName is x [DJ105]; y",
        )
    (container,) = objects(at(pod, "spec", "containers"))
    return 201, pod | {"spec": {"containers": [container | {"resources": {"limits": {EPC: "1Mi", ENCLAVE: "1"}}}]}}


@pytest.fixture
def fake() -> Iterator[FakeCluster]:
    with cluster() as made:
        made.admit = in_force
        made.things = {
            "/api/v1/nodes": [worlds.node("a"), worlds.node("b"), worlds.node("plain", "")],
            "/apis/apps/v1/namespaces/donjon/daemonsets": [daemon_set()],
            "/api/v1/namespaces/donjon/serviceaccounts": list(WHOLE.accounts),
            "/apis/rbac.authorization.k8s.io/v1/clusterroles": list(WHOLE.roles),
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings": list(WHOLE.role_bindings),
            PODS: [own_pod("node", "a"), own_pod("node", "b"), worlds.pod(name="of-others")],
            **{f"{ADMISSION}/{plural}": [each for each in OBJECTS if each["kind"] == kind] for kind, plural in PLURALS.items()},
        }
        yield made


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits looks again as soon as a test can read it."""
    monkeypatch.setattr(command, "REST", 0.05)


def status(fake: FakeCluster, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return call("status", "--kubeconfig", fake.kubeconfig(folder), *arguments)


def test_one_line_says_that_all_is_well_and_a_table_what_was_looked_at(fake: FakeCluster, tmp_path: Path) -> None:
    done = status(fake, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    verdict, empty, *table = done.stdout.splitlines()
    assert verdict.startswith("well: pods are wired and refused as they must be (tried in namespace shop), 2 of 2 agents ready")
    assert not empty
    lines = [" ".join(line.split()) for line in table]
    assert lines[0] == "part what state found"
    assert "policies refuses well tried in namespace shop: a pod that names its node is refused" in lines
    assert "donjon-refuse well as it was printed" in lines
    assert "agents donjon-node well 2 of 2 ready" in lines
    assert "nodes a well 8Gi of EPC; SGXReady True" in lines
    assert "1 without SGX well nothing to offer" in lines
    assert f"donjon well {__version__}, this program" in lines


def test_nothing_is_made_and_the_requests_are_few(fake: FakeCluster, tmp_path: Path) -> None:
    fake.page = 500
    status(fake, tmp_path)
    changes = [path for method, path in fake.asked if method != "GET"]
    assert [path.partition("?")[0] for path in changes] == ["/api/v1/namespaces/shop/pods"] * 2
    assert all("dryRun=All" in path for path in changes)
    assert len(fake.asked) == 15


def test_what_is_wrong_comes_first_and_the_exit_code_says_so(fake: FakeCluster, tmp_path: Path) -> None:
    fake.things[BINDINGS] = [each for each in fake.things[BINDINGS] if at(each, "metadata", "name") != "donjon-refuse"]
    done = status(fake, tmp_path)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "not well: ValidatingAdmissionPolicyBinding donjon-refuse: is not there"
    assert lines[2].startswith("error DJ024 ValidatingAdmissionPolicyBinding donjon-refuse: ")
    assert lines[4].startswith("      do:  have an administrator of the cluster bring it back: helm get manifest")


def test_programs_get_json(fake: FakeCluster, tmp_path: Path) -> None:
    fake.things[PODS].pop(0)
    done = status(fake, tmp_path, "-o", "json")
    told = json.loads(done.stdout)
    assert (done.returncode, list(told), told["well"]) == (1, ["well", "verdict", "findings", "parts"], False)
    assert told["findings"][0]["code"] == "DJ173"
    assert [(each["name"], each["well"]) for each in told["parts"]] == [
        ("policies", True),
        ("agents", False),
        ("nodes", True),
        ("versions", True),
    ]
    assert told["parts"][1]["rows"][1] == {
        "name": "a",
        "state": "wrong",
        "found": "no donjon-node pod: its DaemonSet has not made one",
    }


def test_waiting_ends_when_all_is_well_and_says_meanwhile_what_is_not(fake: FakeCluster, tmp_path: Path) -> None:
    tries = []

    def late(pod: JsonObject) -> tuple[int, JsonObject | str]:
        tries.append(pod)
        return in_force(pod) if len(tries) > 2 else (201, pod)

    fake.admit = late
    done = status(fake, tmp_path, "--wait", "1m")
    assert (done.returncode, done.stdout[:5]) == (0, "well:")
    assert done.stderr.count("not well: policies: a pod that must be refused was let in") == 1
    assert len(tries) == 4


def test_waiting_ends_at_its_end_with_what_is_still_amiss(fake: FakeCluster, tmp_path: Path) -> None:
    fake.things[PODS].pop(0)
    done = status(fake, tmp_path, "--wait", "1s")
    assert (done.returncode, done.stdout.partition(":")[0]) == (1, "not well")


@pytest.mark.parametrize("text", ["2", "2 minutes", "-1s"])
def test_a_time_to_wait_that_is_none_is_usage(fake: FakeCluster, tmp_path: Path, text: str) -> None:
    done = status(fake, tmp_path, f"--wait={text}")
    assert done.returncode == 2
    assert "expected a number and s, m, h or d" in done.stderr
    assert fake.asked == []


def test_who_may_look_into_one_namespace_is_told_what_is_hidden(fake: FakeCluster, tmp_path: Path) -> None:
    fake.forbidden |= {"/api/v1/nodes", "/api/v1/pods", "/apis/apps/v1/daemonsets", "/apis/apps/v1/deployments"}
    done = status(fake, tmp_path)
    assert done.returncode == 0
    assert "2 of 2 agents ready" in done.stdout.splitlines()[0]
    assert done.stdout.splitlines()[0].endswith("; not seen: nodes")
    assert "warning DJ139 this account: may not see the nodes: list nodes: 403" in done.stdout


def test_what_a_tenant_labels_as_donjons_is_not_taken_for_it(fake: FakeCluster, tmp_path: Path) -> None:
    forged = daemon_set(mode="webhook")
    metadata = forged["metadata"]
    assert isinstance(metadata, dict)
    metadata["namespace"] = "aaa"
    fake.things["/apis/apps/v1/namespaces/aaa/daemonsets"] = [forged]
    fake.things["/apis/apps/v1/daemonsets"] = [forged, daemon_set()]
    fake.things["/api/v1/namespaces/aaa/pods"] = [own_pod("attestation", "a", ready=False)]
    done = status(fake, tmp_path)
    assert done.returncode == 0
    assert "aaa" not in done.stdout


def test_who_may_see_nothing_at_all_could_not_look(fake: FakeCluster, tmp_path: Path) -> None:
    kinds = ("daemonsets", "deployments")
    fake.forbidden |= {"/api/v1/nodes", "/api/v1/pods", PODS, f"{ADMISSION}/mutatingwebhookconfigurations"}
    fake.forbidden |= {f"/apis/apps/v1/{where}{kind}" for kind in kinds for where in ("", "namespaces/donjon/")}
    fake.forbidden |= {f"{ADMISSION}/{plural}" for plural in PLURALS.values()}
    fake.admit = lambda _: (403, "pods is forbidden: User x cannot create resource pods")
    done = status(fake, tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert "nothing of Donjon may be seen with these rights" in done.stderr


def test_a_cluster_that_does_not_answer_is_exit_code_3_and_is_asked_again_while_there_is_time(tmp_path: Path) -> None:
    with cluster() as gone:
        config = gone.kubeconfig(tmp_path)
    done = call("status", "--kubeconfig", config, "--wait", "1s")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.count("DJ041") >= 2


def test_a_kubeconfig_that_is_none_is_exit_code_2(tmp_path: Path) -> None:
    done = call("status", "--kubeconfig", tmp_path / "absent")
    assert (done.returncode, done.stdout) == (2, "")
    assert "DJ040" in done.stderr


def test_what_the_attestation_service_says_of_itself_is_asked_through_the_api_server(fake: FakeCluster, tmp_path: Path) -> None:
    fake.things["/apis/apps/v1/namespaces/donjon/deployments"] = [workload("Deployment", "attestation")]
    fake.things[PODS].append(own_pod("attestation", "a", ready=False))
    fake.answers[f"{PODS}/donjon-attestation-a:9810/proxy/readyz"] = b"database: away [DJ502]; see it\n"
    done = status(fake, tmp_path)
    assert done.returncode == 1
    assert "DJ176 attestation: 0 of 2 are ready; donjon-attestation-a: database: away [DJ502]; see it" in done.stdout


def test_an_agent_that_is_not_ready_is_asked_why_and_one_that_is_ready_is_not(fake: FakeCluster, tmp_path: Path) -> None:
    things = fake.things[PODS]
    things[:] = [own_pod("node", "a"), own_pod("node", "b", ready=False)]
    words = "kubelet: no kubelet.sock in /folder: no new pod gets a device [DJ053]; restart the kubelet of this node"
    fake.answers |= {f"{PODS}/donjon-node-{each}:9808/proxy/readyz": f"{each} says {words}\n".encode() for each in "ab"}
    done = status(fake, tmp_path)
    assert f"donjon-node-b: on b: b says {words}" in " ".join(done.stdout.split())
    assert "a says" not in done.stdout


def test_pods_that_drip_their_answers_hold_nobody_up(fake: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three answers of a hundred seconds each: their pods' own states are told in place of them."""
    monkeypatch.setattr(installation, "PATIENCE", 0.3)
    fake.things["/apis/apps/v1/namespaces/donjon/deployments"] = [workload("Deployment", "attestation")]
    fake.things[PODS] += [own_pod("attestation", each, ready=False) for each in "abc"]
    fake.answers |= {f"{PODS}/donjon-attestation-{each}:9810/proxy/readyz": b"x" * 1000 for each in "abc"}
    fake.slow, fake.drips = f"{PODS}/donjon-attestation-", 0.1
    before = clock.monotonic()
    done = status(fake, tmp_path)
    assert clock.monotonic() - before < 60
    assert "donjon-attestation-a: containers with unready status" in done.stdout


def test_words_of_the_cluster_steer_no_terminal_and_make_no_line(fake: FakeCluster, tmp_path: Path) -> None:
    said: JsonObject = {"type": "SGXReady", "status": "True", "message": "x\x1b[2J\nwell: all\x9b"}
    fake.things["/api/v1/nodes"][0] = worlds.saying(worlds.node("a"), said)
    for form in ("text", "json"):
        done = status(fake, tmp_path, "-o", form)
        assert not {"\x1b", "\x9b"} & {*done.stdout}
        assert "\nwell: all" not in done.stdout


def test_its_help_needs_no_library_of_a_cluster() -> None:
    code = (
        "import sys; from donjon.cli import donjon\n"
        "try: donjon(['status', '--help'])\n"
        "except SystemExit: pass\n"
        "print('LOADED', [name for name in ('lightkube', 'httpx2', 'yaml', 'cryptography') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED []"


def test_a_meter_that_could_not_read_every_process_is_worth_a_look(fake: FakeCluster, tmp_path: Path) -> None:
    def with_meter(spec: object) -> JsonObject:
        assert isinstance(spec, dict)
        return spec | {"hostPID": True, "containers": [{"name": "node"}, {"name": "meter"}]}

    agents = [own_pod("node", node) for node in "ab"]
    daemons = daemon_set()
    spec = at(daemons, "spec")
    assert isinstance(spec, dict)
    template: JsonObject = {"template": {"spec": with_meter(at(daemons, "spec", "template", "spec"))}}
    fake.things["/apis/apps/v1/namespaces/donjon/daemonsets"] = [daemons | {"spec": spec | template}]
    fake.things[PODS] = [each | {"spec": with_meter(each["spec"])} for each in agents]
    names = {node: at(pod, "metadata", "name") for node, pod in zip("ab", agents, strict=True)}
    for node, unreadable in (("a", 0), ("b", 3)):
        answer = encode(replace(report(node=node, source=EpcSource.MAPS), unreadable=unreadable))
        fake.answers[f"{PODS}/{names[node]}:9810/proxy/epc"] = answer
    done = call("status", "--kubeconfig", fake.kubeconfig(tmp_path))
    assert "1 of 2 meters count" in done.stdout
    assert "warning DJ788 meters: b: 3 processes could not be read, so it may be more" in done.stdout
