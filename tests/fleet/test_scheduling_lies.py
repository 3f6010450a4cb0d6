"""What one pod may say so that others are told what is not so, or that all of a plan takes very long."""

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import pytest
from tests.fleet.scheduling import EPC, HOST, MIB, node, pod, required

from donjon.fleet.scheduling import preferences
from donjon.fleet.scheduling.outlook import Prospect, outlook
from donjon.fleet.scheduling.report import report
from donjon.fleet.scheduling.schedule import Scheduler
from donjon.formats.json import JsonObject
from donjon.kube import reserved
from donjon.kube.reserved import pod_requests
from donjon.kube.selection import tolerates

EVERYBODY: JsonObject = {"topologyKey": HOST, "labelSelector": {}}
EVERYWHERE: JsonObject = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "Exists"}]}


def anothers(namespace: str, one: JsonObject) -> JsonObject:
    metadata: Any = one["metadata"]
    return {**one, "metadata": {**metadata, "namespace": namespace}}


def apart(*terms: JsonObject) -> JsonObject:
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [*terms]}}


def _with(value: str) -> JsonObject:
    return {"matchLabels": {"k": value}}


def prospect(nodes: list[JsonObject], there: JsonObject) -> Prospect:
    (each,) = outlook(nodes, [there], [pod("p", 1)]).pods
    return each.prospect


def test_nobody_is_said_to_fit_beside_a_pod_of_anothers_that_may_not_want_it_there() -> None:
    """By the labels of namespaces, which are not looked at; on a node without that pod there is room."""
    there = anothers("evil", pod("a", 1, at="a", affinity=apart({**EVERYBODY, "namespaceSelector": EVERYWHERE})))
    assert prospect([node("a", 64)], there) is Prospect.MAY_FIT
    assert prospect([node("a", 64), node("b", 64)], there) is Prospect.FITS


@pytest.mark.parametrize(("name", "expected"), [("default", Prospect.PENDING), ("other", Prospect.FITS)])
def test_a_namespace_that_is_selected_by_its_name_is_that_one(name: str, expected: Prospect) -> None:
    chosen: JsonObject = {"matchLabels": {"kubernetes.io/metadata.name": name}}
    there = anothers("evil", pod("a", 1, at="a", affinity=apart({**EVERYBODY, "namespaceSelector": chosen})))
    assert prospect([node("a", 64)], there) is expected


def test_terms_beyond_those_that_are_looked_at_let_nobody_be_said_to_fit() -> None:
    harmless: JsonObject = {"topologyKey": HOST, "labelSelector": {"matchLabels": {"x": "y"}}}
    words = apart(*[harmless] * 32, {**EVERYBODY, "namespaces": ["default"]})
    assert prospect([node("a", 64)], anothers("evil", pod("a", 1, at="a", affinity=words))) is Prospect.MAY_FIT
    (own,) = outlook([node("a", 64)], [], [pod("p", 1, affinity=words)]).pods
    assert own.prospect is Prospect.UNKNOWN


def test_room_that_a_pod_may_take_of_which_nothing_can_be_said_is_promised_to_nobody() -> None:
    claims = pod("c", 64, volumes=[{"name": "v", "ephemeral": {}}])
    gated = pod("c", 64, schedulingGates=[{"name": "g"}])
    for rival, expected in ((claims, Prospect.MAY_FIT), (gated, Prospect.FITS)):
        whole = outlook([node("a", 64)], [], [rival, pod("p", 64)], rivals=True)
        assert {each.name: each.prospect for each in whole.pods} == {"default/c": Prospect.UNKNOWN, "default/p": expected}


def test_pods_that_say_much_of_each_other_are_tried_in_fewer_schedules_and_never_in_one_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue = [
        pod(
            f"p{each}",
            1,
            labels={"app": f"a{each}"},
            affinity=required("podAntiAffinity", {**EVERYBODY, "labelSelector": _with(f"{each}")}),
        )
        for each in range(20)
    ]
    work = Scheduler([node("a", 64)], [])
    work.place(queue)
    for most, tries in ((work.work * 100, 16), (work.work * 4, 4), (work.work, 2)):
        monkeypatch.setattr("donjon.fleet.scheduling.outlook.MAX_WORK", most)
        assert outlook([node("a", 64)], [], queue).tries == tries


def test_the_words_of_a_selector_count_and_the_labels_of_a_pod() -> None:
    def work(values: int, labels: int) -> int:
        chosen: JsonObject = {
            "matchExpressions": [{"key": "app", "operator": "NotIn", "values": [f"{n}" for n in range(values)]}]
        }
        affinity = required("podAntiAffinity", {**EVERYBODY, "labelSelector": chosen})
        one = Scheduler([node("a", 64)], [])
        one.place([pod("p", 1, labels={f"l{n}": "" for n in range(labels)}, affinity=affinity)])
        return one.work

    assert work(10_000, 1) > 9_000 + work(1, 1)
    assert work(1, 8_000) > 900 + work(1, 1)


def test_machines_are_bought_for_what_each_pod_asks_whoever_it_says_to_belong_to() -> None:
    owner: JsonObject = {"kind": "Job", "name": "j"}
    queue: list[Any] = [
        pod("large", 8 * 1024),
        *(pod(f"s{each}", 65) for each in range(5)),
        pod("lost", 65, nodeSelector={"x": "y"}),
    ]
    for each in queue:
        each["metadata"]["ownerReferences"] = [owner]
    nodes = [node("a", 64)]
    groups = report(nodes, queue, outlook(nodes, [], queue), {}).short
    assert [(each.replicas, int(each.requests[EPC])) for each in groups] == [(1, 8 * 1024 * MIB), (5, 65 * MIB)]


def test_a_pod_of_many_containers_is_summed_in_time_that_grows_with_them_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each asks for another resource: a pod has room for thousands of both."""
    looks: list[int] = []
    peak = reserved.peak

    def count(starts: Iterable[tuple[Fraction, bool]]) -> Fraction:
        each = [*starts]
        looks.append(len(each))
        return peak(each)

    monkeypatch.setattr(reserved, "peak", count)
    containers: Any = [{"name": f"c{n}", "resources": {"requests": {f"x.io/{n}": "1"}}} for n in range(300)]
    assert len(pod_requests({"spec": {"containers": containers}})) == 300
    assert sum(looks) == 300


def test_more_words_about_nodes_than_are_looked_at_are_said_of_that_pod_alone() -> None:
    """A pod has room for tens of thousands, and each node is asked about each."""
    values = [f"v{each}" for each in range(6000)]
    term: JsonObject = {"matchExpressions": [{"key": "x", "operator": "NotIn", "values": [*values]}]}
    required_terms: JsonObject = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    queue = [pod("p", 1, affinity={"nodeAffinity": required_terms}), pod("q", 1)]
    prospects = {each.name: each.prospect for each in outlook([node("a", 64)], [], queue).pods}
    assert prospects == {"default/p": Prospect.UNKNOWN, "default/q": Prospect.FITS}


def test_tolerations_of_other_taints_are_not_held_against_each_node(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[JsonObject] = []

    def count(toleration: JsonObject, taint: JsonObject) -> bool:
        looks.append(toleration)
        return tolerates(toleration, taint)

    monkeypatch.setattr(preferences, "tolerates", count)
    nodes = [node(f"n{each}", 64, taints=[{"key": "t", "effect": "PreferNoSchedule"}]) for each in range(9)]
    words: Any = [{"key": f"k{each}", "operator": "Exists"} for each in range(1000)]
    assert Scheduler(nodes, []).place([pod("p", 1, tolerations=[*words, {"key": "t", "operator": "Exists"}])]).nodes
    assert {each["key"] for each in looks} == {"t"}


@pytest.mark.parametrize(
    ("one", "other", "number"),
    [
        ("", "", 0),
        ("", "10.0.0.1", 0),
        ("10.0.0.1", "", 0),
        ("10.0.0.1", "10.0.0.2", 1),
        ("10.0.0.1", "10.0.0.1", 0),
    ],
)
def test_ports_of_the_host_are_taken_by_address(one: str, other: str, number: int) -> None:
    def with_port(name: str, address: str, **where: Any) -> JsonObject:
        return pod(name, containers=[{"name": "c", "ports": [{"hostPort": 80, "hostIP": address}]}], **where)

    placed = Scheduler([node("a", 64)], [with_port("r", one, at="a")]).place([with_port("p", other)])
    assert len(placed.nodes) == number
