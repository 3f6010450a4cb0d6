"""What an administrator brings, read and not yet proved."""

import json

import pytest
from tests.collateral.machines import ENCRYPTED_PPID, HIGH, LOW
from tests.collateral.uploads import changed, upload, whole
from tests.simulation.intel import MOMENT, world

from donjon.collateral import plan
from donjon.collateral.bundle import files
from donjon.collateral.plan import Channel
from donjon.collateral.upload import parse
from donjon.errors import DonjonError
from donjon.sgx.platform import Ca, Tee
from donjon.simulation.intel.certificates import SimulatedRole
from donjon.simulation.intel.machines import UNAVAILABLE, pckcerts, tcbm

MADE = world()
COMPLETE = whole(MADE)
OF = "collaterals"


@pytest.mark.parametrize("spaces", [True, False])
def test_the_documents_are_again_as_intel_signed_them(spaces: bool) -> None:  # noqa: FBT001 - a table's value.
    found = parse(upload(MADE, spaces=spaces), MOMENT)
    parts, fmspc = files(MADE.collateral), MADE.setting.extension.fmspc
    infos = [plan.tcb_info(Tee.SGX, fmspc, channel).name() for channel in Channel]
    others = [plan.qe_identity(Tee.SGX, Channel.STANDARD), plan.pck_crl(Ca.PROCESSOR), plan.root_ca_crl()]
    assert set(found.answers) == {*infos, *(each.name() for each in others)}
    assert {found.answers[name].body for name in infos} == {parts["tcb_info.json"]}
    assert [found.answers[each.name()].body for each in others] == [parts["qe_identity.json"], MADE.pck_crl, MADE.root_ca_crl]
    platform = found.platforms[0]
    assert platform.registration.encrypted_ppid == ENCRYPTED_PPID
    assert (len(platform.certificates), platform.fetched_at, platform.whole) == (2, MOMENT, True)


def test_appraisal_policies_and_what_else_nobody_knows_are_left_out() -> None:
    text = changed(json.loads(json.dumps(COMPLETE)), {f"{OF}.appraisal_policies": [{"policy": "x"}]})
    assert parse(text, MOMENT) == parse(json.dumps(COMPLETE).encode(), MOMENT)


CERTS = f"{OF}.pck_certs.0.certs"
CHAINS = f"{OF}.certificates"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"platforms": None}, "DJ211"),
        ({"platforms": {}}, "DJ211"),
        ({"platforms": [{}] * 1001}, "DJ211"),
        ({"platforms.0.enc_ppid": "00"}, "DJ211"),
        ({"platforms.0.qe_id": ""}, "DJ211"),
        ({OF: None}, "DJ211"),
        ({f"{OF}.version": 3}, "DJ211"),
        ({f"{OF}.version": None}, "DJ211"),
        ({f"{OF}.pck_certs": None}, "DJ211"),
        ({f"{OF}.tcbinfos": None}, "DJ211"),
        ({f"{OF}.tcbinfos.0.fmspc": "00"}, "DJ211"),
        ({f"{OF}.tcbinfos.0.sgx_tcbinfo": "{}"}, "DJ211"),
        ({f"{OF}.tcbinfos.0.sgx_tcbinfo": {"tcbInfo": {"a": 0.5}}}, "DJ210"),
        ({f"{OF}.qeidentity": {}}, None),
        ({f"{OF}.qeidentity": [1]}, "DJ211"),
        ({f"{OF}.rootcacrl": "zz"}, "DJ211"),
        ({f"{OF}.rootcacrl": "0"}, "DJ211"),
        ({f"{OF}.pckcacrl": "00"}, "DJ211"),
        ({f"{OF}.pckcacrl": {"platformCrl": "00"}}, "DJ575"),
        ({CHAINS: None}, "DJ211"),
        ({f"{CHAINS}.SGX-PCK-Certificate-Issuer-Chain": {}}, "DJ575"),
        ({f"{CHAINS}.TCB-Info-Issuer-Chain": None}, "DJ211"),
        ({CERTS: []}, "DJ575"),
        ({CERTS: [{"tcbm": tcbm(HIGH), "cert": UNAVAILABLE}]}, "DJ575"),
        ({f"{CERTS}.0.tcbm": tcbm(LOW)}, "DJ570"),
        ({f"{CERTS}.0.cert": MADE.certificates[SimulatedRole.TCB_SIGNING].decode()}, "DJ208"),
        ({CERTS: json.loads(pckcerts(MADE.setting, [HIGH])) * 200}, "DJ211"),
    ],
)
def test_what_is_incomplete_or_of_another_form_is_refused(changes: dict[str, object], code: str | None) -> None:
    text = changed(json.loads(json.dumps(COMPLETE)), changes)
    if code is None:
        assert plan.qe_identity(Tee.SGX, Channel.STANDARD).name() not in parse(text, MOMENT).answers
        return
    with pytest.raises(DonjonError) as refused:
        parse(text, MOMENT)
    assert refused.value.code == code


@pytest.mark.parametrize("text", [b"", b"[]", b"{" * 100_000, b'{"platforms":[],"platforms":[]}', b" " * ((2 << 20) + 1)])
def test_what_is_no_upload_is_malformed(text: bytes) -> None:
    with pytest.raises(DonjonError, match="DJ21"):
        parse(text, MOMENT)
