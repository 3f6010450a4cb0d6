"""What separates a pool that is there from its plan."""

import pytest

from donjon.fleet.pools.drift import PoolStep, compare
from donjon.formats.json import JsonObject

WISH: JsonObject = {
    "type": "VirtualMachineScaleSets",
    "mode": "User",
    "vmSize": "Standard_DC4s_v3",
    "count": 2,
    "osType": "Linux",
    "osSKU": "Ubuntu",
    "maxPods": 110,
    "nodeTaints": ["a=b:NoSchedule", "c=d:NoSchedule"],
    "tags": {"one": "1"},
    "orchestratorVersion": "1.36",
}
THERE: JsonObject = WISH | {
    "provisioningState": "Succeeded",
    "nodeTaints": ["c=d:NoSchedule", "a=b:NoSchedule"],
    "tags": {"one": "1", "another": "2"},
    "orchestratorVersion": "1.36.3",
    "scaleSetPriority": "Regular",
    "osDiskType": "Managed",
    "powerState": {"code": "Running"},
}


def test_what_azure_adds_itself_is_no_drift() -> None:
    assert compare("sgx1", WISH, THERE).step is PoolStep.NOTHING


def test_a_pool_that_is_not_there_is_made() -> None:
    assert compare("sgx1", WISH, None).step is PoolStep.MAKE


@pytest.mark.parametrize(
    ("there", "name"),
    [
        ({"count": 3}, "count"),
        ({"mode": "System"}, "mode"),
        ({"nodeTaints": []}, "nodeTaints"),
        ({"tags": {}}, "tags"),
        ({"orchestratorVersion": "1.35.9"}, "orchestratorVersion"),
        ({"enableAutoScaling": True}, "enableAutoScaling"),
    ],
)
def test_what_may_be_changed_is_to_be(there: JsonObject, name: str) -> None:
    drift = compare("sgx1", WISH, THERE | there)
    assert (drift.step, [each.name for each in drift.drifts]) == (PoolStep.CHANGE, [name])


@pytest.mark.parametrize(
    "there", [{"vmSize": "Standard_DC8s_v3"}, {"maxPods": 30}, {"availabilityZones": ["1"]}, {"scaleSetPriority": "Spot"}]
)
def test_what_azure_never_changes_is_refused_with_a_way(there: JsonObject) -> None:
    wish = WISH if "availabilityZones" not in there else WISH | {"availabilityZones": ["2"]}
    drift = compare("sgx1", wish, THERE | there)
    assert (drift.step, [each.code for each in drift.findings]) == (PoolStep.REFUSE, ["DJ841"])
    assert "another pool" in drift.findings[0].do


def test_the_autoscalers_number_is_its_own() -> None:
    scales: JsonObject = {"enableAutoScaling": True, "minCount": 0, "maxCount": 5}
    assert compare("sgx1", WISH | scales, THERE | scales | {"count": 4}).step is PoolStep.NOTHING


@pytest.mark.parametrize("state", ["Creating", "Updating", "Scaling", "Upgrading"])
def test_who_changes_it_already_is_waited_for(state: str) -> None:
    assert compare("sgx1", WISH, THERE | {"provisioningState": state, "vmSize": "Standard_DC8s_v3"}).step is PoolStep.WAIT


def test_one_that_is_being_deleted_is_refused() -> None:
    drift = compare("sgx1", WISH, THERE | {"provisioningState": "Deleting"})
    assert (drift.step, drift.findings[0].code) == (PoolStep.REFUSE, "DJ842")


def test_one_that_failed_is_put_again() -> None:
    assert compare("sgx1", WISH, THERE | {"provisioningState": "Failed"}).step is PoolStep.CHANGE
