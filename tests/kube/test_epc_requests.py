"""What a pod asks for, counted as Kubernetes counts it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from donjon.formats.json import Json, JsonObject, at, objects
from donjon.kube.names import EPC, EPC_UNITS, FOREIGN_EPC
from donjon.kube.reserved import epc_by_container, epc_requests, epc_total

MIB = 1 << 20


def container(name: str, epc: Json = None, *, resource: str = EPC, sidecar: bool = False) -> JsonObject:
    made: JsonObject = {"name": name}
    if epc is not None:
        made["resources"] = {"limits": {resource: epc}, "requests": {resource: epc}}
    if sidecar:
        made["restartPolicy"] = "Always"
    return made


def pod(*containers: Json, init: tuple[Json, ...] = ()) -> JsonObject:
    return {"spec": {"containers": list(containers), "initContainers": list(init)}}


@pytest.mark.parametrize("resource", EPC_UNITS)
def test_every_name_counts_in_its_unit(resource: str) -> None:
    assert epc_by_container(pod(container("a", 10, resource=resource))) == {"a": 10 * EPC_UNITS[resource]}


def test_names_every_container_also_those_that_do_not_ask() -> None:
    asked = epc_by_container(
        pod(container("a", "1Mi"), container("b"), init=(container("i", "2Mi"), container("s", sidecar=True)))
    )
    assert asked == {"i": 2 * MIB, "s": 0, "a": MIB, "b": 0}


def test_two_names_that_agree_are_one_ask() -> None:
    both: JsonObject = {"name": "a", "resources": {"limits": {EPC: "10Mi"} | dict.fromkeys(FOREIGN_EPC, 10)}}
    assert epc_by_container(pod(both)) == {"a": 10 * MIB}


def test_tells_a_sidecar_from_an_init_container() -> None:
    found = {
        ask.container: (ask.init, ask.sidecar)
        for ask in epc_requests(pod(container("a"), init=(container("i"), container("s", sidecar=True))))
    }
    assert found == {"a": (False, False), "i": (True, False), "s": (False, True)}


@pytest.mark.parametrize(
    ("example", "mebibytes"),
    [
        (pod(container("a", "10Mi"), container("b", "5Mi")), 15),
        (pod(container("a", "10Mi"), init=(container("i", "7Mi"), container("j", "12Mi"))), 12),
        (pod(container("a", "10Mi"), init=(container("s", "3Mi", sidecar=True), container("i", "8Mi"))), 13),
        (pod(container("a", "10Mi"), init=(container("i", "12Mi"), container("s", "3Mi", sidecar=True))), 13),
        (pod(container("a", "1Mi"), init=(container("s", "3Mi", sidecar=True), container("i", "8Mi"))), 11),
        (pod(), 0),
    ],
)
def test_the_total_is_what_the_scheduler_sets_aside(example: JsonObject, mebibytes: int) -> None:
    assert epc_total(example) == mebibytes * MIB


ODD: list[Json] = [None, True, -5, 1.5, "", "10 Mi", "1e400", [], {}, float("inf"), float("nan")]


@pytest.mark.parametrize("quantity", ODD)
def test_an_odd_quantity_asks_for_nothing(quantity: Json) -> None:
    odd: JsonObject = {"name": "a", "resources": {"limits": {EPC: quantity}}}
    assert epc_by_container(pod(odd)) == {"a": 0}


def test_a_number_too_long_to_print_asks_for_nothing() -> None:
    assert epc_by_container(pod(container("a", 10**5000))) == {"a": 0}


ANYTHING: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
RESOURCES = st.dictionaries(
    st.sampled_from(["limits", "requests"]), st.dictionaries(st.sampled_from(list(EPC_UNITS)), ANYTHING) | ANYTHING
)
CONTAINERS = st.lists(
    st.fixed_dictionaries({"name": ANYTHING}, optional={"resources": RESOURCES | ANYTHING, "restartPolicy": ANYTHING}) | ANYTHING,
    max_size=3,
)


@given(st.dictionaries(st.sampled_from(["containers", "initContainers"]), CONTAINERS | ANYTHING) | ANYTHING)
def test_no_pod_whatever_raises(spec: Json) -> None:
    found = epc_by_container({"spec": spec})
    assert all(amount >= 0 for amount in found.values())
    assert epc_total({"spec": spec}) >= 0


def test_a_path_into_json_ends_in_nothing_where_there_is_nothing() -> None:
    tree: JsonObject = {"a": {"b": [1]}}
    assert at(tree, "a", "b") == [1]
    assert at(tree, "a", "b", "c") is None
    assert at(tree, "x", "y") is None
    assert objects([{}, 1, {"a": 1}]) == ({}, {"a": 1})
    assert objects({"a": 1}) == ()
