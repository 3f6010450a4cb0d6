"""All that a cache holds in one file, to be carried where no network is. Who reads it proves each part of it again."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from donjon.collateral import pck_certificates, plan, platforms
from donjon.collateral.document import Document, prove_all, prove_root_crl
from donjon.collateral.plan import Answer
from donjon.collateral.platforms import KnownPlatform, StoredPlatform
from donjon.errors import Malformed, Unavailable
from donjon.formats import strict_json
from donjon.formats.json import JsonObject
from donjon.formats.strict_json import Members
from donjon.pki import pem
from donjon.pki.crl import Crl
from donjon.pki.intel import Anchor

MAX_CARRIED = 256 << 20  # bytes; what Intel states about all of its platforms has less than 4 MiB, a platform 10 to 40 KiB

_FORM = "donjon collateral 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """All of it, proved."""

    documents: dict[str, Document]
    platforms: tuple[KnownPlatform, ...]


def encode(carried: Carried) -> bytes:
    """The file that `parse` reads; documents stand in it in hexadecimal, so that each keeps its bytes.

    Raises `Unavailable` DJ578 for more than `parse` would take.
    """
    ordered = sorted(carried.documents.values(), key=lambda each: each.request.name())
    content = {each.request.name(): {"body": each.body.hex(), "chain": each.chain.decode("latin-1")} for each in ordered}
    listed = [_entry(each.stored) for each in carried.platforms]
    text = json.dumps({"form": _FORM, "documents": content, "platforms": listed}, indent=1).encode() + b"\n"
    if len(text) > MAX_CARRIED:
        raise Unavailable("DJ578", f"file: {len(text)} bytes, more than the {MAX_CARRIED} that are taken")
    return text


def parse(text: bytes, anchor: Anchor) -> Carried:
    """What the file holds, each part proved.

    Raises `Malformed` DJ210, DJ211 or DJ511, and as `document.prove` and `pck_certificates.prove` do.
    """
    whole = strict_json.parse(text, "file", MAX_CARRIED, values=MAX_CARRIED)
    if whole.text("form") != _FORM:
        raise Malformed("DJ211", f"file: form: expected {_FORM!r}, found {whole.text('form')[:40]!r}")
    listed = whole.member("documents")
    found = {name: _answer(listed.member(name)) for name in listed.content}
    stored = [_stored(each) for each in whole.members("platforms")] if whole.content.get("platforms") else []
    return proved(found, stored, anchor)


def proved(answers: dict[str, Answer], stored: Sequence[StoredPlatform], anchor: Anchor) -> Carried:
    """All of it under one list of the root's, which must be among the documents; raises as `parse` does."""
    found = prove_all(answers, anchor)
    root = found[plan.root_ca_crl().name()]
    _, revoked = prove_root_crl(Answer(body=root.body, chain=root.chain), anchor)
    return Carried(documents=found, platforms=tuple(_known(each, revoked, anchor) for each in stored))


def _known(stored: StoredPlatform, revoked: Crl, anchor: Anchor) -> KnownPlatform:
    pce_id = stored.registration.name.pce_id
    return KnownPlatform(stored=stored, proved=pck_certificates.prove(stored.certificates, stored.chain, pce_id, revoked, anchor))


def _entry(stored: StoredPlatform) -> JsonObject:
    return {
        **platforms.entry(stored.registration),
        "certificates": b"".join(stored.certificates).decode("ascii"),
        "chain": stored.chain.decode("latin-1"),
        "fetched": f"{stored.fetched:%FT%TZ}",
        "unavailable": stored.unavailable,
        "whole": int(stored.whole),
    }


def _stored(entry: Members) -> StoredPlatform:
    return StoredPlatform(
        registration=platforms.registration(entry),
        certificates=pem.each(entry.text("certificates").encode("ascii", "replace")),
        chain=entry.text("chain").encode("ascii", "replace"),
        fetched=entry.date("fetched"),
        unavailable=entry.number("unavailable", pck_certificates.MAX_CERTIFICATES),
        whole=entry.number("whole", 1) == 1,
    )


def _answer(entry: Members) -> Answer:
    body, chain = entry.text("body"), entry.text("chain")
    if not chain.isascii():
        raise Malformed("DJ211", f"{entry.subject}: chain: expected certificates in PEM")
    return Answer(body=entry.octets("body", len(body) // 2), chain=chain.encode())
