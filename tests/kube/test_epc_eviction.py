"""Who is ended first where a node is short of EPC: who holds too much, the least important, and nobody of the system."""

import pytest
from tests.kube.epc import MIB, container, held, report

from donjon.formats.json import JsonObject
from donjon.kube.epc_eviction import EvictionCandidate, candidates, order, priority_of
from donjon.sgx.epc import EpcSource

CANDIDATE = EvictionCandidate(namespace="shop", pod="p", uid="u", need=12 * MIB, excess=MIB)
POD: JsonObject = {
    "metadata": {"uid": "u", "name": "p"},
    "spec": {"nodeName": "sgx-1", "priority": 7},
    "status": {"phase": "Running"},
}


def spec(mebibytes: int) -> JsonObject:
    asks: JsonObject = {"name": "c", "resources": {"limits": {"sgx.intel.com/epc": f"{mebibytes}Mi"}}}
    return {"nodeName": "sgx-1", "containers": [asks]}


def test_a_pod_counts_as_a_whole_and_only_where_it_holds_too_much() -> None:
    pods = candidates(
        report(
            container(10, held(30), pod="much"),
            container(10, held(12), pod="more"),
            container(30, held(5), pod="even"),
            container(0, held(25), pod="even", name="side"),
            container(10, held(11), pod="nearly"),
            container(0, held(0, enclaves=0), pod="guest", guests=4),
        )
    )
    assert [(each.pod, each.excess // MIB) for each in pods] == [("much", 20), ("guest", 4), ("more", 2)]


def test_by_an_upper_bound_nobody_is_ended() -> None:
    assert candidates(report(container(1, held(64)), source=EpcSource.MAPS)) == ()


@pytest.mark.parametrize(
    ("change", "priority"),
    [
        ({}, 7),
        ({"spec": {"nodeName": "sgx-1"}}, 0),
        ({"spec": {"nodeName": "sgx-1", "priority": -5}}, -5),
        ({"spec": {"nodeName": "sgx-2"}}, None),
        ({"spec": {"nodeName": "sgx-1", "priority": 2_000_000_000}}, None),
        ({"metadata": {"uid": "another", "name": "p"}}, None),
        ({"metadata": {"uid": "u", "deletionTimestamp": "2026-11-30T03:00:00Z"}}, None),
        ({"metadata": {"uid": "u", "annotations": {"kubernetes.io/config.mirror": "x"}}}, None),
        ({"status": {"phase": "Succeeded"}}, None),
        ({"spec": spec(10)}, 0),
        ({"spec": spec(11)}, None),  # A MiB beyond is for SECS and version arrays.
    ],
)
def test_only_the_pod_that_was_meant_is_ended_and_none_of_the_system(change: JsonObject, priority: int | None) -> None:
    assert priority_of(CANDIDATE, {**POD, **change}, "sgx-1") == priority


def test_the_least_important_goes_first_and_then_the_one_with_most_beyond() -> None:
    pods = [
        EvictionCandidate(namespace="shop", pod=name, uid=name, need=excess, excess=excess, priority=priority)
        for name, excess, priority in (("a", 9, 0), ("b", 1, -1), ("c", 10, 0), ("d", 99, 5))
    ]
    assert [each.pod for each in order(pods)] == ["b", "c", "a", "d"]
