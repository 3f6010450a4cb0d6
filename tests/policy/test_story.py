"""What people read: the story of a decision, the reasons of a no, warnings, and cases beside a policy."""

import pytest
from tests.policy.policies import authorization, claim, decide, issuance

from donjon.errors import Malformed
from donjon.findings import Severity
from donjon.policy import cases
from donjon.policy.advice import advice
from donjon.policy.claims import Json
from donjon.policy.decision import PolicyVerdict
from donjon.policy.parsing import parse
from donjon.policy.story import story

POLICY = """version=1.2;
authorizationrules
{
    [type=="debug", value==true] => deny();
    c:[type=="signer", value=="ours"] && [type=="svn", value>=3] => permit();
};
issuancerules
{
    c:[type=="svn"] => issue(type="version", value=c.value);
};
"""


def test_the_story_of_a_yes_says_what_the_token_says_and_why() -> None:
    decision = decide(POLICY, {"debug": False, "signer": "ours", "svn": [3, 2]})
    assert list(story(decision)) == [
        "PERMITTED: a token may be made.",
        "The policy adds to the token:",
        "  version = 3, 2",
        "Properties: nothing.",
        "",
        "authorizationrules",
        "  rule 1, line 4: did not fire",
        '    [type=="debug", value==true] => deny();',
        '      [type=="debug", value==true] does not hold',
        "        debug has value false, expected value==true",
        "  rule 2, line 5: fired",
        '    c:[type=="signer", value=="ours"] && [type=="svn", value>=3] => permit();',
        '      c:[type=="signer", value=="ours"] holds',
        '        found signer = "ours"',
        '      [type=="svn", value>=3] holds',
        "        found svn = 3",
        "",
        "issuancerules",
        "  rule 1, line 9: fired",
        '    c:[type=="svn"] => issue(type="version", value=c.value);',
        '      c:[type=="svn"] holds',
        "        found svn = 3",
        "        found svn = 2",
        "      made version = 3 (by AttestationPolicy)",
        "      made version = 2 (by AttestationPolicy)",
    ]


def test_the_story_of_a_no_begins_with_its_reasons() -> None:
    lines = list(story(decide(POLICY, {"signer": "ours", "svn": 2})))
    assert lines[0] == "NOT PERMITTED: no permit() fired."
    assert lines[1].startswith(
        "  line 5, rule 2 of authorizationrules: permit() did not fire: svn has value 2, expected value>=3: "
    )
    assert lines[-2:] == ["  rule 1, line 9: not reached", '    c:[type=="svn"] => issue(type="version", value=c.value);']
    denied = list(story(decide(POLICY, {"debug": True})))
    assert denied[0] == "DENIED: a deny() fired."
    assert denied[1].startswith('  line 4, rule 1 of authorizationrules: deny() fired: [type=="debug", value==true] => deny();:')


def test_the_story_of_a_failure_names_what_could_not_be_computed() -> None:
    lines = list(story(decide(issuance('c:[type=="a"] => issue(type="x", value=NegateBool(c.value));'), {"a": 1})))
    assert lines[0] == "FAILED: a rule could not be computed, so nothing is permitted."
    assert "      NegateBool() of a Integer, it takes a Boolean [DJ412]" in lines


@pytest.mark.parametrize(
    ("condition", "stated", "said"),
    [
        ('[type=="svn"]', {}, 'no claim "svn"'),
        ('[type=="svn", value==1]', {"other": 1}, 'no claim "svn"'),
        ('[type=="svn", value==1]', {"svn": "1"}, 'svn has value "1", expected value==1'),
        ('[value==1, type=="svn"]', {"svn": 2, "other": 3}, "svn has value 2, expected value==1"),
        ('[type=="svn", valueType=="String"]', {"svn": 2}, 'svn has valueType "Integer", expected valueType=="String"'),
        (
            '[type=="svn", issuer=="CustomClaim"]',
            {"svn": 2},
            'svn has issuer "AttestationService", expected issuer=="CustomClaim"',
        ),
        ("[value==1]", {"svn": 2}, "no claim fits"),
        ('![type=="svn"]', {"svn": 2}, "svn is there"),
        ('a:[type=="a"] && [type=="b", value==a.value]', {"a": 1, "b": 2}, "b has value 2, expected value==a.value, which is 1"),
        ('[type=="svn", value==1]', {"svn": [2, 3]}, "svn has value 2, expected value==1; svn has value 3, expected value==1"),
    ],
)
def test_a_no_says_what_came_near(condition: str, stated: Json, said: str) -> None:
    (finding,) = decide(authorization(f"{condition} => permit();"), stated).findings
    assert finding.observation.startswith(f"permit() did not fire: {said}")


def test_nothing_that_a_terminal_would_obey_is_told() -> None:
    evil = claim("a\n\x1b[2JPERMITTED", "\x1b[31m\r\n\u202e")
    lines = list(story(decide(authorization("[] => deny();", "[value==1] => permit();"), (evil,))))
    assert all(line.isprintable() for line in lines)
    assert any("a\\n\\x1b[2JPERMITTED" in line for line in lines)


def test_a_long_list_of_claims_is_cut_and_the_rest_counted() -> None:
    lines = list(story(decide(authorization("[] => permit();"), {"n": list(range(14))})))
    assert lines[-2:] == ["        found n = 9", "        … and 4 more"]


# Warnings.


@pytest.mark.parametrize(
    ("text", "code", "subject"),
    [
        ('version=1.0; authorizationrules{ [type="a"] => permit(); };', "DJ420", "line 1, column 39"),
        ("version=1.0; authorizationrules{ => permit() };", "DJ420", "line 1, column 45"),
        ("version=1.0; authorizationrules{ => deny(); };", "DJ421", "policy"),
        ("version=1.0;", "DJ421", "policy"),
        (authorization('[issuer=="Service"] => permit();'), "DJ422", "line 1, column 36"),
        (authorization('[valueType=="Int"] => permit();'), "DJ422", "line 1, column 36"),
        (authorization("[type==1] => permit();"), "DJ422", "line 1, column 36"),
        (authorization('=> issue(type="a", value=1);', "=> permit();"), "DJ423", "line 1, column 38"),
    ],
)
def test_warns_of_what_is_meant_otherwise(text: str, code: str, subject: str) -> None:
    (finding,) = advice(parse(text))
    assert (finding.code, finding.subject, finding.severity) == (code, subject, Severity.WARNING)


HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("condition", "warned"),
    [
        (f'[type=="x-ms-sgx-mrsigner", value=="{HEX}"]', False),
        (f'[type=="x-ms-sgx-mrsigner", value=="{HEX.upper()}"]', True),
        (f'[type=="x-ms-sgx-mrenclave", value=="{HEX[1:]}"]', True),
        (f'[value=="{HEX.upper()}", type=="$sgx-mrsigner"]', True),
        (f'[type=="x-ms-sgx-mrsigner", value!="{HEX.upper()}"]', False),
        (f'[type=="x-ms-sgx-mrsigner", value=="{HEX.upper()}", issuer=="CustomClaim"]', False),
        (f'[type=="x-ms-sgx-mrsigner", value=="{HEX.upper()}", issuer=="AttestationService"]', True),
        (f'[type=="x-ms-sgx-report-data", value=="{HEX * 2}"]', False),
        (f'[type=="x-ms-sgx-report-data", value=="{HEX}"]', True),
        ('[type=="x-ms-sgx-svn", value==3]', False),
        ('[type=="x-ms-sgx-svn", value=="3"]', True),
        ('[type=="x-ms-sgx-svn", value!="3"]', True),
        ('[type=="x-ms-sgx-is-debuggable", value=="false"]', True),
        ('[type=="x-ms-sgx-is-debuggable", value==0]', True),
        ('[type=="x-ms-sgx-is-debuggable", value==false]', False),
        ('[type=="x-ms-sgx-product-id", value > 3]', False),
        ('[type=="x-ms-attestation-type", value=="sgx"]', False),
        ('[type=="other", value=="3"]', False),
    ],
)
def test_warns_of_values_that_an_enclaves_claim_never_has(condition: str, *, warned: bool) -> None:
    assert [finding.code for finding in advice(parse(authorization(f"{condition} => permit();")))] == ["DJ422"] * warned


def test_warns_of_nothing_where_there_is_nothing() -> None:
    assert advice(parse(POLICY)) == ()
    known = '[issuer=="CustomClaim"] && [valueType=="Integer"] && c:[type=="a"] && [issuer==c.value] => permit();'
    assert advice(parse(authorization(known))) == ()


# Cases.

CASES = """
policy = "a.policy"

[[case]]
name = "yes"
verdict = "permitted"
[case.claims]
signer = "ours"
svn = 3
[case.issued]
version = 3
[case.properties]

[[case]]
name = "no"
verdict = "denied"
[[case.claims]]
type = "debug"
value = true
issuer = "CustomClaim"
"""


def unlike(text: str) -> list[list[str]]:
    return [list(cases.differences(case, decide(POLICY, case.claims))) for case in cases.parse(text).cases]


def test_cases_name_their_policy_claims_and_outcome() -> None:
    found = cases.parse(CASES)
    assert (found.policy, [case.name for case in found.cases]) == ("a.policy", ["yes", "no"])
    assert found.cases[1].verdict is PolicyVerdict.DENIED
    assert (found.cases[0].issued, found.cases[0].properties) == ({"version": (3,)}, {})
    assert (found.cases[1].issued, found.cases[1].properties) == (None, None)


def test_cases_that_come_out_as_expected_have_no_differences() -> None:
    assert unlike(CASES) == [[], []]


@pytest.mark.parametrize(
    ("changed", "into", "said"),
    [
        ('"permitted"', '"denied"', "the verdict is permitted, expected denied"),
        ("version = 3", "version = 4", "issued: version is 3, expected 4"),
        ("version = 3", 'version = "3"', 'issued: version is 3, expected "3"'),
        ("version = 3", "version = [3, 3]", "issued: version is 3, expected 3, 3"),
        ("version = 3", "other = 3", "issued: other is not there, expected 3"),
        ("[case.properties]", "[case.properties]\ntcb = 5", "properties: tcb is not there, expected 5"),
        ("version = 3", "", "issued: version is 3, expected not there"),
    ],
)
def test_a_difference_is_told(changed: str, into: str, said: str) -> None:
    assert said in unlike(CASES.replace(changed, into))[0]


def test_a_case_tells_1_from_true() -> None:
    (case,) = cases.parse('policy = "a"\n[[case]]\nname = "b"\nverdict = "permitted"\nissued = { a = true }').cases
    assert list(cases.differences(case, decide(issuance('=> issue(type="a", value=true);')))) == []
    assert list(cases.differences(case, decide(issuance('=> issue(type="a", value=1);')))) == ["issued: a is 1, expected true"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no policy beside it"),
        ("policy = 5", "names no policy"),
        ('policy = "../etc/passwd"', "names no policy beside it"),
        ('policy = "a"', "has no [[case]]"),
        ('policy = "a"\ncase = []', "has no [[case]]"),
        ('polcy = "a"', "has polcy, expected policy and [[case]] alone"),
        ("x = ", "is no TOML"),
        ('policy = "a"\n[[case]]\nverdict = "denied"', "a case 1 that is not made of name"),
        ('policy = "a"\n[[case]]\nname = "b"\nverdict = "denied"\nclaim = 1', "a case 1 that is not made of name"),
        ('policy = "a"\n[[case]]\nname = "b"', "a case 1 with the verdict None, expected one of permitted"),
        ('policy = "a"\n[[case]]\nname = "b"\nverdict = "deny"', "(did you mean denied?)"),
    ],
)
def test_what_holds_no_cases_is_refused(text: str, said: str) -> None:
    with pytest.raises(Malformed) as refused:
        cases.parse(text)
    assert refused.value.code == "DJ409"
    assert said in refused.value.message


@pytest.mark.parametrize("value", ["1.5", "2026-01-01", "[[1]]"])
def test_values_that_no_claim_has_are_refused(value: str) -> None:
    with pytest.raises(Malformed) as refused:
        cases.parse(CASES.replace("svn = 3", f"svn = {value}"))
    assert refused.value.code == "DJ408"
