"""The functions of version 1.2: every example of "Claim rule functions", what they do not take, and policies over evidence."""

import json

import pytest
from tests.policy.policies import claim, codes, decide, issuance, issued, made, text, vector

from donjon.policy.claims import Claim, Json
from donjon.policy.syntax import Scalar


@pytest.mark.parametrize(
    ("rules", "found", "adds"),
    [
        # JmesPath: JSON text comes out, so a text stands in its quotation marks.
        (['=> add(type="R", value=JmesPath("{\\"foo\\": \\"bar\\"}", "foo"));'], [], [("R", '"bar"')]),
        (
            ['c1:[type="J"] && c2:[type=="Q"] => add(type="R", value=JmesPath(c1.value, c2.value));'],
            [claim("J", '{"values": [0,1,2,3,4]}'), claim("Q", "values[2]")],
            [("R", "2")],
        ),
        # JsonToClaimValue: number, boolean, text, list, null.
        (['c:[type=="I"] => add(type="IR", value=JsonToClaimValue(c.value));'], [claim("I", "100")], [("IR", 100)]),
        (['c:[type=="B"] => add(type="BR", value=JsonToClaimValue(c.value));'], [claim("B", "true")], [("BR", True)]),
        (['c:[type=="S"] => add(type="SR", value=JsonToClaimValue(c.value));'], [claim("S", '"abc"')], [("SR", "abc")]),
        (
            ['c:[type=="J"] => add(type="R", value=JsonToClaimValue(c.value));'],
            [claim("J", '[0, "abc", true]')],
            [("R", 0), ("R", "abc"), ("R", True)],
        ),
        (['c:[type=="J"] => add(type="R", value=JsonToClaimValue(c.value));'], [claim("J", "[7, 7]")], [("R", 7), ("R", 7)]),
        (['c:[type=="J"] => add(type="R", value=JsonToClaimValue(c.value));'], [claim("J", "null")], []),
        (['c:[type=="J"] => add(type="R", value=JsonToClaimValue(c.value));'], [claim("J", "[null, 1]")], [("R", 1)]),
        (['c:[type=="J"] => add(type="R", value=JsonToClaimValue(c.value));'], [claim("J", "2.0")], [("R", 2)]),
        # IsSubsetOf: one answer for the two sets, types told apart.
        (
            ['c1:[type == "Sub"] && c2:[type=="Sup"] => add(type="R", value=IsSubsetOf(c1.value, c2.value));'],
            [claim("Sub", "abc"), claim("Sub", 100), claim("Sup", value=True), claim("Sup", "abc"), claim("Sup", 100)],
            [("R", True)],
        ),
        (
            ['c1:[type == "Sub"] && c2:[type=="Sup"] => add(type="R", value=IsSubsetOf(c2.value, c1.value));'],
            [claim("Sub", "abc"), claim("Sub", 100), claim("Sup", value=True), claim("Sup", "abc"), claim("Sup", 100)],
            [("R", False)],
        ),
        (['=> add(type="R", value=IsSubsetOf(JsonToClaimValue("[1, 1]"), JsonToClaimValue("[2, 1]")));'], [], [("R", True)]),
        (['=> add(type="R", value=IsSubsetOf(JsonToClaimValue("[1, 2]"), JsonToClaimValue("[2, 1, 1]")));'], [], [("R", True)]),
        (['=> add(type="R", value=IsSubsetOf(JsonToClaimValue("[]"), 1));'], [], [("R", True)]),
        (['=> add(type="R", value=IsSubsetOf(1, true));'], [], [("R", False)]),
        (['=> add(type="R", value=IsSubsetOf(1, "1"));'], [], [("R", False)]),
        # AppendString.
        (
            ['c:[type=="A"] && c2:[type=="B"] => add(type="R", value=AppendString(c.value, c2.value));'],
            [claim("A", "abc"), claim("B", "xyz")],
            [("R", "abcxyz")],
        ),
        (['=> add(type="R", value=AppendString("", ""));'], [], [("R", "")]),
        # NegateBool.
        (['c:[type=="Input"] => add(type="R", value=NegateBool(c.value));'], [claim("Input", value=True)], [("R", False)]),
        # ContainsOnlyValue: a set that is not empty, and all of it that value.
        (
            ['c:[type=="Set"] => add(type="R", value=ContainsOnlyValue(c.value, 100));'],
            [claim("Set", 100), claim("Set", 101)],
            [("R", False)],
        ),
        (
            ['c:[type=="Set"] => add(type="R", value=ContainsOnlyValue(c.value, 100));'],
            [claim("Set", 100), claim("Set", 100)],
            [("R", True)],
        ),
        (['=> add(type="R", value=ContainsOnlyValue(JsonToClaimValue("[]"), 1));'], [], [("R", False)]),
        (['=> add(type="R", value=ContainsOnlyValue(1, true));'], [], [("R", False)]),
        # A name taken one claim at a time beside a set of all its claims.
        (
            ['c:[type=="S"] => add(type=c.value, value=ContainsOnlyValue(c.value, "a"));'],
            [claim("S", "a"), claim("S", "b")],
            [("a", True), ("b", False)],
        ),
        # Absence.
        (
            ['![type=="Claim3"] => add(type="Claim3", value=300);'],
            [claim("Claim1", 100), claim("Claim2", 200)],
            [("Claim3", 300)],
        ),
        (['![type=="Claim1"] => add(type="Claim3", value=300);'], [claim("Claim1", 100), claim("Claim2", 200)], []),
    ],
)
def test_an_example_adds_what_its_page_says(rules: list[str], found: list[Claim], adds: list[tuple[str, Scalar]]) -> None:
    decision = decide(issuance(*rules), tuple(found))
    assert decision.findings == ()
    assert made(decision) == adds
    assert [type(value) for _, value in made(decision)] == [type(value) for _, value in adds]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ('JmesPath("", "a")', "'' is no JSON"),
        ('JmesPath("{", "a")', "'{' is no JSON"),
        ('JmesPath("{}", "")', "has no answer"),
        ('JmesPath("{}", "a[")', "the query a[ has no answer"),
        ('JmesPath("{}", "nothing(@)")', "Unknown function: nothing()"),
        ('JmesPath("{}", "length(a)")', "In function length()"),
        ('JmesPath(5, "a")', "JmesPath() of a Integer, it takes a String"),
        ('JmesPath("{}", true)', "JmesPath() of a Boolean, it takes a String"),
        ('JmesPath("NaN", "@")', "NaN is no number"),
        ('JmesPath("[1]", "to_number(\'1e999\')")', "Out of range"),
        ('JmesPath("[1]", "to_string([&a])")', "not JSON serializable"),
        ('JmesPath("\\"\\\\ud800\\"", "@")', "half a surrogate pair"),
        ('JsonToClaimValue("abc")', "'abc' is no JSON"),
        ('JsonToClaimValue("1.5")', "of the fraction 1.5"),
        ('JsonToClaimValue("{}")', "of an object"),
        ('JsonToClaimValue("[[1]]")', "of a list within a list"),
        ('JsonToClaimValue("[{}]")', "of an object"),
        ('JsonToClaimValue("9223372036854775808")', "a number beyond 64 bits"),
        ("JsonToClaimValue(1)", "it takes a String"),
        ('JsonToClaimValue(JsonToClaimValue("[]"))', "of 0 values, it takes one"),
        ('AppendString("a", 1)', "AppendString() of a Integer"),
        ('AppendString(JsonToClaimValue("[\\"a\\", \\"b\\"]"), "c")', "of 2 values, it takes one"),
        ('NegateBool("true")', "NegateBool() of a String, it takes a Boolean"),
        ("NegateBool(0)", "NegateBool() of a Integer"),
        ('ContainsOnlyValue(1, JsonToClaimValue("[1, 2]"))', "of 2 values, it takes one"),
    ],
)
def test_what_a_function_does_not_take_ends_the_evaluation_with_a_reason(call: str, said: str) -> None:
    decision = decide(issuance(f'=> issue(type="a", value={call});'))
    assert codes(decision) == ["DJ412"]
    assert said in decision.findings[0].observation
    assert issued(decision) == []


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("equals_ignore_case('WdBoot.SYS', 'wdboot.sys')", "true"),
        ("equals_ignore_case('a', 'b')", "false"),
        ("join('-', ['a', 'b'])", '"a-b"'),
        ("to_string(a)", '"[1,2,{\\"b\\":null}]"'),
        ("a[-1]", '{"b":null}'),
        ("a[::-1]", '[{"b":null},2,1]'),
        ("nothing", "null"),
        ("a[0] == `1` && a[1]", "2"),
        ("name", '"Zürich"'),
        ("`foo`", '"foo"'),
        ("sort_by([{n: `2`}, {n: `1`}], &n)[0].n", "1"),
    ],
)
def test_a_query_answers_json_text(query: str, answer: str) -> None:
    stated: Json = {"data": text({"a": [1, 2, {"b": None}], "name": "Zürich"}), "query": query}
    decision = decide(
        issuance('d:[type=="data"] && q:[type=="query"] => issue(type="x", value=JmesPath(d.value, q.value));'), stated
    )
    assert issued(decision) == [("x", answer)]


# Published policies of version 1.2, over evidence made by hand.


def boot(*tags: dict[str, Json], secure: str | None = "AQ", pcr: int = 12) -> str:
    variable: Json = {
        "EventTypeString": "EV_EFI_VARIABLE_DRIVER_CONFIG",
        "ProcessedData": {
            "VariableGuid": "8BE4DF61-93CA-11D2-AA0D-00E098032B8C",
            "UnicodeName": "SecureBoot",
            "VariableData": secure,
        },
    }
    events: list[Json] = [] if secure is None else [variable]
    events += [
        {"EventTypeString": "EV_EVENT_TAG", "PcrIndex": pcr, "ProcessedData": {"EVENT_TRUSTBOUNDARY": tag}} for tag in tags
    ]
    return json.dumps({"Events": events})


DRIVER = "\\windows\\system32\\drivers\\WdBoot.sys"
NOTHING_ELSE = {"SecureBootEnabled": False, "CodeIntegrityEnabled": False, "BitlockerStatus": False}


@pytest.mark.parametrize(
    ("events", "says"),
    [
        (boot(), {**NOTHING_ELSE, "SecureBootEnabled": True}),
        (boot(secure="AA"), NOTHING_ELSE),
        (boot(secure=None), NOTHING_ELSE),
        (boot({"EVENT_CODEINTEGRITY": True}, secure=None), {**NOTHING_ELSE, "CodeIntegrityEnabled": True}),
        (boot({"EVENT_CODEINTEGRITY": True}, {"EVENT_CODEINTEGRITY": False}, secure=None), NOTHING_ELSE),
        (boot({"EVENT_CODEINTEGRITY": True}, secure=None, pcr=11), NOTHING_ELSE),
        (boot({"EVENT_BITLOCKER_UNLOCK": {"Value": 4}}, secure=None), {**NOTHING_ELSE, "BitlockerStatus": True}),
        (boot({"EVENT_BITLOCKER_UNLOCK": {"Value": 0}}, secure=None), NOTHING_ELSE),
    ],
)
def test_the_published_boot_policy_reads_the_events(events: str, says: dict[str, Scalar]) -> None:
    decision = decide(vector("docs/tpm-attestation-sample-policies-2"), {"events": events})
    assert decision.findings == ()
    found = dict(issued(decision))
    assert {name: found[name] for name in says} == says


def test_the_published_boot_policy_finds_defenders_driver_whatever_its_capitals() -> None:
    loaded: dict[str, Json] = {"EVENT_LOADEDMODULE_AGGREGATION": [{"EVENT_IMAGEVALIDATED": True, "EVENT_FILEPATH": DRIVER}]}
    found = decide(vector("docs/tpm-attestation-sample-policies-2"), {"events": boot(loaded)})
    assert dict(issued(found))["ELAMDriverLoaded"] is True


GOLDEN = (
    "4c833b1c361fceffd8dc0f81eec76081b71e1a0eb2193caed0b6e1c7735ec33e",
    "8c25e3be6ad6f5bd33c9ae40d5d5461e88c1a7366df0c9ee5c7e5ff40d3d1d0e",
    "3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969",
    "3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969",
)


@pytest.mark.parametrize(("changed", "permitted"), [(None, True), (0, False), (3, False)])
def test_the_published_pcr_policy_permits_known_measurements_alone(changed: int | None, *, permitted: bool) -> None:
    digests = [digest if index != changed else "00" * 32 for index, digest in enumerate(GOLDEN)]
    pcrs = text({"PCRs": [{"Index": index, "Digests": {"SHA256": digest}} for index, digest in enumerate(digests)]})
    decision = decide(vector("docs/tpm-attestation-sample-policies-3"), (claim("pcrs", pcrs, read_only=True),))
    assert decision.permitted is permitted
    assert codes(decision) == ([] if permitted else ["DJ411"])


def guard(*, valid: bool = True, twice: bool = False, level: int = 32) -> str:
    state: Json = {
        "EventTypeString": "EV_EVENT_TAG",
        "PcrIndex": 20,
        "EventSeq": 50,
        "ProcessedData": {"EVENT_TRUSTBOUNDARY": {"EVENT_DRTM_STATE_AUTH": {"SignatureValid": valid}}},
    }
    smm: Json = {
        "EventTypeString": "EV_EVENT_TAG",
        "PcrIndex": 20,
        "EventSeq": 40,
        "ProcessedData": {"EVENT_DRTM_SMM": {"Value": level}},
    }
    return text({"Events": [smm, state, *([state] if twice else [])]})


@pytest.mark.parametrize(
    ("events", "says"),
    [
        (guard(), [("drtmMleValid", True), ("smmLevel", 32)]),
        (guard(level=10), [("drtmMleValid", True), ("smmLevel", 10)]),
        (guard(valid=False), [("drtmMleValid", False)]),
        (guard(twice=True), [("drtmMleValid", False)]),
        (text({"Events": []}), [("drtmMleValid", False)]),
    ],
)
def test_the_published_system_guard_policy_builds_its_query(events: str, says: list[tuple[str, Scalar]]) -> None:
    decision = decide(vector("docs/tpm-attestation-sample-policies-4"), {"events": events})
    assert (decision.findings, issued(decision)) == ((), says)


@pytest.mark.parametrize(("kind", "attributes", "permitted"), [("RSA", 50, True), ("RSA", 51, False), ("EC", 50, True)])
def test_the_published_key_policy_permits_by_the_keys_attributes(kind: str, attributes: int, *, permitted: bool) -> None:
    key = text({"jwk": {"kty": kind}, "info": {"tpm_certify": {"obj_attr": attributes}}})
    decision = decide(vector("docs/tpm-attestation-sample-policies-10"), {"x-ms-tpm-request-key": key})
    assert decision.permitted is permitted
    assert ("requestKeyType", "RSA") not in issued(decision)  # authorizationrules say nothing in a token
