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

MAX_ARCHIVE = 256 << 20  # bytes; what Intel states about all of its platforms has less than 4 MiB, a platform 10 to 40 KiB

_FORM = "donjon collateral 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class CollateralArchive:
    """A cache's documents and platforms, each proved: what one file carries to where no network is."""

    documents: dict[str, Document]
    platforms: tuple[KnownPlatform, ...]


def encode(archive: CollateralArchive) -> bytes:
    """The file that `parse` reads; documents stand in it in hexadecimal, so that each keeps its bytes.

    Raises `Unavailable` DJ578 for more than `parse` would take.
    """
    ordered = sorted(archive.documents.values(), key=lambda each: each.request.name())
    content = {each.request.name(): {"body": each.body.hex(), "chain": each.chain.decode("latin-1")} for each in ordered}
    entries = [_entry(each.stored_platform) for each in archive.platforms]
    text = json.dumps({"form": _FORM, "documents": content, "platforms": entries}, indent=1).encode() + b"\n"
    if len(text) > MAX_ARCHIVE:
        raise Unavailable("DJ578", f"file: {len(text)} bytes, more than the {MAX_ARCHIVE} that are taken")
    return text


def parse(text: bytes, anchor: Anchor) -> CollateralArchive:
    """What the file holds, each part proved.

    Raises `Malformed` DJ210, DJ211 or DJ511, and as `document.prove` and `pck_certificates.prove` do.
    """
    whole = strict_json.parse(text, "file", MAX_ARCHIVE, values=MAX_ARCHIVE)
    if whole.has("tcb_info_signature"):
        raise Malformed(
            "DJ211",
            "file: this is a bundle of one platform's collateral, for --collateral of donjon quote verify; expected an archive, "
            "as donjon collateral export writes it",
        )
    if whole.text("form") != _FORM:
        raise Malformed("DJ211", f"file: form: expected {_FORM!r}, found {whole.text('form')[:40]!r}")
    documents = whole.member("documents")
    answers = {name: _answer(documents.member(name)) for name in documents.content}
    stored_platforms = [_parse_platform(each) for each in whole.members("platforms")] if whole.content.get("platforms") else []
    return prove(answers, stored_platforms, anchor)


def prove(answers: dict[str, Answer], stored_platforms: Sequence[StoredPlatform], anchor: Anchor) -> CollateralArchive:
    """The archive of these documents and platforms, under the one CRL of the root among them; raises as `parse` does."""
    documents = prove_all(answers, anchor)
    root = documents[plan.root_ca_crl().name()]
    _, root_crl = prove_root_crl(Answer(body=root.body, chain=root.chain), anchor)
    return CollateralArchive(
        documents=documents, platforms=tuple(_prove_platform(each, root_crl, anchor) for each in stored_platforms)
    )


def _prove_platform(stored_platform: StoredPlatform, root_crl: Crl, anchor: Anchor) -> KnownPlatform:
    pce_id = stored_platform.registration.name.pce_id
    return KnownPlatform(
        stored_platform=stored_platform,
        pck_certificates=pck_certificates.prove(stored_platform.certificates, stored_platform.chain, pce_id, root_crl, anchor),
    )


def _entry(stored_platform: StoredPlatform) -> JsonObject:
    return {
        **platforms.entry(stored_platform.registration),
        "certificates": b"".join(stored_platform.certificates).decode("ascii"),
        "chain": stored_platform.chain.decode("latin-1"),
        "fetched": f"{stored_platform.fetched_at:%FT%TZ}",
        "unavailable": stored_platform.unavailable,
        "whole": int(stored_platform.whole),
    }


def _parse_platform(entry: Members) -> StoredPlatform:
    return StoredPlatform(
        registration=platforms.registration(entry),
        certificates=pem.each(entry.text("certificates").encode("ascii", "replace")),
        chain=entry.text("chain").encode("ascii", "replace"),
        fetched_at=entry.date("fetched"),
        unavailable=entry.number("unavailable", pck_certificates.MAX_CERTIFICATES),
        whole=entry.number("whole", 1) == 1,
    )


def _answer(entry: Members) -> Answer:
    body, chain = entry.text("body"), entry.text("chain")
    if not chain.isascii():
        raise Malformed("DJ211", f"{entry.subject}: chain: expected certificates in PEM")
    return Answer(body=entry.octets("body", len(body) // 2), chain=chain.encode())
