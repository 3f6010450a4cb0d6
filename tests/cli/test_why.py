"""`donjon why` as a person meets it, against a cluster that is a fake."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from tests.adapters.fakecluster import FakeCluster, cluster
from tests.cli.calling import call, start
from tests.cli.test_epc import agent, place
from tests.diagnosis import worlds
from tests.kube.epc import container, held, report

from donjon.formats.json import at
from donjon.kube.epc_report import PodContainer, encode

SHOP = "/api/v1/namespaces/shop"


@pytest.fixture
def fake() -> Iterator[FakeCluster]:
    with cluster() as made:
        made.things = {
            "/api/v1/nodes": [worlds.node("a"), worlds.node("b", "4Gi"), worlds.node("plain", "")],
            f"{SHOP}/pods": [
                worlds.pod("10Mi", name="runs", phase="Running", on="a"),
                worlds.pod("16Gi", name="big"),
                worlds.pod(name="ordinary"),
            ],
            "/api/v1/namespaces/other/pods": [worlds.holding("7Gi", "a")],
            f"{SHOP}/events": [],
        }
        yield made


def why(fake: FakeCluster, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return call("why", "--kubeconfig", fake.kubeconfig(folder), *arguments)


def test_one_table_tells_each_node_with_its_reason_and_the_end_is_the_next_step(fake: FakeCluster, tmp_path: Path) -> None:
    done = start("why", "--kubeconfig", fake.kubeconfig(tmp_path), "big")
    assert (done.returncode, done.stderr) == (1, "")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines() if line.strip()]
    assert lines[0] == "pod shop/big is Pending: asks for 16Gi of EPC, and no node has that much: the largest, a, has 8Gi"
    assert lines[1] == "node EPC free devices free AESM SGXReady what speaks against the pod"
    assert lines[2] == "a 1014Mi of 8Gi 108 of 110 enclave, 110 of 110 provision - True has 8Gi of EPC in all"
    assert lines[3] == "b 4Gi of 4Gi 110 of 110 enclave, 110 of 110 provision - True has 4Gi of EPC in all"
    assert lines[4] == "plain - - - - offers no EPC"
    way = "that needs a new pod: kubectl delete pod -n shop big, change it and create it again"
    assert lines[-1] == f"next: ask for at most 8Gi ({way}), or add a node with more EPC"


def test_what_its_enclaves_hold_stands_there_where_the_nodes_meter_is_heard(fake: FakeCluster, tmp_path: Path) -> None:
    (runs, *_) = fake.things[f"{SHOP}/pods"]
    name = PodContainer(namespace="shop", pod="runs", pod_uid=str(at(runs, "metadata", "uid")), container="app")
    fake.things["/api/v1/namespaces/donjon/pods"] = [agent("a")]
    fake.answers[place("a")] = encode(report(replace(container(10, held(20, 4)), name=name), node="a"))
    done = why(fake, tmp_path, "runs")
    assert done.returncode == 0
    words = "20Mi in EPC now of 10Mi that it asked for, 4Mi evicted; the most since its meter began 20Mi; 1 enclave"
    assert f"EPC of runs/app: {words}\n" in done.stdout
    assert "warning DJ780 container app: its enclaves are 24Mi of EPC" in done.stdout
    told = json.loads(why(fake, tmp_path, "runs", "-o", "json").stdout)
    assert [(each["container"], each["evicted"] >> 20, each["source"]) for each in told["epc"]] == [("app", 4, "bpf")]


def test_where_no_meter_is_heard_nothing_is_said_of_it(fake: FakeCluster, tmp_path: Path) -> None:
    fake.things["/api/v1/namespaces/donjon/pods"] = [agent("a")]
    fake.answers[place("a")] = b"no pass yet"
    done = why(fake, tmp_path, "runs")
    assert "in EPC now" not in done.stdout
    assert json.loads(why(fake, tmp_path, "runs", "-o", "json").stdout)["epc"] is None


def test_programs_get_json(fake: FakeCluster, tmp_path: Path) -> None:
    done = why(fake, tmp_path, "pod/big", "-o", "json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["well"], told["findings"][0]["code"]) == (1, False, "DJ132")
    assert [(view["name"], view["epc"], view["against"][0]["kind"]) for view in told["nodes"]] == [
        ("a", {"free": "1014Mi", "total": "8Gi"}, "too_large"),
        ("b", {"free": "4Gi", "total": "4Gi"}, "too_large"),
        ("plain", {"free": "0", "total": "0"}, "no_sgx"),
    ]
    assert told["next"].startswith("ask for at most 8Gi")


@pytest.mark.parametrize(("name", "code", "words"), [("runs", 0, "runs on a with its device"), ("ordinary", 1, "nothing of SGX")])
def test_the_exit_code_says_whether_it_runs_as_it_should(
    fake: FakeCluster, tmp_path: Path, name: str, code: int, words: str
) -> None:
    done = why(fake, tmp_path, name)
    assert done.returncode == code
    assert words in done.stdout


def test_a_bare_name_finds_the_job_whose_pods_were_never_made(fake: FakeCluster, tmp_path: Path) -> None:
    job = worlds.workload("Job")
    fake.things["/apis/batch/v1/namespaces/shop/jobs"] = [job]
    fake.things[f"{SHOP}/events"] = [worlds.event("FailedCreate", job, "denied request: no right to provision [DJ104]")]
    done = why(fake, tmp_path, "train")
    assert done.returncode == 1
    assert "job shop/train has 0 of 1 pods" in done.stdout
    assert "no right to provision [DJ104]" in done.stdout


def test_a_cron_job_whose_last_job_has_not_come_far_is_told_by_the_one_before(fake: FakeCluster, tmp_path: Path) -> None:
    cron = worlds.workload("CronJob", "tick")
    jobs = [worlds.workload("Job", f"tick-{number}", owner=cron) for number in (2, 1)]
    for job, minute in zip(jobs, ("01", "00"), strict=True):
        metadata = job["metadata"]
        assert isinstance(metadata, dict)
        metadata["creationTimestamp"] = f"2026-11-23T12:{minute}:00Z"
    fake.things["/apis/batch/v1/namespaces/shop/cronjobs"] = [cron]
    fake.things["/apis/batch/v1/namespaces/shop/jobs"] = list(jobs)
    fake.things[f"{SHOP}/pods"] += [
        worlds.belonging(worlds.pod("1Mi", name="new", on="a"), jobs[0]),
        worlds.belonging(worlds.pod("16Gi", name="old"), jobs[1]),
    ]
    done = why(fake, tmp_path, "cronjob/tick")
    assert done.returncode == 1
    assert "the Job before its last (tick-2, which has not come far): job shop/tick-1: pod shop/old is Pending" in done.stdout


def test_a_deployment_is_followed_to_its_pods(fake: FakeCluster, tmp_path: Path) -> None:
    deployment = worlds.workload("Deployment", "web")
    replica_set = worlds.workload("ReplicaSet", "web-1", owner=deployment, replicas=1)
    fake.things["/apis/apps/v1/namespaces/shop/deployments"] = [deployment]
    fake.things["/apis/apps/v1/namespaces/shop/replicasets"] = [replica_set]
    fake.things[f"{SHOP}/pods"].append(worlds.belonging(worlds.pod("5Gi", name="web-1-x"), replica_set))
    done = why(fake, tmp_path, "deploy/web")
    assert done.returncode == 1
    assert "deployment shop/web: pod shop/web-1-x is Pending" in done.stdout
    assert "shop/other holds 7Gi" in done.stdout


def test_who_may_not_see_nodes_and_others_pods_is_told_what_that_hides(fake: FakeCluster, tmp_path: Path) -> None:
    fake.forbidden |= {"/api/v1/nodes", "/api/v1/pods"}
    done = why(fake, tmp_path, "big")
    assert done.returncode == 1
    assert done.stdout.count("DJ139") == 1
    assert "list nodes" in done.stdout
    assert "list pods" in done.stdout


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (["nobody"], "no pod, job, cronjob, deployment, replicaset, statefulset or daemonset 'nobody' in namespace 'shop'"),
        (["job/nobody"], "no job 'nobody' in namespace 'shop'; another namespace is said by -n"),
        (["deployment", "nobody"], "no deployment 'nobody' in namespace 'shop'; another namespace is said by -n"),
        (["cat/big"], "'cat': expected one of pod, job, cronjob, deployment, replicaset, statefulset, daemonset"),
    ],
)
def test_a_name_that_is_nothings_is_told_in_one_line(fake: FakeCluster, tmp_path: Path, name: list[str], words: str) -> None:
    done = why(fake, tmp_path, *name)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"donjon: {words}")
    assert done.stderr.count("\n") == 1


def test_kind_and_name_may_be_two_words_as_kubectl_takes_them(fake: FakeCluster, tmp_path: Path) -> None:
    assert why(fake, tmp_path, "pod", "big").stdout == why(fake, tmp_path, "pod/big").stdout != ""
    for words in (["big", "runs"], ["pod", "big", "runs"]):
        done = why(fake, tmp_path, *words)
        assert done.returncode == 2
        assert "expected one pod or workload: POD, KIND/NAME or KIND NAME" in done.stderr


def test_no_node_is_shown_as_ready_whose_kubelet_or_agent_is_gone(fake: FakeCluster, tmp_path: Path) -> None:
    silent = worlds.saying(
        worlds.node("silent"),
        {"type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting node status."},
        {"type": "SGXReady", "status": "True", "message": "this node runs enclaves"},
    )
    fake.things["/api/v1/nodes"] += [silent, worlds.node("unmanned", enclave="0")]
    views = {each["name"]: each["ready"] for each in json.loads(why(fake, tmp_path, "big", "-o", "json").stdout)["nodes"]}
    unknown = {"status": "Unknown", "message": "its agent said last: this node runs enclaves"}
    assert (views["silent"], views["unmanned"], views["a"]["status"]) == (unknown, unknown, "True")


@pytest.mark.parametrize(
    "name", ["", "pod/", "pod/big?x=1", "pod/../pods/big", "big%2f", "BIG", "a b", "\x1b[31m", "big\n", "x" * 5000]
)
def test_what_cannot_be_a_name_never_reaches_the_cluster(fake: FakeCluster, tmp_path: Path, name: str) -> None:
    done = why(fake, tmp_path, name)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is no name: expected small letters, digits, - and ." in done.stderr.replace("\n", " ")
    assert "\x1b" not in done.stderr


def test_what_cannot_be_a_namespace_never_reaches_the_cluster(fake: FakeCluster, tmp_path: Path) -> None:
    done = why(fake, tmp_path, "big", "-n", "../namespaces/shop")
    assert (done.returncode, done.stdout) == (2, "")
    assert "is no namespace" in done.stderr


def test_what_could_not_be_asked_is_exit_code_3(fake: FakeCluster, tmp_path: Path) -> None:
    fake.forbidden.add(f"{SHOP}/pods/big")
    done = why(fake, tmp_path, "big")
    assert (done.returncode, done.stdout) == (3, "")
    assert "DJ041" in done.stderr


def test_words_of_the_cluster_are_text_and_no_markup(fake: FakeCluster, tmp_path: Path) -> None:
    fake.things["/api/v1/nodes"].append(worlds.node("[red]", taints=[{"key": "[/x]", "effect": "NoSchedule"}]))
    done = why(fake, tmp_path, "big")
    assert "[red]" in done.stdout
    assert "taint [/x]:NoSchedule" in done.stdout


def test_words_of_the_cluster_steer_no_terminal_and_make_no_line(fake: FakeCluster, tmp_path: Path) -> None:
    hostile = worlds.saying(
        worlds.pod("16Gi", name="evil"),
        {"type": "PodScheduled", "status": "False", "message": "no\x1b[2J\npod shop/evil runs well"},
    )
    fake.things[f"{SHOP}/pods"].append(hostile)
    fake.things["/api/v1/nodes"].append(worlds.node("c", taints=[{"key": "\x9b31m", "effect": "NoSchedule"}]))
    for form in ("text", "json"):
        done = why(fake, tmp_path, "evil", "-o", form)
        assert done.returncode == 1
        assert not {"\x1b", "\x9b"} & {*done.stdout}
        assert "\npod shop/evil runs well" not in done.stdout


def test_kubectl_finds_it_as_a_plugin() -> None:
    scripts = entry_points(group="console_scripts")
    assert scripts["kubectl-donjon"].value == scripts["donjon"].value


def test_its_help_needs_no_library_of_a_cluster() -> None:
    code = (
        "import sys; from donjon.cli import donjon\n"
        "try: donjon(['why', '--help'])\n"
        "except SystemExit: pass\n"
        "print('LOADED', [name for name in ('lightkube', 'httpx2', 'yaml') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED []"
