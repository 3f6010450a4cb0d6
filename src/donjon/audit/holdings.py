"""What is kept of instances, policies and policy management certificates, held against the last records that changed it.

A row that somebody wrote to the database has no record, or one that says something else. Changes are in the order of their
generations, and those of earlier versions, whose records have none, in that of their moments.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from donjon.audit import event
from donjon.audit.chain import Record
from donjon.audit.event import Event, EventKind, EventVerdict
from donjon.errors import Malformed
from donjon.findings import Finding, Severity
from donjon.formats import base64url
from donjon.formats.json import JsonObject
from donjon.formats.numbers import whole_number

GENERATION, SINCE = "generation", "since"
"""Facts of a change: the generation that it made; and, where it is told again, its moment."""

MAX_FINDINGS = 100

_POLICY, _CERTIFICATES, _FORMER, _TOKEN, _TYPE = "policy", "certificates", "former", "token", "type"
_KIND_AGAIN = {
    EventKind.POLICY_SET: EventKind.POLICY_KEPT,
    EventKind.POLICY_KEPT: EventKind.POLICY_KEPT,
    EventKind.CERTIFICATE_ADDED: EventKind.CERTIFICATES_KEPT,
    EventKind.CERTIFICATE_REMOVED: EventKind.CERTIFICATES_KEPT,
    EventKind.CERTIFICATES_KEPT: EventKind.CERTIFICATES_KEPT,
}
_KINDS = {*_KIND_AGAIN, EventKind.POLICY_RESET}
_MARKS = tuple(f'"kind":"{kind}"'.encode() for kind in _KINDS)


class Holding(Protocol):
    """What the database keeps of one instance."""

    @property
    def generation(self) -> int:
        """How often it was changed."""

    @property
    def policies(self) -> Mapping[str, str]:
        """Attestation type to policy token."""

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """The policy management certificates in force, in DER."""

    @property
    def former(self) -> tuple[bytes, ...]:
        """DER of those that were removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldingChange:
    """What one record says was changed."""

    kind: EventKind
    instance: str
    facts: Mapping[str, str]
    moment: int
    place: str

    @property
    def subject(self) -> tuple[str, str]:
        """The instance, and the attestation type; none of certificates."""
        return self.instance, self.facts.get(_TYPE, "")

    @property
    def generation(self) -> int:
        """Which it made; 0 where its record does not say."""
        return _number(self.facts.get(GENERATION, ""))

    @property
    def order(self) -> tuple[int, int]:
        """By which the last one is found."""
        return self.generation, self.moment

    def holds(self, holding: Holding) -> bool:
        """Whether what is kept is what it made."""
        if self.kind is EventKind.POLICY_RESET:
            return self.subject[1] not in holding.policies
        if self.subject[1]:
            token = holding.policies.get(self.subject[1])
            return token is not None and _hash(token) == self.facts.get(_TOKEN)
        if _CERTIFICATES in self.facts:
            return facts(holding.certificates, holding.former).items() <= self.facts.items()
        present = self.facts.get("certificate") in set(map(_thumbprint, holding.certificates))
        return present is (self.kind is EventKind.CERTIFICATE_ADDED)

    @property
    def stands(self) -> bool:
        """Whether there is something where it stands, and not nothing."""
        return self.kind in _KIND_AGAIN

    def again(self) -> Event:
        """The same, to be told before its record is dropped; without the name of who asked for it."""
        event_facts = {name: text for name, text in self.facts.items() if name in _FACTS} | {SINCE: str(self.moment)}
        whole = (
            self.subject[1] or _CERTIFICATES in event_facts
        )  # An earlier version's record of a certificate says no more than that.
        kind = _KIND_AGAIN[self.kind] if whole else self.kind
        return Event(kind=kind, instance=self.instance, caller="", verdict=EventVerdict.ALLOW, facts=event_facts)


_FACTS = {_TYPE, _POLICY, _TOKEN, "signer", "certificate", "subject", _CERTIFICATES, _FORMER, GENERATION}


def facts(certificates: tuple[bytes, ...], former: tuple[bytes, ...]) -> dict[str, str]:
    """By which a record of a change names all certificates that are there after it, in DER."""
    return {name: _digest(ders) for name, ders in ((_CERTIFICATES, certificates), (_FORMER, former))}


def change(record: Record) -> HoldingChange | None:
    """What the record says was changed, if it says so."""
    content = _content(record) if any(mark in record.event for mark in _MARKS) else {}
    raw_facts, instance = content.get("facts"), content.get("instance")
    if content.get("verdict") != EventVerdict.ALLOW or not isinstance(raw_facts, dict) or not isinstance(instance, str):
        return None
    if content.get("kind") not in _KINDS:
        return None
    texts = {name: text for name, text in raw_facts.items() if isinstance(text, str)}
    moment = _number(texts.get(SINCE, "")) or record.moment
    place = f"record {record.number} of chain {record.writer}"
    return HoldingChange(kind=EventKind(str(content["kind"])), instance=instance, facts=texts, moment=moment, place=place)


@dataclass(slots=True)
class Ledger:
    """The last change of each policy and each list of certificates, as records tell it."""

    last: dict[tuple[str, str], HoldingChange] = field(default_factory=dict)

    def watch(self, records: Iterable[Record]) -> Iterator[Record]:
        """The same records, each taken note of as it passes."""
        for record in records:
            self.take(record)
            yield record

    def take(self, record: Record) -> None:
        """Note what that record says was changed, if it is the latest on its subject."""
        if (latest := change(record)) is not None:
            before = self.last.get(latest.subject)
            self.last[latest.subject] = latest if before is None else max(before, latest, key=lambda each: each.order)

    def findings(self, holdings: Mapping[str, Holding], *, is_incomplete: bool) -> tuple[Finding, ...]:
        """What the database keeps otherwise than the last records say; `is_incomplete`: an earlier version dropped some."""
        findings = [
            finding
            for name, holding in holdings.items()
            for finding in self._instance(name, holding, is_incomplete=is_incomplete)
        ]
        absent = [each for each in self.last.values() if each.instance not in holdings and each.stands]
        findings += [_finding(each.instance, f"what {each.place} says was set is not there") for each in absent]
        return tuple(findings[:MAX_FINDINGS])

    def _instance(self, name: str, holding: Holding, *, is_incomplete: bool) -> Iterator[Finding]:
        own = {subject[1]: each for subject, each in self.last.items() if subject[0] == name}
        for kind in sorted({*holding.policies, *own} - {""}):
            if (last := own.get(kind)) is None:
                yield _without_record(name, f"the policy of {kind}", is_incomplete=is_incomplete)
            elif not last.holds(holding):
                yield _finding(name, f"the policy of {kind} is not as {last.place} says")
        if (last := own.get("")) is None and (holding.certificates or holding.former):
            yield _without_record(name, "its policy management certificates", is_incomplete=is_incomplete)
        elif last is not None and not last.holds(holding):
            yield _finding(name, f"its policy management certificates are not as {last.place} says")


def _without_record(name: str, what: str, *, is_incomplete: bool) -> Finding:
    if is_incomplete:
        return _finding(name, f"who set {what} is in no record; it may have been dropped", "DJ623", Severity.WARNING)
    return _finding(name, f"no record says who set {what}")


def _finding(name: str, observation: str, code: str = "DJ620", severity: Severity = Severity.ERROR) -> Finding:
    why, do = (
        "whoever can write to the database may have put it there",
        "set it again, and find out who could write to the database",
    )
    return Finding(code=code, severity=severity, subject=f"instance {name}", observation=observation, why=why, do=do)


def _content(record: Record) -> JsonObject:
    try:
        return event.parse(record.event)
    except Malformed:
        return {}  # The chain's verification tells of it.


def _number(text: str) -> int:
    return max(whole_number(text) or 0, 0)


def _hash(token: str) -> str:
    """As records name a policy token: SHA-256 in base64url."""
    return base64url.encode(hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest())


def _thumbprint(der: bytes) -> str:
    return hashlib.sha1(der, usedforsecurity=False).hexdigest().upper()


def _digest(ders: tuple[bytes, ...]) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(each).digest() for each in ders)).hexdigest()
