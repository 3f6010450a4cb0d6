"""`donjon why` where two nodes have each their own trouble: the verdict is of those that the pod may go to, and of no other."""

from collections.abc import Callable
from itertools import permutations, product

import pytest
from tests.diagnosis.worlds import around, holding, labelled, node, pod, saying, with_spec

from donjon.diagnosis.explanation import ClusterState, Explanation
from donjon.diagnosis.pod import explain
from donjon.formats.json import Json, JsonObject

World = tuple[JsonObject, tuple[JsonObject, ...]]
"""A node, and the pods on it."""
READY: JsonObject = {"type": "Ready", "status": "True"}
AESM: JsonObject = {"donjon.dev/aesm": "ready"}
FIRST, SECOND = "sgx-1", "sgx-2"


def having(name: str, epc: str = "8Gi", **spec: Json) -> JsonObject:
    return labelled(with_spec(node(name, epc), spec), {"kubernetes.io/hostname": name, **AESM})


def in_state(name: str, kubelet: str, sgx: str, epc: str = "8Gi") -> JsonObject:
    sgx_ready: JsonObject = {"type": "SGXReady", "status": sgx, "message": "driver: no device [DJ004]"}
    silent: JsonObject = {"type": "Ready", "status": kubelet, "message": "Kubelet stopped posting node status."}
    return saying(having(name, epc), silent, sgx_ready)


def taint(key: str, value: str = "", effect: str = "NoSchedule") -> JsonObject:
    return {"key": key, "value": value, "effect": effect}


UNREACHABLE = [taint("node.kubernetes.io/unreachable"), taint("node.kubernetes.io/unreachable", effect="NoExecute")]

CAUSES: dict[str, Callable[[str], World]] = {
    "epc held": lambda name: (having(name), (holding("7Gi", name, "hog"),)),
    "devices held": lambda name: (
        labelled(node(name, enclave="1"), {"kubernetes.io/hostname": name, **AESM}),
        (holding("1Mi", name),),
    ),
    "no device offered": lambda name: (labelled(node(name, enclave="0"), {"kubernetes.io/hostname": name, **AESM}), ()),
    "no aesm": lambda name: (node(name), ()),
    "cordon": lambda name: (having(name, unschedulable=True), ()),
    "no cpu": lambda name: (having(name), (with_spec(pod(name="busy", on=name), busy()),)),
    "kubelet silent": lambda name: (with_spec(in_state(name, "Unknown", "True"), {"taints": list(UNREACHABLE)}), ()),
    "disk full": lambda name: (having(name, taints=[taint("node.kubernetes.io/disk-pressure")]), ()),
    "too small": lambda name: (having(name, "1Gi"), ()),
    "device gone": lambda name: (in_state(name, "True", "False", "0"), ()),
    "kubelet silent and device gone": lambda name: (in_state(name, "Unknown", "False", "0"), ()),
    "taint": lambda name: (having(name, taints=[taint("team", "ml")]), ()),
    "no sgx": lambda name: (having(name, ""), ()),
}
"""What may be the matter with a node."""

ORDER = (
    ("epc held", "devices held", "no device offered", "no aesm", "cordon", "no cpu"),
    ("kubelet silent", "disk full"),
    ("too small",),
    ("device gone",),
    ("kubelet silent and device gone",),
    ("taint",),
    ("no sgx",),
)
"""The causes, the nearest first; of those in one line both are told."""


def busy() -> JsonObject:
    return {"containers": [{"name": "app", "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "2"}}}]}


def asking(**spec: Json) -> JsonObject:
    """A pod that needs AESM, some cpu and 2Gi of EPC."""
    asks = pod("2Gi")
    limits: JsonObject = {"sgx.intel.com/epc": "2Gi", "sgx.intel.com/enclave": "1", "cpu": "1"}
    selector = spec.pop("nodeSelector", None)
    chosen: JsonObject = {**AESM, **(selector if isinstance(selector, dict) else {})}
    own: JsonObject = {"containers": [{"name": "app", "resources": {"limits": limits}}], "nodeSelector": chosen}
    return with_spec(asks, own | spec)


def together(*worlds: World) -> ClusterState:
    return around(*(node for node, _ in worlds), pods=tuple(each for _, pods in worlds for each in pods))


def words(told: Explanation) -> str:
    """All that the findings say."""
    return told.verdict + " ".join(f"{each.observation} {each.why} {each.do}" for each in told.findings)


def codes(told: Explanation) -> list[str]:
    return [each.code for each in told.findings]


def requiring(kind: str, key: str, value: str) -> JsonObject:
    term: JsonObject = {kind: [{"key": key, "operator": "In", "values": [value]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}


def with_label(world: World, label: str, value: str) -> World:
    thing, pods = world
    metadata = thing["metadata"]
    assert isinstance(metadata, dict)
    labels = metadata["labels"]
    assert isinstance(labels, dict)
    return labelled(thing, {**labels, label: value}), pods


def with_taint(world: World, *more: JsonObject) -> World:
    thing, pods = world
    spec = thing["spec"]
    assert isinstance(spec, dict)
    taints = spec.get("taints", [])
    assert isinstance(taints, list)
    return with_spec(thing, {"taints": [*taints, *more]}), pods


def plainly(world: World) -> World:
    return world


def as_ssd(world: World) -> World:
    return with_label(world, "tier", "ssd")


def as_hdd(world: World) -> World:
    return with_label(world, "tier", "hdd")


def of_team(team: str) -> Callable[[World], World]:
    return lambda world: with_taint(world, taint("owner", team))


TOLERATES: JsonObject = {"key": "owner", "operator": "Equal", "value": "us"}

PINS: dict[str, tuple[JsonObject, Callable[[World], World], Callable[[World], World]]] = {
    "host name": (asking(nodeSelector={"kubernetes.io/hostname": FIRST}), plainly, plainly),
    "own label": (asking(nodeSelector={"tier": "ssd"}), as_ssd, plainly),
    "own label with another value": (asking(nodeSelector={"tier": "ssd"}), as_ssd, as_hdd),
    "affinity": (asking(affinity=requiring("matchExpressions", "tier", "ssd")), as_ssd, plainly),
    "affinity to its zone": (
        asking(affinity=requiring("matchExpressions", "topology.kubernetes.io/zone", "east")),
        lambda world: with_label(world, "topology.kubernetes.io/zone", "east"),
        lambda world: with_label(world, "topology.kubernetes.io/zone", "west"),
    ),
    "DaemonSet": (asking(affinity=requiring("matchFields", "metadata.name", FIRST)), plainly, plainly),
    "taint and toleration": (asking(tolerations=[TOLERATES]), of_team("us"), of_team("them")),
}
"""How a pod is kept to the first of two nodes: the pod, what the first has for it, what the second has."""


@pytest.mark.parametrize(
    ("pin", "cause"),
    [
        (pin, cause)
        for pin, cause in product(PINS, CAUSES)
        if cause != "no sgx" and (pin, cause) != ("taint and toleration", "taint")  # That keeps it to neither.
    ],
)
def test_a_pod_that_is_kept_to_a_node_is_told_of_that_node_whatever_the_other_has(pin: str, cause: str) -> None:
    asks, on_first, on_second = PINS[pin]
    first = on_first(CAUSES[cause](FIRST))
    alone = explain(asks, together(first))
    assert alone.findings[0].code != "DJ133" or cause in {"taint", "cordon"}
    for other in (lambda name: (having(name), ()), lambda name: (having(name, "64Gi"), ()), *CAUSES.values()):
        told = explain(asks, together(first, on_second(other(SECOND))))
        assert codes(told) == codes(alone)
        assert SECOND not in words(told)
        assert told.next_step == alone.next_step or cause == "too small"


@pytest.mark.parametrize(("one", "other"), list(permutations(CAUSES, 2)))
def test_of_two_troubles_that_of_the_nearer_node_is_told_and_its_own_advice(one: str, other: str) -> None:
    ranks = {cause: rank for rank, row in enumerate(ORDER) for cause in row}
    assert ranks.keys() == CAUSES.keys()
    worlds = {cause: CAUSES[cause](name) for cause, name in ((one, FIRST), (other, SECOND))}
    told = explain(asking(), together(*worlds.values()))
    nearest = [cause for cause in worlds if ranks[cause] == min(map(ranks.__getitem__, worlds))]
    alone = {cause: explain(asking(), together(worlds[cause])) for cause in nearest}
    assert set(codes(told)) == {code for each in alone.values() for code in codes(each)}
    if len(nearest) == 1 and not ("too small" in nearest and SIZE_UNKNOWN.intersection(worlds)):
        assert told.next_step == alone[nearest[0]].next_step or nearest == ["too small"]
        assert (FIRST if nearest == [other] else SECOND) not in words(told)


SIZE_UNKNOWN = {"device gone", "kubelet silent and device gone"}


@pytest.mark.parametrize("cause", sorted(SIZE_UNKNOWN))
def test_a_node_of_which_nobody_knows_the_size_is_named_beside_the_largest(cause: str) -> None:
    told = explain(asking(), together(CAUSES["too small"](FIRST), CAUSES[cause](SECOND)))
    assert "no node says that it has that much: the largest, sgx-1, has 1Gi" in told.verdict
    assert "put right sgx-2, of which nobody knows now how much it has" in told.next_step
    assert all("for ever" not in each.why for each in told.findings)


@pytest.mark.parametrize(("pin", "cause"), list(product(("host name", "own label", "DaemonSet"), CAUSES)))
def test_a_pod_that_is_kept_to_a_machine_without_sgx_is_told_so_and_what_it_leaves_out(pin: str, cause: str) -> None:
    asks, on_first, on_second = PINS[pin]
    told = explain(asks, together(on_first(CAUSES["no sgx"](FIRST)), on_second(CAUSES[cause](SECOND))))
    assert codes(told) == ["DJ134"]
    assert "no node that it could go to offers SGX (looked at sgx-1)" in told.verdict
    assert ("change its nodeSelector or affinity, which leaves out sgx-2" in told.next_step) is (cause != "no sgx")
    assert "kubectl label" not in told.next_step


def test_labels_that_an_agent_took_away_with_the_rest_are_no_choice_of_the_pods() -> None:
    broken, _ = CAUSES["device gone"](FIRST)
    asks = asking(nodeSelector={"sgx.intel.com/capable": "true", "donjon.dev/driver": "in-tree", "tier": "ssd"})
    told = explain(asks, together(as_ssd((broken, ())), (having(SECOND), ())))
    assert codes(told) == ["DJ134"]
    assert "sgx-1: not ready for enclaves: driver: no device [DJ004]" in told.verdict
    assert "kubectl describe node sgx-1" in told.next_step


def test_a_silent_kubelet_is_told_as_the_nodes_own_trouble_and_no_toleration_is_advised() -> None:
    for cause in ("kubelet silent", "disk full"):
        told = explain(asking(), together(CAUSES[cause](FIRST)))
        assert codes(told) == ["DJ134"]
        assert "the node itself" in told.verdict
        assert "toleration" not in words(told)
        assert "donjon doctor" not in told.next_step


@pytest.mark.parametrize("cause", ["device gone", "kubelet silent"])
def test_where_the_scheduler_alone_knows_what_keeps_a_pod_to_a_broken_node_both_are_told(cause: str) -> None:
    sentence = "0/2 nodes are available: 1 Insufficient sgx.intel.com/epc, 1 node(s) had volume node affinity conflict."
    bound = saying(asking(), {"type": "PodScheduled", "status": "False", "message": sentence})
    told = explain(bound, together(CAUSES[cause](FIRST), (having(SECOND), ())))
    assert codes(told) == ["DJ138", "DJ134"]
    assert "volume node affinity conflict" in told.verdict
    assert "sgx-2 has the EPC" in told.findings[0].why
    assert "where that keeps it to sgx-1, " in told.next_step
    assert codes(explain(bound, together((having(FIRST), ()), (having(SECOND), ())))) == ["DJ138"]
    assert codes(explain(asking(), together(CAUSES[cause](FIRST), (having(SECOND), ())))) == ["DJ138"]
