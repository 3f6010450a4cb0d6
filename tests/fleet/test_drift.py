"""What separates a pool that is there from its plan."""

import pytest

from donjon.fleet.pools.drift import PoolStep, compare
from donjon.fleet.pools.overlay import overlay
from donjon.formats.json import Json, JsonObject

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
    "vnetSubnetID": "/subscriptions/0/resourceGroups/net/subnets/sgx",
    "osDiskSizeGB": 128,
}
THERE: JsonObject = WISH | {
    "provisioningState": "Succeeded",
    "nodeTaints": ["c=d:NoSchedule", "a=b:NoSchedule"],
    "tags": {"one": "1", "another": "2"},
    "orchestratorVersion": "1.36.3",
    "vnetSubnetID": "/subscriptions/0/resourcegroups/NET/subnets/sgx",
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
    "there",
    [
        {"vmSize": "Standard_DC8s_v3"},
        {"maxPods": 30},
        {"osDiskSizeGB": 64},
        {"vnetSubnetID": "/a/other"},
        {"availabilityZones": ["1"]},
        {"scaleSetPriority": "Spot"},
    ],
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


def test_what_is_put_keeps_what_the_plan_says_nothing_of() -> None:
    """A put takes away what it leaves out: a subnet, the tags of others, what the next release of Azure brings."""
    there = THERE | {"vnetSubnetID": "/subnets/one", "nodeLabels": {"by": "hand"}, "eTag": "v7", "count": 3}
    put = overlay({name: value for name, value in WISH.items() if name != "vnetSubnetID"}, there)
    assert put["vnetSubnetID"] == "/subnets/one"
    assert put["nodeLabels"] == {"by": "hand"}
    assert put["tags"] == {"one": "1", "another": "2"}
    assert put["count"] == 2
    assert put["orchestratorVersion"] == "1.36.3", "no upgrade that nobody asked for"
    assert not {"eTag", "provisioningState"} & put.keys()


@pytest.mark.parametrize(("now", "put"), [(4, 4), (9, 5), (0, 1), (None, 2), ("many", 2)])
def test_a_change_leaves_the_autoscaler_its_number_of_nodes(now: Json, put: int) -> None:
    """The plan's number is one to begin with: to put it again would take nodes away with all that runs there."""
    wish = WISH | {"enableAutoScaling": True, "minCount": 1, "maxCount": 5}
    there = THERE | {"enableAutoScaling": True, "minCount": 1, "maxCount": 9, "count": now, "mode": "System"}
    assert overlay(wish, there)["count"] == put


def test_autoscaling_that_the_plan_has_not_is_turned_off_with_its_bounds() -> None:
    put = overlay(WISH, THERE | {"enableAutoScaling": True, "minCount": 1, "maxCount": 9})
    assert put["enableAutoScaling"] is False
    assert not {"minCount", "maxCount"} & put.keys()


@pytest.mark.parametrize("state", ["Starting", "Stopping", "UpgradingNodeImageVersion", "x"])
def test_a_state_that_no_page_lists_is_waited_for(state: str) -> None:
    assert compare("sgx1", WISH, THERE | {"provisioningState": state, "count": 9}).step is PoolStep.WAIT


def test_what_aks_adds_to_a_pool_of_spot_machines_is_no_drift_and_stays() -> None:
    """AKS labels and taints such nodes itself, and shows both among those of the plan."""
    wish = WISH | {"nodeLabels": {"team": "vault"}, "scaleSetPriority": "Spot"}
    label, taint = {"kubernetes.azure.com/scalesetpriority": "spot"}, "kubernetes.azure.com/scalesetpriority=spot:NoSchedule"
    there = THERE | wish | {"nodeLabels": {"team": "vault", **label}, "nodeTaints": [taint, "c=d:NoSchedule", "a=b:NoSchedule"]}
    assert compare("sgx1", wish, there).step is PoolStep.NOTHING
    other = there | {"nodeLabels": {"team": "others", **label}, "nodeTaints": [taint]}
    assert [each.name for each in compare("sgx1", wish, other).drifts] == ["nodeLabels", "nodeTaints"]
    put = overlay(wish, other)
    assert put["nodeLabels"] == {"team": "vault", **label}
    assert put["nodeTaints"] == [taint, "a=b:NoSchedule", "c=d:NoSchedule"]
