"""`donjon node forget` from a desk: by a kubeconfig, nodes are as if Donjon had never been there."""

from pathlib import Path

from tests.adapters.fakecluster import cluster
from tests.cli.calling import call

from donjon.formats.json import JsonObject
from donjon.kube.names import CONDITION_READY, EPC, LABEL_CAPABLE

NODES = "/api/v1/nodes"


def node(name: str, *, sgx: bool = True) -> JsonObject:
    if not sgx:
        return {"metadata": {"name": name, "labels": {}}, "status": {"allocatable": {"cpu": "2"}}}
    status: JsonObject = {
        "allocatable": {EPC: "8Gi"},
        "capacity": {EPC: "8Gi"},
        "conditions": [{"type": CONDITION_READY, "status": "True"}],
    }
    return {"metadata": {"name": name, "labels": {LABEL_CAPABLE: "true"}}, "status": status}


def of_three() -> dict[str, list[JsonObject]]:
    return {NODES: [node("sgx-1"), node("plain", sgx=False), node("sgx-2")]}


def test_all_nodes_are_cleaned_by_a_kubeconfig_and_others_left_alone(tmp_path: Path) -> None:
    with cluster() as fake:
        fake.things = of_three()
        done = call("node", "forget", "--all", "--kubeconfig", fake.kubeconfig(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"{each}: EPC, labels and condition of Donjon are gone" for each in ("sgx-1", "sgx-2")]
    status: JsonObject = {
        "status": {
            "capacity": {EPC: None},
            "allocatable": {EPC: None},
            "conditions": [{"$patch": "delete", "type": CONDITION_READY}],
        }
    }
    assert fake.patches == [
        change
        for name in ("sgx-1", "sgx-2")
        for change in (
            (f"{NODES}/{name}/status", "application/strategic-merge-patch+json", status),
            (f"{NODES}/{name}", "application/merge-patch+json", {"metadata": {"labels": {LABEL_CAPABLE: None}}}),
        )
    ]


def test_a_named_node_alone_is_cleaned_and_a_name_of_none_is_told(tmp_path: Path) -> None:
    with cluster() as fake:
        fake.things = of_three()
        assert call("node", "forget", "sgx-2", KUBECONFIG=str(fake.kubeconfig(tmp_path))).returncode == 0
        assert {path for path, _, _ in fake.patches} == {f"{NODES}/sgx-2", f"{NODES}/sgx-2/status"}
        wrong = call("node", "forget", "sgx-9", KUBECONFIG=str(fake.kubeconfig(tmp_path)))
    assert (wrong.returncode, "[DJ044]" in wrong.stderr) == (2, True)


def test_a_node_that_may_not_be_changed_is_told_and_the_others_are_cleaned(tmp_path: Path) -> None:
    with cluster() as fake:
        fake.things, fake.forbidden = of_three(), {f"{NODES}/sgx-1/status"}
        done = call("node", "forget", "--all", "--kubeconfig", fake.kubeconfig(tmp_path))
        assert (done.returncode, "[DJ041]" in done.stderr) == (3, True)
        assert f"{NODES}/sgx-2" in {path for path, _, _ in fake.patches}


def test_what_is_no_kubeconfig_is_told(tmp_path: Path) -> None:
    (tmp_path / "no").write_text("[")
    done = call("node", "forget", "--all", "--kubeconfig", tmp_path / "no")
    assert (done.returncode, "[DJ040]" in done.stderr) == (2, True)
