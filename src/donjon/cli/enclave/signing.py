"""`donjon enclave keygen`, `sign`, `digest` and `attach`: their options; `signatures` does the rest."""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TypedDict, TypeVar, cast

import click

from donjon.cli.options import FORM, StrictCommand, with_options, work

F = TypeVar("F", bound=Callable[..., object])

SAME = "same"
_FILE = click.Path(path_type=Path, dir_okay=False)
_WORK = "donjon.cli.enclave.signatures"


class FieldOptions(TypedDict):
    """What of a SIGSTRUCT is said on the command line."""

    date: str | date | None
    product_id: int | None
    svn: int | None
    debug: bool | None
    flags: int | None
    flags_mask: int | None
    xfrm: int | None
    xfrm_mask: int | None
    misc_select: int | None
    misc_mask: int | None
    family_id: bytes | None
    extended_product_id: bytes | None
    vendor: int | None
    software_defined: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where what comes out goes, and how it is told."""

    target: Path
    replace: bool
    form: str


def _number(bits: int) -> Callable[[click.Context, click.Parameter, str | None], int | None]:
    """Reads a number of so many bits, decimal or hexadecimal."""

    def read(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
        if text is None:
            return None
        try:
            number = int(text, 0)
        except ValueError as error:
            raise click.BadParameter(f"{text!r}: expected a number, as 7 or 0x7") from error
        if not 0 <= number < 1 << bits:
            raise click.BadParameter(f"{text}: expected a number of {bits} bits")
        return number

    return read


def _octets(_context: click.Context, _parameter: click.Parameter, text: str | None) -> bytes | None:
    if text is not None and not re.fullmatch("[0-9a-fA-F]{32}", text):
        raise click.BadParameter(f"{text!r}: expected 32 hexadecimal digits")
    return None if text is None else bytes.fromhex(text)


def _date(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | date | None:
    if text in {None, SAME}:
        return text
    try:
        return date.fromisoformat(str(text))
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: expected YYYY-MM-DD, or {SAME}") from error


def _field(name: str, bits: int, words: str) -> Callable[[F], F]:
    return click.option(name, callback=_number(bits), metavar="NUMBER", help=words)


FIELDS: tuple[Callable[[F], F], ...] = (
    click.option(
        "--date", callback=_date, metavar="YYYY-MM-DD", help=f"The day in it, or {SAME}: as it stands; without it, today."
    ),
    _field("--product-id", 16, "ISVPRODID."),
    _field("--svn", 16, "ISVSVN: raise it where a release mends something."),
    click.option("--debug/--no-debug", default=None, help="It may be started for debugging, or never (DEBUG held to 0)."),
    _field("--flags", 64, "ATTRIBUTES.FLAGS."),
    _field("--flags-mask", 64, "Which of them are held."),
    _field("--xfrm", 64, "ATTRIBUTES.XFRM."),
    _field("--xfrm-mask", 64, "Which of its bits are held."),
    _field("--misc-select", 32, "MISCSELECT."),
    _field("--misc-mask", 32, "Which of its bits are held."),
    click.option("--family-id", callback=_octets, metavar="HEX", help="ISVFAMILYID, with KSS alone."),
    click.option("--extended-product-id", callback=_octets, metavar="HEX", help="ISVEXTPRODID, with KSS alone."),
    _field("--vendor", 32, "VENDOR: 0, or 0x8086 for Intel."),
    _field("--software-defined", 32, "SWDEFINED."),
)
TO = click.option("--to", "target", required=True, type=_FILE, metavar="OUT", help="Where to put it; a file that is there stays.")
REPLACE = click.option("--replace", is_flag=True, help="Replace the file that is there, be it FILE itself.")
PASSPHRASE = click.option(
    "--passphrase-file",
    type=_FILE,
    metavar="FILE",
    help="The passphrase of the key's file. Also DONJON_PASSPHRASE in the environment: the passphrase itself.",
)


def with_fields(command: F) -> F:
    """The options that say what is to stand in a SIGSTRUCT."""
    return with_options(command, FIELDS)


@click.command(cls=StrictCommand, short_help="Make a key that signs enclaves.")
@click.argument("key")
@PASSPHRASE
@FORM
def keygen(key: str, *, passphrase_file: Path | None, form: str) -> None:
    """Make a key: RSA of 3072 bits with the exponent 3, which processors take alone, and print its MRSIGNER.

    KEY is a file that is not there yet (PEM, for its owner alone), pkcs11:token=TOKEN;object=LABEL?module-path=…&pin-source=…,
    or https://NAME.managedhsm.azure.net/keys/KEY.
    Exit code 0 made, 2 there is one or usage, 3 it cannot be made.
    """
    work(_WORK, "enclave").keygen(key, passphrase_file, form)


@click.command(cls=StrictCommand, short_help="Sign an enclave, or sign it anew.")
@click.argument("file")
@click.option("--key", required=True, metavar="KEY", help="KEY.pem, pkcs11:… or https://NAME.managedhsm.azure.net/keys/KEY.")
@PASSPHRASE
@TO
@REPLACE
@with_fields
@FORM
def sign(file: str, *, key: str, passphrase_file: Path | None, target: Path, replace: bool, form: str, **options: object) -> None:
    """Sign the enclave in FILE: a *.signed.so gets another SIGSTRUCT in OUT, of a *.sig or *.sgxs OUT is the SIGSTRUCT alone.

    What is not said stays as it stands. What would need another MRENCLAVE is refused.
    Exit code 0 signed, 1 the enclave is not what was signed, 2 malformed or usage, 3 the key is silent or nothing is written.
    """
    fields, out = cast("FieldOptions", options), Destination(target=target, replace=replace, form=form)
    sys.exit(work(_WORK, "enclave").sign(file, fields, out, key, passphrase_file))


@click.command(cls=StrictCommand, short_help="Write what is to be signed elsewhere.")
@click.argument("file")
@TO
@REPLACE
@with_fields
@FORM
def digest(file: str, *, target: Path, replace: bool, form: str, **options: object) -> None:
    """Write the 256 bytes that are to be signed, and print their SHA-256; `donjon enclave attach` takes the signature.

    Exit code 0 written, 1 the enclave is not what was signed, 2 malformed or usage, 3 nothing is written.
    """
    fields, out = cast("FieldOptions", options), Destination(target=target, replace=replace, form=form)
    sys.exit(work(_WORK, "enclave").digest(file, fields, out))


@click.command(cls=StrictCommand, short_help="Put in a signature that was made elsewhere.")
@click.argument("file")
@click.option("--message", required=True, metavar="FILE.tosign", help="What donjon enclave digest wrote.")
@click.option("--signature", required=True, metavar="SIG", help="Its signature: 384 bytes, the highest first, or base64 of them.")
@click.option("--public-key", required=True, metavar="PUB.pem", help="The public half of the key that signed.")
@TO
@REPLACE
@FORM
def attach(file: str, *, message: str, signature: str, public_key: str, target: Path, replace: bool, form: str) -> None:
    """Put a signature that was made elsewhere into the enclave in FILE, as `donjon enclave sign` does.

    Exit code 0 signed, 1 it is no signature of this message by this key, 2 malformed or usage, 3 nothing is written.
    """
    out = Destination(target=target, replace=replace, form=form)
    sys.exit(work(_WORK, "enclave").attach(file, message, signature, public_key, out))


COMMANDS = (keygen, sign, digest, attach)
