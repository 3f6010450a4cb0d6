"""The texts of policies, each under the hash by which records name it, and whether what records name is there.

Drafts are callers' own, and their texts are not kept: anybody who may try one could fill the database with them.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from donjon.audit import event
from donjon.audit.chain import Record
from donjon.audit.event import EventKind
from donjon.errors import Malformed
from donjon.findings import Finding, Severity
from donjon.formats import base64url

HASH = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
MAX_FINDINGS = 100

_POLICY = re.compile(rb'"policy":"([A-Za-z0-9_-]{43})"')
_INSTANCE = re.compile(rb'"instance":"((?:[^"\\]|\\.)*)"')
_TEXT, _TRACE = b'"text":true', b',"trace":'


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyText:
    """A policy's text, as an instance judged by it. One that was read is not yet proved: `decode` does that."""

    instance: str
    hash: str  # SHA-256 of the text, in base64url
    text: str = field(repr=False)  # in base64url

    def decode(self) -> str | None:
        """The text itself; `None` where the hash is not that of this text."""
        digest = hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).digest()
        if self.hash != base64url.encode(digest):
            return None
        try:
            return base64url.decode(self.text).decode("utf-8")
        except ValueError:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """That a record names a policy."""

    instance: str
    hash: str
    is_draft: bool
    has_text: bool  # it says that the text is kept
    place: str


def of_event(decision: event.Event) -> PolicyText | None:
    """The text that is to be kept with that event."""
    if not decision.text:
        return None
    return PolicyText(instance=decision.instance, hash=decision.facts[event.POLICY], text=decision.text)


def citation(record: Record) -> Citation | None:
    """Which policy the record names, if it names one."""
    try:
        content = event.parse(record.event) if _POLICY.search(record.event) else {}
    except Malformed:
        return None  # The chain's verification tells of it.
    facts, instance = content.get("facts"), content.get("instance")
    policy = facts.get(event.POLICY) if isinstance(facts, dict) else None
    if not isinstance(policy, str) or not isinstance(instance, str):
        return None
    return Citation(
        instance=instance,
        hash=policy,
        is_draft=content.get("kind") == EventKind.DRAFT,
        has_text=content.get(event.TEXT) is True,
        place=f"record {record.number} of chain {record.writer}",
    )


@dataclass(slots=True, kw_only=True)
class Citations:
    """The policies that records name, drafts left out: each with a record that does."""

    texts: dict[tuple[str, str], str] = field(default_factory=dict)  # of which records say that the text is there
    others: dict[tuple[str, str], str] = field(default_factory=dict)  # of which records of earlier versions say nothing
    _marks: set[tuple[object, ...]] = field(default_factory=set)

    def watch(self, records: Iterable[Record]) -> Iterator[Record]:
        """The same records, each taken note of as it passes."""
        for record in records:
            self.take(record)
            yield record

    def take(self, record: Record) -> None:
        """Note what that record names; most name what others did, and are not read for it."""
        marks = _marks_of(record.event)
        if marks in self._marks or (latest := citation(record)) is None or latest.is_draft:
            return
        self._marks.add(marks)
        by_name = self.texts if latest.has_text else self.others
        by_name.setdefault((latest.instance, latest.hash), latest.place)

    def findings(self, texts: Iterable[PolicyText]) -> tuple[Finding, ...]:
        """What is wrong with these texts, and which are missing."""
        there, findings = set[tuple[str, str]](), list[Finding]()
        for each in texts:
            there.add((each.instance, each.hash))
            if len(findings) < MAX_FINDINGS and each.decode() is None:
                findings.append(_false(each))
        missing = [(name, place) for name, place in self.texts.items() if name not in there]
        findings += [_missing(*name, place) for name, place in missing[: MAX_FINDINGS - len(findings)]]
        if earlier := self.others.keys() - there - self.texts.keys():
            findings.append(_unknown(len(earlier)))
        return tuple(findings)


def explain_absence(policy: str, records: Iterable[Record], texts: Sequence[PolicyText]) -> Finding:
    """Why there is no text under that hash, or what is wrong with the one there is."""
    if texts:
        return _false(texts[0])
    mark = policy.encode("ascii")
    citations = [each for record in records if mark in record.event and (each := citation(record)) and each.hash == policy]
    if first := next((each for each in citations if each.has_text), None):
        return _missing(first.instance, policy, first.place)
    if not all(each.is_draft for each in citations):
        return _absent(policy, "only records of an earlier version name it", "that version kept no texts")
    if citations:
        return _absent(policy, "it was a draft of the caller's", "the texts of drafts are not kept")
    return _absent(policy, "no record names it", "a text is kept for as long as a record does")


def _marks_of(event_bytes: bytes) -> tuple[object, ...]:
    """What an event names, as far as that is seen without reading it: its names are in order, and quotes in texts are escaped.

    To read it takes seven times as long (1 KB, Python 3.11), and all records are looked at.
    """
    head = event_bytes.partition(_TRACE)[0]
    policy, instance = _POLICY.search(head), _INSTANCE.search(head)
    return policy and policy[1], instance and instance[1], _TEXT in head


def _absent(policy: str, observation: str, why: str) -> Finding:
    do = "compare with the policies' own files: the hash is SHA-256 of the text in base64url, in base64url"
    return Finding.error("DJ631", f"policy {policy}", f"its text is not there: {observation}", why, do)


def _false(text: PolicyText) -> Finding:
    return Finding.error(
        "DJ627",
        f"instance {text.instance}, policy {text.hash[:64]}",
        "its text has another hash",
        "whoever can write to the database changed it",
        "compare with a backup, and with the policy's own file; find out who could write to the database",
    )


def _missing(instance: str, policy: str, place: str) -> Finding:
    return Finding.error(
        "DJ628",
        f"instance {instance}, policy {policy}",
        f"its text is not there, and {place} names it",
        "whoever can write to the database deleted it; by what was decided can no longer be shown",
        "compare with a backup, and with the policy's own file; find out who could write to the database",
    )


def _unknown(count: int) -> Finding:
    return Finding(
        code="DJ629",
        severity=Severity.WARNING,
        subject="policies",
        observation=f"of {count} that records name the text is not there",
        why="the records are of an earlier version, which kept no texts",
        do="keep the policies' own files for as long as the records",
    )
