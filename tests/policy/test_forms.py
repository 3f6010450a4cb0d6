"""The forms in which policies travel: each is opened to the same text, and what holds none is told what it is."""

import base64
import json
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.attestation import recordings

from donjon.errors import Malformed
from donjon.maa.policies import NO_POLICY
from donjon.policy.forms import MAX_FORM, MAX_WRAPPINGS, unwrap
from donjon.policy.parsing import MAX_PIECES, parse

TEXT = 'version=1.0;\nauthorizationrules\n{\n  [type=="é", value==false] => permit();\n};\n'
NONE, SIGNED = {"alg": "none"}, {"alg": "RS256", "x5c": ["MIIB"], "kid": "k"}


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def token(claims: object, header: object = NONE, signature: str = "") -> str:
    return f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(claims).encode())}.{signature}"


def policy_token(text: str = TEXT, header: object = NONE, signature: str = "") -> str:
    return token({"AttestationPolicy": encoded(text.encode())}, header, signature)


BARE, UNSIGNED, PROVED = encoded(TEXT.encode()), policy_token(), policy_token(header=SIGNED, signature="c2ln")
ANSWERED = token({"x-ms-policy": PROVED, "iss": "https://a.example"}, SIGNED, "c2ln")

FORMS = {
    "text": TEXT,
    "text with a comment first": f"// ours\n{TEXT}",
    "text with other line ends": TEXT.replace("\n", "\r\n"),
    "unsigned token": UNSIGNED,
    "signed token": PROVED,
    "token with lines": f"\r\n{UNSIGNED[:40]}\r\n{UNSIGNED[40:80]}\n{UNSIGNED[80:]}\n",
    "token in quotation marks": f'"{UNSIGNED}"\n',
    "token in single ones": f"'{UNSIGNED}'",
    "token whose header has blanks": policy_token().replace(encoded(json.dumps(NONE).encode()), encoded(b'{ "alg": "none" }')),
    "token with padding": ".".join(part + "=" * (-len(part) % 4) for part in UNSIGNED.split(".")),
    "token with the text as it is": token({"AttestationPolicy": TEXT}),
    "az attestation policy show": json.dumps({"additionalProperties": {}, "token": UNSIGNED}, indent=1),
    "az, earlier": json.dumps({"jwk": UNSIGNED, "alg": "none", "AttestationPolicy": BARE}),
    "az as YAML": f"additionalProperties: {{}}\ntoken: {UNSIGNED}\n",
    "az as a table": f"Token\n------\n{UNSIGNED}\n",
    "az as values": f"{{}}\t{UNSIGNED}",
    "PowerShell's list": f"Algorithm : none\r\nJwt       : {UNSIGNED[:50]}\r\n            {UNSIGNED[50:]}\r\nJwtLength : 9\r\n",
    "PowerShell's JSON": json.dumps({"Text": TEXT, "TextLength": 9, "Jwt": UNSIGNED, "Algorithm": "none"}),
    "the answer to GET": json.dumps({"token": ANSWERED}),
    "the token of that answer": ANSWERED,
    "its claims": json.dumps({"x-ms-policy": PROVED, "iss": "https://a.example"}),
    "the claim alone": BARE,
    "the claim with padding, in the other alphabet": base64.b64encode(TEXT.encode()).decode(),
    "JSON of the claim": json.dumps({"AttestationPolicy": BARE}),
    "JSON of the text": json.dumps({"AttestationPolicy": TEXT}),
    "JSON, decoded by hand": json.dumps({"header": NONE, "payload": {"AttestationPolicy": BARE}}),
    "JSON serialisation": json.dumps({"payload": encoded(json.dumps({"AttestationPolicy": BARE}).encode()), "signature": ""}),
    "JSON text": json.dumps(TEXT),
    "JSON text without its quotation marks": json.dumps(TEXT)[1:-1],
    "JSON text of a token": json.dumps(UNSIGNED),
    "list of one": json.dumps([{"token": UNSIGNED}]),
    "request that sets it": json.dumps({"policyJws": PROVED}),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_every_form_is_opened_to_the_text(name: str, encoding: str) -> None:
    found = unwrap(FORMS[name].encode(encoding))
    assert found.text.replace("\r\n", "\n").removeprefix("// ours\n") == TEXT
    assert bool(found.wrappings) is not name.startswith("text")
    parse(found.text)


def test_what_it_stood_in_is_told_from_the_outside_in() -> None:
    expected = ("token", "a token with algorithm RS256", "x-ms-policy", "a token with algorithm RS256", "AttestationPolicy")
    assert unwrap(json.dumps({"token": ANSWERED}).encode()).wrappings == expected


def test_the_innermost_token_is_the_policys_own() -> None:
    answer = unwrap(json.dumps({"token": token({"x-ms-policy": UNSIGNED}, SIGNED, "c2ln")}).encode())
    assert (answer.token, answer.is_signed) == (UNSIGNED, False)
    assert (unwrap(UNSIGNED.encode()).is_signed, unwrap(TEXT.encode()).token) == (False, None)
    for content in (PROVED, json.dumps({"token": ANSWERED}), json.dumps({"Text": TEXT, "Jwt": PROVED})):
        form = unwrap(content.encode())
        assert (form.token, form.is_signed) == (PROVED, True)


def test_policies_as_the_real_service_answered_them_are_opened() -> None:
    answers = [each.payload for each in recordings.under("/policies/") if each.method == "GET"]
    policies = [each for each in answers if each["x-ms-policy"] != NO_POLICY]
    found = [unwrap(json.dumps({"token": token(each, SIGNED, "c2ln")}).encode()) for each in policies]
    assert len(found) > 1
    assert all(parse(each.text) for each in found)


@pytest.mark.parametrize("text", ["authorizationrules{};", "", "ja", "{"])
def test_a_claim_that_is_no_policy_is_opened_all_the_same(text: str) -> None:
    with pytest.raises(Malformed) as refused:
        parse(unwrap(policy_token(text).encode()).text)
    assert refused.value.code == ("DJ291" if text == "{" else "DJ400")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            token({"x-ms-policy-hash": "h", "iss": "i"}, SIGNED, "c2ln"),
            "an attestation token, which names its policy by the hash alone",
        ),
        (token({"x-ms-policy-result": "Updated", "x-ms-policy-token-hash": "h"}), "the answer to a policy that was set or reset"),
        ("eyJhbGciOiJub25lIn0..", "without a body: it resets a policy"),
        (json.dumps({"token": token({"x-ms-policy": "eyJhbGciOiJub25lIn0.."})}), "without a body: it resets a policy"),
        ("eyJhbGciOiJSU0EifQ.a.b.c.d", "a token that is encrypted"),
        (
            json.dumps({"error": {"code": "Forbidden"}}),
            "JSON with error; expected the policy's text, its token, or JSON with AttestationPolicy, x-ms-policy, token or jwt",
        ),
        ("{}", "JSON with no members"),
        ("{", "JSON that cannot be read"),
        ('{"token": "a", "token": "b"}', "a member stands twice"),
        (json.dumps([UNSIGNED, UNSIGNED]), "JSON without a policy"),
        ("[]", "JSON without a policy"),
        (json.dumps({"token": UNSIGNED, "AttestationPolicy": encoded(b"version=1.1;")}), "hold different policies"),
        (f"{UNSIGNED} {PROVED}", "a text with 2 tokens"),
        ("eyJh!.e30.", None),
        ("eyJhbGciOiJub25lIn0.a.", "a part that is no base64url"),
        (f"ew0.{encoded(b'{}')}.", "JSON that cannot be read"),
        ("[" * MAX_PIECES, None),
        ('{"token":' * 50_000 + '""' + "}" * 50_000, "JSON that cannot be read"),
        ('{"token":' * 20 + '""' + "}" * 20, f"wrapped more than {MAX_WRAPPINGS} times"),
        ("'" * 100_000, f"wrapped more than {MAX_WRAPPINGS} times"),
    ],
)
def test_what_holds_no_policy_is_told_what_it_is(content: str, said: str | None) -> None:
    with pytest.raises(Malformed) as refused:
        parse(unwrap(content.encode()).text)
    assert refused.value.code == ("DJ400" if said is None else "DJ291")
    assert (said or "") in refused.value.message


def test_brackets_without_end_are_a_policy_that_is_too_long() -> None:
    with pytest.raises(Malformed) as refused:
        parse(unwrap(b"[" * 50_000).text)
    assert refused.value.code == "DJ401"


def test_what_is_around_a_policy_is_bounded() -> None:
    with pytest.raises(Malformed) as refused:
        unwrap(b" " * (MAX_FORM + 1))
    assert refused.value.code == "DJ401"


def test_a_utf_16_text_that_is_cut_is_refused() -> None:
    with pytest.raises(Malformed, match="no UTF-16") as refused:
        unwrap(TEXT.encode("utf-16")[:-1])
    assert refused.value.code == "DJ400"


def _damaged() -> st.SearchStrategy[bytes]:
    """A form with a piece cut out and another put in."""
    forms = st.sampled_from(sorted(FORMS.values())).map(str.encode)
    places = st.integers(0, 400)
    return st.builds(
        lambda whole, at, size, put: whole[:at] + put + whole[at + size :], forms, places, places, st.binary(max_size=8)
    )


@given(st.one_of(st.binary(max_size=200), _damaged()))
@example(b"\0")
@example(b"\xff\xfe")
@example(b"\0\0")
def test_nothing_but_our_refusals_comes_of_anything(content: bytes) -> None:
    with suppress(Malformed):
        assert len(unwrap(content).wrappings) <= MAX_WRAPPINGS
