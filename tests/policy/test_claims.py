"""JSON states claims, in two forms; what is none is refused with its name."""

import pytest
from tests.policy.policies import CUSTOM, claim

from donjon.errors import Malformed
from donjon.policy.claims import MAX_CLAIMS, MAX_TEXT, Claim, Issuer, Json, claims, value_type, values_by_type


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({}, []),
        ([], []),
        ({"a": "x", "b": 1, "c": True}, [claim("a", "x"), claim("b", 1), claim("c", value=True)]),
        ({"a": [1, "x"], "b": []}, [claim("a", 1), claim("a", "x")]),
        ({"a": {"b": [1, None, "ü"]}}, [claim("a", '{"b":[1,null,"ü"]}')]),
        ([{"type": "a", "value": 1}], [claim("a", 1)]),
        ([{"type": "a", "value": [1, 2], "issuer": "CustomClaim"}], [claim("a", 1, CUSTOM), claim("a", 2, CUSTOM)]),
        ([{"type": "a", "value": "x", "readOnly": True}], [claim("a", "x", read_only=True)]),
    ],
)
def test_json_states_claims(content: Json, found: list[Claim]) -> None:
    assert claims(content) == tuple(found)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (5, "expected an object of types and values"),
        (None, "expected an object of types and values"),
        ({"a": None}, "claim a: its value is null"),
        ({"a": 1.5}, "claim a: its value is a fraction"),
        ({"a": [[1]]}, "claim a: its value is a list within a list"),
        ({"a": 2**63}, "claim a: its value is too large a number"),
        ({"a": {"b": float("nan")}}, "claim a: its value cannot be written as JSON"),
        ({"a": "\ud800"}, "claim a: it holds half a surrogate pair"),
        ({"\ud800": 1}, "claim \\ud800: it holds half a surrogate pair"),
        ({"a": "x" * (MAX_TEXT + 1)}, f"claim a: {MAX_TEXT + 1} characters long"),
        ({"a": list(range(MAX_CLAIMS + 1))}, f"more than {MAX_CLAIMS}"),
        ([1], "claim 1: expected an object with type and value"),
        ([{"type": "a"}], "claim 1: expected an object with type and value"),
        ([{"type": "a", "value": 1}, {"type": "b", "value": 1, "isuer": "CustomClaim"}], "claim 2: expected"),
        ([{"type": 1, "value": 1}], "claim 1: its type is no text"),
        ([{"type": "a", "value": 1, "issuer": "Service"}], "claim 1: issuer is Service, expected one of AttestationService"),
        ([{"type": "a", "value": 1, "readOnly": "yes"}], "claim 1: readOnly is no truth value"),
    ],
)
def test_what_states_no_claims_is_refused(content: Json, said: str) -> None:
    with pytest.raises(Malformed) as refused:
        claims(content)
    assert refused.value.code == "DJ408"
    assert said in refused.value.message


def test_values_have_types() -> None:
    assert [value_type(value) for value in ("1", 1, True)] == ["String", "Integer", "Boolean"]


def test_claims_of_one_type_are_told_together() -> None:
    assert values_by_type((claim("a", 1), claim("b", 2), claim("a", 3))) == {"a": (1, 3), "b": (2,)}


def test_a_claim_is_the_services_where_nothing_else_is_said() -> None:
    assert claims({"a": 1})[0].issuer is Issuer.SERVICE
