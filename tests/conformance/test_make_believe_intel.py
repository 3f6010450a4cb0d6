"""What the make-believe Intel makes, judged by others' work: for dcap-qvl 0.7.0 it is Intel's under another root."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.conformance.peer import Opinion, Peer, question
from tests.simulation.intel import MOMENT, world

from donjon.simulation.intel.certificates import SimulatedRole
from donjon.simulation.intel.setting import SHAPES

CAS = (SimulatedRole.PROCESSOR_CA, SimulatedRole.PLATFORM_CA)
JUDGED = ("v3 SGX", "v4 TDX 1.0", "v5 TDX 1.0", "v5 TDX 1.5")
"""The kinds that dcap-qvl reads; SGX it reads only in version 3."""

ADVISORIES = ("INTEL-SA-00001", "INTEL-SA-00614")


@pytest.mark.parametrize("ca", CAS)
@pytest.mark.parametrize("kind", JUDGED)
def test_a_valid_world_is_up_to_date_for_others_too(peer: Peer, kind: str, ca: SimulatedRole) -> None:
    made = world(kind, ca=ca)
    assert peer.ask(question(made)) == Opinion(status="UpToDate", ppid=made.setting.extension.ppid.hex())


@pytest.mark.parametrize("kind", sorted(set(SHAPES) - set(JUDGED)))
def test_others_refuse_sgx_in_later_versions_for_their_version_alone(peer: Peer, kind: str) -> None:
    assert peer.ask(question(world(kind))).refused == "Verification failed: SGX TEE quote must have version 3"


@pytest.mark.parametrize("kind", JUDGED)
@pytest.mark.parametrize(
    "status",
    [
        *("UpToDate", "SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded"),
        *("OutOfDate", "OutOfDateConfigurationNeeded"),
    ],
)
def test_every_status_of_a_platform_can_be_made(peer: Peer, kind: str, status: str) -> None:
    made = world(kind, {"tcb_info.levels.0.status": status, "tcb_info.levels.0.advisories": ADVISORIES})
    opinion = peer.ask(question(made))
    assert (opinion.status, opinion.advisories) == (status, frozenset(ADVISORIES))


@pytest.mark.parametrize("kind", JUDGED)
def test_a_revoked_platform_can_be_made(peer: Peer, kind: str) -> None:
    made = world(kind, {"tcb_info.levels.0.status": "Revoked"})
    assert peer.ask(question(made)).refused == "Verification failed: TCB status is invalid: Revoked"


def test_a_td_that_should_be_launched_again_can_be_made(peer: Peer) -> None:
    launched: dict[str, object] = {"quote.body.tee_tcb_svn": bytes([4, 1, 3]) + bytes(13)}
    assert peer.ask(question(world("v5 TDX 1.5", launched))).status == "TDRelaunchAdvised"
    launched |= {"tcb_info.levels.0.status": "ConfigurationNeeded"}
    assert peer.ask(question(world("v5 TDX 1.5", launched))).status == "TDRelaunchAdvisedConfigurationNeeded"


@pytest.mark.parametrize("kind", JUDGED)
@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"pck_crl.revoked": frozenset({SimulatedRole.PCK})}, "CertRevoked"),
        ({"root_crl.revoked": frozenset({SimulatedRole.PROCESSOR_CA})}, "CertRevoked"),
        ({"root_crl.revoked": frozenset({SimulatedRole.TCB_SIGNING})}, "CertRevoked"),
        ({"root_crl.revoked": frozenset({SimulatedRole.ROOT})}, "CertRevoked"),
        ({"quote.signed_by": "another key"}, "ISV enclave report signature is invalid"),
        ({"quote.qe_signed_by": "another key"}, "Signature is invalid for qe_report"),
        ({"quote.qe_report_data": bytes(64)}, "QE report hash mismatch"),
        ({"hierarchy.pck.signed_by": "another key"}, "InvalidSignatureForPublicKey"),
        ({"hierarchy.pck.ends": MOMENT - timedelta(days=1)}, "CertExpired"),
        ({"signing.tcb_info_by": "another key"}, "Signature is invalid for tcb_info"),
        ({"signing.qe_identity_by": "another key"}, "Signature is invalid for qe_identity"),
        ({"tcb_info.next_update": MOMENT - timedelta(days=1)}, "TCBInfo expired"),
        ({"tcb_info.fmspc": bytes(6)}, "Fmspc mismatch"),
        ({"qe_identity.mr_signer": bytes(32)}, "mrsigner"),
        ({"extension_value": b""}, "Intel extension not found"),
    ],
)
def test_one_changed_field_is_what_others_refuse_for(peer: Peer, kind: str, changes: dict[str, object], refusal: str) -> None:
    assert refusal.lower() in (peer.ask(question(world(kind, changes))).refused or "accepted").lower()


def test_the_root_is_taken_by_nobody_for_intels(peer: Peer) -> None:
    assert peer.ask(replace(question(world()), root=None)).status is None
