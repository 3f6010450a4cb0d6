"""Chains as journals write them."""

from dataclasses import replace

from donjon.audit import chain
from donjon.audit.chain import Link, Record
from donjon.audit.statements import Statement, StatementKind


def written(writer: str, count: int) -> list[Record]:
    records: list[Record] = []
    link = chain.start(writer)
    for number in range(count):
        records.append(link.extend(1000 * number, b'{"number":%d}' % number))
        link = chain.end(records[-1])
    return records


def head(record: Record) -> Statement:
    return Statement(kind=StatementKind.HEAD, link=chain.end(record), moment=record.moment)


def last(record: Record) -> Statement:
    return replace(head(record), last=True)


def anchor(record: Record) -> Statement:
    return Statement(kind=StatementKind.ANCHOR, link=chain.end(record), moment=record.moment)


def again(records: list[Record], first: int) -> list[Record]:
    """These, with all that follows the record `first` written anew, as somebody would who hides a change of it."""
    done = records[: first - 1]
    for each in records[first - 1 :]:
        link = chain.end(done[-1]) if done else chain.start(each.writer)
        done.append(Link(writer=each.writer, number=each.number - 1, hash=link.hash).extend(each.moment, each.event))
    return done
