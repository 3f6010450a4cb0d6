"""A policy on enclaves as an attestation policy, so that what is admitted and what is attested are one statement.

Only what a policy lists gets a token: `unknown`, `unreachable` and the mode are questions of admission, and say nothing here.
"""

from collections.abc import Iterator

from donjon.enclave.samples import SAMPLE_KEYS
from donjon.enclave.trust import DebugRule, EnclaveTrust, TrustSigner
from donjon.policy.syntax import (
    Action,
    Comparison,
    Condition,
    Literal,
    Operator,
    Part,
    Policy,
    PolicyVersion,
    Property,
    Rule,
    Scalar,
    Section,
    Verb,
)

_DEBUG, _SIGNER, _PRODUCT, _SVN, _MEASUREMENT = (
    f"x-ms-sgx-{name}" for name in ("is-debuggable", "mrsigner", "product-id", "svn", "mrenclave")
)
_PERMIT, _DENY = Action(verb=Verb.PERMIT), Action(verb=Verb.DENY)


def attestation_policy(trust: EnclaveTrust) -> Policy:
    """The policy that gives a token to the enclaves that are listed, and to no other."""
    authorization = Section(part=Part.AUTHORIZATION, rules=tuple(_rules(trust)), comments=_debug_comments(trust))
    head = (f"// What {trust.name} lists; printed by donjon policy from-enclave.",)
    return Policy(version=PolicyVersion.V1_0, comments=head, sections=(authorization, Section(part=Part.ISSUANCE)))


def _debug_comments(trust: EnclaveTrust) -> tuple[str, ...]:
    if trust.debug is DebugRule.NEVER:
        return ()
    return ("// Enclaves for debugging get a token, too, as the policy says debug: here. Set this where nothing is secret.",)


def _rules(trust: EnclaveTrust) -> Iterator[Rule]:
    if trust.debug is DebugRule.NEVER:
        yield Rule(comments=("// Never one whose memory its host can read.",), conditions=(_is(_DEBUG, True),), action=_DENY)
    if trust.measurements:  # Nothing else here can be of a sample key.
        yield from _sample_keys(trust)
    for signer in trust.signers:
        if signer.mr_signer.hex() not in SAMPLE_KEYS:
            yield Rule(comments=(f"// signer {signer.name}",), conditions=tuple(_of_signer(signer)), action=_PERMIT)
    for measurement in trust.measurements:
        condition = _is(_MEASUREMENT, measurement.mr_enclave.hex())
        yield Rule(comments=(f"// measurement {measurement.name}",), conditions=(condition,), action=_PERMIT)
    for key in sorted(each.hex() for each in trust.sample_keys if each.hex() in SAMPLE_KEYS):
        comment = f"// {SAMPLE_KEYS[key].key}: anybody signs with it. Set this where nothing is secret."
        yield Rule(comments=(comment,), conditions=(_is(_SIGNER, key),), action=_PERMIT)


def _sample_keys(trust: EnclaveTrust) -> Iterator[Rule]:
    for key in sorted(SAMPLE_KEYS.keys() - {each.hex() for each in trust.sample_keys}):
        comment = f"// Never one of {SAMPLE_KEYS[key].key}: anybody signs with it."
        yield Rule(comments=(comment,), conditions=(_is(_SIGNER, key),), action=_DENY)


def _of_signer(signer: TrustSigner) -> Iterator[Condition]:
    yield _is(_SIGNER, signer.mr_signer.hex())
    if signer.product_id is not None:
        yield _is(_PRODUCT, signer.product_id)
    if signer.min_svn:
        yield _is(_SVN, signer.min_svn, Operator.GE)


def _is(claim: str, value: Scalar, operator: Operator = Operator.EQ) -> Condition:
    return Condition(
        comparisons=(
            Comparison(property=Property.TYPE, operator=Operator.EQ, expression=Literal(value=claim)),
            Comparison(property=Property.VALUE, operator=operator, expression=Literal(value=value)),
        )
    )
