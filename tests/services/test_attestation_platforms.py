"""PCK certificates and platforms over HTTP, against a make-believe Intel, another cache, or nobody."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote

import httpx2
import pytest
from tests.adapters.fakepccs import Key, Pccs, Reply, answers, certified, serving
from tests.collateral.machines import ENCRYPTED_PPID, HIGH, LOW, issuers
from tests.services.pccs import V4, Here, running, settings
from tests.simulation.intel import MOMENT, world

from donjon.services.attestation.settings.service import AttestationSettings, CacheMode
from donjon.simulation.intel.certificates import SimulatedRole
from donjon.simulation.intel.keys import serial_number
from donjon.simulation.intel.machines import Svns, pck_certificate, tcbm
from donjon.simulation.intel.setting import COMPONENTS, PCE_SVN
from donjon.simulation.intel.world import World

Story = Callable[[Here], Awaitable[None]]

HIGHER: Svns = ((COMPONENTS[0] + 1, *COMPONENTS[1:]), PCE_SVN + 1)
LOWER: Svns = ((COMPONENTS[0] - 2, *COMPONENTS[1:]), PCE_SVN - 1)
PCKCERTS = f"{V4}/pckcerts"
TOKENS = {"admin_token_hash": hashlib.sha512(b"a").digest(), "user_token_hash": hashlib.sha512(b"u").digest()}
SAID = {
    "qe_id": "aa" * 16,
    "pce_id": "0000",
    "cpu_svn": tcbm(HIGH)[:32],
    "pce_svn": tcbm(HIGH)[32:],
    "enc_ppid": ENCRYPTED_PPID.hex(),
}


def told(chosen: AttestationSettings, story: Story) -> None:
    async def tell() -> None:
        async with running(chosen) as here:
            await story(here)

    asyncio.run(tell())


def having(made: World, *tcbs: Svns, unavailable: tuple[Svns, ...] = ()) -> dict[Key, Reply]:
    return {**answers(made), PCKCERTS: certified(made, tcbs, unavailable)}


@pytest.fixture
def made(request: pytest.FixtureRequest) -> World:
    return world(ca=getattr(request, "param", SimulatedRole.PROCESSOR_CA))


@pytest.fixture
def intel(made: World) -> Iterator[Pccs]:
    with serving(Pccs(having(made, LOW, HIGH))) as pccs:
        yield pccs


def lazy(folder: Path, made: World, intel: Pccs, **changes: object) -> AttestationSettings:
    return replace(settings(folder, made.root, intel.address), **TOKENS, **changes)  # type: ignore[arg-type] # Named by tests.


def offline(folder: Path, made: World, **changes: object) -> AttestationSettings:
    return replace(settings(folder, made.root), **TOKENS, **changes)  # type: ignore[arg-type] # 〃


def asked(intel: Pccs) -> list[str]:
    return [path.rpartition("/")[2] for path, _ in intel.asked if "pckcert" in path]


def check(answer: httpx2.Response, made: World, tcb: Svns) -> None:
    assert answer.status_code == 200, answer.text
    assert answer.content == pck_certificate(made.setting, tcb)
    assert answer.headers["content-type"] == "application/x-pem-file"
    assert answer.headers["sgx-tcbm"] == tcbm(tcb)
    assert answer.headers["sgx-fmspc"] == made.setting.extension.fmspc.hex().upper()
    assert answer.headers["sgx-pck-certificate-ca-type"] == ("PLATFORM" if made.setting.extension.configuration else "PROCESSOR")
    assert unquote(answer.headers["sgx-pck-certificate-issuer-chain"]).encode() == issuers(made)


@pytest.mark.parametrize("made", [SimulatedRole.PROCESSOR_CA, SimulatedRole.PLATFORM_CA], indirect=True)
def test_the_certificate_for_a_platforms_tcb_is_fetched_once_and_served_offline_afterwards(
    tmp_path: Path, made: World, intel: Pccs
) -> None:
    async def fetching(here: Here) -> None:
        check(await here.certificate(HIGH), made, HIGH)
        assert intel.asked[0] == (PCKCERTS, {"encrypted_ppid": ENCRYPTED_PPID.hex(), "pceid": "0000"})
        check(await here.certificate(LOW), made, LOW)
        check(await here.certificate(HIGHER), made, HIGH)
        check(await here.certificate(HIGH, qeid="AA" * 16, encrypted_ppid="00" * 384), made, HIGH)
        v3 = await here.client.get(str((await here.certificate(HIGH)).url).replace("/v4/", "/v3/"))
        check(v3, made, HIGH)
        assert asked(intel) == ["pckcerts"]
        assert (await here.certificate(LOWER)).status_code == 404

    async def afterwards(here: Here) -> None:
        check(await here.certificate(LOW), made, LOW)
        assert (await here.certificate(LOW, qeid="bb")).status_code == 461
        assert (await here.send("POST", f"{V4}/refresh?type=certs", admin="a")).status_code == 503

    told(lazy(tmp_path, made, intel), fetching)
    told(offline(tmp_path, made), afterwards)


@pytest.mark.parametrize(
    "changes",
    [
        {"qeid": ""},
        {"qeid": "a" * 261},
        {"qeid": "a\n"},
        {"cpusvn": "0b" * 15},
        {"cpusvn": "0b" * 15 + " 0"},
        {"cpusvn": "\u0660\u0661" * 16},
        {"pcesvn": "13"},
        {"pcesvn": ""},
        {"pceid": "00000"},
        {"encrypted_ppid": "00" * 383},
        {"encrypted_ppid": ""},
    ],
)
def test_what_is_asked_wrongly_is_told_and_nobody_is_asked(
    tmp_path: Path, made: World, intel: Pccs, changes: dict[str, str]
) -> None:
    async def story(here: Here) -> None:
        answer = await here.certificate(HIGH, **changes)
        assert (answer.status_code, intel.asked) == (400, [])
        assert "DJ516" in answer.text

    told(lazy(tmp_path, made, intel), story)


@pytest.mark.parametrize(
    ("reply", "status", "code"),
    [
        ((404, {}, b""), 404, "DJ512"),
        ((400, {}, b""), 404, "DJ512"),
        ((461, {}, b""), 404, "DJ512"),
        ((500, {}, b""), 502, "DJ281"),
        ((200, {}, b"[]"), 502, "DJ281"),
        (certified(world(), [], [HIGH]), 462, "DJ573"),
        (certified(world(), [HIGHER]), 404, "DJ571"),
        (certified(world(changes={"extension.pce_id": b"\0\1"}), [HIGH]), 502, "DJ570"),
        (certified(world(changes={"hierarchy.pck.signed_by": "ANOTHER"}), [HIGH]), 502, "DJ222"),
        (
            certified(world(changes={"hierarchy.root.key": "ANOTHER", "hierarchy.root.signed_by": "ANOTHER"}), [HIGH]),
            502,
            "DJ220",
        ),
        ((200, certified(world(), [HIGH])[1], b"[{}]"), 502, "DJ211"),
    ],
)
def test_what_intel_does_not_have_or_nobody_can_prove_is_not_served(tmp_path: Path, reply: Reply, status: int, code: str) -> None:
    good = world()

    async def story(here: Here) -> None:
        answer = await here.certificate(HIGH)
        assert (answer.status_code, code in answer.text) == (status, True), answer.text
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"

    async def afterwards(here: Here) -> None:
        assert (await here.certificate(HIGH)).status_code in {404, 461}

    with serving(Pccs({**answers(good), PCKCERTS: reply, f"{V4}/pckcert": (404, {}, b"")})) as intel:
        told(lazy(tmp_path, good, intel), story)
    told(offline(tmp_path, good), afterwards)


@pytest.mark.parametrize(
    "changes",
    [
        {"root_crl.revoked": frozenset({SimulatedRole.PROCESSOR_CA})},
        {"hierarchy.pck.ends": MOMENT - timedelta(seconds=1)},
        {"hierarchy.pck.begins": MOMENT + timedelta(days=1)},
    ],
)
def test_what_is_revoked_or_not_good_now_is_not_served(tmp_path: Path, changes: dict[str, object]) -> None:
    spoiled = world(changes=changes)

    async def story(here: Here) -> None:
        assert (await here.certificate(HIGH)).status_code in {404, 502}

    with serving(Pccs(having(spoiled, HIGH))) as intel:
        told(lazy(tmp_path, spoiled, intel), story)


def test_a_revoked_certificate_gives_way_to_the_next(tmp_path: Path) -> None:
    good = world()
    serial = serial_number(good.setting.seed, f"PCK {tcbm(HIGH)}")
    revoking = world(changes={"pck_crl.others": (serial,)})

    async def story(here: Here) -> None:
        check(await here.certificate(HIGH), good, LOW)

    with serving(Pccs(having(revoking, HIGH, LOW))) as intel:
        told(lazy(tmp_path, revoking, intel), story)


def test_while_intel_is_away_what_is_here_is_served_and_what_is_not_is_told(tmp_path: Path, made: World, intel: Pccs) -> None:
    async def story(here: Here) -> None:
        check(await here.certificate(HIGH), made, HIGH)
        intel.answers.clear()
        intel.answers[PCKCERTS] = (503, {}, b"")
        check(await here.certificate(LOW), made, LOW)
        assert (await here.certificate(HIGH, qeid="bb")).status_code == 502

    told(lazy(tmp_path, made, intel), story)


def test_many_who_ask_for_one_platform_cost_one_request(tmp_path: Path, made: World, intel: Pccs) -> None:
    async def story(here: Here) -> None:
        found = await asyncio.gather(*(here.certificate(HIGH) for _ in range(16)))
        assert {each.status_code for each in found} == {200}
        assert asked(intel) == ["pckcerts"]
        assert len({each.headers["request-id"] for each in found}) == 16
        assert {len(each.headers["request-id"]) for each in found} == {32}

    told(lazy(tmp_path, made, intel), story)


def test_of_another_cache_certificates_are_had_one_by_one_also_without_an_encrypted_ppid(tmp_path: Path) -> None:
    made, intel = world(), Pccs({})
    intel.answers = {**having(made, LOW, HIGH), f"{V4}/pckcert": (404, {}, b"")}
    (tmp_path / "near").mkdir()

    async def story(far: Here) -> None:
        check(await far.certificate(HIGH), made, HIGH)
        near = replace(settings(tmp_path / "near", made.root, far.address), **TOKENS)  # type: ignore[arg-type] # As above.
        async with running(near) as here:
            check(await here.certificate(HIGH, encrypted_ppid="00" * 384), made, HIGH)
            check(await here.certificate(LOW, encrypted_ppid="00" * 384), made, LOW)
            check(await here.certificate(HIGH, encrypted_ppid="00" * 384), made, HIGH)
            assert (await here.certificate(HIGH, qeid="bb", encrypted_ppid="00" * 384)).status_code == 404
        assert asked(intel) == ["pckcerts", "pckcert"]

    async def afterwards(here: Here) -> None:
        check(await here.certificate(HIGH), made, HIGH)
        check(await here.certificate(LOW), made, LOW)

    with serving(intel):
        told(lazy(tmp_path, made, intel), story)
    told(offline(tmp_path / "near", made), afterwards)


def test_only_platforms_that_registered_are_fetched_for_on_request(tmp_path: Path, made: World, intel: Pccs) -> None:
    async def story(here: Here) -> None:
        fmspc = made.setting.extension.fmspc.hex()
        assert (await here.certificate(HIGH)).status_code == 461
        assert (await here.get(f"{V4}/tcb", fmspc=fmspc)).status_code == 404
        assert intel.asked == []
        done = await here.send("POST", f"{V4}/platforms", json.dumps(SAID).encode(), user="u")
        assert (done.status_code, done.text) == (200, "Operation successful.\n")
        check(await here.certificate(LOW), made, LOW)
        assert (await here.get(f"{V4}/tcb", fmspc=fmspc)).status_code == 200
        assert (await here.get(f"{V4}/qe/identity")).status_code == 200
        assert (await here.get(f"{V4}/tcb", fmspc="00" * 6)).status_code == 404
        assert await waiting(here) == []

    told(lazy(tmp_path, made, intel, mode=CacheMode.REQUEST), story)


async def waiting(here: Here, source: str = "reg") -> list[dict[str, str]]:
    answer = await here.send("GET", f"{V4}/platforms?source={source}", admin="a")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, str]] = answer.json()
    assert answer.headers["platform-count"] == str(len(found))
    return found


def test_a_platform_that_registers_waits_while_intel_is_away(tmp_path: Path, made: World, intel: Pccs) -> None:
    kept, intel.answers = intel.answers, {PCKCERTS: (503, {}, b"")}

    async def story(here: Here) -> None:
        body = json.dumps(SAID).encode()
        assert (await here.send("POST", f"{V4}/platforms", body, user="u")).status_code == 502
        assert [each["enc_ppid"] for each in await waiting(here)] == [ENCRYPTED_PPID.hex()]
        intel.answers = kept
        assert (
            await here.send("POST", f"{V4}/platforms", json.dumps({**SAID, "qe_id": "bb"}).encode(), user="u")
        ).status_code == 200
        assert len(await waiting(here)) == 1

    told(lazy(tmp_path, made, intel, mode=CacheMode.REQUEST), story)


def test_a_manifest_is_sent_to_intel_and_stays_with_its_platform(tmp_path: Path, made: World, intel: Pccs) -> None:
    async def story(here: Here) -> None:
        said = {"qe_id": "aa" * 16, "pce_id": "0000", "platform_manifest": "00ff" * 1000}
        for _ in range(2):
            assert (await here.send("POST", f"{V4}/platforms", json.dumps(said).encode(), user="u")).status_code == 200
        assert [each for each in intel.asked if each[0] == PCKCERTS] == [
            (PCKCERTS, {"platformManifest": "00ff" * 1000, "pceid": "0000"})
        ]
        check(await here.certificate(HIGH, encrypted_ppid="00" * 384), made, HIGH)
        fmspc = made.setting.extension.fmspc.hex()
        assert [each["platform_manifest"] for each in await waiting(here, f"[{fmspc}]")] == ["00ff" * 1000]
        assert await waiting(here, "[000000000000]") == []
        assert len(await waiting(here, "[]")) == 1

    told(lazy(tmp_path, made, intel), story)


def test_platforms_of_which_intel_lacks_certificates_are_told_apart(tmp_path: Path, made: World, intel: Pccs) -> None:
    intel.answers = having(made, LOW, unavailable=(HIGH,))

    async def story(here: Here) -> None:
        check(await here.certificate(HIGH), made, LOW)
        assert [each["qe_id"] for each in await waiting(here, "reg_na")] == ["AA" * 16]
        assert await waiting(here) == []

    told(lazy(tmp_path, made, intel), story)


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/platforms", {}),
        ("POST", "/platforms", {"user": "a"}),
        ("POST", "/platforms", {"admin": "a"}),
        ("GET", "/platforms", {}),
        ("GET", "/platforms", {"user": "u"}),
        ("GET", "/platforms", {"admin": "u"}),
        ("PUT", "/platformcollateral", {"user": "u"}),
        ("PUT", "/platformcollateral", {"admin": ""}),
        ("GET", "/refresh?type=certs", {"admin": "u"}),
    ],
)
def test_each_token_opens_its_own_doors_and_no_token_opens_what_nobody_configured(
    tmp_path: Path, method: str, path: str, headers: dict[str, str]
) -> None:
    async def story(here: Here) -> None:
        assert (await here.send(method, V4 + path, b"{}", **headers)).status_code == 401

    good = world()
    told(offline(tmp_path, good), story)
    told(settings(tmp_path, good.root), story)


@pytest.mark.parametrize(
    ("query", "body", "status"),
    [
        ("", b"", 400),
        ("", b"[]", 400),
        ("", json.dumps({**SAID, "pce_id": "0"}).encode(), 400),
        ("", json.dumps({**SAID, "enc_ppid": "00" * 384}).encode(), 400),
        ("?update=never", json.dumps(SAID).encode(), 400),
        ("", b"x" * ((2 << 20) + 1), 413),
        ("?update=ALL", json.dumps(SAID).encode(), 200),
    ],
)
def test_registrations_are_bounded_and_validated(tmp_path: Path, query: str, body: bytes, status: int) -> None:
    async def story(here: Here) -> None:
        assert (await here.send("POST", f"{V4}/platforms{query}", body, user="u")).status_code == status
        assert len(await waiting(here)) == (status == 200)

    told(offline(tmp_path, world()), story)


@pytest.mark.parametrize("source", ["[", "x", "[00]", "[00606a000000,]", "[" + ",".join(["00606a000000"] * 300) + "]"])
def test_families_that_are_none_are_told(tmp_path: Path, source: str) -> None:
    async def story(here: Here) -> None:
        assert (await here.send("GET", f"{V4}/platforms?source={source}", admin="a")).status_code == 400

    told(offline(tmp_path, world()), story)


def test_certificates_are_fetched_again_when_an_administrator_wants_it(tmp_path: Path, made: World, intel: Pccs) -> None:
    fmspc = made.setting.extension.fmspc.hex()

    async def story(here: Here) -> None:
        check(await here.certificate(HIGHER), made, HIGH)
        intel.answers = having(made, LOW, HIGH, HIGHER)
        for query, status, count in (
            ("&fmspc=000000000000", 200, 1),
            (f"&fmspc={fmspc}", 200, 2),
            ("", 200, 3),
            ("&fmspc=all", 200, 4),
        ):
            assert (await here.send("POST", f"{V4}/refresh?type=certs{query}", admin="a")).status_code == status
            assert len(asked(intel)) == count
        check(await here.certificate(HIGHER), made, HIGHER)
        assert (await here.send("GET", f"{V4}/refresh?type=certs&fmspc=x", admin="a")).status_code == 400
        assert (await here.send("GET", f"{V4}/refresh?type=all", admin="a")).status_code == 400
        intel.answers[PCKCERTS] = (503, {}, b"")
        assert (await here.send("GET", f"{V4}/refresh?type=certs", admin="a")).status_code == 502
        check(await here.certificate(HIGHER), made, HIGHER)

    told(lazy(tmp_path, made, intel), story)


def test_nothing_that_names_a_machine_is_logged(
    tmp_path: Path, made: World, intel: Pccs, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "donjon")

    async def story(here: Here) -> None:
        await here.certificate(HIGH)
        await here.certificate(HIGH, qeid="bb" * 16, pceid="0100")
        intel.answers[PCKCERTS] = (503, {}, b"")
        await here.certificate(HIGH, qeid="cc" * 16)
        await here.send("POST", f"{V4}/platforms", json.dumps({**SAID, "qe_id": "dd" * 16}).encode(), user="u")
        await here.send("POST", f"{V4}/platforms", b'{"qe_id":"' + b"ee" * 16, user="u")

    told(lazy(tmp_path, made, intel), story)
    logged = " ".join(
        f"{record.getMessage()} {record.__dict__}" for record in caplog.records if record.name.startswith("donjon")
    ).lower()
    assert "pck certificates fetched" in logged
    for secret in (
        *("aa" * 16, "bb" * 16, "cc" * 16, "dd" * 16, "ee" * 16),
        ENCRYPTED_PPID.hex(),
        made.setting.extension.ppid.hex(),
    ):
        assert secret not in logged


def test_nobody_puts_another_machine_under_the_name_of_one_that_is_known_but_who_has_the_users_token(
    tmp_path: Path, made: World, intel: Pccs
) -> None:
    other = world(changes={"extension.ppid": bytes(range(16))})
    theirs = "ff" * 384

    async def story(here: Here) -> None:
        check(await here.certificate(HIGH), made, HIGH)
        intel.answers[PCKCERTS] = certified(other, [HIGH])
        check(await here.certificate(HIGHER, encrypted_ppid=theirs), made, HIGH)
        assert (await here.send("POST", f"{V4}/refresh?type=certs", admin="a")).status_code == 502
        assert intel.asked[-1][1]["encrypted_ppid"] == ENCRYPTED_PPID.hex()
        check(await here.certificate(HIGH), made, HIGH)
        said = json.dumps({**SAID, "enc_ppid": theirs}).encode()
        assert (await here.send("POST", f"{V4}/platforms", said, user="u")).status_code == 200
        check(await here.certificate(HIGH), other, HIGH)

    told(lazy(tmp_path, made, intel), story)
