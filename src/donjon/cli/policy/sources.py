"""The enclave that a policy is explained for: that of a token, or that of a quote, as the service would state it."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from donjon.adapters import clock
from donjon.attestation import claims, evidence
from donjon.attestation.acceptance import Acceptance, AcceptedQuote, accept
from donjon.attestation.binding import HeldData, bind
from donjon.attestation.verify import VerifiedQuote, verify
from donjon.cli.files import content, display_name
from donjon.cli.quote.sources import read
from donjon.cli.quote.work import trust_root
from donjon.cli.terminal import say
from donjon.collateral.status import TERMINAL, TcbStatus
from donjon.collateral.trusted import trust
from donjon.errors import Untrusted
from donjon.maa import answers
from donjon.policy.claims import Claim
from donjon.sgx.td import TdReport15
from donjon.signing import service_keys

_EVERY_BIT = (1 << 128) - 1
_ANY = Acceptance(
    statuses=frozenset(TcbStatus) - TERMINAL,
    allow_debug=True,
    allow_provision_key=True,
    allow_einittoken_key=True,
    allow_sept_ve=True,
    allow_migratable=True,
    allow_attributes=_EVERY_BIT,
    allow_features=_EVERY_BIT,
    allow_mixed_evaluations=True,
)
"""Whatever some gate could accept: an explanation gives nobody a token."""


def of_token(file: str) -> tuple[Claim, ...]:
    """What a policy would see of the enclave that the token speaks of; raises `Malformed`."""
    token = service_keys.parse(answers.bare_token(content(file, service_keys.MAX_TOKEN)), "token")
    say(f"{display_name(file)}: the claims of a token, of which nothing is proved here", err=True)
    return claims.of_token(token.unproved_claims())


def of_quote(file: str, collateral: Path, moment: datetime | None, root: Path | None) -> tuple[Claim, ...]:
    """What a policy would see of the quote, without data of run time; raises as verification does, `Untrusted` DJ261 too.

    What the gate's default would refuse before any policy is told.
    """
    raw = content(file, evidence.MAX_EVIDENCE)
    quote = evidence.parse_quote(raw)
    verified = verify(quote, trust(read(collateral), trust_root(root)), moment or clock.moment())
    answer = accept(verified, Acceptance())
    for reason in () if isinstance(answer, AcceptedQuote) else answer:
        say(
            f"{display_name(file)}: the gate refuses it before any policy, unless its settings allow it: {reason.sentence()}",
            err=True,
        )
    return claims.derive(bind(_accept_anyhow(verified), HeldData()), raw).incoming


def _accept_anyhow(verified: VerifiedQuote) -> AcceptedQuote:
    body = verified.quote.body
    service_tds = frozenset({body.mr_service_td} if isinstance(body, TdReport15) else ())
    answer = accept(verified, replace(_ANY, service_tds=service_tds))
    if isinstance(answer, AcceptedQuote):
        return answer
    raise Untrusted(
        answer[0].code, f"no gate accepts this quote, whatever the policy says: {answer[0].subject}: {answer[0].observation}"
    )
