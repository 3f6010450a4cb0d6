"""What the audit is told of a decision or a change: hashes and names, never a whole quote, a key or anything secret."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from donjon.audit.event import Event, EventKind, EventVerdict
from donjon.errors import DonjonError
from donjon.formats.json import Json
from donjon.maa.requests import AttestRequest
from donjon.maa.versions import AttestationType
from donjon.policy.decision import Decision
from donjon.policy.record import brief, full


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks, and the name of the request; of the address, nothing is kept."""

    caller: str
    request: str
    site: str  # under what the address is counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """Who asked what of which instance: what is known before anything is decided."""

    kind: EventKind
    instance: str
    asker: Asker
    facts: dict[str, str] = field(default_factory=dict)

    def allowed_event(self, facts: Mapping[str, str], text: str, decision: Decision | None = None) -> Event:
        """The record that it was done, by which decision of a policy, and that policy's `text`."""
        return self._event(EventVerdict.ALLOW, (), _trace(decision), facts, text)

    def refused_event(self, codes: tuple[str, ...], facts: Mapping[str, str], text: str, decision: Decision | None) -> Event:
        """The record that it was refused, and for which reasons."""
        return self._event(EventVerdict.REFUSE, codes, _trace(decision), facts, text)

    def failed_event(self, error: DonjonError) -> Event:
        """The record that it was refused, since what was shown is not true."""
        return self._event(EventVerdict.REFUSE, (error.code,), error.message, {}, "")

    def _event(self, verdict: EventVerdict, codes: tuple[str, ...], trace: Json, facts: Mapping[str, str], text: str) -> Event:
        return Event(
            kind=self.kind,
            instance=self.instance,
            caller=self.asker.caller,
            request=self.asker.request,
            verdict=verdict,
            codes=codes,
            facts={**self.facts, **facts},
            trace=trace,
            text=text,
        )


def attestation(request: AttestRequest, kind: AttestationType, instance: str, asker: Asker) -> Matter:
    """The matter of a request for a token."""
    facts = {"type": str(kind), "quote": hashlib.sha256(request.submitted).hexdigest()}
    if request.held_data.nonce is not None:
        facts["nonce"] = request.held_data.nonce
    return Matter(
        kind=EventKind.ATTEST if request.draft is None else EventKind.DRAFT, instance=instance, asker=asker, facts=facts
    )


def _trace(decision: Decision | None) -> Json:
    """In full where the answer was a no; a yes, of which there are many, leaves out what stands in the policy."""
    if decision is None:
        return None
    return brief(decision) if decision.permitted else full(decision)
