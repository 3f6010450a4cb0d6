"""JSON patches applied as RFC 6902 says."""

import pytest

from donjon.errors import Malformed
from donjon.formats.json import JsonObject
from donjon.kube.patch import Add, Operation, Remove, apply, escape


@pytest.mark.parametrize(
    ("operation", "after"),
    [
        (Add(path="/a/b", value=1), {"a": {"b": 1}, "l": [1, 2]}),
        (Add(path="/l/-", value=3), {"a": {}, "l": [1, 2, 3]}),
        (Add(path="/l/0", value=0), {"a": {}, "l": [0, 1, 2]}),
        (Remove(path="/l/1"), {"a": {}, "l": [1]}),
        (Remove(path="/a"), {"l": [1, 2]}),
        (Add(path="/a/x~1y~0z", value=1), {"a": {"x/y~z": 1}, "l": [1, 2]}),
    ],
    ids=str,
)
def test_sets_puts_in_and_takes_away(operation: Operation, after: JsonObject) -> None:
    before: JsonObject = {"a": {}, "l": [1, 2]}
    assert apply(before, [operation]) == after
    assert before == {"a": {}, "l": [1, 2]}
    assert operation.as_dict()["path"] == operation.path


@pytest.mark.parametrize("path", ["/b/c", "/l/x", "/l/7/x", "/l/0/x", "/a/b/c"])
def test_a_place_that_is_not_there_is_said(path: str) -> None:
    with pytest.raises(Malformed, match=r"nothing there to change \[DJ911\]"):
        apply({"a": {}, "l": [1, 2]}, [Remove(path=path)])


def test_a_key_with_a_slash_is_one_step() -> None:
    assert escape("a/b~c") == "a~1b~0c"
