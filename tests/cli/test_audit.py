"""`donjon audit`: what was recorded is shown, what was done to it is told, and nothing is taken on trust unseen."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import delete, insert, update
from tests.adapters.test_heads import CERTIFICATE, KEY, SIGNER
from tests.audit.chains import head, written

from donjon.adapters.keys import signing
from donjon.adapters.storage.database import Database
from donjon.adapters.storage.heads import Witness
from donjon.adapters.storage.journal import Journal
from donjon.adapters.storage.records import snapshot
from donjon.adapters.storage.tables import FORMER_CERTIFICATES, HEADS, POLICIES, RECORDS
from donjon.audit import chain
from donjon.audit.event import Event, EventKind, EventVerdict
from donjon.audit.statements import encode
from donjon.cli.audit.command import audit
from donjon.errors import DonjonError
from donjon.formats import base64url
from donjon.formats.json import JsonObject
from donjon.maa import policies
from donjon.pki import pem
from donjon.signing.signer import Algorithm

MOMENT, DAY = datetime(2026, 3, 1, tzinfo=UTC), timedelta(days=1)
CHOSEN = {"subject": "CN=ops (w 5)   2026-11-29 allowed"}
EVENTS = (
    Event(kind=EventKind.ATTEST, instance="a", caller="alice", verdict=EventVerdict.ALLOW, facts={"jti": "1"}, trace=[1]),
    Event(
        kind=EventKind.ATTEST,
        instance="b",
        caller="",
        verdict=EventVerdict.REFUSE,
        codes=("DJ420", "DJ421"),
        facts={"quote": "5d"},
    ),
    Event(
        kind=EventKind.POLICY_SET,
        instance="a",
        caller="eve\x1b[2J\n",
        verdict=EventVerdict.REFUSE,
        codes=("DJ443",),
        facts=CHOSEN,
    ),
)


@pytest.fixture
def log(database: Database, tmp_path: Path) -> Path:
    """The log of a service that has recorded these events, one a day, in that database."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "one.pem").write_bytes(KEY + pem.encode((CERTIFICATE,)))
    lines, now = ["Starting …", "{", '{"event": "attestation service listens"}'], [MOMENT]

    def announce(text: str) -> None:
        lines.append(json.dumps({"event": "audit head", "statement": text}))

    witness = Witness(signer=lambda: SIGNER, announce=announce, fail=lines.append, records=2, every=timedelta(days=99))  # type: ignore[arg-type] # It is not called.
    journal = Journal(database, writer="host-1", moment=lambda: now[0], witness=witness)

    async def days() -> None:
        for event in EVENTS:
            await journal.keep(event, instance=event.instance, generation=0)
            now[0] += timedelta(days=1)

    asyncio.run(days())
    journal.close()
    file = tmp_path / "service.log"
    file.write_text("\n".join(lines))
    return file


def run(address: str, command: str, *said: str) -> tuple[int | str, str]:
    """Its exit code, or the code with which it fails, and what it prints."""
    done = CliRunner().invoke(audit, [command, "--database", address, *said])
    if isinstance(done.exception, DonjonError):
        return done.exception.code, ""
    return done.exit_code, done.output


def beside(log: Path) -> tuple[str, ...]:
    return "--heads", str(log), "--keys", str(log.parent / "keys")


def test_what_was_recorded_is_whole_beside_its_log(address: str, log: Path) -> None:
    assert run(address, "verify", *beside(log)) == (
        0,
        "chain host-1: records 1 to 3, stated by heads up to 3, ended\n1 chain, 3 records: whole\n",
    )


def test_a_chain_of_which_heads_state_the_beginning_alone_is_not_told_as_one_without_heads(
    address: str, log: Path, database: Database
) -> None:
    with database.changing() as connection:
        connection.execute(delete(RECORDS).where(RECORDS.c.number > 1))
        connection.execute(delete(HEADS).where(HEADS.c.number > 0))
    code, told = run(address, "verify", "--keys", str(log.parent / "keys"))
    assert code == 0
    assert told.startswith("chain host-1: records 1 to 1, stated by no head yet, not ended\n")
    assert told.endswith("1 chain, 1 record: whole\n")


def test_without_keys_it_is_whole_and_there_is_a_warning(address: str, log: Path) -> None:
    code, told = run(address, "verify", "--heads", str(log))
    assert code == 0
    assert "warning: heads: nobody looked at their signatures" in told


def test_what_was_done_to_it_is_told(address: str, log: Path, database: Database) -> None:
    with database.changing() as connection:
        connection.execute(update(RECORDS).where(RECORDS.c.number == 2).values(event=b"{}"))
        connection.execute(delete(RECORDS).where(RECORDS.c.number == 3))
        connection.execute(delete(HEADS))
    code, told = run(address, "verify", *beside(log), "-o", "json")
    document: JsonObject = json.loads(told)
    assert code == 1
    place = {"writer": "host-1", "first": 1, "last": 2, "stated": 2}
    assert document["chains"] == [{**place, "ended": True, "dropped": 0}]
    findings = document["findings"]
    assert isinstance(findings, list)
    assert [(each["code"], each["subject"]) for each in findings if isinstance(each, dict)] == [
        ("DJ603", "chain host-1, record 2"),
        ("DJ606", "chain host-1"),
    ]
    code, told = run(address, "verify", *beside(log))
    assert code == 1
    assert told.endswith("1 chain, 2 records: not whole\n")


@pytest.mark.parametrize(
    "form",
    [
        lambda line: f"2026-03-03T00:00:00.000Z {line}",
        lambda line: f"[pod/donjon-attestation-0/attestation] {line}",
        lambda line: f"2026-03-03T00:00:00.000Z stderr F {line}",
        lambda line: json.dumps({"log": f"{line}\n", "stream": "stderr"}),
        lambda line: f"Mar 03 00:00:00 host-1 donjon[1]: {line}",
    ],
    ids=["timestamps", "prefix", "containerd", "Docker", "journald"],
)
@pytest.mark.parametrize("first", [0, -1], ids=["all lines", "the one that tells"])
def test_the_head_that_tells_is_read_in_every_form_that_collectors_make(
    address: str, log: Path, database: Database, form: Callable[[str], str], first: int
) -> None:
    lines = log.read_text().splitlines()
    log.write_text("\n".join([*lines[:first], *map(form, lines[first:])]))
    assert run(address, "verify", *beside(log))[0] == 0
    with database.changing() as connection:
        connection.execute(delete(RECORDS).where(RECORDS.c.number == 3))
        connection.execute(delete(HEADS).where(HEADS.c.number == 3))
    code, told = run(address, "verify", *beside(log))
    assert (code, "ends with record 2, and a head states record 3" in told) == (1, True)


def test_a_log_is_read_as_powershell_writes_it(address: str, log: Path) -> None:
    log.write_text(log.read_text(), encoding="utf-16")
    assert run(address, "verify", *beside(log))[0] == 0


def test_a_text_that_would_be_a_head_in_another_encoding_is_none(address: str, log: Path) -> None:
    """A name of 109 characters, each of which is two octets of a line of its own."""
    forged = f"\n{encode(head(written('host-9', 3)[2]), None)}\n"
    chosen = (forged + " " * (len(forged) % 2)).encode("ascii").decode("utf-16-le")
    event = json.dumps({"level": "info", "event": "certificate-added", "subject": chosen}, ensure_ascii=False)
    log.write_text(f"{log.read_text()}{event}\n", encoding="utf-16")
    code, told = run(address, "verify", *beside(log))
    assert (code, "host-9" in told) == (0, False)


def test_a_head_whose_key_has_a_strange_name_hides_no_finding(address: str, log: Path, database: Database) -> None:
    parts = [{"alg": "none", "kid": 5, "typ": "donjon-audit-head"}, {}]
    strange = ".".join(base64url.encode(json.dumps(each).encode()) for each in parts) + "."
    with database.changing() as connection:
        connection.execute(delete(RECORDS).where(RECORDS.c.number == 3))
        connection.execute(delete(HEADS).where(HEADS.c.number == 3))
    log.write_text(f"{log.read_text()}{strange}\n")
    code, told = run(address, "verify", *beside(log))
    assert (code, "ends with record 2, and a head states record 3" in told) == (1, True)


def test_a_log_of_which_a_head_was_not_read_is_told_with_its_lines(address: str, log: Path) -> None:
    lines = log.read_text().splitlines()
    log.write_text("\n".join([*lines[:-1], lines[-1][:-4], *[lines[-1][:-4]] * 10]))
    code, told = run(address, "verify", *beside(log))
    assert code == 1
    assert f"error: {log}: lines 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 and 1 more have the marks of a head, and no head" in told
    assert "DJ633" in told


def test_heads_of_a_key_that_is_missing_are_told_once_with_its_name(address: str, log: Path) -> None:
    other = log.parent / "other.pem"
    other.write_bytes(pem.encode((signing.self_signed(signing.fresh_key(Algorithm.ES256), "https://x.example", MOMENT, DAY),)))
    code, told = run(address, "verify", "--heads", str(log), "--keys", str(other))
    assert code == 1
    errors = [line for line in told.splitlines() if line.startswith("error: ")]
    by_key = [each for each in errors if f"by its own word: key {SIGNER.kid}, chain host-1, record " in each]
    assert by_key == errors[:2], "one for the log, one for the database"
    assert "[DJ601]" not in "".join(errors[2:])
    assert "record 0 to 3, 2026-03-01T00:00:00Z to 2026-03-0" in errors[0]
    assert "and 2 more: statement: none of the 1 keys has signed it" in errors[0]
    assert "chain host-1: none of its heads is proved by the keys given (DJ601 names theirs)" in told


def test_keys_in_several_folders_all_count(address: str, log: Path) -> None:
    other = log.parent / "other.pem"
    other.write_bytes(pem.encode((signing.self_signed(signing.fresh_key(Algorithm.ES256), "https://x.example", MOMENT, DAY),)))
    assert run(address, "verify", *beside(log), "--keys", str(other))[0] == 0
    assert run(address, "verify", "--keys", str(other), *beside(log))[0] == 0


def test_an_option_of_which_one_alone_can_count_is_refused_where_it_is_given_twice(address: str) -> None:
    code, told = run(address, "show", "--kind", "policy-set", "--kind", "policy-reset")
    assert code == 2
    assert "--kind is given 2 times, and only one can count; give it once" in told


def test_where_all_was_deleted_nothing_is_called_whole(address: str, log: Path, database: Database) -> None:
    with database.changing() as connection:
        for table in (RECORDS, HEADS):
            connection.execute(delete(table))
    code, told = run(address, "verify", "--keys", str(log.parent / "keys"))
    assert code == 1
    assert "error: the database: no audit record at all: " in told
    assert "a copy without its -wal file" in told
    assert told.endswith("0 chains, 0 records: nothing to verify\n")
    code, told = run(address, "verify", *beside(log))
    assert code == 1
    assert "chain host-1: ends with record 0, and a head states record 3" in told
    assert "was it made without its -wal file" in told


def test_what_was_written_behind_the_last_head_is_told(address: str, log: Path, database: Database) -> None:
    with snapshot(database) as seen:
        *_, newest = seen.chains(pytest.fail)
    added = chain.end(newest).extend(newest.moment, newest.event)
    with database.changing() as connection:
        connection.execute(insert(RECORDS).values({column.name: getattr(added, column.name) for column in RECORDS.columns}))
    for said in (beside(log), beside(log)[2:]):
        code, told = run(address, "verify", *said)
        assert code == 1
        assert "chain host-1: a head says that it ended with record 3, and there is record 4" in told


def test_an_end_that_nobody_stated_is_told_and_no_accusation(address: str, log: Path, database: Database) -> None:
    with database.changing() as connection:
        connection.execute(delete(HEADS).where(HEADS.c.number == 3))
    code, told = run(address, "verify", *beside(log)[2:])
    assert code == 0
    assert "chain host-1: records 1 to 3, stated by heads up to 2, not ended" in told
    assert "warning: chain host-1: no head states records 3 to 3, and none says that the chain ended" in told


def test_heads_of_another_key_are_told(address: str, log: Path, database: Database) -> None:
    with database.changing() as connection:
        connection.execute(update(HEADS).where(HEADS.c.number == 2).values(statement="a.b.c"))
    code, told = run(address, "verify", *beside(log))
    assert code == 1
    assert "error: the database, a.b.c…: statement: " in told


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (("--heads", "{folder}/keys/one.pem"), "DJ612"),
        (("--heads", "{folder}/nothing.log"), "DJ932"),
        (("--heads", "{folder}/logfmt.log"), "DJ612"),
        (("--keys", "{folder}/service.log"), "DJ611"),
        (("--keys", "{folder}/nothing"), "DJ542"),
    ],
)
def test_a_file_that_is_none_of_it_is_refused(address: str, log: Path, said: tuple[str, str], code: str) -> None:
    (log.parent / "logfmt.log").write_text('event="audit head" statement=a.b.c')
    assert run(address, "verify", *(each.format(folder=log.parent) for each in said)) == (code, "")


def test_a_database_of_an_earlier_version_is_read_as_it_is(address: str, log: Path, database: Database) -> None:
    with database.changing() as connection:
        FORMER_CERTIFICATES.drop(connection)
        connection.execute(insert(POLICIES), {"instance": "a", "kind": "SgxEnclave", "token": "x"})
    code, told = run(address, "verify", *beside(log))
    assert code == 1
    assert "instance a: no record says who set the policy of SgxEnclave" in told
    assert "chain host-1: records 1 to 3, stated by heads up to 3, ended" in told


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert run(f"sqlite:///{tmp_path}/y.db", "verify") == ("DJ502", "")
    assert not (tmp_path / "y.db").exists()


def test_a_row_that_is_no_record_is_found_and_named(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/x.db"
    database = Database(address)
    database.migrate()
    with database.changing() as connection:
        connection.exec_driver_sql("INSERT INTO audit_records VALUES ('w', 1, 'x', 'x', 'x', 'x')")
    code, told = run(address, "verify")
    assert (code, "DJ608" in told, told.splitlines()[-1]) == (1, True, "0 chains, 0 records: nothing to verify")
    assert run(address, "show") == ("DJ608", "")
    database.close()


LINES = (
    "2026-03-01T00:00:00.000000Z allowed attest a alice jti=1 (host-1 1)",
    "2026-03-02T00:00:00.000000Z refused attest b anybody DJ420 DJ421 quote=5d (host-1 2)",
    '2026-03-03T00:00:00.000000Z refused policy-set a eve␛[2J␊ DJ443 subject="CN=ops (w 5)   2026-11-29 allowed" (host-1 3)',
)


@pytest.mark.parametrize(
    ("said", "lines"),
    [
        ((), [0, 1, 2]),
        (("--instance", "a"), [0, 2]),
        (("--verdict", "refused"), [1, 2]),
        (("--caller", "alice"), [0]),
        (("--jti", "1"), [0]),
        (("--jti", "1", "--caller", "bob"), []),
        (("--quote", "5d"), [1]),
        (("--kind", "attest", "--verdict", "refused"), [1]),
        (("--since", "2026-03-02"), [1, 2]),
        (("--until", "2026-03-02"), [0]),
        (("--since", "2026-03-02T00:00:00Z", "--until", "2026-03-03T00:00:00Z"), [1]),
        (("--instance", "c"), []),
    ],
)
def test_what_was_asked_for_is_shown(address: str, log: Path, said: tuple[str, ...], lines: list[int]) -> None:
    del log
    assert run(address, "show", *said) == (0, "".join(f"{LINES[line]}\n" for line in lines))


def test_programs_get_all_of_a_record(address: str, log: Path) -> None:
    del log
    code, told = run(address, "show", "--until", "2026-03-02", "-o", "json")
    record = json.loads(told)
    assert code == 0
    assert (record["moment"], record["writer"], record["number"]) == ("2026-03-01T00:00:00.000000Z", "host-1", 1)
    assert record["event"] == {
        "kind": "attest",
        "instance": "a",
        "caller": "alice",
        "verdict": "allowed",
        "codes": [],
        "facts": {"jti": "1"},
        "trace": [1],
    }


def test_a_record_that_cannot_be_read_is_shown_whatever_was_asked_for(address: str, log: Path, database: Database) -> None:
    del log
    with database.changing() as connection:
        connection.execute(update(RECORDS).where(RECORDS.c.number == 2).values(event=b"{", moment=(1 << 63) - 1))
    assert run(address, "show", "--instance", "c") == (
        0,
        "9223372036854775807 cannot be read; donjon audit verify tells more (host-1 2)\n",
    )


GIVEN = MOMENT + timedelta(days=2)


def two_lives(database: Database, unsigned_days: int) -> None:
    """A service without keys, and from the third day on with one; and on some day after the first somebody without a key."""
    for writer, signer, first, count in (("old", None, 0, 2), ("new", SIGNER, 2, 2), ("late", None, unsigned_days, 1)):
        now = [MOMENT + timedelta(days=first)]
        witness = Witness(signer=lambda signer=signer: signer, announce=lambda _: None, fail=print, every=timedelta(hours=1))  # type: ignore[misc]
        journal = Journal(database, writer=writer, moment=lambda now=now: now[0], witness=witness)  # type: ignore[misc]

        async def days(journal: Journal = journal, now: list[datetime] = now, count: int = count) -> None:
            for _ in range(count):
                await journal.keep(EVENTS[0], instance="a", generation=0)
                now[0] += timedelta(hours=2)

        asyncio.run(days())
        journal.close()


@pytest.mark.parametrize(("day", "code"), [(1, 0), (3, 1)], ids=["before", "since"])
def test_heads_of_a_time_without_keys_are_taken_where_that_time_is_named_and_no_later_ones(
    tmp_path: Path, address: str, database: Database, day: int, code: int
) -> None:
    (tmp_path / "one.pem").write_bytes(KEY + pem.encode((CERTIFICATE,)))
    two_lives(database, day)
    said = ("verify", "--keys", str(tmp_path / "one.pem"))
    red, printed = run(address, *said)
    assert (red, "say with --unsigned-before when it was given them" in printed) == (1, True)
    ended, printed = run(address, *said, "--unsigned-before", f"{GIVEN:%FT%TZ}")
    assert (ended, "[DJ626]" in printed) == (code, True)
    assert ("[DJ601]" in printed) is bool(code)


def test_the_text_of_a_policy_is_printed_by_its_hash_and_what_was_changed_is_not(address: str, database: Database) -> None:
    encoded = base64url.encode("version=1.2;// é\n".encode())
    policy = policies.sha256_base64url(encoded)
    told = Event(
        kind=EventKind.ATTEST, instance="a", caller="", verdict=EventVerdict.ALLOW, facts={"policy": policy}, text=encoded
    )
    journal = Journal(database, writer="host-1", moment=lambda: MOMENT)
    asyncio.run(journal.keep(told, instance="a", generation=0))
    journal.close()
    assert run(address, "policy", policy) == (0, "version=1.2;// é\n")
    with database.changing() as connection:
        connection.exec_driver_sql("UPDATE policy_texts SET text = 'x'")
    code, why = run(address, "policy", policy)
    assert (code, "DJ627" in why) == (1, True)
    with database.changing() as connection:
        connection.exec_driver_sql("DELETE FROM policy_texts")
    code, why = run(address, "policy", policy)
    assert (code, "DJ628" in why) == (1, True)
    assert "DJ628" in run(address, "verify")[1]
    code, why = run(address, "policy", "-" * 43)
    assert (code, "DJ631" in why) == (1, True)
    assert run(address, "policy", "short")[0] == 2
