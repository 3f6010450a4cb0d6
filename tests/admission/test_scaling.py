"""`donjon check` on autoscalers beside what they scale: told where Kubernetes' own would do nothing."""

import json

import pytest
from tests.admission.checks import checked

EPC = "sgx.intel.com/epc"
ASKS = f"{{name: app, image: i, resources: {{limits: {{{EPC}: 10Mi}}}}}}"
ASKS_IN_MIB = "{name: app, image: i, resources: {limits: {sgx.intel.com/sgx_epc_mem_in_MiB: 10}}}"
PROXY = "{name: proxy, image: i}"
SIDECAR = "{name: side, image: i, restartPolicy: Always}"
STEP = "{name: step, image: i}"
UTILIZATION = "target: {type: Utilization, averageUtilization: 80}"
VALUE = "target: {type: AverageValue, averageValue: 8Mi}"


def deployment(*containers: str, init: str = "", namespace: str = "") -> str:
    first = f"initContainers: [{init}], " if init else ""
    place = f", namespace: {namespace}" if namespace else ""
    spec = f"{{selector: {{}}, template: {{spec: {{{first}containers: [{', '.join(containers)}]}}}}}}"
    return f"{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: vault{place}}}, spec: {spec}}}"


def autoscaler(*metrics: str, namespace: str = "", version: str = "autoscaling/v2") -> str:
    place = f", namespace: {namespace}" if namespace else ""
    target = "{apiVersion: apps/v1, kind: Deployment, name: vault}"
    spec = f"{{scaleTargetRef: {target}, maxReplicas: 3, metrics: [{', '.join(metrics)}]}}"
    return f"{{apiVersion: {version}, kind: HorizontalPodAutoscaler, metadata: {{name: hpa{place}}}, spec: {spec}}}"


def of_pod(name: str = EPC, target: str = UTILIZATION) -> str:
    return f"{{type: Resource, resource: {{name: {name}, {target}}}}}"


def of_container(container: str, target: str = UTILIZATION) -> str:
    return f"{{type: ContainerResource, containerResource: {{name: {EPC}, container: {container}, {target}}}}}"


def words(*documents: str) -> list[str]:
    """What is found about the autoscaler, but for the remark that it is one."""
    report = json.loads(checked("\n---\n".join(documents), "-o", "json").stdout)
    findings = [each for skipped in report["notLookedAt"] for each in skipped["findings"] if each["code"] != "DJ158"]
    assert {each["code"] for each in findings} <= {"DJ162"}
    return [each["found"] for each in findings]


@pytest.mark.parametrize(
    ("containers", "metric"),
    [
        ((ASKS,), of_pod()),
        ((ASKS_IN_MIB,), of_pod()),
        ((ASKS, PROXY), of_pod(target=VALUE)),
        ((ASKS, PROXY), of_container("app")),
        ((ASKS, PROXY), of_container("proxy", VALUE)),
        ((ASKS, PROXY), of_pod("cpu")),
    ],
)
def test_an_autoscaler_that_moves_is_left_alone(containers: tuple[str, ...], metric: str) -> None:
    assert words(deployment(*containers), autoscaler(metric)) == []


def test_a_container_without_a_request_is_named_with_the_ways_out() -> None:
    (observation,) = words(deployment(ASKS, PROXY), autoscaler(of_pod()))
    assert "container proxy asks for none" in observation
    shown = checked(f"{deployment(ASKS, PROXY)}\n---\n{autoscaler(of_pod())}")
    assert shown.exit_code == 0
    assert "ContainerResource" in shown.stdout
    assert "AverageValue" in shown.stdout


def test_of_init_containers_those_that_stay_count() -> None:
    assert words(deployment(ASKS, init=STEP), autoscaler(of_pod())) == []
    assert "container side asks for none" in words(deployment(ASKS, init=SIDECAR), autoscaler(of_pod()))[0]


def test_a_container_that_is_not_there_or_asks_for_nothing_is_told() -> None:
    assert "does not have" in words(deployment(ASKS), autoscaler(of_container("proxy")))[0]
    assert "container proxy asks for none" in words(deployment(ASKS, PROXY), autoscaler(of_container("proxy")))[0]


def test_the_order_and_the_file_of_the_documents_do_not_matter_and_the_namespace_does() -> None:
    assert len(words(autoscaler(of_pod()), deployment(PROXY))) == 1
    assert len(words(autoscaler(of_pod(), namespace="default"), deployment(PROXY))) == 1
    assert words(autoscaler(of_pod(), namespace="other"), deployment(PROXY)) == []


def test_a_name_that_no_metrics_api_answers_for_is_told_without_the_deployment() -> None:
    (observation,) = words(autoscaler(of_pod("sgx.intel.com/sgx_epc_mem_in_MiB"), of_pod("cpu")))
    assert "sgx_epc_mem_in_MiB" in observation


@pytest.mark.parametrize("metrics", ["[]", "{}", "7", "[7, {resource: 7}, {resource: {name: [], target: 7}}, null]"])
def test_nonsense_is_no_metric(metrics: str) -> None:
    spec = f"{{scaleTargetRef: [], metrics: {metrics}}}"
    assert words(f"{{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {{name: h}}, spec: {spec}}}") == []
