"""The texts of policies: which records name one, what is missing, and what is not what its hash says."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace

import pytest

from donjon.audit import chain, event, texts
from donjon.audit.chain import Record
from donjon.audit.event import Event, EventKind, EventVerdict
from donjon.audit.texts import Citations, PolicyText
from donjon.findings import Severity
from donjon.formats import base64url
from donjon.maa import policies

ENCODED = base64url.encode(b"version=1.2;authorizationrules{};issuancerules{};")
HASH = policies.sha256_base64url(ENCODED)
TEXT = PolicyText(instance="a", hash=HASH, text=ENCODED)
EVENT = Event(
    kind=EventKind.ATTEST, instance="a", caller="alice", verdict=EventVerdict.ALLOW, facts={"policy": HASH}, text=ENCODED
)
EARLIER, DRAFT = replace(EVENT, text=""), replace(EVENT, kind=EventKind.DRAFT, text="")


def records(*events: Event) -> list[Record]:
    made: list[Record] = []
    for each in events:
        link = chain.end(made[-1]) if made else chain.start("w")
        made.append(link.extend(1, event.encode(each)))
    return made


def codes(events: Iterable[Event], *there: PolicyText) -> list[str]:
    citations = Citations()
    assert len(list(citations.watch(records(*events)))) == len(list(events))
    return [f"{each.code} {each.severity}" for each in citations.findings(there)]


@pytest.mark.parametrize(
    ("events", "there", "found"),
    [
        ([EVENT, EVENT], [TEXT], []),
        ([EVENT], [], ["DJ628 error"]),
        ([EARLIER], [], ["DJ629 warning"]),
        ([EARLIER], [TEXT], []),
        ([EARLIER, EVENT], [], ["DJ628 error"]),
        ([EVENT, EARLIER], [], ["DJ628 error"]),
        ([DRAFT], [], []),
        ([DRAFT, EVENT], [], ["DJ628 error"]),
        ([EVENT], [replace(TEXT, instance="b")], ["DJ628 error"]),
        ([EVENT, replace(EVENT, instance="b")], [TEXT], ["DJ628 error"]),
        ([EVENT], [replace(TEXT, text=ENCODED[:-4])], ["DJ627 error"]),
        ([], [TEXT], []),
        ([replace(EVENT, facts={}, text="")], [], []),
        ([replace(EARLIER, caller=f'","policy":"{HASH}","text":true')], [], ["DJ629 warning"]),
        ([replace(EARLIER, trace=[{"made": {"policy": HASH, "text": True}}])], [], ["DJ629 warning"]),
    ],
)
def test_what_records_name_is_there_and_is_what_its_hash_says(
    events: list[Event], there: list[PolicyText], found: list[str]
) -> None:
    assert codes(events, *there) == found


def test_a_text_is_told_only_under_its_own_hash() -> None:
    assert TEXT.decode() == "version=1.2;authorizationrules{};issuancerules{};"
    assert replace(TEXT, hash=HASH[::-1]).decode() is None
    for wrong in ("\udc80", "_w", "no base64url!"):  # The second is no UTF-8.
        encoded = base64url.encode(hashlib.sha256(wrong.encode("utf-8", "surrogatepass")).digest())
        assert PolicyText(instance="a", hash=encoded, text=wrong).decode() is None


@pytest.mark.parametrize(
    ("events", "there", "words"),
    [
        ([], [], "no record names it"),
        ([DRAFT], [], "it was a draft of the caller's"),
        ([DRAFT, EARLIER], [], "only records of an earlier version name it"),
        ([DRAFT, EVENT], [], "record 2 of chain w names it"),
        ([EVENT], [replace(TEXT, text="x")], "its text has another hash"),
    ],
)
def test_why_a_text_is_not_there_is_told(events: list[Event], there: list[PolicyText], words: str) -> None:
    finding = texts.explain_absence(HASH, records(*events), there)
    assert words in finding.observation
    assert finding.severity is Severity.ERROR


def test_a_record_says_whether_the_text_of_its_policy_is_kept_and_has_none_of_it() -> None:
    assert json.loads(event.encode(EVENT))["text"] is True
    assert "text" not in json.loads(event.encode(EARLIER))
    assert ENCODED.encode() not in event.encode(EVENT)
    assert texts.of_event(EVENT) == TEXT
    assert texts.of_event(EARLIER) is None
