"""Which of several keys signs, and which are published: by the dates of their certificates alone.

A key signs from the notBefore of its certificate until a later one begins. All replicas that read the same keys agree, and a key
that is made with a date ahead is known to relying parties before it signs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from donjon.errors import Misconfigured, Unavailable
from donjon.findings import Finding
from donjon.pki.serving import BACKDATE
from donjon.signing.signer import Algorithm, Signer

AHEAD = timedelta(hours=24)  # between the publication of a next key and its first token
MAX_KEYS = 16
SOON = timedelta(days=14)  # as the alerts have it

_MAKE = "make one with `donjon attestation keys new`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A key that is to be made, in which form, and with which window in its certificate."""

    algorithm: Algorithm
    issuer: str
    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DatedKey:
    """A key and the window of its certificate; `name` is what its store calls it."""

    name: str
    signer: Signer
    begins: datetime
    ends: datetime


def current_key(keys: Iterable[DatedKey], moment: datetime) -> DatedKey:
    """Who signs at that moment: of those that have begun, the last; raises `Unavailable` DJ541.

    A key that has been succeeded never signs again, even where its successor has ended.
    """
    ordered = sorted(keys, key=_order)
    if not ordered:
        raise Unavailable("DJ541", f"signing keys: there is none; {_MAKE}")
    clock = f"this machine's clock says {moment:%FT%TZ}"
    if (first := ordered[0]).begins > moment:
        observation = f"none has begun: the first, {first.name}, begins {first.begins:%FT%TZ}, and {clock}"
        raise Unavailable("DJ541", f"signing keys: {observation}; compare the clock before you make a key")
    last = [each for each in ordered if each.begins <= moment][-1]
    if last.ends <= moment:
        observation = f"the last, {last.name}, ended {last.ends:%FT%TZ}, and {clock}"
        raise Unavailable("DJ541", f"signing keys: {observation}; where the clock is right, {_MAKE}")
    return last


def published_keys(keys: Iterable[DatedKey], moment: datetime, retention: timedelta) -> tuple[DatedKey, ...]:
    """Those by which a token may have to be checked from that moment on, in the order of their beginnings.

    `retention` is how long that may be after the token was signed.
    """
    ordered = sorted(keys, key=_order)
    return tuple(each for each in ordered if moment < _last_token(each, ordered) + retention)


def unneeded_keys(keys: Iterable[DatedKey], moment: datetime, retention: timedelta) -> tuple[DatedKey, ...]:
    """The others: all their tokens have ended."""
    ordered = sorted(keys, key=_order)
    return tuple(each for each in ordered if moment >= _last_token(each, ordered) + retention)


def runs_out(keys: Iterable[DatedKey]) -> datetime:
    """When nobody signs any more, unless another key is made."""
    return max(keys, key=_order).ends


def appraise(keys: Sequence[DatedKey], moment: datetime, place: str) -> Finding | None:
    """What is amiss with the keys of a place: an error where none signs, a warning where soon none will."""
    last, do = max(keys, key=_order), "make the next one with `donjon attestation keys new`"
    subject = f"signing keys in {place}"
    try:
        current_key(keys, moment)
    except Unavailable:
        observation = (
            f"{last.name} ended {last.ends:%FT%TZ}" if last.begins <= moment else f"none begins before {last.begins:%FT%TZ}"
        )
        return Finding.error("DJ541", subject, observation, "nothing is signed", f"compare the clock; where it is right, {do}")
    if last.ends - moment < SOON:
        return Finding.warning(
            "DJ541", subject, f"no next one, and {last.name} ends {last.ends:%FT%TZ}", "then nothing is signed", do
        )
    return None


def next_start(keys: Sequence[DatedKey], moment: datetime, ahead: timedelta) -> datetime:
    """When a key that is made now begins: that much later, but before the present one ends; at once, where none signs.

    Raises `Misconfigured` DJ545 where another key begins before.
    """
    candidates = [each for each in keys if each.begins <= moment]
    if not candidates:
        return moment - BACKDATE  # Clocks differ, and all replicas are to sign with it now.
    begins = max(min(moment + ahead, max(candidates, key=_order).ends), moment)
    for each in keys:
        if moment < each.begins <= begins:
            raise Misconfigured("DJ545", f"signing keys: {each.name} is the next already, and begins {each.begins:%FT%TZ}")
    return begins


def _last_token(key: DatedKey, ordered: Iterable[DatedKey]) -> datetime:
    later = (each.begins for each in ordered if _order(each) > _order(key))
    return min([key.ends, *later])


def _order(key: DatedKey) -> tuple[datetime, str]:
    return key.begins, key.signer.kid
