"""The statements of the audit as an auditor has them, in logs or in the database: read, and judged by the keys that sign them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from donjon.adapters.storage.moments import microseconds
from donjon.audit import statements
from donjon.audit.statements import Statement
from donjon.cli.files import stream, within
from donjon.errors import DonjonError, Malformed
from donjon.findings import Finding
from donjon.formats.json import at
from donjon.signing.signer_certificate import SignerCertificate

MAX_LINE = 256 << 10  # bytes of a log

_EARLIER = "which had no keys yet, say with --unsigned-before when it was given them"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """By which heads are judged: the keys' own, and the moment before which the service had none."""

    keys: tuple[SignerCertificate, ...]
    unsigned_before: datetime | None


def read(file: str) -> list[str]:
    """The statements in a log, or in a file that has one on each line; raises `Malformed` DJ612 where there are none."""
    with within(file):
        with stream(file) as octets:
            lines = (line.decode("utf-8", "replace").strip() for line in iter(lambda: octets.readline(MAX_LINE), b""))
            texts = [text for line in lines if (text := _statement(line))]
        if not texts:
            raise Malformed("DJ612", "no heads in it; expected the service's log, or a head on each line")
    return texts


def parse_all(texts: Iterable[tuple[str, str]], certificates: Certificates) -> tuple[list[Statement], list[Finding]]:
    """The statements of these texts, each with where it stands, and a finding for each that proves nothing."""
    valid, untrue = [], []
    for where, text in texts:
        try:
            valid.append(_parse(text, certificates))
        except DonjonError as error:
            hint = _EARLIER if statements.is_unsigned(text) else "name all keys that sign with --keys"
            do = f"find out who wrote it; if it was the service, {hint}"
            untrue.append(Finding.error(error.code, f"{where}, {text[:40]}…", error.message, "it proves nothing", do))
    return valid, untrue


def of_earlier(stored_heads: list[Statement], certificates: Certificates) -> list[Finding]:
    """That heads of a time without keys prove little, where that time was named."""
    if certificates.unsigned_before is None:
        return []
    limit = microseconds(certificates.unsigned_before)
    count = sum(each.moment < limit for each in stored_heads)
    return [
        Finding.warning(
            "DJ626",
            "heads",
            f"of {count} from before {certificates.unsigned_before:%FT%TZ} those that nobody signed are taken as they are",
            "whoever could write to the database can have written them, also since then with an earlier moment",
            "keep the log of that time; what it has of them, --heads compares; a service with keys drops none of their records",
        )
    ]


def _statement(line: str) -> str | None:
    if not line.startswith("{"):
        return line if statements.FORM.fullmatch(line) else None
    try:
        text = at(json.loads(line), statements.NAME)
    except (ValueError, RecursionError):
        return None
    return text if isinstance(text, str) else None


def _parse(text: str, certificates: Certificates) -> Statement:
    """The statement, signed by one of the keys, or by nobody where that was before there were any."""
    if certificates.unsigned_before is not None and statements.is_unsigned(text):
        statement = statements.parse(text, ())
        if statement.moment < microseconds(certificates.unsigned_before):
            return statement
    return statements.parse(text, certificates.keys)
