"""What is known of a pod's EPC, and what is not."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.metricsapi.world import MIB, NOW, POD, container, node

from donjon.kube.epc_report import PodContainer
from donjon.metricsapi.use import MOST, NodeUse, PodSite, use_of
from donjon.sgx.epc import EpcSource, EpcUse


def test_a_pod_holds_what_its_nodes_meter_says_guests_included() -> None:
    use = use_of(POD, node(container(guests=MIB)), NOW)
    assert use is not None
    assert (use.resident, use.evicted, use.existing, use.node_evicted) == (5 * MIB, 2 * MIB, 7 * MIB, 3 * MIB)
    assert use.containers == {"app": 5 * MIB}


def test_a_pod_without_enclave_holds_nothing_where_the_meter_answered() -> None:
    use = use_of(POD, node(), NOW)
    assert use is not None
    assert use.resident == 0


def test_a_pod_is_known_whatever_other_pods_the_meter_does_not_know_yet() -> None:
    use = use_of(POD, node(strangers=("0c5a7c4e-9d6e-4a57-8f5e-2f3a1b2c3d4e",)), NOW)
    assert use is not None
    assert use.whole


OTHERS = PodContainer(namespace="shop", pod="web-2", pod_uid="u1", container="app")


@pytest.mark.parametrize(
    ("pod", "reading"),
    [
        (POD, None),
        (POD, node(container(), age=61)),
        (POD, node(container(), age=-61)),
        (POD, node(container(), node="n2")),
        (POD, node(left_out=1)),
        (POD, node(unreadable=1)),
        (POD, node(strangers=(POD.uid,))),
        (POD, node(container(), strangers=(POD.uid,))),
        (POD, node(strangers=("ab" * 16,))),
        (POD, node(container(), unreadable=1)),
        (POD, node(container(resident=MOST + 1))),
        (POD, node(container(), container("b", resident=MOST))),
        (POD, node(container(guests=MOST))),
        (POD, node(container(evicted=MOST))),
        (POD, node(container(), use=EpcUse(existing=0, evicted=MOST + 1))),
        (POD, node(replace(container(), name=OTHERS))),
        (POD, node(container("b"), replace(container(), at_least=True))),
        (replace(POD, runs=False), node(container())),
        (replace(POD, has_labels=False), node(container())),
        (replace(POD, start=None), node(container())),
        (replace(POD, start=NOW - timedelta(seconds=1)), node(container())),
    ],
    ids=[
        "no meter answered",
        "the report is old",
        "the report is of a time to come",
        "the report is of another node",
        "containers were left out",
        "processes could not be read",
        "the meter does not know yet whose its EPC is",
        "nor whose a part of it is",
        "a static pod's EPC may be its",
        "one of its processes may be what could not be read",
        "a container holds more than there can be",
        "all containers together hold more than there can be",
        "a guest holds more than there can be",
        "more exists than there can be",
        "more is evicted on the node than there can be",
        "the uid is another pod's",
        "one of its containers is counted in part",
        "it never was ready",
        "its labels are too long",
        "its node has not taken it",
        "it began after the report",
    ],
)
def test_what_nobody_knows_is_unknown_and_not_zero(pod: PodSite, reading: NodeUse | None) -> None:
    assert use_of(pod, reading, NOW) is None


def test_who_is_named_is_known_also_where_others_were_left_out() -> None:
    use = use_of(POD, node(container(), left_out=3), NOW)
    assert use is not None
    assert use.resident == 4 * MIB


def test_who_asked_and_is_not_named_is_unknown_where_others_were_left_out() -> None:
    two = replace(POD, requests={"app": MIB, "other": MIB})
    assert use_of(two, node(container(), left_out=3), NOW) is None
    assert use_of(two, node(container()), NOW) is not None


def test_by_areas_alone_nothing_is_known_of_evictions() -> None:
    use = use_of(POD, node(container(evicted=None), source=EpcSource.MAPS), NOW)
    assert use is not None
    assert (use.resident, use.evicted, use.existing, use.node_evicted) == (4 * MIB, None, None, None)
