"""`donjon plan` beside Kubernetes' own scheduler, and its page on a real API server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import pages
from tests.pages import Terminal
from tests.scheduler.judge import fill, judge, settled
from tests.scheduler.plane import Plane, plane

WORLDS = 60
FALSE_PROMISES = 1 / 500
"""Of pods that may be said to fit and stay Pending: the scheduler's order among equals is its own."""


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with plane(tmp_path_factory.mktemp("plane")) as here:
        yield here


def test_whom_we_say_to_fit_the_scheduler_gives_a_node(control_plane: Plane) -> None:
    """Random clusters; benchmarks/plan.py has many more of them, and prints each difference."""
    verdicts = judge(control_plane, range(WORLDS))
    assert verdicts.pods > 10 * WORLDS
    assert len(verdicts.over) <= verdicts.pods * FALSE_PROMISES, verdicts.over
    assert len(verdicts.under) <= verdicts.pods * FALSE_PROMISES, verdicts.under
    assert verdicts.open <= verdicts.pods * 0.05


def test_the_page_on_planning_runs_as_it_stands(control_plane: Plane, tmp_path: Path) -> None:
    amounts = {"cpu": "4", "memory": "16Gi", "pods": "110", "sgx.intel.com/epc": "128Mi", "sgx.intel.com/enclave": "110"}
    labels = {"kubernetes.io/hostname": "old", "node.kubernetes.io/instance-type": "Standard_DC4s_v2"}
    resources = {"limits": {"sgx.intel.com/epc": "100Mi", "sgx.intel.com/enclave": "1"}}
    node = {"metadata": {"name": "old", "labels": labels}, "status": {"capacity": amounts, "allocatable": amounts}}
    spec = {"containers": [{"name": "c", "image": "i", "resources": resources}]}
    pods = [{"metadata": {"name": name, "namespace": "default"}, "spec": spec} for name in ("there", "waits")]
    fill(control_plane, [node], pods[:1])
    settled(control_plane)
    fill(control_plane, [], pods[1:])
    settled(control_plane)
    (tmp_path / "vault.yaml").write_text(json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "v"}, "spec": spec}))
    reader = Terminal(folder=tmp_path, environment={"KUBECONFIG": str(control_plane.kubeconfig)}, instead={})
    now, vault, without, *_, offline = (reader.run(each, ok=(0, 1)) for each in pages.shown("planning.md", __file__))
    assert "default/pod/waits: 1 stay Pending\n  1 node: too little EPC free: at most 28Mi of 100Mi" in now
    assert "2 pods: 2 stay Pending" in vault
    assert "without 1 node: old" in without
    assert "there is no node" in without
    assert "no meter of EPC runs" in now
    assert offline.splitlines()[0] == vault.splitlines()[0]
