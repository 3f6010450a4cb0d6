"""Reports added up: each container once, who holds most first, and nothing known where one part is unknown."""

from dataclasses import replace

from tests.kube.epc import MIB, container, held, report

from donjon.kube.epc_tally import TallyGroup, tally
from donjon.sgx.epc import EpcSource, EpcUse

HERE = report(
    container(10, held(5, 1)), container(10, held(7), name="side"), container(1, held(1), namespace="bank", pod="b"), node="n1"
)
THERE = report(container(10, held(9), pod="app-2", guests=3), node="n2")
EMPTY = report(node="n3")


def test_by_container_pod_namespace_and_node() -> None:
    def shown(group: TallyGroup, namespace: str = "") -> list[tuple[str, int, int]]:
        rows = tally((HERE, THERE, EMPTY), group, namespace)
        return [("/".join(row.name), row.resident // MIB, row.request // MIB) for row in rows]

    assert shown(TallyGroup.CONTAINER) == [
        ("shop/app-2/app", 12, 10),
        ("shop/app-1/side", 7, 10),
        ("shop/app-1/app", 5, 10),
        ("bank/b/app", 1, 1),
    ]
    assert shown(TallyGroup.POD) == [("shop/app-1", 12, 20), ("shop/app-2", 12, 10), ("bank/b", 1, 1)]
    assert shown(TallyGroup.NAMESPACE) == [("shop", 24, 30), ("bank", 1, 1)]
    assert shown(TallyGroup.NODE) == [("n1", 13, 21), ("n2", 12, 10), ("n3", 0, 0)]
    assert shown(TallyGroup.POD, "bank") == [("bank/b", 1, 1)]


def test_a_row_says_where_and_its_peak_only_where_it_is_one() -> None:
    (shop, _) = tally((HERE, THERE), TallyGroup.NAMESPACE)
    assert (shop.nodes, shop.peak, shop.containers) == (("n1", "n2"), None, 3)
    (alone,) = tally((THERE,), TallyGroup.NAMESPACE)
    assert (alone.nodes, alone.peak) == (("n2",), 12 * MIB)


def test_of_a_node_where_nobody_holds_any_no_more_is_known_than_its_source_knows() -> None:
    (row,) = tally((report(node="n4", source=EpcSource.MAPS),), TallyGroup.NODE)
    assert (row.use.resident, row.use.existing, row.use.evicted) == (0, None, None)
    (row,) = tally((EMPTY,), TallyGroup.NODE)
    assert (row.use.resident, row.use.existing, row.use.evicted) == (0, 0, 0)


def test_what_one_part_does_not_know_the_row_does_not_know() -> None:
    bound = EpcUse(resident=64 * MIB, existing=None, evicted=None, enclaves=1)
    mixed = replace(HERE, containers=(*HERE.containers, container(1, bound, pod="app-1", name="third")))
    (row, _) = tally((mixed,), TallyGroup.POD)
    assert (row.use.evicted, row.use.resident) == (None, 76 * MIB)
