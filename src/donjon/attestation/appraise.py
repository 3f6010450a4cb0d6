"""What a policy says of a statement, and the operator's gate that stands under every policy.

The gate is an `Acceptance`: its default is that of verification, so that a policy that permits everything still gets no token for
a debug enclave. A policy can ask for more than the gate does, never for less.
"""

from dataclasses import dataclass, field, replace

from donjon.attestation.acceptance import Acceptance
from donjon.attestation.claims import ClaimSet
from donjon.collateral.tcb_info import MAX_EVALUATION
from donjon.errors import Malformed, Misconfigured
from donjon.formats.json import JsonObject
from donjon.formats.words import excerpt
from donjon.policy.budget import WHOLE, Allowance
from donjon.policy.decision import Decision
from donjon.policy.evaluation import configuration, evaluate
from donjon.policy.syntax import Policy, Scalar

TCB_IDENTIFIER = "x-ms-sgx-tcbidentifier"
OPERATORS_CHOICE = "azuredefault"
"""The identifier that leaves the baseline to whoever runs the service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyInForce:
    """A policy as it is applied."""

    policy: Policy
    baseline: int | None  # the TCB evaluation data number that it asks for at least
    hash: str  # as tokens name it
    text: str = field(repr=False, compare=False)  # in base64url, as its hash is made of it
    signer: JsonObject | None  # the key that signed it, as a JWK
    draft: bool  # a trial of the caller's: what comes of it is never signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Appraisal:
    """A statement that a policy permits: `appraise` alone makes one."""

    claim_set: ClaimSet
    applied: PolicyInForce
    decision: Decision


def baseline(policy: Policy) -> int | None:
    """The TCB evaluation data number that the policy's configurationrules ask for at least; raises `Malformed` DJ433.

    What they compute may take as long as an evaluation.
    """
    identifiers = [each.value for each in configuration(policy) if each.type == TCB_IDENTIFIER and each.value != OPERATORS_CHOICE]
    return max(map(_number, identifiers), default=None)


def narrow_gate(gate: Acceptance, policy: Policy) -> Acceptance:
    """The gate, made narrower by what the policy's configurationrules ask for; raises `Malformed` DJ433."""
    return raise_baseline(gate, baseline(policy))


def raise_baseline(gate: Acceptance, least: int | None) -> Acceptance:
    """The gate, made narrower by a baseline."""
    return gate if least is None else replace(gate, min_evaluation=max(least, gate.min_evaluation or 0))


def appraise(claim_set: ClaimSet, applied: PolicyInForce, allowance: Allowance = WHOLE) -> Appraisal | Decision:
    """The statement, permitted, or the decision against it with all its reasons.

    Raises `Misconfigured` DJ438 for a quote that was accepted by less than `raise_baseline` makes of this policy.
    """
    acceptance = claim_set.bound_quote.accepted_quote.acceptance
    if raise_baseline(acceptance, applied.baseline) != acceptance:
        raise Misconfigured("DJ438", "appraisal: the quote was accepted without the TCB baseline that the policy asks for")
    decision = evaluate(applied.policy, claim_set.incoming, allowance)
    return Appraisal(claim_set=claim_set, applied=applied, decision=decision) if decision.permitted else decision


def _number(value: Scalar) -> int:
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdigit()) or len(text) > len(str(MAX_EVALUATION)):
        raise Malformed(
            "DJ433", f"policy: {TCB_IDENTIFIER} is {excerpt(text)}, expected {OPERATORS_CHOICE} or a TCB evaluation data number"
        )
    return int(text)
