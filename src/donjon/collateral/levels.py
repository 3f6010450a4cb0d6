"""Levels of a TCB: from which security version numbers on, since when, what Intel says of it, and what to read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from donjon.collateral.status import TcbStatus, parse
from donjon.errors import Malformed
from donjon.formats.strict_json import Members

MAX_LEVELS = 256  # of one document; Intel's have at most two dozen
MAX_ISV_SVN = 0xFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelStatus:
    """What Intel says of a level."""

    status: TcbStatus
    date: datetime  # of the last security advisories that this TCB answers
    advisories: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SvnLevel:
    """A level of an enclave or a TDX module, which have one number."""

    isv_svn: int
    level_status: LevelStatus


def parse_level_status(level: Members) -> LevelStatus:
    """What that level's object says; raises `Malformed` DJ211."""
    return LevelStatus(status=parse(level.text("tcbStatus")), date=level.date("tcbDate"), advisories=level.texts("advisoryIDs"))


def svn_levels(owner: Members) -> tuple[SvnLevel, ...]:
    """The levels of an enclave or module, the highest first; raises `Malformed` DJ211."""
    levels = tuple(
        SvnLevel(isv_svn=each.member("tcb").number("isvsvn", MAX_ISV_SVN), level_status=parse_level_status(each))
        for each in level_objects(owner)
    )
    check_order(owner, [(each.isv_svn,) for each in levels])
    return levels


def level_objects(owner: Members) -> list[Members]:
    """The objects of the levels; raises `Malformed` DJ211 for none and for more than `MAX_LEVELS`."""
    objects = owner.members("tcbLevels")
    if len(objects) > MAX_LEVELS:
        raise Malformed("DJ211", f"{owner.subject}: {len(objects)} TCB levels, expected at most {MAX_LEVELS}")
    return objects


def check_order(owner: Members, keys: Sequence[tuple[int | bytes, ...]]) -> None:
    """Raises `Malformed` DJ211 unless each level is below the one before it: the first that fits is then the highest."""
    if list(keys) != sorted(set(keys), reverse=True):
        raise Malformed("DJ211", f"{owner.subject}: TCB levels that stand twice or not in descending order")
