"""The lists that autoscalers read."""

import json
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from tests.metricsapi.world import MIB, NOW, POD, container, node

from donjon.formats.json import JsonObject
from donjon.metricsapi.answers import add_epc, as_json, custom, external
from donjon.metricsapi.series import Series, quantity, together, value
from donjon.metricsapi.use import NodeUse, PodUse, use_of


def metrics(*names: str, pod: str = "web-1") -> JsonObject:
    containers: list[Any] = [{"name": name, "usage": {"cpu": "1m", "memory": "1Mi"}} for name in names]
    return {"metadata": {"name": pod, "namespace": "shop"}, "timestamp": "t", "window": "10s", "containers": containers}


def plus_epc(answer: JsonObject, reading: NodeUse | None) -> JsonObject:
    def lookup(namespace: str, name: str) -> PodUse | None:
        return use_of(POD, reading, NOW) if (namespace, name) == ("shop", "web-1") else None

    return add_epc(json.loads(json.dumps(answer)), lookup)


def list_of(answer: JsonObject) -> list[Any]:
    items: Any = answer["items"]
    return list(items)


def epc(answer: JsonObject) -> list[list[str | None]]:
    items: Any = answer.get("items") or [answer]
    return [[each["usage"].get("sgx.intel.com/epc") for each in item["containers"]] for item in items]


def test_each_container_gets_its_epc_and_keeps_what_it_had() -> None:
    answer = plus_epc({"items": [metrics("app", "side")]}, node(container()))
    assert epc(answer) == [[str(4 * MIB), "0"]]
    (item,) = list_of(answer)
    assert item["containers"][0]["usage"]["cpu"] == "1m"
    assert item["metadata"]["annotations"] == {"donjon.dev/epc-source": "bpf"}


def test_a_container_that_is_not_named_gets_no_zero_where_others_were_left_out() -> None:
    assert epc(plus_epc({"items": [metrics("app", "side")]}, node(container(), left_out=1))) == [[str(4 * MIB), None]]


TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/vnd.kubernetes.protobuf, */*", "application/json"),
        ("application/vnd.kubernetes.protobuf,application/json", "application/json"),
        ("application/yaml", "application/json"),
        (f"{TABLE},application/json", f"{TABLE},application/json"),
        (f"{TABLE},application/vnd.kubernetes.protobuf", f"{TABLE},application/json"),
        (f"application/json, {TABLE}", f"application/json,{TABLE}"),
        ("application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,application/json", "application/json"),
        (TABLE, TABLE),
        ("application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io", "application/json"),
    ],
)
def test_what_is_asked_for_is_asked_for_as_json(accept: str, form: str) -> None:
    assert as_json(accept) == form


def test_a_table_and_a_list_of_names_are_left_as_they_are() -> None:
    names: JsonObject = {"kind": "PartialObjectMetadataList", "items": [{"metadata": {"name": "web-1", "namespace": "shop"}}]}
    table: JsonObject = {"kind": "Table", "rows": [{"cells": ["web-1"], "object": {"metadata": {"name": "web-1"}}}]}
    for answer in (names, table):
        assert plus_epc(answer, node()) == answer


def test_one_pod_is_answered_as_a_list_is() -> None:
    assert epc(plus_epc(metrics("app"), node(container()))) == [[str(4 * MIB)]]


@pytest.mark.parametrize(
    ("answer", "reading"),
    [
        ({"items": [metrics("app")]}, None),
        ({"items": [metrics("app", pod="other")]}, node(container())),
        ({"items": [metrics("side")]}, node(container())),
        ({"items": []}, node(container())),
        ({"kind": "Status", "code": 404}, node(container())),
    ],
    ids=["unknown", "another pod", "a container that metrics-server does not know yet", "no pods", "no list"],
)
def test_otherwise_the_answer_is_metrics_servers_own(answer: JsonObject, reading: NodeUse | None) -> None:
    assert plus_epc(answer, reading) == answer


def test_figures_of_a_pod_are_what_their_names_say() -> None:
    use = use_of(POD, node(container(guests=MIB)), NOW)
    assert use is not None
    assert [value(each, use) for each in Series] == [5 * MIB, 2 * MIB, Fraction(7, 8), 3 * MIB]


def test_a_figure_that_is_unknown_is_not_in_the_list() -> None:
    use = use_of(POD, node(container(evicted=None)), NOW)
    assert custom(Series.EVICTED, [(POD, use), (POD, None)])["items"] == []
    (item,) = list_of(custom(Series.RESIDENT, [(POD, use), (POD, None)]))
    assert item["describedObject"] == {"kind": "Pod", "namespace": "shop", "name": "web-1", "apiVersion": "/v1"}
    assert item["value"] == str(4 * MIB)


def test_a_pod_that_asks_for_no_epc_has_no_utilisation() -> None:
    use = use_of(replace(POD, requests={}), node(container()), NOW)
    assert use is not None
    assert value(Series.UTILIZATION, use) is None
    assert together(Series.UTILIZATION, [use]) is None


def test_pods_together_are_unknown_as_soon_as_one_is() -> None:
    use = use_of(POD, node(container()), NOW)
    assert together(Series.RESIDENT, [use, use]) == 8 * MIB
    assert together(Series.UTILIZATION, [use, use]) == Fraction(3, 4)
    for series in (Series.RESIDENT, Series.UTILIZATION):
        assert together(series, [use, None]) is None
    assert external(Series.RESIDENT, None, "")["items"] == []


@pytest.mark.parametrize(("number", "text"), [(Fraction(5), "5"), (Fraction(7, 8), "875m"), (Fraction(1, 3), "333m")])
def test_a_number_is_written_as_a_quantity(number: Fraction, text: str) -> None:
    assert quantity(number) == text
