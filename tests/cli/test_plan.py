"""`donjon plan` as its user calls it, on what kubectl printed."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.admission.checks import FAQ_JOB
from tests.fleet.scheduling import MIB, node, pod

from donjon.cli.plan.command import plan
from donjon.errors import Malformed

OLD: Any = {"node.kubernetes.io/instance-type": "Standard_DC4s_v2", "topology.kubernetes.io/region": "westeurope"}


@pytest.fixture
def cluster(tmp_path: Path) -> tuple[str, ...]:
    """Two nodes, of which one is of a size that ended, with a pod on it; one pod waits."""
    nodes = [node("old", 112, **OLD), node("new", 112)]
    pods = [pod("there", 64, at="old"), pod("waits", 32)]
    for name, things in (("nodes", nodes), ("pods", pods)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"kind": "List", "items": things}))
    return ("--nodes", str(tmp_path / "nodes.json"), "--pods", str(tmp_path / "pods.json"))


def called(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(plan, arguments, input=text)


def document(*arguments: str, text: str | None = None) -> Any:
    return json.loads(called(*arguments, "--output", "json", text=text).stdout)


def test_a_pod_that_waits_and_has_room_is_said_to_fit(cluster: tuple[str, ...]) -> None:
    result = called(*cluster)
    assert result.exit_code == 0
    assert "1 pod: 1 fit" in result.stdout


def test_a_series_is_retired_with_all_its_sizes_and_its_pods_move(cluster: tuple[str, ...]) -> None:
    whole = document(*cluster, "--retire", "DCsv2")
    assert (whole["retired"], whole["moved"]) == (["old"], 1)
    assert {each["name"]: each["fits"] for each in whole["workloads"]} == {"default/pod/there": 1, "default/pod/waits": 1}
    assert whole["nodes"] == [{"name": "new", "epc": 112 * MIB, "before": 0, "after": 96 * MIB, "use": None}]


def test_who_has_no_room_is_told_why_and_what_to_buy(cluster: tuple[str, ...], tmp_path: Path) -> None:
    large = tmp_path / "large.yaml"
    large.write_text(FAQ_JOB.replace("10", "500"))
    result = called(*cluster, str(large))
    assert result.exit_code == 1
    assert "stay Pending" in result.stdout
    assert "2 nodes: too little EPC free: at most" in result.stdout
    assert "to buy: 1 × " in result.stdout


def test_people_are_told_where_pods_would_go_and_what_a_retirement_moves(cluster: tuple[str, ...]) -> None:
    shown = called(*cluster, "--retire", "old").stdout
    assert "without 1 node: old; to move: 1 pod\n" in shown
    assert "default/pod/there: 1 fit\n  for example 1 on new\n" in shown


def test_programs_are_told_of_a_purchase_what_people_are(cluster: tuple[str, ...], tmp_path: Path) -> None:
    large = tmp_path / "large.yaml"
    large.write_text(FAQ_JOB.replace("10", "500"))
    whole = document(*cluster, str(large))
    assert {"name", "count", "monthly_cost", "region", "left"} == whole["buy"].keys()
    assert "DJ810" in {each["code"] for each in whole["warnings"]}
    assert {each["sockets"] for each in whole["metal"]} == {2}


@pytest.mark.parametrize("words", ["--every 5s", "--once", "--apply", "--no-shrink", "--shrink-after 5m", "--patience 1m"])
def test_what_is_for_a_watch_alone_is_refused_without_one_and_not_ignored(cluster: tuple[str, ...], words: str) -> None:
    done = called(*cluster, *words.split())
    assert done.exit_code == 2
    assert "for --watch FILE alone" in done.output


def test_a_manifest_from_standard_input_is_planned_as_admission_would_let_it_in(cluster: tuple[str, ...]) -> None:
    whole = document(*cluster, "-", text=FAQ_JOB)
    assert [each["fits"] for each in whole["workloads"] if "job" in each["name"]] == [1]


def test_a_name_that_nobody_has_is_refused_and_not_ignored(cluster: tuple[str, ...]) -> None:
    result = called(*cluster, "--retire", "DCsv9")
    assert "DJ850" in str(result.exception)
    assert "did you mean DCsv2?" in str(result.exception)


def test_one_name_of_several_that_nobody_has_is_refused_too(cluster: tuple[str, ...]) -> None:
    result = called(*cluster, "--retire", "old", "--retire", "gone")
    assert "no node is called gone" in str(result.exception)
    assert "there are DCsv2, Standard_DC4s_v2" in str(result.exception)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "no JSON"),
        ('{"items": [', "no JSON"),
        ("[" * 200000, "no JSON"),
        ("{}", "no list of Kubernetes"),
        ('{"items": [7]}', "no list of Kubernetes"),
        (json.dumps({"items": [node("a"), 7]}), "no list of Kubernetes"),
        ("apiVersion: v1\nitems: []\n", "expected what kubectl get … -o json prints"),
        (json.dumps({"kind": "List", "items": [node("a"), {"kind": "Pod"} | pod("p")]}), "a Pod is in it, expected Nodes alone"),
        (json.dumps({"kind": "PodList", "items": [pod("p")]}), "a Pod is in it, expected Nodes alone"),
        (json.dumps({"items": [node("a"), node("a")]}), "2 times"),
        (json.dumps({"items": [{"metadata": {}}]}), "no name"),
    ],
)
def test_a_file_that_is_no_list_of_nodes_is_refused(tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "nodes.json"
    file.write_text(content)
    result = called("--nodes", str(file))
    assert "DJ930" in str(result.exception)
    assert words in str(result.exception)


def test_nodes_in_place_of_pods_are_refused_and_not_planned_as_pods(cluster: tuple[str, ...]) -> None:
    nodes = Path(cluster[1])
    nodes.write_text(json.dumps({"kind": "List", "items": [{"kind": "Node"} | node("a")]}))
    assert "a Node is in it, expected Pods alone" in str(called("--nodes", cluster[1], "--pods", cluster[1]).exception)


def test_a_cluster_without_pods_or_nodes_is_one_too(cluster: tuple[str, ...], tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.json"
    nothing.write_text(json.dumps({"apiVersion": "v1", "items": [], "kind": "List", "metadata": {"resourceVersion": ""}}))
    assert called("--nodes", cluster[1], "--pods", str(nothing)).exit_code == 0
    result = called("--nodes", str(nothing), "-", text=FAQ_JOB)
    assert "1 stay Pending" in result.stdout
    assert "there is no node" in result.stdout


def test_the_one_node_that_was_asked_for_by_name_is_read_like_a_list_of_it(tmp_path: Path) -> None:
    one = tmp_path / "one.json"
    one.write_text(json.dumps({"apiVersion": "v1", "kind": "Node"} | node("one", 64)))
    assert document("--nodes", str(one), "-", text=FAQ_JOB)["nodes"][0]["name"] == "one"


def test_a_daemonset_is_one_workload_whatever_its_nodes_are_called(tmp_path: Path) -> None:
    nodes = tmp_path / "nodes.json"
    nodes.write_text(json.dumps({"kind": "List", "items": [node("aks-sgx-0", 64), node("metal-b", 64)]}))
    text = FAQ_JOB.replace("batch/v1", "apps/v1").replace("kind: Job", "kind: DaemonSet").replace("Never", "Always")
    text = text.replace("  backoffLimit: 0\n", "").replace("spec:\n", "spec:\n  selector: {matchLabels: {app: sgx-test}}\n", 1)
    (name,) = (
        each["name"] for each in document("--nodes", str(nodes), "-", text=text)["workloads"] if "daemonset" in each["name"]
    )
    assert name == "default/daemonset/sgx-test"


def test_jobs_that_are_still_to_get_their_names_are_told_apart(cluster: tuple[str, ...]) -> None:
    text = FAQ_JOB.replace("  name: sgx-test\n", "  generateName: sgx-test-\n", 1)
    jobs = [each for each in document(*cluster, "-", text=f"{text}\n---\n{text}")["workloads"] if "job" in each["name"]]
    assert [each["fits"] for each in jobs] == [1, 1]


def test_each_template_of_anothers_kind_is_counted_as_often_as_it_says(cluster: tuple[str, ...]) -> None:
    template: Any = {"spec": {"containers": [{"name": "c", "image": "i", "resources": {"limits": {"sgx.intel.com/epc": "1Mi"}}}]}}
    roles = {"Master": {"replicas": 1, "template": template}, "Worker": {"replicas": 3, "template": template}}
    job: Any = {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "metadata": {"name": "j"}, "spec": {"roles": roles}}
    jobs = {each["name"]: each["fits"] for each in document(*cluster, "-", text=json.dumps(job))["workloads"]}
    assert jobs["default/pytorchjob/j/spec.roles.Master.template"] == 1
    assert jobs["default/pytorchjob/j/spec.roles.Worker.template"] == 3
    roles["Worker"]["replicas"] = -3
    assert "spec.roles.Worker.replicas is -3" in str(called(*cluster, "-", text=json.dumps(job)).exception)


def test_a_workload_that_is_in_two_files_is_refused_and_not_counted_once(cluster: tuple[str, ...], tmp_path: Path) -> None:
    for name in ("one.yaml", "two.yaml"):
        (tmp_path / name).write_text(FAQ_JOB)
    result = called(*cluster, str(tmp_path / "one.yaml"), str(tmp_path / "two.yaml"))
    assert "2 times" in str(result.exception)


def test_more_pods_than_are_placed_at_a_time_are_refused_and_not_left_out(cluster: tuple[str, ...]) -> None:
    template: Any = {"metadata": {"labels": {"app": "a"}}, "spec": pod("p", 1)["spec"]}
    spec = {"replicas": 100_001, "selector": {"matchLabels": {"app": "a"}}, "template": template}
    many = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec}
    text = json.dumps(many).replace('"requests"', '"limits"')  # As one writes it; a pod that is made has both.
    assert "more than 100000 pods" in str(called(*cluster, "-", text=text).exception)


def test_a_hostile_name_steers_no_terminal(tmp_path: Path) -> None:
    file = tmp_path / "nodes.json"
    file.write_text(json.dumps({"items": [node("a\x1b[2Jb\nfit", 64)]}))
    result = called("--nodes", str(file))
    assert "\x1b" not in result.stdout
    assert "␛[2J" in result.stdout


@pytest.mark.parametrize("amount", ["-1", ".nan", "1e400", "100m"])
def test_an_impossible_amount_is_refused_and_not_planned_as_nothing(cluster: tuple[str, ...], amount: str) -> None:
    limits = f"{{limits: {{sgx.intel.com/epc: {amount}}}}}"
    spec = f"{{containers: [{{name: a, image: i, resources: {limits}}}]}}"
    text = f"{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {spec}}}"
    done = called(*cluster, "-", text=text)
    assert isinstance(done.exception, Malformed)
    assert done.exception.code in {"DJ103", "DJ120"}


@pytest.mark.parametrize("number", ["-5", '"7"', "1e400", "1000001"])
def test_an_impossible_number_of_pods_is_refused(cluster: tuple[str, ...], number: str) -> None:
    done = called(*cluster, "-", text=FAQ_JOB.replace("spec:\n", f"spec:\n  parallelism: {number}\n", 1))
    assert "expected a whole number" in str(done.exception)


def test_an_owner_with_a_name_of_a_megabyte_does_not_fill_the_terminal(tmp_path: Path) -> None:
    """The API server holds an owner's name to no length."""
    waits: Any = pod("p", 1)
    waits["metadata"]["ownerReferences"] = [{"kind": "Job", "name": "x" * 1_000_000}]
    (tmp_path / "n.json").write_text(json.dumps({"kind": "NodeList", "items": [node("a", 64)]}), encoding="utf-8")
    (tmp_path / "p.json").write_text(json.dumps({"kind": "PodList", "items": [waits]}), encoding="utf-8")
    outcome = CliRunner().invoke(plan, ["--nodes", str(tmp_path / "n.json"), "--pods", str(tmp_path / "p.json")])
    assert outcome.exit_code == 0, outcome.output
    assert len(outcome.output) < 5_000
