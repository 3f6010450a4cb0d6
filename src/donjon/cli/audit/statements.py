"""The statements of the audit as an auditor has them, in logs or in the database: read, and judged by the keys that sign them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from donjon.adapters.storage.moments import microseconds
from donjon.audit import log, statements
from donjon.audit.statements import Statement
from donjon.cli.files import display_name, text_stream, within
from donjon.errors import DonjonError, Malformed
from donjon.findings import Finding
from donjon.signing.signer_certificate import SignerCertificate

MAX_LINE = 256 << 10  # bytes of a log
MAX_NUMBERS = 10  # of lines that are named

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIER = "which had no keys yet, say with --unsigned-before when it was given them"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """By which heads are judged: the keys' own, and the moment before which the service had none."""

    keys: tuple[SignerCertificate, ...]
    unsigned_before: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadFile:
    """What was read of a log, or of a file with heads: its statements, and the lines of which one could not be taken."""

    name: str
    statements: tuple[tuple[str, str], ...]  # where each stands, and its text
    missed: tuple[int, ...]  # lines, from 1

    def findings(self) -> list[Finding]:
        """That it was not read whole, if so."""
        if not self.missed:
            return []
        return [
            Finding.error(
                "DJ633",
                self.name,
                f"{_lines(self.missed)} the marks of a head, and no head that can be read",
                "what it states is not known: it may be the one that tells",
                "give the log as the service wrote it: each line one of JSON, whole, whatever stands before it",
            )
        ]


def read(file: str) -> HeadFile:
    """The statements in a log, or in a file that has one on each line; raises `Malformed` DJ612 where there are none."""
    name, texts, missed, number = display_name(file), list[tuple[str, str]](), list[int](), 1
    with within(file):
        with text_stream(file) as lines:
            for line in iter(lambda: lines.readline(MAX_LINE), ""):
                reading = log.read(line)
                texts += [(f"{name}, line {number}", text) for text in reading.texts]
                if reading.is_missed:
                    missed.append(number)
                number += line.endswith("\n")
        if not texts:
            strange = f"; {_lines(missed)} the marks of one that cannot be read" if missed else ""
            raise Malformed("DJ612", f"no heads in it{strange}; expected the service's log, or a head on each line")
    return HeadFile(name=name, statements=tuple(texts), missed=tuple(missed))


def _lines(numbers: Sequence[int]) -> str:
    """The first of them, and how many more."""
    first = ", ".join(map(str, numbers[:MAX_NUMBERS]))
    more = (
        f" and {len(numbers) - MAX_NUMBERS} more have" if len(numbers) > MAX_NUMBERS else " has" if len(numbers) == 1 else " have"
    )
    return f"{'line' if len(numbers) == 1 else 'lines'} {first}{more}"


@dataclass(slots=True, kw_only=True)
class UntrueStatements:
    """Statements of one place, key and chain, by their own words, that prove nothing, for the same reason."""

    error: DonjonError
    where: str  # of the first
    text: str  # 〃
    statements: list[Statement] = field(default_factory=list)  # as they stand; none where they cannot be read

    def finding(self) -> Finding:
        """What is said of them, once."""
        hint = _EARLIER if statements.is_unsigned(self.text) else "name all keys that sign with --keys"
        do = f"find out who wrote it; if it was the service, {hint}"
        return Finding.error(self.error.code, self._subject(), self._observation(), "it proves nothing", do)

    def _subject(self) -> str:
        more = f" and {len(self.statements) - 1} more" if len(self.statements) > 1 else ""
        return f"{self.where}, {self.text[:40]}…{more}"

    def _observation(self) -> str:
        if not self.statements:
            return self.error.message
        moments, numbers = [_moment(each) for each in self.statements], [each.link.number for each in self.statements]
        key = statements.kid(self.text)
        by = f"key {key}, " if key else ""
        return (
            f"{self.error.message}; by its own word: {by}chain {self.statements[0].link.writer}, "
            f"record {_span(min(numbers), max(numbers))}, {_span(min(moments), max(moments))}"
        )


def parse_all(texts: Iterable[tuple[str, str]], certificates: Certificates) -> tuple[list[Statement], list[UntrueStatements]]:
    """The statements of these texts, each with where it stands, and those that prove nothing."""
    valid: list[Statement] = []
    untrue: dict[tuple[str, ...], UntrueStatements] = {}
    for where, text in texts:
        try:
            valid.append(_parse(text, certificates))
        except DonjonError as error:
            claim = _claim(text)
            place = where.partition(", line ")[0]
            subject = (text,) if claim is None else (claim.link.writer, statements.kid(text))
            group = untrue.setdefault(
                (place, error.code, error.message, *subject), UntrueStatements(error=error, where=where, text=text)
            )
            group.statements += [] if claim is None else [claim]
    return valid, list(untrue.values())


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


def _claim(text: str) -> Statement | None:
    """What it states, whoever wrote it; `None` where it states nothing."""
    try:
        return statements.parse(text, ())
    except DonjonError:
        return None


def _moment(statement: Statement) -> str:
    try:
        return f"{_EPOCH + timedelta(microseconds=statement.moment):%FT%TZ}"
    except OverflowError:
        return str(statement.moment)


def _span(first: object, last: object) -> str:
    return str(first) if first == last else f"{first} to {last}"


def _parse(text: str, certificates: Certificates) -> Statement:
    """The statement, signed by one of the keys, or by nobody where that was before there were any."""
    if certificates.unsigned_before is not None and statements.is_unsigned(text):
        statement = statements.parse(text, ())
        if statement.moment < microseconds(certificates.unsigned_before):
            return statement
    return statements.parse(text, certificates.keys)
