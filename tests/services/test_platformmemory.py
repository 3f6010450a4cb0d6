"""Platforms at hand: how many, how much, how many TCBs of each, and which one gives way. What they hold is not looked into."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

import pytest

from donjon.collateral.platforms import KnownPlatform, PlatformName
from donjon.collateral.selection import Tcb
from donjon.pki.crl import Crl
from donjon.services.attestation.pccs.platform_memory import PlatformMemory, Selection, Slot

MOST, MOST_BYTES, MOST_TCBS = 1024, 16 << 20, 64
"""As docs/limits.md and the module say; in numbers of their own, so that whoever raises a bound comes by here."""

NOW = 1000.0


def name(number: int) -> PlatformName:
    return cast("PlatformName", f"platform {number}")


def tcb(number: int) -> Tcb:
    return cast("Tcb", number)


def slot(*serials: bytes, chain: int = 0, certificates: int = 0, manifest: int | None = None) -> Slot:
    """A platform with so many bytes of each."""
    registration = SimpleNamespace(manifest=None if manifest is None else bytes(manifest))
    own = (*serials, bytes(certificates))
    stored = SimpleNamespace(chain=bytes(chain), certificates=own, registration=registration, whole=False)
    known = cast("KnownPlatform", SimpleNamespace(stored_platform=stored, pck_certificates=SimpleNamespace(certificates=())))
    return Slot(platform=known, under=cast("Crl", None), due=datetime(2026, 6, 1, tzinfo=UTC), until=NOW)


def kept(memory: PlatformMemory, count: int) -> list[int]:
    return [number for number in range(count) if memory.find(name(number)) is not None]


def test_so_many_platforms_are_at_hand_and_the_one_that_was_not_used_for_longest_gives_way() -> None:
    memory = PlatformMemory()
    for number in range(MOST):
        memory.keep(name(number), slot())
    assert memory.find(name(0)) is not None
    memory.keep(name(MOST), slot())
    assert kept(memory, MOST + 1) == [0, *range(2, MOST + 1)]


@pytest.mark.parametrize("part", ["chain", "certificates", "manifest"])
def test_so_many_bytes_of_platforms_are_at_hand(part: str) -> None:
    memory, quarter = PlatformMemory(), {part: MOST_BYTES // 4}
    for number in range(6):
        memory.keep(name(number), slot(**quarter))
    assert kept(memory, 6) == [2, 3, 4, 5]


def test_what_was_forgotten_or_replaced_takes_no_room() -> None:
    memory, half = PlatformMemory(), MOST_BYTES // 2
    for number in (0, 0, 0, 1):
        memory.keep(name(number), slot(chain=half))
    assert kept(memory, 2) == [0, 1]
    memory.forget(name(0))
    memory.keep(name(2), slot(chain=half))
    assert kept(memory, 3) == [1, 2]


def test_one_platform_is_at_hand_however_large() -> None:
    memory = PlatformMemory()
    memory.keep(name(0), slot(chain=MOST_BYTES + 1))
    assert kept(memory, 1) == [0]


def test_of_a_platform_so_many_tcbs_are_known_and_the_oldest_is_forgotten() -> None:
    platform, selection = slot(), cast("Selection", None)
    for number in (*range(MOST_TCBS), 0, MOST_TCBS):
        platform.note(tcb(number), NOW + 1)
        platform.select(tcb(number), selection)
    expected = [tcb(number) for number in (*range(2, MOST_TCBS), 0, MOST_TCBS)]
    assert ([*platform.fresh_until], [*platform.selections]) == (expected, expected)


def test_for_a_tcb_that_was_asked_for_nothing_is_lacking_until_then() -> None:
    platform = slot()
    platform.note(tcb(1), NOW + 1)
    asks = [platform.must_ask(tcb(1), NOW), platform.must_ask(tcb(1), NOW + 1), platform.must_ask(tcb(2), NOW)]
    assert asks == [False, True, True]


def test_what_was_asked_for_stays_known_unless_a_certificate_is_gone() -> None:
    memory = PlatformMemory()
    memory.keep(name(0), slot(b"a")).note(tcb(1), NOW)
    assert [*memory.keep(name(0), slot(b"a", b"b")).fresh_until] == [tcb(1)]
    assert [*memory.keep(name(0), slot(b"b")).fresh_until] == []
