"""A plan as each tool takes it, held against what the tools' makers publish: SDK, CRDs, a provider's arguments, a parser."""

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import hcl2
import pytest
from azure.mgmt.containerservice.models import AgentPool
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from tests.fleet.tables import FACTS, PRICES, SOURCES

from donjon.fleet.machines.catalogue import parse
from donjon.fleet.pools.forms import ack, arm, az, bicep, kubernetes, terraform
from donjon.fleet.pools.plan import Cloud, ClusterPlan, FleetPlan, NodeTaint, Pool, PoolMode, PoolScale, Scaler
from donjon.formats.json import at

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "pools"
SKUS = parse(FACTS, PRICES, SOURCES).machines
GIB = 1 << 30

SUBNET = "/subscriptions/0/resourceGroups/group/providers/Microsoft.Network/virtualNetworks/net/subnets/sgx"

POOLS = (
    Pool(name="plain", size="Standard_DC4s_v3", count=2),
    Pool(
        name="full",
        size="Standard_DC4s_v3",
        count=1,
        scale=PoolScale(least=0, most=5),
        zones=("1", "2"),
        spot=True,
        taint=NodeTaint.SGX_ONLY,
        labels={"team": "vault", "example.com/tier": "1"},
        ephemeral_os_disk=True,
        max_pods=60,
        subnet=SUBNET,
        os_disk=128,
        tags={"cost centre": "7"},
        os_sku="AzureLinux",
    ),
    Pool(name="system", size="Standard_D4ds_v5", count=1, mode=PoolMode.SYSTEM),
)
PLAN = FleetPlan(
    cluster=ClusterPlan(cloud=Cloud.AZURE, name="vaults", resource_group="group", region="westeurope", version="1.36"),
    pools=POOLS,
)
BARE = FleetPlan(cluster=ClusterPlan(cloud=Cloud.AZURE, name="vaults", resource_group="group", region="westeurope"), pools=POOLS)


@pytest.mark.parametrize("pool", POOLS, ids=lambda pool: pool.name)
def test_microsofts_own_model_keeps_every_property(pool: Pool) -> None:
    """The SDK drops what it does not know, and takes each value for what it is."""
    ours = arm.properties(pool, SKUS.get(pool.size), "1.36")
    model = AgentPool({"properties": ours})
    assert model.vm_size == pool.size
    assert model.count == pool.count
    assert model.scale_set_priority == ("Spot" if pool.spot else None)
    assert (model.min_count, model.max_count) == ((0, 5) if pool.scale else (None, None))
    fields: dict[str, Any] = vars(type(model.properties))["_attr_to_rest_field"]
    known = {field._rest_name for field in fields.values()}
    assert ours.keys() <= known


def test_a_template_makes_each_pool_in_the_cluster() -> None:
    resources = arm.template(PLAN, SKUS)["resources"]
    assert isinstance(resources, list)
    names = [each["name"] for each in resources if isinstance(each, dict)]
    assert names == ["vaults/plain", "vaults/full", "vaults/system"]


def test_a_pool_that_may_be_empty_says_what_its_first_node_will_have() -> None:
    tags = arm.properties(POOLS[1], SKUS["Standard_DC4s_v3"])["tags"]
    prefix = "k8s.io_cluster-autoscaler_node-template"
    assert tags == {
        "cost centre": "7",
        f"{prefix}_resources_sgx.intel.com_epc": str(16 * GIB),
        f"{prefix}_resources_sgx.intel.com_enclave": "110",
        f"{prefix}_resources_sgx.intel.com_provision": "110",
        f"{prefix}_label_sgx.intel.com_capable": "true",
        f"{prefix}_label_team": "vault",
        f"{prefix}_label_example.com_tier": "1",
        f"{prefix}_taint_sgx.intel.com_epc": "true:NoSchedule",
    }
    assert "tags" not in arm.properties(POOLS[0], SKUS["Standard_DC4s_v3"])


def test_commands_say_the_same_as_the_template() -> None:
    plain, full, system = (shlex.split(line) for line in az.commands(PLAN, SKUS))
    assert plain[:4] == ["az", "aks", "nodepool", "add"]
    assert plain[plain.index("--node-vm-size") + 1] == "Standard_DC4s_v3"
    assert full[full.index("--min-count") + 1] == "0"
    assert full[full.index("--node-taints") + 1] == "sgx.intel.com/epc=true:NoSchedule"
    assert full[full.index("--zones") + 1 : full.index("--zones") + 3] == ["1", "2"]
    assert system[system.index("--mode") + 1] == "System"
    assert "--priority" not in plain
    assert full[full.index("--vnet-subnet-id") + 1] == SUBNET
    assert full[full.index("--node-osdisk-size") + 1] == "128"
    assert full[full.index("--tags") + 1] == "cost centre=7"
    assert not {"--vnet-subnet-id", "--node-osdisk-size", "--tags"} & set(plain)


@pytest.mark.parametrize("name", ["x'; rm -rf /", "$(reboot)", "a b", "`id`"])
def test_no_name_becomes_a_command(name: str) -> None:
    hostile = FleetPlan(cluster=ClusterPlan(cloud=Cloud.AZURE, name=name, resource_group=name), pools=(POOLS[0],))
    words = shlex.split(az.commands(hostile, SKUS)[0])
    assert words.count(name) == 2


def arguments(text: str, kind: str) -> dict[str, dict[str, Any]]:
    blocks: dict[str, dict[str, Any]] = {}
    for block in hcl2.loads(text)["resource"]:
        for key, inner in block.items():
            assert key.strip('"') == kind
            for name, each in inner.items():
                blocks[name.strip('"')] = {argument: value for argument, value in each.items() if not argument.startswith("__")}
    return blocks


@pytest.mark.parametrize("plan", [PLAN, BARE])
def test_terraform_has_arguments_that_the_provider_knows(plan: FleetPlan) -> None:
    published = json.loads((VECTORS / "azurerm_kubernetes_cluster_node_pool.json").read_text())
    pools = arguments(terraform.azurerm(plan, SKUS), "azurerm_kubernetes_cluster_node_pool")
    assert pools.keys() == {"plain", "full", "system"}
    kinds = {"string": str, "int": int, "bool": bool, "map": dict, "list": list}
    for pool in pools.values():
        pool.pop("lifecycle", None)  # Terraform's own, of every resource.
        assert pool.keys() <= published["arguments"].keys()
        assert set(published["required"]) <= pool.keys()
        for name, value in pool.items():
            assert isinstance(value, kinds[published["arguments"][name]]), name
            if name in published["values"]:
                assert str(value).strip('"') in published["values"][name]
    assert pools["full"]["max_count"] == 5
    assert bare(pools["full"]["vnet_subnet_id"]) == SUBNET
    assert pools["full"]["os_disk_size_gb"] == 128
    assert bare(pools["full"]["tags"])["cost centre"] == "7"


@pytest.mark.parametrize(
    ("text", "count"),
    [(terraform.azurerm(PLAN, SKUS), "node_count"), (terraform.azapi(PLAN, SKUS), "${body.properties.count}")],
)
def test_terraform_does_not_set_back_a_number_of_nodes_that_another_moves(text: str, count: str) -> None:
    resources = [named for block in hcl2.loads(text)["resource"] for named in block.values()]
    pools = {name.strip('"'): pool for named in resources for name, pool in named.items()}
    assert [each["ignore_changes"] for each in pools["full"]["lifecycle"]] == [[count]]
    assert "lifecycle" not in pools["plain"]


def test_cluster_api_is_told_subnet_disk_tags_and_image() -> None:
    (spec,) = (
        at(each, "spec")
        for each in kubernetes.capz(PLAN, SKUS)
        if at(each, "metadata", "name") == "full" and each["kind"] == "AzureManagedMachinePool"
    )
    assert (at(spec, "subnetName"), at(spec, "osDiskSizeGB"), at(spec, "additionalTags", "cost centre")) == ("sgx", 128, "7")
    assert at(spec, "asoManagedClustersAgentPoolPatches") == ['{"spec": {"osSKU": "AzureLinux"}}']


def test_azapi_has_the_templates_own_body() -> None:
    pools = arguments(terraform.azapi(PLAN, SKUS), "azapi_resource")
    assert pools["full"]["type"].strip('"') == f"{arm.KIND}@{arm.VERSION}"
    assert bare(pools["full"]["body"])["properties"] == arm.properties(POOLS[1], SKUS["Standard_DC4s_v3"], "1.36")


def bare(value: Any) -> Any:
    """What the parser gives, without the quotation marks that it leaves."""
    if isinstance(value, dict):
        return {bare(key): bare(each) for key, each in value.items() if not str(key).startswith("__")}
    if isinstance(value, list):
        return [bare(each) for each in value]
    return value.strip('"') if isinstance(value, str) else value


@given(st.text(max_size=30))
def test_any_text_is_one_string_of_hcl(text: str) -> None:
    literal = terraform.literal(text)
    assert "${" not in literal.replace("$${", "")
    assert "%{" not in literal.replace("%%{", "")
    assert literal.count("\n") == 0
    inner = literal[1:-1].replace("\\\\", "")
    assert '"' not in inner.replace('\\"', "")


@given(st.text(max_size=30))
def test_any_text_is_one_string_of_bicep(text: str) -> None:
    literal = bicep.literal(text)
    inner = literal[1:-1].replace("\\\\", "")
    assert "'" not in inner.replace("\\'", "")
    assert "${" not in inner.replace("\\${", "")
    assert "\n" not in inner


def test_bicep_has_a_resource_for_each_pool_in_a_cluster_that_is_there() -> None:
    text = bicep.text(PLAN, SKUS)
    assert text.count(" existing = {") == 1
    assert text.count("parent: cluster") == 3
    assert "availabilityZones: [\n      '1'\n      '2'\n    ]" in text
    assert text.count("{") == text.count("}")


def published(kind: str) -> dict[str, Any]:
    """A CRD's schema, by which what it does not name is refused: an API server drops it silently."""
    crd = json.loads((VECTORS / f"{kind}.json").read_text())
    schema = closed(crd["schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    return {"apiVersion": f"{crd['group']}/{crd['version']}", "schema": schema}


def closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(each) for name, each in schema.items()}
    if "properties" in inner and "additionalProperties" not in inner and not inner.get("x-kubernetes-preserve-unknown-fields"):
        inner["additionalProperties"] = False
    return inner


@pytest.mark.parametrize("plan", [PLAN, BARE])
def test_cluster_apis_own_schemas_take_what_is_written_for_it(plan: FleetPlan) -> None:
    for each in (*kubernetes.capz(plan, SKUS), *kubernetes.capm3(plan)):
        schema = published(str(each["kind"]))
        assert each["apiVersion"] == schema["apiVersion"]
        Draft202012Validator(schema["schema"]).validate(each)


def test_cluster_api_is_told_a_version_of_three_numbers() -> None:
    """Its webhook refuses others, and its schema does not tell."""
    for version, written in (("1.36", "v1.36.0"), ("1.36.3", "v1.36.3")):
        plan = replace(PLAN, cluster=replace(PLAN.cluster, version=version))
        objects = (*kubernetes.capz(plan, SKUS), *kubernetes.capm3(plan))
        assert {at(each, "spec", "template", "spec", "version") for each in objects} == {written, None}


def test_a_schema_refuses_what_it_does_not_know() -> None:
    machines, _ = kubernetes.capz(PLAN, SKUS)[:2]
    spec = machines["spec"]
    assert isinstance(spec, dict)
    wrong = {**machines, "spec": {**spec, "replica": 1}}
    assert list(Draft202012Validator(published("MachinePool")["schema"]).iter_errors(wrong))


def test_the_charts_values_name_what_wires_pods_for_who_renders_the_chart_without_a_cluster() -> None:
    old = FleetPlan(cluster=ClusterPlan(cloud=Cloud.METAL, name="m", version="1.35"), pools=POOLS)
    assert kubernetes.chart_values(old)["admission"] == {"mode": "webhook"}
    assert kubernetes.chart_values(PLAN)["admission"] == {"mode": "policies"}
    assert "admission" not in kubernetes.chart_values(BARE)


@pytest.mark.parametrize("pool", POOLS, ids=lambda pool: pool.name)
def test_alibabas_own_model_knows_every_member_of_a_request(pool: Pool) -> None:
    schema = json.loads((VECTORS / "CreateClusterNodePoolRequest.json").read_text())
    request = ack.body(pool, SKUS["ecs.g7t.large"])
    Draft202012Validator(schema).validate(request)
    assert at(request, "tee_config", "tee_enable") is True
    assert list(Draft202012Validator(schema).iter_errors({**request, "tee": True}))


def test_a_pool_that_donjon_scales_is_given_to_no_autoscaler() -> None:
    """No tool is told its bounds, so that nobody but the watch says how many nodes it has."""
    pool = Pool(name="ours", size="Standard_DC4s_v3", count=3, scale=PoolScale(least=0, most=4711, by=Scaler.DONJON))
    plan = replace(PLAN, pools=(pool,))
    texts = (
        "\n".join(az.commands(plan, SKUS)),
        json.dumps(arm.template(plan, SKUS)),
        bicep.text(plan, SKUS),
        terraform.azurerm(plan, SKUS),
        terraform.azapi(plan, SKUS),
        json.dumps([*kubernetes.capz(plan, SKUS), *kubernetes.capm3(plan)]),
    )
    for text in texts:
        assert "4711" not in text
        assert "ours" in text
    assert "4711" in json.dumps(arm.template(replace(plan, pools=(replace(pool, scale=PoolScale(least=0, most=4711)),)), SKUS))
