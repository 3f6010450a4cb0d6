"""Certificates of the right hierarchy that say what none may say, or at another time (docs/clauses.md, 12, 23 and 24)."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from tests.broken.worlds import KINDS, judge, refusal, with_quote
from tests.simulation.intel import MOMENT, SEED, world

from donjon.simulation.intel.certificates import SimulatedRole, pck_extension
from donjon.simulation.intel.extension import ARC, tlv
from donjon.simulation.intel.keys import private_key
from donjon.simulation.intel.setting import setting
from donjon.simulation.intel.world import World, make

SECOND = timedelta(seconds=1)
CAS = (SimulatedRole.PROCESSOR_CA, SimulatedRole.PLATFORM_CA)
EXTENSION = world().setting.extension


def surgery(certificate: bytes, signer: str, change: Callable[[bytes], bytes]) -> bytes:
    """The certificate with its body changed and signed again, for what the library's builder does not write."""
    body = change(x509.load_pem_x509_certificate(certificate).tbs_certificate_bytes)
    signature = private_key(SEED, signer).sign(body, ec.ECDSA(hashes.SHA256()))
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    der = tlv(0x30, body + algorithm + tlv(0x03, b"\0" + signature))
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


def with_leaf(made: World, leaf: bytes) -> World:
    """The world with another PCK certificate in its quote."""
    data = made.quote.data.replace(made.certificates[SimulatedRole.PCK], leaf)
    assert len(leaf) == len(made.certificates[SimulatedRole.PCK])
    return with_quote(made, data)


def test_a_leaf_without_the_sgx_extension() -> None:
    """CA → leaf without 1.2.840.113741.1.13.1. Refused. Clause 23."""
    assert refusal(world("v3 SGX", {"extension_value": b""})) == "DJ208"


def test_a_leaf_with_the_extension_twice() -> None:
    """CA → leaf with the SGX extension twice, signed so. Refused. Clause 23."""
    twin = pck_extension(EXTENSION.encode(), oid=ARC[:-1] + "9")
    made = world("v3 SGX", {"hierarchy.pck.extensions": (twin,)})
    one, other = (bytes.fromhex("2a864886f84d010d") + bytes([last]) for last in (1, 9))

    def twice(body: bytes) -> bytes:
        return body.replace(b"\x06\x09" + other, b"\x06\x09" + one)

    assert refusal(with_leaf(made, surgery_of(made, twice))) == "DJ222"


def surgery_of(made: World, change: Callable[[bytes], bytes]) -> bytes:
    """The world's PCK certificate changed so; signatures differ in length, so one is made that fits."""
    own = made.certificates[SimulatedRole.PCK]
    return next(leaf for _ in range(100) if len(leaf := surgery(own, SimulatedRole.PROCESSOR_CA.name, change)) == len(own))


def _ends_even(seed: bytes) -> bool:
    """Whether the last bit of the leaf's signature is 0, so that DER lets it be called unused."""
    return not x509.load_pem_x509_certificate(make(setting(seed, MOMENT)).certificates[SimulatedRole.PCK]).signature[-1] & 1


def test_a_signature_that_ends_within_a_byte() -> None:
    """CA → leaf whose signature's last bit is called unused; nobody signed that. Refused; `cryptography` takes it. Clause 12."""
    made = make(setting(next(seed for seed in map(bytes, zip(range(99))) if _ends_even(seed)), MOMENT))
    leaf = x509.load_pem_x509_certificate(made.certificates[SimulatedRole.PCK])
    whole, last = leaf.public_bytes(Encoding.DER), len(leaf.signature)
    changed = whole[: -last - 1] + b"\1" + whole[-last:]
    assert refusal(with_leaf(made, x509.load_der_x509_certificate(changed).public_bytes(Encoding.PEM))) == "DJ205"


def test_the_surgery_alone_changes_nothing() -> None:
    """CA → leaf, taken apart, put together and signed again. Accepted: what is refused above is not refused for that."""
    made = world()
    assert judge(with_leaf(made, surgery_of(made, lambda body: body))).tcb.status == "UpToDate"


@pytest.mark.parametrize(
    "changes",
    [
        {"extension.ppid": bytes(15)},
        {"extension.ppid": bytes(17)},
        {"extension.cpu_svn": bytes(15)},
        {"extension.pce_id": bytes(1)},
        {"extension.pce_id": bytes(3)},
        {"extension.fmspc": bytes(5)},
        {"extension.fmspc": bytes(7)},
        {"extension.sgx_type": 3},
        {"extension.pce_svn": 65536},
        {"extension.pce_svn": -1},
        {"extension_value": EXTENSION.encode()[:-1]},
        {"extension_value": EXTENSION.encode() + b"\0"},
        {"extension_value": tlv(0x30, b"")},
        {"extension_value": bytes(5000)},
    ],
    ids=str,
)
def test_a_leaf_whose_extension_has_another_shape(changes: dict[str, object]) -> None:
    """CA → leaf whose SGX extension has fields of other lengths, or more behind it. Refused. Clause 23."""
    assert refusal(world("v3 SGX", changes)) in {"DJ208", "DJ205"}


@pytest.mark.parametrize("ca", CAS)
def test_the_extension_of_the_other_ca(ca: SimulatedRole) -> None:
    """Processor CA → leaf with seven elements, platform CA → leaf with five. Refused. Clause 23."""
    other = setting(SEED, MOMENT, "v3 SGX", next(each for each in CAS if each is not ca)).extension
    assert refusal(world("v3 SGX", {"extension": other}, ca=ca)) == "DJ208"


@pytest.mark.parametrize("ca", CAS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_extension_of_either_ca(kind: str, ca: SimulatedRole) -> None:
    """Five elements under the processor CA, seven under the platform CA. Accepted. PCK profile."""
    found = judge(world(kind, ca=ca)).platform
    assert (found.ca == "platform", found.flags is not None) == (ca is SimulatedRole.PLATFORM_CA, ca is SimulatedRole.PLATFORM_CA)


@pytest.mark.parametrize("role", ["root", "processor_ca", "tcb_signing", "pck"])
def test_a_critical_extension_that_nobody_knows(role: str) -> None:
    """… → certificate with a critical extension of an unknown kind. Refused. Clause 23."""
    unknown = pck_extension(b"\x05\x00", critical=True, oid="1.2.3.4")
    assert refusal(world("v3 SGX", {f"hierarchy.{role}.extensions": (unknown,)})) == "DJ222"


def test_the_sgx_extension_marked_critical() -> None:
    """CA → leaf whose SGX extension is critical, which Intel's never is. Refused. Clause 23."""
    carried = pck_extension(EXTENSION.encode(), critical=True)
    assert refusal(world("v3 SGX", {"extension_value": b"", "hierarchy.pck.extensions": (carried,)})) == "DJ222"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("role", ["root", "processor_ca", "tcb_signing", "pck"])
@pytest.mark.parametrize(("field", "away"), [("begins", SECOND), ("ends", -SECOND)])
def test_a_certificate_outside_its_window(kind: str, role: str, field: str, away: timedelta) -> None:
    """Not yet valid, or no longer, by one second. Refused; QVL does not look at notBefore. Clause 24."""
    assert refusal(world(kind, {f"hierarchy.{role}.{field}": MOMENT + away})) == "DJ223"


@pytest.mark.parametrize("role", ["root", "processor_ca", "tcb_signing", "pck"])
@pytest.mark.parametrize("field", ["begins", "ends"])
def test_a_certificate_on_the_edge_of_its_window(role: str, field: str) -> None:
    """The first second, or the last. Accepted (RFC 5280, 4.1.2.5: both are part of it). Clause 24."""
    assert judge(world("v3 SGX", {f"hierarchy.{role}.{field}": MOMENT})).tcb.status == "UpToDate"
