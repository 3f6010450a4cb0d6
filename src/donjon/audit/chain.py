"""Records in a chain: each has the hash of the one before it in its own. Every writer, one start of one process, has its chain.

A record's hash is SHA-256 over a tag, the hash before it, its number and its moment (both 64 bits, big-endian), and its event's
bytes. The first follows the hash of the writer's name, so that no record fits into another's chain.
"""

import hashlib
import struct
from dataclasses import dataclass, field

HASH = 32  # bytes
FIRST, LAST = 1, (1 << 63) - 1

_SEED, _RECORD = b"donjon audit chain 1\0", b"donjon audit record 1\0"
_PLACE = struct.Struct(">qq")  # number, moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One event at its place. One that was read is not yet proved: `intact` says whether it is what was written."""

    writer: str
    number: int  # from 1
    moment: int  # microseconds since 1970, UTC
    event: bytes = field(repr=False)
    previous: bytes  # hash
    hash: bytes

    @property
    def intact(self) -> bool:
        """Whether its hash is that of what it tells, at its place."""
        return self.hash == _hash(self.previous, self.number, self.moment, self.event)

    def fits(self, number: int) -> bool:
        """Whether it was written under that number."""
        return self.hash == _hash(self.previous, number, self.moment, self.event)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where a chain stands: the number and hash of its last record."""

    writer: str
    number: int
    hash: bytes

    def extend(self, moment: int, event: bytes) -> Record:
        """The record of that event, the next one in the chain."""
        number = self.number + 1
        return Record(
            writer=self.writer,
            number=number,
            moment=moment,
            event=event,
            previous=self.hash,
            hash=_hash(self.hash, number, moment, event),
        )


def start(writer: str) -> Link:
    """Where a chain stands before its first record."""
    return Link(writer=writer, number=FIRST - 1, hash=hashlib.sha256(_SEED + writer.encode("utf-8", "surrogatepass")).digest())


def end(record: Record) -> Link:
    """Where the chain stands with that record."""
    return Link(writer=record.writer, number=record.number, hash=record.hash)


def _hash(previous: bytes, number: int, moment: int, event: bytes) -> bytes:
    if len(previous) != HASH:
        return b""
    return hashlib.sha256(_RECORD + previous + _PLACE.pack(number, moment) + event).digest()
