"""`donjon check` on names of SGX wherever they stand: unknown ones, others' labels, and known ones in the wrong place."""

import json

import pytest
from tests.admission.checks import checked, pod

from donjon.formats.json import Json
from donjon.kube import spelling
from donjon.kube.vocabulary import CLOSED, NAMES, TABLE

EPC = "{limits: {sgx.intel.com/epc: 1Mi}}"


def codes(text: str) -> list[tuple[str, str]]:
    """The code and the severity of everything that is said of a text, which is never refused."""
    done = checked(text, "-o", "json")
    told: dict[str, Json] = json.loads(done.stdout)
    assert done.exit_code == 0, done.output
    return [
        (each["code"], each["severity"]) for part in ("checked", "notLookedAt") for found in listed(told, part) for each in found
    ]


def listed(told: dict[str, Json], part: str) -> list[list[dict[str, str]]]:
    found: list[dict[str, list[dict[str, str]]]] = json.loads(json.dumps(told[part]))
    return [each["findings"] for each in found]


@pytest.mark.parametrize(
    ("name", "do"),
    [
        ("sgx.intel.com/sgx", "ask for sgx.intel.com/epc in bytes, which brings the device"),
        ("sgx.intel.com/qe", "ask for sgx.intel.com/enclave and sgx.intel.com/provision"),
        ("sgx.intel.com/registration", "efivars"),
        ("sgx.intel.com/memory", "did you mean sgx.intel.com/epc?"),
        ("donjon.dev/epc", "did you mean sgx.intel.com/epc?"),
        ("openenclave.io/sgx_epc_MiB", "ask for sgx.intel.com/epc in bytes"),
        ("intel.com/sgx_epc", "ask for sgx.intel.com/epc in bytes"),
        ("intel.com/sgx", "ask for sgx.intel.com/epc in bytes"),
        ("intel.sgx.com/epc", "ask for sgx.intel.com/epc in bytes"),
        ("example.com/sgx-enclave-memory", "did you mean sgx.intel.com/epc?"),
        ("sgx.example.com/pages", "did you mean sgx.intel.com/epc?"),
        ("smarter-devices/sgx", "unless another plugin does"),
    ],
)
@pytest.mark.parametrize("field", ["limits", "requests"])
def test_a_name_that_no_node_of_ours_offers_is_told_with_what_to_write(name: str, do: str, field: str) -> None:
    limits = f"limits: {{{name}: 1}}" if field == "limits" else f"limits: {{{name}: 1}}, requests: {{{name}: 1}}"
    text = pod(f"{{{limits}}}")
    assert codes(text) == [("DJ151", "warning")]
    assert do in checked(text).stdout


UNKNOWN = {
    "a toleration": pod(EPC, "  tolerations: [{key: sgx.intel.com/sgx, operator: Exists}]"),
    "a node selector": pod(EPC, "  nodeSelector: {sgx.intel.com/enabled: 'true'}"),
    "an affinity": pod(
        EPC,
        "  affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: "
        "[{matchExpressions: [{key: donjon.dev/capable, operator: Exists}]}]}}}",
    ),
    "an annotation": pod(EPC).replace("name: p", "name: p\n  annotations: {sgx.intel.com/quote_provider: aesmd}"),
    "a label": pod(EPC).replace("name: p", "name: p\n  labels: {donjon.dev/provisioning: allowed}"),
    "a quota": "{apiVersion: v1, kind: ResourceQuota, spec: {hard: {requests.sgx.intel.com/sgx: 1}}}",
    "a metric": "{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, spec: {metrics: "
    "[{type: Resource, resource: {name: sgx.intel.com/memory}}]}}",
    "a rule's key": "{apiVersion: kyverno.io/v1, kind: Policy, spec: {pattern: {X(sgx.intel.com/enclaves): 'null'}}}",
    "an argument's form": "{apiVersion: argoproj.io/v1alpha1, kind: Workflow, spec: {templates: "
    "[{container: {resources: {limits: {sgx.intel.com/sgx: 1}}}}]}}",
}


@pytest.mark.parametrize("name", [each.name for each in NAMES if not each.places and each.name.startswith(CLOSED)])
def test_a_name_that_people_bring_along_is_told_with_what_became_of_it(name: str) -> None:
    told = checked(pod(EPC, f"  tolerations: [{{key: {name}, operator: Exists}}]")).stdout
    assert f"{TABLE[name].becomes}, so no node of Donjon's has it [DJ151]; {TABLE[name].instead}" in told


def test_a_name_longer_than_any_is_not_compared() -> None:
    assert spelling.closest_resource(" " * 10_000 + "sgx.intel.com/Epc") == ""
    assert spelling.closest_resource(" sgx.intel.com/Epc") == "sgx.intel.com/epc"


AZURE = "kubernetes.azure.com/sgx_epc_mem_in_MiB"


@pytest.mark.parametrize(
    ("name", "question"),
    [
        ("azure.com/sgx_epc_mem_in_MiB", f"{AZURE}?"),
        ("azure.com/sgx-epc-mem-in-mib", f"{AZURE}?"),
        ("azure.kubernetes.com/sgx_epc_mem_in_MiB", f"{AZURE}?"),
        ("kubernetes.azure.com/sgx_epc_mem", f"{AZURE}, which counts MiB (64)?"),
        ("aliyun.com/sgx_epc_MiB", "alibabacloud.com/sgx_epc_MiB?"),
        ("sgx_epc_mem_in_MiB", "sgx.intel.com/sgx_epc_mem_in_MiB?"),
        ("sgx.intel.com/epc_MiB", "sgx.intel.com/epc, which counts bytes (64Mi)?"),
        ("azure.com/sgx_epc", "sgx.intel.com/epc?"),
    ],
)
def test_a_near_miss_leads_to_a_name_of_the_same_unit_or_is_told_the_other_unit(name: str, question: str) -> None:
    assert f"did you mean {question}\n" in checked(pod(f"{{limits: {{{name}: 64}}}}")).stdout


def test_names_of_others_are_no_near_misses() -> None:
    assert [spelling.intended_resource(name) for name in ("example.com/epc", "example.com/mem_in_MiB", "example.com/MiB")] == [
        ""
    ] * 3
    assert spelling.intended_resource(f"{'a' * 10_000}/sgx_epc_MiB") == ""


@pytest.mark.parametrize("where", UNKNOWN)
def test_an_unknown_name_in_a_closed_domain_is_told_wherever_it_stands(where: str) -> None:
    assert codes(UNKNOWN[where]) == [("DJ151", "warning")]


@pytest.mark.parametrize(
    "text",
    [
        pod(EPC, "    args: [sgx.intel.com/sgx]\n    env: [{name: A, value: sgx.intel.com/sgx}]"),
        pod(EPC).replace("registry.example/app:1", "donjon.dev/app"),
        "{apiVersion: v1, kind: ConfigMap, data: {a: sgx.intel.com/sgx}}",
        "{apiVersion: sgx.intel.com/v1alpha1, kind: Enclave}",
    ],
)
def test_a_word_that_is_no_name_is_left_alone(text: str) -> None:
    assert codes(text) == []


NFD = [
    "intel.feature.node.kubernetes.io/sgx",
    "feature.node.kubernetes.io/cpu-security.sgx.enabled",
    "feature.node.kubernetes.io/cpu-security.sgx",
    "feature.node.kubernetes.io/cpu-sgx.enabled",
    "feature.node.kubernetes.io/cpu-cpuid.SGX",
    "feature.node.kubernetes.io/cpu-cpuid.SGXLC",
    "feature.node.kubernetes.io/custom-intel.sgx",
    "nfd.node.kubernetes.io/cpu-security.sgx.epc",
]


@pytest.mark.parametrize("label", NFD)
def test_a_node_chosen_by_a_label_of_nfds_is_told(label: str) -> None:
    chosen = pod(EPC, f"  nodeSelector: {{{label}: 'true'}}")
    assert codes(chosen) == [("DJ154", "warning")]
    assert 'choose nodes by sgx.intel.com/capable: "true"' in checked(chosen).stdout
    of_a_class = f"{{apiVersion: node.k8s.io/v1, kind: RuntimeClass, scheduling: {{nodeSelector: {{{label}: 'true'}}}}}}"
    assert codes(of_a_class) == [("DJ154", "warning")]


def affinity(operator: str) -> str:
    return pod(
        EPC,
        "  affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: "
        f"[{{matchExpressions: [{{key: {NFD[0]}, operator: {operator}, values: ['true']}}]}}]}}}}}}",
    )


@pytest.mark.parametrize(("operator", "said"), [("In", 1), ("Exists", 1), ("NotIn", 0), ("DoesNotExist", 0)])
def test_an_affinity_that_wants_a_label_is_told_and_one_that_avoids_it_is_not(operator: str, said: int) -> None:
    assert codes(affinity(operator)) == [("DJ154", "warning")] * said


def test_another_label_of_nfds_is_left_alone() -> None:
    assert codes(pod(EPC, "  nodeSelector: {feature.node.kubernetes.io/cpu-cpuid.AVX2: 'true'}")) == []


def deployment(of_it: str, of_pods: str) -> str:
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: d, {of_it}}}
spec:
  selector: {{matchLabels: {{a: b}}}}
  template:
    metadata: {{labels: {{a: b}}, {of_pods}}}
    spec: {{containers: [{{name: a, image: registry.example/a:1, resources: {EPC}}}]}}
"""


AESMD = "annotations: {sgx.intel.com/quote-provider: aesmd}"
CRON_JOB = f"""\
apiVersion: batch/v1
kind: CronJob
spec:
  schedule: "@daily"
  jobTemplate:
    metadata: {{{AESMD}}}
    spec: {{template: {{spec: {{containers: [{{name: a, image: registry.example/a:1}}]}}}}}}
"""
ELSEWHERE = {
    "an annotation of the deployment": (deployment(AESMD, ""), "metadata.annotations"),
    "an annotation of a service": (f"{{apiVersion: v1, kind: Service, metadata: {{name: s, {AESMD}}}}}", "metadata.annotations"),
    "an annotation of a part": (f"{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: s, {AESMD}}}}}", "metadata"),
    "an annotation of a job's template": (CRON_JOB, "spec.jobTemplate.metadata.annotations"),
    "an annotation outside of metadata": (
        deployment("", "").replace("    spec:", f"    {AESMD}\n    spec:"),
        "spec.template.annotations",
    ),
    "a label of a pod": (
        pod(EPC).replace("name: p", "name: p\n  labels: {sgx.intel.com/quote-provider: aesmd}"),
        "metadata.labels",
    ),
    "a right on a pod": (pod(EPC).replace("name: p", "name: p\n  labels: {donjon.dev/provision: allowed}"), "a namespace"),
    "a right on a template": (deployment("", "annotations: {donjon.dev/provision: allowed}"), "spec.template.metadata"),
    "a right annotated": (
        "{apiVersion: v1, kind: Namespace, metadata: {name: n, annotations: {donjon.dev/provision: allowed}}}",
        "among the labels of a namespace",
    ),
    "a resource as a label of nodes": (pod(EPC, "  nodeSelector: {sgx.intel.com/epc: 'true'}"), "under a container's limits"),
    "a device annotated": (pod(EPC).replace("name: p", "name: p\n  annotations: {sgx.intel.com/enclave: '1'}"), "metadata"),
    "a label of nodes as a resource": (pod("{limits: {sgx.intel.com/capable: 1}}"), "among the labels of a node"),
    "a right as a resource": (pod("{limits: {donjon.dev/provision: 1}}"), "among the labels of a namespace"),
}


@pytest.mark.parametrize("where", ELSEWHERE)
def test_a_known_name_where_it_means_nothing_is_told_with_its_place(where: str) -> None:
    text, words = ELSEWHERE[where]
    assert codes(text) == [("DJ155", "warning")]
    assert words in checked(text).stdout


@pytest.mark.parametrize(
    "text",
    [
        deployment(AESMD, AESMD),  # As kustomize's commonAnnotations write it.
        deployment("", AESMD),
        pod(EPC).replace("name: p", f"name: p\n  {AESMD}"),
        f"{{apiVersion: example.com/v1, kind: Enclave, metadata: {{name: e, {AESMD}}}}}",
        f"{{apiVersion: apps/v1, kind: Deployment, spec: {{template: {{metadata: {{{AESMD}}}}}}}}}",
        pod(EPC, "  nodeSelector: {sgx.intel.com/capable: 'true', donjon.dev/sgx: '2', donjon.dev/aesm: ready}"),
        pod(EPC, "  tolerations: [{key: sgx.intel.com/epc, operator: Exists, effect: NoSchedule}]"),
        "{apiVersion: v1, kind: Namespace, metadata: {name: n, labels: {donjon.dev/provision: allowed}}}",
        "{kind: Node, metadata: {labels: {sgx.intel.com/capable: 'true'}, annotations: {sgx.intel.com/enclave: '1'}}}",
        "{apiVersion: cluster.x-k8s.io/v1beta1, kind: Pool, metadata: {labels: {sgx.intel.com/capable: 'true'}}}",
    ],
)
def test_a_name_in_its_place_is_left_alone(text: str) -> None:
    assert codes(text) == []


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        ('sgx.intel.com/capable: "true"', 0),
        ('sgx.intel.com/capable: "yes"', 1),
        ('donjon.dev/sgx: "2"', 0),
        ('donjon.dev/sgx: "3"', 1),
        ("donjon.dev/driver: in-tree", 0),
        ("donjon.dev/driver: out-of-tree", 1),
        ("donjon.dev/driver: '{{ driver }}'", 0),
        ("kubernetes.io/os: linux", 0),
    ],
)
def test_a_selector_with_a_value_that_no_node_has_is_told(selector: str, said: int) -> None:
    spec = f"nodeSelector: {{{selector}}}, containers: [{{name: c, image: i}}]"
    found = codes(f"{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {{{spec}}}}}")
    assert found == [("DJ154", "warning")] * said
