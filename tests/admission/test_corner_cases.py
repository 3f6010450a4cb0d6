"""What no other project tests: the corners of the formats that people have, two webhooks at once, and whole sample manifests."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from click.testing import CliRunner
from tests.admission.intels import wired_by_intel
from tests.admission.pods import AKS, ENCLAVE, EPC, FAQ, PROVISION, WIRED, container, pod
from tests.admission.samples import QUOTE_PROVIDER, SAMPLES, limited

from donjon.admission.manifests.api_server import complete
from donjon.admission.settings import AdmissionContext, Settings
from donjon.admission.verdict import AdmissionVerdict, decide
from donjon.cli.check import check
from donjon.formats.json import Json, JsonObject, at, objects

ALLOWED = AdmissionContext(namespace="team", labels={"donjon.dev/provision": "allowed"})


def decided(made: JsonObject) -> AdmissionVerdict:
    return decide(complete(made), ALLOWED, Settings())


@dataclass(frozen=True, slots=True, kw_only=True)
class Corner:
    """A pod, the limits of its containers as admitted (init containers first), its total, and the codes."""

    made: JsonObject
    limits: list[JsonObject | None]
    total: str | None = None
    codes: list[str] = field(default_factory=list)


MIB: JsonObject = {EPC: "1Mi", ENCLAVE: "1"}
CORNERS = {
    "limits alone, as tools without an API server send them": Corner(
        made=pod(limited({EPC: "10Mi"})), limits=[WIRED], total="10Mi"
    ),
    "requests alone": Corner(made=pod(container(resources={"requests": {EPC: "10Mi"}})), limits=[None]),
    "enclave without epc": Corner(made=pod(limited({ENCLAVE: 1})), limits=[{ENCLAVE: 1}], codes=["DJ108"]),
    "enclave and provision without epc": Corner(
        made=pod(limited({ENCLAVE: 2, PROVISION: 1})), limits=[{ENCLAVE: 2, PROVISION: 1}], codes=["DJ108", "DJ117"]
    ),
    "epc in an init container": Corner(
        made=pod(container(), init=(limited({EPC: "1Mi"}, "first"),)), limits=[MIB, None], total="1Mi"
    ),
    "a provider that is no container": Corner(
        made=pod(limited({EPC: "1Mi"}), annotations={QUOTE_PROVIDER: "nobody"}), limits=[MIB], total="1Mi", codes=["DJ112"]
    ),
    "a provider that is an init container": Corner(
        made=pod(container(), init=(limited({EPC: "1Mi"}, "first"),), annotations={QUOTE_PROVIDER: "first"}),
        limits=[{**MIB, PROVISION: "1"}, None],
        total="1Mi",
    ),
    "a provider that asks for no epc": Corner(
        made=pod(limited({EPC: "1Mi"}), container("signer"), annotations={QUOTE_PROVIDER: "signer"}),
        limits=[MIB, None],
        total="1Mi",
    ),
    "aesmd without epc": Corner(
        made=pod(container("aesmd"), limited({EPC: "1Mi"}), annotations={QUOTE_PROVIDER: "aesmd"}),
        limits=[None, MIB],
        total="1Mi",
    ),
    "epc of nothing": Corner(made=pod(limited({EPC: 0})), limits=[{EPC: 0}]),
    "epc of nothing beside some": Corner(
        made=pod(limited({EPC: "0"}), limited({EPC: "1Mi"}, "b")), limits=[{EPC: "0"}, MIB], total="1Mi"
    ),
    "an exponent": Corner(made=pod(limited({EPC: "1e3"})), limits=[{EPC: "1e3", ENCLAVE: "1"}], total="1000", codes=["DJ107"]),
    "a half": Corner(made=pod(limited({EPC: "0.5Mi"})), limits=[{EPC: "0.5Mi", ENCLAVE: "1"}], total="512Ki"),
    "forty-two": Corner(made=pod(limited({EPC: 42})), limits=[{EPC: 42, ENCLAVE: "1"}], total="42", codes=["DJ107"]),
    "more than an int64": Corner(made=pod(limited({EPC: "10Ei"})), limits=[{EPC: "10Ei", ENCLAVE: "1"}], codes=["DJ103"]),
    "more than an int64 in another's unit": Corner(made=pod(limited({AKS: 1 << 43})), limits=[{AKS: 1 << 43}], codes=["DJ103"]),
    "azure's first name alone": Corner(made=pod(limited({AKS: 10})), limits=[WIRED], total="10Mi"),
    "both names": Corner(made=pod(limited({EPC: "10Mi", AKS: 10})), limits=[WIRED], total="10Mi"),
    "both names that disagree": Corner(
        made=pod(limited({EPC: "10Mi", AKS: 11})), limits=[{EPC: "10Mi", AKS: 11}], codes=["DJ106"]
    ),
    "the FAQ's misspelt name": Corner(made=pod(limited({FAQ: 10})), limits=[WIRED], total="10Mi"),
}


@pytest.mark.parametrize("name", CORNERS)
def test_a_corner_of_what_people_write_comes_out_as_said(name: str) -> None:
    corner = CORNERS[name]
    verdict = decided(corner.made)
    found = [
        at(each, "resources", "limits")
        for listed in ("initContainers", "containers")
        for each in objects(at(verdict.admitted, "spec", listed))
    ]
    assert found == corner.limits
    assert at(verdict.admitted, "metadata", "annotations", EPC) == corner.total
    assert [finding.code for finding in verdict.findings] == corner.codes


# Two webhooks, in either order and asked again.


def ours(made: JsonObject) -> JsonObject:
    return decided(made).admitted


def theirs(made: JsonObject) -> JsonObject:
    return wired_by_intel(complete(made))


ORDERS = {"ours last": (theirs, ours), "ours first": (ours, theirs), "ours, theirs, both again": (ours, theirs, ours, theirs)}
BOTH_KNOW = [f"intel-{number}" for number in range(1, 7)] + ["aesm-daemons", "ego", "ordinary", "zero"]


def after(made: JsonObject, order: Sequence[Callable[[JsonObject], JsonObject]]) -> JsonObject:
    for webhook in order:
        made = webhook(made)
    return made


def variables(made: JsonObject) -> list[list[Json]]:
    return [[at(each, "name") for each in objects(found.get("env"))] for found in objects(at(made, "spec", "containers"))]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("sample", BOTH_KNOW)
def test_beside_intels_webhook_a_pod_comes_out_as_from_ours_alone_but_for_its_doubled_variable(sample: str, order: str) -> None:
    both, alone = after(SAMPLES[sample], ORDERS[order]), ours(SAMPLES[sample])
    for path in (("metadata", "annotations"), ("spec", "volumes"), ("spec", "tolerations"), ("spec", "nodeSelector")):
        assert (at(both, *path) or None) == (at(alone, *path) or None)
    for one, other in zip(objects(at(both, "spec", "containers")), objects(at(alone, "spec", "containers")), strict=True):
        assert one.get("resources") == other.get("resources")
        assert one.get("volumeMounts") == other.get("volumeMounts")
    assert decide(both, ALLOWED, Settings()).findings == decided(SAMPLES[sample]).findings
    assert decide(both, ALLOWED, Settings()).patch == ()


@pytest.mark.parametrize(("order", "times"), [("ours last", 1), ("ours first", 2), ("ours, theirs, both again", 3)])
def test_the_variable_is_doubled_by_intels_webhook_alone(order: str, times: int) -> None:
    assert variables(after(SAMPLES["intel-4"], ORDERS[order])) == [["SGX_AESM_ADDR"] * times]
    assert variables(after(SAMPLES["intel-4"], (ours, ours))) == [["SGX_AESM_ADDR"]]


# The samples of AKS and its users, as whole manifests; their words and comments left out.

AESM_BY_HAND = """
        volumeMounts:
        - {name: var-run-aesmd, mountPath: /var/run/aesmd}
      volumes:
      - name: var-run-aesmd
        hostPath: {path: /var/run/aesmd}"""
POOLS = """
      affinity:
        nodeAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            nodeSelectorTerms:
            - matchExpressions:
              - {key: agentpool, operator: In, values: [acc, acc_second]}"""


def job(name: str, image: str, resources: str, more: str = "") -> str:
    return f"""\
apiVersion: batch/v1
kind: Job
metadata:
  name: {name}
  labels: {{app: {name}}}
spec:
  template:
    metadata:
      labels: {{app: {name}}}
    spec:
      containers:
      - name: {name}
        image: {image}
        resources: {resources}{more}
      restartPolicy: Never
  backoffLimit: 0
"""


LAS = """\
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: las}
spec:
  selector: {matchLabels: {k8s-app: las}}
  template:
    metadata: {labels: {k8s-app: las}}
    spec:
      containers:
      - name: las
        image: registry.example/scone/las:5
        resources:
          limits: {kubernetes.azure.com/sgx_epc_mem_in_MiB: 4}
        ports: [{containerPort: 18766, hostPort: 18766}]
"""
EXECUTOR = """\
apiVersion: v1
kind: Pod
metadata: {name: spark-exec, labels: {spark-role: executor}}
spec:
  containers:
  - name: executor
    image: registry.example/spark:3
    resources: {limits: {sgx.intel.com/enclave: 1}, requests: {sgx.intel.com/enclave: 1}}
"""
HELLO, IMAGE = "oe-helloworld", "mcr.microsoft.com/acc/samples/oe-helloworld:latest"
MANIFESTS = {
    "the quickstart of old": (job("sgx-test", "oeciteam/sgx-test:1.0", "{limits: {sgx.intel.com/epc: 5Mi}}"), []),
    "the quickstart": (
        job(HELLO, IMAGE, '{limits: {sgx.intel.com/epc: "10Mi"}, requests: {sgx.intel.com/epc: "10Mi"}}', AESM_BY_HAND),
        [],
    ),
    "the quickstart on chosen pools": (
        job(HELLO, IMAGE, f"{{limits: {{{AKS}: 10}}, requests: {{{AKS}: 10}}}}", AESM_BY_HAND + POOLS),
        [],
    ),
    "SCONE's attestation service": (LAS, ["DJ116"]),
    "a Spark executor": (EXECUTOR, ["DJ108"]),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_sample_workload_passes_as_it_is_and_comes_out_wired(name: str) -> None:
    text, codes = MANIFESTS[name]
    done = CliRunner().invoke(check, ["-", "-o", "yaml"], input=text)
    assert done.exit_code == 0, done.output
    assert sorted(code for code in ("DJ108", "DJ116") if f"[{code}]" in done.stderr) == codes
    assert done.stderr.count("[DJ") == len(codes)
    assert "sgx.intel.com/enclave: " in done.stdout
    assert AKS + ": " not in done.stdout
