"""Who asked for EPC and runs, and whether the kubelet gave it its device."""

from typing import Any

import pytest

from donjon.findings import Finding
from donjon.formats.json import JsonObject
from donjon.kube.names import ENCLAVE, EPC, FOREIGN_EPC, PROVISION
from donjon.node.truth import DeviceClaim, claims, finding, lost_account, too_large, with_device, without_device

RUNNING: JsonObject = {"running": {"startedAt": "2026-11-23T12:00:00Z"}}


def container(name: str, **resources: Any) -> JsonObject:
    return {"name": name, "resources": {"limits": resources}}


def pod(
    *containers: JsonObject, init: tuple[JsonObject, ...] = (), states: dict[str, JsonObject] | None = None, **metadata: Any
) -> JsonObject:
    names = [str(each["name"]) for each in containers]
    inits = [str(each["name"]) for each in init]

    def status(name: str) -> JsonObject:
        return {"name": name, "state": (states or {}).get(name, RUNNING), "containerID": f"containerd://{name}"}

    return {
        "metadata": {"namespace": "default", "name": "app", "uid": "u1", **metadata},
        "spec": {"containers": list(containers), "initContainers": list(init)},
        "status": {
            "containerStatuses": [status(name) for name in names],
            "initContainerStatuses": [status(name) for name in inits],
        },
    }


ASKS = container("enclave", **{EPC: "10Mi"})
PLAIN = container("web", cpu="1")
CLAIM = DeviceClaim(namespace="default", pod="app", uid="u1", container="enclave", container_id="containerd://enclave")


@pytest.mark.parametrize("name", [EPC, *FOREIGN_EPC])
def test_a_running_container_that_asked_under_any_name_is_a_claim(name: str) -> None:
    assert claims(pod(container("enclave", **{name: "10"}), PLAIN)) == (CLAIM,)


@pytest.mark.parametrize(
    "idle",
    [
        pod(PLAIN),
        pod(container("enclave", **{EPC: "0"})),
        pod(ASKS, states={"enclave": {"waiting": {"reason": "ContainerCreating"}}}),
        pod(ASKS, states={"enclave": {"terminated": {"exitCode": 0}}}),
        pod(ASKS, deletionTimestamp="2026-11-23T12:00:00Z"),
        pod(PLAIN, init=(ASKS,)),
        {},
        {"spec": None, "status": []},
        {"spec": {"containers": ["x", 3]}, "status": {"containerStatuses": [None, {"name": 3}]}},
    ],
    ids=["plain", "zero", "waiting", "ended", "going", "init", "empty", "nonsense", "nonsense within"],
)
def test_nobody_else_is_a_claim(idle: JsonObject) -> None:
    assert claims(idle) == ()


def test_a_sidecar_stays_and_is_a_claim() -> None:
    assert claims(pod(PLAIN, init=(ASKS | {"restartPolicy": "Always"},))) == (CLAIM,)


@pytest.mark.parametrize(
    ("assigned", "missing"),
    [
        ({("default", "app", "enclave"): frozenset()}, True),
        ({("default", "app", "enclave"): frozenset({ENCLAVE})}, False),
        ({("default", "app", "enclave"): frozenset({ENCLAVE, PROVISION})}, False),
        ({("default", "app", "enclave"): frozenset({PROVISION})}, True),
        ({("default", "app", "web"): frozenset({ENCLAVE}), ("default", "app", "enclave"): frozenset()}, True),
        ({("other", "app", "enclave"): frozenset({ENCLAVE}), ("default", "app", "enclave"): frozenset()}, True),
    ],
)
def test_a_claim_is_borne_out_by_the_enclave_device_of_that_very_container(assigned: Any, *, missing: bool) -> None:
    assert without_device([CLAIM], assigned) == ((CLAIM,) if missing else ())


def test_a_container_that_the_kubelet_does_not_name_has_ended_and_is_not_judged() -> None:
    assert without_device([CLAIM], {}) == with_device([CLAIM], {}) == ()
    assert without_device([CLAIM], {("default", "app", "web"): frozenset({ENCLAVE})}) == ()


@pytest.mark.parametrize(("found", "code"), [(finding(CLAIM), "DJ020"), (lost_account(CLAIM), "DJ023")])
def test_the_findings_name_the_pod_to_delete(found: Finding, code: str) -> None:
    assert found.code == code
    assert "kubectl delete pod -n default app" in found.do


def test_pods_that_are_too_large_are_named_up_to_five() -> None:
    found = too_large([f"evil/{number}" for number in range(7)])
    assert found.subject == "pods evil/0, evil/1, evil/2, evil/3, evil/4 and 2 more"
    assert too_large(["evil/0"]).subject == "pods evil/0"
