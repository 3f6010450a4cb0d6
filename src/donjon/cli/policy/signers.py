"""What `donjon policy signers` does: shows who may sign an instance's policies, adds and removes them, and signs that."""

from dataclasses import dataclass, field
from datetime import datetime

import click

from donjon.adapters import clock
from donjon.adapters.maa.client import AttestationServer
from donjon.cli import issuer
from donjon.cli.files import content, display_name
from donjon.cli.policy.instance import call, confirm, read_at_most_once, read_signer
from donjon.cli.policy.options import SigningKey, Target
from donjon.cli.terminal import say, say_json, write
from donjon.errors import Malformed, Untrusted
from donjon.formats.json import Json, JsonObject
from donjon.maa import answers, certificates
from donjon.maa.instances import SOON, Mode
from donjon.maa.requests import Change
from donjon.pki import pem
from donjon.pki.intel import Window
from donjon.signing import jws, signer_certificate
from donjon.signing.signer_certificate import SignerCertificate

_PEM = b"-----BEGIN"
MAX_NAME = 200  # characters shown of a subject, which whoever made the certificate chose


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeToken:
    """Whose certificate is added or removed, and the token that asks for it."""

    certificate: SignerCertificate
    text: str = field(repr=False)


def show(target: Target, form: str) -> None:
    """Print whose signature counts."""
    holders = _in_force(target)
    mode = Mode.of(holders)
    if form == "json":
        entries: list[Json] = [_document(each) for each in holders]
        say_json({"server": issuer.address(target.server), "mode": str(mode), "certificates": entries})
        return
    if not holders:
        say(f"{_place(target)}: none; the instance is of mode {mode}, where policies need no signature")
    for each in holders:
        say(_line(each))


def change(file: str, target: Target, signing: SigningKey | None, *, adding: bool, yes: bool) -> None:
    """Have that certificate added or removed, when that was said to be meant."""
    token = _read(read_at_most_once(file, target, jws.MAX_TOKEN), file, signing)
    if (token.certificate in _in_force(target)) is adding:
        say(f"{_place(target)}: that is so already: {_line(token.certificate)}")
    else:
        say(f"{'+' if adding else '-'} {_line(token.certificate)}")
        if not yes:
            confirm("have it so?", file, target)

    async def ask(server: AttestationServer) -> tuple[SignerCertificate, ...]:
        verb = Change.ADD if adding else Change.REMOVE
        await server.change_certificates(verb, token.text, token.certificate, target.version, clock.moment())
        return await server.certificates(target.version, clock.moment())

    after = call(target, ask)
    if (token.certificate in after) is not adding:
        raise Untrusted("DJ590", f"{_place(target)}: {'added' if adding else 'removed'}, but read back it is not so")
    say(f"{_place(target)}: these count now:")
    for each in after:
        say(f"  {_line(each)}")


def sign(file: str, signing: SigningKey) -> None:
    """Print the token that asks for a change of that certificate, signed."""
    write(f"{_read(content(file, jws.MAX_TOKEN), file, signing).text}\n")


def _read(data: bytes, file: str, signing: SigningKey | None) -> ChangeToken:
    """A certificate in PEM, signed for now, or a token that is signed already; raises `Malformed`, and as signatures do."""
    if not data.lstrip().startswith(_PEM):
        token = jws.parse(answers.bare_token(data), display_name(file))
        jws.prove(token)
        return ChangeToken(certificate=certificates.in_token(token), text=token.text)
    blocks = pem.each(data)
    if len(blocks) != 1:
        raise Malformed("DJ204", f"{display_name(file)}: {len(blocks)} certificates, expected the signer's own alone")
    certificate = signer_certificate.parse(*pem.parse(blocks[0], 1))
    if signing is None:
        raise click.UsageError(f"{display_name(file)} is a certificate: say --signing-key, of a holder that counts already")
    return ChangeToken(certificate=certificate, text=certificates.signed_token(certificate, read_signer(signing)))


def _in_force(target: Target) -> tuple[SignerCertificate, ...]:
    async def ask(server: AttestationServer) -> tuple[SignerCertificate, ...]:
        return await server.certificates(target.version, clock.moment())

    return call(target, ask)


def _line(holder: SignerCertificate) -> str:
    window = holder.window
    good = f"good from {window.begins:%F} to {window.ends:%F}{_mark(window, clock.moment())}"
    return f"{holder.thumbprint()}  {good}: {holder.name()[:MAX_NAME]}"


def _mark(window: Window, moment: datetime) -> str:
    """What is to be seen at once: that it signs nothing now, or soon."""
    if moment in window:
        left = window.ends - moment
        return f" (ends in {left.days} days)" if left < SOON else ""
    return " (ENDED)" if window.ends < moment else " (not begun)"


def _document(holder: SignerCertificate) -> JsonObject:
    return {
        "thumbprint": holder.thumbprint(),
        "name": holder.name(),
        "begins": f"{holder.window.begins:%FT%TZ}",
        "ends": f"{holder.window.ends:%FT%TZ}",
        "pem": pem.encode((holder.der,)).decode("ascii"),
    }


def _place(target: Target) -> str:
    return f"signers at {issuer.address(target.server)}"
