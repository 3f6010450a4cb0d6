"""`donjon check` on what no policy sees: amounts, names and fields that are not what they seem."""

import json

import pytest
from tests.admission.checks import checked, pod

from donjon.admission.manifests.astray import MAX_TOGETHER
from donjon.kube.names import FOREIGN_EPC


@pytest.mark.parametrize(
    ("amount", "codes"),
    [
        # Each as the API server of 1.36.3 takes it.
        ("null", ["DJ152"]),
        ("Mi", ["DJ152"]),
        ("'+'", ["DJ152"]),
        ("'.'", ["DJ152"]),
        ("e3", ["DJ152"]),
        ("' '", ["DJ120"]),
        ("''", ["DJ120"]),
        ("'10mi'", ["DJ120"]),
        ("1e", ["DJ120"]),
        ("'10MB'", ["DJ120"]),
        (r'"\t10"', ["DJ120"]),
        ("true", ["DJ120"]),
        ("[1]", ["DJ120"]),
        ("0", []),
        ("00", []),
        ("' 10Mi'", []),
        (r'"\u00a010Mi "', []),
        (f"'{'0' * 200}10Mi'", []),
        (f"'10.{'0' * 200}Mi'", []),
        (f"'10.{'0' * 200}1'", ["DJ120", "DJ107"]),
        (f"'{'9' * 200}'", ["DJ103"]),
        ("1e400", ["DJ103"]),
    ],
)
def test_an_amount_is_what_kubernetes_takes_it_for(amount: str, codes: list[str]) -> None:
    told = json.loads(checked(pod(f"{{limits: {{sgx.intel.com/epc: {amount}}}}}"), "-o", "json").stdout)
    (found,) = told["checked"]
    assert [finding["code"] for finding in found["findings"]] == codes
    assert found["refused"] is bool({"DJ103", "DJ120"} & {*codes})
    assert codes or bool(found["patch"]) is (amount not in {"0", "00"})


@pytest.mark.parametrize("name", FOREIGN_EPC)
@pytest.mark.parametrize(
    ("amount", "codes"),
    [("64", []), ("64Ki", ["DJ122"]), ("0.5Mi", ["DJ122"]), ("1k", []), ("0Ki", []), ("10Mi", ["DJ122"]), ("64Mi", ["DJ103"])],
)
def test_a_suffix_under_a_name_that_counts_mib_is_told_once(name: str, amount: str, codes: list[str]) -> None:
    told = json.loads(checked(pod(f"{{limits: {{{name}: {amount}}}}}"), "-o", "json").stdout)
    (found,) = told["checked"]
    assert [finding["code"] for finding in found["findings"]] == codes
    assert found["refused"] is (codes == ["DJ103"])


def test_what_a_suffix_makes_of_mib_is_told_with_the_number_to_write() -> None:
    said = checked(pod("{limits: {kubernetes.azure.com/sgx_epc_mem_in_MiB: 64Ki}}")).stdout
    assert "kubernetes.azure.com/sgx_epc_mem_in_MiB is 64Ki, which is 64Gi of EPC" in said
    assert "write the number of MiB alone, such as 64" in said
    said = checked(pod("{limits: {kubernetes.azure.com/sgx_epc_mem_in_MiB: 64Mi}}")).stdout
    assert "where a name counts MiB: 10, not 10Mi" in said


@pytest.mark.parametrize(
    ("limits", "requests"),
    [("{sgx.intel.com/epc: 1Mi}", "{sgx.intel.com/epc: null}"), ("{sgx.intel.com/epc: null}", "{sgx.intel.com/epc: 1Mi}")],
)
def test_null_beside_an_amount_is_zero_and_unlike_it(limits: str, requests: str) -> None:
    done = checked(pod(f"{{limits: {limits}, requests: {requests}}}"))
    assert done.exit_code == 1
    assert "must be equal to its limit" in done.stdout


def test_what_kubernetes_takes_for_zero_comes_out_as_zero() -> None:
    done = checked(pod("{limits: {sgx.intel.com/epc: null}}"), "-o", "yaml")
    assert "sgx.intel.com/epc: '0'" in done.stdout
    assert "warning: container app: sgx.intel.com/epc is null, which says no number" in done.stderr


@pytest.mark.parametrize(
    ("resources", "more", "words"),
    [
        ("{limit: {sgx.intel.com/epc: 1Mi}}", "", "spec.containers[0].resources.limit: asks for sgx.intel.com/epc where"),
        ("{Limits: {sgx.intel.com/epc: 1Mi}}", "", "spec.containers[0].resources.Limits: asks for"),
        ("{sgx.intel.com/epc: 1Mi}", "", "spec.containers[0].resources: asks for"),
        ("{}", "    resource: {limits: {sgx.intel.com/epc: 1Mi}}", "spec.containers[0].resource.limits: asks for"),
        ("{}", "    limits: {SGX.intel.com/EPC: 1Mi}", "spec.containers[0].limits: asks for SGX.intel.com/EPC"),
        ("{}", "  resources: {limits: {sgx.intel.com/epc: 1Mi}}", "spec.resources.limits: asks for sgx.intel.com/epc for the"),
        ("{}", "  resources: {requests: {sgx.intel.com/enclave: 1}}", "spec.resources.requests: asks for"),
        ("{}", "resources: {limits: {sgx.intel.com/epc: 1Mi}}", "resources.limits: asks for sgx.intel.com/epc where"),
    ],
)  # fmt: skip
def test_sgx_asked_for_where_nobody_looks_is_refused(resources: str, more: str, words: str) -> None:
    done = checked(pod(resources, more))
    assert done.exit_code == 1
    assert f"error: {words}" in done.stdout
    assert done.stdout.count("[DJ150]") == 1


@pytest.mark.parametrize(
    "more",
    [
        "  overhead: {sgx.intel.com/epc: 1Mi}",
        "status: {containerStatuses: [{name: app, allocatedResources: {sgx.intel.com/epc: 1Mi}}]}",
        "    env: [{name: sgx.intel.com/epc, value: x}]",
        "  topologySpreadConstraints: [{labelSelector: {matchLabels: {sgx.intel.com/epc: x}}}]",
    ],
)
def test_a_name_of_sgx_that_asks_for_nothing_is_no_mistake(more: str) -> None:
    done = checked(
        pod("{limits: {sgx.intel.com/epc: 1Mi}}", more).replace("name: p", "name: p\n  annotations: {sgx.intel.com/epc: 1Mi}")
    )
    assert (done.exit_code, "[DJ" in done.stdout) == (0, False)


@pytest.mark.parametrize(
    ("name", "meant", "refused"),
    [
        ("sgx.intel.com/EPC", "sgx.intel.com/epc", False),
        ("sgx.intel.com/epcs", "sgx.intel.com/epc", False),
        ("sgx.intel.com/enclaves", "sgx.intel.com/enclave", False),
        ("sgx.intel.com/sgx_epc_mem_in_mib", "sgx.intel.com/sgx_epc_mem_in_MiB", False),
        ("kubernetes.azure.com/sgx_epc_mem_in_MB", "kubernetes.azure.com/sgx_epc_mem_in_MiB", False),
        ("intel.com/epc", "sgx.intel.com/epc", False),
        ("SGX.intel.com/epc", "sgx.intel.com/epc", True),
        ("' sgx.intel.com/epc'", "sgx.intel.com/epc", True),
        ("epc", "sgx.intel.com/epc", True),
        ("enclave", "sgx.intel.com/enclave", True),
    ],
)
def test_a_name_that_is_almost_one_of_sgx_is_told_with_the_right_one(name: str, meant: str, *, refused: bool) -> None:
    done = checked(pod(f"{{limits: {{{name}: 1}}}}"))
    assert done.exit_code == (1 if refused else 0)
    assert f"did you mean {meant}?" in done.stdout
    assert ("[DJ120]" in done.stdout) is refused


@pytest.mark.parametrize(
    "name", ["sgx.k8s.io/sgx", "nvidia.com/gpu", "example.com/epic", "intel.com/qat_dh", "telco.example.com/epc-gateway"]
)
def test_a_name_of_somebody_elses_is_left_alone(name: str) -> None:
    assert "[DJ" not in checked(pod(f"{{limits: {{{name}: 1}}}}")).stdout


NO_CONTAINERS = "spec.containers is missing or empty"


def of_kind(kind: str, more: str, version: str = "v1") -> str:
    return f"{{apiVersion: {version}, kind: {kind}, metadata: {{name: p}}{more}}}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (of_kind("Pod", ""), NO_CONTAINERS),
        (of_kind("Pod", ", spec: null"), NO_CONTAINERS),
        (of_kind("Pod", ", Spec: {containers: [{name: a}]}"), NO_CONTAINERS),
        (of_kind("Pod", ", spec: {containers: []}"), NO_CONTAINERS),
        (of_kind("Pod", ", spec: []"), "pod: expected an object"),
        (of_kind("Pod", ", spec: {containers: [null]}"), "containers[0]: expected an object"),
        (of_kind("Job", ", spec: {}", "batch/v1"), NO_CONTAINERS),
        (of_kind("Job", ", spec: {template: []}", "batch/v1"), "pod: expected an object"),
        (of_kind("Deployment", ", spec: {template: {spec: x}}", "apps/v1"), "pod: expected an object"),
        (pod("{}", "  ephemeralContainers: [{name: e}]"), "spec.ephemeralContainers is set"),
        (pod("[]"), "resources: expected an object"),
    ],
)
@pytest.mark.parametrize("form", ["text", "yaml"])
def test_a_pod_that_is_none_is_refused(text: str, words: str, form: str) -> None:
    done = checked(text, "-o", form)
    assert done.exit_code == 1
    assert words in done.output
    assert "[DJ120]" in done.output


def test_of_thousands_of_names_that_are_none_the_first_are_told_and_a_refusal_is_among_them() -> None:
    names = {f"sgx.intel.com/epk{number}": "1" for number in range(1_000)}
    spare = [{"spare": {"sgx.intel.com/epc": "1"}} for _ in range(1_000)]
    spec = {"containers": [{"name": "app", "image": "a"}], "resources": {"limits": {"sgx.intel.com/epc": "1"}}}
    thing = {
        "apiVersion": "example.com/v1",
        "kind": "Train",
        "metadata": {"name": "a"},
        "spec": {"spares": spare, "template": {"metadata": {"annotations": names}, "spec": spec}},
    }
    told = json.loads(checked(json.dumps(thing), "-o", "json").stdout)
    (found,) = told["checked"]
    codes = [finding["code"] for finding in found["findings"]]
    assert (codes.count("DJ151"), codes.count("DJ150")) == (MAX_TOGETHER, MAX_TOGETHER)
    assert found["refused"]
    assert "for the pod as a whole" in " ".join(finding["found"] for finding in found["findings"])
    ends = [finding["found"] for finding in found["findings"] if "there is more of this object" in finding["found"]]
    assert len(ends) == 2
