"""The PCCS routes, against a PCCS of the make-believe Intel's as the upstream."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote

import pytest
from tests.adapters.fakepccs import Pccs, answers, serving
from tests.services.pccs import V4, Here, running, settings
from tests.simulation.intel import MOMENT, world

from donjon.adapters.http import Response
from donjon.adapters.metrics.attestation import AttestationMetrics
from donjon.adapters.storage.collateral import CollateralTable
from donjon.adapters.storage.database import Database
from donjon.collateral.bundle import files
from donjon.services.attestation import run
from donjon.services.attestation.database_health import DatabaseHealth
from donjon.services.attestation.pccs import single_flight
from donjon.services.attestation.pccs.cache import Cache
from donjon.services.attestation.settings.service import AttestationSettings
from donjon.simulation.intel.certificates import SimulatedRole
from donjon.simulation.intel.world import World

TDX = "/tdx/certification/v4"
Story = Callable[[Here], Awaitable[None]]


@pytest.fixture
def made() -> World:
    return world(ca=SimulatedRole.PLATFORM_CA)


def told(chosen: AttestationSettings, story: Story) -> None:
    async def tell() -> None:
        async with running(chosen) as here:
            await story(here)

    asyncio.run(tell())


def fmspc(made: World) -> str:
    return made.setting.extension.fmspc.hex()


def test_every_document_comes_back_byte_for_byte_with_its_chain(made: World, lazy: AttestationSettings) -> None:
    parts = files(made.collateral)
    lists = {name: (content, content.hex().encode()) for name, content in parts.items() if name.endswith(".der")}

    async def story(here: Here) -> None:
        for path, query, body, kind, header, chain in (
            (f"{V4}/tcb", {"fmspc": fmspc(made).upper()}, parts["tcb_info.json"], "application/json", *_tcb(made)),
            (
                f"{V4}/tcb",
                {"fmspc": fmspc(made).lower(), "update": "EARLY"},
                parts["tcb_info.json"],
                "application/json",
                *_tcb(made),
            ),
            (f"{V4}/qe/identity", {}, parts["qe_identity.json"], "application/json", *_identity(made)),
            (f"{V4}/pckcrl", {"ca": "platform"}, lists["pck_crl.der"][1], "application/x-pem-file", *_crl(made)),
            (f"{V4}/pckcrl", {"ca": "Platform", "encoding": "DER"}, lists["pck_crl.der"][0], "application/pkix-crl", *_crl(made)),
            (f"{V4}/rootcacrl", {}, lists["root_ca_crl.der"][1], "application/pkix-crl", "", b""),
            ("/sgx/certification/v3/qe/identity", {}, parts["qe_identity.json"], "application/json", *_identity(made)),
        ):
            answer = await here.get(path, **query)
            assert (answer.status_code, answer.content) == (200, body), path
            assert answer.headers["content-type"] == kind
            if header:
                assert unquote(answer.headers[header]).encode() == chain
                assert "+" not in answer.headers[header]

    told(lazy, story)


def _tcb(made: World) -> tuple[str, bytes]:
    return "TCB-Info-Issuer-Chain", made.tcb_info_issuer_chain


def _identity(made: World) -> tuple[str, bytes]:
    return "SGX-Enclave-Identity-Issuer-Chain", made.qe_identity_issuer_chain


def _crl(made: World) -> tuple[str, bytes]:
    return "SGX-PCK-CRL-Issuer-Chain", made.pck_crl_issuer_chain


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/tcb", "", 400),
        ("/tcb", "fmspc=00606a00000", 400),
        ("/tcb", "fmspc=00606a00000g", 400),
        ("/tcb", "fmspc=%D9%A0%D9%A0606a000000", 400),
        ("/tcb", "fmspc=00606a000000&update=soon", 400),
        ("/tcb", "FMSPC=00606a000000", 400),
        ("/tcb", "fmspc=x&fmspc=00606a000000", 400),
        ("/pckcrl", "", 400),
        ("/pckcrl", "ca=root", 400),
        ("/qe/identity", "update=", 400),
        ("/qve/identity", "", 404),
        ("/platforms", "", 401),
        ("/appraisalpolicy", "fmspc=00606a000000", 404),
        ("/refresh", "", 401),
    ],
)
def test_what_is_asked_wrongly_or_not_there_is_told_by_pccs_statuses(
    lazy: AttestationSettings, path: str, query: str, status: int
) -> None:
    async def story(here: Here) -> None:
        answer = await here.client.get(f"{here.address}{V4}{path}?{query}")
        assert answer.status_code == status
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"

    told(lazy, story)


def test_version_3_of_tcb_infos_has_ended(lazy: AttestationSettings) -> None:
    async def story(here: Here) -> None:
        assert (await here.get("/sgx/certification/v3/tcb", fmspc="00606a000000")).status_code == 410

    told(lazy, story)


LISTS = "https://certificates.trustedservices.intel.com/IntelSGXRootCA"
API = "https://api.trustedservices.intel.com/sgx/certification"


def test_lists_are_served_by_the_addresses_that_certificates_state(made: World, lazy: AttestationSettings) -> None:
    async def story(here: Here) -> None:
        for uri, body in (
            (f"{LISTS}.der", made.root_ca_crl),
            (f"{LISTS}.crl", made.root_ca_crl),
            (f"{API}/v3/pckcrl?ca=platform&encoding=der", made.pck_crl),
            (f"{API}/v4/pckcrl?ca=platform", made.pck_crl),
        ):
            answer = await here.get(f"{V4}/crl", uri=uri)
            assert (answer.status_code, answer.content) == (200, body)

    told(lazy, story)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        f"{LISTS}.pem",
        f"{LISTS}.der?x",
        f"{LISTS}.der\n",
        LISTS.replace("https", "http") + ".der",
        LISTS.replace("com/", "com:443/") + ".der",
        LISTS.replace("https://", "https://user@") + ".der",
        LISTS.replace("https://", "https://evil-") + ".der",
        LISTS.replace("intel.com", "intel.com.evil.example") + ".der",
        LISTS.replace("intel.com/", "intel.com@169.254.169.254/") + ".der",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        f"{API}/v4/pckcrl?ca=platform&encoding=der&x=" + "y" * 2048,
        f"{API}/v4/../v4/pckcrl?ca=platform",
        f"{API}/v5/pckcrl?ca=platform",
    ],
)
def test_no_other_address_is_taken_and_none_is_fetched(lazy: AttestationSettings, upstream: Pccs, uri: str) -> None:
    async def story(here: Here) -> None:
        assert (await here.get(f"{V4}/crl", uri=uri)).status_code == 400
        assert upstream.asked == []

    told(lazy, story)


def test_what_was_fetched_is_served_offline_after_a_new_start(made: World, lazy: AttestationSettings, upstream: Pccs) -> None:
    async def fetching(here: Here) -> None:
        assert (await here.get(f"{V4}/tcb", fmspc=fmspc(made))).status_code == 200
        count = len(upstream.asked)
        assert (await here.get(f"{V4}/tcb", fmspc=fmspc(made))).status_code == 200
        assert len(upstream.asked) == count

    async def offline(here: Here) -> None:
        answer = await here.get(f"{V4}/tcb", fmspc=fmspc(made))
        assert answer.content == files(made.collateral)["tcb_info.json"]
        assert (await here.get(f"{V4}/qe/identity")).status_code == 404

    told(lazy, fetching)
    told(settings(Path(lazy.database.removeprefix("sqlite:///")).parent, made.root), offline)


def test_what_has_ended_is_served_no_longer(made: World, lazy: AttestationSettings) -> None:
    async def fetching(here: Here) -> None:
        assert (await here.get(f"{V4}/qe/identity")).status_code == 200

    async def offline(here: Here) -> None:
        assert (await here.get(f"{V4}/qe/identity")).status_code == 404
        assert (await here.get(f"{V4}/rootcacrl")).status_code == 200

    told(lazy, fetching)
    folder = Path(lazy.database.removeprefix("sqlite:///")).parent
    told(settings(folder, made.root, moment=MOMENT + timedelta(days=29)), offline)


def test_an_older_document_does_not_replace_a_newer_one_and_an_absent_upstream_takes_nothing_away(
    made: World, lazy: AttestationSettings, upstream: Pccs
) -> None:
    token = hashlib.sha512(b"t").digest()
    path = "/sgx/certification/v4/tcb"
    older = answers(world(changes={"tcb_info.evaluation_number": 19}, ca=SimulatedRole.PLATFORM_CA))[path]

    async def story(here: Here) -> None:
        before = await here.get(path, fmspc=fmspc(made))
        for worse in (older, (503, {}, b""), (200, {}, b"{}"), (302, {"Location": "http://127.0.0.1:1"}, b"")):
            upstream.answers[path] = worse
            assert (await here.refresh("t")).status_code == 502
            assert (await here.get(path, fmspc=fmspc(made))).content == before.content

    told(replace(lazy, admin_token_hash=token), story)


@pytest.mark.parametrize("token", ["", "u", "tt"])
def test_only_the_token_whose_hash_is_known_opens(lazy: AttestationSettings, token: str) -> None:
    async def story(here: Here) -> None:
        assert (await here.refresh(token)).status_code == 401

    told(replace(lazy, admin_token_hash=hashlib.sha512(b"t").digest()), story)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"signing.tcb_info_by": "ANOTHER"}, "/tcb"),
        ({"signing.qe_identity_by": "ANOTHER"}, "/qe/identity"),
        ({"pck_crl.signed_by": "ANOTHER"}, "/pckcrl"),
        ({"root_crl.signed_by": "ANOTHER"}, "/rootcacrl"),
        ({"root_crl.revoked": frozenset({SimulatedRole.TCB_SIGNING})}, "/tcb"),
        ({"root_crl.revoked": frozenset({SimulatedRole.PLATFORM_CA})}, "/pckcrl"),
        ({"tcb_info.fmspc": bytes(6)}, "/tcb"),
        ({"qe_identity.identity": "TD_QE"}, "/qe/identity"),
        ({"signing.tcb_info_chain": (SimulatedRole.PLATFORM_CA, SimulatedRole.ROOT)}, "/tcb"),
        ({"tcb_info.next_update": MOMENT - timedelta(seconds=1)}, "/tcb"),
    ],
)
def test_what_cannot_be_proved_is_neither_served_nor_kept(tmp_path: Path, changes: dict[str, object], path: str) -> None:
    wrong, good = world(changes=changes, ca=SimulatedRole.PLATFORM_CA), world(ca=SimulatedRole.PLATFORM_CA)

    async def story(here: Here) -> None:
        asked = await here.get(V4 + path, fmspc=fmspc(good), ca="platform")
        assert asked.status_code == 502, asked.text

    with serving(Pccs(answers(wrong))) as upstream:
        told(settings(tmp_path, wrong.root, upstream.address), story)

    async def offline(here: Here) -> None:
        assert (await here.get(V4 + path, fmspc=fmspc(good), ca="platform")).status_code == 404

    told(settings(tmp_path, wrong.root), offline)


def test_under_intels_root_nothing_make_believe_is_served(upstream: Pccs, made: World, tmp_path: Path) -> None:
    async def story(here: Here) -> None:
        assert (await here.get(f"{V4}/tcb", fmspc=fmspc(made))).status_code == 502

    told(settings(tmp_path, None, upstream.address), story)


def test_a_database_that_was_written_by_others_is_not_believed(made: World, lazy: AttestationSettings) -> None:
    async def fetching(here: Here) -> None:
        assert (await here.get(f"{V4}/tcb", fmspc=fmspc(made))).status_code == 200

    async def offline(here: Here) -> None:
        assert (await here.get(f"{V4}/tcb", fmspc=fmspc(made))).status_code == 404

    told(lazy, fetching)
    folder = Path(lazy.database.removeprefix("sqlite:///")).parent
    told(settings(folder, world(changes={"hierarchy.root.key": "ANOTHER", "hierarchy.root.signed_by": "ANOTHER"}).root), offline)


def test_many_who_want_the_same_cost_one_request(made: World, lazy: AttestationSettings, upstream: Pccs) -> None:
    async def story(here: Here) -> None:
        found = await asyncio.gather(*(here.get(f"{V4}/tcb", fmspc=fmspc(made)) for _ in range(20)))
        assert {each.status_code for each in found} == {200}
        assert sorted(path.rpartition("/")[2] for path, _ in upstream.asked) == ["rootcacrl", "tcb"]

    told(lazy, story)


def said(probe: Callable[[], Response], status: int) -> bytes:
    answer = probe()
    assert answer.status == status
    return answer.body


def test_it_is_ready_while_it_could_answer_something_and_until_it_is_told_to_stop(lazy: AttestationSettings) -> None:
    async def fetching(here: Here) -> None:
        assert (await here.get(f"{V4}/qe/identity")).status_code == 200

    told(lazy, fetching)
    moments, stopped, metrics = [MOMENT], asyncio.Event(), AttestationMetrics("test")
    database = Database(lazy.database)
    cache = Cache(
        store=CollateralTable(database),
        upstream=None,
        anchor=lazy.anchor,
        moment=lambda: moments[-1],
        seconds=lambda: 0.0,
        chance=lambda: 0.5,
        metrics=metrics,
    )
    standing = DatabaseHealth(database, writing=False)
    ready = run._probes(metrics, cache.usable, standing, stopped, caveat=str)["/readyz"]

    def figures() -> tuple[float | None, float | None]:
        ready, up = (metrics.registry.get_sample_value(f"donjon_attestation_{name}") for name in ("ready", "database_up"))
        return ready, up

    assert b"donjon collateral import" in said(ready, 503)  # Nothing is here yet.
    assert figures() == (0, 1)
    cache.load()
    assert ready().status == 200
    assert figures() == (1, 1)
    moments.append(MOMENT + timedelta(days=400))
    assert b"[DJ512]" in said(ready, 503)
    moments.append(MOMENT)
    with database.changing() as connection:
        connection.exec_driver_sql("ALTER TABLE alembic_version RENAME TO away")
    asyncio.run(standing.look())
    assert said(ready, 503).strip().endswith(b"the database is away [DJ502]; the log has its own words")
    assert figures() == (0, 0)
    with database.changing() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO alembic_version")
    asyncio.run(standing.look())
    assert ready().status == 200
    stopped.set()
    assert said(ready, 503) == b"stopping\n"
    database.close()


def test_who_asks_again_and_again_for_what_is_not_here_is_told_to_wait_and_what_is_here_is_served(
    made: World, lazy: AttestationSettings, upstream: Pccs
) -> None:
    async def story(here: Here) -> None:
        assert (await here.get(f"{V4}/tcb", fmspc=fmspc(made))).status_code == 200
        before = len(upstream.asked)
        upstream.answers = {path: reply for path, reply in upstream.answers.items() if not str(path).endswith("/tcb")}
        found = [(await here.get(f"{TDX}/tcb", fmspc=f"{number:012x}")).status_code for number in range(9)]
        assert set(found) == {404, 429}
        assert len(upstream.asked) == before + found.count(404)
        platform = {"cpusvn": "00" * 16, "pcesvn": "0000", "pceid": "0000"}
        refused = [await here.get(f"{V4}/pckcert", qeid=f"{number:032x}", **platform) for number in range(9)]
        assert [each.status_code for each in refused if "DJ560" in each.text].count(429) >= 5
        assert [(await here.get(f"{V4}/tcb", fmspc=fmspc(made))).status_code for _ in range(9)] == [200] * 9

    told(replace(lazy, rate_limit=1), story)


def test_while_as_much_is_fetched_as_can_be_something_new_is_refused_and_what_is_here_is_served(
    made: World, lazy: AttestationSettings, upstream: Pccs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(single_flight, "MAX_UNDER_WAY", 4)

    async def story(here: Here) -> None:
        assert (await here.get(f"{V4}/tcb", fmspc=fmspc(made))).status_code == 200
        before = len(upstream.asked)
        with upstream.hanging():
            waiting = [asyncio.create_task(here.get(f"{V4}/tcb", fmspc=f"{number:012x}")) for number in range(4)]
            while len(upstream.asked) < before + 4:  # noqa: ASYNC110 - a thread asks.
                await asyncio.sleep(0.01)
            refused = await here.get(f"{V4}/tcb", fmspc="ff" * 6)
            assert (refused.status_code, "DJ518" in refused.text) == (503, True)
            assert (await here.get(f"{V4}/tcb", fmspc=fmspc(made))).status_code == 200
        await asyncio.gather(*waiting)

    told(lazy, story)
