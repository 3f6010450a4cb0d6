"""`donjon check` on streams: the namespaces in them, other kinds that make pods, and what is not looked at."""

import json

import pytest
from tests.admission.checks import FAQ_JOB, checked, pod

from donjon.admission.manifests.documents import MAX_DOCUMENTS

ALLOWED = "donjon.dev/provision=allowed"


def namespace(name: str, labels: str = "{donjon.dev/provision: allowed}") -> str:
    return f"---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {labels}}}\n---\n"


def of(name: str) -> str:
    """A pod of that namespace with the provisioning key."""
    return pod("{limits: {sgx.intel.com/epc: 1Mi, sgx.intel.com/provision: 1}}").replace(
        "name: p", f"name: p\n  namespace: {name}"
    )


@pytest.mark.parametrize(
    ("text", "arguments", "code"),
    [
        (namespace("team") + of("team"), (), 0),
        (of("team") + namespace("team"), (), 0),
        (namespace("other") + of("team"), (), 1),
        (namespace("team", "{}") + of("team"), (), 1),
        (namespace("team") + of("default"), (), 1),
        (namespace("team") + of("default").replace("  namespace: default\n", ""), ("-n", "team"), 0),
        # What is given for all is for those whose Namespace is not among the manifests.
        (namespace("team", "{}") + of("team"), ("--namespace-label", ALLOWED), 1),
        (namespace("team", "{}") + of("other"), ("--namespace-label", ALLOWED), 0),
        # What is given for one by its name is for that one, and goes before its manifest.
        (of("team"), ("--namespace-label", f"team:{ALLOWED}"), 0),
        (of("other"), ("--namespace-label", f"team:{ALLOWED}"), 1),
        (namespace("team", "{}") + of("team"), ("--namespace-label", f"team:{ALLOWED}"), 0),
        (namespace("team") + of("team"), ("--namespace-label", "team:donjon.dev/provision=no"), 1),
        ("kind: List\nitems:\n- " + namespace("team").strip("-\n").replace("\n", "\n  ") + "\n---\n" + of("team"), (), 0),
        # A Namespace of somebody else's making labels nothing.
        (namespace("team").replace("apiVersion: v1", "apiVersion: example.com/v1") + of("team"), (), 1),
    ],
)  # fmt: skip
def test_the_labels_of_each_namespace_are_its_own(text: str, arguments: tuple[str, ...], code: int) -> None:
    assert checked(text, *arguments).exit_code == code


@pytest.mark.parametrize("label", ["donjon.dev/provision", "=allowed", ":a=b", "team:=b", ""])
def test_what_is_no_label_is_told_with_its_form(label: str) -> None:
    done = checked(pod("{}"), "--namespace-label", label)
    assert done.exit_code == 2
    assert "expected KEY=VALUE or NAMESPACE:KEY=VALUE" in done.stderr


SPEC = "spec: {containers: [{name: app, resources: {limits: {alibabacloud.com/sgx_epc_MiB: 1, sgx.intel.com/provision: 1}}}]}"


def others(kind: str, version: str, spec: str) -> str:
    return f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: x}}\nspec: {spec}\n"


MASTER_AND_WORKER = (
    f"{{pytorchReplicaSpecs: {{Master: {{template: {{{SPEC}}}}}, Worker: {{replicas: 2, template: {{{SPEC}}}}}}}}}"
)
OTHERS = [
    (others("Rollout", "argoproj.io/v1alpha1", f"{{replicas: 1, template: {{{SPEC}}}}}"), ["spec.template"]),
    (
        others("PyTorchJob", "kubeflow.org/v1", MASTER_AND_WORKER),
        ["spec.pytorchReplicaSpecs.Master.template", "spec.pytorchReplicaSpecs.Worker.template"],
    ),
    (
        others("JobSet", "jobset.x-k8s.io/v1alpha2", f"{{replicatedJobs: [{{template: {{spec: {{template: {{{SPEC}}}}}}}}}]}}"),
        ["spec.replicatedJobs[0].template.spec.template"],
    ),
    (others("Service", "serving.knative.dev/v1", f"{{template: {{{SPEC}}}}}"), ["spec.template"]),
    (others("Pods", "example.com/v1", f"{{pods: [{{{SPEC}}}]}}"), ["spec.pods[0]"]),
    (others("Deployment", "extensions/v1beta1", f"{{template: {{{SPEC}}}}}"), ["spec.template"]),
]


@pytest.mark.parametrize(("text", "templates"), OTHERS, ids=range(len(OTHERS)))
def test_a_pod_template_of_any_kind_is_looked_at_and_said_to_be_one(text: str, templates: list[str]) -> None:
    told = json.loads(checked(text, "-o", "json").stdout)["checked"]
    assert [(each["template"], each["findings"][0]["code"]) for each in told] == [(each, "DJ104") for each in templates]
    done = checked(text, "--namespace-label", ALLOWED)
    assert done.exit_code == 0
    assert f"admitted, changed in 14 places (as a pod of that form would be: {templates[-1]})" in done.stdout
    after = checked(text, "-o", "yaml", "--namespace-label", ALLOWED).stdout
    assert after.count("name: app") == after.count("sgx.intel.com/enclave: '1'") // 2 == len(templates)
    assert "alibabacloud.com/sgx_epc_MiB: 1" not in after


ONE = json.dumps(
    {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}]}}, indent=1
)


@pytest.mark.parametrize(("between", "line"), [("\n", 15), ("\r\n", 15), ("\n\n", 16), (" \n", 15), ("", 15)])
def test_json_objects_one_after_the_other_are_documents_with_their_lines(between: str, line: int) -> None:
    done = checked(f"{ONE}{between}{ONE}{between}", "-o", "json")
    assert [each["line"] for each in json.loads(done.stdout)["checked"]] == [1, line]


@pytest.mark.parametrize("after", ["}", "{", '{"kind":', "[1]", "{'kind': Pod}", "x", '{"a": ' * 5000])
def test_json_followed_by_something_else_is_unreadable(after: str) -> None:
    assert checked(f"{ONE}\n{after}").exit_code == 2


def test_more_json_objects_than_the_bound_are_refused() -> None:
    done = checked("{}\n" * (MAX_DOCUMENTS + 1))
    assert done.exit_code == 2
    assert "[DJ931]" in done.stderr


def test_what_was_not_looked_at_is_told_and_counted() -> None:
    plain = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n---\n"
    done = checked(plain + plain + "kind: Service\n---\n" + FAQ_JOB + "---\n" + WORKFLOW + "---\n{a: b}\n")
    assert done.exit_code == 0
    *_, last = done.stdout.splitlines()
    assert last == (
        "1 with pods looked at: 1 admitted, 0 refused; 5 without pods not looked at: 2 ConfigMap, 1 Service, 1 Workflow, "
        "1 without a kind"
    )
    assert "standard input:27: Workflow nightly: not looked at, no pod template (spec.containers) is in it" in done.stdout
    assert "not a Kubernetes object (no kind): skipped" in done.stdout


WORKFLOW = """\
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: nightly}
spec:
  templates:
  - name: train
    container: {image: registry.example/train:1, resources: {limits: {sgx.intel.com/epc: 1Mi}}}
"""


def test_sgx_in_a_form_that_is_not_looked_at_is_a_warning_with_its_line() -> None:
    done = checked(WORKFLOW)
    assert done.exit_code == 0
    assert (
        "standard input:7: warning: spec.templates[0].container.resources.limits: asks for sgx.intel.com/epc in a form that is "
        "not looked at"
    ) in done.stdout
    assert "[DJ150]; look at those: kubectl get pod POD -o yaml | donjon check -" in done.stdout, (
        "it stands in the right place already"
    )
    (passed_over,) = json.loads(checked(WORKFLOW, "-o", "json").stdout)["notLookedAt"]
    assert (passed_over["kind"], passed_over["line"], passed_over["findings"][0]["code"]) == ("Workflow", 1, "DJ150")


@pytest.mark.parametrize(
    "text",
    [
        "{apiVersion: v1, kind: Node, status: {allocatable: {sgx.intel.com/epc: 1Gi}}}",
        "{apiVersion: v1, kind: PersistentVolume, metadata: {labels: {sgx.intel.com/capable: 'true'}}}",
        "{apiVersion: node.k8s.io/v1, kind: RuntimeClass, overhead: {podFixed: {sgx.intel.com/epc: 1Mi}}}",
    ],
)
def test_kubernetes_own_kinds_without_pods_may_name_sgx(text: str) -> None:
    assert "[DJ" not in checked(text).output


def test_all_templates_of_one_list_come_out() -> None:
    many = ", ".join([f"{{{SPEC}}}"] * 40)
    done = checked(others("Pods", "example.com/v1", f"{{pods: [{many}]}}"), "-o", "yaml", "--namespace-label", ALLOWED)
    assert done.stdout.count("sgx.intel.com/enclave: '1'") == 2 * 40
