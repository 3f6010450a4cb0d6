"""`donjon quote`: what a quote says, and whether it is true and acceptable. Here are the options; `work` does the rest."""

import sys
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypedDict, TypeVar, cast

import click

from donjon.attestation import gate
from donjon.attestation.gate import GateRule, ValueForm
from donjon.cli.identity import with_identity
from donjon.cli.options import AT, FORM, TRUST_ROOT, UPDATE, StrictGroup, with_options, work

F = TypeVar("F", bound=Callable[..., object])


class Options(TypedDict):
    """What `donjon quote verify` was asked, beside the gate's rules."""

    collateral: Path | None
    pccs: str | None
    pcs: bool
    at: datetime | None
    mrenclave: frozenset[bytes]
    mrsigner: frozenset[bytes]
    mrtd: frozenset[bytes]
    product_id: int | None
    min_svn: int | None
    report_data: bytes | None
    state: Path | None
    update: str
    unsafe_trust_root: Path | None
    form: str


def _report_data(_: click.Context, __: click.Parameter, text: str | None) -> bytes | None:
    try:
        return None if text is None else bytes.fromhex(text)
    except ValueError as error:
        raise click.BadParameter("expected hexadecimal") from error


def _option(rule: GateRule) -> Callable[[F], F]:
    """The option of one of the gate's rules; its value is that of the rule's field, or `None` where it is not given."""
    callback, metavar = partial(_value, rule), rule.placeholder or None
    match rule.form:
        case ValueForm.SWITCH:
            return click.option(f"--{rule.name}", rule.field, is_flag=True, callback=callback, help=rule.help)
        case ValueForm.TEXTS:
            kind = click.Choice(rule.choices) if rule.choices else click.STRING
            return click.option(
                f"--{rule.name}", rule.field, multiple=True, type=kind, callback=callback, metavar=metavar, help=rule.help
            )
        case ValueForm.NUMBER:
            return click.option(f"--{rule.name}", rule.field, type=int, callback=callback, metavar=metavar, help=rule.help)
        case _:
            return click.option(f"--{rule.name}", rule.field, callback=callback, metavar=metavar, help=rule.help)


def _value(rule: GateRule, _: click.Context, __: click.Parameter, value: object) -> object:
    if value is None or value is False or value == ():
        return None
    try:
        return rule.value(gate.moment(str(value)) if rule.form is ValueForm.MOMENT else value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r}: expected {error}") from error


_REPORT_DATA = click.option(
    "--report-data", callback=_report_data, metavar="HEX", help="The report data; what is shorter is followed by zeros."
)


def _with_rules(command: F) -> F:
    return with_options(with_identity(_REPORT_DATA(command)), tuple(map(_option, gate.RULES)))


def with_sources(command: F) -> F:
    """The ways to say where collateral comes from."""
    options: tuple[Callable[[F], F], ...] = (
        click.option(
            "--collateral",
            type=click.Path(path_type=Path),
            metavar="BUNDLE.json|DIR",
            help="Read collateral from this file or folder.",
        ),
        click.option("--pccs", metavar="URL", help="Fetch collateral from this caching service."),
        click.option("--pcs", is_flag=True, help="Fetch collateral from Intel's own service."),
    )
    return with_options(command, options)


@click.group(cls=StrictGroup)
def quote() -> None:
    """Read and verify quotes of SGX enclaves and TDX trust domains."""


@quote.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@FORM
def show(files: tuple[str, ...], *, form: str) -> None:
    """Print everything that quotes say; - reads standard input.

    Reads raw bytes, hexadecimal, base64, PEM, and Open Enclave's reports. Nothing is verified. Exit code 0 read, 2 malformed.
    """
    sys.exit(work("donjon.cli.quote.work").show(files, form))


@quote.command(short_help="Verify quotes: whether they are true and acceptable.")
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@with_sources
@AT
@_with_rules
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep high-water marks in this file: older collateral is then refused.",
)
@UPDATE
@TRUST_ROOT
@FORM
def verify(files: tuple[str, ...], **options: object) -> None:
    """Verify quotes: whether they are true and acceptable, and every reason why not; - reads standard input.

    Exit code 0 acceptable, 1 refused, 2 malformed input or usage, 3 no collateral; of several files, the highest.
    """
    rules = {each.field: options.pop(each.field) for each in gate.RULES}
    values = {field: value for field, value in rules.items() if value is not None}
    sys.exit(work("donjon.cli.quote.work").verify(files, cast("Options", options), values))
