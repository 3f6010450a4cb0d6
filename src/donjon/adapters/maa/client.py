"""An instance of such a service: its policies read and changed, and every answer proved by the keys that it publishes.

The address is the issuer's name. A refusal is the service's own sentence; where there is no answer, it is said what can be done.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from donjon.adapters.transport.client import OK, ConnectionTrouble, HttpClient
from donjon.errors import Unavailable
from donjon.formats.strict_json import Members
from donjon.maa import answers, requests
from donjon.maa.refusals import UNAUTHORIZED
from donjon.maa.requests import Change
from donjon.maa.versions import ApiVersion, AttestationType
from donjon.signing import service_keys
from donjon.signing.service_keys import ServiceKey
from donjon.signing.signer_certificate import SignerCertificate

SECONDS = 10.0  # for each step
ALTOGETHER = 30.0  # seconds, for a whole answer

_WHO = "; say who you are with --token-file or --certificate"
_TEXT, _JSON = "text/plain", "application/json"
_RENEW = "its certificate is not valid now: have who runs the service put a new one, or compare the clocks"
_NAMES = "its certificate is for other names: call it by one of them, or have who runs the service put one with this name"
_HINTS = {
    "has expired": _RENEW,
    "not yet valid": _RENEW,
    "mismatch": _NAMES,
    "CERTIFICATE_VERIFY_FAILED": "where you know who signed its certificate, say so with --authority FILE",
    "CERTIFICATE_REQUIRED": "show a client certificate with --certificate FILE",
    "certificate required": "show a client certificate with --certificate FILE",
    "attempts failed": "nothing listens there: check the address, and whether the service runs",
    "refused": "nothing listens there: check the address, and whether the service runs",
    "connect": "check the address, and the network between",
    "resolution": "there is no such host: check the address",
    "not known": "there is no such host: check the address",
}
"""What can be done, by the first of these in what the library says of the trouble."""
_ALERTS = {
    "ALERT_CERTIFICATE_EXPIRED": "have a new one issued, or compare the clocks",
    "ALERT_UNKNOWN_CA": "none of the authorities that it knows (client-ca) has signed it; show another one",
    "ALERT_DECRYPT_ERROR": "another authority of the same name has signed it; show one of an authority that it knows (client-ca)",
    "ALERT_CERTIFICATE_REVOKED": "it was revoked; have a new one issued",
    "ALERT_UNSUPPORTED_CERTIFICATE": "it is not for clients (extendedKeyUsage clientAuth); have one issued that is",
    "ALERT_BAD_CERTIFICATE": "show one that was issued for clients by an authority that the service knows (client-ca)",
    "ALERT_CERTIFICATE_UNKNOWN": "show one that was issued for clients by an authority that the service knows (client-ca)",
}
"""Why a service refuses our own certificate, by its alert (RFC 8446, 6.2), and what can be done."""


class AttestationServer:
    """One instance at its address, called as one caller."""

    def __init__(self, address: str, trust: ssl.SSLContext | None, *, token: str = "", own_certificate: str = "") -> None:
        """Without `trust` the system's authorities count.

        `token` says who calls, where that is by a bearer's token; `own_certificate` describes the one that we show, if any.
        """
        self.address, self._own_certificate = address, own_certificate
        self._client = HttpClient(code="DJ580", seconds=SECONDS, trust=trust)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._keys: tuple[ServiceKey, ...] | None = None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def keys(self) -> tuple[ServiceKey, ...]:
        """The keys that it publishes; raises `Unavailable` DJ580, and as `service_keys.parse_keys`."""
        if self._keys is None:
            body = await self._answer("GET", "/certs")
            self._keys = service_keys.parse_keys(body, f"keys of {self.address}")
        return self._keys

    async def policy(self, kind: AttestationType, version: ApiVersion, moment: datetime) -> str:
        """The policy of that type, as its token; raises `Unavailable` DJ580, `Untrusted` DJ581, and what the service says."""
        return (await self._statement("GET", f"/policies/{kind}", version, moment)).text("x-ms-policy")

    async def mode(self, version: ApiVersion, moment: datetime) -> str:
        """The instance's mode; raises as `policy` does."""
        return str(answers.mode(await self._statement("GET", "/certificates", version, moment)))

    async def set_policy(self, kind: AttestationType, token: str, version: ApiVersion, moment: datetime) -> None:
        """Have that policy; raises as `policy` does, and `Untrusted` DJ583."""
        answers.check_change(await self._statement("PUT", f"/policies/{kind}", version, moment, token), token)

    async def reset_policy(self, kind: AttestationType, token: str, version: ApiVersion, moment: datetime) -> None:
        """Have the default policy again; raises as `set_policy` does."""
        answers.check_reset(await self._statement("POST", f"/policies/{kind}:reset", version, moment, token))

    async def certificates(self, version: ApiVersion, moment: datetime) -> tuple[SignerCertificate, ...]:
        """The instance's policy management certificates; raises as `policy` does, and `Malformed`."""
        return answers.certificates(await self._statement("GET", "/certificates", version, moment))

    async def change_certificates(
        self, change: Change, token: str, certificate: SignerCertificate, version: ApiVersion, moment: datetime
    ) -> None:
        """Have the certificate of that token added or removed; raises as `policy` does, and `Untrusted` DJ590."""
        verb, body = change.name.lower(), requests.certificate_body(token, version, change)
        answer = await self._statement("POST", f"/certificates:{verb}", version, moment, body, kind=_JSON)
        answers.check_certificate_change(answer, certificate, change)

    async def _statement(
        self, method: str, path: str, version: ApiVersion, moment: datetime, body: str | None = None, *, kind: str = _TEXT
    ) -> Members:
        """What the service says, signed, of itself."""
        text = answers.token_text(await self._answer(method, path, version, body, kind=kind))
        claims = service_keys.prove(service_keys.parse(text, "answer"), await self.keys(), self.address)
        return answers.check(claims, self.address, moment)

    async def _answer(
        self, method: str, path: str, version: ApiVersion | None = None, body: str | None = None, *, kind: str = _TEXT
    ) -> bytes:
        where, query = self.address + path, None if version is None else {"api-version": str(version)}
        content = None if body is None else body.encode("ascii")
        headers = self._headers if body is None else {**self._headers, "Content-Type": kind}
        try:
            async with (
                asyncio.timeout(ALTOGETHER),
                _with_hint(where, self._own_certificate),
                self._client.ask(method, where, what=where, query=query, body=content, headers=headers) as answer,
            ):
                words = await answer.whole(answers.MAX_ANSWER)
                if answer.status != OK:
                    hint = _WHO if answer.status == UNAUTHORIZED and not self._headers else ""
                    raise answers.refusal(answer.status, words, self.address, hint)
                return words
        except TimeoutError as error:
            raise Unavailable("DJ580", f"{where}: no whole answer within {ALTOGETHER:g} s") from error


@asynccontextmanager
async def _with_hint(where: str, own_certificate: str) -> AsyncIterator[None]:
    try:
        yield
    except ConnectionTrouble as error:
        reason = error.message.removeprefix(where)
        alert = next((each for sign, each in _ALERTS.items() if sign in reason), "")
        if own_certificate and alert:
            raise Unavailable("DJ580", f"{where}: the service refuses {own_certificate}: {alert}") from error
        hint = next((each for sign, each in _HINTS.items() if sign in reason), "check the address")
        raise Unavailable("DJ580", f"{error.message}; {hint}") from error
