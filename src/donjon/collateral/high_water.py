"""No way back: the newest document of each kind that was ever trusted, so that an older one, however well signed, is refused.

The marks are a value, handed in and handed back; whoever keeps state keeps them. Evaluation numbers differ legitimately between
Intel's two update channels, so each has its own marks. All of Intel's CRLs carry number 1: they are ordered by thisUpdate.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from donjon.collateral.plan import Channel
from donjon.collateral.tcb_info import MAX_EVALUATION
from donjon.collateral.trusted import TrustedCollateral
from donjon.errors import Malformed, Untrusted
from donjon.formats import strict_json

MAX_MARKS = 10_000
MAX_STATE = 4 << 20  # bytes; a mark takes about 130

_ROOT = 8  # bytes of the hash that tells roots apart


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """How far a kind of document has come."""

    evaluation_number: int  # 0 for CRLs
    issue_date: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HighWater:
    """The marks, by a name that holds root, channel, TEE or authority, platform family and kind."""

    marks: Mapping[str, Mark] = field(default_factory=dict)


def advance(high: HighWater, collateral: TrustedCollateral, channel: Channel) -> HighWater:
    """The marks with this collateral's, where it is nowhere below them; raises `Untrusted` DJ250, `Malformed` DJ251."""
    new_marks = _marks(collateral, channel)
    for name, mark in new_marks.items():
        if (before := high.marks.get(name)) is not None and mark < before:
            then, now = _describe(before), _describe(mark)
            raise Untrusted("DJ250", f"{name.rpartition(' ')[2]}: {now}, but {then} was trusted before")
    marks = {**high.marks, **new_marks}
    if len(marks) > MAX_MARKS:
        raise Malformed("DJ251", f"high-water marks: {len(marks)}, expected at most {MAX_MARKS}")
    return HighWater(marks=marks)


def parse(text: bytes) -> HighWater:
    """The marks of a state file; raises `Malformed` DJ210, DJ211 or DJ251."""
    state = strict_json.parse(text, "state", MAX_STATE, values=MAX_STATE)
    marks = state.member("marks")
    if len(marks.content) > MAX_MARKS:
        raise Malformed("DJ251", f"high-water marks: {len(marks.content)}, expected at most {MAX_MARKS}")
    entries = {name: marks.member(name) for name in marks.content}
    return HighWater(
        marks={name: Mark(entry.number("evaluation", MAX_EVALUATION), entry.date("dated")) for name, entry in entries.items()}
    )


def encode(high: HighWater) -> bytes:
    """The state file that `parse` reads."""
    marks = {
        name: {"evaluation": mark.evaluation_number, "dated": f"{mark.issue_date:%FT%TZ}"}
        for name, mark in sorted(high.marks.items())
    }
    return json.dumps({"marks": marks}, indent=1).encode() + b"\n"


def _marks(collateral: TrustedCollateral, channel: Channel) -> dict[str, Mark]:
    root = collateral.anchor.digest()[:_ROOT].hex()
    info, identity = collateral.tcb_info, collateral.qe_identity
    return {
        f"{root} {channel} {info.tee} {info.fmspc.hex()} tcb_info": Mark(info.evaluation_number, info.issue_date),
        f"{root} {channel} {identity.tee} qe_identity": Mark(identity.evaluation_number, identity.issue_date),
        f"{root} {collateral.pck_crl.issuer} pck_crl": Mark(0, collateral.pck_crl.window.begins),
        f"{root} root_ca_crl": Mark(0, collateral.root_ca_crl.window.begins),
    }


def _describe(mark: Mark) -> str:
    number = f"evaluation number {mark.evaluation_number}, " if mark.evaluation_number else ""
    return f"{number}dated {mark.issue_date:%FT%TZ}"
