"""The attestation service lets in who its settings name, from the file to the answer in Microsoft's form."""

import asyncio
from dataclasses import replace
from pathlib import Path

import httpx2
from cryptography import x509
from testbed import clock
from tests.adapters.https import SERVING, trusting
from tests.adapters.oidcissuer import NOW, FakeIssuer, issuer
from tests.pki.clientcerts import ClientAuthority, Issued
from tests.services.attesting import chosen, instance, serving

from donjon.maa import policies
from donjon.services.attestation.settings import service
from donjon.services.attestation.settings.service import AttestationSettings

OURS, RATE = ClientAuthority(), 10
POLICY = policies.unsecured_token("version=1.0; authorizationrules{=> permit();}; issuancerules{};")
PATH = "/policies/SgxEnclave?api-version=2020-10-01"

CALLERS = """
[oidc.corp]
issuer = "{issuer}"
audience = "https://attest.example"
authorities = "{folder}/authority.pem"

[[callers]]
oidc = "corp"
subject = "alice"
instances = ["shared"]
roles = ["policy"]

[[callers]]
certificate = "dns:reader.example"
instances = ["*"]
roles = ["read"]
"""


def told(folder: Path, oidc: FakeIssuer) -> AttestationSettings:
    """Settings in a file, as an operator writes them."""
    (folder / "ca.crt").write_bytes(OURS.pem)
    tables = instance(folder, "shared") + instance(folder, "closed", "open = []")
    text = tables + CALLERS.format(issuer=oidc.name, folder=folder)
    made = chosen(folder, text, {"mode": "offline", "client-ca": f"{folder}/ca.crt"})
    flags = {"tls-dir": f"{folder}/tls", "database": made.database, "mode": "offline", "drain": "0"}
    read = service.read({**flags, "client-ca": f"{folder}/ca.crt", "rate-limit": str(RATE)}, {}, text)
    return replace(read, listen=made.listen, probes=made.probes)


def asked(address: str, *, token: str = "", certificate: Issued | None = None) -> httpx2.Client:
    trust = trusting(SERVING.authority.pem)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    shown = trust if certificate is None else certificate.shown_by(trust)
    return httpx2.Client(base_url=address, verify=shown, headers=headers)


def put(client: httpx2.Client, name: str) -> httpx2.Response:
    return client.put(f"/{name}{PATH}", content=POLICY, headers={"content-type": "text/plain"})


def story(folder: Path, read: AttestationSettings, oidc: FakeIssuer) -> None:
    with serving(folder, read, lambda: NOW) as service:
        with asked(service.address) as nobody:
            assert nobody.get(f"/shared{PATH}").status_code == 200
            closed, refused = nobody.get(f"/closed{PATH}"), put(nobody, "shared")
            for each in (closed, refused):
                assert (each.status_code, each.headers["www-authenticate"]) == (401, "Bearer")
                assert each.json()["error"]["code"] == "Unauthorized"
                assert "DJ550" in each.json()["error"]["message"]
        with asked(service.address, certificate=OURS.issue(x509.DNSName("reader.example"))) as reader:
            assert reader.get(f"/closed{PATH}").status_code == 200
            forbidden = put(reader, "shared")
            assert (forbidden.status_code, forbidden.json()["error"]["code"]) == (403, "Forbidden")
        with asked(service.address, token=oidc.token()) as alice:
            assert put(alice, "shared").status_code == 200
            assert put(alice, "closed").status_code == 403
        headers = {"X-Forwarded-For": "192.0.2.1", "Forwarded": "for=192.0.2.1", "X-Real-IP": "192.0.2.1"}
        with asked(service.address) as nobody:
            began = clock.now()
            answers = [nobody.get(f"/shared{PATH}", headers=headers) for _ in range(60)]
            most = RATE * (2 + clock.now() - began) + 1  # a burst of two seconds' worth, and what came in since
            assert [each.status_code for each in answers].count(200) <= most
            late = next(each for each in answers if each.status_code != 200)  # No header makes the address another one.
            assert (late.status_code, late.json()["error"]["code"]) == (429, "TooManyRequests")
            assert int(late.headers["retry-after"]) >= 1
            assert "DJ560" in late.json()["error"]["message"]


def test_an_operators_file_says_who_may_do_what_with_which_instance(tmp_path: Path) -> None:
    async def run() -> None:
        async with issuer() as oidc:
            await asyncio.to_thread(story, tmp_path, told(tmp_path, oidc), oidc)

    asyncio.run(run())
