"""Platforms that a process has at hand: what was selected for them, and what an upstream was asked for.

Whatever strangers can make more of is bounded here: platforms in number and bytes, TCBs of each in number. Of too many the one
that was not used for longest gives way, which costs whoever wants it a look into the database or a request to the upstream, and
never the answer.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from donjon.collateral.document import Document
from donjon.collateral.pck_certificates import PckCertificate
from donjon.collateral.platforms import KnownPlatform, PlatformName
from donjon.collateral.selection import Tcb
from donjon.pki.crl import Crl

V = TypeVar("V")

MAX_PLATFORMS, MAX_BYTES = 1024, 16 << 20  # in memory; bytes of certificates and manifests as they are kept
MAX_TCBS = 64  # of each platform; Intel's have some twenty


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlatformCertificate:
    """A PCK certificate, and what is told with it: the same one as long as it is selected."""

    certificate: PckCertificate
    platform: KnownPlatform


@dataclass(slots=True, kw_only=True)
class Selection:
    """A PCK certificate that was selected, and the documents by which it was."""

    selected: PlatformCertificate
    levels: Document
    pck_crl: Document


@dataclass(slots=True, kw_only=True)
class Slot:
    """A platform in memory, and what was selected and asked for its TCBs."""

    platform: KnownPlatform
    under: Crl  # the root's list under which it was proved
    due: datetime
    until: float  # the database is looked into again, because others write into it, too
    selections: "OrderedDict[Tcb, Selection]" = field(default_factory=OrderedDict)
    # Until when what an upstream gave for a TCB counts as the best.
    fresh_until: "OrderedDict[Tcb, float]" = field(default_factory=OrderedDict)

    def must_ask(self, tcb: Tcb, now: float) -> bool:
        """Whether there may be a better certificate for that TCB than those that were given one by one."""
        if self.platform.stored_platform.whole or self.fresh_until.get(tcb, now) > now:
            return False
        return all(each.tcb != tcb for each in self.platform.pck_certificates.certificates)

    def note(self, tcb: Tcb, until: float) -> None:
        """That an upstream was asked for that TCB, and has answered.

        Anybody may ask for a TCB that no machine has; that takes nothing from those that machines have.
        """
        _keep(self.fresh_until, tcb, until)

    def select(self, tcb: Tcb, selection: Selection) -> None:
        """Remember what was selected for that TCB."""
        _keep(self.selections, tcb, selection)

    def bytes(self) -> int:
        """How many bytes the platform takes, nearly."""
        stored_platform = self.platform.stored_platform
        certificates, manifest = sum(map(len, stored_platform.certificates)), stored_platform.registration.manifest
        return len(stored_platform.chain) + certificates + len(manifest or b"")


class PlatformMemory:
    """The platforms in memory, those that were used last."""

    def __init__(self) -> None:
        self._entries: OrderedDict[PlatformName, Slot] = OrderedDict()
        self._bytes = 0

    def find(self, name: PlatformName) -> Slot | None:
        """The platform of that name, where it is here; it counts as used now."""
        slot = self._entries.get(name)
        if slot is not None:
            self._entries.move_to_end(name)
        return slot

    def keep(self, name: PlatformName, entry: Slot) -> Slot:
        """In the place of the one that was there; what the upstream was asked for stays known, unless that had more of them."""
        before = self.forget(name)
        if before is not None and {*before.platform.stored_platform.certificates} <= {
            *entry.platform.stored_platform.certificates
        }:
            entry.fresh_until = before.fresh_until
        self._entries[name] = entry
        self._bytes += entry.bytes()
        while len(self._entries) > 1 and (len(self._entries) > MAX_PLATFORMS or self._bytes > MAX_BYTES):
            self.forget(next(iter(self._entries)))
        return entry

    def forget(self, name: PlatformName) -> Slot | None:
        """Drop the platform of that name, and return it if there was one."""
        slot = self._entries.pop(name, None)
        self._bytes -= 0 if slot is None else slot.bytes()
        return slot


def _keep(among: "OrderedDict[Tcb, V]", tcb: Tcb, value: V) -> None:
    among[tcb] = value
    among.move_to_end(tcb)
    while len(among) > MAX_TCBS:
        among.popitem(last=False)
