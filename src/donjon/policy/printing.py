"""The canonical text of a policy: one way to write each tree. Parsing it gives the same tree again."""

from collections.abc import Iterator

from donjon.policy.syntax import Action, Assignment, Comparison, Condition, Expression, Literal, Policy, Reference, Rule, Section

INDENT = "    "
WIDEST = 120  # characters of a rule on one line


def policy_text(policy: Policy) -> str:
    """The policy's text, ending in a line break."""
    blocks = [_block([*policy.comments, f"version={policy.version};"])]
    blocks += [_section(section) for section in policy.sections]
    blocks += [_block(policy.closing)] if policy.closing else []
    return "\n".join(blocks)


def _block(lines: list[str] | tuple[str, ...]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _section(section: Section) -> str:
    lines = [*section.comments, section.part, "{"]
    tall = False
    for number, rule in enumerate(section.rules):
        block = [INDENT + line for line in (*rule.comments, *_rule(rule))]
        lines += ["", *block] if number and (tall or len(block) > 1) else block
        tall = len(block) > 1
    return _block([*lines, *(INDENT + comment for comment in section.closing), "};"])


def _rule(rule: Rule) -> list[str]:
    remark = "" if rule.remark is None else f" {rule.remark}"
    short = rule_text(rule)
    if len(short) <= WIDEST:
        return [short + remark]
    lines = list(_conditions(rule))
    return [*lines, f"=> {_action(rule.action)};{remark}"]


def _conditions(rule: Rule) -> Iterator[str]:
    for number, condition in enumerate(rule.conditions):
        yield f"&& {condition_text(condition)}" if number else condition_text(condition)


def rule_text(rule: Rule) -> str:
    """A rule on one line, without its comments."""
    conditions = " ".join(_conditions(rule))
    return f"{conditions} => {_action(rule.action)};" if conditions else f"=> {_action(rule.action)};"


def condition_text(condition: Condition) -> str:
    """A condition as it stands in a rule."""
    name = "" if condition.name is None else f"{condition.name}:"
    return f"{'!' if condition.absent else ''}{name}[{', '.join(map(comparison_text, condition.comparisons))}]"


def comparison_text(comparison: Comparison) -> str:
    """One comparison, as in type=="product"."""
    sign = f" {comparison.operator} " if len(comparison.operator) == 1 else comparison.operator
    return f"{comparison.property}{sign}{expression_text(comparison.expression)}"


def _action(action: Action) -> str:
    if action.claim is not None:
        return f"{action.verb}(claim={action.claim})"
    return f"{action.verb}({', '.join(map(_assignment, action.assignments))})"


def _assignment(assignment: Assignment) -> str:
    return f"{assignment.property}={expression_text(assignment.expression)}"


def expression_text(expression: Expression) -> str:
    """An expression as it stands in a rule."""
    match expression:
        case Literal(value=bool() as value):
            return "true" if value else "false"
        case Literal(value=int() as value):
            return str(value)
        case Literal(value=value):
            return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
        case Reference():
            return f"{expression.name}.{expression.property}"
        case _:
            return f"{expression.function}({', '.join(map(expression_text, expression.arguments))})"
