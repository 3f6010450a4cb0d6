"""Taints, selectors and affinity as the scheduler reads them."""

import pytest
from tests.diagnosis.worlds import node, pod

from donjon.formats.json import Json, JsonObject
from donjon.kube.selection import not_tolerated, selects

TAINT: JsonObject = {"key": "sgx", "value": "only", "effect": "NoSchedule"}
LABELS: dict[str, Json] = {"zone": "a", "cores": "8"}


@pytest.mark.parametrize(
    ("toleration", "tolerates"),
    [
        ({"key": "sgx", "operator": "Equal", "value": "only", "effect": "NoSchedule"}, True),
        ({"key": "sgx", "value": "only"}, True),
        ({"key": "sgx", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "sgx", "value": "other"}, False),
        ({"key": "sgx"}, False),
        ({"key": "gpu", "operator": "Exists"}, False),
        ({"key": "sgx", "operator": "Exists", "effect": "NoExecute"}, False),
    ],
)
def test_a_taint_is_tolerated_as_kubernetes_does(toleration: JsonObject, *, tolerates: bool) -> None:
    left = not_tolerated(pod("1Mi", tolerations=[toleration]), node("a", taints=[TAINT]))
    assert left == (() if tolerates else ("sgx=only:NoSchedule",))


def test_a_taint_that_only_prefers_keeps_nobody_away() -> None:
    assert not_tolerated(pod("1Mi"), node("a", taints=[TAINT | {"effect": "PreferNoSchedule"}])) == ()


def test_a_cordoned_node_counts_as_tainted_once() -> None:
    taint: JsonObject = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    once = ("node.kubernetes.io/unschedulable:NoSchedule",)
    assert not_tolerated(pod("1Mi"), node("a", unschedulable=True)) == once
    assert not_tolerated(pod("1Mi"), node("a", unschedulable=True, taints=[taint])) == once


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ({"key": "zone", "operator": "In", "values": ["a", "b"]}, True),
        ({"key": "zone", "operator": "In", "values": ["b"]}, False),
        ({"key": "rack", "operator": "In", "values": ["b"]}, False),
        ({"key": "zone", "operator": "NotIn", "values": ["b"]}, True),
        ({"key": "rack", "operator": "NotIn", "values": ["b"]}, True),
        ({"key": "zone", "operator": "Exists"}, True),
        ({"key": "rack", "operator": "Exists"}, False),
        ({"key": "rack", "operator": "DoesNotExist"}, True),
        ({"key": "cores", "operator": "Gt", "values": ["4"]}, True),
        ({"key": "cores", "operator": "Gt", "values": ["8"]}, False),
        ({"key": "cores", "operator": "Lt", "values": ["16"]}, True),
        ({"key": "zone", "operator": "Gt", "values": ["4"]}, False),
        ({"key": "zone", "operator": "Near", "values": ["a"]}, False),
        ({"key": "zone", "operator": "In", "values": None}, False),
    ],
)
def test_an_expression_selects_as_kubernetes_does(expression: JsonObject, *, holds: bool) -> None:
    assert selects(affine({"matchExpressions": [expression]}), "n", LABELS) is holds


def affine(*terms: JsonObject) -> JsonObject:
    required: JsonObject = {"nodeSelectorTerms": list(terms)}
    return pod("1Mi", affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}})


def test_one_term_is_enough_and_all_of_it_must_hold() -> None:
    wrong: JsonObject = {"matchExpressions": [{"key": "rack", "operator": "Exists"}, {"key": "zone", "operator": "Exists"}]}
    named: JsonObject = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}
    assert not selects(affine(wrong), "n", LABELS)
    assert selects(affine(wrong, named), "n", LABELS)
    assert not selects(affine({}), "n", LABELS)


def test_a_node_selector_asks_for_every_label() -> None:
    assert selects(pod("1Mi", nodeSelector={"zone": "a", "cores": "8"}), "n", LABELS)
    assert not selects(pod("1Mi", nodeSelector={"zone": "a", "rack": "1"}), "n", LABELS)
