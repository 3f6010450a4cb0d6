"""Users and groups to whom a node's devices are closed, and what is said of programs that run well in spite of it."""

import pytest
from tests.diagnosis.worlds import PROVISION, around, container, node, pod, saying, with_spec

from donjon.diagnosis.explanation import Explanation
from donjon.diagnosis.pod import explain
from donjon.findings import Severity
from donjon.formats.json import Json, JsonObject

ENCLAVE_SHUT = "/dev/sgx_enclave: mode 0660, owner 0, group 109"
BOTH_SHUT = f"/dev/sgx_enclave, /dev/sgx_provision: {ENCLAVE_SHUT}; /dev/sgx_provision: mode 0660, owner 0, group 110"
OWN_GROUP: JsonObject = {"runAsUser": 1000, "runAsGroup": 1000}


def told(security: JsonObject, devices: str = ENCLAVE_SHUT, **spec: Json) -> Explanation:
    status: Json = [{"name": "app", "state": {"running": {"startedAt": "2026-11-23T11:58:00Z"}}}]
    running = with_spec(
        pod("16Mi", phase="Running", on="a", status={"containerStatuses": status}), {"securityContext": security, **spec}
    )
    says: JsonObject = {"type": "SGXReady", "status": "True", "message": f"this node runs enclaves; {devices} [DJ009]"}
    return explain(running, around(saying(node("a"), {"type": "Ready", "status": "True"}, says)))


@pytest.mark.parametrize(
    ("security", "groups"),
    [
        ({"runAsUser": 1000}, "its group is 0"),
        (OWN_GROUP, "its group is 1000"),
        ({**OWN_GROUP, "supplementalGroups": [999]}, "its groups are 999, 1000"),
        ({**OWN_GROUP, "fsGroup": 2000}, "its groups are 1000, 2000"),
    ],
)
def test_a_group_that_is_not_the_devices_opens_nothing(security: JsonObject, groups: str) -> None:
    explanation = told(security)
    (finding,) = explanation.findings
    assert finding.code == "DJ161"
    assert finding.observation == f"runs as user 1000, {groups}; on a /dev/sgx_enclave belongs to user 0 and group 109"
    assert "supplementalGroups: [109], or have the administrator of a" in finding.do


@pytest.mark.parametrize(
    "security",
    [
        {**OWN_GROUP, "supplementalGroups": [999, 109]},
        {**OWN_GROUP, "fsGroup": 109},
        {"runAsUser": 1000, "runAsGroup": 109},
        {"runAsUser": 0},
        {},
    ],
)
def test_root_and_the_group_of_the_device_are_not_told_of_it(security: JsonObject) -> None:
    assert told(security).findings == ()


def test_a_containers_own_user_and_group_count_before_its_pods() -> None:
    own: JsonObject = {"securityContext": {"runAsUser": 7, "runAsGroup": 109}}
    assert told(OWN_GROUP, containers=[container("16Mi") | own]).findings == ()
    own = {"securityContext": {"runAsUser": 7}}
    assert "runs as user 7, its group is 1000" in told(OWN_GROUP, containers=[container("16Mi") | own]).findings[0].observation
    own = {"securityContext": {"runAsUser": 0}}
    assert told(OWN_GROUP, containers=[container("16Mi") | own]).findings == ()


def test_a_program_that_runs_well_is_given_a_hint_and_its_verdict_does_not_speak_of_it() -> None:
    explanation = told(OWN_GROUP)
    assert explanation.well
    assert explanation.findings[0].severity is Severity.INFO
    assert explanation.verdict == "runs on a with its device and 16Mi of EPC; no event says otherwise"
    assert explanation.next_step.startswith("where its log says Permission denied at /dev/sgx_enclave, ")


@pytest.mark.parametrize("mode_and_group", ["mode 0660, owner 0, group 0", "mode 0600, owner 0, group 109"])
def test_nobody_is_told_to_take_roots_group_or_one_that_opens_nothing(mode_and_group: str) -> None:
    explanation = told(OWN_GROUP, f"/dev/sgx_enclave: {mode_and_group}")
    assert "supplementalGroups" not in explanation.next_step
    assert "have the administrator of a do what donjon explain DJ009 says" in explanation.next_step


def test_a_device_of_roots_group_is_open_to_who_has_no_group_of_his_own() -> None:
    assert told({"runAsUser": 1000}, "/dev/sgx_enclave: mode 0660, owner 0, group 0").findings == ()


def test_the_provisioning_device_concerns_only_who_asks_for_it() -> None:
    alone = "/dev/sgx_provision: mode 0660, owner 0, group 110"
    assert told(OWN_GROUP, alone).findings == ()
    asking: Json = [container("16Mi", **{PROVISION: "1"})]
    assert "supplementalGroups: [110], or" in told(OWN_GROUP, alone, containers=asking).next_step
    assert "supplementalGroups: [109, 110], or" in told(OWN_GROUP, BOTH_SHUT, containers=asking).next_step
    assert "supplementalGroups: [109], or" in told(OWN_GROUP, BOTH_SHUT).next_step
