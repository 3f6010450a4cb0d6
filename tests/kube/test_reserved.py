"""What is set aside for pods, as the scheduler counts it."""

from fractions import Fraction

import pytest
from tests.diagnosis.worlds import EPC, container, holding, pod

from donjon.formats.json import Json, JsonObject
from donjon.kube.reserved import pod_requests, requests_by_node


def of(init: list[Json], *containers: JsonObject, **spec: Json) -> dict[str, Fraction]:
    return pod_requests({"spec": {"initContainers": init, "containers": list(containers), **spec}})


def test_containers_are_added_up_and_init_containers_are_not() -> None:
    init: list[Json] = [container("3Gi", name="first"), container("1Gi", name="second")]
    assert of(init, container("1Gi"), container("1Gi", name="b"))[EPC] == 3 << 30


def test_a_sidecar_counts_beside_the_containers_and_beside_later_init_containers() -> None:
    sidecar: JsonObject = container("1Gi", name="sidecar") | {"restartPolicy": "Always"}
    assert of([sidecar, container("3Gi", name="init")], container("1Gi"))[EPC] == 4 << 30
    assert of([sidecar], container("1Gi"))[EPC] == 2 << 30


def test_overhead_is_added_and_requests_of_the_pod_go_first() -> None:
    assert of([], container(cpu="500m"), overhead={"cpu": "250m"})["cpu"] == Fraction(3, 4)
    assert of([], container(cpu="500m"), resources={"requests": {"cpu": "2"}})["cpu"] == 2


def test_only_pods_that_were_given_a_node_and_have_not_ended_hold_something() -> None:
    ended = pod("1Gi", name="ended", phase="Succeeded", on="a")
    assert requests_by_node([holding("1Gi", "a"), holding("2Gi", "a", "second"), ended, pod("4Gi", name="waits")]) == {
        "a": {EPC: 3 << 30, "sgx.intel.com/enclave": 2, "pods": 2}
    }


@pytest.mark.parametrize("nonsense", ["", "ten", "-1", True, None, [], {}, 10**5000], ids=lambda value: type(value).__name__)
def test_what_is_no_quantity_sets_nothing_aside(nonsense: Json) -> None:
    assert pod_requests({"spec": {"containers": [{"resources": {"requests": {EPC: nonsense}}}]}}) == {}


@pytest.mark.parametrize(
    "pod_", [{}, {"spec": None}, {"spec": {"containers": "x"}}, {"spec": {"containers": [1, {"resources": []}]}}]
)
def test_what_is_no_pod_sets_nothing_aside(pod_: JsonObject) -> None:
    assert pod_requests(pod_) == {}
