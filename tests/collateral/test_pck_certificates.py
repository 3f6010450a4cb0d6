"""The PCK certificates of a platform: Intel's own, and a make-believe machine's, each changed in one thing."""

import json
from urllib.parse import quote

import pytest
from tests.attestation.vectors import ROOT
from tests.collateral.machines import HIGH, LOW, PCE_ID, proved
from tests.simulation.intel import world

from donjon.collateral import pck_certificates, tcb_info
from donjon.collateral.bundle import unwrap
from donjon.collateral.document import prove_root_crl
from donjon.collateral.pck_certificates import MAX_CERTIFICATES, PckCertificates, parse_offer
from donjon.collateral.plan import Answer
from donjon.collateral.selection import Tcb, select
from donjon.errors import DonjonError, Malformed, Untrusted
from donjon.formats import strict_json
from donjon.formats.json import JsonObject
from donjon.pki import intel
from donjon.pki.intel import INTEL, Anchor
from donjon.simulation.intel.certificates import SimulatedRole
from donjon.simulation.intel.machines import Svns, pck_certificate, pckcerts, tcbm
from donjon.simulation.intel.setting import COMPONENTS

REAL = ROOT / "fortanix-rust-sgx" / "pckcerts"
MADE = world()


def test_a_machines_certificates_are_proved_and_those_that_cannot_be_had_are_counted() -> None:
    made = world()
    text = pckcerts(made.setting, [LOW, HIGH], [((9, *COMPONENTS[1:]), 99)])
    assert parse_offer(text).unavailable == 1
    found = proved(made, text)
    assert [each.tcbm for each in found.certificates] == [tcbm(LOW), tcbm(HIGH)]
    assert found.fmspc == made.setting.extension.fmspc
    assert found.certificates[0].pem == pck_certificate(made.setting, LOW)
    assert len({each.serial for each in found.certificates}) == 2


def another(tcb: Svns, **changes: object) -> bytes:
    return pck_certificate(world(changes={f"extension.{name}": value for name, value in changes.items()}).setting, tcb)


def stated(tcb: Svns, cert: bytes | str) -> JsonObject:
    return {"tcbm": tcbm(tcb), "cert": cert if isinstance(cert, str) else quote(cert)}


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (stated(LOW, another(LOW, ppid=bytes(16))), "DJ570"),
        (stated(LOW, another(LOW, fmspc=bytes(6))), "DJ570"),
        (stated(LOW, another(LOW, pce_id=b"\0\1")), "DJ570"),
        (stated(LOW, another(LOW, cpu_svn=bytes(COMPONENTS))), "DJ570"),
        (stated(((0,) * 16, 1), pck_certificate(MADE.setting, LOW)), "DJ570"),
        (stated(LOW, pck_certificate(world(changes={"hierarchy.pck.signed_by": "ANOTHER"}).setting, LOW)), "DJ222"),
        (stated(LOW, MADE.certificates[SimulatedRole.TCB_SIGNING]), "DJ208"),
        (stated(LOW, MADE.certificates[SimulatedRole.PROCESSOR_CA]), "DJ208"),
        (stated(LOW, pck_certificate(MADE.setting, LOW) * 2), "DJ204"),
        (stated(LOW, "not available"), "DJ204"),
        (stated(LOW, "\ud800"), "DJ204"),
        (stated(LOW, "A" * 5000), "DJ211"),
        ({"tcbm": tcbm(LOW)[:-2], "cert": "Not available"}, "DJ211"),
        ({"tcbm": tcbm(LOW)}, "DJ211"),
        ({"cert": quote(pck_certificate(MADE.setting, LOW))}, "DJ211"),
        ([], "DJ211"),
    ],
)
def test_one_wrong_certificate_spoils_them_all(entry: object, code: str) -> None:
    good = json.loads(pckcerts(MADE.setting, [HIGH]))
    with pytest.raises(DonjonError) as refused:
        proved(MADE, json.dumps([*good, entry]).encode())
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"root_crl.revoked": frozenset({SimulatedRole.PROCESSOR_CA})}, "DJ224"),
        ({"hierarchy.processor_ca.signed_by": "ANOTHER"}, "DJ222"),
        ({"hierarchy.processor_ca.path_length": 1}, "DJ222"),
    ],
)
def test_the_authority_above_them_is_proved_too(changes: dict[str, object], code: str) -> None:
    made = world(changes=changes)
    with pytest.raises(Untrusted) as refused:
        proved(made, pckcerts(made.setting, [HIGH]))
    assert refused.value.code == code


@pytest.mark.parametrize(
    "above",
    [
        (SimulatedRole.PLATFORM_CA, SimulatedRole.ROOT),
        (SimulatedRole.ROOT, SimulatedRole.PROCESSOR_CA),
        (SimulatedRole.TCB_SIGNING, SimulatedRole.ROOT),
    ],
)
def test_another_chain_is_refused(above: tuple[SimulatedRole, SimulatedRole]) -> None:
    made = world()
    with pytest.raises(Untrusted):
        proved(made, pckcerts(made.setting, [HIGH]), b"".join(made.certificates[each] for each in above))


@pytest.mark.parametrize("text", [b"", b"{}", b"[", b"[]", b"[1]", b'[{"tcbm":"00","tcbm":"00"}]', b"[" + b"{}," * 200 + b"{}]"])
def test_an_answer_that_is_no_list_of_certificates_is_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        parse_offer(text)


def test_more_certificates_than_any_platform_has_are_refused() -> None:
    made = world()
    entry = json.loads(pckcerts(made.setting, [HIGH]))[0]
    assert len(parse_offer(json.dumps([entry] * MAX_CERTIFICATES).encode()).certificates) == MAX_CERTIFICATES
    with pytest.raises(Malformed, match="DJ210"):
        parse_offer(json.dumps([entry] * (MAX_CERTIFICATES + 1)).encode())


def intels(name: str) -> tuple[bytes, bytes]:
    """An answer of Intel's service, as its list and its chain."""
    kept = strict_json.parse((REAL / name).read_bytes(), "file")
    listed = [{"tcbm": each.text("tcbm"), "cert": quote(each.text("cert"), safe=" ")} for each in kept.members("pck_data")]
    return json.dumps(listed).encode(), b"".join(each.encode() for each in kept.texts("ca_chain"))


def of_intel(name: str, anchor: Anchor = INTEL) -> PckCertificates:
    text, above = intels(name)
    lists = sorted((ROOT / "intel-collateral" / "crl").glob("*root*"))
    _, revoked = prove_root_crl(Answer(body=lists[-1].read_bytes(), chain=above), anchor)
    return pck_certificates.prove(parse_offer(text).certificates, above, PCE_ID, revoked, anchor)


@pytest.mark.parametrize(
    ("name", "count", "unavailable", "family"),
    [
        ("00000000000000000000000000000000.certs", 3, 2, "00606a000000"),
        ("16a5b41ebb076d263a1e39e64e7175e7.certs", 12, 0, "00906ea10000"),
        ("881c3086c0eef78f60f5702a7e379efe.certs", 5, 0, "90806f000000"),
    ],
)
def test_what_intels_service_answered_is_proved_under_intels_root(name: str, count: int, unavailable: int, family: str) -> None:
    found = of_intel(name)
    assert (len(found.certificates), parse_offer(intels(name)[0]).unavailable) == (count, unavailable)
    assert found.fmspc.hex() == family


def test_under_another_root_nothing_of_intels_is_proved() -> None:
    with pytest.raises(Untrusted):
        of_intel("881c3086c0eef78f60f5702a7e379efe.certs", intel.anchor(world().root))


COFFEE_LAKE = ("16a5b41ebb076d263a1e39e64e7175e7.certs", "sgx_v3_00906ea10000_eval17_2024-10-25_20465d.json")
SAPPHIRE_RAPIDS = ("881c3086c0eef78f60f5702a7e379efe.certs", "sgx_v3_90806f000000_eval19_2025-08-08_832615.json")


@pytest.mark.parametrize(
    ("names", "cpu_svn", "pce_svn", "best"),
    [
        (SAPPHIRE_RAPIDS, "08080202040100ff", 11, "08080202040100FF00000000000000000B00"),
        (SAPPHIRE_RAPIDS, "09090202040100ff", 13, "08080202040100FF00000000000000000B00"),
        (SAPPHIRE_RAPIDS, "07080202040100ff", 11, "07070202030100FF00000000000000000B00"),
        (SAPPHIRE_RAPIDS, "08080202040100ff", 10, "05050202030100FF00000000000000000500"),
        (SAPPHIRE_RAPIDS, "05050202030100fe", 11, None),
        (COFFEE_LAKE, "1414020401800700", 13, "0E0E02040180070000000000000000000A00"),
        (COFFEE_LAKE, "0e0e020401800600", 10, "0E0E02040180000000000000000000000A00"),
        (COFFEE_LAKE, "0d0e020401800700", 9, "0D0D02040180030000000000000000000900"),
        (COFFEE_LAKE, "0505020401800100", 6, "050502040180010000000000000000000600"),
        (COFFEE_LAKE, "0505020401800000", 6, "050502040180000000000000000000000600"),
        (COFFEE_LAKE, "0202020401800000", 3, None),
    ],
)
def test_of_intels_certificates_the_best_is_selected(
    names: tuple[str, str], cpu_svn: str, pce_svn: int, best: str | None
) -> None:
    certificates = of_intel(names[0]).certificates
    text = (ROOT / "intel-collateral" / "tcbinfo" / names[1]).read_bytes()
    info = tcb_info.parse(unwrap(text, "tcbInfo").text if text.lstrip().startswith(b'{"tcbInfo"') else text)
    raw = Tcb(components=bytes.fromhex(cpu_svn) + bytes(8), pce_svn=pce_svn)
    found = select(raw, [each.tcb for each in certificates], info.levels)
    assert (None if found is None else certificates[found].tcbm) == best
