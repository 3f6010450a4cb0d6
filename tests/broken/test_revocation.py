"""Revocation lists that are missing, old, another's or lied about (docs/clauses.md, 26 to 34)."""

from datetime import timedelta

import pytest
from cryptography import x509
from tests.broken.worlds import KINDS, judge, refusal, with_part
from tests.simulation.intel import MOMENT, world

from donjon.simulation.intel.certificates import SimulatedRole
from donjon.simulation.intel.setting import setting
from donjon.simulation.intel.world import make

LISTS = ("root_ca_crl", "pck_crl")
PLANS = {"root_ca_crl": "root_crl", "pck_crl": "pck_crl"}
SECOND = timedelta(seconds=1)
SOMEWHERE = x509.UniformResourceIdentifier("https://intel.donjon.invalid/part.crl")
FRESHEST = x509.FreshestCRL([x509.DistributionPoint([SOMEWHERE], None, None, None)])


def scope(*, indirect: bool) -> x509.IssuingDistributionPoint:
    return x509.IssuingDistributionPoint(
        full_name=[SOMEWHERE],
        relative_name=None,
        only_contains_user_certs=False,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=indirect,
        only_contains_attribute_certs=False,
    )


PARTS = (x509.DeltaCRLIndicator(1), scope(indirect=False), scope(indirect=True))


def extension(value: x509.ExtensionType, *, critical: bool) -> x509.Extension[x509.ExtensionType]:
    return x509.Extension(value.oid, critical, value)


@pytest.mark.parametrize("crl", LISTS)
def test_a_missing_list(crl: str) -> None:
    """collateral without a CRL. Refused. Clause 26."""
    assert refusal(with_part(world(), crl, b"")) == "DJ206"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("own", "other"),
    [(SimulatedRole.PROCESSOR_CA, SimulatedRole.PLATFORM_CA), (SimulatedRole.PLATFORM_CA, SimulatedRole.PROCESSOR_CA)],
)
def test_the_list_of_the_other_ca(kind: str, own: SimulatedRole, other: SimulatedRole) -> None:
    """leaf of one PCK CA, **CRL of the other**, genuine. Refused. Clause 27."""
    changes = {"pck_crl.issuer": other, "signing.pck_crl_chain": (other, SimulatedRole.ROOT)}
    assert refusal(world(kind, changes, ca=own)) == "DJ231"


def test_the_roots_list_for_that_of_the_ca() -> None:
    """The root's CRL twice. Refused. Clause 27."""
    assert refusal(with_part(world(), "pck_crl", world().root_ca_crl)) == "DJ225"
    assert refusal(with_part(world(), "root_ca_crl", world().pck_crl)) == "DJ225"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("crl", LISTS)
def test_a_list_past_its_next_update(kind: str, crl: str) -> None:
    """nextUpdate a second ago. Verified and told (`outside_validity`), for acceptance to refuse. Clause 28."""
    assert judge(world(kind, {f"{PLANS[crl]}.next_update": MOMENT - SECOND})).outside_validity == (crl,)
    assert judge(world(kind, {f"{PLANS[crl]}.next_update": MOMENT})).outside_validity == ()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("crl", LISTS)
def test_a_list_from_the_future(kind: str, crl: str) -> None:
    """thisUpdate in a second. Refused. Clause 29."""
    assert refusal(world(kind, {f"{PLANS[crl]}.issue_date": MOMENT + SECOND})) == "DJ226"
    assert judge(world(kind, {f"{PLANS[crl]}.issue_date": MOMENT})).tcb.status == "UpToDate"


@pytest.mark.parametrize("crl", LISTS)
def test_a_list_that_another_key_signed(crl: str) -> None:
    """All as it should be, signed by another key. Refused. Clause 30."""
    signer = SimulatedRole.ROOT if crl == "root_ca_crl" else SimulatedRole.PROCESSOR_CA
    changes = {f"{PLANS[crl]}.signed_by": "another key", f"{PLANS[crl]}.authority_key_id": signer.name}
    assert refusal(world("v3 SGX", changes)) == "DJ225"


@pytest.mark.parametrize("crl", LISTS)
def test_a_list_of_an_issuer_under_another_name(crl: str) -> None:
    """The right key, another issuer's name. Refused. Clause 30."""
    assert refusal(world("v3 SGX", {f"{PLANS[crl]}.issuer_name": "somebody"})) == "DJ225"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ca", [SimulatedRole.PROCESSOR_CA, SimulatedRole.PLATFORM_CA])
def test_a_revoked_leaf(kind: str, ca: SimulatedRole) -> None:
    """PCK CRL: the leaf's serial number. Refused. Clause 31."""
    assert refusal(world(kind, {"pck_crl.revoked": frozenset({SimulatedRole.PCK})}, ca=ca)) == "DJ224"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("revoked", [SimulatedRole.PROCESSOR_CA, SimulatedRole.TCB_SIGNING, SimulatedRole.ROOT])
def test_a_revoked_intermediate_or_signer(kind: str, revoked: SimulatedRole) -> None:
    """root CRL: the CA's serial number, the TCB signer's, or the root's own. Refused. Clause 31."""
    assert refusal(world(kind, {"root_crl.revoked": frozenset({revoked})})) == "DJ224"


def test_serial_numbers_of_others() -> None:
    """PCK CRL with 500 other serial numbers, root CRL with the other CA's and with the leaf's, which is none of its. Accepted."""
    others = {
        "pck_crl.others": tuple(range(1, 501)),
        "root_crl.revoked": frozenset({SimulatedRole.PLATFORM_CA, SimulatedRole.PCK}),
    }
    assert judge(world("v3 SGX", others)).tcb.status == "UpToDate"


@pytest.mark.parametrize("crl", LISTS)
@pytest.mark.parametrize("behind", [b"\0", b"\x05\0", b"\n"])
def test_bytes_behind_a_list(crl: str, behind: bytes) -> None:
    """[CRL] 00. Refused (dcap-qvl once took them). Clause 32."""
    made = world()
    data: bytes = getattr(made, crl)
    assert refusal(with_part(made, crl, data + behind)) == "DJ206"


@pytest.mark.parametrize("crl", LISTS)
def test_a_list_whose_signature_ends_within_a_byte(crl: str) -> None:
    """CRL whose signature's last bit is called unused. Refused. Clause 12."""
    worlds = (make(setting(bytes([number]), MOMENT)) for number in range(99))
    made, data, last = next(
        (made, data, last)
        for made in worlds
        for data in (made.collateral.root_ca_crl if crl == "root_ca_crl" else made.collateral.pck_crl,)
        for last in (len(x509.load_der_x509_crl(data).signature),)
        if not data[-1] & 1
    )
    assert refusal(with_part(made, crl, data[: -last - 1] + b"\1" + data[-last:])) == "DJ206"


@pytest.mark.parametrize("crl", LISTS)
def test_a_list_without_a_number(crl: str) -> None:
    """CRL without CRL number. Refused. Clause 33."""
    assert refusal(world("v3 SGX", {f"{PLANS[crl]}.number": None})) == "DJ225"


@pytest.mark.parametrize("crl", LISTS)
def test_a_list_that_names_another_key(crl: str) -> None:
    """CRL, signed by the right key, whose AKI names another. Refused. QVL, PckCertVerifier."""
    assert refusal(world("v3 SGX", {f"{PLANS[crl]}.authority_key_id": "another key"})) == "DJ225"


@pytest.mark.parametrize("crl", LISTS)
@pytest.mark.parametrize("critical", [True, False], ids=["critical", "not critical"])
@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
def test_a_part_of_a_list_for_the_whole(crl: str, part: x509.ExtensionType, *, critical: bool) -> None:
    """CRL with deltaCRLIndicator, or with issuingDistributionPoint. Refused, critical or not. RFC 5280, 5.2.4 and 5.2.5."""
    assert refusal(world("v3 SGX", {f"{PLANS[crl]}.extensions": (extension(part, critical=critical),)})) == "DJ225"


@pytest.mark.parametrize("crl", LISTS)
@pytest.mark.parametrize("oid", [x509.DeltaCRLIndicator.oid, x509.IssuingDistributionPoint.oid])
def test_a_part_of_a_list_that_says_so_in_no_der(crl: str, oid: x509.ObjectIdentifier) -> None:
    """The same extensions with a value that is none. Refused."""
    odd = x509.UnrecognizedExtension(oid, b"\x30\x80")
    assert refusal(world("v3 SGX", {f"{PLANS[crl]}.extensions": (extension(odd, critical=False),)})) in {"DJ206", "DJ225"}


@pytest.mark.parametrize("crl", LISTS)
def test_a_list_with_an_extension_that_takes_nothing_from_it(crl: str) -> None:
    """CRL with freshestCRL, or with one that nobody knows: not critical, **accepted**; critical, refused. RFC 5280, 5.2."""
    for value in (FRESHEST, x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\5\0")):
        changes = {f"{PLANS[crl]}.extensions": (extension(value, critical=False),)}
        assert judge(world("v3 SGX", changes)).tcb.status == "UpToDate"
        assert refusal(world("v3 SGX", {f"{PLANS[crl]}.extensions": (extension(value, critical=True),)})) == "DJ225"


@pytest.mark.parametrize("role", [SimulatedRole.ROOT, SimulatedRole.TCB_SIGNING, SimulatedRole.PCK])
def test_a_list_issued_by_someone_who_is_no_pck_ca(role: SimulatedRole) -> None:
    """PCK CRL, honestly signed by another certificate of the hierarchy, with its chain. Refused. QVL, QuoteVerifier."""
    changes = {"pck_crl.issuer": role, "signing.pck_crl_chain": (role, SimulatedRole.ROOT)}
    assert refusal(world("v3 SGX", changes)) in {"DJ221", "DJ222"}
