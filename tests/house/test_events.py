"""The node agent gives no reason in an Event that its own policy would refuse."""

import ast
from pathlib import Path

import donjon.services.node
from donjon.kube import names

SOURCE = Path(donjon.services.node.__file__).parent


def reasons(tree: ast.Module) -> set[str]:
    """The reasons that calls of `event` give: texts, and names of the table."""
    given = {
        keyword.value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if keyword.arg == "reason"
    }
    parts = [part for value in given for part in ast.walk(value)]
    texts = {str(part.value) for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}
    named = {part.id for part in parts if isinstance(part, ast.Name) and part.id.isupper()}
    return texts | {str(getattr(names, each)) for each in named}


def test_every_reason_of_the_agents_events_is_one_that_its_policy_lets_through() -> None:
    found = {each for path in SOURCE.glob("*.py") for each in reasons(ast.parse(path.read_text(encoding="utf-8")))}
    assert found <= set(names.EVENT_REASONS)
    assert names.EVENT_READY in found, "the calls are still found by the word that names their reason"
