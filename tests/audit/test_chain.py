"""Records follow one another by their hashes, and an event has one form and bounds."""

import hashlib
import json
import struct

import pytest

from donjon.audit import chain
from donjon.audit.chain import Record
from donjon.audit.event import MAX_TEXT, MAX_TRACE, Event, EventKind, EventVerdict, encode
from donjon.formats.json import Json


def event(*, caller: str = "alice", trace: Json = None) -> Event:
    return Event(
        kind=EventKind.ATTEST,
        instance="team-a",
        caller=caller,
        verdict=EventVerdict.REFUSE,
        codes=("DJ420", "DJ421", "DJ420"),
        facts={"policy": "p", "jti": "1"},
        trace=trace,
    )


def test_an_event_has_one_form() -> None:
    assert encode(event(trace=[1])) == (
        b'{"caller":"alice","codes":["DJ420","DJ421"],"facts":{"jti":"1","policy":"p"},'
        b'"instance":"team-a","kind":"attest","trace":[1],"verdict":"refused"}'
    )


def test_a_text_beyond_its_bound_is_cut_and_says_so() -> None:
    caller = json.loads(encode(event(caller="x" * (MAX_TEXT + 1))))["caller"]
    assert caller == f"{'x' * MAX_TEXT}… (513 characters, SHA-256 {hashlib.sha256(b'x' * 513).hexdigest()})"


def test_a_text_that_is_no_unicode_is_kept() -> None:
    assert json.loads(encode(event(caller="\ud800\0")))["caller"] == "\ud800\0"
    assert len(encode(event(caller="\ud800" * 10_000))) < 8 * MAX_TEXT


def test_a_trace_beyond_its_bound_is_cut_and_says_so() -> None:
    trace = json.loads(encode(event(trace=["x" * MAX_TRACE])))["trace"]
    whole = b'["' + b"x" * MAX_TRACE + b'"]'
    assert trace["bytes"] == len(whole)
    assert trace["sha256"] == hashlib.sha256(whole).hexdigest()
    assert trace["begins"] == whole[:MAX_TEXT].decode()


def test_the_hash_is_the_one_that_is_documented() -> None:
    first = chain.start("w").extend(7, b"{}")
    seed = hashlib.sha256(b"donjon audit chain 1\0w").digest()
    assert first == Record(
        writer="w",
        number=1,
        moment=7,
        event=b"{}",
        previous=seed,
        hash=hashlib.sha256(b"donjon audit record 1\0" + seed + struct.pack(">qq", 1, 7) + b"{}").digest(),
    )


def test_a_record_follows_the_one_before_it() -> None:
    first = chain.start("w").extend(7, b"{}")
    second = chain.end(first).extend(8, b"[]")
    assert (second.number, second.previous) == (2, first.hash)
    assert first.intact
    assert second.intact


@pytest.mark.parametrize(
    "changed",
    [
        {"number": 2},
        {"moment": 8},
        {"event": b"{ }"},
        {"previous": bytes(32)},
        {"previous": b""},
        {"hash": bytes(32)},
        {"hash": b""},
    ],
    ids="-".join,
)
def test_a_record_that_was_changed_is_not_intact(changed: dict[str, object]) -> None:
    record = chain.start("w").extend(7, b"{}")
    fields = {name: getattr(record, name) for name in Record.__slots__}
    assert not Record(**{**fields, **changed}).intact
