"""What `donjon quote` does: files to quotes, collateral from where it was said, a verdict for each, printed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from donjon.adapters import clock
from donjon.attestation import description, evidence
from donjon.attestation import verify as stage
from donjon.attestation.acceptance import Acceptance, AcceptedQuote, Expected, accept
from donjon.attestation.quote import Quote
from donjon.attestation.verify import VerifiedQuote
from donjon.cli.files import bare_content, content, display_name
from donjon.cli.quote.command import Options
from donjon.cli.quote.sources import Source, source
from donjon.cli.quote.state import StateFile
from donjon.cli.terminal import say, say_finding, say_json
from donjon.collateral.plan import Channel
from donjon.collateral.trusted import trust
from donjon.errors import EXIT_CODES, EXIT_NO, EXIT_YES, DonjonError
from donjon.findings import Finding, Severity
from donjon.formats.json import Json, JsonObject
from donjon.pki import intel, pck, pem
from donjon.pki.intel import Anchor

MAX_ROOT = 64 << 10  # bytes of a root certificate's file

_CHAIN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRequest:
    """What the quotes of one run are verified by: collateral, trust root, moment and rules."""

    source: Source
    anchor: Anchor
    moment: datetime
    acceptance: Acceptance
    state: StateFile


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOutcome:
    """What came of one file: its quote, and whether that is true and acceptable, or an error."""

    file: str
    quote: Quote | None = None
    verified: VerifiedQuote | None = None
    reasons: tuple[Finding, ...] = ()
    error: DonjonError | None = None

    @property
    def exit_code(self) -> int:
        """As `donjon.errors` says for an error; otherwise yes or no."""
        if self.error is not None:
            return next(code for family, code in EXIT_CODES.items() if isinstance(self.error, family))
        return EXIT_NO if self.reasons else EXIT_YES


def show(files: tuple[str, ...], form: str) -> int:
    """Print what each quote says; the highest exit code."""
    outcomes = [_read(file) for file in files]
    if form == "json":
        _print_json([_quote_document(each) for each in outcomes])
    for each in outcomes if form != "json" else ():
        lines = (
            [f"{display_name(each.file)}: {each.error}"]
            if each.quote is None
            else _lines(_describe(each.quote), display_name(each.file))
        )
        for line in lines:
            say(line)
    return max(each.exit_code for each in outcomes)


def verify(files: tuple[str, ...], options: Options, rules: Mapping[str, object]) -> int:
    """Print a verdict for each quote, by these fields of `Acceptance`; the highest exit code."""
    channel = Channel(options["update"])
    request = VerifyRequest(
        source=source(options["collateral"], options["pccs"], pcs=options["pcs"], channel=channel),
        anchor=trust_root(options["unsafe_trust_root"]),
        moment=options["at"] or clock.moment(),
        acceptance=_acceptance(options, rules),
        state=StateFile(options["state"], channel),
    )
    outcomes = [_judge(_read(file), request) for file in files]
    request.state.save()
    if options["form"] == "json":
        _print_json([_verdict_document(each, request.anchor) for each in outcomes])
    else:
        _print(outcomes, request.anchor)
    return max(each.exit_code for each in outcomes)


def _read(file: str) -> VerifyOutcome:
    try:
        return VerifyOutcome(file=file, quote=evidence.parse_quote(bare_content(file, evidence.MAX_EVIDENCE)))
    except DonjonError as error:
        return VerifyOutcome(file=file, error=error)


def _judge(read: VerifyOutcome, request: VerifyRequest) -> VerifyOutcome:
    """The file's quote, verified and held against the rules."""
    if read.quote is None:
        return read
    try:
        collateral = trust(request.source(read.quote), request.anchor)
        verified = stage.verify(read.quote, collateral, request.moment)
        request.state.advance(collateral)
    except DonjonError as error:
        return VerifyOutcome(file=read.file, quote=read.quote, error=error)
    answer = accept(verified, request.acceptance)
    reasons = () if isinstance(answer, AcceptedQuote) else answer
    return VerifyOutcome(file=read.file, quote=read.quote, verified=verified, reasons=reasons)


def trust_root(root: Path | None) -> Anchor:
    """Intel's, or that of the certificate in the file."""
    return intel.INTEL if root is None else intel.anchor(content(str(root), MAX_ROOT))


def _acceptance(options: Options, rules: Mapping[str, object]) -> Acceptance:
    expected = Expected(
        mr_enclaves=options["mrenclave"],
        mr_signers=options["mrsigner"],
        mr_tds=options["mrtd"],
        product_id=options["product_id"],
        min_svn=options["min_svn"],
        report_data=options["report_data"],
    )
    return replace(Acceptance(expected=expected), **rules)  # type: ignore[arg-type] # Each is what its rule has made.


def _describe(quote: Quote) -> JsonObject:
    """The quote, and what its own PCK certificate says of the platform, which nobody has proved."""
    document = description.describe(quote)
    if quote.carries_chain:
        try:
            leaf = pem.parse(quote.certification.content, _CHAIN)[0]
            document["platform"] = description.platform(pck.parse_unverified(leaf))
        except DonjonError as error:
            document["platform"] = str(error)
    return document


def _quote_document(outcome: VerifyOutcome) -> JsonObject:
    document: JsonObject = {"file": display_name(outcome.file)}
    if outcome.quote is not None:
        return {**document, "quote": _describe(outcome.quote)}
    return {**document, "reasons": _findings(outcome)}


def _verdict_document(outcome: VerifyOutcome, anchor: Anchor) -> JsonObject:
    verified = outcome.verified
    claims: JsonObject | None = None if outcome.quote is None else description.describe(outcome.quote)
    if verified is not None and claims is not None:
        claims["platform"] = description.platform(verified.platform)
    outside: list[Json] = [] if verified is None else [*verified.outside_validity]
    return {
        "file": display_name(outcome.file),
        "verified": verified is not None,
        "acceptable": verified is not None and not outcome.reasons,
        "tcb": None if verified is None else _tcb(verified),
        "outside_validity": outside,
        "expires": None if verified is None else _iso(verified.expires),
        "moment": None if verified is None else _iso(verified.moment),
        "trust_root": "intel" if anchor == intel.INTEL else "unsafe",
        "reasons": _findings(outcome),
        "claims": claims,
    }


def _tcb(verified: VerifiedQuote) -> JsonObject:
    advisories: list[Json] = [*verified.tcb.advisories]
    return {
        "status": str(verified.tcb.status),
        "date": None if verified.tcb.date is None else _iso(verified.tcb.date),
        "advisories": advisories,
        "evaluation_number": verified.tcb.evaluation_number,
    }


def _findings(outcome: VerifyOutcome) -> list[Json]:
    reasons = outcome.reasons if outcome.error is None else (_of_error(outcome.error),)
    return [{**each.as_dict()} for each in reasons]


def _of_error(error: DonjonError) -> Finding:
    subject, _, observation = error.message.partition(": ")
    do = f"donjon explain {error.code}"
    return Finding(
        code=error.code, severity=Severity.ERROR, subject=subject, observation=observation, why="nothing is proved of it", do=do
    )


def _iso(moment: datetime) -> str:
    return f"{moment:%FT%TZ}"


def _print_json(documents: list[JsonObject]) -> None:
    results: list[Json] = [*documents]
    whole: JsonObject = documents[0] if len(documents) == 1 else {"results": results}
    say_json(whole)


def _print(outcomes: Iterable[VerifyOutcome], anchor: Anchor) -> None:
    for each in outcomes:
        say(f"{display_name(each.file)}: {_verdict(each)}")
        for reason in each.reasons:
            say_finding(reason, before="  ")
    if anchor != intel.INTEL:
        say("warning: under a root that is not Intel's (--unsafe-trust-root): good for tests, and for nothing else", err=True)


def _verdict(outcome: VerifyOutcome) -> str:
    verified = outcome.verified
    if verified is None:
        return f"not verified: {outcome.error}"
    tcb, word = verified.tcb, "true, but refused" if outcome.reasons else "acceptable"
    date = f" of {tcb.date:%F}" if tcb.date else ""
    advisories = f", {', '.join(tcb.advisories)}" if tcb.advisories else ""
    summary = f"{verified.quote.tee}, TCB {tcb.status}{date}{advisories}, evaluation {tcb.evaluation_number}"
    if outside := verified.outside_validity:
        return f"{word}: {summary}; of its collateral these had ended, the first {_iso(verified.expires)}: {', '.join(outside)}"
    return f"{word}: {summary}; this holds until {_iso(verified.expires)}"


def _lines(value: Json, name: str, depth: int = 0) -> list[str]:
    """A value as indented lines."""
    if not isinstance(value, dict):
        return [f"{'  ' * depth}{name}: {_word(value)}"]
    return [f"{'  ' * depth}{name}:", *(line for key, each in value.items() for line in _lines(each, key, depth + 1))]


def _word(value: Json) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None or value == "" else str(value)
