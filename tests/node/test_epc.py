"""From a pass to a report: every enclave once, for whom it belongs to, and nothing that nobody read."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from donjon.formats.json import JsonObject
from donjon.kube import epc_report
from donjon.kube.epc_report import UNNAMED, EpcReport
from donjon.node import epc
from donjon.node.cgroups import CgroupPlace
from donjon.node.enclaves import AreaReading, EnclaveHolder, EnclavePass, EnclaveReading, GuestReading
from donjon.node.epc import EpcAccount, NodeMoment, Peaks, account, renew, use_of
from donjon.node.tenants import MAX_IDS, TenantPod, beyond, tenant_pod
from donjon.sgx.epc import EnclaveFlag, EpcSource, EpcUse

PAGE = 4096
UID, OTHER_UID, HASH = "0c5a7c4e-9d6e-4a57-8f5e-2f3a1b2c3d4e", "11111111-2222-3333-4444-555555555555", "ab" * 16
MOMENT = NodeMoment(node="n1", moment="2026-11-30T03:00:00Z", total=1000 * PAGE, reclaimer_seconds=1.5)
READY = EnclaveFlag.CREATED | EnclaveFlag.INITIALIZED


def pod(uid: str = UID, name: str = "p", containers: tuple[str, ...] = ("app",), static: str = "") -> TenantPod:
    asks: JsonObject = {"limits": {"sgx.intel.com/epc": str(64 * PAGE)}}
    body: JsonObject = {
        "metadata": {
            "namespace": "ns",
            "name": name,
            "uid": uid,
            "annotations": {"kubernetes.io/config.hash": static} if static else {},
        },
        "spec": {"containers": [{"name": each, "resources": asks} for each in containers]},
        "status": {"containerStatuses": [{"name": each, "containerID": f"containerd://{each}-id"} for each in containers]},
    }
    return tenant_pod(body)


def holder(pid: int, started: int = 0) -> EnclaveHolder:
    return EnclaveHolder(started=started or pid, pid=pid)


def enclave(*pids: int, children: int = 10, existing: int = 11, flags: EnclaveFlag = READY) -> EnclaveReading:
    return EnclaveReading(
        base=0,
        size=1 << 20,
        flags=flags,
        existing=existing,
        children=children,
        secs=1,
        version_arrays=1,
        holders=tuple(sorted(holder(pid) for pid in pids)),
    )


def survey(*enclaves: EnclaveReading, guests: tuple[GuestReading, ...] = (), free: int | None = None) -> EnclavePass:
    return EnclavePass(source=EpcSource.BPF, enclaves=dict(enumerate(enclaves)), guests=dict(enumerate(guests)), free=free)


def accounted(
    reading: EnclavePass,
    places: Mapping[int, CgroupPlace],
    *pods: TenantPod,
    peaks: Peaks | None = None,
) -> EpcAccount:
    there = {holder(pid): place for pid, place in places.items()}
    return account(reading, there, pods, MOMENT, peaks or Peaks())


def held(report: EpcReport) -> dict[tuple[str, str], int]:
    return {(each.name.pod, each.name.container): each.use.resident // PAGE for each in report.containers}


IN_APP = CgroupPlace(pod_uid=UID, container_id="app-id")


def test_an_enclave_that_many_processes_hold_counts_once_for_the_container_that_had_it_first() -> None:
    there = {1: CgroupPlace(pod_uid=OTHER_UID, container_id="app-id"), 2: IN_APP, 3: IN_APP}
    report = accounted(survey(enclave(2, 3), enclave(3, 1)), there, pod(), pod(OTHER_UID, "q")).report
    assert held(report) == {("p", "app"): 12, ("q", "app"): 12}
    assert report.use.resident == 24 * PAGE
    assert {each.name.pod: each.processes for each in report.containers} == {"p": 2, "q": 2}


def test_an_enclave_of_the_host_and_one_that_a_pod_got_from_it_are_told_apart() -> None:
    report = accounted(survey(enclave(1), enclave(1, 2)), {2: IN_APP}, pod()).report
    assert held(report) == {("p", "app"): 12}
    assert (report.system.resident, report.system.enclaves) == (12 * PAGE, 1)


def test_a_pod_that_the_api_server_does_not_name_yet_is_told_and_its_epc_is_not_lost() -> None:
    outcome = accounted(survey(enclave(2)), {2: IN_APP})
    assert outcome.strangers == {UID}
    assert outcome.report.strangers == (UID,)
    assert outcome.report.system.resident == outcome.report.use.resident == 12 * PAGE


def test_what_exists_is_what_is_in_epc_and_what_was_evicted() -> None:
    use = use_of(enclave(1, children=3, existing=11))
    assert use == EpcUse(resident=5 * PAGE, control=2 * PAGE, existing=12 * PAGE, evicted=7 * PAGE, enclaves=1)


@pytest.mark.parametrize(
    ("flags", "debug", "building"),
    [(READY, 0, 0), (READY | EnclaveFlag.DEBUG, 1, 0), (EnclaveFlag.CREATED, 0, 1), (EnclaveFlag(0), 0, 1)],
)
def test_the_state_of_an_enclave_is_by_its_flags(flags: EnclaveFlag, debug: int, building: int) -> None:
    use = use_of(enclave(1, flags=flags))
    assert (use.debug, use.building) == (debug, building)


def test_a_page_that_is_counted_here_before_there_evicts_nothing() -> None:
    use = use_of(enclave(1, children=11, existing=11))
    assert (use.resident, use.existing, use.evicted) == (13 * PAGE, 13 * PAGE, 0)


def test_a_counter_that_wrapped_is_no_amount() -> None:
    use = use_of(enclave(1, children=(1 << 32) - 1, existing=1))
    assert use.resident == 2 * PAGE


def test_guests_are_their_containers_beside_its_enclaves() -> None:
    guests = tuple(GuestReading(pages=100, holders=(holder(pid),)) for pid in (2, 9))
    report = accounted(survey(enclave(2), guests=guests), {2: IN_APP}, pod()).report
    (container,) = report.containers
    assert (container.use.resident, container.guests, container.peak) == (12 * PAGE, 100 * PAGE, 112 * PAGE)
    assert (report.guests, report.system_guests) == (200 * PAGE, 100 * PAGE)


@pytest.mark.parametrize(("free", "expected"), [(None, None), (900, 88 * PAGE), (1000, 0)])
def test_what_is_neither_free_nor_held_is_unaccounted_where_both_are_told(free: int | None, expected: int | None) -> None:
    report = accounted(survey(enclave(1), free=free), {}).report
    assert report.unaccounted == expected
    assert report.free == (None if free is None else free * PAGE)


def test_a_container_that_asked_and_holds_nothing_is_in_the_report() -> None:
    report = accounted(survey(), {}, pod()).report
    assert [(each.name.container, each.request, each.use) for each in report.containers] == [("app", 64 * PAGE, EpcUse())]


def test_areas_are_an_upper_bound_and_say_nothing_of_evictions() -> None:
    reading = EnclavePass(
        source=EpcSource.MAPS, enclaves={}, guests={}, areas=(AreaReading(size=8 * PAGE, holder=holder(2)),), unreadable=3
    )
    report = accounted(reading, {2: IN_APP}, pod(), pod(OTHER_UID, "q")).report
    assert held(report) == {("p", "app"): 8, ("q", "app"): 0}
    assert {each.use.existing for each in report.containers} == {each.use.evicted for each in report.containers} == {None}
    assert (report.use.existing, report.system.existing, report.unreadable) == (None, None, 3)


def test_areas_of_any_size_make_a_report_that_can_be_read() -> None:
    areas = tuple(AreaReading(size=1 << 62, holder=holder(pid)) for pid in (2, 3, 4, 5, 6, 7))
    reading = EnclavePass(source=EpcSource.MAPS, enclaves={}, guests={}, areas=areas)
    report = accounted(reading, dict.fromkeys((2, 3, 4), IN_APP), pod()).report
    assert epc_report.decode(epc_report.encode(report), "r") == report
    assert held(report) == {("p", "app"): ((1 << 63) - 1) // PAGE}


def test_the_sandbox_of_a_pod_with_one_container_is_that_containers_and_of_more_nobodys() -> None:
    sandbox = {2: CgroupPlace(pod_uid=UID)}
    assert held(accounted(survey(enclave(2)), sandbox, pod()).report) == {("p", "app"): 12}
    report = accounted(survey(enclave(2)), sandbox, pod(containers=("a", "b"))).report
    assert held(report) == {("p", UNNAMED): 12, ("p", "a"): 0, ("p", "b"): 0}


def test_a_static_pod_is_found_by_the_name_that_its_kubelet_has_for_it() -> None:
    static = pod(static=HASH)
    report = accounted(survey(enclave(2)), {2: CgroupPlace(pod_uid=HASH, container_id="app-id")}, static).report
    assert held(report) == {("p", "app"): 12}


def test_a_pod_that_says_it_is_another_takes_nothing_of_it() -> None:
    liar = pod(OTHER_UID, "liar", static=UID)
    assert held(accounted(survey(enclave(2)), {2: IN_APP}, pod(), liar).report) == {("p", "app"): 12, ("liar", "app"): 0}
    twins = [pod(uid, uid[:1], static=HASH) for uid in (UID, OTHER_UID)]
    outcome = accounted(survey(enclave(2)), {2: CgroupPlace(pod_uid=HASH)}, *twins)
    assert outcome.strangers == {HASH}


def test_the_most_that_a_container_held_stays_while_its_pod_is_there() -> None:
    first = accounted(survey(enclave(2, children=50, existing=51)), {2: IN_APP}, pod()).report
    peaks = renew(Peaks(), first, [pod()])
    later = accounted(survey(enclave(2)), {2: IN_APP}, pod(), peaks=peaks).report
    assert [each.peak for each in later.containers] == [52 * PAGE]
    assert (later.peak, later.use.resident) == (52 * PAGE, 12 * PAGE)
    gone = renew(peaks, accounted(survey(), {}, peaks=peaks).report, [])
    assert gone == Peaks(node=52 * PAGE)


def test_the_most_of_a_pod_is_that_of_one_moment_and_no_sum_of_its_containers() -> None:
    side = replace(IN_APP, container_id="side-id")
    both = replace(pod(), containers={"app-id": "app", "side-id": "side"})
    first = accounted(survey(enclave(2, children=50, existing=51)), {2: IN_APP}, both).report
    peaks = renew(Peaks(), first, [both])
    later = accounted(survey(enclave(3, children=40, existing=41)), {3: side}, both, peaks=peaks).report
    assert {each.name.container: (each.peak, each.pod_peak) for each in later.containers} == {
        "app": (52 * PAGE, 52 * PAGE),
        "side": (42 * PAGE, 52 * PAGE),
    }


def test_a_pod_that_is_too_large_to_be_read_has_its_enclaves_under_its_name() -> None:
    large = beyond({"metadata": {"namespace": "ns", "name": "large", "uid": UID}})
    assert held(accounted(survey(enclave(2)), {2: IN_APP}, large).report) == {("large", UNNAMED): 12}


def test_of_more_containers_than_a_report_holds_those_with_most_are_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epc, "MAX_CONTAINERS", 2)
    there = {2: CgroupPlace(pod_uid=UID, container_id="c-id")}
    report = accounted(survey(enclave(2)), there, pod(containers=("a", "b", "c"))).report
    assert held(report) == {("p", "a"): 0, ("p", "c"): 12}
    assert report.left_out == 1


def test_a_report_is_read_as_it_was_written() -> None:
    report = accounted(survey(enclave(2), enclave(9), free=4), {2: IN_APP}, pod()).report
    assert epc_report.decode(epc_report.encode(report), "n1") == report
    unknown = replace(report, total=None, free=None, unaccounted=None, reclaimer_seconds=None)
    assert epc_report.decode(epc_report.encode(unknown), "n1") == unknown


def test_of_a_pod_with_thousands_of_containers_no_more_is_kept_than_of_one_that_may_ask() -> None:
    assert len(pod(containers=tuple(f"c{number}" for number in range(3_000))).containers) == MAX_IDS


def test_a_container_that_restarted_is_found_by_the_id_that_it_had() -> None:
    body: JsonObject = {
        "metadata": {"namespace": "ns", "name": "p", "uid": UID},
        "status": {
            "containerStatuses": [
                {
                    "name": "app",
                    "containerID": "cri-o://new",
                    "lastState": {"terminated": {"containerID": "cri-o://old"}},
                },
                {"name": "side", "containerID": "docker://side"},
            ]
        },
    }
    kept = tenant_pod(body)
    assert [kept.container(CgroupPlace(pod_uid=UID, container_id=each)) for each in ("old", "new", "side", "x")] == [
        "app",
        "app",
        "side",
        UNNAMED,
    ]


def test_a_container_that_has_too_much_is_at_least_what_was_counted_and_everybody_else_is_whole() -> None:
    reading = replace(survey(enclave(1), enclave(2)), partly=((holder(1), holder(3)),))
    outcome = accounted(reading, {1: IN_APP, 2: CgroupPlace(pod_uid=OTHER_UID)}, pod(), pod(OTHER_UID, "q")).report
    assert {each.name.pod: (each.use.enclaves, each.at_least) for each in outcome.containers} == {"p": (1, True), "q": (1, False)}
    assert outcome.unreadable == 0


def test_where_nobody_knows_whose_it_is_what_was_not_counted_may_be_anybodys() -> None:
    reading = replace(survey(enclave(2)), partly=((holder(1),),))
    outcome = accounted(reading, {2: IN_APP}, pod()).report
    assert (outcome.unreadable, [each.at_least for each in outcome.containers]) == (1, [False])


@pytest.mark.parametrize(("state", "requests"), [("running", 72), ("terminated", 64), ("waiting", 64)])
def test_an_init_container_asks_for_epc_as_long_as_it_runs(state: str, requests: int) -> None:
    """With it counted for ever, who adds init containers could hold as much more than the scheduler set aside."""

    def asking(name: str, pages: int, **more: str) -> JsonObject:
        return {"name": name, "resources": {"limits": {"sgx.intel.com/epc": str(pages * PAGE)}}, **more}

    kept = tenant_pod(
        {
            "metadata": {"namespace": "ns", "name": "p", "uid": UID},
            "spec": {
                "initContainers": [asking("seal", 8), asking("proxy", 2, restartPolicy="Always")],
                "containers": [asking("app", 62)],
            },
            "status": {"initContainerStatuses": [{"name": "seal", "state": {state: {}}}]},
        }
    )
    assert sum(kept.requests.values()) == requests * PAGE
