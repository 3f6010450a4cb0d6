"""An issuer as commands call it: at its address, with an authority, a client certificate or a bearer's token from files."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from donjon.adapters import clock
from donjon.adapters.maa.client import AttestationServer
from donjon.adapters.transport.tls import client_context, show_certificate
from donjon.attestation.token import check_issuer
from donjon.cli.files import content, display_name
from donjon.errors import DonjonError, Malformed
from donjon.pki.serving import MAX_PEM, window_of

MAX_BEARER = 64 << 10  # bytes of a token that says who calls

T = TypeVar("T")


def address(text: str) -> str:
    """The issuer's name, without a slash at its end; raises `Misconfigured` DJ434."""
    issuer = text.rstrip("/")
    check_issuer(issuer)
    return issuer


def call(
    issuer: str,
    use: Callable[[AttestationServer], Awaitable[T]],
    *,
    authority: Path | None,
    certificate: Path | None = None,
    token_file: str | None = None,
) -> T:
    """What comes of the use of that issuer; raises `Misconfigured` DJ592 for files that cannot be used."""
    trust = _trust(authority, certificate)
    server = AttestationServer(issuer, trust, token=_bearer(token_file), own_certificate=_describe(certificate))

    async def run() -> T:
        try:
            return await use(server)
        finally:
            await server.close()

    return asyncio.run(run())


def _trust(authority: Path | None, certificate: Path | None) -> ssl.SSLContext | None:
    if authority is None and certificate is None:
        return None
    context = client_context(
        authority, code="DJ592", what="the system's authorities" if authority is None else f"authority {authority}"
    )
    if certificate is not None:
        show_certificate(context, certificate, code="DJ592")
    return context


def _describe(certificate: Path | None) -> str:
    """The client certificate that is shown, by its file and its dates, for who is told that it is refused."""
    if certificate is None:
        return ""
    moment = clock.moment()
    try:
        window = window_of(content(str(certificate), MAX_PEM))
    except DonjonError:
        return str(certificate)
    if moment < window.begins:
        return f"{certificate}, which begins {window.begins:%FT%TZ} (this machine's clock says {moment:%FT%TZ})"
    return f"{certificate}, which {'ended' if moment > window.ends else 'is good until'} {window.ends:%FT%TZ}"


def _bearer(file: str | None) -> str:
    if file is None:
        return ""
    token = content(file, MAX_BEARER).decode("utf-8", "replace").strip()
    if not token or not token.isascii() or any(sign.isspace() for sign in token):
        raise Malformed("DJ592", f"{display_name(file)}: expected the bearer's token alone")
    return token
