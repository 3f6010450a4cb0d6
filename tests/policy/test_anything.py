"""Whatever comes in: a text is a policy or `Malformed`, an evaluation answers, and both within bounds."""

import string
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.policy.policies import codes, decide, issuance, vector
from tests.policy.strategies import claims_by_chance, policies, texts
from tests.policy.test_parsing import MISPRINTS, PUBLISHED

from donjon.adapters import clock
from donjon.errors import Malformed
from donjon.policy import cases
from donjon.policy.advice import advice
from donjon.policy.claims import MAX_CLAIMS, Claim, Issuer, Json, claims
from donjon.policy.decision import Outcome, PolicyVerdict
from donjon.policy.evaluation import evaluate
from donjon.policy.parsing import MAX_SIZE, parse
from donjon.policy.story import story
from donjon.policy.syntax import Policy

PIECES = (
    *(
        "version",
        "=",
        "1.0",
        "1.2",
        ";",
        "authorizationrules",
        "issuancerules",
        "configurationrules",
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
    ),
    *(
        "=>",
        "permit",
        "deny",
        "issue",
        "add",
        "claim",
        "type",
        "value",
        "==",
        "!=",
        ">=",
        "<",
        "&&",
        "!",
        ",",
        ".",
        ":",
        "c",
        "true",
    ),
    *('"a"', '"', "\\", "5", "-9", "JmesPath", "IsSubsetOf", " ", "\n", "\r", "// x\n", "\0", "é", "\ud800", "“"),
)
SECONDS = 5.0  # of the processor, for the slowest evaluation that the bounds allow, on a slow machine


def refusal(work: Callable[[], object]) -> str | None:
    """The code of the `Malformed` that comes out, if any does."""
    try:
        work()
    except Malformed as error:
        return error.code
    return None


POLICY_CODES = {None, "DJ400", "DJ401", "DJ402", "DJ403", "DJ404", "DJ405", "DJ406", "DJ407"}


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join) | st.text())
def test_any_text_is_a_policy_or_malformed(text: str) -> None:
    assert refusal(lambda: parse(text)) in POLICY_CODES


@given(st.data())
def test_a_policy_with_a_piece_changed_is_a_policy_or_malformed(data: st.DataObject) -> None:
    text = vector(data.draw(st.sampled_from([name for name in PUBLISHED if name not in MISPRINTS])))
    start = data.draw(st.integers(0, len(text)))
    end = start + data.draw(st.integers(0, 5))
    changed = text[:start] + data.draw(st.sampled_from(("", *PIECES))) + text[end:]
    assert refusal(lambda: parse(changed)) in POLICY_CODES


@settings(max_examples=300)
@given(policies(), claims_by_chance)
def test_any_policy_answers_for_any_claims(policy: Policy, found: tuple[Claim, ...]) -> None:
    decision = evaluate(policy, found)
    assert decision.permitted is not bool(decision.findings)
    assert len(decision.trace) == sum(len(section.rules) for section in policy.sections)
    assert decision.permitted or (decision.issued, decision.properties) == ((), ())
    assert all(claim.issuer is not Issuer.POLICY or not claim.type.startswith("x-ms-") for claim in decision.issued)
    assert not any(claim.read_only for claim in (*decision.issued, *decision.properties))
    assert decision == evaluate(policy, found)
    assert all(line.isprintable() for line in story(decision))
    assert all(finding.sentence().isprintable() for finding in (*decision.findings, *advice(policy)))


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(("type", "value", "issuer", "readOnly", "a")), inner)
    ),
    max_leaves=6,
)


@given(JSONS)
def test_any_json_states_claims_or_is_malformed(content: Json) -> None:
    assert refusal(lambda: claims(content)) in {None, "DJ408"}


MEAN_CASES = ("name=1", "claims={a=1.5}", "[[case.claims]]", "a=" + "[" * 3000, "name='a'\nverdict='denied'\nclaims=[1]")


@given(st.text(string.printable, max_size=60) | st.sampled_from([f"policy='a'\n[[case]]\n{each}" for each in MEAN_CASES]))
def test_any_text_is_cases_or_malformed(text: str) -> None:
    assert refusal(lambda: cases.parse(text)) in {None, "DJ408", "DJ409"}


# Policies that want to be slow or large.


def doubled(times: int) -> str:
    return "|".join(["[@,@]"] * times)


def queried(expression: str, content: str = "[1]") -> str:
    return issuance(f'=> add(type="x", value=JmesPath("{content}", "{expression}"));')


def with_data(content: str, rule: str) -> str:
    """A policy that adds a claim `d`, then runs the rule on it thirty times."""
    return issuance(f'=> add(type="d", value="{content}");', *[rule] * 30)


MANY: Json = {"a": list(range(MAX_CLAIMS))}
FEW: Json = {"a": [1, 2]}
LIST = "[" + ",".join(f'{{\\"a\\":{number}}}' for number in range(4000)) + "]"
NAMED = "".join(f"&& n{number}:[value==1]" for number in range(2400))
COMPARED = ", ".join(["value!=-1"] * 4000)
GREEDY: dict[str, tuple[str, Json]] = {
    "every claim with every claim": (issuance('a:[] && b:[] => issue(type="x", value=a.value);'), MANY),
    "every claim compared with every claim": (
        issuance(*['a:[type=="a"] && b:[type==a.type, value!=a.value] => add(type="x", value=b.value);'] * 200),
        MANY,
    ),
    "thousands of comparisons": (issuance(f'a:[type=="a", {COMPARED}] => issue(type="x", value=a.value);'), MANY),
    "thousands of conditions": (issuance(f'x:[value<99] {NAMED} => issue(type="x", value=x.value);'), MANY),
    "claims that double": (issuance(*['a:[type=="a"] => add(type="a", value=a.value);'] * 20), FEW),
    "sets against sets": (issuance(*['a:[] && b:[] => add(type="x", value=IsSubsetOf(a.value, b.value));'] * 600), MANY),
    "one claim too many": (issuance('=> add(type="x", value=1);'), MANY),
    "an answer that doubles": (queried(doubled(60)), {}),
    "a list that doubles": (queried("|".join(["[@,@][]"] * 60)), {}),
    "two answers that double, compared": (queried(f"[{{a:{doubled(40)},b:{doubled(40)}}}][?a==b]"), {}),
    "a text that doubles": (
        with_data("x" * 30000, 'c:[type=="d"] => add(type="d", value=AppendString(c.value, c.value));'),
        {},
    ),
    "a text joined with a long one": (queried(f"join('{'y' * 6000}', map(&to_string(@), @))", f"[{'1,' * 999}1]"), {}),
    "long texts, each compared with each": (
        issuance(
            f'=> add(type="d", value="{"é" * 20000}");',
            *['c:[type=="d"] => add(type="d", value=AppendString(c.value, ""));'] * 6,
            *['c:[type=="d"] && d:[type=="d", value==c.value] => add(type="x", value=IsSubsetOf(c.value, d.value));'] * 30,
        ),
        {},
    ),
    "queries over a long list": (
        with_data(LIST, 'c:[type=="d"] => add(type="y", value=JmesPath(c.value, "[?a==`1`]|[0].a"));'),
        {},
    ),
    "a query within a query": (queried("[" * 3000), {}),
    "a long query": (queried("a." * 5000 + "a"), {}),
    "lists within lists": (queried("@", "[" * 20000 + "]" * 20000), {}),
}


@pytest.mark.parametrize("name", GREEDY)
def test_a_greedy_policy_is_refused_soon(name: str) -> None:
    text, stated = GREEDY[name]
    assert len(text) <= MAX_SIZE
    policy, found = parse(text), claims(stated)
    began = clock.labour()
    decision = evaluate(policy, found)
    assert clock.labour() - began < SECONDS
    assert decision.verdict is PolicyVerdict.FAILED
    assert codes(decision) == ["DJ413"]


@pytest.mark.parametrize(
    ("name", "bound"),
    [
        ("one claim too many", "more than 1000 claims"),
        ("every claim compared with every claim", "more than 10000 combinations"),
        ("thousands of comparisons", "more work than one evaluation may do"),
        ("an answer that doubles", "more work than one evaluation may do"),
        ("a text that doubles", "a claim holds at most 262144"),
        ("a text joined with a long one", "join() of "),
        ("queries over a long list", "more work than one evaluation may do"),
        ("a query within a query", "a query nested deeper than 100"),
        ("a long query", "a query of 10001 characters"),
        ("lists within lists", "JSON nested deeper than 100"),
    ],
)
def test_each_bound_tells_its_name(name: str, bound: str) -> None:
    text, stated = GREEDY[name]
    assert bound in decide(text, stated).findings[0].observation


def test_the_longest_policy_is_read_soon() -> None:
    rule = f'c:[type=="{"a" * 40}", value==1] => issue(type="b", value=c.value);\n'
    text = issuance(rule * ((MAX_SIZE - 100) // len(rule)))
    began = clock.labour()
    parse(text)
    assert clock.labour() - began < SECONDS


def test_a_failure_ends_the_evaluation_and_what_comes_after_is_not_reached() -> None:
    decision = decide(
        issuance('=> issue(type="a", value=1);', '=> issue(type="b", value=NegateBool(1));', '=> issue(type="c", value=1);')
    )
    assert [entry.outcome for entry in decision.trace] == [Outcome.FIRED, Outcome.FIRED, Outcome.FAILED, Outcome.NOT_REACHED]
    assert (decision.verdict, decision.issued, codes(decision)) == (PolicyVerdict.FAILED, (), ["DJ412"])
