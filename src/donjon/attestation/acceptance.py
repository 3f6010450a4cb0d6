"""Whether a true quote is good enough, by the relying party's own rules: a question apart from whether it is true.

A *no* is all its reasons at once. What Intel calls revoked, does not support, or calls by a word that nobody here knows cannot be
accepted: asking for it is a mistake of the one who asks (`Misconfigured`).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from donjon.attestation.verify import VerifiedQuote
from donjon.collateral.status import TERMINAL, TcbStatus
from donjon.errors import Misconfigured
from donjon.findings import Finding, Severity
from donjon.sgx import attributes
from donjon.sgx.report import ReportBody
from donjon.sgx.td import TdReport, TdReport15

MAX_STALENESS = timedelta(days=90)
MAX_GRACE = timedelta(days=730)
REPORT_DATA = 64  # bytes
SERVICE_TD = 48  # bytes

_STRICT = frozenset({TcbStatus.UP_TO_DATE, TcbStatus.SW_HARDENING_NEEDED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the body of the quote must say; what is empty or `None` is not asked."""

    mr_enclaves: frozenset[bytes] = frozenset()  # one of these
    mr_signers: frozenset[bytes] = frozenset()  # one of these
    product_id: int | None = None
    min_svn: int | None = None
    mr_tds: frozenset[bytes] = frozenset()  # one of these, of a TD
    report_data: bytes | None = None  # at most 64 bytes; shorter ones are followed by zeros


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """The rules; the default is strict, and every relaxation has a name. Raises `Misconfigured` DJ271."""

    statuses: frozenset[TcbStatus] = _STRICT
    advisories: Mapping[str, datetime | None] | None = None  # these, each until its date; `None`: any
    min_evaluation: int | None = None  # TCB evaluation data number of both documents
    min_tcb_date: datetime | None = None  # of the TCB, with a time zone
    grace: timedelta = timedelta(0)  # how long after the TCB's date `OutOfDate` is accepted
    staleness: timedelta = timedelta(0)  # how long after its nextUpdate a document is accepted, at most `MAX_STALENESS`
    allow_debug: bool = False
    allow_provision_key: bool = False
    allow_einittoken_key: bool = False
    allow_sept_ve: bool = False  # a TD without SEPT_VE_DISABLE
    allow_migratable: bool = False
    service_tds: frozenset[bytes] = frozenset()  # a TD may be bound to one of these
    allow_attributes: int = 0  # bits of ATTRIBUTES, reserved or newer, that a body may have
    allow_features: int = 0  # bits of XFAM or XFRM that are not judged
    allow_mixed_evaluations: bool = False
    allow_dynamic_platform: bool = True
    allow_cached_keys: bool = True
    allow_smt: bool = True
    expected: Expected = field(default_factory=Expected)

    def __post_init__(self) -> None:
        if hopeless := sorted(self.statuses & TERMINAL):
            raise Misconfigured("DJ271", f"acceptance: {', '.join(hopeless)} can never be accepted")
        if not self.statuses:
            raise Misconfigured("DJ271", "acceptance: no status is accepted, so that nothing would be")
        if not timedelta(0) <= self.staleness <= MAX_STALENESS or not timedelta(0) <= self.grace <= MAX_GRACE:
            raise Misconfigured(
                "DJ271", f"acceptance: staleness to {MAX_STALENESS.days} days and grace to {MAX_GRACE.days} days, none below 0"
            )
        if wrong := [each for each in self.service_tds if len(each) != SERVICE_TD]:
            raise Misconfigured("DJ271", f"acceptance: service TD of {len(wrong[0])} bytes, expected {SERVICE_TD}")
        if self.expected.report_data is not None and len(self.expected.report_data) > REPORT_DATA:
            raise Misconfigured(
                "DJ271", f"acceptance: report data of {len(self.expected.report_data)} bytes, expected at most {REPORT_DATA}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedQuote:
    """A true quote that those rules accept: `accept` alone makes one."""

    verified_quote: VerifiedQuote
    acceptance: Acceptance


def accept(verified: VerifiedQuote, acceptance: Acceptance) -> AcceptedQuote | tuple[Finding, ...]:
    """The quote, accepted as of the moment at which it was verified, or every reason why not."""
    reasons = tuple(reason for check in _CHECKS for reason in check(verified, acceptance))
    return reasons or AcceptedQuote(verified_quote=verified, acceptance=acceptance)


def _status(verified: VerifiedQuote, acceptance: Acceptance) -> Iterator[Finding]:
    status = verified.tcb.status
    if status in TERMINAL:
        yield _no(
            "DJ261", "TCB", f"{status}", "nothing can make up for it", "take the platform out of service, or ask its vendor"
        )
    elif status not in acceptance.statuses and not _in_grace(verified, acceptance):
        acceptable = ", ".join(sorted(acceptance.statuses))
        yield _no(
            "DJ260",
            "TCB",
            f"{status}, accepted are {acceptable}",
            _describe_advisories(verified),
            "update the platform, or accept the status by name",
        )


def _in_grace(verified: VerifiedQuote, acceptance: Acceptance) -> bool:
    """Out of date, but not for long; and otherwise as accepted."""
    date = verified.tcb.date
    if not acceptance.grace or date is None or verified.moment > date + acceptance.grace:
        return False
    within = {TcbStatus.OUT_OF_DATE}
    if TcbStatus.CONFIGURATION_NEEDED in acceptance.statuses:
        within.add(TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED)
    return verified.tcb.status in within


def _describe_advisories(verified: VerifiedQuote) -> str:
    since = f"since {verified.tcb.date:%F} " if verified.tcb.date else ""
    return f"{since}Intel has published {', '.join(verified.tcb.advisories) or 'newer levels'}"


def _advisories(verified: VerifiedQuote, acceptance: Acceptance) -> Iterator[Finding]:
    if acceptance.advisories is None:
        return
    for advisory in verified.tcb.advisories:
        until = acceptance.advisories.get(advisory)
        if advisory not in acceptance.advisories:
            yield _no(
                "DJ262",
                advisory,
                "not among those accepted",
                "the platform is open to it",
                "update the platform, or accept it by name",
            )
        elif until is not None and verified.moment > until:
            yield _no(
                "DJ262",
                advisory,
                f"accepted until {until:%F}",
                "that time is over",
                "update the platform, or accept it for longer",
            )


def _evaluation(verified: VerifiedQuote, acceptance: Acceptance) -> Iterator[Finding]:
    numbers = verified.collateral.tcb_info.evaluation_number, verified.collateral.qe_identity.evaluation_number
    if numbers[0] != numbers[1] and not acceptance.allow_mixed_evaluations:
        pair = f"TCB info {numbers[0]}, identity {numbers[1]}"
        yield _no("DJ267", "evaluation numbers", pair, "they are of two TCB recoveries", "fetch both from one update channel")
    if acceptance.min_evaluation is not None and min(numbers) < acceptance.min_evaluation:
        least = f"{min(numbers)}, expected at least {acceptance.min_evaluation}"
        yield _no("DJ268", "evaluation number", least, "later advisories are not in it", "fetch newer collateral")


def _date(verified: VerifiedQuote, acceptance: Acceptance) -> Iterator[Finding]:
    date, least = verified.tcb.date, acceptance.min_tcb_date
    if least is not None and (date is None or date < least):
        date_text = f"{date:%F}" if date else "of no level"
        yield _no(
            "DJ436",
            "TCB date",
            f"{date_text}, expected {least:%F} or later",
            _describe_advisories(verified),
            "update the platform",
        )


def _validity(verified: VerifiedQuote, acceptance: Acceptance) -> Iterator[Finding]:
    ends = verified.collateral.next_updates()
    for name in verified.outside_validity:
        if verified.moment > ends[name] + acceptance.staleness:
            past = f"its nextUpdate was {ends[name]:%FT%TZ}"
            yield _no("DJ264", name, past, "what has been found since is not in it", "fetch the collateral again")


def _debug(verified: VerifiedQuote, acceptance: Acceptance) -> Iterator[Finding]:
    if verified.quote.body.debug and not acceptance.allow_debug:
        yield _no(
            "DJ263", verified.quote.tee, "in debug mode", "its host can read and change it", "build and start it without debug"
        )


def _trust_domain(verified: VerifiedQuote, acceptance: Acceptance) -> Iterator[Finding]:
    body = verified.quote.body
    if not isinstance(body, TdReport):
        return
    if not body.sept_ve_disable and not acceptance.allow_sept_ve:
        why = "its host can make it run an exception handler on pages that it takes away"
        yield _no("DJ266", "TDX", "without SEPT_VE_DISABLE", why, "start the TD with the attribute")
    if body.migratable and not acceptance.allow_migratable:
        why = "its host can have its memory exported to a service TD that the host chose"
        yield _no("DJ272", "TDX", "MIGRATABLE", why, "start the TD without the attribute, or allow it by --allow-migratable")
    if isinstance(body, TdReport15) and any(body.mr_service_td) and body.mr_service_td not in acceptance.service_tds:
        why, service_td = "a service TD has a hold on it, and its host chose which", body.mr_service_td.hex()
        yield _no(
            "DJ273", "TDX", f"service TD {service_td}", why, f"start the TD without one, or name it by --service-td {service_td}"
        )


def _enclave(verified: VerifiedQuote, acceptance: Acceptance) -> Iterator[Finding]:
    body = verified.quote.body
    if not isinstance(body, ReportBody):
        return
    if not body.initialised:
        why = "only an enclave that was initialised can have a report"
        yield _no("DJ274", "SGX", "ATTRIBUTES without INIT", why, "ask whoever made the quote: no processor did")
    if body.provision_key and not acceptance.allow_provision_key:
        yield _no(
            "DJ265", "SGX", "with PROVISIONKEY", "it can name its platform for ever", "build the enclave without the attribute"
        )
    if body.einittoken_key and not acceptance.allow_einittoken_key:
        do = "build the enclave without the attribute, or allow it by --allow-einittoken-key"
        yield _no("DJ276", "SGX", "with EINITTOKENKEY", "it can let other enclaves be launched", do)


def _attributes(verified: VerifiedQuote, acceptance: Acceptance) -> Iterator[Finding]:
    """What is judged by no name: bits of later documents, and what no processor does today."""
    tee, body = verified.quote.tee, verified.quote.body
    if foreign := attributes.foreign(body, acceptance.allow_attributes):
        unknown_bits = f"ATTRIBUTES have {attributes.names(foreign)}"
        yield _no(
            "DJ274", tee, unknown_bits, "nothing here knows what that does to it", f"allow it by --allow-attributes {foreign:#x}"
        )
    for wrong in attributes.impossible_features(body, acceptance.allow_features):
        name = "XFAM" if isinstance(body, TdReport) else "XFRM"
        do = "ask its vendor; bits can be left unjudged by --allow-features 0x…"
        yield _no("DJ275", tee, f"{name} {wrong}", "no processor of today starts it so", do)


def _platform(verified: VerifiedQuote, acceptance: Acceptance) -> Iterator[Finding]:
    flags = verified.platform.flags
    for name, is_allowed, flag in (
        ("dynamic platform", acceptance.allow_dynamic_platform, flags and flags.dynamic_platform),
        ("cached keys", acceptance.allow_cached_keys, flags and flags.cached_keys),
        ("SMT", acceptance.allow_smt, flags and flags.smt_enabled),
    ):
        if not is_allowed and flag is not False:
            state = "on" if flag else "not stated: the processor CA's certificates say nothing of it"
            yield _no("DJ270", f"platform: {name}", state, "the rules refuse it", "use another platform, or allow it")


def _expected(verified: VerifiedQuote, acceptance: Acceptance) -> Iterator[Finding]:
    expected, body = acceptance.expected, verified.quote.body
    for name, acceptable, measurement in (
        ("MRENCLAVE", expected.mr_enclaves, body.mr_enclave if isinstance(body, ReportBody) else None),
        ("MRSIGNER", expected.mr_signers, body.mr_signer if isinstance(body, ReportBody) else None),
        ("MRTD", expected.mr_tds, body.mr_td if isinstance(body, TdReport) else None),
    ):
        if acceptable and measurement not in acceptable:
            yield _mismatch(
                name, measurement.hex() if measurement else "none", " or ".join(sorted(each.hex() for each in acceptable))
            )
    number = body.isv_prod_id if isinstance(body, ReportBody) else None
    if expected.product_id is not None and number != expected.product_id:
        yield _mismatch("ISVPRODID", str(number), str(expected.product_id))
    svn = body.isv_svn if isinstance(body, ReportBody) else None
    if expected.min_svn is not None and (svn is None or svn < expected.min_svn):
        yield _mismatch("ISVSVN", str(svn), f"at least {expected.min_svn}")
    if expected.report_data is not None and body.report_data != expected.report_data.ljust(REPORT_DATA, b"\0"):
        yield _mismatch("report data", body.report_data.hex(), expected.report_data.ljust(REPORT_DATA, b"\0").hex())


_CHECKS: tuple[Callable[[VerifiedQuote, Acceptance], Iterator[Finding]], ...] = (
    _status,
    _advisories,
    _evaluation,
    _date,
    _validity,
    _debug,
    _trust_domain,
    _enclave,
    _attributes,
    _platform,
    _expected,
)


def _mismatch(subject: str, actual: str, expected: str) -> Finding:
    return _no("DJ269", subject, f"{actual}, expected {expected}", "it is not what was asked for", "check which build runs there")


def _no(code: str, subject: str, observation: str, why: str, do: str) -> Finding:
    return Finding(code=code, severity=Severity.ERROR, subject=subject, observation=observation, why=why, do=do)
