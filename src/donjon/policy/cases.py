"""Cases beside a policy: claims in, verdict and claims out, written in TOML.

    policy = "enclave.policy"

    [[case]]
    name = "a debug enclave is refused"
    verdict = "denied"
    [case.claims]
    x-ms-sgx-is-debuggable = true

`verdict` is one of permitted, denied, not permitted, failed. `claims` are as `policy.claims.claims` takes them; `issued` and
`properties`, where they stand, are exactly what the policy is to make.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from donjon.errors import Malformed
from donjon.formats.words import excerpt, one_of
from donjon.policy.claims import Claim, Json, claims, values_by_type
from donjon.policy.decision import Decision, PolicyVerdict
from donjon.policy.reasons import scalar
from donjon.policy.syntax import Scalar, alike

MAX_SIZE = 1 << 20  # bytes of a file of cases
SUFFIX = ".cases.toml"

_FILE = {"policy", "case"}
_CASE = {"name", "verdict", "claims", "issued", "properties"}

Values = Mapping[str, tuple[Scalar, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case; `issued` and `properties` are None where nothing is expected of them."""

    name: str
    claims: tuple[Claim, ...]
    verdict: PolicyVerdict
    issued: Values | None
    properties: Values | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cases:
    """The cases of one file, and the file beside it that holds their policy."""

    policy: str
    cases: tuple[Case, ...]


def parse(text: str) -> Cases:
    """The cases of a TOML text; raises `Malformed` DJ409."""
    content = _read(text)
    policy, cases = content.get("policy"), content.get("case")
    if content.keys() - _FILE:
        raise _wrong(f"has {excerpt(min(content.keys() - _FILE))}, expected policy and [[case]] alone")
    if not isinstance(policy, str) or not policy or "/" in policy:
        raise _wrong('names no policy beside it; expected policy = "NAME.policy" in its first line')
    if not isinstance(cases, list) or not cases:
        raise _wrong("has no [[case]]")
    return Cases(policy=policy, cases=tuple(_case(case, number) for number, case in enumerate(cases, 1)))


def _read(text: str) -> dict[str, Json]:
    try:
        return cast("dict[str, Json]", tomllib.loads(text))
    except (tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
        raise _wrong(f"is no TOML: {error}") from error


def _wrong(problem: str) -> Malformed:
    return Malformed("DJ409", f"cases: the file {problem}")


def _case(content: Json, number: int) -> Case:
    if not isinstance(content, dict) or content.keys() - _CASE or not isinstance(content.get("name"), str):
        raise _wrong(f"has a case {number} that is not made of name, verdict, claims and perhaps issued and properties")
    verdict = content.get("verdict")
    if verdict not in tuple(PolicyVerdict):
        raise _wrong(
            f"has a case {number} with the verdict {excerpt(str(verdict))}, expected {one_of(tuple(PolicyVerdict), str(verdict))}"
        )
    return Case(
        name=str(content["name"]),
        claims=claims(content.get("claims", {})),
        verdict=PolicyVerdict(str(verdict)),
        issued=_values(content.get("issued")),
        properties=_values(content.get("properties")),
    )


def _values(content: Json) -> Values | None:
    return None if content is None else values_by_type(claims(content))


def differences(case: Case, decision: Decision) -> Iterator[str]:
    """Where a decision is not what the case expects; nothing where it is."""
    if decision.verdict is not case.verdict:
        yield f"the verdict is {decision.verdict}, expected {case.verdict}"
    for name, expected, claims_made in (
        ("issued", case.issued, decision.issued),
        ("properties", case.properties, decision.properties),
    ):
        if expected is not None:
            yield from (f"{name}: {line}" for line in _unlike(expected, values_by_type(claims_made)))


def _unlike(expected: Values, actual: Values) -> Iterator[str]:
    for name in dict.fromkeys((*expected, *actual)):
        expected_values, actual_values = expected.get(name, ()), actual.get(name, ())
        if len(expected_values) != len(actual_values) or not all(map(alike, expected_values, actual_values)):
            yield f"{name} is {_values_text(actual_values)}, expected {_values_text(expected_values)}"


def _values_text(values: tuple[Scalar, ...]) -> str:
    return ", ".join(map(scalar, values)) or "not there"
