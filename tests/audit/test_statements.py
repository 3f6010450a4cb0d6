"""Heads and anchors: what was signed is read, and nothing else."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.audit.chains import anchor, head, last, written

from donjon.adapters.keys import signing
from donjon.adapters.keys.signing import KeySigner
from donjon.audit import chain, statements
from donjon.audit.statements import MAX_HEADS, MAX_STATEMENT, Removal, Statement, encode, parse
from donjon.errors import DonjonError
from donjon.signing import signer_certificate
from donjon.signing.signer import Algorithm, serialize
from donjon.signing.signer_certificate import SignerCertificate

MOMENT = datetime(2026, 3, 1, tzinfo=UTC)
RECORDS = written("host-1", 3)
HEAD, ANCHOR = head(RECORDS[2]), anchor(RECORDS[1])
REMOVAL = Removal(first=1, oldest=0, newest=1000, retention=5, heads=(chain.end(RECORDS[0]), chain.end(RECORDS[1])))
NAMING = replace(ANCHOR, removal=REMOVAL, last=True)
REPLACING = replace(ANCHOR, removal=replace(REMOVAL, anchor=chain.end(RECORDS[0])))


def signer(algorithm: Algorithm) -> tuple[KeySigner, SignerCertificate]:
    key = signing.fresh_key(algorithm)
    certificate = signing.self_signed(key, "https://attest.example", MOMENT, timedelta(days=1))
    return signing.parse_signer(key, certificate), signer_certificate.parse(certificate)


EC, EC_KEY = signer(Algorithm.ES256)
RSA, RSA_KEY = signer(Algorithm.RS256)


@pytest.mark.parametrize(
    "statement",
    [HEAD, last(RECORDS[2]), ANCHOR, NAMING, REPLACING],
    ids=["head", "last head", "anchor of an earlier version", "anchor", "anchor behind another"],
)
@pytest.mark.parametrize("key", [EC, RSA], ids=["ES256", "RS256"])
def test_what_was_signed_is_read(statement: Statement, key: KeySigner) -> None:
    assert parse(encode(statement, key), (RSA_KEY, EC_KEY)) == statement


@pytest.mark.parametrize("statement", [HEAD, ANCHOR], ids=["head", "anchor"])
def test_what_nobody_signed_is_read_without_keys_alone(statement: Statement) -> None:
    text = encode(statement, None)
    assert parse(text, ()) == statement
    with pytest.raises(DonjonError) as told:
        parse(text, (EC_KEY,))
    assert (told.value.code, "nobody has signed it" in told.value.message) == ("DJ601", True)


SIGNED = encode(HEAD, EC)


def signed(kind: str | None, payload: bytes) -> str:
    """A JWS of that `typ`."""
    return serialize(b'{"alg":"ES256"}' if kind is None else b'{"alg":"ES256","typ":"%s"}' % kind.encode(), payload, EC)


OTHER = encode(ANCHOR, EC)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (encode(HEAD, RSA), "DJ601"),
        (f"{OTHER.split('.')[0]}.{SIGNED.split('.', 1)[1]}", "DJ601"),
        (f"{SIGNED.rpartition('.')[0]}.{OTHER.rpartition('.')[2]}", "DJ601"),
        (f"{SIGNED.rpartition('.')[0]}.", "DJ601"),
        (signed("JWT", b"{}"), "DJ600"),
        (signed(None, b"{}"), "DJ211"),
        (signed("donjon-audit-head", b"[]"), "DJ210"),
        (signed("donjon-audit-head", b"{}"), "DJ211"),
        (signed("donjon-audit-head", b'{"writer":"w","number":1,"moment":1,"hash":"00"}'), "DJ211"),
        (
            signed("donjon-audit-head", b'{"writer":"w","number":%d,"moment":1,"hash":"00"}' % (1 << 63)),
            "DJ211",
        ),
        (SIGNED + "=", "DJ600"),
        (SIGNED.replace(".", "..", 1), "DJ600"),
        ("a.b.c", "DJ600"),
        ("", "DJ600"),
        (SIGNED + "A" * statements.MAX_STATEMENT, "DJ600"),
    ],
    ids=[
        "another key's",
        "the other kind's header",
        "the other's signature",
        "no signature",
        "a token",
        "no typ",
        "no object",
        "no members",
        "a short hash",
        "a number beyond 64 bits",
        "padded",
        "four parts",
        "no base64",
        "nothing",
        "too long",
    ],
)
def test_what_is_no_statement_of_that_key_is_refused(text: str, code: str) -> None:
    with pytest.raises(DonjonError) as told:
        parse(text, (EC_KEY,))
    assert told.value.code == code


def test_an_anchor_that_names_as_many_heads_as_it_may_can_be_read() -> None:
    furthest = replace(chain.end(RECORDS[0]), number=(1 << 63) - 1)
    removal = replace(REMOVAL, heads=(furthest,) * MAX_HEADS, anchor=furthest)
    text = encode(replace(ANCHOR, removal=removal), RSA)
    assert len(text) <= MAX_STATEMENT
    assert parse(text, (RSA_KEY,)).removal == removal


def test_a_statement_is_read_up_to_a_length() -> None:
    text = encode(HEAD, None)
    room = (8192 - len(text)) // 4 * 4
    assert parse(text + "A" * room, ()) == HEAD
    with pytest.raises(DonjonError, match="at most 8192 characters") as refused:
        parse(text + "A" * (room + 4), ())
    assert refused.value.code == "DJ600"
