"""How many machines pods need: held against one pod at a time, put where it first fits."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from tests.fleet.tables import FACTS, PRICES, SOURCES

from donjon.fleet.machines.catalogue import parse
from donjon.fleet.machines.packing import MAX_PODS, PodGroup, beside, obstacle, pack, room
from donjon.kube.names import EPC
from donjon.kube.reserved import Amounts

GIB = 1 << 30


def offer(epc: int, memory: int, pods: int = MAX_PODS) -> Amounts:
    return {EPC: Fraction(epc), "memory": Fraction(memory), "pods": Fraction(pods)}


def group(name: str, replicas: int, epc: int, memory: int = 0) -> PodGroup:
    return PodGroup(name=name, replicas=replicas, requests={EPC: Fraction(epc), "memory": Fraction(memory)})


def one_by_one(groups: list[PodGroup], whole: Amounts) -> list[dict[str, Fraction]]:
    """What is free on each machine, when each pod goes where it first fits."""
    machines: list[dict[str, Fraction]] = []
    share = {
        each.name: max(amount / whole[name] for name, amount in (*each.requests.items(), ("pods", Fraction(1))))
        for each in groups
    }
    for each in sorted(groups, key=lambda one: -share[one.name]):
        need = {**each.requests, "pods": Fraction(1)}
        for _ in range(each.replicas):
            free = next((one for one in machines if all(one[name] >= amount for name, amount in need.items())), None)
            if free is None:
                machines.append(free := dict(whole))
            for name, amount in need.items():
                free[name] -= amount
    return machines


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 10), st.integers(0, 10)), max_size=6),
    st.tuples(st.integers(10, 40), st.integers(10, 40), st.integers(1, 12)),
)
def test_it_takes_as_many_machines_as_one_pod_at_a_time(pods: list[tuple[int, int, int]], machine: tuple[int, int, int]) -> None:
    whole = offer(*machine)
    groups = [group(str(index), replicas, epc, memory) for index, (replicas, epc, memory) in enumerate(pods)]
    packing, machines = pack(groups, whole), one_by_one(groups, whole)
    assert packing.count == len(machines)
    assert packing.left == {name: sum((one[name] for one in machines), Fraction(0)) for name in whole}


def test_a_million_pods_are_counted_without_making_them() -> None:
    assert pack([group("many", 1_000_000, 1)], offer(10, 0)).count == 100_000


def test_what_is_on_each_machine_is_taken_from_all() -> None:
    each_node = PodGroup(name="agent", replicas=1, requests={"memory": Fraction(3)}, on_each_node=True)
    there = beside([each_node, group("a", 4, 0, 4)], offer(0, 10))
    assert (int(there["memory"]), int(there["pods"])) == (7, MAX_PODS - 1)
    assert pack([group("a", 4, 0, 4)], there).count == 4


def test_a_pod_that_fits_on_no_machine_says_for_want_of_what() -> None:
    assert obstacle(group("a", 1, 11), offer(10, 10)) == EPC
    assert obstacle(group("a", 1, 10, 11), offer(10, 10)) == "memory"
    assert obstacle(group("a", 1, 10, 10), offer(10, 10)) == ""
    assert obstacle(group("a", 1, 0), offer(0, 0, pods=0)) == "pods"


def test_ordinary_memory_is_what_is_no_epc_and_not_reserved() -> None:
    sku = parse(FACTS, PRICES, SOURCES).machines["Standard_DC4s_v3"]
    there = room(sku)
    reserved = min(20 * 10**6 * MAX_PODS + 50 * 10**6, 4 * GIB) + (100 << 20)
    assert there == {EPC: 16 * GIB, "memory": 16 * GIB - reserved, "cpu": Fraction(3860, 1000), "pods": MAX_PODS}


def test_processors_between_two_steps_of_the_table_are_reserved_in_proportion() -> None:
    sku = parse(FACTS, PRICES, SOURCES).machines["Standard_DC24s_v3"]
    assert room(sku)["cpu"] == Fraction(24_000 - 340, 1000)
