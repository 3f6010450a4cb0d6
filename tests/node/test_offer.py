"""What a node offers, and which devices a container gets for an id."""

from typing import Any

import pytest
from tests.node.world import DCAP, GIB, ISGX, MIB, NO_DEVICES, OLD_DCAP, cpuid, device, devices, facts, numa, unknown

from donjon.errors import Malformed, Unavailable
from donjon.kube.names import ENCLAVE, PROVISION
from donjon.node.allocation import DeviceSpec, allocate
from donjon.node.offer import NOTHING, Advertise, DeviceOffer, Offer, OfferSettings, renew
from donjon.node.readiness import assess


def offered(previous: Offer = NOTHING, settings: OfferSettings | None = None, **changed: Any) -> Offer:
    known = facts(**changed)
    return renew(previous, known, assess(known), settings or OfferSettings())


def by_resource(offer: Offer) -> dict[str, DeviceOffer]:
    return {each.resource: each for each in offer.devices}


@pytest.mark.parametrize(
    ("found", "paths"),
    [
        ({}, {ENCLAVE: "/dev/sgx_enclave", PROVISION: "/dev/sgx_provision"}),
        ({"devices": DCAP}, {ENCLAVE: "/dev/sgx/enclave", PROVISION: "/dev/sgx/provision"}),
        ({"devices": OLD_DCAP}, {ENCLAVE: "/dev/sgx", PROVISION: "/dev/sgx_prv"}),
        ({"devices": ISGX}, {ENCLAVE: "/dev/isgx"}),
        ({"devices": NO_DEVICES}, {}),
    ],
)
def test_each_drivers_devices_are_offered_under_the_same_names(found: dict[str, Any], paths: dict[str, str]) -> None:
    devices_offered = by_resource(offered(**found))
    assert {resource: each.host_path for resource, each in devices_offered.items()} == paths
    assert all(each.healthy and each.count == 110 for each in devices_offered.values())


def test_a_device_that_went_missing_stays_as_unhealthy_and_returns() -> None:
    first = offered()
    gone = offered(first, devices=NO_DEVICES)
    assert {each.resource: each.healthy for each in gone.devices} == {ENCLAVE: False, PROVISION: False}
    assert gone.epc == 0
    assert offered(gone) == first


def test_one_device_of_two_may_be_missing() -> None:
    gone = offered(offered(), devices=devices(device("/dev/sgx_enclave")))
    assert {each.resource: each.healthy for each in gone.devices} == {ENCLAVE: True, PROVISION: False}
    assert gone.epc == 8 * GIB


def test_a_device_that_appears_later_is_offered_then() -> None:
    assert offered(offered(devices=NO_DEVICES)) == offered()


def test_another_drivers_device_takes_the_place_of_one_that_went() -> None:
    assert by_resource(offered(offered(), devices=DCAP))[ENCLAVE].host_path == "/dev/sgx/enclave"


@pytest.mark.parametrize(("reserve", "epc"), [(0, 8 * GIB), (64 * MIB, 8 * GIB - 64 * MIB), (8 * GIB, 0), (9 * GIB, 0)])
def test_a_reserve_is_kept_and_never_makes_a_negative_offer(reserve: int, epc: int) -> None:
    assert offered(settings=OfferSettings(epc_reserve=reserve)).epc == epc


@pytest.mark.parametrize(
    "changed",
    [{"devices": NO_DEVICES}, {"numa_epc": numa("0")}, {"numa_epc": unknown(), "cpuid": unknown()}],
)
def test_a_node_that_is_not_ready_offers_no_epc(changed: dict[str, Any]) -> None:
    assert offered(**changed).epc == 0


def test_counts_are_the_operators() -> None:
    counts = by_resource(offered(settings=OfferSettings(enclave_limit=3, provision_limit=1)))
    assert (counts[ENCLAVE].ids, counts[PROVISION].ids) == (
        ("sgx-enclave-0", "sgx-enclave-1", "sgx-enclave-2"),
        ("sgx-provision-0",),
    )


def test_devices_are_left_to_another_where_told() -> None:
    only_epc = OfferSettings(advertise=frozenset({Advertise.EPC}))
    assert offered(settings=only_epc) == Offer(devices=(), epc=8 * GIB)


def test_an_ordinary_node_offers_nothing() -> None:
    assert offered(cpuid=cpuid(sgx=False), devices=NO_DEVICES) == NOTHING


def spec(host: str, container: str) -> DeviceSpec:
    return DeviceSpec(host_path=host, container_path=container, permissions="rw")


@pytest.mark.parametrize(
    ("found", "resource", "prefix", "specs"),
    [
        ({}, ENCLAVE, "", (("/dev/sgx_enclave", "/dev/sgx_enclave"), ("/dev/sgx_enclave", "/dev/sgx/enclave"))),
        ({}, PROVISION, "", (("/dev/sgx_provision", "/dev/sgx_provision"), ("/dev/sgx_provision", "/dev/sgx/provision"))),
        ({"devices": DCAP}, ENCLAVE, "", (("/dev/sgx/enclave", "/dev/sgx_enclave"), ("/dev/sgx/enclave", "/dev/sgx/enclave"))),
        ({"devices": OLD_DCAP}, PROVISION, "", (("/dev/sgx_prv", "/dev/sgx_prv"),)),
        ({"devices": ISGX}, ENCLAVE, "/h", (("/h/dev/isgx", "/dev/isgx"),)),
    ],
)
def test_a_container_gets_the_device_at_both_paths_unless_its_driver_speaks_another_interface(
    found: dict[str, Any], resource: str, prefix: str, specs: tuple[tuple[str, str], ...]
) -> None:
    device_offer = by_resource(offered(**found))[resource]
    given = allocate(device_offer, device_offer.ids[:1], host_prefix=prefix)
    assert given == tuple(spec(host, container) for host, container in specs)


def test_many_ids_for_one_container_are_still_one_device() -> None:
    device_offer = by_resource(offered())[ENCLAVE]
    one, many = device_offer.ids[:1], device_offer.ids
    assert allocate(device_offer, many, host_prefix="") == allocate(device_offer, one, host_prefix="")


@pytest.mark.parametrize("ids", [(), ("sgx-enclave-110",), ("sgx-provision-0",), ("sgx-enclave-0", "x"), ("",), ("x" * 10_000,)])
def test_an_id_that_was_never_offered_gets_nothing(ids: tuple[str, ...]) -> None:
    with pytest.raises(Malformed, match="never offered") as refused:
        allocate(by_resource(offered())[ENCLAVE], ids, host_prefix="")
    assert refused.value.code == "DJ904"
    assert len(str(refused.value)) < 400


def test_a_missing_device_is_not_handed_out() -> None:
    gone = by_resource(offered(offered(), devices=NO_DEVICES))[ENCLAVE]
    with pytest.raises(Unavailable, match="missing on this node") as refused:
        allocate(gone, gone.ids[:1], host_prefix="")
    assert refused.value.code == "DJ905"
