"""What administrators bring over HTTP: all of it is proved, then all of it is kept."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.collateral.machines import ENCRYPTED_PPID, HIGH, LOW
from tests.collateral.uploads import changed, upload, whole
from tests.services.pccs import V4, Here, settings
from tests.services.test_attestation_platforms import SAID, check, offline, told, waiting
from tests.simulation.intel import MOMENT, world

from donjon.collateral.bundle import files
from donjon.simulation.intel.certificates import SimulatedRole
from donjon.simulation.intel.machines import pckcerts
from donjon.simulation.intel.world import World

PATH = f"{V4}/platformcollateral"
OF = "collaterals"
ANOTHER = {"hierarchy.root.key": "ANOTHER", "hierarchy.root.signed_by": "ANOTHER"}


@pytest.mark.parametrize("ca", [SimulatedRole.PROCESSOR_CA, SimulatedRole.PLATFORM_CA])
def test_a_platform_that_waits_offline_is_served_when_its_collateral_was_brought(tmp_path: Path, ca: SimulatedRole) -> None:
    made = world(ca=ca)
    parts = files(made.collateral)

    async def bringing(here: Here) -> None:
        assert (await here.send("POST", f"{V4}/platforms", json.dumps(SAID).encode(), user="u")).status_code == 200
        assert (await here.certificate(HIGH)).status_code == 461
        for _ in range(2):
            assert [each["enc_ppid"] for each in await waiting(here)] == [ENCRYPTED_PPID.hex()]
        done = await here.send("PUT", PATH, upload(made), admin="a")
        assert (done.status_code, done.text) == (200, "Operation successful.\n")
        assert await waiting(here) == []
        await serving(here)

    async def serving(here: Here) -> None:
        check(await here.certificate(LOW), made, LOW)
        answer = await here.get(f"{V4}/tcb", fmspc=made.setting.extension.fmspc.hex(), update="early")
        assert answer.content == parts["tcb_info.json"]
        assert (await here.get(f"{V4}/qe/identity")).content == parts["qe_identity.json"]
        assert (await here.get(f"{V4}/pckcrl", ca=str(ca.value.split()[2].lower()), encoding="der")).content == made.pck_crl
        assert [each["enc_ppid"] for each in await waiting(here, "[]")] == [ENCRYPTED_PPID.hex()]

    told(offline(tmp_path, made), bringing)
    told(offline(tmp_path, made), serving)


def spoiled(changes: dict[str, object]) -> bytes:
    return changed(whole(world()), changes)


def of(changes: Mapping[str, object]) -> World:
    return world(changes=changes)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (upload(of(ANOTHER)), 460, "DJ220"),
        (upload(of({"signing.tcb_info_by": "ANOTHER"})), 460, "DJ230"),
        (upload(of({"signing.qe_identity_by": "ANOTHER"})), 460, "DJ230"),
        (upload(of({"pck_crl.signed_by": "ANOTHER"})), 460, "DJ225"),
        (upload(of({"root_crl.signed_by": "ANOTHER"})), 460, "DJ225"),
        (upload(of({"root_crl.revoked": frozenset({SimulatedRole.PROCESSOR_CA})})), 460, "DJ224"),
        (upload(of({"hierarchy.pck.signed_by": "ANOTHER"})), 460, "DJ222"),
        (upload(of({"extension.pce_id": b"\0\1"})), 460, "DJ570"),
        (upload(of({"qe_identity.identity": "TD_QE"})), 460, "DJ510"),
        (spoiled({f"{OF}.tcbinfos.0.sgx_tcbinfo.tcbInfo.tcbEvaluationDataNumber": 99}), 460, "DJ230"),
        (spoiled({f"{OF}.tcbinfos.0.fmspc": "000000000000"}), 460, "DJ510"),
        (
            spoiled({f"{OF}.pck_certs.0.certs": json.loads(pckcerts(of({"extension.fmspc": bytes(6)}).setting, [HIGH]))}),
            400,
            "DJ575",
        ),
        (spoiled({f"{OF}.tcbinfos": []}), 400, "DJ575"),
        (spoiled({f"{OF}.pckcacrl": {}}), 400, "DJ575"),
        (spoiled({f"{OF}.rootcacrl": ""}), 400, "DJ511"),
        (spoiled({f"{OF}.version": 3}), 400, "DJ211"),
        (b"{}", 400, "DJ211"),
        (b"no", 400, "DJ210"),
    ],
)
def test_one_part_that_is_not_proved_spoils_all_of_it(tmp_path: Path, body: bytes, status: int, code: str) -> None:
    async def story(here: Here) -> None:
        answer = await here.send("PUT", PATH, body, admin="a")
        assert (answer.status_code, f"[{code}]" in answer.text) == (status, True), answer.text
        for path, query in (("tcb", {"fmspc": world().setting.extension.fmspc.hex()}), ("qe/identity", {}), ("rootcacrl", {})):
            assert (await here.get(f"{V4}/{path}", **query)).status_code == 404
        assert (await here.certificate(HIGH)).status_code == 461

    told(offline(tmp_path, world()), story)


def test_older_documents_than_those_that_are_here_are_left_and_the_platforms_are_taken(tmp_path: Path) -> None:
    older = world(changes={"tcb_info.evaluation_number": 19, "root_crl.issue_date": MOMENT - timedelta(days=40)})
    good = world()

    async def story(here: Here) -> None:
        for each in (upload(good), upload(older, [LOW])):
            assert (await here.send("PUT", PATH, each, admin="a")).status_code == 200
        fmspc = good.setting.extension.fmspc.hex()
        assert (await here.get(f"{V4}/tcb", fmspc=fmspc)).content == files(good.collateral)["tcb_info.json"]
        assert (
            await here.get(f"{V4}/crl", uri="https://certificates.trustedservices.intel.com/IntelSGXRootCA.der")
        ).content == good.root_ca_crl
        check(await here.certificate(HIGH), good, LOW)

    told(offline(tmp_path, good), story)


def test_an_older_list_of_the_roots_does_not_hide_what_is_revoked_now(tmp_path: Path) -> None:
    revoking = world(
        changes={"root_crl.revoked": frozenset({SimulatedRole.TCB_SIGNING}), "root_crl.issue_date": MOMENT - timedelta(days=1)}
    )
    newer = changed(whole(revoking), {f"{OF}.tcbinfos": [], f"{OF}.pck_certs": [], f"{OF}.qeidentity": ""})

    async def story(here: Here) -> None:
        assert (await here.send("PUT", PATH, newer, admin="a")).status_code == 200
        assert "DJ224" in (await here.send("PUT", PATH, upload(world()), admin="a")).text
        assert (await here.certificate(HIGH)).status_code == 461

    told(offline(tmp_path, world()), story)


def test_what_has_ended_is_not_taken(tmp_path: Path) -> None:
    good = world()

    async def story(here: Here) -> None:
        assert (await here.send("PUT", PATH, upload(good), admin="a")).status_code == 200
        assert (await here.get(f"{V4}/qe/identity")).status_code == 404

    told(replace(offline(tmp_path, good), moment=MOMENT + timedelta(days=60)), story)


def test_a_cache_of_another_world_takes_nothing_of_it(tmp_path: Path) -> None:
    async def story(here: Here) -> None:
        assert (await here.send("PUT", PATH, upload(world()), admin="a")).status_code == 460

    told(replace(settings(tmp_path), admin_token_hash=offline(tmp_path, world()).admin_token_hash), story)
