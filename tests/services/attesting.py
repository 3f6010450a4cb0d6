"""The attestation service with its instances, over TLS on a port of its own, in a thread, so that any client can call it."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from threading import Thread

import httpx2
from tests.adapters import databases, fakepccs
from tests.adapters.fakepccs import Pccs
from tests.adapters.https import SERVING, trusting
from tests.attestation import vectors
from tests.attestation.signers import DECADES, MADE
from tests.maa import attackers
from tests.simulation.intel import MOMENT

from donjon.access.roles import Access, Role
from donjon.access.tables import AccessSettings
from donjon.adapters import clock
from donjon.adapters.keys import signing
from donjon.formats.json import JsonObject
from donjon.pki import pem
from donjon.services.attestation import run
from donjon.services.attestation.settings import service
from donjon.signing.signer import Algorithm
from donjon.simulation.intel.world import World

REAL_HOST, SIMULATED_HOST = "https://attest.example", "https://simulated.attest.example"
VERSION = "2020-10-01"
OWNER = "owner"
RECORDED = 675
"""The case of the vectors with the quote of the recorded exchanges."""

Clock = Callable[[], datetime]


@dataclass
class Service:
    """One that runs: where, what checks its certificate, and the client of this module."""

    folder: Path
    port: int
    client: httpx2.Client

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def authority(self) -> str:
        return str(self.folder / "authority.pem")

    def get(self, path: str, version: str = VERSION) -> httpx2.Response:
        return self.client.get(path, params={"api-version": version})

    def post(self, path: str, body: bytes, kind: str = "application/json", version: str = VERSION) -> httpx2.Response:
        return self.client.post(path, params={"api-version": version}, content=body, headers={"content-type": kind})

    def put(self, path: str, token: str, version: str = VERSION) -> httpx2.Response:
        query, headers = {"api-version": version}, {"content-type": "text/plain"}
        return self.client.put(path, params=query, content=token.encode(), headers=headers)

    def attest(self, content: JsonObject, path: str = "/aad/attest/SgxEnclave", version: str = VERSION) -> httpx2.Response:
        return self.client.post(path, params={"api-version": version}, json=content)


@cache
def certificate(name: str, algorithm: Algorithm, common: str) -> bytes:
    """In PEM, self-signed and good whenever the test runs."""
    return pem.encode((signing.self_signed(attackers.key(name, algorithm), common, MADE, DECADES),))


def owner(name: str = OWNER) -> tuple[str, str]:
    """Who signs policies: key and certificate."""
    common = f"https://{name}.example"
    return attackers.key(name, Algorithm.RS256).decode(), certificate(name, Algorithm.RS256, common).decode()


def keys(folder: Path, name: str, issuer: str, algorithm: Algorithm) -> Path:
    """A folder with a key that signs tokens."""
    place = folder / "keys" / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "one.pem").write_bytes(attackers.key(name, algorithm) + certificate(name, algorithm, issuer))
    return place


def instance(folder: Path, name: str, *more: str, gate: str = "", algorithm: Algorithm = Algorithm.RS256) -> str:
    """The table of an instance that speaks of real platforms or of simulated ones, whichever the root makes them."""
    real, simulated = f"{REAL_HOST}/{name}", f"{SIMULATED_HOST}/{name}"
    lines = (
        f"[instances.{name}]",
        f'issuer = "{real}"',
        f'keys = "{keys(folder, name, real, algorithm)}"',
        f'simulated-issuer = "{simulated}"',
        f'simulated-keys = "{keys(folder, f"simulated-{name}", simulated, algorithm)}"',
        *more,
        f"[instances.{name}.gate]",
        gate,
        "",
    )
    return "\n".join(lines)


def isolated(folder: Path, name: str = "iso", gate: str = "", first: bytes = b"") -> str:
    """An instance of mode Isolated, whose first certificate, in PEM, is the owner's unless told otherwise."""
    file = folder / f"{name}.pem"
    file.write_bytes(first or owner()[1].encode())
    return instance(folder, name, 'mode = "Isolated"', f'certificates = ["{file}"]', gate=gate)


def chosen(folder: Path, tables: str, flags: Mapping[str, str]) -> service.AttestationSettings:
    """Its settings, as they are read; in tests, everybody may do everything that needs no further proof."""
    tls = folder / "tls"
    tls.mkdir(exist_ok=True)
    (tls / "tls.crt").write_bytes(SERVING.certificate)
    (tls / "tls.key").write_bytes(SERVING.key)
    (folder / "authority.pem").write_bytes(SERVING.authority.pem)
    common = {"tls-dir": str(tls), "database": f"sqlite:///{folder}/attestation.db", "drain": "0", "rate-limit": "0"}
    found = service.read({**common, **flags}, {}, tables)
    databases.prepare(found.database)
    everything = Access(open_roles={each.name: frozenset(Role) for each in found.instances})
    return replace(found, listen=("127.0.0.1", 0), probes=("127.0.0.1", 0), access=AccessSettings(access=everything))


@contextmanager
def serving(folder: Path, with_settings: service.AttestationSettings, now: Clock = clock.moment) -> Iterator[Service]:
    """The service, until the end of the block."""
    loop, stopped = asyncio.new_event_loop(), asyncio.Event()
    ports: list[int] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            loop.run_until_complete(run.serve(with_settings, stopped, ports.append, now))
        except BaseException as error:  # noqa: BLE001 - told in the test's own thread.
            failed.append(error)

    thread = Thread(target=work)
    thread.start()
    while not ports and thread.is_alive():
        thread.join(0.01)
    try:
        if ports:
            address = f"https://127.0.0.1:{ports[0]}"
            with httpx2.Client(base_url=address, verify=trusting(SERVING.authority.pem)) as client:
                yield Service(folder, ports[0], client)
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join()
        loop.close()
        for error in failed:
            raise error


def _named(flags: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in flags.items()}


@contextmanager
def simulated(folder: Path, tables: str, *worlds: World, now: Clock = clock.moment, **flags: str) -> Iterator[Service]:
    """The service in that make-believe world, of which it fetches what it needs; several are of one authority, SGX and TDX."""
    (folder / "root.der").write_bytes(worlds[0].root)
    answers = {path: reply for each in worlds for path, reply in fakepccs.answers(each).items()}
    with fakepccs.serving(Pccs(answers)) as upstream:
        said = {"unsafe-trust-root": str(folder / "root.der"), "upstream": upstream.address}
        judged = {"unsafe-clock": f"{MOMENT:%FT%TZ}"}
        with serving(folder, chosen(folder, tables, {**said, **judged, **_named(flags)}), now) as service:
            yield service


@contextmanager
def real(folder: Path, tables: str, now: Clock = clock.moment, **flags: str) -> Iterator[Service]:
    """The service with Intel's own collateral for the platform of the recorded exchanges, judging as of the collateral's time."""
    case = vectors.cases()[RECORDED]
    collateral = vectors.received(vectors.names(case))
    with fakepccs.serving(Pccs(fakepccs.collateral(collateral, "SGX"))) as upstream:
        said = {"upstream": upstream.address, "unsafe-clock": f"{vectors.moment(case):%FT%TZ}"}
        with serving(folder, chosen(folder, tables, {**said, **_named(flags)}), now) as service:
            yield service
