"""A service with instances that `donjon policy` calls over TLS, and who may call it."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import TypeVar

import pytest
from cryptography import x509
from tests.adapters.fakeapi import api_server
from tests.adapters.oidcissuer import FakeIssuer, issuer
from tests.adapters.test_reviews import GOOD, reviewing
from tests.cli.calling import call
from tests.pki.clientcerts import SERVER, START, ClientAuthority
from tests.ports import free_port
from tests.services.attesting import chosen, keys, owner, serving

from donjon.adapters import clock
from donjon.services.attestation import assembly
from donjon.services.attestation.settings import service
from donjon.signing.signer import Algorithm

CALLERS = """
[oidc.corp]
issuer = "{oidc}"
audience = "https://attest.example"
authorities = "{folder}/authority.pem"

[kubernetes]
audience = "https://attest.example"

[[callers]]
oidc = "corp"
subject = "alice"
instances = ["*"]
roles = ["policy"]

[[callers]]
service-account = "team-a/deployer"
instances = ["aad"]
roles = ["policy"]

[[callers]]
certificate = "dns:officer.example"
instances = ["aad"]
roles = ["policy"]
"""
T = TypeVar("T")


@contextmanager
def aside(manager: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """What it yields, in a loop of events of another thread until the end of the block."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(manager.__aenter__(), loop).result()
        asyncio.run_coroutine_threadsafe(manager.__aexit__(None, None, None), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@dataclass(frozen=True)
class Here:
    """A service with an instance of each mode, an issuer and an API server that it asks about callers."""

    folder: Path
    address: str
    oidc: FakeIssuer

    def policy(self, *words: str | Path, instance: str = "aad", **environment: str) -> subprocess.CompletedProcess[str]:
        trust = () if "sign" in words[:2] else ("--authority", self.folder / "authority.pem")
        return call("policy", *words, *trust, DONJON_ATTESTATION=f"{self.address}/{instance}", **environment)

    def token(self, subject: str = "alice") -> Path:
        """A token of the issuer's, in a file."""
        now = int(clock.moment().timestamp())
        place = self.folder / "bearer.jwt"
        place.write_text(self.oidc.token(sub=subject, iat=now, exp=now + 300) + "\n")
        return place


@contextmanager
def instances(folder: Path) -> Iterator[Here]:
    """A service over TLS with one instance a mode, until the end of the block."""
    port, officers = free_port(), ClientAuthority()
    officer = officers.issue(x509.DNSName("officer.example"))
    (folder / "clients.pem").write_bytes(officers.pem)
    (folder / "officer.pem").write_bytes(officer.private + officer.pem)
    ended = officers.issue(x509.DNSName("officer.example"), window=(START, START + timedelta(days=1)))
    server = officers.issue(x509.DNSName("officer.example"), usage=SERVER)
    stranger = ClientAuthority(name="strangers").issue(x509.DNSName("officer.example"))
    double = ClientAuthority().issue(x509.DNSName("officer.example"))
    for name, each in {"ended": ended, "server": server, "stranger": stranger, "double": double}.items():
        (folder / f"{name}.pem").write_bytes(each.private + each.pem)
    for name, content in zip(("owner.key", "owner.crt"), owner(), strict=True):
        (folder / name).write_text(content)
    (folder / "owner.pem").write_text("".join(owner()))
    address = f"https://127.0.0.1:{port}"
    with aside(issuer()) as oidc, aside(api_server()) as api, pytest.MonkeyPatch.context() as patch:
        api.answer = reviewing(GOOD)
        access = api.access(folder)
        patch.setattr(assembly, "in_cluster", lambda _: access)
        modes = {"aad": "", "iso": f'mode = "Isolated"\ncertificates = ["{folder}/owner.crt"]\n'}
        tables = "".join(
            f'[instances.{each}]\nissuer = "{address}/{each}"\n'
            f'keys = "{keys(folder, each, f"{address}/{each}", Algorithm.RS256)}"\n{more}'
            for each, more in modes.items()
        )
        whole = tables + CALLERS.format(oidc=oidc.name, folder=folder)
        prepared = chosen(folder, whole, {"mode": "offline", "client-ca": f"{folder}/clients.pem"})
        flags = {"tls-dir": f"{folder}/tls", "database": prepared.database, "mode": "offline", "drain": "0"}
        settings = service.read({**flags, "client-ca": f"{folder}/clients.pem"}, {}, whole)
        with serving(folder, replace(settings, listen=("127.0.0.1", port), probes=("127.0.0.1", 0))):
            yield Here(folder, address, oidc)
