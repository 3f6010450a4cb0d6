"""CPUID as real machines printed it, and as no machine can."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from donjon.errors import Malformed
from donjon.sgx.cpuid import MAX_PHYSICAL_ADDRESS, MAX_SECTIONS, WANTED_LEAVES, EpcSection, Registers, parse

MIB = 1 << 20
GIB = 1 << 30

Leaf = tuple[int, int, int, int]
HIGHEST: Leaf = (0x1B, 0, 0, 0)
FEATURES: Leaf = (0, 1 << 2, 1 << 30, 0)
SGX2: Leaf = (0x3, 0x1, 0, 0x381F)
NOTHING: Leaf = (0, 0, 0, 0)


def leaves(
    *sections: Leaf, sgx: Leaf = SGX2, features: Leaf = FEATURES, highest: Leaf = HIGHEST, attributes: Leaf = NOTHING
) -> dict[tuple[int, int], Registers]:
    basic = {(0, 0): highest, (7, 0): features, (0x12, 0): sgx, (0x12, 1): attributes}
    numbered = {(0x12, subleaf): section for subleaf, section in enumerate(sections, start=2)}
    return {key: Registers(*value) for key, value in (basic | numbered).items()}


def section(base: int, size: int, *, kind: int = 1, protection: int = 1) -> Leaf:
    """The registers of a section, as the SDM lays them out."""
    return base & 0xFFFFF000 | kind, base >> 32, size & 0xFFFFF000 | protection, size >> 32


@dataclass(frozen=True)
class Dump:
    """What a machine printed (hexadecimal eax, ebx, ecx, edx), and what that comes to."""

    machine: str
    sgx: Leaf
    sections: tuple[Leaf, ...]
    version: int
    decoded: tuple[tuple[int, int], ...]
    epc: int


DUMPS = (
    Dump(
        machine="Azure Standard_DC1s_v2",
        sgx=(0x1, 0, 0, 0x241F),
        sections=((0xC0200001, 0x1, 0x1A00001, 0), (0xC1E00001, 0x1, 0x200001, 0)),
        version=1,
        decoded=((0x1C0200000, 26 * MIB), (0x1C1E00000, 2 * MIB)),
        epc=29360128,
    ),
    Dump(
        machine="Azure Standard_DC2ds_v3",
        sgx=SGX2,
        sections=((0xC0000001, 0x4, 0x1, 0x2),),
        version=2,
        decoded=((0x4C0000000, 8589934592),),
        epc=8 * GIB,
    ),
    Dump(
        machine="Alibaba, seventh generation",
        sgx=SGX2,
        sections=((0x40000001, 0x6, 0xD0000002, 0x5),),
        version=2,
        decoded=((0x640000000, 24964497408),),
        epc=23808 * MIB,
    ),
    Dump(
        machine="PhoenixNAP d2.m2.medium, two sockets",
        sgx=(0x403, 0x1, 0, 0x381F),
        sections=((0xC00001, 0x40, 0x7EC00002, 0), (0xC00001, 0x80, 0x7F400002, 0)),
        version=2,
        decoded=((0x4000C00000, 2126512128), (0x8000C00000, 2134900736)),
        epc=4064 * MIB,
    ),
    Dump(
        machine="Xeon 5315Y",
        sgx=(0x403, 0x1, 0, 0x381F),
        sections=((0x18000001, 0x70, 0xE7800002, 0xF),),
        version=2,
        decoded=((0x7018000000, 68308434944),),
        epc=65144 * MIB,
    ),
    Dump(
        machine="Xeon E-2276G",
        sgx=(0x1, 0, 0, 0x241F),
        sections=((0x70200001, 0, 0x5D80001, 0),),
        version=1,
        decoded=((0x70200000, 98041856),),
        epc=98041856,
    ),
)


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.machine)
def test_a_real_machine_has_the_sections_and_the_sum_that_were_seen_on_it(dump: Dump) -> None:
    cpu = parse(leaves(*dump.sections, sgx=dump.sgx))
    assert (cpu.sgx, cpu.version) == (True, dump.version)
    assert tuple((each.base, each.size) for each in cpu.sections) == dump.decoded
    assert cpu.epc == dump.epc


def test_the_seventh_machine_told_its_sum_and_its_features_alone() -> None:
    """An AKS node of the DCsv3 series, through Gramine's is-sgx-available (gsc issue 99): no registers were printed."""
    cpu = parse(leaves(*DUMPS[1].sections, attributes=(0x36 | 1 << 7, 0, 0x7, 0)))
    assert (cpu.sgx1, cpu.sgx2, cpu.launch_control, cpu.kss, cpu.epc) == (True, True, True, True, 0x200000000)


def test_integrity_is_protection_property_one_and_not_two() -> None:
    confidential = parse(leaves(*DUMPS[2].sections)).sections[0]
    both = parse(leaves(*DUMPS[1].sections)).sections[0]
    assert (confidential.integrity, both.integrity) == (False, True)


@pytest.mark.parametrize(
    ("changed", "sgx", "version", "launch_control"),
    [
        ({"features": NOTHING}, False, 0, False),
        ({"features": (0, 1 << 2, 0, 0)}, True, 2, False),
        ({"features": (0, 0, 1 << 30, 0)}, False, 0, True),  # As the bit says; nothing is made of it without SGX.
        ({"sgx": (0, 0, 0, 0)}, True, 0, True),  # Firmware keeps it off.
        ({"sgx": (2, 0, 0, 0)}, True, 0, True),  # SGX2 without SGX1 is none.
        ({"highest": (0x11, 0, 0, 0)}, True, 0, True),  # Leaf 12H then repeats another leaf's data.
        ({"highest": (0x6, 0, 0, 0)}, False, 0, False),
        ({"highest": NOTHING}, False, 0, False),
    ],
)
def test_bits_are_read_where_the_manual_puts_them(
    *, changed: dict[str, Leaf], sgx: bool, version: int, launch_control: bool
) -> None:
    cpu = parse(leaves(section(GIB, MIB), **changed))
    assert (cpu.sgx, cpu.version, cpu.launch_control) == (sgx, version, launch_control)


def test_a_processor_without_sgx_has_no_sections_whatever_its_leaves_hold() -> None:
    assert parse(leaves(section(GIB, MIB), features=NOTHING)).sections == ()


def test_no_leaf_at_all_is_a_processor_without_sgx() -> None:
    cpu = parse({})
    assert (cpu.sgx, cpu.version, cpu.epc) == (False, 0, 0)


def test_sections_end_at_the_first_that_is_none_as_in_the_kernel() -> None:
    seen = parse(leaves(section(GIB, MIB), section(2 * GIB, MIB, kind=0), section(3 * GIB, MIB)))
    assert [each.base for each in seen.sections] == [GIB]


def test_a_section_of_an_unknown_type_ends_them_too() -> None:
    assert parse(leaves(section(GIB, MIB, kind=2))).sections == ()


def test_no_more_than_eight_sections_are_read_as_in_the_kernel() -> None:
    many = [section(GIB * number, MIB) for number in range(1, 12)]
    assert len(parse(leaves(*many)).sections) == MAX_SECTIONS


def test_sections_may_touch() -> None:
    assert parse(leaves(section(GIB, MIB), section(GIB + MIB, MIB))).epc == 2 * MIB


def test_a_section_may_end_at_the_last_address_of_fifty_two_bits() -> None:
    last = parse(leaves(section(MAX_PHYSICAL_ADDRESS - MIB, MIB))).sections
    assert last == (EpcSection(base=MAX_PHYSICAL_ADDRESS - MIB, size=MIB, integrity=True),)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ((section(GIB, MIB), section(GIB, MIB)), "overlap"),
        ((section(GIB, 2 * MIB), section(GIB + MIB, MIB)), "overlap"),
        ((section(GIB + MIB, MIB), section(GIB, 2 * MIB)), "overlap"),
        ((section(GIB, 4 * MIB), section(GIB + MIB, MIB)), "overlap"),
        ((section(MAX_PHYSICAL_ADDRESS - MIB, MIB + 4096),), "within 52 bits"),
        ((section(GIB, 0),), "section of 0 bytes"),
        (((0xFFFFFFF1, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF),), "within 52 bits"),
    ],
)
def test_sections_that_cannot_be_are_refused_as_a_whole(sections: tuple[Leaf, ...], message: str) -> None:
    with pytest.raises(Malformed, match=message) as refused:
        parse(leaves(*sections))
    assert refused.value.code == "DJ902"


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("value", [-1, 1 << 32, 1 << 64])
def test_a_register_has_thirty_two_bits(place: int, value: int) -> None:
    values = [0, 0, 0, 0]
    values[place] = value
    with pytest.raises(Malformed) as refused:
        Registers(*values)
    assert refused.value.code == "DJ901"


def test_a_register_may_hold_all_thirty_two_bits() -> None:
    assert Registers(0xFFFFFFFF, 0, 0, 0xFFFFFFFF).eax == 0xFFFFFFFF


WORDS = st.integers(min_value=0, max_value=(1 << 32) - 1)
# Bits that let a section through are rare among random words, so they are favoured here.
SECTION_LIKE = st.tuples(WORDS.map(lambda word: word & ~0xF | 1), WORDS, WORDS, WORDS)
ANY_LEAF = st.one_of(st.tuples(WORDS, WORDS, WORDS, WORDS), SECTION_LIKE)


@given(st.dictionaries(st.sampled_from(WANTED_LEAVES), ANY_LEAF.map(lambda leaf: Registers(*leaf))))
def test_any_registers_at_all_are_understood_or_malformed(found: dict[tuple[int, int], Registers]) -> None:
    try:
        cpu = parse(found)
    except Malformed:
        return
    assert cpu.version in {0, 1, 2}
    assert 0 <= cpu.epc <= MAX_PHYSICAL_ADDRESS


PAGES = st.integers(min_value=1, max_value=1 << 20)


@given(st.lists(st.tuples(PAGES, PAGES), max_size=MAX_SECTIONS))
def test_sections_laid_one_behind_another_are_read_back(gaps_and_sizes: list[tuple[int, int]]) -> None:
    place, laid = 0, []
    for gap, size in gaps_and_sizes:
        place += gap * 4096
        laid.append((place, size * 4096))
        place += size * 4096
    cpu = parse(leaves(*(section(base, size) for base, size in laid)))
    assert [(each.base, each.size) for each in cpu.sections] == laid
