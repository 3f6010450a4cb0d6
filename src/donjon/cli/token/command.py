"""`donjon token`: what a token says, and whether a relying party may believe it. Here are the options; `work` does the rest."""

from datetime import datetime
from pathlib import Path
from typing import TypedDict, cast

import click

from donjon.cli.identity import with_identity
from donjon.cli.options import AT, AUTHORITY, FORM, StrictGroup, work

_FILE = click.Path(path_type=Path, dir_okay=False)


class TokenOptions(TypedDict):
    """What `donjon token verify` was asked."""

    issuer: str
    authority: Path | None
    keys: Path | None
    mrenclave: frozenset[bytes]
    mrsigner: frozenset[bytes]
    mrtd: frozenset[bytes]
    product_id: int | None
    min_svn: int | None
    nonce: str | None
    audience: str | None
    runtime_data: str | None
    allow_debug: bool
    allow_simulated: bool
    at: datetime | None
    form: str


@click.group(cls=StrictGroup)
def token() -> None:
    """Tokens of an attestation service, this one or Azure's."""


@token.command(short_help="Print what a token says; nothing is proved.")
@click.argument("file")
@FORM
def show(file: str, *, form: str) -> None:
    """Print what the token in FILE says, header and claims, times in words; - reads standard input.

    Nothing of it is proved: `donjon token verify` does that. Exit code 0 read, 2 malformed.
    """
    work("donjon.cli.token.work").show(file, form)


@token.command(short_help="Verify a token as a relying party does.")
@click.argument("file")
@click.option("--issuer", required=True, metavar="URL", help="Whom you trust: the name in the service's tokens, to the letter.")
@AUTHORITY
@click.option("--keys", type=_FILE, metavar="FILE", help="Take its keys from this file, saved from ISSUER/certs: offline.")
@with_identity
@click.option("--nonce", metavar="TEXT", help="The nonce that you sent with the request.")
@click.option("--audience", metavar="TEXT", help="For whom it must be (aud), where the policy says that.")
@click.option(
    "--runtime-data", metavar="FILE", help="What the enclave holds: its report data must begin with the SHA-256 of this file."
)
@click.option("--allow-debug", is_flag=True, help="Take an enclave whose memory the host can read: to try.")
@click.option("--allow-simulated", is_flag=True, help="Take a token of a rehearsal, of which nothing is real.")
@AT
@FORM
def verify(file: str, **options: object) -> None:
    """Verify the token in FILE: who made it, and whether it speaks of the enclave that you mean; - reads standard input.

    Its keys are fetched from the issuer that you name, never from where the token points (jku).
    Exit code 0 accepted, 1 refused, 2 malformed input or usage, 3 no keys.
    """
    work("donjon.cli.token.work").verify(file, cast("TokenOptions", options))
