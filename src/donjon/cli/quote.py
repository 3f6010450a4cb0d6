"""`donjon quote`: what a quote says, and whether it is true and acceptable. Here are the options; `quoting` does the work."""

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import reduce
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TypedDict, TypeVar, Unpack

import click

from donjon.cli.durations import parsed
from donjon.collateral.status import TERMINAL, TcbStatus
from donjon.errors import Misconfigured
from donjon.sgx import attributes, td

_ADVISORY = re.compile(r"(?P<name>INTEL-SA-\d{5})(?:@(?P<until>.+))?", re.ASCII)

F = TypeVar("F", bound=Callable[..., object])


class Options(TypedDict):
    """What `donjon quote verify` was asked."""

    collateral: Path | None
    pccs: str | None
    pcs: bool
    at: datetime | None
    accepted: tuple[str, ...]
    allow_debug: bool
    allow_provision_key: bool
    allow_einittoken_key: bool
    allow_sept_ve: bool
    allow_migratable: bool
    service_tds: frozenset[bytes]
    allow_attributes: int
    allow_features: int
    allow_mixed_evaluations: bool
    refuse_dynamic_platform: bool
    refuse_cached_keys: bool
    refuse_smt: bool
    mrenclave: frozenset[bytes]
    mrsigner: frozenset[bytes]
    mrtd: frozenset[bytes]
    product_id: int | None
    min_svn: int | None
    report_data: bytes | None
    advisories: Mapping[str, datetime | None] | None
    min_evaluation: int | None
    grace: timedelta
    staleness: timedelta
    state: Path | None
    update: str
    unsafe_trust_root: Path | None
    form: str


def moment(text: str) -> datetime:
    """A moment as ISO 8601, in UTC where no zone is named, or in Unix seconds; raises `click.BadParameter`."""
    try:
        if text.isdecimal():
            return datetime.fromtimestamp(int(text), UTC)
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError) as error:
        raise click.BadParameter(f"{text!r}: expected ISO 8601 such as 2026-01-31T00:00:00Z, or Unix seconds") from error
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def at(_: click.Context, __: click.Parameter, text: str | None) -> datetime | None:
    """The moment of an option."""
    return None if text is None else moment(text)


def _duration(_: click.Context, __: click.Parameter, text: str) -> timedelta:
    return parsed(text)


def _octets(_: click.Context, __: click.Parameter, given: Iterable[str]) -> frozenset[bytes]:
    try:
        return frozenset(bytes.fromhex(text) for text in given)
    except ValueError as error:
        raise click.BadParameter("expected hexadecimal") from error


def _service_tds(_: click.Context, __: click.Parameter, given: Iterable[str]) -> frozenset[bytes]:
    try:
        return frozenset(map(td.service_td, given))
    except ValueError as error:
        raise click.BadParameter(f"expected {error}") from error


def _mask(known: Mapping[str, int]) -> Callable[[click.Context, click.Parameter, Iterable[str]], int]:
    def mask(_: click.Context, __: click.Parameter, given: Iterable[str]) -> int:
        try:
            return attributes.mask(given, known)
        except ValueError as error:
            raise click.BadParameter(f"expected {error}") from error

    return mask


def _report_data(_: click.Context, __: click.Parameter, text: str | None) -> bytes | None:
    try:
        return None if text is None else bytes.fromhex(text)
    except ValueError as error:
        raise click.BadParameter("expected hexadecimal") from error


def _advisories(_: click.Context, __: click.Parameter, given: Iterable[str]) -> Mapping[str, datetime | None] | None:
    found: dict[str, datetime | None] = {}
    for text in given:
        advisory = _ADVISORY.fullmatch(text)
        if advisory is None:
            raise click.BadParameter(f"{text!r}: expected an advisory such as INTEL-SA-00615, or INTEL-SA-00615@2027-01-31")
        found[advisory["name"]] = moment(advisory["until"]) if advisory["until"] else None
    return found or None


FORM = click.option(
    "--output",
    "-o",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="For people or for programs.",
)
AT = click.option("--at", callback=at, metavar="TIME", help="The moment to look from, ISO 8601 or Unix seconds; without it, now.")

UPDATE = click.option(
    "--update",
    type=click.Choice(["standard", "early"]),
    default="standard",
    show_default=True,
    help="The update channel that the collateral is of.",
)
TRUST_ROOT = click.option(
    "--unsafe-trust-root",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Trust this root certificate in place of Intel's: for tests.",
)

_RULES: tuple[Callable[[F], F], ...] = (
    click.option(
        "--accept",
        "accepted",
        multiple=True,
        type=click.Choice([str(status) for status in TcbStatus]),
        metavar="STATUS",
        help="A TCB status to accept beside UpToDate, in place of SWHardeningNeeded; may be repeated. "
        f"One of {', '.join(str(each) for each in TcbStatus if each not in TERMINAL)}.",
    ),
    click.option("--allow-debug", is_flag=True, help="Accept an enclave or a TD whose memory is no secret."),
    click.option("--allow-provision-key", is_flag=True, help="Accept an enclave with PROVISIONKEY."),
    click.option("--allow-einittoken-key", is_flag=True, help="Accept an enclave with EINITTOKENKEY."),
    click.option("--allow-sept-ve", is_flag=True, help="Accept a TD without SEPT_VE_DISABLE."),
    click.option("--allow-migratable", is_flag=True, help="Accept a TD whose memory may be exported (MIGRATABLE)."),
    click.option(
        "--service-td",
        "service_tds",
        multiple=True,
        callback=_service_tds,
        metavar="HEX",
        help="Accept a TD that is bound to this service TD; repeated: to one of these.",
    ),
    click.option(
        "--allow-attributes",
        multiple=True,
        callback=_mask(attributes.NEW_ATTRIBUTES),
        metavar="NAME|0xBITS",
        help=f"Accept these bits of ATTRIBUTES, reserved or one of {', '.join(attributes.NEW_ATTRIBUTES)}; may be repeated.",
    ),
    click.option(
        "--allow-features",
        multiple=True,
        callback=_mask(attributes.NEW_FEATURES),
        metavar="NAME|0xBITS",
        help=f"Accept these bits of XFAM or XFRM unjudged, {', '.join(attributes.NEW_FEATURES)} or any others; may be repeated.",
    ),
    click.option("--allow-mixed-evaluations", is_flag=True, help="Accept TCB info and identity of two TCB recoveries."),
    click.option("--refuse-dynamic-platform", is_flag=True, help="Refuse platforms to which packages can be added."),
    click.option("--refuse-cached-keys", is_flag=True, help="Refuse platforms whose keys Intel keeps."),
    click.option("--refuse-smt", is_flag=True, help="Refuse platforms with SMT (hyper-threading)."),
    click.option("--mrenclave", multiple=True, callback=_octets, metavar="HEX", help="The enclave; repeated: one of these."),
    click.option(
        "--mrsigner", multiple=True, callback=_octets, metavar="HEX", help="The enclave's signer; repeated: one of these."
    ),
    click.option("--mrtd", multiple=True, callback=_octets, metavar="HEX", help="The trust domain; repeated: one of these."),
    click.option("--product-id", type=click.IntRange(0, 0xFFFF), help="The enclave's product id."),
    click.option("--min-svn", type=click.IntRange(0, 0xFFFF), help="The least security version of the enclave."),
    click.option(
        "--report-data", callback=_report_data, metavar="HEX", help="The report data; what is shorter is followed by zeros."
    ),
    click.option(
        "--advisory",
        "advisories",
        multiple=True,
        callback=_advisories,
        metavar="ID[@DATE]",
        help="Accept these advisories alone, each until its date; may be repeated. Without it, all that the status allows.",
    ),
    click.option("--min-evaluation", type=click.IntRange(0), help="The least TCB evaluation data number."),
    click.option(
        "--grace",
        default="0s",
        callback=_duration,
        metavar="DURATION",
        help="Accept OutOfDate this long after the TCB's date: 30d.",
    ),
    click.option(
        "--staleness",
        default="0s",
        callback=_duration,
        metavar="DURATION",
        help="Accept documents this long after their nextUpdate: 7d.",
    ),
)


def _with_rules(command: F) -> F:
    return _with(command, _RULES)


def _with(command: F, options: tuple[Callable[[F], F], ...]) -> F:
    return reduce(lambda inner, option: option(inner), reversed(options), command)


def with_sources(command: F) -> F:
    """The ways to say where collateral comes from."""
    options: tuple[Callable[[F], F], ...] = (
        click.option("--collateral", type=click.Path(path_type=Path), metavar="BUNDLE.json|DIR", help="Collateral from there."),
        click.option("--pccs", metavar="URL", help="Collateral from that caching service."),
        click.option("--pcs", is_flag=True, help="Collateral from Intel's own service."),
    )
    return _with(command, options)


@click.group()
def quote() -> None:
    """Read and verify quotes of SGX enclaves and TDX trust domains."""


@quote.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@FORM
def show(files: tuple[str, ...], *, form: str) -> None:
    """Print everything that quotes say; - reads standard input.

    Reads raw bytes, hexadecimal, base64, PEM, and Open Enclave's reports. Nothing is verified. Exit code 0 read, 2 malformed.
    """
    sys.exit(work("donjon.cli.quoting").show(files, form))


@quote.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@with_sources
@AT
@_with_rules
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep high-water marks there: no way back to older collateral.",
)
@UPDATE
@TRUST_ROOT
@FORM
def verify(files: tuple[str, ...], **options: Unpack[Options]) -> None:
    """Tell whether quotes are true and acceptable, and every reason why not; - reads standard input.

    Exit code 0 acceptable, 1 refused, 2 malformed input or usage, 3 no collateral; of several files, the highest.
    """
    sys.exit(work("donjon.cli.quoting").verify(files, options))


def work(module: str, extra: str = "attestation") -> ModuleType:
    """What does the work, loaded now: help needs none of its libraries."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise Misconfigured("DJ045", f"this command needs {error.name}: pip install 'donjon[{extra}]'") from error
