"""What the chart makes for admission by an enclave's identity where it is on; where it is off, there is nothing of it."""

import pytest
from tests.deploy.conftest import Helm, named
from tests.deploy.test_chart import WEBHOOK, assert_nothing_is_given_to, pod_of

from donjon.admission.policies.all import for_enclaves
from donjon.admission.policies.gaps import first_difference
from donjon.cli.admission.serve import serve
from donjon.formats.json import at
from donjon.kube.names import CLUSTER_ENCLAVE_POLICY, ENCLAVE_POLICY

ON = "admission.enclaves.enabled=true"
REGISTRIES = (
    'admission.enclaves.registries={"allowed": ["a.example"], "inside": ["b.example:5000"], "plainHttp": ["c.example"], '
    '"secretName": "registry", "authoritiesConfigMap": "registries"}'
)


def test_off_there_is_nothing_of_it(helm: Helm) -> None:
    assert not [each for each in helm.template() if "enclaves" in each["metadata"]["name"]]
    assert not [each for each in helm.template("admission.enabled=false", ON) if "enclaves" in each["metadata"]["name"]]


@pytest.mark.parametrize("mode", [(), (WEBHOOK,)])
def test_whatever_wires_pods_the_api_server_gets_what_donjon_prints(helm: Helm, mode: tuple[str, ...]) -> None:
    made = helm.template(ON, *mode)
    for printed in for_enclaves("donjon", "donjon", "donjon-enclaves"):
        live = named(made, str(printed["kind"]), str(at(printed, "metadata", "name")))
        assert first_difference(printed, live) == ""


def test_its_account_may_write_what_was_found_and_nothing_of_anybody_elses(helm: Helm) -> None:
    made = helm.template(ON)
    granted = {
        (resource, verb)
        for rule in named(made, "ClusterRole", "donjon-enclaves")["rules"]
        if "resourceNames" not in rule
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    writes = {(resource, verb) for resource, verb in granted if verb not in {"get", "list", "watch"}}
    assert writes == {
        *(("enclaveimages", verb) for verb in ("create", "update", "delete")),
        ("enclavepolicies/status", "patch"),
        ("clusterenclavepolicies/status", "patch"),
    }
    assert not [resource for resource, _ in granted if "secrets" in resource]
    by_name = [rule for rule in named(made, "ClusterRole", "donjon-enclaves")["rules"] if "resourceNames" in rule]
    assert [rule["resourceNames"] for rule in by_name] == [["donjon-enclaves"]]
    assert named(made, "Role", "donjon-enclaves")["rules"] == [
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["donjon-enclaves-tls"], "verbs": ["get", "update"]}
    ]


def test_it_has_no_privilege_and_its_flags_are_flags_that_it_knows(helm: Helm) -> None:
    pod = pod_of(helm.template(ON, REGISTRIES), "Deployment", "donjon-enclaves")
    assert_nothing_is_given_to(pod)
    arguments = pod["containers"][0]["args"]
    assert arguments[:3] == ["admission", "serve", "--enclaves"]
    known = {option for parameter in serve.params for option in parameter.opts}
    assert {flag.partition("=")[0] for flag in arguments[2:]} <= known
    assert {
        "--registry=a.example",
        "--registry-inside=b.example:5000",
        "--registry-plain-http=c.example",
        "--registry-config=/registries/.dockerconfigjson",
        "--registry-authority=/authorities/ca.crt",
    } <= set(arguments)
    assert [each["name"] for each in pod["volumes"]] == ["registries", "authorities"]
    assert "volumes" not in pod_of(helm.template(ON), "Deployment", "donjon-enclaves")


def test_policies_outlive_the_chart_and_what_was_found_does_not(helm: Helm) -> None:
    kinds = {each["spec"]["names"]["kind"]: each for each in helm.template(ON) if each["kind"] == "CustomResourceDefinition"}
    kept = {
        kind for kind, each in kinds.items() if each["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep"
    }
    assert set(kinds) == {ENCLAVE_POLICY, CLUSTER_ENCLAVE_POLICY, "EnclaveImage"}
    assert kept == {ENCLAVE_POLICY, CLUSTER_ENCLAVE_POLICY}


def test_which_namespaces_are_held_is_a_choice(helm: Helm) -> None:
    made = helm.template(ON, 'admission.enclaves.enforcedNamespaces={"matchExpressions": [{"key": "a", "operator": "Exists"}]}')
    (hook,) = named(made, "ValidatingWebhookConfiguration", "donjon-enclaves")["webhooks"]
    bound = named(made, "ValidatingAdmissionPolicyBinding", "donjon-enclaves")["spec"]["matchResources"]
    chosen = {"key": "a", "operator": "Exists"}
    assert chosen in hook["namespaceSelector"]["matchExpressions"]
    assert hook["namespaceSelector"] == bound["namespaceSelector"]
    assert (hook["failurePolicy"], hook["timeoutSeconds"]) == ("Fail", 5)
    assert helm.refusal(ON, 'admission.enclaves.registries.allowed=["a b"]')
