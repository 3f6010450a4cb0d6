"""What `donjon audit` does: records and heads read, verified, and printed."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from donjon.adapters import clock
from donjon.adapters.keys import public
from donjon.adapters.storage.database import Database, Torn
from donjon.adapters.storage.moments import microseconds
from donjon.adapters.storage.records import Snapshot, snapshot
from donjon.audit import event, statements
from donjon.audit.chain import Record
from donjon.audit.holdings import Ledger
from donjon.audit.statements import Statement
from donjon.audit.texts import Citations, explain_absence
from donjon.audit.verification import Chain, Verification, find_unlogged, find_unstated
from donjon.audit.verification import verify as verify_chains
from donjon.cli.files import display_name
from donjon.cli.terminal import say, say_json, write
from donjon.errors import EXIT_NO, EXIT_YES, DonjonError, Malformed
from donjon.findings import Finding, Severity, is_refusal
from donjon.formats.json import JsonObject, at
from donjon.signing.signer_certificate import SignerCertificate

MAX_LINE = 256 << 10  # characters of a log

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """By which heads are judged: the keys' own, and the moment before which the service had none."""

    keys: tuple[SignerCertificate, ...]
    unsigned_before: datetime | None


def verify(database: str, heads: tuple[str, ...], keys: Path | None, unsigned_before: datetime | None, form: str) -> int:
    """Print whether the audit records are whole, and every finding; the exit code."""
    try:
        return _verify(database, heads, keys, unsigned_before, form)
    except Torn as error:
        return _tell_damage(error.message.removeprefix("database: "), form)


def _verify(database: str, heads: tuple[str, ...], keys: Path | None, unsigned_before: datetime | None, form: str) -> int:
    certificates = Certificates(keys=() if keys is None else public.certificates(keys), unsigned_before=unsigned_before)
    elsewhere = [(display_name(file), text) for file in heads for text in _read_statements(file)]
    logged, foreign = _parse_all(elsewhere, certificates)
    ledger, citations = Ledger(), Citations()
    with _open_snapshot(database) as records:
        records.check_file()
        stored_heads, untrue = _parse_all([("the database", text) for text in records.statements()], certificates)
        verification = verify_chains(citations.watch(ledger.watch(records.chains())), [*stored_heads, *logged])
        has_lost_removal = any(
            each.kind is statements.StatementKind.ANCHOR and each.removal is None for each in (*stored_heads, *logged)
        )
        holding_findings = ledger.findings(records.holdings(), is_incomplete=has_lost_removal)
        text_findings = citations.findings(records.policy_texts())
    more = (
        *find_unstated(verification.chains, microseconds(clock.moment())),
        *(find_unlogged(stored_heads, logged) if heads else ()),
    )
    nothing = [] if any(each.last >= each.first for each in verification.chains) else [_NOTHING]
    findings = (
        *([] if certificates.keys else [_UNSIGNED]),
        *_earlier(stored_heads, certificates),
        *untrue,
        *foreign,
        *verification.findings,
        *holding_findings,
        *text_findings,
        *more,
        *nothing,
    )
    if form == "json":
        say_json(_document(verification, findings))
    else:
        _print(verification, findings)
    return EXIT_NO if is_refusal(findings) else EXIT_YES


def show(database: str, filters: Mapping[str, str], since: datetime | None, until: datetime | None, form: str) -> int:
    """Print the records that are as chosen; one that cannot be read may be, so it is printed, too."""
    with _open_snapshot(database) as records:
        for record in records.between(since, until):
            content = _content(record)
            if content is None or all(content.get(name) == text for name, text in filters.items()):
                say(_json(record, content) if form == "json" else _line(record, content))
    return EXIT_YES


def policy(database: str, policy_hash: str) -> int:
    """Print the text of the policy with that hash; the exit code."""
    with _open_snapshot(database) as records:
        texts = list(records.policy_texts(policy_hash))
        text = next((text for each in texts if (text := each.decode()) is not None), None)
        if text is None:
            say(explain_absence(policy_hash, records.chains(), texts).sentence(), err=True)
            return EXIT_NO
    write(text)
    return EXIT_YES


def _tell_damage(damage: str, form: str) -> int:
    """Of a torn file nothing else is read: what stands there, and what does not, means nothing."""
    finding = Finding.error(
        "DJ632",
        "the database",
        f"its file is torn: {' '.join(damage.split())[:200]}",
        "a copy of a file that is written to, or a part of one, shows nothing",
        "let SQLite make the copy, as docs/audit.md says; of a service's own file, put a backup back",
    )
    if form == "json":
        say_json(_document(Verification(chains=(), findings=(), more=0), (finding,)))
    else:
        say(f"{finding.severity}: {finding.sentence()}")
    return EXIT_NO


_UNSIGNED = Finding(
    code="DJ609",
    severity=Severity.WARNING,
    subject="heads",
    observation="nobody looked at their signatures",
    why="who can write to the database can have written them",
    do="name the certificates of the keys that sign them with --keys",
)

_EARLIER = "which had no keys yet, say with --unsigned-before when it was given them"

_NOTHING = Finding(
    code="DJ619",
    severity=Severity.ERROR,
    subject="the database",
    observation="no audit record at all",
    why="where nothing is, nothing can be whole: it may be another database, or a new one, or all was deleted",
    do="compare with a backup and with the heads in the logs",
)


@contextmanager
def _open_snapshot(address: str) -> Iterator[Snapshot]:
    database = Database(address, there=True)
    try:
        with snapshot(database) as records:
            yield records
    finally:
        database.close()


def _read_statements(file: str) -> list[str]:
    """The statements in a log, or in a file that has one on each line; raises `Malformed` DJ612 where there are none."""
    try:
        with click.open_file(file, encoding="utf-8", errors="replace") as lines:
            texts = [text for line in iter(lambda: lines.readline(MAX_LINE), "") if (text := _statement(line.strip()))]
    except OSError as error:
        raise Malformed("DJ932", f"{display_name(file)}: cannot be read: {error.strerror}") from error
    if not texts:
        raise Malformed("DJ612", f"{display_name(file)}: no heads in it; expected the service's log, or a head on each line")
    return texts


def _statement(line: str) -> str | None:
    if not line.startswith("{"):
        return line if statements.FORM.fullmatch(line) else None
    try:
        text = at(json.loads(line), statements.NAME)
    except (ValueError, RecursionError):
        return None
    return text if isinstance(text, str) else None


def _parse_all(texts: list[tuple[str, str]], certificates: Certificates) -> tuple[list[Statement], list[Finding]]:
    valid, untrue = [], []
    for where, text in texts:
        try:
            valid.append(_parse(text, certificates))
        except DonjonError as error:
            why = "it proves nothing"
            hint = _EARLIER if statements.is_unsigned(text) else "name all keys that sign with --keys"
            do = f"find out who wrote it; if it was the service, {hint}"
            subject = f"{where}, {text[:40]}…"
            untrue.append(
                Finding(code=error.code, severity=Severity.ERROR, subject=subject, observation=error.message, why=why, do=do)
            )
    return valid, untrue


def _parse(text: str, certificates: Certificates) -> Statement:
    """The statement, signed by one of the keys, or by nobody where that was before there were any."""
    if certificates.unsigned_before is not None and statements.is_unsigned(text):
        statement = statements.parse(text, ())
        if statement.moment < microseconds(certificates.unsigned_before):
            return statement
    return statements.parse(text, certificates.keys)


def _earlier(stored_heads: list[Statement], certificates: Certificates) -> list[Finding]:
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


def _document(verification: Verification, findings: tuple[Finding, ...]) -> JsonObject:
    return {
        "chains": [
            {
                "writer": each.writer,
                "first": each.first,
                "last": each.last,
                "stated": each.last_stated,
                "ended": each.is_ended,
                "dropped": each.last_dropped,
            }
            for each in verification.chains
        ],
        "findings": [dict(each.as_dict()) for each in findings],
        "more": verification.more,
    }


def _print(verification: Verification, findings: tuple[Finding, ...]) -> None:
    for chain in verification.chains:
        say(f"chain {chain.writer}: {_describe(chain)}")
    for finding in findings:
        say(f"{finding.severity}: {finding.sentence()}")
    if verification.more:
        say(f"and {verification.more} more")
    count = sum(chain.last - chain.first + 1 for chain in verification.chains)
    verdict = "nothing to verify" if not count else "not whole" if is_refusal(findings) else "whole"
    say(f"{_number(len(verification.chains), 'chain')}, {_number(count, 'record')}: {verdict}")


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _describe(chain: Chain) -> str:
    if chain.last < chain.first:
        return f"records 1 to {chain.last} were dropped, none is left"
    heads = f"stated by heads up to {chain.last_stated}" if chain.last_stated else "stated by no head yet"
    removals = f"; records 1 to {chain.last_dropped} were dropped" if chain.last_dropped else ""
    return f"records {chain.first} to {chain.last}, {heads}, {'ended' if chain.is_ended else 'not ended'}{removals}"


def _content(record: Record) -> JsonObject | None:
    try:
        return event.parse(record.event)
    except Malformed:
        return None


def _json(record: Record, content: JsonObject | None) -> str:
    document: JsonObject = {
        "moment": _moment(record),
        "writer": record.writer,
        "number": record.number,
        "hash": record.hash.hex(),
        "event": content,
    }
    return json.dumps(document)


def _line(record: Record, content: JsonObject | None) -> str:
    place = f"({record.writer} {record.number})"
    if content is None:
        return f"{_moment(record)} cannot be read; donjon audit verify tells more {place}"
    codes, facts = content.get("codes"), content.get("facts")
    words = [content.get("verdict"), content.get("kind"), content.get("instance"), content.get("caller") or _nobody(content)]
    words += codes if isinstance(codes, list) else []
    words += [f"{name}={text}" for name, text in facts.items()] if isinstance(facts, dict) else []
    return " ".join([_moment(record), *map(str, words), place])


def _nobody(content: JsonObject) -> str:
    return "itself" if content.get("kind") in event.OWN else "anybody"


def _moment(record: Record) -> str:
    try:
        return f"{_EPOCH + timedelta(microseconds=record.moment):%FT%T.%fZ}"
    except OverflowError:
        return str(record.moment)
