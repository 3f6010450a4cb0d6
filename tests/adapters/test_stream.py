"""A list or a watch cut into its objects, wherever the network cuts it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import donjon
from donjon.adapters.kubeapi.stream import AROUND, HEAD, LARGEST, Items, Lines, ObjectText

TEXT = st.text(st.sampled_from('ab"\\{}[]:,é\U0001f600\n')) | st.sampled_from(['\\"', "]}", '{"items":[{', "\\\\"])
VALUES = st.recursive(
    TEXT | st.none() | st.integers() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)
OBJECTS = st.lists(st.dictionaries(TEXT, VALUES, max_size=3), max_size=4)


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def cut(items: Items | Lines, data: bytes, size: int = 64 << 10) -> list[ObjectText]:
    return [part for piece in pieces(data, size) for part in items.feed(piece)]


@given(objects=OBJECTS, other=VALUES, ascii_only=st.booleans(), size=st.integers(1, 40))
def test_a_list_comes_apart_into_its_objects_and_the_rest_of_it(
    objects: list[dict[str, object]], other: object, size: int, *, ascii_only: bool
) -> None:
    listed = {"kind": "PodList", "metadata": {"resourceVersion": "5", "nested": [[{"a": other}]]}, "items": objects, "last": "]"}
    items = Items()
    parts = cut(items, json.dumps(listed, ensure_ascii=ascii_only).encode(), size)
    assert [json.loads(part.text) for part in parts] == objects
    assert json.loads(items.rest().text) == listed | {"items": [0] * len(objects)}


@given(st.lists(VALUES, max_size=4), st.integers(1, 40))
def test_a_watch_comes_apart_into_its_lines(events: list[object], size: int) -> None:
    lines = Lines()
    parts = cut(lines, b"".join(json.dumps(event).encode() + b"\n" for event in events), size)
    assert [json.loads(part.text) for part in parts] == events
    assert lines.rest() == ObjectText(b"", large=False)


@given(OBJECTS.filter(bool), st.integers(1, 40), st.data())
def test_a_list_that_was_cut_is_no_json(objects: list[dict[str, object]], size: int, data: st.DataObject) -> None:
    whole = json.dumps({"items": objects}).encode()
    items = Items()
    cut(items, whole[: data.draw(st.integers(1, len(whole) - 1))], size)
    with pytest.raises(ValueError, match=r"Expecting|Unterminated|delimiter|Invalid"):
        json.loads(items.rest().text)


def pod(name: str, size: int) -> bytes:
    """A pod as the API server writes it: its names first, then what its author chose."""
    metadata = (
        f'{{"name":"{name}","namespace":"evil","uid":"u1","resourceVersion":"7","generation":1,"labels":{{"uid":"forged"}}}}'
    )
    return f'{{"metadata":{metadata},"spec":"'.encode() + b"x" * size + b'"}'


@pytest.mark.parametrize("size", [7, 64 << 10])
def test_of_what_is_too_large_only_the_names_are_known_and_what_follows_is_whole(size: int) -> None:
    items = Items()
    large, small = cut(items, b'{"items":[' + pod("large", 2 * LARGEST) + b"," + pod("small", 1) + b"]}", size)
    assert large.large
    assert len(large.text) <= HEAD
    assert large.names == {"name": "large", "namespace": "evil", "uid": "u1", "resourceVersion": "7"}
    assert not small.large
    assert json.loads(small.text)["metadata"]["name"] == "small"
    assert json.loads(items.rest().text) == {"items": [0, 0]}


def test_an_object_may_be_as_large_as_is_said_and_no_larger() -> None:
    most = LARGEST - len(pod("app", 0))
    (within, beyond) = cut(Items(), b'{"items":[' + pod("app", most) + b"," + pod("app", most + 1) + b"]}")
    assert (within.large, beyond.large) == (False, True)


def test_a_large_event_says_its_kind_and_its_names() -> None:
    (event,) = cut(Lines(), b'{"type":"DELETED","object":' + pod("large", LARGEST) + b"}\n")
    assert (event.large, event.event, event.names["name"]) == (True, "DELETED", "large")


@pytest.mark.parametrize(
    "text", [b"", b"[", b'{"type":3', b'{"metadata":{}}', b'{"metadata":{"name":7,"uid":"u"}}', b'{"metadata":{"name":"a']
)
def test_what_says_no_names_has_none(text: bytes) -> None:
    assert ObjectText(text, large=True).names == {}
    assert ObjectText(text, large=True).event == ""


def test_a_list_that_holds_more_than_its_objects_is_bounded_too() -> None:
    items = Items()
    assert cut(items, b'{"metadata":{"x":"' + b"x" * 10 * AROUND + b'"},"items":[]}') == []
    assert items.rest().large


PROGRAM = """
import json
from donjon.adapters.kubeapi.stream import Items

objects = [{"metadata": {"name": f"n{number}", "labels": {"a": "b", "c": "d{[" * 4}}, "text": "x" * 40} for number in range(4)]
data = json.dumps({"kind": "NodeList", "metadata": {"resourceVersion": "5"}, "items": objects}).encode()
for place in range(1, len(data)):
    items = Items()
    parts = [part for piece in (data[:place], data[place:]) for part in items.feed(piece)]
    assert [json.loads(part.text) for part in parts] == objects, place
print("all")
"""
PYTHONS = sorted({sys.executable, *(str(path) for path in [Path("/usr/bin/python3")] if path.exists())})


@pytest.mark.parametrize("python", PYTHONS)
def test_wherever_a_list_is_cut_it_comes_apart_by_the_machines_own_python_too(python: str) -> None:
    """The image of the product has Debian's, whose expressions have mistakes that a newer one has not."""
    environment = {"PYTHONPATH": str(Path(donjon.__file__).parents[1])}
    done = subprocess.run([python, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "all\n"), done.stderr
