"""What policies decide: Microsoft's documentation example by example, its corner cases, and who may say what.

Outcomes are derived by hand from the pages named; "add" shows in the trace, "issue" in what the token would say.
"""

import pytest
from tests.policy.policies import CUSTOM, POLICY, SERVICE, authorization, claim, codes, decide, issuance, issued, made, vector

from donjon.policy.claims import Claim, Json
from donjon.policy.decision import Outcome, PolicyVerdict
from donjon.policy.evaluation import configuration
from donjon.policy.parsing import parse
from donjon.policy.syntax import Scalar

PERMITTED, DENIED, NOT_PERMITTED, FAILED = PolicyVerdict

# Whole policies of the documentation.

MRSIGNER = "7c49d7eefea1b1a1d8c1a3f6b2e0"
SGX: dict[str, Json] = {
    "x-ms-sgx-is-debuggable": False,
    "x-ms-sgx-product-id": 1,
    "x-ms-sgx-svn": 3,
    "x-ms-sgx-mrsigner": MRSIGNER,
    "x-ms-sgx-mrenclave": "ab12",
    "x-ms-attestation-type": "sgx",
}
TPM: dict[str, Json] = {
    "aikValidated": True,
    "secureBootEnabled": True,
    "bootDebuggingDisabled": True,
    "notSafeMode": True,
    "vbsEnabled": True,
    "notWinPE": True,
}
VBS: dict[str, Json] = {
    "vsmReportPresent": True,
    "enclaveAuthorId": "A" * 43,
    "enclaveImageId": "AQEAAAAAAAAAAAAAAAAAAA",
    "enclaveSvn": 0,
}
DEFAULT = [
    ("is-debuggable", False),
    ("sgx-mrsigner", MRSIGNER),
    ("sgx-mrenclave", "ab12"),
    ("product-id", 1),
    ("svn", 3),
    ("tee", "sgx"),
]


@pytest.mark.parametrize(
    ("name", "stated", "verdict", "says"),
    [
        ("recordings/permit-all", {}, PERMITTED, []),
        ("recordings/default", SGX, PERMITTED, DEFAULT),
        ("docs/policy-examples-2", SGX, PERMITTED, DEFAULT),
        # The default takes a debug enclave, and says so; a claim that is not there is not issued.
        ("docs/policy-examples-2", {"x-ms-sgx-is-debuggable": True}, PERMITTED, [("is-debuggable", True)]),
        ("docs/policy-examples-2", {}, PERMITTED, []),
        # Two signers, debug enclaves only, as the page has it.
        ("docs/policy-examples-3", {"x-ms-sgx-is-debuggable": True, "x-ms-sgx-mrsigner": "mrsigner2"}, PERMITTED, []),
        ("docs/policy-examples-3", {"x-ms-sgx-is-debuggable": True, "x-ms-sgx-mrsigner": "mrsigner3"}, NOT_PERMITTED, []),
        ("docs/policy-examples-3", {"x-ms-sgx-is-debuggable": False, "x-ms-sgx-mrsigner": "mrsigner1"}, NOT_PERMITTED, []),
        # The signed sample denies debug enclaves by two conditions that need not find the same claim.
        ("docs/policy-examples-5", {"$is-debuggable": True}, DENIED, []),
        ("docs/policy-examples-5", {"$is-debuggable": False, "other": True}, DENIED, []),
        ("docs/policy-examples-5", {"$is-debuggable": False}, PERMITTED, [("NotDebuggable", False), ("is-debuggable", False)]),
        # Rotation of the signer's key: before, during, after.
        *(
            (f"docs/claim-sets-{step}", {"x-ms-sgx-is-debuggable": False, "x-ms-sgx-mrsigner": signer}, verdict, [])
            for step, signer, verdict in (
                (1, "mrsigner1", PERMITTED),
                (1, "mrsigner2", NOT_PERMITTED),
                (2, "mrsigner1", PERMITTED),
                (2, "mrsigner2", PERMITTED),
                (3, "mrsigner1", NOT_PERMITTED),
                (3, "mrsigner2", PERMITTED),
            )
        ),
        ("docs/claim-sets-3", {"x-ms-sgx-is-debuggable": True, "x-ms-sgx-mrsigner": "mrsigner2"}, NOT_PERMITTED, []),
        # Authoring, step by step.
        (
            "docs/author-sign-policy-1",
            {"secureBootEnabled": False, "notSafeMode": 1},
            PERMITTED,
            [("secureBootEnabled", False), ("notSafeMode", 1)],
        ),
        ("docs/author-sign-policy-1", {"notSafeMode": True}, NOT_PERMITTED, []),
        ("docs/author-sign-policy-2", {"secureBootEnabled": True}, DENIED, []),
        ("docs/author-sign-policy-3", {"secureBootEnabled": True}, PERMITTED, []),
        ("docs/author-sign-policy-3", {"secureBootEnabled": "true"}, NOT_PERMITTED, []),
        ("docs/author-sign-policy-3", [{"type": "secureBootEnabled", "value": True, "issuer": "CustomClaim"}], NOT_PERMITTED, []),
        ("docs/author-sign-policy-4", {"secureBootEnabled": True}, PERMITTED, [("SecurityLevelValue", 100)]),
        ("samples/add-custom-claim", {"secureBootEnabled": True}, PERMITTED, [("SecurityLevelValue", 100)]),
        ("samples/deny-all", {"secureBootEnabled": True}, DENIED, []),
        ("samples/permit-secure-boot", {"secureBootEnabled": True}, PERMITTED, []),
        ("samples/permit-secure-boot", {"secureBootEnabled": False}, NOT_PERMITTED, []),
        # TPM, 1.0 and 1.1.
        ("docs/policy-version-1-0-1", TPM, PERMITTED, [("PlatformAttested", True)]),
        ("docs/policy-version-1-0-1", TPM | {"notSafeMode": False}, PERMITTED, []),
        ("docs/policy-version-1-1-1", TPM, PERMITTED, [("PlatformAttested", True)]),
        ("docs/policy-version-1-1-1", TPM | {"aikValidated": False}, PERMITTED, [("PlatformAttested", False)]),
        ("docs/tpm-attestation-sample-policies-1", TPM, PERMITTED, [("PlatformAttested", True)]),
        ("docs/tpm-attestation-sample-policies-1", TPM | {"notWinPE": "true"}, PERMITTED, []),
        # VBS: an integer may be exactly the bound; a text is no integer.
        ("docs/tpm-attestation-sample-policies-5", VBS, PERMITTED, []),
        ("docs/tpm-attestation-sample-policies-5", VBS | {"enclaveSvn": -1}, NOT_PERMITTED, []),
        ("docs/tpm-attestation-sample-policies-5", VBS | {"enclaveSvn": "7"}, NOT_PERMITTED, []),
        ("docs/tpm-attestation-sample-policies-5", VBS | {"vsmReportPresent": 1}, NOT_PERMITTED, []),
    ],
)
def test_a_published_policy_decides_as_its_page_says(
    name: str, stated: Json, verdict: PolicyVerdict, says: list[tuple[str, Scalar]]
) -> None:
    decision = decide(vector(name), stated)
    assert (decision.verdict, issued(decision)) == (verdict, says)
    assert [type(each.value) for each in decision.issued] == [type(value) for _, value in says]


def test_the_default_policy_asks_for_azures_default_baseline() -> None:
    decision = decide(vector("docs/policy-examples-2"), SGX)
    assert decision.properties == (claim("x-ms-sgx-tcbidentifier", "azuredefault", POLICY),)
    assert configuration(parse(vector("docs/policy-examples-2"))) == decision.properties


def test_an_issued_claim_is_the_policys_own_and_of_its_values_type() -> None:
    # "The outgoing claim set contains a claim with: [type="SecurityLevelValue", value=100, valueType="Integer",
    # issuer="AttestationPolicy"]" ("How to author an attestation policy").
    (found,) = decide(vector("docs/author-sign-policy-4"), {"secureBootEnabled": True}).issued
    assert found == claim("SecurityLevelValue", 100, POLICY)


def test_configuration_needs_no_claims() -> None:
    found = configuration(parse(vector("docs/policy-version-1-1-1")))
    assert [(each.type, each.value) for each in found] == [("required_pcr_mask", 15), ("require_valid_aik_cert", False)]


# Deciding.


@pytest.mark.parametrize(
    ("rules", "verdict", "reasons"),
    [
        ((), NOT_PERMITTED, ["DJ411"]),
        (("=> permit();",), PERMITTED, []),
        (("=> permit();", "=> deny();"), DENIED, ["DJ410"]),
        (("=> deny();", "=> permit();"), DENIED, ["DJ410"]),
        (("=> deny();", '[type=="a"] => deny();', '[type=="b"] => deny();'), DENIED, ["DJ410", "DJ410"]),
        (('[type=="b"] => permit();', '[type=="c"] => permit();'), NOT_PERMITTED, ["DJ411", "DJ411"]),
        (('[type=="b"] => permit();', '[type=="a"] => permit();'), PERMITTED, []),
        (('=> add(type="b", value=NegateBool("x"));', "=> permit();"), FAILED, ["DJ412"]),
        (("=> permit();", '=> add(type="b", value=NegateBool("x"));'), FAILED, ["DJ412"]),
        (("=> deny();", '=> add(type="b", value=NegateBool("x"));'), DENIED, ["DJ410"]),
    ],
)
def test_nothing_is_permitted_but_by_permit_and_one_deny_is_enough(
    rules: tuple[str, ...], verdict: PolicyVerdict, reasons: list[str]
) -> None:
    decision = decide(authorization(*rules), {"a": 1})
    assert (decision.verdict, codes(decision)) == (verdict, reasons)


def test_a_policy_without_authorizationrules_permits_nothing() -> None:
    decision = decide('version=1.0; issuancerules { => issue(type="a", value=1); };')
    assert (decision.verdict, issued(decision)) == (NOT_PERMITTED, [])
    assert decision.trace[0].outcome is Outcome.NOT_REACHED


def test_issuancerules_are_not_reached_after_a_no() -> None:
    policy = authorization('[type=="a"] => permit();') + ' issuancerules { => issue(type="b", value=1); };'
    assert issued(decide(policy, {"a": 1})) == [("b", 1)]
    refused = decide(policy)
    assert [entry.outcome for entry in refused.trace] == [Outcome.DID_NOT_FIRE, Outcome.NOT_REACHED]
    assert issued(refused) == []
    denied = decide(policy.replace("=> permit();", "=> permit(); => deny();"), {"a": 1})
    assert [entry.outcome for entry in denied.trace] == [Outcome.FIRED, Outcome.FIRED, Outcome.NOT_REACHED]


# Conditions: each case says whether `=> permit()` fires.

FIVE = claim("n", 5)


@pytest.mark.parametrize(
    ("condition", "found", "fires"),
    [
        # Types: what differs in type is neither equal nor different nor ordered.
        ("[value==5]", [FIVE], True),
        ('[value=="5"]', [FIVE], False),
        ('[value!="5"]', [FIVE], False),
        ("[value!=4]", [FIVE], True),
        ("[value!=5]", [FIVE], False),
        ("[value==true]", [claim("n", 1)], False),
        ("[value==1]", [claim("n", value=True)], False),
        ("[value!=true]", [claim("n", 1)], False),
        ("[value!=true]", [claim("n", value=False)], True),
        ("[value>=1]", [claim("n", value=True)], False),
        ("[value>=0]", [claim("n", "5")], False),
        ("[value>=5]", [FIVE], True),
        ("[value>5]", [FIVE], False),
        ("[value<=5]", [FIVE], True),
        ("[value<5]", [FIVE], False),
        ("[value<6]", [FIVE], True),
        ("[value>-6]", [claim("n", -5)], True),
        ('[value=="Abc"]', [claim("n", "abc")], False),
        # Properties.
        ('[valueType=="Integer"]', [FIVE], True),
        ('[valueType=="Boolean"]', [claim("n", value=True)], True),
        ('[valueType=="String"]', [claim("n", "5")], True),
        ('[valueType!="String"]', [claim("n", "5")], False),
        ('[issuer=="AttestationService"]', [FIVE], True),
        ('[issuer=="CustomClaim"]', [claim("n", 5, CUSTOM)], True),
        ('[issuer!="CustomClaim"]', [claim("n", 5, CUSTOM)], False),
        ("[type==5]", [FIVE], False),
        # One claim must hold all comparisons; one of several is enough.
        ('[type=="n", value==5]', [claim("n", 4), claim("m", 5)], False),
        ('[type=="n", value==5]', [claim("n", 4), claim("n", 5)], True),
        ('[type=="n"] && [value==5]', [claim("n", 4), claim("m", 5)], True),
        ("[]", [FIVE], True),
        ("[]", [], False),
        # Absence.
        ('![type=="n"]', [FIVE], False),
        ('![type=="m"]', [FIVE], True),
        ('![type=="n", value==4]', [FIVE], True),
        ("![]", [], True),
        ('![type=="n"] && [type=="m"]', [claim("m", 1)], True),
        # Names in later conditions: the same combination of claims must hold all.
        ('a:[type=="a"] && [type=="b", value==a.value]', [claim("a", 1), claim("b", 2), claim("a", 2)], True),
        ('a:[type=="a"] && [type=="b", value==a.value]', [claim("a", 1), claim("b", 2), claim("a", 3)], False),
        ('a:[type=="a"] && [type=="b", value==a.value]', [claim("a", "1"), claim("b", 1)], False),
        (
            'a:[type=="a"] && b:[type=="b", value>a.value] && [type=="c", value==b.value]',
            [claim("a", 2), claim("b", 1), claim("b", 3), claim("c", 1)],
            False,
        ),
        (
            'a:[type=="a"] && b:[type=="b", value>a.value] && [type=="c", value==b.value]',
            [claim("a", 2), claim("b", 1), claim("b", 3), claim("c", 3)],
            True,
        ),
        ('a:[type=="a"] && ![type=="b", value==a.value]', [claim("a", 1), claim("a", 2), claim("b", 1)], True),
        ('a:[type=="a"] && ![type=="b", value==a.value]', [claim("a", 1), claim("b", 1)], False),
        ('a:[value=="b"] && [type==a.value]', [claim("a", "b"), claim("b", 1)], True),
        # Functions in conditions; a set that has not one member compares with nothing.
        ('[type=="n", value==JsonToClaimValue("5")]', [FIVE], True),
        ('[type=="n", value==JsonToClaimValue("[5, 6]")]', [FIVE], False),
        ('[type=="n", value!=JsonToClaimValue("null")]', [FIVE], False),
        ('a:[type=="a"] && [value==ContainsOnlyValue(a.value, 1)]', [claim("a", 1), claim("a", 1), claim("t", value=True)], True),
        (
            'a:[type=="a"] && [value==ContainsOnlyValue(a.value, 1)]',
            [claim("a", 1), claim("a", 2), claim("t", value=True)],
            False,
        ),
    ],
)
def test_a_condition_holds(condition: str, found: list[Claim], *, fires: bool) -> None:
    assert decide(authorization(f"{condition} => permit();"), tuple(found)).permitted is fires


def test_an_expression_is_only_computed_for_claims_that_come_so_far() -> None:
    policy = authorization('[type=="n", value==NegateBool("no truth")] => permit();')
    assert decide(policy, {"m": 1}).verdict is NOT_PERMITTED
    assert decide(policy, {"n": 1}).verdict is FAILED


# Making claims.

OS_NAME = """
F1:[type=="OSName" , issuer=="CustomClaim"] &&
C2:[type=="OSName" , issuer=="AttestationService", value== F1.value ]
=> issue(claim = C2);
"""


@pytest.mark.parametrize(
    ("rules", "found", "says"),
    [
        # Once for each claim found, once for each combination that the action looks at, never twice for the same.
        (('c:[type=="a"] => issue(type="x", value=c.value);',), [claim("a", 1), claim("a", 2)], [("x", 1), ("x", 2)]),
        (('[type=="a"] => issue(type="x", value=1);',), [claim("a", 1), claim("a", 2)], [("x", 1)]),
        (
            ('c:[type=="a"] && d:[type=="b"] => issue(type=d.value, value=c.value);',),
            [claim("a", 1), claim("b", "x"), claim("b", "y")],
            [("x", 1), ("y", 1)],
        ),
        (
            ('c:[type=="a"] && d:[type=="b"] => issue(type="x", value=c.value);',),
            [claim("a", 1), claim("b", "x"), claim("b", "y")],
            [("x", 1)],
        ),
        # "issue(claim = C2)" of "Claim rule grammar": the claim as it is, its issuer too.
        (
            (OS_NAME,),
            [claim("OSName", "linux", CUSTOM), claim("OSName", "linux"), claim("OSName", "windows")],
            [("OSName", "linux")],
        ),
        (
            (OS_NAME,),
            [claim("OSName", "linux", CUSTOM), claim("OSName", "linux", CUSTOM), claim("OSName", "linux")],
            [("OSName", "linux")],
        ),
        # A set is made of all claims found, whichever claims of other names they were found with.
        (
            ('a:[type=="a"] && b:[type=="b", value==a.value] => issue(type="x", value=ContainsOnlyValue(b.value, 1));',),
            [claim("a", 1), claim("a", 2), claim("b", 1), claim("b", 2), claim("b", 3)],
            [("x", False)],
        ),
        # What is issued or added is seen by later rules, by the rule itself not.
        (('=> issue(type="a", value=1);', 'c:[type=="a"] => issue(type="b", value=c.value);'), [], [("a", 1), ("b", 1)]),
        (('=> add(type="a", value=1);', 'c:[type=="a"] => issue(type="b", value=c.value);'), [], [("b", 1)]),
        (('c:[type=="b"] => issue(type="c", value=c.value);', '=> add(type="b", value=1);'), [], []),
        (('c:[type=="a"] => issue(type="a", value=c.value);',), [claim("a", 1)], [("a", 1)]),
        (('=> issueproperty(type="p", value=1);', 'c:[type=="p"] => issue(type="b", value=c.value);'), [], [("b", 1)]),
        # add(claim=) and issue(claim=) put no second claim among the incoming ones.
        (('c:[type=="a"] => add(claim=c);', 'c:[type=="a"] => issue(type="b", value=c.value);'), [claim("a", 1)], [("b", 1)]),
        (
            ('c:[type=="a"] => issue(claim=c);', 'c:[type=="a"] => issue(type="b", value=c.value);'),
            [claim("a", 1)],
            [("a", 1), ("b", 1)],
        ),
        # Stated types and issuers, as long as they are true.
        (('=> issue(type="a", value=1, valueType="Integer", issuer="AttestationPolicy");',), [], [("a", 1)]),
        (('c:[type=="a"] => issue(type=c.issuer, value=c.valueType);',), [claim("a", 1)], [("AttestationService", "Integer")]),
        # No value, no claim.
        (('=> issue(type="a", value=JsonToClaimValue("null"));', '=> issue(type="a", value=JsonToClaimValue("[]"));'), [], []),
    ],
)
def test_rules_make_claims(rules: tuple[str, ...], found: list[Claim], says: list[tuple[str, Scalar]]) -> None:
    decision = decide(issuance(*rules), tuple(found))
    assert decision.findings == ()
    assert issued(decision) == says


def test_a_claim_issued_whole_keeps_its_issuer() -> None:
    decision = decide(issuance('c:[type=="a"] => issue(claim=c);'), (claim("a", 1, CUSTOM),))
    assert decision.issued == (claim("a", 1, CUSTOM),)


def test_what_authorizationrules_add_is_seen_by_issuancerules_and_by_no_token() -> None:
    policy = authorization('=> add(type="a", value=1);', '=> issue(type="b", value=2);', "=> permit();")
    decision = decide(policy + ' issuancerules { c:[value>0] => issue(type="c", value=c.value); };')
    assert issued(decision) == [("c", 1), ("c", 2)]
    assert made(decision)[:2] == [("a", 1), ("b", 2)]


def test_properties_of_configurationrules_are_claims_for_the_rules_after_them() -> None:
    policy = 'version=1.1; configurationrules { => issueproperty(type="p", value="10"); };'
    decision = decide(policy + ' authorizationrules { [type=="p", value=="10", issuer=="AttestationPolicy"] => permit(); };')
    assert (decision.permitted, [(each.type, each.value) for each in decision.properties]) == (True, [("p", "10")])


@pytest.mark.parametrize(
    ("rule", "found", "code"),
    [
        # Read-only claims are looked at, and never issued, nor what comes of them.
        ('c:[type=="pcrs"] => issue(claim=c);', claim("pcrs", "{}", read_only=True), "DJ414"),
        ('c:[type=="pcrs"] => issue(type="x", value=c.value);', claim("pcrs", "{}", read_only=True), "DJ414"),
        ('c:[type=="pcrs"] => issueproperty(type="x", value=c.value);', claim("pcrs", "{}", read_only=True), "DJ414"),
        ('c:[type=="pcrs"] => issue(type="x", value=JmesPath(c.value, "a"));', claim("pcrs", "{}", read_only=True), "DJ414"),
        ('c:[type=="pcrs"] => issue(type="x", value=JmesPath("{}", c.value));', claim("pcrs", "a", read_only=True), "DJ414"),
        (
            'c:[type=="pcrs"] => issue(type="x", value=JsonToClaimValue(JmesPath(c.value, "`1`")));',
            claim("pcrs", "{}", read_only=True),
            "DJ414",
        ),
        ('c:[type=="pcrs"] => issue(type="x", value=AppendString("a", c.value));', claim("pcrs", "{}", read_only=True), "DJ414"),
        ('c:[type=="pcrs"] => issue(type="x", value=NegateBool(c.value));', claim("pcrs", value=True, read_only=True), "DJ414"),
        (
            'c:[type=="pcrs"] => issue(type="x", value=ContainsOnlyValue(c.value, "{}"));',
            claim("pcrs", "{}", read_only=True),
            None,
        ),
        ('c:[type=="pcrs"] => issue(type="x", value=IsSubsetOf(c.value, "{}"));', claim("pcrs", "{}", read_only=True), None),
        ('c:[type=="pcrs"] => issue(type="x", value=c.type);', claim("pcrs", "{}", read_only=True), None),
        ('c:[type=="pcrs"] => add(type="x", value=c.value);', claim("pcrs", "{}", read_only=True), None),
        # The token's own names: as the service says it, or not at all.
        ('c:[type=="x-ms-sgx-svn"] => issue(claim=c);', claim("x-ms-sgx-svn", 3), None),
        ('c:[type=="x-ms-sgx-svn"] => issue(claim=c);', claim("x-ms-sgx-svn", 9, CUSTOM), "DJ415"),
        ('c:[type=="iss"] => issue(claim=c);', claim("iss", "https://evil", CUSTOM), "DJ415"),
        ('c:[type=="name"] => issue(type=c.value, value=9);', claim("name", "x-ms-sgx-svn"), "DJ415"),
        ('c:[type=="name"] => issue(type=c.value, value=9);', claim("name", "exp"), "DJ415"),
        ('c:[type=="name"] => issue(type=c.value, value="mine");', claim("name", "nonce"), "DJ415"),
        ('c:[type=="name"] => issue(type=c.value, value="mine");', claim("name", "maa-ehd"), "DJ415"),
        ('c:[type=="name"] => issue(type=c.value, value="mine");', claim("name", "tdx_mrtd"), "DJ415"),
        ('c:[type=="name"] => issue(type=c.value, value="disabled");', claim("name", "dbgstat"), "DJ415"),
        ('c:[type=="name"] => issue(type=c.value, value=9);', claim("name", "svn"), None),
        ('=> issue(type=AppendString("x-ms-", "sgx-svn"), value=9);', claim("a", 1), "DJ415"),
        # A new claim needs a type that is one text, and says of itself what is true.
        ('c:[type=="a"] => issue(type=c.value, value=9);', claim("a", 1), "DJ412"),
        ('c:[type=="a"] => issue(type=c.value, value=9);', claim("a", ""), "DJ412"),
        ('=> issue(type=JsonToClaimValue("[\\"a\\", \\"b\\"]"), value=9);', claim("a", 1), "DJ412"),
        ('=> issue(type="a", value=1, valueType="String");', claim("a", 1), "DJ412"),
        ('=> issue(type="a", value=1, issuer="AttestationService");', claim("a", 1), "DJ412"),
    ],
)
def test_what_a_policy_may_not_put_into_a_token(rule: str, found: Claim, code: str | None) -> None:
    decision = decide(issuance(rule), (found,))
    assert codes(decision) == ([] if code is None else [code])
    assert decision.verdict is (PERMITTED if code is None else FAILED)
    assert code is None or decision.issued == ()


def test_read_only_stays_with_what_was_added_from_it() -> None:
    rules = ('c:[type=="pcrs"] => add(type="copy", value=c.value);', 'c:[type=="copy"] => issue(type="x", value=c.value);')
    assert codes(decide(issuance(*rules), (claim("pcrs", "{}", read_only=True),))) == ["DJ414"]


def test_the_published_pcr_rule_issues_the_match_and_not_the_pcrs() -> None:
    # "PCRS are only read-only and thus cannot be used with issue operation" ("Policy version 1.2").
    query = 'PCRs[? Index == `0`].Digests.SHA1 | @[0] == `\\"KCk6Ow\\"`'
    rule = (
        'c:[type == "pcrs", issuer==SERVICE] && c1:[type=="pcrMatchesExpectedValue", '
        f'value==JsonToClaimValue(JmesPath(c.value, "{query}"))] => issue(claim = c1);'
    ).replace("SERVICE", f'"{SERVICE}"')
    pcrs = claim("pcrs", '{"PCRs":[{"Index":0,"Digests":{"SHA1":"KCk6Ow"}}]}', read_only=True)
    other = claim("pcrs", '{"PCRs":[{"Index":0,"Digests":{"SHA1":"AAAAAA"}}]}', read_only=True)
    expected = (
        claim("pcrMatchesExpectedValue", value=True, issuer=POLICY),
        claim("pcrMatchesExpectedValue", value=False, issuer=POLICY),
    )
    assert issued(decide(issuance(rule), (pcrs, *expected))) == [("pcrMatchesExpectedValue", True)]
    assert issued(decide(issuance(rule), (other, *expected))) == [("pcrMatchesExpectedValue", False)]


def test_a_decision_tells_how_much_of_what_it_may_do_was_done() -> None:
    little = decide(vector("recordings/default"), SGX)
    much = decide(issuance('c:[type=="a"] => issue(type="b", value=AppendString(c.value, c.value));'), {"a": "x" * 100_000})
    assert 0 < little.effort < 0.01 < much.effort < 1
