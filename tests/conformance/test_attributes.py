"""A second opinion on attributes and extended features, bit by bit: what dcap-qvl refuses is refused.

Its own policy is part of its verification; here it is acceptance's, whose default is compared.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from tests.conformance.peer import Peer, question
from tests.simulation.intel import MOMENT, SEED

from donjon.attestation.acceptance import Acceptance, AcceptedQuote, accept
from donjon.attestation.quote import parse
from donjon.attestation.verify import verify
from donjon.collateral.trusted import trust
from donjon.pki.intel import anchor
from donjon.simulation.intel.reports import SEPT_VE_DISABLE
from donjon.simulation.intel.setting import setting, with_changes
from donjon.simulation.intel.world import make

BITS = range(64)
TDX = ("v4 TDX 1.0", "v5 TDX 1.0", "v5 TDX 1.5")
SGX = "v3 SGX"
INIT_AND_MODE64, LEGACY = 0x05, 0x03
SERVICE_TD = b"\x66" * 48

STRICTER: Mapping[str, str] = {
    "attributes bit 16": "ICSSD: no published quote has it, so it takes a name; go-tdx-guest refuses it, too",
    "attributes bit 27": "LASS: 〃",
    "attributes bit 62": "TPA: 〃",
    **{f"attributes bit {bit}": "reserved for what makes a TD safer, says Intel; nobody knows yet" for bit in range(18, 23)},
    "xfam": "dcap-qvl does not look at XFAM",
    "xfrm": "nor at XFRM",
    "flags": "nor at FLAGS, but for DEBUG",
}
"""What it accepts and we refuse, by what was changed. Of the other way, what it refuses and we accept, there is nothing."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What was changed, and what both say of it: whether they accept, and why not."""

    told: str
    ours: tuple[str, ...]
    theirs: str

    @property
    def agree(self) -> bool:
        return bool(self.ours) == bool(self.theirs)


def pair(peer: Peer, kind: str, told: str, changes: Mapping[str, object]) -> Pair:
    world = make(with_changes(setting(SEED, MOMENT, kind), changes))
    verified = verify(parse(world.quote.data), trust(world.collateral, anchor(world.root)), MOMENT)
    answer = accept(verified, Acceptance())
    ours = () if isinstance(answer, AcceptedQuote) else tuple(each.code for each in answer)
    return Pair(told, ours, peer.ask(question(world)).refused or "")


def unexplained(pairs: list[Pair]) -> list[Pair]:
    return [each for each in pairs if not each.agree and (each.theirs or not {each.told, each.told.split()[0]} & STRICTER.keys())]


@pytest.mark.parametrize("kind", TDX)
def test_each_attribute_of_a_trust_domain(peer: Peer, kind: str) -> None:
    pairs = [pair(peer, kind, f"attributes bit {bit}", {"quote.body.attributes": SEPT_VE_DISABLE ^ 1 << bit}) for bit in BITS]
    assert unexplained(pairs) == []
    assert {each.told for each in pairs if not each.agree} == {told for told in STRICTER if told.startswith("attributes")}
    assert [each.told for each in pairs if not each.ours] == [f"attributes bit {bit}" for bit in (30, 31, 63)]  # PKS, KL, PERFMON


def test_each_extended_feature_of_a_trust_domain(peer: Peer) -> None:
    pairs = [pair(peer, "v5 TDX 1.5", f"xfam bit {bit}", {"quote.body.xfam": LEGACY ^ 1 << bit}) for bit in BITS]
    assert unexplained(pairs) == []
    assert sum(bool(each.ours) for each in pairs) > len(BITS) / 2


def test_a_service_td(peer: Peer) -> None:
    one = {"quote.body.mr_service_td": SERVICE_TD}
    both = one | {"quote.body.attributes": SEPT_VE_DISABLE | 1 << 29}
    last = {"quote.body.mr_service_td": bytes(47) + b"\1"}
    for found, expected in ((one, ("DJ273",)), (last, ("DJ273",)), (both, ("DJ272", "DJ273"))):
        said = pair(peer, "v5 TDX 1.5", "mr_service_td", found)
        assert (said.ours, bool(said.theirs)) == (expected, True)


def test_each_flag_and_feature_of_an_enclave(peer: Peer) -> None:
    flags = [pair(peer, SGX, f"flags bit {bit}", {"quote.body.flags": INIT_AND_MODE64 ^ 1 << bit}) for bit in BITS]
    features = [pair(peer, SGX, f"xfrm bit {bit}", {"quote.body.xfrm": LEGACY ^ 1 << bit}) for bit in BITS]
    assert unexplained(flags + features) == []
    assert [each.told for each in flags if each.theirs] == ["flags bit 1"]  # DEBUG


def test_several_at_once(peer: Peer) -> None:
    rng = random.Random(10)  # noqa: S311 - the same pairs each time
    for number in range(60):
        bits = rng.sample(BITS, 2)
        changes: dict[str, object] = {
            "quote.body.attributes": SEPT_VE_DISABLE | 1 << bits[0] | 1 << bits[1],
            "quote.body.mr_service_td": rng.choice((bytes(48), bytes(48), rng.randbytes(48))),
        }
        said = pair(peer, "v5 TDX 1.5", f"{number}: bits {bits}", changes)
        assert said.ours or not said.theirs, said
