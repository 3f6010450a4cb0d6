"""All collateral of a cache in one file, to be carried where no network is. Who reads it proves each document again."""

import json
from collections.abc import Iterable

from donjon.collateral import documents
from donjon.collateral.document import Document, prove_all
from donjon.collateral.documents import Members
from donjon.collateral.plan import Answer
from donjon.errors import Malformed
from donjon.pki.intel import Anchor

MAX_CARRIED = 64 << 20  # bytes; what Intel states about all of its platforms has less than 4 MiB

_FORM = "donjon collateral 1"


def encode(found: Iterable[Document]) -> bytes:
    """The file that `parse` reads; documents stand in it in hexadecimal, so that each keeps its bytes."""
    ordered = sorted(found, key=lambda each: each.request.name())
    content = {each.request.name(): {"body": each.body.hex(), "chain": each.chain.decode("latin-1")} for each in ordered}
    return json.dumps({"form": _FORM, "documents": content}, indent=1).encode() + b"\n"


def parse(text: bytes, anchor: Anchor) -> dict[str, Document]:
    """The documents by their names, each proved; raises `Malformed` DJ210, DJ211 or DJ511, and as `document.prove` does."""
    whole = documents.parse(text, "file", MAX_CARRIED)
    if whole.text("form") != _FORM:
        raise Malformed("DJ211", f"file: form: expected {_FORM!r}, found {whole.text('form')[:40]!r}")
    listed = whole.member("documents")
    return prove_all({name: _answer(listed.member(name)) for name in listed.content}, anchor)


def _answer(entry: Members) -> Answer:
    body, chain = entry.text("body"), entry.text("chain")
    if not chain.isascii():
        raise Malformed("DJ211", f"{entry.subject}: chain: expected certificates in PEM")
    return Answer(body=entry.octets("body", len(body) // 2), chain=chain.encode())
