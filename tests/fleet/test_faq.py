"""The FAQ that Donjon was made from, where it speaks of machines and pools: the test that holds a statement quotes it."""

import json
import shlex

import pytest
from tests.admission.checks import checked
from tests.cli.test_pool import METAL
from tests.cli.test_pool import called as planned
from tests.cli.test_sku import called as asked
from tests.fleet.test_pools import CLUSTER, POOL, codes, plan

from donjon.cli.sku.command import catalogue
from donjon.formats.json import JsonObject

V2, V3 = "Standard_DC8_v2", "Standard_DC4s_v3"
SIZES = [name for name in catalogue().machines if name.startswith("Standard_DC") and name.endswith(("_v2", "_v3"))]
BOTH: JsonObject = {"cloud": "azure", "name": "vaults", "resource_group": "vaults", "region": "westeurope", "quota": 100}


def test_f2_accelerated_networking_dcsv3_nodes_have_it_dcsv2_nodes_do_not() -> None:
    """F2: "Accelerated networking: DCSv3 nodes have it, DCSv2 nodes do not." """
    wish: JsonObject = {"accelerated_networking": True}
    assert "DJ835" not in codes(plan({}, wish | {"size": V3}))
    assert "DJ835" in codes(plan({}, wish | {"size": V2}))
    machines = catalogue().machines
    assert {name: machines[name].has("accelerated_networking") for name in SIZES} == {
        name: name.endswith("_v3") for name in SIZES
    }


@pytest.mark.parametrize("driver", ["install.sh", "dcap 1.41"])
def test_f4_no_scripts_or_drivers_on_managed_nodes_and_any_on_ones_own(driver: str) -> None:
    """F4: "No post-install scripts or custom drivers on AKS-provisioned nodes; a self-managed cluster (AKS-Engine), with full
    control of the control plane, allows them."
    """
    assert "DJ834" in codes(plan({}, {"driver": driver}))
    assert "DJ834" not in codes({"cluster": {"cloud": "metal", "name": "own"}, "pools": [POOL | {"driver": driver}]})


def test_f6_no_windows_nodes_or_containers() -> None:
    """F6: "No Windows nodes or containers, for now." """
    assert "DJ824" in codes(plan({}, {"os_type": "Windows"}))
    assert "DJ824" in codes({"cluster": {"cloud": "metal", "name": "own"}, "pools": [POOL | {"os_type": "Windows"}]})
    spec = "os: {name: windows}, containers: [{name: a, image: i, resources: {limits: {sgx.intel.com/epc: 1Mi}}}]"
    assert "DJ111" in checked(f"{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {{{spec}}}}}").output


def test_f8_which_sku_dcsv2_or_dcsv3_by_region() -> None:
    """F8: "Which SKU: DCSv2 or DCSv3, by region." """
    assert "DJ822" in codes(plan({}, {"size": "Standard_DC4es_v6"}))
    assert "DJ822" not in codes(plan({}, {"size": V3}))
    assert "DJ823" not in codes(plan({"region": "westeurope"}, {"size": V3}))
    assert "DJ823" in codes(plan({"region": "eastus2"}, {"size": V3}))
    machines = catalogue().machines
    assert all(machines[name].regions for name in SIZES)
    assert len({machines[name].regions for name in SIZES}) > 1, "no one list of regions is every size's"
    told = json.loads(asked("recommend", "--epc", "1Gi", "--provider", "azure", "--region", "westeurope", "-o", "json").stdout)
    assert told["name"].startswith("Standard_DC")
    assert told["region"] == "westeurope"


def test_f9_from_the_portal_or_from_the_command_line() -> None:
    """F9: "Node pools are provisioned from the portal or from the command line."

    The portal takes a template (Deploy a custom template). Both say the same of each pool, and neither asks for more.
    """
    text = json.dumps({"cluster": CLUSTER, "pools": [POOL]})
    template = json.loads(planned(text, "arm").stdout)
    assert template["$schema"].endswith("/deploymentTemplate.json#")
    assert "parameters" not in template
    (made,) = template["resources"]
    words = shlex.split(planned(text, "az").stdout)
    assert words[:4] == ["az", "aks", "nodepool", "add"]
    by_option = dict(zip(words[4::2], words[5::2], strict=True))
    assert f"{by_option['--cluster-name']}/{by_option['--name']}" == made["name"]
    names = {"--node-vm-size": "vmSize", "--node-count": "count", "--mode": "mode", "--os-type": "osType", "--os-sku": "osSKU"}
    assert {option: by_option[option] for option in names} == {
        option: str(made["properties"][name]) for option, name in names.items()
    }


def test_f10_generation_2_and_an_ubuntu_that_is_not_past_its_end() -> None:
    """F10: "Ubuntu 18.04, generation 2 virtual machines." Its generation holds; that Ubuntu is past its end, and is refused."""
    machines = catalogue().machines
    assert {machines[name].has("generation2") for name in SIZES} == {True}
    assert "DJ825" in codes(plan({}, {"os_sku": "Ubuntu1804"}))
    assert "DJ825" not in codes(plan({}, {"os_sku": "Ubuntu2204"}))


def test_f19_the_driver_of_an_aks_node_stays_and_a_self_managed_pool_has_its_own() -> None:
    """F19: "The DCAP driver of an AKS node cannot be changed; a self-managed pool can install its own." """
    assert "DJ834" in planned(json.dumps({"cluster": BOTH, "pools": [POOL | {"driver": "dcap 1.41"}]})).stdout
    own = METAL.replace("count: 3", "count: 3, driver: dcap 1.41")
    assert planned(own, "kubeadm").exit_code == 0
