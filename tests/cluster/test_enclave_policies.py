"""The schemas of policies on enclaves, as a real API server holds people to them; our reader says the same of the same ones."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests import pages
from tests.cli.calling import call
from tests.enclave.signers import sign
from tests.enclave.test_trust_reading import CRDS
from tests.enclave.trust_documents import BAD, BAD_OF_CLUSTER, GOOD, GOOD_OF_CLUSTER, policy
from tests.pages import Terminal

from donjon.enclave.trust_reading import read_trust

if TYPE_CHECKING:
    from tests.cluster.conftest import Cluster

OURS, GROUP = "donjon.dev", "schemas.donjon.dev"
"""Under a group of their own the test's kinds stand beside those of a release."""
NAMESPACED, CLUSTER = "EnclavePolicy", "ClusterEnclavePolicy"
UNKNOWN_FIELDS = {
    *("a field of a signer that is none", "a field that is none"),
    "namespaces, of which only a policy of the cluster speaks",
}
PLURALS = ("enclavepolicies", "clusterenclavepolicies")


@pytest.fixture(scope="module", autouse=True)
def _kinds(cluster: "Cluster") -> Iterator[None]:
    texts = [(CRDS / f"{plural}.yaml").read_text(encoding="utf-8") for plural in PLURALS]
    definitions = (
        "---\n".join(texts).replace(f"group: {OURS}", f"group: {GROUP}").replace(f"policies.{OURS}", f"policies.{GROUP}")
    )
    names = [f"crd/{plural}.{GROUP}" for plural in PLURALS]
    cluster.kubectl("apply", "-f", "-", stdin=definitions)
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", *names)
    yield
    cluster.kubectl("delete", "--wait=false", *names)


def documents(good: dict[str, Any], of_cluster: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The objects that are to be made, each by a name of its own."""
    specs = [
        *((NAMESPACED, each) for each in good.values()),
        *((CLUSTER, each) for each in (*good.values(), *of_cluster.values())),
    ]
    objects = {f"p{number}": policy(kind, spec, f"p{number}") for number, (kind, spec) in enumerate(specs)}
    return {name: {**each, "apiVersion": f"{GROUP}/v1alpha1"} for name, each in objects.items()}


def create(cluster: "Cluster", objects: dict[str, Any], *, strict: bool = False) -> tuple[set[str], str]:
    """The names of those that the API server takes, and all that it says; kubectl's own look would stop at the first."""
    everything = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects.values())})
    said = cluster.kubectl(
        "create", f"--validate={str(strict).lower()}", "--dry-run=server", "-o", "name", "-f", "-", stdin=everything, check=False
    )
    return {line.rpartition("/")[2] for line in said.splitlines() if line.count("/") == 1 and " " not in line}, said


def test_the_api_server_takes_every_good_policy(cluster: "Cluster") -> None:
    objects = documents(GOOD, GOOD_OF_CLUSTER)
    taken, said = create(cluster, objects)
    assert taken == objects.keys(), said


def test_the_api_server_refuses_every_wrong_policy_in_words(cluster: "Cluster") -> None:
    wrong = {name: each.spec for name, each in BAD.items() if name not in UNKNOWN_FIELDS}
    objects = documents(wrong, {name: each.spec for name, each in BAD_OF_CLUSTER.items()})
    taken, said = create(cluster, objects)
    assert taken == set(), said
    assert "debug: here and sampleKeys need a namespaceSelector that says where" in said
    assert "values go with In and NotIn, and with nothing else" in said


@pytest.mark.parametrize("name", sorted(UNKNOWN_FIELDS))
def test_kubectl_refuses_a_field_that_is_none(cluster: "Cluster", name: str) -> None:
    taken, said = create(cluster, {"p": {**policy(NAMESPACED, BAD[name].spec), "apiVersion": f"{GROUP}/v1alpha1"}}, strict=True)
    assert taken == set(), said
    assert "unknown field" in said


def test_a_policy_is_kept_with_its_defaults_and_shown_in_columns(cluster: "Cluster", namespace: str) -> None:
    made = {**policy(NAMESPACED, {"mode": "enforce"}), "apiVersion": f"{GROUP}/v1alpha1"}
    made["metadata"]["namespace"] = namespace
    cluster.apply(made)
    where = (f"enclavepolicies.{GROUP}", "p", "-n", namespace)
    spec = cluster.get(*where)["spec"]
    assert read_trust(spec) == read_trust({"mode": "enforce"})
    ready = {"type": "Ready", "status": "True", "reason": "Read", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status = json.dumps({"status": {"conditions": [ready], "signers": 2, "measurements": 1}})
    cluster.kubectl("patch", *where, "--subresource=status", "--type=merge", "-p", status)
    header, line = cluster.kubectl("get", *where).splitlines()
    assert header.split() == ["NAME", "MODE", "READY", "SIGNERS", "MEASUREMENTS", "AGE"]
    assert line.split()[:5] == ["p", "enforce", "True", "2", "1"]


@pytest.fixture
def _installed(cluster: "Cluster") -> Iterator[None]:
    """The kinds themselves, as a release brings them; away again where none had."""
    files = [CRDS / f"{plural}.yaml" for plural in PLURALS]
    new = [path for path in files if f"{path.stem}.{OURS}" not in cluster.kubectl("get", "crd", "-o", "name")]
    for path in new:
        cluster.kubectl("apply", "-f", str(path))
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", f"crd/{path.stem}.{OURS}")
    yield
    for path in new:
        cluster.kubectl("delete", "crd", f"{path.stem}.{OURS}")


@pytest.mark.usefixtures("_installed")
def test_the_page_puts_a_policy_on_the_cluster_and_enforces_it(cluster: "Cluster", namespace: str, tmp_path: Path) -> None:
    (tmp_path / "app.sig").write_bytes(sign("ours", svn=3).raw)
    printed = call("policy", "from-enclave", tmp_path / "app.sig", "--kind", "EnclavePolicy")
    (tmp_path / "ours.yaml").write_text(printed.stdout)
    environment = {"KUBECONFIG": str(cluster.kubeconfig)}
    reader = Terminal(folder=tmp_path, environment=environment, instead={"-n team": f"-n {namespace}"})
    said = [reader.run(command) for command in pages.shown("trusted-enclaves.md", __file__)]
    assert "enclavepolicy.donjon.dev/ours" in said[0]
    assert f"{namespace}" in said[1]
    spec = cluster.get("enclavepolicy", "ours", "-n", namespace)["spec"]
    assert read_trust(spec).signers[0].mr_signer == sign("ours").mr_signer
    assert read_trust(spec).enforces
    cluster.kubectl("apply", "--dry-run=server", "-f", str(pages.DOCS / "examples" / "enclaves" / "cluster.yaml"))
