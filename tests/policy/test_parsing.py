"""A text is a policy, or is refused with line, column and what was expected."""

import pytest
from tests.policy.policies import VECTORS, authorization, issuance, vector

from donjon.adapters import clock
from donjon.errors import Malformed
from donjon.policy.faults import Fault
from donjon.policy.parsing import MAX_PIECES, MAX_SIZE, decode, parse
from donjon.policy.syntax import (
    Action,
    Assignment,
    Call,
    Comparison,
    Condition,
    Function,
    Literal,
    Operator,
    Part,
    Policy,
    PolicyVersion,
    Property,
    Reference,
    Rule,
    Section,
    Verb,
)
from donjon.policy.tree import MAX_DEPTH

SECONDS = 5.0  # of what takes a few ms, or minutes if it is looked for again and again

MISPRINTS = {
    "docs/custom-tcb-baseline-enforcement-1": ("DJ400", 5, 42, "a typographic quotation mark in the page", "”", '"'),
    "docs/policy-examples-1": ("DJ400", 5, 50, "a placeholder that is to be filled in", "<product-id>", "1"),
    "docs/policy-version-1-2-1": ("DJ400", 23, 51, "type= is missing", 'issue("', 'issue(type="'),
}
"""The published policies that are refused: code, line, column, why, and what mends them."""

PUBLISHED = sorted(path.relative_to(VECTORS).as_posix().removesuffix(".policy") for path in VECTORS.rglob("*.policy"))


def test_there_are_all_published_policies() -> None:
    assert len(PUBLISHED) == 36
    assert set(MISPRINTS) <= set(PUBLISHED)


@pytest.mark.parametrize("name", [name for name in PUBLISHED if name not in MISPRINTS])
def test_a_published_policy_is_one(name: str) -> None:
    assert parse(vector(name)).rules(Part.AUTHORIZATION) != ()


@pytest.mark.parametrize("name", MISPRINTS)
def test_a_misprint_is_refused_where_it_is_and_a_policy_once_mended(name: str) -> None:
    code, line, column, _, wrong, right = MISPRINTS[name]
    with pytest.raises(Fault) as refused:
        parse(vector(name))
    assert (refused.value.code, refused.value.at.line, refused.value.at.column) == (code, line, column)
    assert parse(vector(name).replace(wrong, right)).rules(Part.AUTHORIZATION) != ()


def test_every_part_of_a_policy_is_in_the_tree() -> None:
    source = """
        version= 1.2 ;
        configurationrules { => issueproperty(type="tcb", value="10"); };
        authorizationrules { ![type=="a"] && c:[value>=-3, issuer!="CustomClaim"] => permit(); };
        issuancerules { c:[] => issue(type="t", value=AppendString(c.value, "\\"\\\\")); d:[] => add(claim=d); };
    """
    of_three = Comparison(property=Property.VALUE, operator=Operator.GE, expression=Literal(value=-3))
    of_issuer = Comparison(property=Property.ISSUER, operator=Operator.NE, expression=Literal(value="CustomClaim"))
    absent = Comparison(property=Property.TYPE, operator=Operator.EQ, expression=Literal(value="a"))
    appended = Call(
        function=Function.APPEND_STRING, arguments=(Reference(name="c", property=Property.VALUE), Literal(value='"\\'))
    )
    assert parse(source) == Policy(
        version=PolicyVersion.V1_2,
        sections=(
            Section(part=Part.CONFIGURATION, rules=(Rule(action=_made(Verb.ISSUE_PROPERTY, "tcb", Literal(value="10"))),)),
            Section(
                part=Part.AUTHORIZATION,
                rules=(
                    Rule(
                        conditions=(
                            Condition(absent=True, comparisons=(absent,)),
                            Condition(name="c", comparisons=(of_three, of_issuer)),
                        ),
                        action=Action(verb=Verb.PERMIT),
                    ),
                ),
            ),
            Section(
                part=Part.ISSUANCE,
                rules=(
                    Rule(conditions=(Condition(name="c"),), action=_made(Verb.ISSUE, "t", appended)),
                    Rule(conditions=(Condition(name="d"),), action=Action(verb=Verb.ADD, claim="d")),
                ),
            ),
        ),
    )


def _made(verb: Verb, name: str, value: Literal | Call) -> Action:
    return Action(
        verb=verb,
        assignments=(
            Assignment(property=Property.TYPE, expression=Literal(value=name)),
            Assignment(property=Property.VALUE, expression=value),
        ),
    )


@pytest.mark.parametrize(
    ("source", "code", "said"),
    [
        # The grammar. The mark stands before what is refused.
        ("¦", "DJ400", "an empty policy; expected version=1.0; and sections"),
        ("¦  \n ", "DJ400", "an empty policy"),
        ("version=1.0¦", "DJ400", "the end of the text; expected ';'"),
        ("version=1.0\n¦[", "DJ400", "found '['; expected ';'"),  # the example in Microsoft's troubleshooting guide
        ("¦authorizationrules{};", "DJ400", "the policy begins with authorizationrules; expected version=1.0;"),
        ("¦Version=1.0;", "DJ400", "found Version; expected version=1.0;"),
        ("version=1.0; ¦rules{};", "DJ400", "a section rules; expected one of configurationrules,"),
        ("version=1.0; ¦authorisationrules{};", "DJ400", "(did you mean authorizationrules?)"),
        ("version=1.0; authorizationrules{ => permit(¦}", "DJ400", "found '}'; expected a name or ')'"),
        (authorization("=> ¦permitt();"), "DJ400", "an action permitt; expected one of permit,"),
        (authorization("=> ¦;"), "DJ400", "found ';'; expected a name"),
        (authorization('[type=="a" ¦=> permit();'), "DJ400", "found '=>'; expected ']' or ','"),
        (authorization('[¦kind=="a"] => permit();'), "DJ400", "a property kind; expected one of type, value, valueType, issuer"),
        (authorization('[type==¦"a] => permit();'), "DJ400", 'a text that does not end; expected a closing "'),
        (authorization('[type==¦"a\\n"] => permit();'), "DJ400", "may stand only before"),
        (authorization('[type==¦"a\n"] => permit();'), "DJ400", "a closing"),
        (authorization("[type==¦“a”] => permit();"), "DJ400", "the typographic quotation mark “"),
        (authorization("[type==¦TRUE] => permit();"), "DJ400", "the word TRUE; expected true, false, a number"),
        (authorization("[value==1¦.5] => permit();"), "DJ400", "found '.'; expected ']' or ','"),
        (authorization("[value==¦@] => permit();"), "DJ400", "the sign @"),
        (authorization("[value¦=>1] => permit();"), "DJ400", "found '=>'"),
        (authorization("¦/* no */ => permit();"), "DJ400", "the sign /"),
        (authorization("=> permit();¦;"), "DJ400", "found ';'"),
        # Bounds.
        (authorization("[value==¦9223372036854775808] => permit();"), "DJ401", "a number of 64 bits"),
        (authorization(f"[value==¦-{'9' * 5000}] => permit();"), "DJ401", "a number of 64 bits"),
        # Versions.
        ("version=¦1.3;", "DJ402", "version 1.3; expected 1.0, 1.1 or 1.2"),
        ("version=¦2.0;", "DJ402", "version 2.0"),
        ("version=¦1.00;", "DJ402", "version 1.00"),
        ("version=1.0; ¦configurationrules{};", "DJ402", "configurationrules in version 1.0"),
        (authorization("¦![] => permit();", version="1.1"), "DJ402", "! in version 1.1; expected version=1.2;"),
        (issuance('=> issue(type="a", value=¦NegateBool(true));', version="1.1"), "DJ402", "NegateBool() in version 1.1"),
        # Places.
        ("version=1.0; issuancerules{}; ¦authorizationrules{};", "DJ403", "authorizationrules after issuancerules"),
        ("version=1.0; authorizationrules{}; ¦authorizationrules{};", "DJ403", "each section once"),
        (issuance("=> ¦permit();"), "DJ403", "permit() in issuancerules; expected one of add(), issue(), issueproperty()"),
        (issuance("=> ¦deny();"), "DJ403", "deny() in issuancerules"),
        (authorization('=> ¦issueproperty(type="a", value=1);'), "DJ403", "issueproperty() in authorizationrules"),
        ('version=1.1; configurationrules{ => ¦issue(type="a", value=1); };', "DJ403", "issue() in configurationrules"),
        (
            'version=1.1; configurationrules{ ¦[] => issueproperty(type="a", value=1); };',
            "DJ403",
            "a condition in configurationrules",
        ),
        # Names.
        (issuance("=> ¦issue(claim=c);"), "DJ404", "the name c, which no condition before it gives"),
        (issuance('d:[] => issue(type="a", value=¦c.value);'), "DJ404", "expected one of d"),
        (issuance("c:[type==¦c.value] => issue(claim=c);"), "DJ404", "the name c, which no condition before it gives"),
        (issuance("c:[] && ¦c:[] => issue(claim=c);"), "DJ404", "the name c given twice"),
        (issuance('¦!c:[] => issue(type="a", value=1);'), "DJ404", "the name c at a condition with !"),
        # Functions.
        (issuance('=> issue(type="a", value=¦NegateBol(true));'), "DJ405", "(did you mean NegateBool?)"),
        (issuance('=> issue(type="a", value=¦negatebool(true));'), "DJ405", "a function negatebool"),
        (issuance('c:[] => issue(type="a", value=¦ContainsOnlyValue(100));'), "DJ405", "with 1 arguments; expected 2"),
        (issuance('=> issue(type="a", value=¦NegateBool());'), "DJ405", "NegateBool() with 0 arguments; expected 1"),
        # Claims.
        (authorization("c:[] => ¦permit(claim=c);"), "DJ406", "arguments of permit()"),
        (authorization('=> ¦deny(type="a");'), "DJ406", "arguments of deny()"),
        (issuance('=> ¦issue(type="a");'), "DJ406", "issue() without value="),
        (issuance("=> ¦issue(value=1);"), "DJ406", "issue() without type="),
        (issuance('=> ¦issue(type="a", value=1, value=2);'), "DJ406", "value= 2 times"),
        (issuance("=> issue(type=¦1, value=1);"), "DJ406", "a type that is no text"),
        (issuance('=> issue(type=¦"", value=1);'), "DJ406", "or an empty one"),
        (issuance("c:[] => issue(¦claim=c, value=1);"), "DJ406", "claim= beside other arguments"),
        (issuance('=> issue(claim=¦"c");'), "DJ406", "something else than a name behind claim="),
        *(
            (issuance(f'=> issue(type=¦"{name}", value=1);'), "DJ406", f"issue() of {name}; expected a name of your own")
            for name in (
                "iss",
                "exp",
                "iat",
                "nbf",
                "jti",
                "cnf",
                "eat_nonce",
                "x-ms-sgx-mrsigner",
                "x-ms-anything",
                "X-MS-sgx-svn",
                "Iss",
                "x-m\u017f-svn",
            )
        ),
        # Orders.
        (authorization('[value>=¦"3"] => permit();'), "DJ407", ">= with a text"),
        (authorization("[value<¦true] => permit();"), "DJ407", "< with a truth value"),
        (authorization('[¦type>"a"] => permit();'), "DJ407", "> on type, which is a text"),
    ],
)
def test_refuses_what_is_no_policy_and_tells_where(source: str, code: str, said: str) -> None:
    before, _, _ = source.partition("¦")
    with pytest.raises(Fault) as refused:
        parse(source.replace("¦", ""))
    assert refused.value.code == code
    assert said in refused.value.message
    place = (before.count("\n") + 1, len(before) - before.rfind("\n"))
    assert (refused.value.at.line, refused.value.at.column) == place, refused.value.message


def test_all_faults_of_a_text_are_told_at_once() -> None:
    with pytest.raises(Fault) as refused:
        parse(issuance('=> issue(claim=a);\n=> issue(type="b");\n[value<"c"] => permit();'))
    assert [(fault.code, fault.at.line) for fault in (refused.value, *refused.value.others)] == [
        ("DJ404", 1),
        ("DJ406", 2),
        ("DJ403", 3),
        ("DJ407", 3),
    ]


@pytest.mark.parametrize("name", ["x-ms-sgx-mrsigner", "iss"])
def test_reserved_names_may_be_added_and_given_as_properties(name: str) -> None:
    policy = parse(issuance(f'=> add(type="{name}", value=1); => issueproperty(type="{name}", value=1);'))
    assert len(policy.rules(Part.ISSUANCE)) == 2


def nested(depth: int) -> str:
    return issuance(f'=> issue(type="a", value={"NegateBool(" * depth}true{")" * depth});')


def test_functions_nest_as_deep_as_the_bound_and_no_deeper() -> None:
    assert parse(nested(MAX_DEPTH)).rules(Part.ISSUANCE) != ()
    with pytest.raises(Fault, match="nested deeper than 16") as refused:
        parse(nested(MAX_DEPTH + 1))
    assert refused.value.code == "DJ401"
    with pytest.raises(Fault, match="nested deeper than 16"):
        parse(nested(5000))


def test_a_policy_may_be_as_long_as_the_bound() -> None:
    policy = authorization("=> permit();")
    assert parse(policy + " " * (MAX_SIZE - len(policy))) == parse(policy)


def test_a_policy_longer_than_the_bound_is_refused() -> None:
    with pytest.raises(Malformed, match="65537 bytes long, expected at most 65536") as refused:
        parse("x" * (MAX_SIZE + 1))
    assert refused.value.code == "DJ401"


def test_length_is_counted_in_bytes() -> None:
    with pytest.raises(Malformed, match="expected at most 65536"):
        parse(authorization("=> permit();") + "//" + "é" * (MAX_SIZE // 2))


def test_smallest_and_largest_numbers_are_taken() -> None:
    for number in ("9223372036854775807", "-9223372036854775808", "-000000000000000000000001"):
        assert parse(authorization(f"[value=={number}] => permit();")).rules(Part.AUTHORIZATION) != ()


def test_bytes_become_text_without_their_mark() -> None:
    assert decode(b"\xef\xbb\xbfversion=1.0;") == "version=1.0;"
    with pytest.raises(Malformed, match="byte 8 is no UTF-8"):
        decode(b"version=\xff")


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(Malformed, match="half a surrogate pair"):
        parse("version=1.0; // \ud800")


@pytest.mark.parametrize(
    ("loose", "found"),
    [
        ('version=1.0; authorizationrules{ [type="a"] => permit(); };', ["= in a condition"]),
        ("version=1.0; authorizationrules{ => permit() };", ["no ; behind a rule"]),
        ("version=1.0; authorizationrules{ => permit(); }", ["no ; behind the } of authorizationrules"]),
        ("version=1.0; AuthorizationRules{ => permit(); };", ["AuthorizationRules"]),
    ],
)
def test_loose_spellings_are_understood_and_remembered(loose: str, found: list[str]) -> None:
    assert [liberty.spelling for liberty in parse(loose).liberties] == found
    assert parse(loose).rules(Part.AUTHORIZATION)[0].action.verb is Verb.PERMIT


HEAD, TAIL = "version=1.2;authorizationrules{", "};issuancerules{};"  # 14 pieces


@pytest.mark.parametrize("piece", ["=>permit();", "//\n", 'a:[type=="a"]&&', '"', "-1 ", "a{}", "<", "=="])
def test_a_policy_of_very_many_pieces_is_refused_before_it_is_read(piece: str) -> None:
    with pytest.raises(Malformed, match="expected at most 20000 words and signs") as refused:
        parse(HEAD + piece * ((MAX_SIZE - 100) // len(piece)) + TAIL)
    assert refused.value.code == "DJ401"


def test_a_policy_of_as_many_pieces_as_may_be_is_read_and_of_one_more_is_not() -> None:
    rules = "=>permit();" * ((MAX_PIECES - 15) // 5)  # Which leaves room for one.
    assert len(parse(HEAD + rules + "//" + "\n" + TAIL).sections[0].rules) == (MAX_PIECES - 15) // 5
    with pytest.raises(Malformed, match="words and signs"):
        parse(HEAD + rules + "//\n//\n" + TAIL)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("authorizationrules{ => permit(); };", "1:1"),
        ("// mine\n\n  authorizationrules{ => permit(); };", "3:3"),
        ("vers=1.0; authorizationrules{ => permit(); };", "1:1"),
        ("\n=> permit();", "2:1"),
        ('[type=="a"] => permit();', "1:1"),
    ],
)
def test_a_policy_without_its_version_is_told_to_begin_with_it(text: str, place: str) -> None:
    with pytest.raises(Fault) as refused:
        parse(text)
    assert f"{refused.value.at.line}:{refused.value.at.column}" == place
    assert refused.value.expected == "version=1.0; (or 1.1, 1.2) before everything else"


@pytest.mark.parametrize("quotes", ['"' + '\\"' * 32_000, '"a\\' * 16_000, '" \\" \n' * 8_000])
def test_a_text_that_does_not_end_is_looked_for_once(quotes: str) -> None:
    began = clock.labour()
    with pytest.raises(Malformed) as refused:
        parse(HEAD + quotes)
    assert refused.value.code == "DJ400"
    assert clock.labour() - began < SECONDS
