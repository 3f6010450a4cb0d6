"""`donjon check` on what looks like a pod and is none: it is counted as not looked at, and never refused."""

import json

import pytest
from tests.admission.checks import checked, pod

from donjon.formats.json import Json

PROVISION = "resources: {limits: {sgx.intel.com/epc: 1Mi, sgx.intel.com/provision: 1}}"
WHOLE = f"spec: {{containers: [{{name: a, image: registry.example/a:1, {PROVISION}}}]}}"


def kyverno(rule: str, kind: str = "ClusterPolicy", version: str = "kyverno.io/v1") -> str:
    return f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: r}}\nspec: {{rules: [{{name: r, {rule}}}]}}\n"


def own(kind: str, body: str, version: str = "apps/v1") -> str:
    return f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: w}}\n{body}\n"


def foreign(body: str) -> str:
    return f"apiVersion: example.com/v1\nkind: Thing\nmetadata: {{name: x}}\nspec: {{{body}}}\n"


def holding(field: str) -> str:
    """A foreign kind that has a pod with one container, and in that the field."""
    return foreign(f"pod: {{spec: {{containers: [{{name: a, {PROVISION}, {field}}}]}}}}")


FRAGMENTS = {
    "a wildcard of Kyverno's": kyverno(
        'validate: {pattern: {spec: {containers: [{name: "*", resources: {limits: {memory: "?*"}}}]}}}'
    ),
    "an amount with an operator": kyverno(
        'validate: {pattern: {spec: {containers: [{resources: {limits: {sgx.intel.com/epc: "<=1Gi"}}}]}}}'
    ),
    "a range of amounts": kyverno('validate: {pattern: {spec: {containers: [{resources: {limits: {memory: "1Gi-4Gi"}}}]}}}'),
    "a negation": kyverno(
        'validate: {pattern: {spec: {containers: [{resources: {limits: {X(sgx.intel.com/provision): "null"}}}]}}}'
    ),
    "anchors": kyverno(
        'validate: {anyPattern: [{spec: {=(initContainers): [{^(image): "*"}], containers: [{<(image): "!*:latest"}]}}]}'
    ),
    "a mutation that adds": kyverno('mutate: {patchStrategicMerge: {spec: {containers: [{(name): "*", +(resources): {}}]}}}'),
    "a mutation in whole": kyverno(f"mutate: {{patchStrategicMerge: {{{WHOLE}}}}}"),
    "a namespaced policy": kyverno(f"mutate: {{patchStrategicMerge: {{{WHOLE}}}}}", "Policy"),
    "Kyverno's newer policies": kyverno(f"mutations: [{{{WHOLE}}}]", "MutatingPolicy", "policies.kyverno.io/v1alpha1"),
    "Gatekeeper's mutation": kyverno(f"parameters: {{assign: {{value: {{{WHOLE}}}}}}}", "Assign", "mutations.gatekeeper.sh/v1"),
    "Gatekeeper's template": kyverno(f"examples: [{{{WHOLE}}}]", "ConstraintTemplate", "templates.gatekeeper.sh/v1"),
    "a pattern of somebody else's": foreign(f"pattern: {{{WHOLE}}}"),
    "a patch of somebody else's": foreign(f"podPatch: {{{WHOLE}}}"),
    "an overlay of somebody else's": foreign(f"overlays: [{{{WHOLE}}}]"),
    "overrides of somebody else's": foreign(f"podOverrides: {{{WHOLE}}}"),
    "a wildcard of somebody else's": holding('image: "registry.example/*"'),
    "a directive of somebody else's": holding("$patch: replace"),
    "a hole for a parameter": holding('image: "{{ image }}"'),
    "a hole of a template's": holding('image: "${IMAGE}"'),
    "a hole of a pipeline's": holding("image: $(params.image)"),
    "a hole for an amount in a whole pod": pod('{limits: {sgx.intel.com/epc: "${EPC}"}}'),
    "a hole of Helm's for an amount in a whole pod": pod('{limits: {sgx.intel.com/epc: "{{ .Values.epc }}"}}'),
    "a hole for what is requested": pod('{requests: {memory: "$(MEMORY)"}}'),
    "a hole for an amount of a Deployment's": own(
        "Deployment",
        "spec: {selector: {matchLabels: {a: b}}, template: {spec: {initContainers: [{name: i, image: i, "
        'resources: {limits: {sgx.intel.com/epc: "{{ .Values.epc }}"}}}], containers: [{name: a, image: a}]}}}',
    ),
    "an anchor alone": foreign(f'template: {{spec: {{containers: [{{name: a, image: x, "=(tty)": false, {PROVISION}}}]}}}}'),
    "a patch that deletes": own("Deployment", "spec: {template: {spec: {containers: [{name: a, $patch: delete}]}}}"),
    "a patch in order": own("Pod", f"spec: {{$setElementOrder/containers: [], containers: [{{name: a, {PROVISION}}}]}}", "v1"),
    "a part with a selector of nodes": own("DaemonSet", "spec: {template: {spec: {nodeSelector: {a: b}}}}"),
    "a part with an init container": own("DaemonSet", "spec: {template: {spec: {initContainers: [{name: i, image: i}]}}}"),
    "a part with resources alone": own("Deployment", f"spec: {{template: {{spec: {{containers: [{{name: a, {PROVISION}}}]}}}}}}"),
    "a part with a number": own("StatefulSet", "spec: {replicas: 3}"),
    "a part with a label": own("Deployment", ""),
    "a part with a schedule's end": own("CronJob", "spec: {suspend: true}", "batch/v1"),
    "a part of a job": own("Job", "spec: {backoffLimit: 3}", "batch/v1"),
}


@pytest.mark.parametrize("name", FRAGMENTS)
def test_what_is_no_pod_is_counted_as_not_looked_at_and_never_refused(name: str) -> None:
    done = checked(FRAGMENTS[name], "-o", "json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["checked"], len(told["notLookedAt"])) == (0, [], 1)
    assert told["notLookedAt"][0]["why"]
    said = checked(FRAGMENTS[name]).stdout
    assert "not looked at, " in said
    assert "error" not in said


WRONG = {
    "an empty spec": own("Deployment", "spec: {}"),
    "a spec that is no object": own("Deployment", "spec: [7]"),
    "a template that is no object": own("Deployment", "spec: {template: 7}"),
    "no containers": own("Deployment", "spec: {selector: {matchLabels: {a: b}}, template: {spec: {containers: []}}}"),
    "an image and no selector": own("Deployment", f"spec: {{template: {{{WHOLE}}}}}"),
    "a whole pod": own("Pod", WHOLE, "v1"),
    "a whole template of somebody else's": foreign(f"template: {{{WHOLE}}}"),
    "an amount with a wildcard in a whole pod": pod('{limits: {sgx.intel.com/epc: "*"}}'),
}


def test_who_left_a_hole_for_an_amount_is_told_to_fill_it_first() -> None:
    said = checked(FRAGMENTS["a hole for an amount in a whole pod"]).stdout
    assert "an amount in it is a hole still to be filled" in said
    assert "helm template . | donjon check -" in said


@pytest.mark.parametrize("text", ["", "\n", " \t\n\n"])
def test_no_text_at_all_is_unreadable(text: str) -> None:
    done = checked(text)
    assert done.exit_code == 2
    assert "it is empty: no object is in it" in done.stderr
    assert "[DJ930]" in done.stderr


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_no_fragment(name: str) -> None:
    done = checked(WRONG[name])
    assert done.exit_code == 1
    assert "1 with pods looked at: 0 admitted, 1 refused" in done.stdout


ORDINARY_AND_WRONG = [
    "resources: {limits: {cpu: 1}, requests: {cpu: 2}}",
    "resources: {limits: {memory: lots}}",
    "env: [{name: A, value: 4}]",
    "resources: []",
]
"""What Kubernetes would refuse, if a controller made such pods."""


@pytest.mark.parametrize("field", ORDINARY_AND_WRONG)
def test_a_foreign_kind_that_does_not_ask_for_sgx_never_fails(field: str) -> None:
    body = f"template: {{spec: {{containers: [{{name: a, image: registry.example/a:1, {field}}}]}}}}"
    done = checked(foreign(body))
    assert (done.exit_code, "[DJ" in done.output) == (0, False)
    assert checked(own("Pod", body.removeprefix("template: {").removesuffix("}"), "v1")).exit_code == 1


def test_a_foreign_kind_that_asks_for_sgx_is_told_what_kubernetes_refuses() -> None:
    done = checked(
        foreign("template: {spec: {containers: [{name: a, image: a, resources: {limits: {sgx.intel.com/epc: lots}}}]}}")
    )
    assert done.exit_code == 1
    assert "[DJ120]" in done.stdout


PATCH: list[Json] = [{"op": "add", "path": "/spec/replicas", "value": 3}, {"op": "remove", "path": "/spec/paused"}]


@pytest.mark.parametrize("form", ["text", "json", "yaml"])
def test_a_file_of_json_patches_is_counted_and_comes_out_as_it_is(form: str) -> None:
    done = checked(f"{json.dumps(PATCH)}\n---\n{pod('{}')}", "-o", form)
    assert done.exit_code == 0
    assert form != "text" or "1 without pods not looked at: 1 without a kind" in done.stdout
    assert form != "yaml" or "- op: add\n" in done.stdout


@pytest.mark.parametrize("text", ["- op: add\n- 1\n", "- {name: a}\n", "- {op: add}\n"])
def test_another_list_is_no_manifest(text: str) -> None:
    assert checked(text).exit_code == 2


STREAMS = {
    "comments": "# Source: chart/templates/a.yaml\n---\n# nothing\n---\n---\n",
    "an empty list": "apiVersion: v1\nkind: List\nitems: []\n",
    "a list without items": "apiVersion: v1\nkind: List\nitems: null\n",
    "lists in lists": "kind: List\nitems: [{kind: List, items: [{kind: ConfigMapList, items: [{metadata: {name: a}}]}]}]\n",
    "values": "image: {repository: a, tag: 1}\npod: {spec: {containers: [{name: a, env: [{value: 1}]}]}}\n",
    "a kustomization": "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\npatches: [{patch: '[]'}]\n",
    "a definition": (
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a}\n"
        "spec: {versions: [{schema: {openAPIV3Schema: {properties: {spec: {properties: {containers: {type: array}}}}}}}]}\n"
    ),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_without_pods_is_green(name: str) -> None:
    done = checked(STREAMS[name])
    assert done.exit_code == 0, done.output
    assert "[DJ" not in done.output
