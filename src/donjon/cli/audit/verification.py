"""What `donjon audit verify` does: all that the database has of the audit held against itself, its heads and the logs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from donjon.adapters import clock
from donjon.adapters.keys import public
from donjon.adapters.storage import records
from donjon.adapters.storage.database import Torn
from donjon.adapters.storage.moments import microseconds
from donjon.adapters.storage.records import Snapshot
from donjon.audit.holdings import Ledger
from donjon.audit.statements import Statement, StatementKind
from donjon.audit.texts import Citations
from donjon.audit.verification import Chain, Verification, find_unlogged, find_unstated
from donjon.audit.verification import verify as verify_chains
from donjon.cli.audit import statements
from donjon.cli.audit.statements import Certificates, UntrueStatements
from donjon.cli.terminal import say, say_finding, say_json
from donjon.errors import EXIT_NO, EXIT_YES, DonjonError
from donjon.findings import Finding, is_refusal
from donjon.formats.json import JsonObject


@dataclass(slots=True, kw_only=True)
class Audit:
    """What is seen of one database, in the order in which it is looked at: what was found before a failure stays."""

    certificates: Certificates
    log: tuple[Statement, ...] | None  # in the logs that were named; None where none was
    foreign: Sequence[UntrueStatements]  # 〃 that prove nothing
    findings: list[Finding] = field(default_factory=list)
    verification: Verification | None = None  # nothing until all chains were read

    def look(self, snapshot: Snapshot) -> None:
        """Look at everything; raises `Unavailable` DJ502 where it fails on the way, `Torn` where the file is not whole."""
        snapshot.check_file()
        texts = [("the database", text) for text in snapshot.statements()]
        own_heads, untrue = statements.parse_all(texts, self.certificates)
        self.findings += [*statements.of_earlier(own_heads, self.certificates), *(each.finding() for each in untrue)]
        ledger, citations, strange = Ledger(), Citations(), Counter[str]()
        rows = snapshot.chains(lambda row: strange.update([row]))
        testimony = [*own_heads, *(self.log or ())]
        unproved = frozenset(each.link.writer for group in (*untrue, *self.foreign) for each in group.statements)
        verification = verify_chains(citations.watch(ledger.watch(rows)), testimony, unproved)
        self.findings += [*map(_strange, strange.items()), *verification.findings]
        has_lost_removal = any(each.kind is StatementKind.ANCHOR and each.removal is None for each in testimony)
        self.findings += ledger.findings(snapshot.holdings(), is_incomplete=has_lost_removal)
        self.findings += citations.findings(snapshot.policy_texts())
        self.findings += find_unstated(verification.chains, microseconds(clock.moment()))
        if self.log is not None:
            self.findings += find_unlogged(own_heads, self.log)
        if not any(each.last >= each.first for each in verification.chains):
            self.findings.append(_NOTHING)
        self.verification = verification


def verify(database: str, heads: tuple[str, ...], keys: tuple[Path, ...], unsigned_before: datetime | None, form: str) -> int:
    """Print whether the audit records are whole, and every finding; the exit code."""
    signers = tuple(each for path in keys for each in public.certificates(path))
    certificates = Certificates(keys=signers, unsigned_before=unsigned_before)
    files = [statements.read(file) for file in heads]
    heads_elsewhere, foreign = statements.parse_all([each for file in files for each in file.statements], certificates)
    audit = Audit(certificates=certificates, log=tuple(heads_elsewhere) if heads else None, foreign=foreign)
    audit.findings += [*([] if certificates.keys else [_UNSIGNED]), *(each.finding() for each in foreign)]
    audit.findings += [finding for file in files for finding in file.findings()]
    try:
        with records.snapshot_of(database) as snapshot:
            audit.look(snapshot)
    except Torn as error:
        audit.findings.append(_damage(error.message.removeprefix("database: ")))
    except DonjonError:
        if is_refusal(audit.findings):
            _print(audit, form)
        raise
    _print(audit, form)
    return EXIT_NO if is_refusal(audit.findings) else EXIT_YES


_UNSIGNED = Finding.warning(
    "DJ609",
    "heads",
    "nobody looked at their signatures",
    "who can write to the database can have written them",
    "name the certificates of the keys that sign them with --keys",
)

_NOTHING = Finding.error(
    "DJ619",
    "the database",
    "no audit record at all",
    "where nothing is, nothing can be whole: it is a copy without its -wal file, another or a new database, or all was deleted",
    "have SQLite make the copy, as docs/audit.md says; compare with a backup and with the heads in the logs",
)


def _strange(row: tuple[str, int]) -> Finding:
    """Rows that somebody else wrote."""
    message, count = row
    subject, _, observation = message.partition(": ")
    return Finding.error(
        "DJ608",
        subject,
        f"{observation} ({count} of them)",
        "whoever can write to the database put it there, or changed a record into it",
        "compare with a backup and with the heads in the logs; find out who could write to the database",
    )


def _damage(damage: str) -> Finding:
    """Of a torn file nothing else is read: what stands there, and what does not, means nothing."""
    return Finding.error(
        "DJ632",
        "the database",
        f"its file is torn: {' '.join(damage.split())[:200]}",
        "a copy of a file that is written to, or a part of one, shows nothing",
        "let SQLite make the copy, as docs/audit.md says; of a service's own file, put a backup back",
    )


def _print(audit: Audit, form: str) -> None:
    if form == "json":
        say_json(_document(audit))
    else:
        _say(audit)


def _document(audit: Audit) -> JsonObject:
    whole = audit.verification
    return {
        "chains": [_chain(each) for each in whole.chains] if whole else [],
        "findings": [dict(each.as_dict()) for each in audit.findings],
        "more": whole.more if whole else 0,
    }


def _chain(chain: Chain) -> JsonObject:
    return {
        "writer": chain.writer,
        "first": chain.first,
        "last": chain.last,
        "stated": chain.last_stated,
        "ended": chain.is_ended,
        "dropped": chain.last_dropped,
    }


def _say(audit: Audit) -> None:
    whole = audit.verification
    for chain in whole.chains if whole else ():
        say(f"chain {chain.writer}: {_describe(chain)}")
    for finding in audit.findings:
        say_finding(finding)
    if whole is None:
        return  # Nobody has seen all of it.
    if whole.more:
        say(f"and {whole.more} more")
    count = sum(chain.last - chain.first + 1 for chain in whole.chains)
    verdict = "nothing to verify" if not count else "not whole" if is_refusal(audit.findings) else "whole"
    say(f"{_number(len(whole.chains), 'chain')}, {_number(count, 'record')}: {verdict}")


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _describe(chain: Chain) -> str:
    if chain.last < chain.first:
        return f"records 1 to {chain.last} were dropped, none is left"
    heads = f"stated by heads up to {chain.last_stated}" if chain.last_stated else "stated by no head yet"
    removals = f"; records 1 to {chain.last_dropped} were dropped" if chain.last_dropped else ""
    return f"records {chain.first} to {chain.last}, {heads}, {'ended' if chain.is_ended else 'not ended'}{removals}"
