"""What a policy may cost whoever evaluates it: time, memory, and what it makes of little. Each policy wants too much."""

import json
import subprocess
import sys
from functools import cache
from itertools import count

import pytest
from tests.labour import least_labour
from tests.policy.policies import codes, decide, issuance
from tests.policy.test_anything import LIST

from donjon.policy.budget import MAX_SECONDS, WHOLE, Allowance
from donjon.policy.claims import Claim, Issuer, Json, claims, compact
from donjon.policy.decision import Decision, PolicyVerdict
from donjon.policy.evaluation import MAX_ISSUED, RULE, evaluate
from donjon.policy.parsing import MAX_PIECES, parse
from donjon.policy.reasons import MAX_FINDINGS
from donjon.policy.record import MAX_RECORD, brief, full
from donjon.policy.syntax import Policy

TIMES = 5  # as long as promised, at most: this machine may be slow, and others use it
GLANCE = Allowance(share=0.01)


def written(text: str) -> str:
    return json.dumps(text)


def many_expressions() -> str:
    """Nine hundred expressions of eight thousand characters, each different, none of which is computed."""
    first = written(json.dumps([f"p{number:03}" for number in range(30)]))
    second = written(json.dumps([f"||q{number:03}||z&&f(" for number in range(30)]))
    return issuance(
        f'=> add(type="x", value=JsonToClaimValue({first}));',
        f'=> add(type="y", value=JsonToClaimValue({second}));',
        f'=> add(type="z", value="{",".join("a" * 4000)})");',
        'x:[type=="x"] && y:[type=="y"] && z:[type=="z"] => '
        'add(type="r", value=JmesPath("{}", AppendString(x.value, AppendString(y.value, z.value))));',
    )


def reading(expression: str) -> str:
    """The same data is looked at again and again."""
    return issuance(*[f'd:[type=="d"] => add(type="r", value=JmesPath(d.value, "{expression}"));'] * 500)


EMPTY = "[" + ",".join(["[]"] * 21_000) + "]"
OBJECTS = "[" + ",".join(['{"":0}'] * 9_000) + "]"
NUMBERS = "[" + ",".join(["1"] * 30_000) + "]"
COSTLY: dict[str, tuple[str, Json]] = {
    "expressions that are read": (many_expressions(), {}),
    "empty lists": (reading("length(@)"), {"d": EMPTY}),
    "objects": (reading("[*].a"), {"d": OBJECTS}),
    "sorted numbers": (reading("sort(@)"), {"d": NUMBERS}),
    "numbers as texts": (reading("map(&to_string(@), @)"), {"d": NUMBERS}),
    "objects that are made": (reading("[*].{a: @, b: @}"), {"d": NUMBERS}),
    "numbers that are long": (reading("@"), {"d": "[" + ",".join(["9" * 4000] * 60) + "]"}),
    "names": (reading("@"), {"d": "{" + ",".join(f'"k{number}":1' for number in range(20_000)) + "}"}),
    "filters": (reading("[?a==`1`]"), {"d": LIST.replace("\\", "")}),
    "sets of sets": (
        issuance('a:[] && b:[] && c:[value!=a.value] => add(type="x", value=IsSubsetOf(b.value, b.value));'),
        {"a": list(range(99)), "b": list(range(700))},
    ),
}


@cache
def costly(name: str) -> tuple[Policy, tuple[Claim, ...]]:
    text, stated = COSTLY[name]
    return parse(text), claims(stated)


def evaluated(name: str, allowance: Allowance = WHOLE) -> tuple[Decision, float]:
    policy, found = costly(name)
    decisions: list[Decision] = []

    def work() -> None:
        decisions.append(evaluate(policy, found, allowance))

    seconds = least_labour(work, MAX_SECONDS * allowance.share)
    return decisions[-1], seconds


@pytest.mark.parametrize("name", COSTLY)
def test_a_costly_policy_is_refused_in_time_by_what_is_counted(name: str) -> None:
    decision, seconds = evaluated(name)
    assert (decision.verdict, decision.exhausted, codes(decision)) == (PolicyVerdict.FAILED, True, ["DJ413"])
    assert seconds < TIMES * MAX_SECONDS


@pytest.mark.parametrize("name", COSTLY)
def test_a_glance_is_short_whatever_it_falls_on(name: str) -> None:
    decision, seconds = evaluated(name, GLANCE)
    assert decision.exhausted
    assert seconds < TIMES * MAX_SECONDS * 0.05


def test_time_ends_an_evaluation_even_if_the_counting_does_not() -> None:
    ticks = count()
    slow = Allowance(seconds=lambda: next(ticks) * MAX_SECONDS)
    decision = evaluate(*costly("empty lists"), slow)
    assert (decision.verdict, decision.exhausted) == (PolicyVerdict.FAILED, True)
    assert "0.2 s" in decision.findings[0].observation


@pytest.mark.parametrize(("share", "exhausted"), [(1.0, False), (0.3, True)])
def test_who_has_a_share_has_that_share_of_the_time(share: float, *, exhausted: bool) -> None:
    """Two fifths of the whole time are over when the clock is looked at."""
    ticks = count()
    slow = Allowance(share=share, seconds=lambda: min(next(ticks), 1) * MAX_SECONDS * 0.4)
    decision = evaluate(
        parse(issuance(*['d:[type=="d"] => add(type="r", value=JmesPath(d.value, "length(@)"));'])),
        claims({"d": EMPTY}),
        slow,
    )
    assert decision.exhausted is exhausted
    assert decision.effort < 1.0 or exhausted


def test_the_published_default_is_within_a_glance() -> None:
    decision = evaluate(parse(issuance('c:[type=="a"] => issue(type="b", value=c.value);')), claims({"a": 1}), GLANCE)
    assert decision.permitted
    assert decision.effort < 0.1


_GROWTH = """
import resource
from tests.policy.test_costs import many_expressions
from donjon.policy.evaluation import evaluate
from donjon.policy.parsing import parse

evaluate(parse("version=1.0;authorizationrules{=> permit();};issuancerules{};"), ())
policy = parse(many_expressions())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(3):
    evaluate(policy, ())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_no_expression_of_a_policy_is_left_in_memory() -> None:
    """The most that it ever took, in KiB; a tree of such an expression has about a MiB."""
    told = subprocess.run([sys.executable, "-c", _GROWTH], check=True, capture_output=True, text=True).stdout
    assert int(told) < 16 << 10


# What comes of it.


def issued(value: str, times: int = 1) -> Decision:
    return decide(issuance(*['c:[type=="c"] => issue(type="x", value=c.value);'] * times), {"c": value})


@pytest.mark.parametrize(
    ("value", "times", "permitted"),
    [
        ("x" * 60_000, 1, True),
        ("x" * 60_000, 2, False),
        ("\u20ac" * 10_000, 1, True),
        ("\u20ac" * 11_000, 1, False),
        ('"' * 33_000, 1, False),
    ],
)
def test_what_a_policy_issues_is_bounded_as_the_token_writes_it(value: str, times: int, *, permitted: bool) -> None:
    decision = issued(value, times)
    assert decision.permitted is permitted
    assert codes(decision) == ([] if permitted else ["DJ454"])
    assert len(json.dumps([each.value for each in decision.issued])) <= MAX_ISSUED


def test_properties_count_as_well() -> None:
    properties = issuance(*['c:[type=="c"] => issueproperty(type="p", value=c.value);'] * 2)
    assert codes(decide(properties, {"c": "x" * 40_000})) == ["DJ454"]


def test_a_record_of_many_rules_says_how_many_it_leaves_out() -> None:
    stated: Json = {"a": ["x" * 300] * 10}
    refused = f"version=1.0;authorizationrules{{{'a:[] => add(claim=a);' * 1}{'[]=>deny();' * 2000}}};issuancerules{{}};"
    for decision in (decide(refused, stated), decide(issuance(*['[] => add(type="b", value=1);'] * 900), stated)):
        for record in (brief(decision), full(decision)):
            assert len(compact(record)) < MAX_RECORD + 100
            last = record[-1]
            assert isinstance(last, dict)
            assert last["more"] == len(decision.trace) - len(record) + 1


def test_a_record_of_one_rule_with_many_conditions_has_the_last_of_them() -> None:
    conditions = " && ".join(["[]"] * 400 + ['[type=="gone"]'])
    (entry,) = full(decide(f"version=1.0;authorizationrules{{{conditions} => permit();}};issuancerules{{}};", {"a": "x" * 500}))
    assert isinstance(entry, dict)
    assert isinstance(looks := entry["conditions"], list)
    assert isinstance(last := looks[-1], dict)
    assert (last["text"], last["holds"]) == ('[type=="gone"]', False)


def test_a_type_that_a_policy_makes_long_is_told_in_short() -> None:
    long = Claim(type="t" * 100_000, value=1, issuer=Issuer.SERVICE)
    text = 'version=1.0;authorizationrules{[value==1] && [type!="x", value==2] => permit();};issuancerules{};'
    decision = evaluate(parse(text), (long,))
    assert len(decision.findings[0].observation) < 1000
    assert len(compact(full(decision))) < 5000


def test_many_reasons_are_told_up_to_a_number_and_the_rest_is_counted() -> None:
    rules = "=>deny();" * ((MAX_PIECES - 20) // 5)
    decision = decide(f"version=1.0;authorizationrules{{{rules}}};", {})
    assert len(decision.findings) == MAX_FINDINGS
    assert f"{len(decision.trace) - MAX_FINDINGS} rules more" in decision.findings[-1].observation


def test_a_rule_costs_something_even_where_nothing_fits() -> None:
    decision = decide(issuance(*['[type=="q"] => add(type="a", value=1);'] * 1000), {})
    assert decision.effort > RULE * 1000 / 50_000
