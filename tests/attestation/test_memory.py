"""What is remembered never turns a no into a yes: each test warms the memory with a yes and then changes one thing."""

import tracemalloc
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from tests.attestation.worlds import trusted
from tests.simulation.intel import MOMENT, world

from donjon.attestation.memory import ENTRY, MAX_BYTES, MAX_OWN_KEYS, MAX_PLATFORMS, BoundedTable, Memory, PlatformBoundKey
from donjon.attestation.quote import parse
from donjon.attestation.verify import VerifiedQuote, verify
from donjon.collateral.status import TcbStatus
from donjon.collateral.trusted import TrustedCollateral, trust
from donjon.errors import DonjonError
from donjon.pki import pem
from donjon.pki.intel import anchor
from donjon.simulation.intel.certificates import SimulatedRole
from donjon.simulation.intel.setting import SHAPES
from donjon.simulation.intel.world import World

KINDS = ("v3 SGX", "v5 TDX 1.5")


def look(made: World, memory: Memory, collateral: TrustedCollateral | None = None, moment: datetime = MOMENT) -> VerifiedQuote:
    return verify(parse(made.quote.data), collateral or trusted(made), moment, memory)


def warm(made: World) -> Memory:
    memory = Memory()
    look(made, memory)
    return memory


def refused(made: World, memory: Memory, collateral: TrustedCollateral | None = None, moment: datetime = MOMENT) -> str:
    with pytest.raises(DonjonError) as caught:
        look(made, memory, collateral, moment)
    return caught.value.code


@pytest.mark.parametrize("kind", SHAPES)
def test_the_same_quote_again_is_proved_by_its_signature_alone_and_is_the_same(kind: str) -> None:
    made, collateral = world(kind), trusted(world(kind))
    memory = Memory()
    first = look(made, memory, collateral)
    kept = (memory.certified_platforms.misses, memory.bound_keys.misses, memory.verdicts.misses)
    assert look(made, memory, collateral) == first == verify(parse(made.quote.data), collateral, MOMENT)
    assert (memory.certified_platforms.misses, memory.bound_keys.misses, memory.verdicts.misses) == kept == (1, 1, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_another_quote_of_the_platform_needs_its_own_signature(kind: str) -> None:
    made = world(kind)
    memory = warm(made)
    broken = bytearray(made.quote.data)
    broken[made.quote.pieces["signature"].start] ^= 1
    with pytest.raises(DonjonError) as caught:
        verify(parse(bytes(broken)), trusted(made), MOMENT, memory)
    assert caught.value.code == "DJ243"


@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_that_has_expired_since_is_refused(kind: str) -> None:
    made = world(kind, {"hierarchy.pck.ends": MOMENT + timedelta(days=1)})
    memory = warm(made)
    assert refused(made, memory, moment=MOMENT + timedelta(days=2)) == "DJ223"


@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_revoked_since_is_refused_and_nothing_else_is_proved_again(kind: str) -> None:
    made = world(kind)
    memory = warm(made)
    misses = memory.certified_platforms.misses
    assert refused(made, memory, trusted(world(kind, {"pck_crl.revoked": frozenset({SimulatedRole.PCK})}))) == "DJ224"
    assert memory.certified_platforms.misses == misses


@pytest.mark.parametrize("kind", KINDS)
def test_an_authority_revoked_since_is_refused(kind: str) -> None:
    made = world(kind)
    memory = warm(made)
    other = world(
        kind,
        {"pck_crl.issuer": SimulatedRole.PLATFORM_CA, "signing.pck_crl_chain": (SimulatedRole.PLATFORM_CA, SimulatedRole.ROOT)},
    )
    assert refused(made, memory, trusted(other)) == "DJ231"


@pytest.mark.parametrize("kind", KINDS)
def test_another_root_knows_nothing_of_it(kind: str) -> None:
    made, foreign = world(kind), world(kind, {"seed": b"another"})
    memory = warm(made)
    assert refused(made, memory, trusted(foreign)) == "DJ220"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"tcb_info.levels.0.status": "OutOfDate"}, TcbStatus.OUT_OF_DATE),
        ({"tcb_info.levels.0.status": "Revoked"}, TcbStatus.REVOKED),
        ({"qe_identity.levels.0.status": "Revoked"}, TcbStatus.REVOKED),
    ],
)
def test_other_collateral_is_judged_anew(kind: str, changes: Mapping[str, object], expected: TcbStatus) -> None:
    made = world(kind)
    memory = warm(made)
    assert look(made, memory, trusted(world(kind, changes))).tcb.status is expected


@pytest.mark.parametrize("kind", KINDS)
def test_collateral_of_another_platform_is_refused(kind: str) -> None:
    made = world(kind)
    assert refused(made, warm(made), trusted(world(kind, {"tcb_info.fmspc": bytes(6)}))) == "DJ231"


@pytest.mark.parametrize("kind", ["v4 TDX 1.0", "v5 TDX 1.0", "v5 TDX 1.5"])
def test_an_older_module_of_the_same_platform_does_not_inherit_its_standing(kind: str) -> None:
    made, older = world(kind), world(kind, {"quote.body.tee_tcb_svn": bytes([0, 1, *[0] * 14])})
    collateral = trusted(made)
    memory = warm(made)
    assert made.quote.data[-1000:] == older.quote.data[-1000:]  # The same certificates.
    assert look(made, memory, collateral).tcb.status is TcbStatus.UP_TO_DATE
    assert look(older, memory, collateral).tcb.status is TcbStatus.NOT_SUPPORTED


@pytest.mark.parametrize(
    "changes",
    [{"quote.body.mr_signer_seam": bytes([1] * 48)}, {"quote.body.seam_attributes": bytes([1] * 8)}],
    ids=["signer", "attributes"],
)
def test_a_foreign_module_on_the_same_platform_is_refused(changes: Mapping[str, object]) -> None:
    made, foreign = world("v5 TDX 1.5"), world("v5 TDX 1.5", changes)
    assert refused(foreign, warm(made), trusted(made)) == "DJ244"


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_spliced_in_from_another_platform_is_refused(kind: str) -> None:
    made = world(kind)
    other = world(kind, {"quote.attestation_key": "another", "quote.authentication_data": bytes(32)})
    memory = warm(made)
    look(other, memory, trusted(made))
    spliced = bytearray(made.quote.data)
    for piece in ("qe_report", "qe_signature"):
        place = made.quote.pieces[piece]
        spliced[place] = other.quote.data[other.quote.pieces[piece]]
    with pytest.raises(DonjonError) as caught:
        verify(parse(bytes(spliced)), trusted(made), MOMENT, memory)
    assert caught.value.code == "DJ241"


def test_what_is_refused_is_not_remembered() -> None:
    made, memory = world(changes={"quote.qe_report_data": bytes(64)}), Memory()
    assert refused(made, memory) == "DJ241"
    assert (len(memory.bound_keys), len(memory.verdicts)) == (0, 0)


def test_a_new_list_leaves_the_memory_warm() -> None:
    made = world()
    memory = warm(made)
    look(made, memory, trusted(world(changes={"pck_crl.issue_date": MOMENT - timedelta(hours=1)})))
    assert (memory.certified_platforms.misses, memory.bound_keys.misses, memory.verdicts.misses) == (1, 1, 1)


def test_the_memory_is_bounded_and_the_oldest_goes_first() -> None:
    table: BoundedTable[int, int] = BoundedTable(2)
    for number in range(3):
        table.keep(number, number)
    assert (len(table), table.get(0), table.get(1), table.get(2)) == (2, None, 1, 2)


def test_a_memory_of_nothing_keeps_nothing() -> None:
    table: BoundedTable[int, int] = BoundedTable(0)
    assert table.keep(1, 1) == 1
    assert len(table) == 0


def test_a_quote_without_chain_is_remembered_with_the_chain_that_it_was_proved_by() -> None:
    made = world(changes={"quote.certification_type": 1})
    chain = b"".join(made.certificates[role] for role in made.setting.quote.chain)
    root = anchor(made.root)
    with_chain = trust(type(made.collateral)(**{**_parts(made), "pck_certificate_chain": chain}), root)
    memory = Memory()
    assert look(made, memory, with_chain).tcb.status is TcbStatus.UP_TO_DATE
    assert refused(made, memory, trust(made.collateral, root)) == "DJ203"


def _parts(made: World) -> dict[str, bytes]:
    names = [name for name in made.collateral.__slots__ if name != "pck_certificate_chain"]
    return {name: getattr(made.collateral, name) for name in names}


# Whoever wants to fill it.


def laid_out(made: World, places: Mapping[int, int]) -> bytes:
    """The quote with a line break more in these blocks of its chain, each behind so many characters of its first line."""
    blocks = list(pem.each(parse(made.quote.data).certification.content.rstrip(pem.AFTER) + b"\n"))
    for number, characters in places.items():
        start = blocks[number].index(b"\n") + 1 + characters
        blocks[number] = blocks[number][:start] + b"\n" + blocks[number][start:]
    return with_chain(made, b"".join(blocks))


def with_chain(made: World, chain: bytes) -> bytes:
    """The quote with this text for its chain; of version 3."""
    raw = made.quote.data
    quote = parse(raw)
    more = len(chain) - len(quote.certification.content)
    content = len(raw) - len(quote.certification.content)
    head = bytearray(raw[:content])
    for place in (len(quote.signed_data), content - 4):  # Of the signature section, and of the certification data.
        head[place : place + 4] = (int.from_bytes(head[place : place + 4], "little") + more).to_bytes(4, "little")
    return bytes(head) + chain


@pytest.mark.parametrize("block", [0, 1, 2], ids=["the leaf's block", "the authority's block", "the root's block"])
def test_a_chain_that_is_laid_out_anew_is_as_good_and_makes_no_entry(block: int) -> None:
    made = world()
    memory, collateral = warm(made), trusted(made)
    first = look(made, memory, collateral)
    for characters in range(1, 40):
        found = verify(parse(laid_out(made, {block: characters})), collateral, MOMENT, memory)
        assert (found.platform, found.tcb) == (first.platform, first.tcb)
    assert (
        len(memory.certified_platforms),
        len(memory.bound_keys),
        len(memory.authorities),
        memory.certified_platforms.misses,
    ) == (1, 1, 1, 1)


def test_a_platform_that_comes_laid_out_anew_is_known_by_its_usual_layout() -> None:
    made = world()
    memory, collateral = Memory(), trusted(made)
    verify(parse(laid_out(made, {0: 1, 1: 2})), collateral, MOMENT, memory)
    look(made, memory, collateral)
    assert (len(memory.certified_platforms), memory.certified_platforms.misses, len(memory.bound_keys)) == (1, 1, 1)


def test_what_stands_behind_a_chain_makes_few_entries_of_it() -> None:
    made = world()
    memory, collateral = Memory(), trusted(made)
    quote = parse(made.quote.data)
    for number in range(60):
        behind = bytes([b"\0\n"[number >> bit & 1] for bit in range(6)])
        chain = quote.certification.content.rstrip(pem.AFTER) + behind
        verify(parse(with_chain(made, chain)), collateral, MOMENT, memory)
    assert (len(memory.certified_platforms), len(memory.bound_keys)) == (1, 0)


def test_one_platforms_keys_take_no_others_place() -> None:
    made, other = world(), world(changes={"quote.attestation_key": "another"})
    memory = warm(made)
    (bound,) = memory.bound_keys.values()
    stranger = PlatformBoundKey(bound.handle, replace(bound.certified_platform, key=bytes(64)), bound.judged_by)
    for number in range(100):
        memory.keep_bound_key(number.to_bytes(32, "big"), stranger)
    assert len(memory.bound_keys) == MAX_OWN_KEYS + 1
    misses = memory.bound_keys.misses
    look(made, memory)
    assert memory.bound_keys.misses == misses
    look(other, memory)
    assert memory.bound_keys.misses == misses + 1


def test_an_authority_is_kept_once_however_often_collateral_comes_anew() -> None:
    made, memory = world(), Memory()
    for _ in range(3):
        collateral = trust(made.collateral, anchor(made.root))
        look(made, memory, collateral)
        memory.certified_platforms, memory.bound_keys = BoundedTable(10), BoundedTable(10)
    assert (len(memory.authorities), memory.authorities.misses) == (1, 1)


@pytest.mark.parametrize("kind", ["v4 TDX 1.0", "v5 TDX 1.5"])
def test_what_a_quote_that_nobody_signed_says_of_its_module_is_not_remembered(kind: str) -> None:
    made = world(kind)
    memory = Memory()
    place = made.quote.pieces["body"].start
    for number in range(1, 20):
        raw = bytearray(made.quote.data)
        raw[place + 15] = number  # The last byte of TEE_TCB_SVN.
        with pytest.raises(DonjonError) as caught:
            verify(parse(bytes(raw)), trusted(made), MOMENT, memory)
        assert caught.value.code == "DJ243"
    assert len(memory.verdicts) == 0


@pytest.mark.parametrize(
    ("table", "most"),
    [
        *(("certified_platforms", 10_168), ("bound_keys", 10_168), ("_own", 10_168)),  # 32 MiB, by docs/figures.md
        *(("verdicts", 10_000), ("_family", 10_000), ("authorities", 64), ("_keys", 100)),
    ],
)
def test_of_each_kind_of_fact_so_many_are_kept_and_no_more(table: str, most: int) -> None:
    kept = getattr(Memory(), table)
    for number in range(most + 100):
        kept.keep(number, number)
    assert len(kept) == most
    assert kept.get(99) is None


def test_a_fact_that_is_proved_again_takes_no_others_place() -> None:
    kept: BoundedTable[str, int] = BoundedTable(2)
    for name in ("a", "b", "b", "b"):
        kept.keep(name, 1)
    assert (kept.get("a"), len(kept)) == (1, 2)


def test_a_full_memory_takes_what_it_says() -> None:
    """Measured where entries differ in everything that platforms differ in."""
    made = world()
    (bound,) = warm(made).bound_keys.values()
    certified = bound.certified_platform
    memory, count = Memory(2000), 2000
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(count):
        mark = number.to_bytes(32, "big")
        platform = replace(certified.platform, ppid=mark[16:])
        kept = memory.keep_platform(b"c" + mark, replace(certified, key=mark + mark, platform=platform))
        memory.keep_bound_key(b"b" + mark, PlatformBoundKey(bound.handle, kept, (*bound.judged_by,)))
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(memory.bound_keys) == count
    assert taken / count < ENTRY - HANDLE
    assert MAX_PLATFORMS * ENTRY <= MAX_BYTES


HANDLE = 1_200
"""Bytes of a key's handle, which the library keeps for itself."""
