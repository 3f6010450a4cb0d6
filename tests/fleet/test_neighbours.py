"""What many constraints cost, and that too many are said and not passed over."""

import pytest
from tests.fleet.scheduling import HOST, node, pod, required

from donjon.fleet.scheduling import neighbours
from donjon.fleet.scheduling.outlook import Prospect, outlook
from donjon.fleet.scheduling.schedule import SMALL, Scheduler
from donjon.formats.json import JsonObject


def apart(name: str, app: str, namespace: str = "default") -> JsonObject:
    """A pod that wants no other of its application on its node."""
    affinity = required("podAntiAffinity", {"topologyKey": HOST, "labelSelector": {"matchLabels": {"app": app}}})
    one = pod(name, 1, labels={"app": app}, affinity=affinity)
    return {**one, "metadata": {"name": name, "namespace": namespace, "labels": {"app": app}}}


def test_more_constraints_than_are_looked_at_make_pods_unknown_and_never_fitting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "MAX_WORK", 50)
    whole = outlook([node("a", 64)], [], [apart(f"p{each}", f"a{each}") for each in range(30)])
    assert Prospect.UNKNOWN in {each.prospect for each in whole.pods}
    assert "more constraints among pods" in whole.pods[-1].unread


def test_constraints_of_one_namespace_cost_the_others_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand pods in a thousand namespaces: each is held against itself alone."""
    monkeypatch.setattr(neighbours, "MAX_WORK", 15_000)
    queue = [apart("p", "a", f"n{each}") for each in range(1000)]
    nodes = [node(f"n{each}", 1024) for each in range(SMALL + 1)]
    assert len(Scheduler(nodes, [], 0).place(queue).nodes) == 1000


def test_a_tokens_volume_makes_no_pod_another() -> None:
    table = Scheduler([node("a", 64)], [])
    shapes = {table._shapes.of(pod("p", 1, volumes=[{"name": f"kube-api-access-{each}"}])) for each in range(5)}
    assert len(shapes) == 1


def test_init_containers_are_not_taken_for_others() -> None:
    """Two pods with the same two containers, one of them an init container's in one: they ask for another sum."""
    container = {"name": "c", "image": "i", "resources": {"requests": {"sgx.intel.com/epc": "40Mi"}}}
    both, one = pod("p", containers=[container, container]), pod("q", containers=[container], initContainers=[container])
    assert set(Scheduler([node("a", 64)], []).place([both, one]).nodes) == {"default/q"}


def test_in_a_large_cluster_whoever_has_room_somewhere_gets_it() -> None:
    """Of many full nodes the one that is free is found, and pods apart get a node each until there is none."""
    nodes = [node(f"n{each}", 64) for each in range(SMALL + 50)]
    full = [pod(f"f{each}", 64, at=f"n{each}") for each in range(SMALL + 49)]
    assert Scheduler(nodes, full).place([pod("p", 64)]).nodes == {"default/p": f"n{SMALL + 49}"}
    queue = [apart(f"p{each}", "a") for each in range(SMALL + 60)]
    outcome = Scheduler(nodes, []).place(queue)
    assert len(set(outcome.nodes.values())) == len(outcome.nodes) == SMALL + 50
    assert len(outcome.pending) == 10


def test_many_constraints_of_one_pod_look_at_the_nodes_once() -> None:
    """With 5,000 nodes, 50 pods of 32 constraints each took minutes, whatever the bound of work."""
    spread: list[JsonObject] = [
        {
            "maxSkew": 1,
            "topologyKey": HOST,
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": f"{each}"}},
        }
        for each in range(32)
    ]
    scheduler = Scheduler([node("a", 64), node("b", 64)], [])
    assert scheduler.place([pod("p", 1, topologySpreadConstraints=[*spread])]).nodes
    (seeker,) = scheduler._seekers.values()
    assert len(seeker.among) == 1
    assert len(scheduler._board.neighbours._totals) == 1
