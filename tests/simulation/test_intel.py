"""The make-believe Intel: everything follows from the seed, and nothing passes for Intel's own."""

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from tests.simulation.intel import MOMENT, SEED, world

from donjon.errors import Misconfigured
from donjon.simulation.intel.certificates import SimulatedRole
from donjon.simulation.intel.setting import SHAPES, setting, with_changes
from donjon.simulation.intel.world import make

INTEL_ROOT_KEY = bytes.fromhex(
    "040ba9c4c0c0c86193a3fe23d6b02cda10a8bbd4e88e48b4458561a36e705525f567918e2edc88e40d860bd0cc4ee26aacc988e505a953558c453f6b0904ae7394"
)


@pytest.mark.parametrize("kind", SHAPES)
def test_the_same_setting_makes_the_same_bytes(kind: str) -> None:
    assert world(kind) == world(kind)


def test_another_seed_makes_other_keys() -> None:
    assert make(setting(b"one", MOMENT)).root != make(setting(b"two", MOMENT)).root


@pytest.mark.parametrize("role", SimulatedRole)
def test_every_certificate_says_what_it_is(role: SimulatedRole) -> None:
    subject = x509.load_pem_x509_certificate(world().certificates[role]).subject
    (common,) = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    (organisation,) = subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    assert (common.value, organisation.value) == (f"Donjon simulated {role}", "Donjon simulation, not Intel")


def test_the_root_is_not_intels() -> None:
    assert INTEL_ROOT_KEY not in world().root


@pytest.mark.parametrize("kind", SHAPES)
def test_every_byte_of_a_quote_belongs_to_a_piece(kind: str) -> None:
    quote = world(kind, {"quote.trailing": b"more"}).quote
    places = list(quote.pieces.values())
    assert [place.start for place in places] == [0, *(place.stop for place in places[:-1])]
    assert places[-1].stop == len(quote.data)


@pytest.mark.parametrize(
    "path", ["nothing", "quote.nothing", "tcb_info.levels.9", "tcb_info.levels.9.status", "tcb_info.levels.x.status"]
)
def test_a_field_that_is_not_there_cannot_be_changed(path: str) -> None:
    with pytest.raises(Misconfigured, match="DJ290"):
        with_changes(setting(SEED, MOMENT), {path: 1})
