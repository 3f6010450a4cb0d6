"""What a watch proposes: never twice for the same pods, never in vain, never in a circle."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from tests.fleet.scaling import LABEL, Cloud, made
from tests.fleet.scheduling import HOST, pod, required

from donjon.fleet.scaling.record import ScalingRules, ScalingVerb

MINUTE = 60


def verbs(cloud: Cloud) -> list[tuple[str, str, int, int]]:
    return [(str(step.verb), step.pool, step.before, step.after) for _, step in cloud.steps]


def test_a_pool_grows_by_the_fewest_nodes_on_which_all_fit() -> None:
    cloud = Cloud({"sgx1": (0, 9, 128)})
    cloud.add("sgx1")
    cloud.pods = [made(pod(f"p{index}", 50)) for index in range(7)]
    cloud.bind()
    assert len(cloud.pending()) == 5
    cloud.look()
    assert verbs(cloud) == [("grow", "sgx1", 1, 4)]
    reason = cloud.steps[0][1].reason
    assert reason == (
        "5 pods (default/p2, default/p3, default/p4 and 2 more) ask for 250Mi of EPC and have no room;"
        " with 3 nodes more, of 128Mi each, they fit, 134Mi of it left over"
    )


def test_nodes_that_come_are_waited_for_and_nobody_asks_twice() -> None:
    """Registered after 2 minutes, ready after 3, and offering EPC after 5 alone: a node without EPC is still one that comes."""
    for tells in (True, False):
        cloud = Cloud({"sgx1": (0, 9, 128)}, stages=(120, 180, 300), tells_size=tells)
        cloud.add("sgx1")
        cloud.pods = [made(pod(f"p{index}", 100)) for index in range(3)]
        cloud.go_on(9 * MINUTE)
        assert verbs(cloud) == [("grow", "sgx1", 1, 3)], tells
        assert cloud.pending() == []


def test_who_looks_for_the_first_time_while_nodes_come_does_not_ask_again() -> None:
    for tells, after in ((True, 60), (True, 150), (True, 200), (False, 150), (False, 200)):
        cloud = Cloud({"sgx1": (0, 9, 128)}, stages=(120, 180, 300), tells_size=tells)
        cloud.add("sgx1")
        cloud.pods = [made(pod(f"p{index}", 100)) for index in range(3)]
        cloud.go_on(after)
        cloud.records = {}
        cloud.go_on(6 * MINUTE)
        assert verbs(cloud) == [("grow", "sgx1", 1, 3)], (tells, after)


def test_more_pods_while_nodes_come_are_added_after_a_minute_and_only_they() -> None:
    cloud = Cloud({"sgx1": (0, 9, 128)}, stages=(120, 180, 300))
    cloud.add("sgx1")
    cloud.pods = [made(pod(f"p{index}", 100)) for index in range(2)]
    cloud.go_on(30)
    cloud.pods += [made(pod(f"q{index}", 100)) for index in range(2)]
    cloud.go_on(30)
    assert verbs(cloud) == [("grow", "sgx1", 1, 2)]
    assert "it grew at 10:00:00Z, and rests until 10:01:00Z" in " ".join(cloud.holds)
    cloud.go_on(9 * MINUTE)
    assert verbs(cloud) == [("grow", "sgx1", 1, 2), ("grow", "sgx1", 2, 4)]


def test_bounds_are_kept_and_who_waits_is_told() -> None:
    cloud = Cloud({"sgx1": (0, 3, 128)})
    cloud.add("sgx1")
    cloud.pods = [made(pod(f"p{index}", 100)) for index in range(9)]
    cloud.go_on(30 * MINUTE, every=120)
    assert verbs(cloud) == [("grow", "sgx1", 1, 3)]
    assert cloud.holds == ["sgx1: default/replicaset/web, 6 pods: would fit on a new node, and it is at its max of 3"]


def test_pods_that_no_pool_takes_make_none_grow() -> None:
    cloud = Cloud({"sgx1": (0, 9, 128)})
    cloud.add("sgx1")
    anti = required("podAntiAffinity", {"topologyKey": LABEL, "labelSelector": {"matchLabels": {"app": "x"}}})
    cloud.pods = [
        made(pod("huge", 500), "a"),
        made(pod("elsewhere", 10, nodeSelector={"disk": "fast"}), "b"),
        made(pod("without", 0, cpu="100")),
        made(pod("there", 10, at="sgx1-1", labels={"app": "x"})),
        made(pod("apart", 10, labels={"app": "x"}, affinity=anti), "c"),
        made(pod("claims", 10, resourceClaims=[{"name": "x"}]), "d"),
    ]
    cloud.go_on(30 * MINUTE, every=120)
    assert verbs(cloud) == []
    told = "\n".join(cloud.holds)
    assert "default/huge: no pool would take it (sgx1: has 128Mi of EPC in all)" in told
    assert "default/elsewhere: no pool would take it (sgx1: the pod wants nodeSelector disk=fast" in told
    assert "sgx1: default/apart: would fit on a new node, and other pods, or the pod's own spreading, keep it" in told
    assert "default/claims: nothing can be said: resourceClaims is not looked at" in told
    assert "without" not in told


def test_pods_that_want_nodes_of_their_own_get_them() -> None:
    cloud = Cloud({"sgx1": (0, 9, 128)})
    cloud.add("sgx1")
    anti = required("podAntiAffinity", {"topologyKey": HOST, "labelSelector": {"matchLabels": {"app": "x"}}})
    cloud.pods = [made(pod(f"p{index}", 1, labels={"app": "x"}, affinity=anti)) for index in range(3)]
    cloud.go_on(5 * MINUTE)
    assert verbs(cloud) == [("grow", "sgx1", 1, 3)]


def test_the_pool_with_the_least_left_over_grows_and_an_empty_one_can() -> None:
    cloud = Cloud({"large": (0, 9, 1024), "small": (0, 9, 128)})
    cloud.pods = [made(pod("p", 100))]
    cloud.look()
    assert verbs(cloud) == [("grow", "small", 0, 1)]


def test_two_pools_grow_where_each_takes_other_pods() -> None:
    cloud = Cloud({"large": (0, 9, 1024), "small": (0, 1, 128)})
    cloud.pods = [made(pod("huge", 900)), *(made(pod(f"p{index}", 120)) for index in range(3))]
    cloud.go_on(5 * MINUTE)
    assert cloud.pending() == []
    assert len(cloud.steps) <= 2


def test_nodes_that_never_come_are_not_asked_for_again_and_another_pool_is() -> None:
    cloud = Cloud({"sgx1": (0, 9, 128), "sgx2": (0, 9, 256)}, stages=(10**6, 10**6, 10**6))
    cloud.pods = [made(pod("p", 100))]
    cloud.go_on(60 * MINUTE, every=120)
    assert verbs(cloud) == [("grow", "sgx1", 0, 1), ("grow", "sgx2", 0, 1)]
    assert "1 nodes that it was to have by 10:10:00Z are not there" in " ".join(cloud.holds)


def test_a_node_less_is_proposed_after_it_could_have_gone_for_ten_minutes() -> None:
    cloud = Cloud({"sgx1": (1, 9, 128)})
    cloud.add("sgx1", 3)
    cloud.pods = [made(pod(f"p{index}", 40, at="sgx1-1")) for index in range(2)]
    cloud.go_on(10 * MINUTE)
    assert verbs(cloud) == []
    assert cloud.holds == ["sgx1: a node could go since 10:00:00Z; if it still can, it is to go at 10:10:00Z"]
    cloud.go_on(60 * MINUTE, every=120)
    assert verbs(cloud) == [("shrink", "sgx1", 3, 2), ("shrink", "sgx1", 2, 1)]
    assert cloud.pending() == []


def test_what_would_leave_a_pod_pending_is_not_proposed() -> None:
    cloud = Cloud({"sgx1": (0, 9, 128)})
    cloud.add("sgx1", 2)
    cloud.pods = [made(pod("a", 100, at="sgx1-1")), made(pod("b", 50, at="sgx1-2"))]
    cloud.go_on(60 * MINUTE, every=120)
    assert verbs(cloud) == []


def test_a_pause_in_the_surplus_begins_the_time_anew() -> None:
    cloud = Cloud({"sgx1": (0, 9, 128)})
    cloud.add("sgx1", 2)
    some = [made(pod("a", 100, at="sgx1-1"))]
    for _ in range(4):
        cloud.pods = some
        cloud.go_on(8 * MINUTE)
        cloud.pods = [*some, made(pod("b", 100, at="sgx1-2"))]
        cloud.go_on(MINUTE)
    assert verbs(cloud) == []


def test_a_pool_with_a_pod_that_is_to_stay_does_not_shrink() -> None:
    stay: Any = made(pod("b", 1, at="sgx1-2"))
    stay["metadata"]["annotations"] = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
    alone = pod("alone", 1, at="sgx1-2")
    scratch = made(pod("scratch", 1, at="sgx1-2", volumes=[{"name": "v", "emptyDir": {}}]))
    for each, words in ((stay, "safe-to-evict=false"), (alone, "belongs to nobody"), (scratch, "emptyDir")):
        cloud = Cloud({"sgx1": (0, 9, 128)})
        cloud.add("sgx1", 2)
        cloud.pods = [each]
        cloud.go_on(60 * MINUTE, every=120)
        assert verbs(cloud) == []
        assert words in cloud.holds[0]


def test_a_proposal_that_nobody_carries_out_is_made_once_and_withdrawn_with_its_pods() -> None:
    cloud = Cloud({"sgx1": (0, 9, 128)}, rules=ScalingRules(acts=False), tells_size=False)
    cloud.add("sgx1")
    cloud.pods = [made(pod(f"p{index}", 100)) for index in range(3)]
    cloud.go_on(60 * MINUTE, 120, acts=False)
    assert verbs(cloud) == [("grow", "sgx1", 1, 3)]
    cloud.pods = cloud.pods[:1]
    cloud.go_on(MINUTE)
    cloud.pods += [made(pod(f"q{index}", 100)) for index in range(2)]
    cloud.go_on(MINUTE, acts=False)
    assert verbs(cloud) == [("grow", "sgx1", 1, 3)] * 2


def test_without_shrinking_none_is_proposed() -> None:
    cloud = Cloud({"sgx1": (0, 9, 128)})
    cloud.rules = replace(cloud.rules, shrinks=False)
    cloud.add("sgx1", 3)
    cloud.go_on(60 * MINUTE, every=120)
    assert cloud.steps == []


def test_one_step_at_a_time_makes_no_node_go_before_its_time() -> None:
    cloud = Cloud({"sgx1": (0, 9, 128)})
    cloud.add("sgx1", 4)
    cloud.go_on(60 * MINUTE, every=120)
    moments = [moment for moment, step in cloud.steps if step.verb is ScalingVerb.SHRINK]
    assert len(moments) == 4
    assert all(later - earlier >= timedelta(minutes=10) for earlier, later in pairwise(moments))


def test_others_that_wait_take_room_on_new_nodes_and_are_reckoned_with() -> None:
    """They ask for no EPC, and nothing keeps them from nodes that have some."""
    cloud = Cloud({"sgx1": (0, 9, 128)})
    cloud.add("sgx1")
    cloud.pods = [*(made(pod(f"other{index}", cpu="4"), "other") for index in range(4)), made(pod("p", 100, cpu="3"))]
    cloud.go_on(5 * MINUTE)
    assert "p" not in cloud.pending()
    assert verbs(cloud) == [("grow", "sgx1", 1, 5)]


def test_who_gets_a_node_where_pods_are_tried_in_another_order_is_not_left_to_luck() -> None:
    """Two nodes would do for 70 + 30 and 60 + 40, and not where 60 and 30 come first."""
    cloud = Cloud({"sgx1": (0, 9, 100)})
    cloud.pods = [made(pod(f"p{epc}", epc)) for epc in (70, 60, 40, 30)]
    cloud.look()
    assert verbs(cloud) == [("grow", "sgx1", 0, 3)]


def test_very_many_pods_are_grown_for_in_several_steps() -> None:
    cloud = Cloud({"sgx1": (0, 300, 128)})
    cloud.pods = [made(pod(f"p{index}", 100)) for index in range(130)]
    cloud.go_on(MINUTE, every=60)
    assert verbs(cloud) == [("grow", "sgx1", 0, 100)]
    assert cloud.holds == ["sgx1: default/replicaset/web, 30 pods: would fit on a new node, and it grows for others first"]
    cloud.go_on(2 * MINUTE, every=60)
    assert cloud.pending() == []
    assert verbs(cloud) == [("grow", "sgx1", 0, 100), ("grow", "sgx1", 100, 130)]


def test_a_shrink_that_nobody_carried_out_is_withdrawn_when_it_would_not_do_any_more() -> None:
    cloud = Cloud({"sgx1": (0, 9, 128)}, rules=ScalingRules(acts=False), tells_size=False)
    cloud.add("sgx1", 2)
    cloud.pods = [made(pod("a", 100, at="sgx1-1"))]
    cloud.go_on(30 * MINUTE, 60, acts=False)
    assert verbs(cloud) == [("shrink", "sgx1", 2, 1)]
    cloud.pods.append(made(pod("b", 100, at="sgx1-2")))
    cloud.go_on(MINUTE, 60, acts=False)
    assert cloud.holds == ["sgx1: the size of 1 that was proposed would not do any more"]
    cloud.pods.pop()
    cloud.go_on(30 * MINUTE, 60, acts=False)
    assert verbs(cloud) == [("shrink", "sgx1", 2, 1)] * 2


def test_who_has_room_and_waits_all_the_same_makes_no_pool_grow_and_is_told() -> None:
    """What keeps it is not looked at: a plugin of the scheduler's, or a scheduler that does not run."""
    cloud = Cloud({"sgx1": (0, 9, 128)})
    cloud.add("sgx1")
    waits: Any = made(pod("p", 100))
    waits["metadata"]["creationTimestamp"] = "2026-11-30T09:55:00Z"
    cloud.pods = [waits]
    cloud.look()
    assert cloud.holds == []
    cloud.moment += timedelta(minutes=10)
    cloud.look()
    assert cloud.steps == []
    assert cloud.holds == [": default/p: has room on sgx1-1, as far as is looked at, and waits: kubectl describe pod says why"]


def test_the_cheaper_pool_grows_where_both_prices_are_known() -> None:
    cloud = Cloud({"tight": (0, 9, 128), "cheap": (0, 9, 512)}, costs={"tight": Decimal(5), "cheap": Decimal(2)})
    cloud.pods = [made(pod("p", 100))]
    cloud.look()
    assert verbs(cloud) == [("grow", "cheap", 0, 1)]


def test_nodes_that_come_one_by_one_are_not_asked_for_again() -> None:
    """Nobody says how many are asked for: it is remembered."""
    cloud = Cloud({"sgx1": (0, 9, 128)}, tells_size=False, rules=ScalingRules(acts=False))
    cloud.add("sgx1")
    cloud.pods = [made(pod(f"p{index}", 100)) for index in range(4)]
    cloud.go_on(MINUTE, acts=False)
    for _ in range(3):
        cloud.add("sgx1")
        cloud.go_on(2 * MINUTE, acts=False)
    assert verbs(cloud) == [("grow", "sgx1", 1, 4)]
    assert cloud.pending() == []


def test_nodes_that_never_offer_epc_make_their_pool_grow_once_and_not_again() -> None:
    """No agent runs on them: one more would help nobody. Another pool is asked."""
    cloud = Cloud({"sgx1": (0, 9, 128), "sgx2": (0, 9, 256)}, stages=(0, 30, 10**6))
    cloud.pods = [made(pod("p", 100))]
    cloud.go_on(180 * MINUTE, every=180)
    assert verbs(cloud) == [("grow", "sgx1", 0, 1), ("grow", "sgx2", 0, 1)]
    assert "its newest node sgx1-1 offers no EPC" in " ".join(cloud.holds)


def test_a_node_that_broke_down_keeps_its_pool_from_nothing() -> None:
    cloud = Cloud({"sgx1": (0, 9, 128)})
    cloud.add("sgx1", 2)
    cloud.machines[1].node["status"]["conditions"] = [{"type": "Ready", "status": "Unknown"}]
    cloud.machines[1].node["spec"]["taints"] = [{"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}]
    cloud.pods = [made(pod("a", 100, at="sgx1-1")), made(pod("p", 100))]
    cloud.moment += timedelta(days=1)
    cloud.go_on(5 * MINUTE)
    assert verbs(cloud) == [("grow", "sgx1", 2, 3)]


def test_a_pool_at_its_max_for_which_somebody_waits_does_not_shrink_only_to_grow_again() -> None:
    """All others would fit on a node less, and then the pool could grow for who waits, and so on."""
    cloud = Cloud({"sgx1": (0, 3, 128)})
    cloud.add("sgx1", 3)
    cloud.pods = [*(made(pod(f"p{index}", 40, at=f"sgx1-{index}")) for index in (1, 2, 3)), made(pod("whole", 128), "whole")]
    cloud.go_on(60 * MINUTE, every=120)
    assert verbs(cloud) == []
    assert cloud.holds == ["sgx1: default/whole: would fit on a new node, and it is at its max of 3"]


def test_one_pool_that_takes_all_grows_before_two_that_take_some() -> None:
    cloud = Cloud({"small": (0, 9, 128), "large": (0, 9, 1024)})
    cloud.pods = [made(pod("huge", 800)), made(pod("p", 120))]
    cloud.look()
    assert verbs(cloud) == [("grow", "large", 0, 1)]


def test_a_pool_of_which_one_node_could_go_and_another_could_not_stays_as_it_is() -> None:
    """Its cloud chooses, and it may choose the other."""
    cloud = Cloud({"sgx1": (0, 9, 128)})
    cloud.add("sgx1", 2)
    cloud.pods = [made(pod("a", 100, at="sgx1-1")), made(pod("b", 10, at="sgx1-2", nodeSelector={HOST: "sgx1-2"}))]
    cloud.go_on(60 * MINUTE, every=120)
    assert verbs(cloud) == []


def test_no_pool_shrinks_below_its_bounds() -> None:
    cloud = Cloud({"sgx1": (2, 9, 128)})
    cloud.add("sgx1", 3)
    cloud.go_on(90 * MINUTE, every=120)
    assert verbs(cloud) == [("shrink", "sgx1", 3, 2)]


def test_nodes_that_still_come_are_no_room_for_pods_of_a_node_that_goes() -> None:
    cloud = Cloud({"large": (0, 3, 512), "small": (0, 3, 128)}, stages=(0, 3600, 3600))
    cloud.rules = replace(cloud.rules, shrink_after=timedelta(minutes=1))
    cloud.add("small")
    cloud.pods = [made(pod("p", 10, at="small-1")), made(pod("huge", 400))]
    cloud.go_on(9 * MINUTE)
    assert verbs(cloud) == [("grow", "large", 0, 1)]
