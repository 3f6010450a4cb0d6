"""`donjon collateral`: what Intel states about platforms. Here are the options; `show` and `carry` do the rest."""

import sys
from datetime import datetime
from pathlib import Path

import click

from donjon.cli.options import AT, DATABASE, FORM, TRUST_ROOT, UPDATE, StrictGroup, work

_SHOW, _CARRY = "donjon.cli.collateral.show", "donjon.cli.collateral.carry"


@click.group(cls=StrictGroup)
def collateral() -> None:
    """Fetch and show what Intel states about platforms."""


@collateral.command(short_help="Fetch what quotes need, check it, and keep it.")
@click.argument("files", nargs=-1, required=True, metavar="QUOTE…")
@click.option(
    "--to", "target", required=True, type=click.Path(path_type=Path), metavar="DIR|BUNDLE.json", help="Where to put it."
)
@click.option("--pccs", metavar="URL", help="Fetch from this caching service; without it, from Intel's own.")
@UPDATE
@TRUST_ROOT
def fetch(files: tuple[str, ...], *, target: Path, pccs: str | None, update: str, unsafe_trust_root: Path | None) -> None:
    """Fetch what the verification of these quotes needs, check its signatures, and keep it.

    The quotes must be of one platform family. Exit code 0 kept, 1 not to be trusted, 2 malformed, 3 not to be had.
    """
    sys.exit(work(_SHOW).fetch(files, target, pccs, update, unsafe_trust_root))


@collateral.command(short_help="Show what is there, and until when.")
@click.argument("path", type=click.Path(path_type=Path), metavar="DIR|BUNDLE.json")
@AT
@TRUST_ROOT
@FORM
def show(path: Path, *, at: datetime | None, unsafe_trust_root: Path | None, form: str) -> None:
    """Show what is there, for which platform, and until when; what ends within 30 days is marked.

    Exit code 0 all holds, 1 something has ended or is not to be trusted, 2 malformed, 3 not to be had.
    """
    sys.exit(work(_SHOW).show(path, at, unsafe_trust_root, form))


@collateral.command(short_help="Write all of a database into one file.")
@click.argument("file", type=click.Path(path_type=Path))
@DATABASE
@TRUST_ROOT
def export(file: Path, *, database: str, unsafe_trust_root: Path | None) -> None:
    """Write all collateral of an attestation service's database into one file, each document verified.

    Exit code 0 written, 1 something in it is not to be trusted, 3 the database cannot be read.
    """
    sys.exit(work(_CARRY, "service").export(file, database, unsafe_trust_root))


@collateral.command(name="import", short_help="Import an exported file into a database.")
@click.argument("file", type=click.Path(path_type=Path))
@DATABASE
@TRUST_ROOT
def import_(file: Path, *, database: str, unsafe_trust_root: Path | None) -> None:
    """Import an exported file into a database: all of it, each document verified and none older than what is there.

    A service that runs on the database serves it after its next start.
    Exit code 0 taken, 1 not to be trusted or older, 2 malformed, 3 file or database cannot be read.
    """
    sys.exit(work(_CARRY, "service").import_(file, database, unsafe_trust_root))
