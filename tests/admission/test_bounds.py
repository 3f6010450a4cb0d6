"""`donjon check` on objects that bound or offer EPC: each is told what it does, and none is refused as one that asks."""

import json

import pytest
from tests.admission.checks import checked


def said(text: str) -> list[tuple[str, str]]:
    done = checked(text, "-o", "json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["checked"]) == (0, []), done.output
    return [(each["code"], each["severity"]) for found in told["notLookedAt"] for each in found["findings"]]


def quota(*hard: str) -> str:
    return f"{{apiVersion: v1, kind: ResourceQuota, metadata: {{name: q}}, spec: {{hard: {{{', '.join(hard)}}}}}}}"


@pytest.mark.parametrize(
    ("key", "instead"),
    [
        ("sgx.intel.com/epc: 1Gi", "write requests.sgx.intel.com/epc: 1Gi"),
        ("limits.sgx.intel.com/epc: 1Gi", "write requests.sgx.intel.com/epc: 1Gi"),
        ("sgx.intel.com/enclave: 5", "write requests.sgx.intel.com/enclave: 5"),
        ("limits.sgx.intel.com/provision: 0", "write requests.sgx.intel.com/provision: 0"),
        ("requests.kubernetes.azure.com/sgx_epc_mem_in_MiB: 1024", "write requests.sgx.intel.com/epc: 1Gi"),
        ("alibabacloud.com/sgx_epc_MiB: 10", "write requests.sgx.intel.com/epc: 10Mi"),
        ("requests.sgx.intel.com/sgx_epc_mem_in_MiB: lots", "write requests.sgx.intel.com/epc: lots"),
        ("requests.sgx.intel.com/epc: 10", "did you mean Mi?"),
    ],
)
def test_a_quotas_key_that_counts_nothing_is_told_with_the_one_that_counts(key: str, instead: str) -> None:
    assert said(quota(key)) == [("DJ156", "warning")]
    assert instead in checked(quota(key)).stdout


@pytest.mark.parametrize(
    "key", ["requests.sgx.intel.com/epc: 1Gi", "requests.sgx.intel.com/enclave: 10", "requests.sgx.intel.com/epc: 0"]
)
def test_a_quotas_key_that_counts_is_told_as_information(key: str) -> None:
    assert said(quota(key)) == [("DJ158", "info")]


def test_what_the_cluster_itself_wrote_into_a_quota_is_left_alone() -> None:
    status = "status: {hard: {sgx.intel.com/epc: 1Gi, requests.sgx.intel.com/epc: 1Gi}, used: {sgx.intel.com/epc: 1Mi}}"
    assert said(f"{quota('requests.sgx.intel.com/epc: 1Gi')[:-1]}, {status}}}") == [("DJ158", "info")]


def test_a_quota_of_something_else_is_left_alone() -> None:
    assert said(quota("cpu: 1", "requests.nvidia.com/gpu: 1", "pods: 10")) == []


def test_a_quota_in_another_kind_is_told_as_one() -> None:
    tenant = "resourceQuotas: {items: [{hard: {sgx.intel.com/epc: 1Gi}}]}"
    assert said(of("capsule.clastix.io/v1beta2", "Tenant", tenant)) == [("DJ156", "warning")]


def test_a_quota_that_a_rule_makes_is_told_once() -> None:
    rule = "rules: [{generate: {kind: ResourceQuota, data: {spec: {hard: {requests.sgx.intel.com/epc: 1Gi}}}}}]"
    assert said(of("kyverno.io/v1", "ClusterPolicy", rule)) == [("DJ158", "info")]


def limit_range(fields: str, kind: str = "Container") -> str:
    return f"{{apiVersion: v1, kind: LimitRange, metadata: {{name: l}}, spec: {{limits: [{{type: {kind}, {fields}}}]}}}}"


E = "sgx.intel.com/epc"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (f"default: {{{E}: 10Mi}}, defaultRequest: {{{E}: 5Mi}}", "the limit 10Mi and the request 5Mi"),
        (f"defaultRequest: {{{E}: 5Mi}}", "no limit and the request 5Mi"),
        (f"min: {{{E}: 5Mi}}", "no limit and the request 5Mi"),
        (f"max: {{{E}: 9Mi}}, defaultRequest: {{{E}: 5Mi}}", "the limit 9Mi and the request 5Mi"),
        (f"default: {{{E}: 10Mi}}", "gives every container that asks for no sgx.intel.com/epc 10Mi of it"),
        (f"max: {{{E}: 64Mi}}", "gives every container that asks for no sgx.intel.com/epc 64Mi of it"),
        (f"max: {{{E}: 64Mi}}, min: {{{E}: 1Mi}}", "64Mi of it"),
        (f"default: {{{E}: 10Mi}}, defaultRequest: {{{E}: 10240Ki}}", "10Mi of it"),
        ("default: {alibabacloud.com/sgx_epc_MiB: 10}", "not alibabacloud.com/sgx_epc_MiB"),
        ("default: {sgx.intel.com/enclave: 1}", "1 of it"),
    ],
)
def test_what_a_limit_range_gives_or_keeps_out_is_told(fields: str, words: str) -> None:
    assert said(limit_range(fields)) == [("DJ157", "warning")]
    assert words in checked(limit_range(fields)).stdout


def test_the_least_of_a_pod_keeps_out_who_asks_for_none() -> None:
    assert said(limit_range(f"min: {{{E}: 1Mi}}", "Pod")) == [("DJ157", "warning")]


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        (f"max: {{{E}: 1Gi}}", "Pod"),
        (f"default: {{{E}: 0}}, max: {{{E}: 0}}", "Container"),
        (f"maxLimitRequestRatio: {{{E}: 1}}", "Container"),
    ],
)
def test_a_limit_range_that_only_bounds_is_told_as_information(fields: str, kind: str) -> None:
    assert said(limit_range(fields, kind)) == [("DJ158", "info")]


def test_a_limit_range_of_something_else_is_left_alone() -> None:
    assert said(limit_range("max: {memory: 1Gi}, min: {memory: 1Mi}")) == []


def of(version: str, kind: str, spec: str) -> str:
    return f"{{apiVersion: {version}, kind: {kind}, metadata: {{name: x}}, spec: {{{spec}}}}}"


TOLD = [
    (
        of("nfd.k8s-sigs.io/v1alpha1", "NodeFeatureRule", f"rules: [{{extendedResources: {{{E}: '@cpu.security.sgx.epc'}}}}]"),
        "warning",
    ),
    (of("karpenter.sh/v1", "NodePool", f"limits: {{{E}: 1Gi}}"), "info"),
    (of("karpenter.sh/v1alpha1", "NodeOverlay", f"capacity: {{{E}: 1Gi}}"), "info"),
    (of("cluster.x-k8s.io/v1beta1", "MachineDeployment", f"template: {{spec: {{capacity: {{{E}: 1Gi}}}}}}"), "info"),
    (of("kueue.x-k8s.io/v1beta1", "ClusterQueue", f"resourceGroups: [{{coveredResources: [cpu, {E}]}}]"), "info"),
    (of("autoscaling/v2", "HorizontalPodAutoscaler", f"metrics: [{{type: Resource, resource: {{name: {E}}}}}]"), "info"),
    (of("keda.sh/v1alpha1", "ScaledObject", f"triggers: [{{metadata: {{resource: {E}}}}}]"), "info"),
    (
        of(
            "autoscaling.k8s.io/v1",
            "VerticalPodAutoscaler",
            f"resourcePolicy: {{containerPolicies: [{{maxAllowed: {{{E}: 1Gi}}}}]}}",
        ),
        "warning",
    ),
    (of("resource.k8s.io/v1", "DeviceClass", f"extendedResourceName: {E}"), "warning"),
    (of("kyverno.io/v1", "ClusterPolicy", f"rules: [{{validate: {{pattern: {{X({E}): 'null'}}}}}}]"), "info"),
    (of("constraints.gatekeeper.sh/v1beta1", "K8sLimits", f"parameters: {{resources: [{E}]}}"), "info"),
]


@pytest.mark.parametrize(("text", "severity"), TOLD, ids=range(len(TOLD)))
def test_who_bounds_or_offers_is_told_what_it_does_and_never_refused(text: str, severity: str) -> None:
    assert said(text) == [("DJ158", severity)]


def test_intels_operator_beside_ours_is_told() -> None:
    text = of("deviceplugin.intel.com/v1", "SgxDevicePlugin", "enclaveLimit: 100")
    assert said(text) == [("DJ158", "warning")]
    assert "run one of the two on a node" in checked(text).stdout


@pytest.mark.parametrize(("text", "_severity"), TOLD, ids=range(len(TOLD)))
def test_the_same_kind_without_sgx_is_left_alone(text: str, _severity: str) -> None:
    assert said(text.replace(E, "nvidia.com/gpu").replace("sgx", "gpu")) == []


@pytest.mark.parametrize("kind", ["PriorityClass", "PodDisruptionBudget", "Node"])
def test_a_kind_that_does_nothing_with_sgx_is_left_alone(kind: str) -> None:
    assert said(f"{{apiVersion: v1, kind: {kind}, metadata: {{name: x}}, status: {{allocatable: {{{E}: 1Gi}}}}}}") == []
