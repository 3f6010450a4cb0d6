"""Certificates that are not those of the hierarchy, or not for their use (docs/clauses.md, 17 to 22 and 25)."""

from datetime import timedelta

import pytest
from tests.attestation.vectors import POOL
from tests.broken.worlds import KINDS, refusal
from tests.simulation.intel import MOMENT, world

from donjon.attestation import quote, verify
from donjon.collateral import trusted
from donjon.errors import DonjonError, Untrusted
from donjon.pki import intel, pem
from donjon.simulation.intel.certificates import CA_USAGES, LEAF_USAGES, SimulatedRole
from donjon.simulation.intel.setting import setting
from donjon.simulation.intel.world import World, make

CERTIFICATES = POOL / "certs"
CAS = {SimulatedRole.PROCESSOR_CA: "processor_ca", SimulatedRole.PLATFORM_CA: "platform_ca"}


def under(made: World, root: bytes) -> str:
    """The code that the world is refused with under that root."""
    with pytest.raises(DonjonError) as caught:
        verify.verify(quote.parse(made.quote.data), trusted.trust(made.collateral, intel.anchor(root)), made.setting.moment)
    return caught.value.code


def test_intels_pre_production_root() -> None:
    """Intel's SBX root, which has the name of the real one, looked at under Intel's root. Refused. Clause 17."""
    (root,) = pem.parse((CERTIFICATES / "SBX_preproduction_root_UNTRUSTED.pem").read_bytes(), 1)
    with pytest.raises(Untrusted, match="DJ220"):
        intel.prove_root(root, intel.INTEL)
    assert intel.anchor(root).subject == intel.INTEL.subject


@pytest.mark.parametrize("kind", KINDS)
def test_the_make_believe_world_under_intels_root(kind: str) -> None:
    """A whole world that fits itself, looked at under Intel's root. Refused. Clause 18."""
    assert under(world(kind), (CERTIFICATES / "sgx_root_ca_2018_2049.pem").read_bytes()) == "DJ220"


@pytest.mark.parametrize("kind", KINDS)
def test_a_root_of_ones_own_with_the_right_names(kind: str) -> None:
    """All names as those of the trusted hierarchy, all keys others. Refused. Clauses 18, 19 and 25."""
    trusted_root = make(setting(b"the trusted one", MOMENT, kind)).root
    assert under(world(kind), trusted_root) == "DJ220"


@pytest.mark.parametrize("tag", [0x03, 0x05, 0x14, 0x1E])
def test_a_root_whose_name_is_of_a_type_that_no_name_has(tag: int) -> None:
    """CN as BIT STRING, NULL or other types, for which the library has errors of its own. Refused with one of ours. Clause 12."""
    der = world().root.replace(b"\x55\x04\x03\x0c", b"\x55\x04\x03" + bytes([tag]))
    with pytest.raises(DonjonError, match=r"DJ205|DJ220"):
        intel.prove_root(der, intel.anchor(world().root))


def test_a_root_with_the_right_key_and_another_name() -> None:
    """The trusted key under another name. Refused. Clause 19."""
    made = world("v3 SGX", {"hierarchy.root.common_name": "Donjon simulated other SGX Root CA"})
    assert under(made, world().root) == "DJ220"


@pytest.mark.parametrize("name", ["Somebody", "", "SGX Root CA", "Donjon simulated SGX Root CA 2"])
def test_a_trusted_root_that_does_not_say_whose_it_is(name: str) -> None:
    """A root that is trusted by name and key, but is no "… SGX Root CA". Refused. QVL, PckCertVerifier."""
    names = {"hierarchy.root.common_name": name or " ", "hierarchy.processor_ca.issuer_name": name or " "}
    assert refusal(world("v3 SGX", names)) == "DJ221"


def test_the_same_root_in_another_edition() -> None:
    """The root's certificate with other dates, same name and key, as Intel has two. Accepted."""
    other = world("v3 SGX", {"hierarchy.root.ends": MOMENT + timedelta(days=365)})
    assert other.root != world().root
    collateral = trusted.trust(other.collateral, intel.anchor(world().root))
    assert verify.verify(quote.parse(world().quote.data), collateral, MOMENT).tcb.status == "UpToDate"


AUTHORITY_SPOILERS = {
    "without CA:TRUE": {"authority": False, "path_length": None},
    "without basicConstraints": {"authority": None, "path_length": None},
    "without a path length": {"path_length": None},
    "with a path length of one more": {"path_length": 1},
    "without keyUsage": {"usages": None},
    "without keyCertSign": {"usages": frozenset({"crl_sign"})},
    "without cRLSign": {"usages": frozenset({"key_cert_sign"})},
    "with the usages of a leaf": {"usages": LEAF_USAGES},
}


@pytest.mark.parametrize("ca", CAS)
@pytest.mark.parametrize("change", AUTHORITY_SPOILERS.values(), ids=AUTHORITY_SPOILERS)
def test_an_intermediate_that_may_not_sign(ca: SimulatedRole, change: dict[str, object]) -> None:
    """root → **CA, spoilt** → leaf. Refused; `cryptography` accepts one without a path length. Clause 20."""
    changes = {f"hierarchy.{CAS[ca]}.{field}": value for field, value in change.items()}
    assert refusal(world("v3 SGX", changes, ca=ca)) == "DJ222"


@pytest.mark.parametrize("change", AUTHORITY_SPOILERS.values(), ids=AUTHORITY_SPOILERS)
def test_a_root_that_may_not_sign(change: dict[str, object]) -> None:
    """**root, spoilt** → CA → leaf; an anchor is looked at, too. Refused. Clause 20."""
    field_of_a_root = {field: 2 if field == "path_length" and value == 1 else value for field, value in change.items()}
    assert refusal(world("v3 SGX", {f"hierarchy.root.{field}": value for field, value in field_of_a_root.items()})) == "DJ222"


@pytest.mark.parametrize(
    "change",
    [
        {"authority": True, "path_length": None},
        {"authority": None},
        {"usages": None},
        {"usages": CA_USAGES},
        {"usages": LEAF_USAGES | {"key_cert_sign"}},
        {"usages": frozenset({"key_agreement"})},
    ],
    ids=["CA:TRUE", "no basicConstraints", "no keyUsage", "usages of a CA", "keyCertSign besides", "no digitalSignature"],
)
@pytest.mark.parametrize("leaf", ["pck", "tcb_signing"])
def test_a_leaf_that_could_be_an_authority(leaf: str, change: dict[str, object]) -> None:
    """CA → **leaf that may sign certificates, or nothing**. Refused. Clause 21."""
    assert refusal(world("v3 SGX", {f"hierarchy.{leaf}.{field}": value for field, value in change.items()})) == "DJ222"


@pytest.mark.parametrize("kind", KINDS)
def test_a_leaf_signed_by_a_leaf(kind: str) -> None:
    """root → CA → leaf → **fake leaf**, shown as fake leaf, leaf, root. Refused. Clause 21."""
    fake = {"hierarchy.pck.signed_by": SimulatedRole.PCK.name, "hierarchy.pck.key": "fake", "quote.qe_signed_by": "fake"}
    own = world(kind).certificates
    certification = world(kind, fake).certificates[SimulatedRole.PCK] + own[SimulatedRole.PCK] + own[SimulatedRole.ROOT]
    assert refusal(world(kind, {**fake, "quote.certification": certification})) == "DJ221"


def test_a_chain_of_four_with_a_leaf_between() -> None:
    """fake leaf, leaf, CA, root. Refused. Clause 21."""
    made = world("v3 SGX", {"hierarchy.pck.signed_by": SimulatedRole.PCK.name, "hierarchy.pck.key": "fake"})
    own = world().certificates
    certification = (
        made.certificates[SimulatedRole.PCK] + own[SimulatedRole.PCK] + own[SimulatedRole.PROCESSOR_CA] + own[SimulatedRole.ROOT]
    )
    assert refusal(world("v3 SGX", {"quote.certification": certification})) == "DJ204"


@pytest.mark.parametrize(
    "changes",
    [
        {
            "quote.chain": (SimulatedRole.PCK, SimulatedRole.TCB_SIGNING, SimulatedRole.ROOT),
            "hierarchy.pck.issuer": SimulatedRole.TCB_SIGNING,
        },
        {
            "quote.chain": (SimulatedRole.TCB_SIGNING, SimulatedRole.PROCESSOR_CA, SimulatedRole.ROOT),
            "quote.qe_signed_by": SimulatedRole.TCB_SIGNING.name,
        },
        {"signing.pck_crl_chain": (SimulatedRole.TCB_SIGNING, SimulatedRole.ROOT), "pck_crl.issuer": SimulatedRole.TCB_SIGNING},
    ],
    ids=["it signs a leaf", "it is shown as the leaf", "it signs the CRL"],
)
def test_a_tcb_signer_in_another_role(changes: dict[str, object]) -> None:
    """The TCB signer as PCK CA or as PCK certificate. Refused; `cryptography` accepts it as leaf. Clause 22."""
    assert refusal(world("v3 SGX", changes)) == "DJ221"


@pytest.mark.parametrize("signer", [SimulatedRole.PROCESSOR_CA, SimulatedRole.PLATFORM_CA, SimulatedRole.PCK])
@pytest.mark.parametrize("document", ["tcb_info", "qe_identity"])
def test_a_document_signed_by_a_certificate_of_another_role(document: str, signer: SimulatedRole) -> None:
    """[TCB info | signature by a PCK CA | PCK CA → root]. Refused. Clause 22."""
    changes = {f"signing.{document}_by": signer.name, f"signing.{document}_chain": (signer, SimulatedRole.ROOT)}
    assert refusal(world("v3 SGX", changes)) == "DJ221"


def test_a_document_signed_by_the_root() -> None:
    """[TCB info | signature by the root | root → root]. Refused. Clause 22."""
    changes = {"signing.tcb_info_by": SimulatedRole.ROOT.name, "signing.tcb_info_chain": (SimulatedRole.ROOT, SimulatedRole.ROOT)}
    assert refusal(world("v3 SGX", changes)) == "DJ221"


@pytest.mark.parametrize("role", ["root", "processor_ca", "tcb_signing", "pck"])
@pytest.mark.parametrize("name", ["Donjon simulated SGX PCK", "Intel SGX PCK Certificate", "somebody", *SimulatedRole])
def test_a_certificate_under_another_name(role: str, name: str) -> None:
    """… → **"somebody"** → …, all signatures right. Refused."""
    assert refusal(world("v3 SGX", {f"hierarchy.{role}.common_name": name})) in {"DJ221", "DJ222"}


@pytest.mark.parametrize("role", ["processor_ca", "tcb_signing", "pck"])
@pytest.mark.parametrize("field", ["issuer_name", "organisation"])
def test_a_certificate_of_an_issuer_under_another_name(role: str, field: str) -> None:
    """… → leaf of **"another issuer"**, signed by the right key. Refused."""
    assert refusal(world("v3 SGX", {f"hierarchy.{role}.{field}": "somebody"})) in {"DJ222", "DJ225"}


def test_a_leaf_issued_by_the_root_itself() -> None:
    """root → leaf, shown with the CA between, or twice the root. Refused; `cryptography` accepts it. Clause 21."""
    changes: dict[str, object] = {"hierarchy.pck.issuer": SimulatedRole.ROOT}
    assert refusal(world("v3 SGX", changes)) == "DJ222"
    assert (
        refusal(world("v3 SGX", {**changes, "quote.chain": (SimulatedRole.PCK, SimulatedRole.ROOT, SimulatedRole.ROOT)}))
        == "DJ221"
    )


def test_a_leaf_of_the_other_ca() -> None:
    """root → processor CA, leaf of the platform CA, shown together. Refused."""
    assert refusal(world("v3 SGX", {"hierarchy.pck.issuer": SimulatedRole.PLATFORM_CA})) == "DJ222"
    assert refusal(world("v3 SGX", {"hierarchy.pck.issuer_name": "Donjon simulated SGX PCK Platform CA"})) == "DJ222"


@pytest.mark.parametrize(
    ("role", "code"), [("root", "DJ207"), ("processor_ca", "DJ207"), ("tcb_signing", "DJ207"), ("pck", "DJ207")]
)
def test_a_key_of_another_curve(role: str, code: str) -> None:
    """… → **a P-384 key**. Refused; `cryptography` accepts a P-384 leaf."""
    made = world("v3 SGX", {f"hierarchy.{role}.curve": "secp384r1", f"hierarchy.{role}.key": "on P-384"})
    if role == "root":
        with pytest.raises(DonjonError, match=code):
            intel.anchor(made.root)
    else:
        assert refusal(made) == code


@pytest.mark.parametrize("role", ["root", "processor_ca", "tcb_signing", "pck"])
@pytest.mark.parametrize("field", ["authority_key_id"])
def test_a_key_identifier_of_another_key(role: str, field: str) -> None:
    """The issuer's name and signature right, its key identifier another. Refused; `cryptography` accepts it."""
    assert refusal(world("v3 SGX", {f"hierarchy.{role}.{field}": "another key"})) in {"DJ222", "DJ225"}


@pytest.mark.parametrize("role", ["root", "processor_ca"])
def test_an_issuer_that_states_another_keys_identifier(role: str) -> None:
    """The issuer's own identifier is not that which the issued name. Refused."""
    assert refusal(world("v3 SGX", {f"hierarchy.{role}.subject_key_id": "another key"})) in {"DJ222", "DJ225"}


@pytest.mark.parametrize("role", ["root", "processor_ca", "tcb_signing", "pck"])
@pytest.mark.parametrize("oid", ["2.5.29.35", "2.5.29.14"], ids=["AKI", "SKI"])
def test_a_certificate_without_key_identifiers(role: str, oid: str) -> None:
    """AKI or SKI left out. Refused. RFC 5280, 4.2.1.1."""
    assert refusal(world("v3 SGX", {f"hierarchy.{role}.without": frozenset({oid})})) == "DJ222"


def test_a_root_whose_own_signature_is_bad() -> None:
    """root, right name and key, signed by another key. Refused; `cryptography` accepts it as an anchor."""
    assert (
        refusal(world("v3 SGX", {"hierarchy.root.signed_by": "another key", "hierarchy.root.authority_key_id": "ROOT"}))
        == "DJ222"
    )


def test_an_intermediate_as_anchor() -> None:
    """The PCK CA trusted by its name and key as if it were a root. Refused; `cryptography` accepts it."""
    assert under(world(), world().certificates[SimulatedRole.PROCESSOR_CA]) == "DJ220"
    chain = (SimulatedRole.PROCESSOR_CA, SimulatedRole.PROCESSOR_CA)
    made = world("v3 SGX", {"signing.pck_crl_chain": chain})
    assert under(made, made.certificates[SimulatedRole.PROCESSOR_CA]) == "DJ221"
