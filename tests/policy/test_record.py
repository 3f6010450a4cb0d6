"""A decision as JSON, in short, for whoever has the policy: nothing that decided is left out."""

from donjon.policy.claims import claims
from donjon.policy.evaluation import evaluate
from donjon.policy.parsing import parse
from donjon.policy.record import MAX_VALUE, brief

POLICY = parse(
    'version=1.2;authorizationrules{[type=="a", value==2] && ![type=="gone"] => permit();};'
    'issuancerules{c:[type=="a"] => issue(type="seen", value=c.value); [type=="b"] => issue(type="no", value=1);};'
)


def test_several_claims_of_one_type_stand_in_a_list_and_long_values_are_cut() -> None:
    told = brief(evaluate(POLICY, claims({"a": [1, 2, 3], "long": "x" * 1000})))
    assert told == [
        {"rule": "authorizationrules 1", "outcome": "fired", "on": [{"a": 2}, {}], "made": {}},
        {"rule": "issuancerules 1", "outcome": "fired", "on": [{"a": [1, 2, 3]}], "made": {"seen": [1, 2, 3]}},
        {"rule": "issuancerules 2", "outcome": "did not fire", "on": [{}], "made": {}},
    ]
    long = parse('version=1.0;authorizationrules{[type=="long"] => permit();};issuancerules{};')
    assert str(brief(evaluate(long, claims({"long": "x" * 1000})))).count("x") == MAX_VALUE
