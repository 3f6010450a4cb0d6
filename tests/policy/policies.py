"""Policies and claims for the tests of the policy language."""

import json
from pathlib import Path

from donjon.policy.claims import Claim, Issuer, Json, claims
from donjon.policy.decision import Decision
from donjon.policy.evaluation import evaluate
from donjon.policy.parsing import parse
from donjon.policy.syntax import Scalar

VECTORS = Path(__file__).parents[2] / "vectors" / "maa-policies"
SERVICE, POLICY, CUSTOM = Issuer.SERVICE, Issuer.POLICY, Issuer.CUSTOM


def vector(name: str) -> str:
    return (VECTORS / f"{name}.policy").read_text(encoding="utf-8")


def claim(name: str, value: Scalar, issuer: Issuer = SERVICE, *, read_only: bool = False) -> Claim:
    return Claim(type=name, value=value, issuer=issuer, read_only=read_only)


def decide(text: str, stated: "Json | tuple[Claim, ...]" = None) -> Decision:
    """The decision of a policy's text about claims, or about a JSON value that states them."""
    found = stated if isinstance(stated, tuple) else claims({} if stated is None else stated)
    return evaluate(parse(text), found)


def authorization(*rules: str, version: str = "1.2") -> str:
    return f"version={version}; authorizationrules {{ {' '.join(rules)} }};"


def issuance(*rules: str, version: str = "1.2") -> str:
    """A policy that permits, then issues."""
    return f"version={version}; authorizationrules {{ => permit(); }}; issuancerules {{ {' '.join(rules)} }};"


def issued(decision: Decision) -> list[tuple[str, Scalar]]:
    return [(each.type, each.value) for each in decision.issued]


def made(decision: Decision) -> list[tuple[str, Scalar]]:
    """What all rules made, issued or only added."""
    return [(each.type, each.value) for entry in decision.trace for each in entry.produced]


def codes(decision: Decision) -> list[str]:
    return [finding.code for finding in decision.findings]


def text(content: Json) -> str:
    return json.dumps(content)
