"""Label selectors as they stand in a query."""

from types import SimpleNamespace

import pytest

from donjon.errors import Malformed
from donjon.kube.label_selectors import MAX_SELECTOR, choose, parse, selected

LABELS = {"app": "web", "tier": "front", "donjon.dev/x": "", "build": "7"}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("", True),
        ("app", True),
        ("!app", False),
        ("!canary", True),
        ("app=web", True),
        ("app==web,tier in (back, front)", True),
        ("tier notin (front)", False),
        ("canary notin (yes)", True),
        ("app!=web", False),
        ("canary!=yes", True),
        ("donjon.dev/x=", True),
        ("in", False),
        ("in notin (in)", True),
        ("build>6,build<8", True),
        ("build>7", False),
        (" app = web , tier = front ", True),
    ],
)
def test_a_selector_chooses_as_kubernetes_does(text: str, holds: bool) -> None:  # noqa: FBT001 - a table.
    assert selected(parse(text), LABELS) is holds
    assert bool(choose(parse(text), [SimpleNamespace(labels=LABELS)])) is holds


@pytest.mark.parametrize(
    "text",
    [
        ",".join(["!a"] * 65),
        f"a in ({','.join('b' * 65)})",
        "a=b=c",
        "a in",
        "a in b",
        "(",
        "-a",
        "a,",
        "a b",
        "a" * (MAX_SELECTOR + 1),
        "a\x00",
    ],
)
def test_what_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(Malformed) as error:
        parse(text)
    assert error.value.code == "DJ729"


def test_as_many_requirements_as_a_selector_may_have_are_read() -> None:
    assert selected(parse(",".join(["!a"] * 64)), LABELS)
