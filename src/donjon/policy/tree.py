"""What the grammar accepts, as values: a tree of tokens to a policy.

Which words there are is said here by name, so that a wrong one is refused with those that would do.
"""

import re
from collections.abc import Iterator

from lark import Token, Tree

from donjon.formats.words import excerpt, one_of
from donjon.policy.comments import Span, with_comments
from donjon.policy.faults import Fault
from donjon.policy.syntax import (
    MAX_INTEGER,
    MIN_INTEGER,
    Action,
    Assignment,
    Call,
    Comparison,
    Condition,
    Expression,
    Function,
    Liberty,
    Literal,
    Operator,
    Part,
    Place,
    Policy,
    PolicyVersion,
    Property,
    Reference,
    Rule,
    Section,
    Verb,
)

MAX_DEPTH = 16  # functions within functions
CLAIM = "claim"  # the argument that names a whole claim: issue(claim=c)

_TRUTHS = {"true": True, "false": False}
_ESCAPE = re.compile(r"\\(.)")


def place(node: Tree[Token] | Token) -> Place:
    """Where a piece of the text begins."""
    if isinstance(node, Token):
        return Place(node.line or 1, node.column or 1)
    return Place(node.meta.line, node.meta.column)


def _span(tree: Tree[Token]) -> Span:
    return Span(start=tree.meta.start_pos, end=tree.meta.end_pos)


def _trees(tree: Tree[Token], name: str) -> list[Tree[Token]]:
    return [child for child in tree.children if isinstance(child, Tree) and child.data == name]


def _tokens(tree: Tree[Token], name: str) -> list[Token]:
    return [child for child in tree.children if isinstance(child, Token) and child.type == name]


VERSION_FIRST = "version=1.0; (or 1.1, 1.2) before everything else"


def policy_of(tree: Tree[Token], text: str) -> Policy:
    """The policy that a text says, given its tree; raises `Fault` for a word that there is not."""
    (word,) = _tokens(tree, "NAME")
    if word != "version":
        raise Fault("DJ400", place(word), f"found {excerpt(word)}", VERSION_FIRST)
    sections = _trees(tree, "section")
    rules = [[_span(rule) for rule in _trees(section, "rule")] for section in sections]
    policy = Policy(
        version=_version(tree),
        sections=tuple(map(_section, sections)),
        liberties=tuple(sorted(_liberties(tree), key=lambda liberty: liberty.at)),
    )
    return with_comments(policy, text, start=word.start_pos or 0, sections=[_span(section) for section in sections], rules=rules)


def _version(tree: Tree[Token]) -> PolicyVersion:
    major, minor = _tokens(tree, "INT")
    try:
        return PolicyVersion(f"{major}.{minor}")
    except ValueError as error:
        raise Fault("DJ402", place(major), f"version {excerpt(f'{major}.{minor}')}", "1.0, 1.1 or 1.2") from error


def _section(tree: Tree[Token]) -> Section:
    (name,) = _tokens(tree, "NAME")
    part = next((part for part in Part if part == name.lower()), None)
    if part is None:
        raise Fault("DJ400", place(name), f"a section {excerpt(name)}", one_of(tuple(Part), name.lower()))
    return Section(part=part, rules=tuple(map(_rule, _trees(tree, "rule"))), at=place(tree))


def _rule(tree: Tree[Token]) -> Rule:
    (action,) = _trees(tree, "action")
    conditions = [condition for inner in _trees(tree, "conditions") for condition in _trees(inner, "condition")]
    return Rule(conditions=tuple(map(_condition, conditions)), action=_action(action), at=place(tree))


def _condition(tree: Tree[Token]) -> Condition:
    name = next(iter(_tokens(tree, "NAME")), None)
    return Condition(
        absent=bool(_tokens(tree, "NOT")),
        name=None if name is None else str(name),
        comparisons=tuple(map(_comparison, _trees(tree, "comparison"))),
        at=place(tree),
    )


def _comparison(tree: Tree[Token]) -> Comparison:
    name, operator, expression = tree.children
    return Comparison(
        property=_property(name),
        operator=Operator.EQ if operator == "=" else Operator(str(operator)),
        expression=_expression(expression, MAX_DEPTH),
        at=place(tree),
    )


def _action(tree: Tree[Token]) -> Action:
    (name,) = _tokens(tree, "NAME")
    if name not in tuple(Verb):
        raise Fault("DJ400", place(name), f"an action {excerpt(name)}", one_of(tuple(Verb), name))
    assignments = _trees(tree, "assignment")
    whole = [each for each in assignments if each.children[0] == CLAIM]
    if not whole:
        return Action(verb=Verb(str(name)), assignments=tuple(map(_assignment, assignments)), at=place(tree))
    if len(assignments) > 1:
        raise Fault("DJ406", place(whole[0]), "claim= beside other arguments", "either claim=NAME or properties")
    return Action(verb=Verb(str(name)), claim=_claim_name(whole[0]), at=place(tree))


def _claim_name(tree: Tree[Token]) -> str:
    """The name that stands behind `claim=`."""
    value = tree.children[2]
    if isinstance(value, Tree) and value.data == "literal" and (names := _tokens(value, "NAME")):
        return str(names[0])
    raise Fault(
        "DJ406",
        place(value),
        "something else than a name behind claim=",
        "a name that a condition of the rule gives, as in c:[…]",
    )


def _assignment(tree: Tree[Token]) -> Assignment:
    name, _, expression = tree.children
    return Assignment(property=_property(name), expression=_expression(expression, MAX_DEPTH), at=place(tree))


def _property(name: Tree[Token] | Token) -> Property:
    if name not in tuple(Property):
        raise Fault("DJ400", place(name), f"a property {excerpt(str(name))}", one_of(tuple(Property), str(name)))
    return Property(str(name))


def _expression(tree: Tree[Token] | Token, depth: int) -> Expression:
    assert isinstance(tree, Tree)
    match tree.data:
        case "literal":
            return _literal(tree)
        case "reference":
            name, property_ = tree.children
            return Reference(name=str(name), property=_property(property_), at=place(tree))
        case _:
            return _call(tree, depth)


def _call(tree: Tree[Token], depth: int) -> Call:
    if depth == 0:
        raise Fault("DJ401", place(tree), f"functions nested deeper than {MAX_DEPTH}", "several rules that add claims")
    name, *arguments = tree.children
    if name not in tuple(Function):
        raise Fault("DJ405", place(name), f"a function {excerpt(str(name))}", one_of(tuple(Function), str(name)))
    return Call(function=Function(str(name)), arguments=tuple(_expression(each, depth - 1) for each in arguments), at=place(tree))


def _literal(tree: Tree[Token]) -> Literal:
    (token,) = tree.children
    assert isinstance(token, Token)
    match token.type:
        case "STRING":
            return Literal(value=_ESCAPE.sub(r"\1", token[1:-1]), at=place(token))
        case "INT":
            return Literal(value=_integer(token), at=place(token))
        case _ if token in _TRUTHS:
            return Literal(value=_TRUTHS[token], at=place(token))
        case _:
            expected = "true, false, a number, a text in double quotes, a name with its property such as c.value, or a function"
            raise Fault("DJ400", place(token), f"the word {excerpt(token)}", expected)


def _integer(token: Token) -> int:
    longest = len(str(MIN_INTEGER))
    digits = token.lstrip("-0")
    value = int(token) if len(digits) < longest else MAX_INTEGER + 1
    if not MIN_INTEGER <= value <= MAX_INTEGER:
        raise Fault("DJ401", place(token), f"the number {excerpt(token)}", "a number of 64 bits")
    return value


# Spellings that are understood, and worth a warning.


def _liberties(tree: Tree[Token]) -> Iterator[Liberty]:
    for section in _trees(tree, "section"):
        (name,) = _tokens(section, "NAME")
        if name not in tuple(Part):
            yield Liberty(at=place(name), spelling=str(name), proper=name.lower())
        yield from _missing_semicolon(section, f"no ; behind the }} of {name.lower()}", "};")
        for rule in _trees(section, "rule"):
            yield from _missing_semicolon(rule, "no ; behind a rule", ";")
            yield from _single_equals(rule)


def _missing_semicolon(tree: Tree[Token], spelling: str, proper: str) -> Iterator[Liberty]:
    if not _tokens(tree, "SEMICOLON"):
        yield Liberty(at=Place(tree.meta.end_line, tree.meta.end_column), spelling=spelling, proper=proper)


def _single_equals(rule: Tree[Token]) -> Iterator[Liberty]:
    for comparison in rule.find_data("comparison"):
        if comparison.children[1] == "=":
            yield Liberty(at=place(comparison.children[1]), spelling="= in a condition", proper="==")
