"""One way to write each policy: formatting changes neither meaning nor comments, and formatting again changes nothing."""

import pytest
from hypothesis import given
from tests.policy.policies import vector
from tests.policy.strategies import policies
from tests.policy.test_parsing import MISPRINTS, PUBLISHED

from donjon.policy.parsing import parse
from donjon.policy.printing import policy_text
from donjon.policy.syntax import Policy

COMMENTED = """// who wrote this
version = 1.2; // the newest
// who may
authorizationrules { // begins
  [type=="a"] // the first
    && [type=="b"] => permit(); // yes
  // and nobody else
  => deny()  // no
  // the end of it
}; // behind

issuancerules{};
// last
"""


def test_comments_stay_with_what_they_are_about() -> None:
    assert policy_text(parse(COMMENTED)) == (
        "// who wrote this\n"
        "version=1.2;\n"
        "\n"
        "// the newest\n"
        "// who may\n"
        "authorizationrules\n"
        "{\n"
        "    // begins\n"
        "    // the first\n"
        '    [type=="a"] && [type=="b"] => permit(); // yes\n'
        "\n"
        "    // and nobody else\n"
        "    => deny(); // no\n"
        "    // the end of it\n"
        "};\n"
        "\n"
        "// behind\n"
        "issuancerules\n"
        "{\n"
        "};\n"
        "\n"
        "// last\n"
    )


def test_slashes_inside_a_text_are_no_comment() -> None:
    policy = parse('version=1.0; authorizationrules { [type=="https://a // b"] => permit(); };')
    assert '[type=="https://a // b"] => permit();' in policy_text(policy)
    assert parse(policy_text(policy)) == policy


def test_a_long_rule_goes_over_several_lines() -> None:
    long = "a" * 60
    source = f'version=1.0; authorizationrules {{ [type=="{long}"]&&[type=="b",value<3]=>permit(); => permit(); }};'
    assert policy_text(parse(source)).splitlines()[4:] == [
        f'    [type=="{long}"] && [type=="b", value < 3] => permit();',
        "    => permit();",
        "};",
    ]
    assert policy_text(parse(source.replace(long, long * 2))).splitlines()[4:] == [
        f'    [type=="{long * 2}"]',
        '    && [type=="b", value < 3]',
        "    => permit();",
        "",
        "    => permit();",
        "};",
    ]


@pytest.mark.parametrize("name", [name for name in PUBLISHED if name not in MISPRINTS])
def test_a_published_policy_means_the_same_once_formatted(name: str) -> None:
    policy = parse(vector(name))
    formatted = policy_text(policy)
    assert parse(formatted) == policy
    assert policy_text(parse(formatted)) == formatted
    assert parse(formatted).liberties == ()
    assert formatted.count("//") == vector(name).count("//")


@given(policies())
def test_parsing_undoes_printing(policy: Policy) -> None:
    assert parse(policy_text(policy)) == policy
    assert repr(parse(policy_text(policy))) == repr(policy)  # True and 1 are equal to Python, and not to a policy.


@given(policies())
def test_formatting_twice_is_formatting_once(policy: Policy) -> None:
    assert policy_text(parse(policy_text(policy))) == policy_text(policy)
