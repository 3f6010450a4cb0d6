"""What proves who calls: a bearer token, or the certificate of the connection. Of headers, `Authorization` alone is looked at."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache

from starlette.requests import Request

from donjon.access.roles import Proof, ProvenCaller
from donjon.adapters.http.public import CLIENT_CERTIFICATE
from donjon.adapters.kubeapi.reviews import TokenReviews
from donjon.adapters.oidc import tokens
from donjon.adapters.oidc.issuers import OidcIssuer
from donjon.errors import Malformed, Untrusted
from donjon.pki import clients
from donjon.pki.clients import ClientCertificate


class Credentials:
    """Proves who makes a request, by its bearer token or by the certificate of its connection."""

    def __init__(self, issuers: Mapping[str, OidcIssuer], reviews: TokenReviews | None, moment: Callable[[], datetime]) -> None:
        """The issuers by the names of their tables; without reviews no service account is known."""
        self._issuers = {each.issuer: (name, each) for name, each in issuers.items()}
        self._reviews, self._moment = reviews, moment

    async def prove(self, request: Request) -> ProvenCaller | None:
        """Who asks; `None` without credentials, and of both the token counts. Raises `Untrusted` DJ551, `Unavailable`."""
        headers = request.headers.getlist("authorization")
        if not headers:
            return self._verify_certificate(request)
        scheme, _, token = headers[0].partition(" ")
        if len(headers) != 1 or scheme.lower() != "bearer":
            raise Untrusted("DJ551", "authorization: expected one header, Bearer and a token")
        return await self._verify_token(token.strip())

    async def _verify_token(self, text: str) -> ProvenCaller:
        """By the issuer that the token names, else by the API server."""
        token = tokens.parse(text)
        if (entry := self._issuers.get(token.issuer)) is not None:
            name, issuer = entry
            claims = await issuer.prove(token, self._moment())
            return ProvenCaller(how=Proof.OIDC, source=name, name=str(claims["sub"]), claims=claims)
        if self._reviews is None:
            raise Untrusted("DJ551", f"token: of issuer {token.issuer[:200]!r}, which is not set here")
        return ProvenCaller(how=Proof.KUBERNETES, source="", name=await self._reviews.account(text))

    def _verify_certificate(self, request: Request) -> ProvenCaller | None:
        """By the certificate of the connection, where it has one."""
        der: bytes | None = request.scope.get("extensions", {}).get(CLIENT_CERTIFICATE)
        if der is None:
            return None
        try:
            certificate = _read(der)
        except Malformed as error:
            raise Untrusted("DJ551", error.message) from error
        certificate.check_window(self._moment())
        return ProvenCaller(how=Proof.CERTIFICATE, source="", name=certificate.name)


@lru_cache(maxsize=256)
def _read(der: bytes) -> ClientCertificate:
    """The certificate of a connection, parsed once however many requests come on it."""
    return clients.parse(der)
