"""What `donjon audit show` and `policy` do: records and texts as they stand, nothing of them proved but a hash."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from donjon.adapters.storage import records
from donjon.audit import event
from donjon.audit.chain import Record
from donjon.audit.texts import explain_absence
from donjon.cli.terminal import say, write
from donjon.errors import EXIT_NO, EXIT_YES, Malformed
from donjon.formats.json import Json, JsonObject, at

_FACTS = frozenset({"jti", "quote"})
_WORD = re.compile(r"[^\s\"]+")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def show(database: str, filters: Mapping[str, str], since: datetime | None, until: datetime | None, form: str) -> int:
    """Print the records whose members and facts are as chosen; one that cannot be read may be, so it is printed, too.

    Raises `Malformed` DJ608, after all the others, for a row that is no record.
    """
    strange: Counter[str] = Counter()
    with records.snapshot_of(database) as snapshot:
        for record in snapshot.between(since, until, lambda row: strange.update([row])):
            content = _content(record)
            if content is None or all(_member(content, name) == text for name, text in filters.items()):
                say(_json(record, content) if form == "json" else _line(record, content))
    for message in strange:
        raise Malformed("DJ608", message)
    return EXIT_YES


def policy(database: str, policy_hash: str) -> int:
    """Print the text of the policy with that hash; the exit code."""
    with records.snapshot_of(database) as snapshot:
        texts = list(snapshot.policy_texts(policy_hash))
        text = next((text for each in texts if (text := each.decode()) is not None), None)
        if text is None:
            say(explain_absence(policy_hash, snapshot.chains(lambda _: None), texts).sentence(), err=True)
            return EXIT_NO
    write(text)
    return EXIT_YES


def _member(content: JsonObject, name: str) -> Json:
    return at(content, "facts", name) if name in _FACTS else content.get(name)


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
    words += [f"{name}={_fact(text)}" for name, text in facts.items()] if isinstance(facts, dict) else []
    return " ".join([_moment(record), *map(str, words), place])


def _fact(value: Json) -> str:
    """In quotes where it has blanks: who made a certificate chose its subject."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else json.dumps(value, ensure_ascii=False)


def _nobody(content: JsonObject) -> str:
    return "itself" if content.get("kind") in event.OWN else "anybody"


def _moment(record: Record) -> str:
    try:
        return f"{_EPOCH + timedelta(microseconds=record.moment):%FT%T.%fZ}"
    except OverflowError:
        return str(record.moment)
