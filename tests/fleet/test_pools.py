"""A plan of pools: what speaks against it, all at once and each with its line in the file."""

from datetime import date

import pytest
from tests.fleet.tables import FACTS, PRICES, SOURCES

from donjon.findings import Severity
from donjon.fleet.machines.catalogue import parse
from donjon.fleet.pools.reading import read_plan
from donjon.fleet.pools.rules import judge
from donjon.formats.json import JsonObject

CATALOGUE = parse(FACTS, PRICES, SOURCES)
TODAY = date(2026, 11, 30)
CLUSTER: JsonObject = {"cloud": "azure", "name": "vaults", "resource_group": "vaults", "region": "westeurope", "quota": 100}
SYSTEM: JsonObject = {"name": "system", "size": "Standard_D4ds_v5", "count": 1, "mode": "System"}
POOL: JsonObject = {"name": "sgx1", "size": "Standard_DC4s_v3", "count": 2}
OF_THE_SIZE = {"DJ810", "DJ811"}
"""That DCsv3 is closed to new subscriptions and ends is said of every plan with it."""


def plan(cluster: JsonObject | None = None, *pools: JsonObject) -> JsonObject:
    return {"cluster": CLUSTER | (cluster or {}), "pools": [SYSTEM, *(POOL | each for each in pools or ({},))]}


def faults(value: JsonObject) -> list[tuple[str, str, Severity]]:
    """Of a plan that can be read: place, code and weight, without what is said of the size in any case."""
    read, wrong = read_plan(value)
    assert not wrong
    assert read is not None
    every = judge(read, CATALOGUE, TODAY)
    return [(each.place, each.finding.code, each.finding.severity) for each in every if each.finding.code not in OF_THE_SIZE]


def codes(value: JsonObject) -> list[str]:
    return [code for _, code, _ in faults(value)]


def test_nothing_speaks_against_a_sound_plan_but_that_its_size_ends() -> None:
    assert codes(plan()) == []
    read, _ = read_plan(plan())
    assert read is not None
    assert {each.finding.code for each in judge(read, CATALOGUE, TODAY)} == OF_THE_SIZE


@pytest.mark.parametrize(
    ("pool", "code"),
    [
        ({"name": "acc_second"}, "DJ821"),  # Microsoft's own sample
        ({"name": "1sgx"}, "DJ821"),
        ({"name": "abcdefghijklm"}, "DJ821"),
        ({"name": "system"}, "DJ821"),  # another's
        ({"size": "ecs.g7t.large"}, "DJ822"),
        ({"size": "Standard_D4ds_v5", "taint": "sgx-only"}, "DJ822"),
        ({"mode": "System", "scale": {"min": 0, "max": 3}}, "DJ826"),
        ({"mode": "System", "spot": True}, "DJ826"),
        ({"mode": "System"}, "DJ826"),
        ({"zones": ["4"]}, "DJ828"),
        ({"zones": ["1", "1"]}, "DJ828"),
        ({"size": "Standard_DC8_v2", "zones": ["1"]}, "DJ828"),
        ({"spot": True}, "DJ829"),
        ({"labels": {"kubernetes.azure.com/sgx": "1"}}, "DJ831"),
        ({"labels": {"sgx.intel.com/capable": "false"}}, "DJ831"),
        ({"labels": {"donjon.dev/own": "x"}}, "DJ831"),
        ({"labels": {"a..b/c": "1"}}, "DJ831"),
        ({"labels": {"-": "1"}}, "DJ831"),
        ({"mode": "System", "taint": "sgx-only"}, "DJ826"),
        ({"labels": {"team": "of ours"}}, "DJ831"),
        ({"scale": {"min": 3, "max": 2}}, "DJ832"),
        ({"scale": {"min": 3, "max": 5}}, "DJ832"),
        ({"count": 1001}, "DJ832"),
        ({"ephemeral_os_disk": True}, "DJ835"),
    ],
)
def test_a_pool_that_would_be_refused_is_told(pool: JsonObject, code: str) -> None:
    assert code in codes(plan({}, pool))


@pytest.mark.parametrize(
    ("cluster", "code"),
    [
        ({"confcom": True}, "DJ833"),
        ({"name": ""}, "DJ820"),
        ({"region": "eastus2"}, "DJ823"),
        ({"quota": 7}, "DJ827"),
        ({"network": "flannel"}, "DJ820"),
        ({"version": "latest"}, "DJ820"),
        ({"resource_group": "a/b"}, "DJ820"),
    ],
)
def test_a_cluster_that_would_be_refused_is_told(cluster: JsonObject, code: str) -> None:
    value = plan(cluster)
    read, wrong = read_plan(value)
    found = wrong if read is None else judge(read, CATALOGUE, TODAY)
    assert code in {each.finding.code for each in found}


def test_a_region_that_is_nearly_one_of_the_size_is_named() -> None:
    read, _ = read_plan(plan({"region": "westeurop"}))
    assert read is not None
    assert "did you mean westeurope?" in {each.finding.do for each in judge(read, CATALOGUE, TODAY)}


def test_confcom_alone_is_no_fault() -> None:
    assert "DJ833" not in codes(plan({"confcom": True, "donjon": False}))
    assert "DJ833" in codes({"cluster": {"cloud": "metal", "name": "m", "confcom": True, "donjon": False}, "pools": [POOL]})


def test_an_overlay_network_takes_no_dcsv2() -> None:
    old: JsonObject = {"size": "Standard_DC8_v2"}
    assert "DJ830" in codes(plan({"network": "overlay"}, old))
    assert "DJ830" not in codes(plan({"network": "azure"}, old))
    assert "DJ830" not in codes(plan({"network": "overlay"}))


def test_metal_takes_what_aks_does_not() -> None:
    value: JsonObject = {
        "cluster": {"cloud": "metal", "name": "own"},
        "pools": [POOL | {"name": "rack-1", "size": "metal-3", "driver": "dcap"}],
    }
    assert codes(value) == []


@pytest.mark.parametrize(
    ("cloud", "size", "wish"),
    [
        *(("metal", "metal-3", {"zones": [zone]}) for zone in ("1", "9")),
        ("metal", "metal-3", {"spot": True}),
        ("metal", "metal-3", {"mode": "System"}),
        ("metal", "metal-3", {"os_sku": "Ubuntu2404"}),
        ("metal", "metal-3", {"os_disk": 128}),
        ("metal", "metal-3", {"tags": {"team": "vault"}}),
        ("alibaba", "ecs.g7t.large", {"tags": {"team": "vault"}}),
        ("metal", "metal-3", {"accelerated_networking": True}),
        ("alibaba", "ecs.g7t.large", {"ephemeral_os_disk": True}),
        ("alibaba", "ecs.g7t.large", {"max_pods": 30}),
        ("alibaba", "ecs.g7t.large", {"driver": "dcap"}),
    ],
)
def test_a_wish_that_no_tool_is_told_is_not_lost_without_a_word(cloud: str, size: str, wish: JsonObject) -> None:
    cluster: JsonObject = {"cloud": cloud, "name": "own", "region": "cn-beijing"}
    (field,) = wish
    assert faults({"cluster": cluster, "pools": [POOL | {"size": size} | wish]}) == [
        (f"/pools/0/{field}", "DJ836", Severity.WARNING)
    ]


@pytest.mark.parametrize(
    "wish",
    [
        {"subnet": "sgx"},
        {"subnet": "/subscriptions/0/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/net"},
        {"subnet": "/subscriptions/0/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n/subnets/" + "s" * 1024},
        {"os_disk": 29},
        {"os_disk": 2049},
        {"tags": {"team/one": "vault"}},
    ],
)
def test_what_azure_takes_as_no_subnet_disk_or_tag_is_refused(wish: JsonObject) -> None:
    _, wrong = read_plan(plan(None, wish))
    (field,) = wish
    assert [each.place for each in wrong] == [f"/pools/1/{field}"]


def test_a_plan_without_a_quota_is_told_how_many_cores_it_needs() -> None:
    value: JsonObject = {
        "cluster": {name: each for name, each in CLUSTER.items() if name != "quota"},
        "pools": [SYSTEM, POOL | {"scale": {"min": 0, "max": 5}}],
    }
    read, _ = read_plan(value)
    assert read is not None
    words = [each.finding.observation for each in judge(read, CATALOGUE, TODAY) if each.finding.code == "DJ827"]
    assert words == ["needs 20 cores of its SGX sizes"]


def test_every_fault_of_a_file_is_said_at_once_with_its_place() -> None:
    value: JsonObject = {
        "cluster": {"cloud": "aws", "name": 7, "regoin": "x"},
        "pools": [{"size": "s", "count": -1, "zones": "1", "spot": "yes", "scale": {"min": 1}, "mode": "user"}],
        "extra": 1,
    }
    read, wrong = read_plan(value)
    assert read is None
    assert [each.place for each in wrong] == [
        "/extra",
        "/cluster/cloud",
        "/cluster/name",
        "/cluster/regoin",
        "/pools/0/count",
        "/pools/0/zones",
        "/pools/0/spot",
        "/pools/0/scale",
        "/pools/0/mode",
        "/pools/0/name",
    ]
    assert "did you mean region?" in next(each.finding.do for each in wrong if each.place == "/cluster/regoin")


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        [],
        "plan",
        {},
        {"cluster": None, "pools": None},
        {"cluster": {}, "pools": [None]},
        {"cluster": {}, "pools": []},
        {"cluster": CLUSTER, "pools": [POOL] * 101},
        {"cluster": CLUSTER, "pools": [POOL | {"count": True}]},
        {"cluster": CLUSTER, "pools": [POOL | {"count": 10**30}]},
        {"cluster": CLUSTER, "pools": [POOL | {"name": "a\nb"}]},
        {"cluster": CLUSTER, "pools": [POOL | {"name": "x" * 300}]},
        {"cluster": CLUSTER, "pools": [POOL | {"labels": {"a": 7}}]},
        {"cluster": CLUSTER, "pools": [POOL | {"labels": {f"k{each}": "" for each in range(51)}}]},
    ],
    ids=str,
)
def test_what_is_no_plan_is_refused(value: object) -> None:
    _, wrong = read_plan(value)  # type: ignore[arg-type] # A file may hold anything.
    assert {each.finding.code for each in wrong} == {"DJ820"}
