"""Which evaluations are foreseen to take long."""

from dataclasses import replace

from tests.attestation.test_token import PERMIT_ALL, in_force, statement

from donjon.attestation.claims import ClaimSet
from donjon.policy.claims import Claim, Issuer
from donjon.services.attestation.slowness import Slowness

MAX_RULES, MAX_KNOWN = 200, 1_000
"""Numbers of their own, so that whoever raises a bound comes by here."""


def given(characters: int) -> ClaimSet:
    """A statement with that much data of run time."""
    of = statement()
    data = Claim(type="x-ms-runtime", value="x" * characters, issuer=Issuer.SERVICE)
    return replace(of, incoming=(*of.incoming, data))


def test_what_took_long_on_much_is_foreseen_for_as_much_and_not_for_little() -> None:
    slowness, policy = Slowness(), in_force()
    much, little = given(60_000), given(100)
    assert not slowness.foresees(policy, much)
    slowness.learn(policy, much)
    assert [slowness.foresees(policy, each) for each in (much, given(60_500), little)] == [True, True, False]
    assert not slowness.foresees(replace(policy, hash="another"), much)


def test_drafts_and_policies_of_many_rules_are_foreseen_to_take_long() -> None:
    long = "version=1.0; authorizationrules{" + "=> permit();" * (MAX_RULES + 1) + "};"
    found = [Slowness().foresees(each, given(1)) for each in (in_force(long), in_force(PERMIT_ALL, draft=True), in_force())]
    assert found == [True, True, False]


def test_what_is_known_is_bounded_and_the_oldest_is_forgotten() -> None:
    slowness, policy, of = Slowness(), in_force(), given(1)
    for number in range(MAX_KNOWN + 1):
        slowness.learn(replace(policy, hash=str(number)), of)
    assert [slowness.foresees(replace(policy, hash=each), of) for each in ("0", "1", str(MAX_KNOWN))] == [False, True, True]
