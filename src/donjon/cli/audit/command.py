"""`donjon audit`: what the attestation service has decided and changed. Here are the options; `records` shows,
`verification` verifies.
"""

import sys
from datetime import datetime
from pathlib import Path

import click

from donjon.audit.event import EventKind, EventVerdict
from donjon.audit.texts import HASH
from donjon.cli.options import DATABASE, FORM, StrictGroup, at, work

_VERIFICATION, _RECORDS = "donjon.cli.audit.verification", "donjon.cli.audit.records"


@click.group(cls=StrictGroup)
def audit() -> None:
    """What the attestation service has decided and changed: its records, shown and verified."""


@audit.command(short_help="Check that every record is there, unchanged.")
@DATABASE
@click.option(
    "--heads",
    multiple=True,
    metavar="FILE",
    help="A log of the service, or a file with heads; may be repeated; - is standard input.",
)
@click.option(
    "--keys",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The certificates of the keys that sign heads: a file, or a folder; may be repeated.",
)
@click.option(
    "--unsigned-before",
    callback=at,
    metavar="TIME",
    help="When the service was given its keys: earlier heads may be unsigned; ISO 8601 or Unix seconds.",
)
@FORM
def verify(*, database: str, heads: tuple[str, ...], keys: tuple[Path, ...], unsigned_before: datetime | None, form: str) -> None:
    """Check that every record is there as it was written, and show which is not.

    Without --keys whoever can write to the database can have written its heads, too; without --heads they can have been deleted.
    Exit code 0 whole, 1 not, 2 malformed, 3 the database cannot be read.
    """
    sys.exit(work(_VERIFICATION, "service").verify(database, heads, keys, unsigned_before, form))


@audit.command(short_help="Print a policy's text by its hash.", context_settings={"ignore_unknown_options": True})
@click.argument("policy_hash", metavar="HASH")
@DATABASE
def policy(*, policy_hash: str, database: str) -> None:
    """Print the text of the policy that records and tokens name by that hash (policy, x-ms-policy-hash).

    It is printed only if the hash is its own. Exit code 0 shown, 1 not there, 2 no hash, 3 the database cannot be read.
    """
    if not HASH.fullmatch(policy_hash):
        raise click.BadParameter(f"{policy_hash!r}: expected the 43 characters of a hash, as a record's facts have it in policy")
    sys.exit(work(_RECORDS, "service").policy(database, policy_hash))


@audit.command(short_help="Print records, a line each.")
@DATABASE
@click.option("--instance", metavar="NAME", help="Of that instance.")
@click.option("--kind", type=click.Choice([str(each) for each in EventKind]), help="What was asked for.")
@click.option("--verdict", type=click.Choice([str(each) for each in EventVerdict]), help="What was answered.")
@click.option("--caller", metavar="NAME", help="Asked by that caller.")
@click.option("--jti", metavar="ID", help="Of the token with that jti.")
@click.option("--quote", metavar="HASH", help="Of the quote with that SHA-256, in hexadecimal.")
@click.option("--since", callback=at, metavar="TIME", help="From that moment on: ISO 8601 or Unix seconds.")
@click.option("--until", callback=at, metavar="TIME", help="Before that moment.")
@FORM
def show(
    *,
    database: str,
    instance: str | None,
    kind: str | None,
    verdict: str | None,
    caller: str | None,
    jti: str | None,
    quote: str | None,
    since: datetime | None,
    until: datetime | None,
    form: str,
) -> None:
    """Print records in the order of their moments, a line each; as JSON with the trace of the policy.

    Nothing is verified. Exit code 0 shown, 3 the database cannot be read.
    """
    options = {"instance": instance, "kind": kind, "verdict": verdict, "caller": caller, "jti": jti, "quote": quote}
    filters = {name: text for name, text in options.items() if text is not None}
    sys.exit(work(_RECORDS, "service").show(database, filters, since, until, form))
