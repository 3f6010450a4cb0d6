"""Admission by identity on a real cluster with a real registry: refused by name, signed anew, pinned, and held to it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.cluster.agents import EPC, NAMESPACE, pod
from tests.cluster.conftest import ORDINARY_IMAGE, Cluster
from tests.cluster.load import ORDINARY, Load
from tests.cluster.registry import HOST, TestRegistry, registry
from tests.cluster.release import Release, installed
from tests.cluster.test_status import status
from tests.enclave.vectors import SDK_FILE

from donjon.admission.policies.enclaves import HOLD_WAITS
from donjon.cli.enclave.command import enclave
from donjon.enclave.samples import SAMPLE_KEYS
from donjon.enclave.search import enclaves
from donjon.kube.names import ANNOTATION_ENCLAVES, ANNOTATION_IMAGES, ENCLAVES_ENFORCED, LABEL_ENCLAVES

Wait = Callable[..., Any]

ON = (
    "admission.enclaves.enabled=true",
    "admission.enclaves.replicas=1",
    f'admission.enclaves.registries.inside=["{HOST}"]',
    f'admission.enclaves.registries.plainHttp=["{HOST}"]',
)
DEPLOYMENT = "deployment/donjon-enclaves"
KINDS = ("enclavepolicies", "clusterenclavepolicies", "enclaveimages")
SAMPLED = f"{HOST}/team/sampled:1"
RE_SIGNED = f"{HOST}/team/signed:1"
MINE = {EPC: "1Mi"}
CROWD = 2000  # containers


def sigstruct_of(content: bytes) -> Any:
    found = enclaves(content)[0].sigstruct
    assert found is not None
    return found


@dataclass(slots=True)
class World:
    """The cluster, the registry, and an enclave signed anew with a key of one's own."""

    cluster: Cluster
    release: Release
    registry: TestRegistry
    signer: str
    digests: dict[str, str] = field(default_factory=dict)

    def policy(self, **spec: Any) -> None:
        """Let one policy of the cluster say this, in force when this returns."""
        said = {"mode": "enforce", "signers": [{"name": "ours", "mrSigner": self.signer}], **spec}
        self.cluster.apply({"apiVersion": "donjon.dev/v1alpha1", "kind": "ClusterEnclavePolicy", **_named("test"), "spec": said})
        condition = ("--for=jsonpath={.status.conditions[0].status}=True", "clusterenclavepolicy/test")
        self.cluster.kubectl("wait", "--timeout=20s", *condition)
        generation = self.cluster.get("clusterenclavepolicy", "test")["metadata"]["generation"]
        observed = f"--for=jsonpath={{.status.observedGeneration}}={generation}"
        self.cluster.kubectl("wait", "--timeout=20s", observed, "clusterenclavepolicy/test")

    def tried(self, image: str, namespace: str = "default", **more: Any) -> str:
        """What the API server says to a pod of that image that asks."""
        asked = pod("asks", image=image, limits=MINE)
        asked["metadata"] |= more
        create = ("create", "-n", namespace, "--dry-run=server", "-f", "-")
        return self.cluster.kubectl(*create, stdin=json.dumps(asked), check=False)

    def made(self, name: str, image: str, namespace: str) -> Any:
        """A pod of that image that asks, made for good, as it is then."""
        self.cluster.apply(pod(name, image=image, limits=MINE), namespace=namespace)
        return self.cluster.get("pod", "-n", namespace, name)


def _named(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}}


def re_sign(folder: Path) -> tuple[bytes, str]:
    """The vector's enclave, signed with a fresh key, and that key's MRSIGNER."""
    key, before, after = folder / "key.pem", folder / "before.so", folder / "after.so"
    before.write_bytes(SDK_FILE)
    for words in (("keygen", str(key)), ("sign", "--key", str(key), "--no-debug", "--to", str(after), str(before))):
        done = CliRunner().invoke(enclave, words)
        assert done.exit_code == 0, done.output
    content = after.read_bytes()
    return content, sigstruct_of(content).mr_signer.hex()


def crowded() -> dict[str, Any]:
    """A pod of very many containers that do not ask."""
    made = pod("crowded", image=ORDINARY_IMAGE, limits={"cpu": "1m", "memory": "1Mi"})
    (one,) = made["spec"]["containers"]
    made["spec"]["containers"] = [{**one, "name": f"c{number}"} for number in range(CROWD)]
    return made


@pytest.fixture(scope="module")
def world(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    assert cluster.testbed is not None
    folder = tmp_path_factory.mktemp("registry")
    content, signer = re_sign(folder)
    with registry(cluster.testbed.layout, folder) as there:
        for release in installed(cluster):
            world = World(cluster, release, there, signer)
            world.digests[SAMPLED] = there.push("team/sampled", "1", {"opt/enclave.signed.so": SDK_FILE})
            world.digests[RE_SIGNED] = there.push("team/signed", "1", {"opt/enclave.signed.so": content})
            release.upgrade(*ON)
            yield world
    cluster.kubectl("delete", "crd", *(f"{each}.donjon.dev" for each in KINDS), "--ignore-not-found")


@pytest.fixture
def enforced(namespace: str, cluster: Cluster) -> str:
    """A namespace that is held to its enclaves' identity."""
    cluster.kubectl("label", "namespace", namespace, f"{LABEL_ENCLAVES}={ENCLAVES_ENFORCED}")
    return namespace


def test_a_sample_key_is_refused_by_its_name_and_warned_about_before_that(world: World, wait_for: Wait) -> None:
    name = SAMPLE_KEYS[sigstruct_of(SDK_FILE).mr_signer.hex()].key
    world.policy(mode="warn")
    wait_for(lambda: f"is signed with {name}" in world.tried(SAMPLED), what="the policy warns")
    assert "created (server dry run)" in world.tried(SAMPLED)
    world.policy(mode="enforce")
    said = world.tried(SAMPLED)
    assert "denied the request" in said
    assert name in said
    assert "[DJ368]" in said


def test_signed_anew_it_is_admitted_and_its_pinned_digest_runs_whatever_the_tag_says_since(
    world: World, enforced: str, wait_for: Wait
) -> None:
    world.policy()
    made = world.made("tagged", RE_SIGNED, enforced)
    digest = world.digests[RE_SIGNED]
    moved = world.registry.push("team/signed", "1", {"opt/enclave.signed.so": SDK_FILE})
    assert moved != digest
    assert made["spec"]["containers"][0]["image"] == f"{HOST}/team/signed@{digest}"
    notes = made["metadata"]["annotations"]
    (found,) = json.loads(notes[ANNOTATION_ENCLAVES])
    assert found["enclaves"][0]["mrsigner"] == world.signer
    assert json.loads(notes[ANNOTATION_IMAGES]) == {"app": RE_SIGNED}
    wait_for(lambda: digest.replace(":", "-") in world.cluster.kubectl("get", "enclaveimages", "-o", "name"), what="it is shared")

    def running() -> Any:
        status = world.cluster.get("pod", "-n", enforced, "tagged")["status"]
        return next((each for each in status.get("containerStatuses", []) if each["state"].get("running")), None)

    assert wait_for(running, seconds=40, what="the pinned digest runs")["imageID"].endswith(digest)
    # Of a pod that is there, another image is judged, and so is a container put beside its own.
    patch = {"spec": {"containers": [{"name": "app", "image": SAMPLED}]}}
    assert "[DJ368]" in world.cluster.kubectl("patch", "pod", "-n", enforced, "tagged", "-p", json.dumps(patch), check=False)
    debug = ("debug", "-n", enforced, "tagged", f"--image={SAMPLED}", "--container=d", "--", "true")
    assert "[DJ368]" in world.cluster.kubectl(*debug, check=False)


def test_a_registry_that_is_away_is_as_the_policy_says(world: World, enforced: str, wait_for: Wait) -> None:
    world.registry.stop()
    try:
        world.policy(unreachable="refuse")
        said = world.tried(f"{HOST}/team/unknown:1", enforced)
        assert "[DJ373]" in said
        world.policy(unreachable="warn")
        wait_for(lambda: "Warning" in world.tried(f"{HOST}/team/unknown:2", enforced), what="the policy warns")
        assert "created (server dry run)" in world.tried(f"{HOST}/team/unknown:2", enforced)
        # What was looked into before needs no registry.
        assert "created (server dry run)" in world.tried(f"{HOST}/team/signed@{world.digests[RE_SIGNED]}", enforced)
    finally:
        world.registry.start()


def test_while_nobody_looks_an_enforced_namespace_admits_no_enclave_and_hinders_no_other(
    world: World, enforced: str, wait_for: Wait, tmp_path: Path
) -> None:
    world.policy()
    good = f"{HOST}/team/signed@{world.digests[RE_SIGNED]}"
    world.cluster.kubectl("-n", NAMESPACE, "scale", DEPLOYMENT, "--replicas=0")
    try:
        selector = ("-l", "app.kubernetes.io/component=enclaves")
        wait_for(lambda: not world.cluster.get("pods", "-n", NAMESPACE, *selector)["items"], what="nobody is left")
        with Load(world.cluster, tmp_path, rate=20, made=ORDINARY) as ordinary:
            said = world.tried(good, enforced)
            assert "[DJ375]" in said
            assert f"kubectl get pods -n {NAMESPACE} -l app.kubernetes.io/component=enclaves" in said
            code, answer = status(world.cluster)
            (scaled,) = [each["found"] for each in answer["findings"] if each["code"] == "DJ386"]
            assert (code, scaled) == (1, "its Deployment is scaled to 0")
            forged = world.tried(good, enforced, annotations={ANNOTATION_ENCLAVES: "[]"})
            assert "created" not in forged
            assert "hold.enclaves.donjon.dev" in forged
            world.cluster.apply(pod("plain", "true", image=ORDINARY_IMAGE), namespace=enforced)
        assert set(ordinary.outcomes) == {"unwired"}
        assert max(ordinary.seconds) < HOLD_WAITS
        create = ("create", "-n", enforced, "--dry-run=server", "-o", "name", "-f", "-")
        assert "pod/" in world.cluster.kubectl(*create, stdin=json.dumps(crowded()))
    finally:
        world.cluster.kubectl("-n", NAMESPACE, "scale", DEPLOYMENT, "--replicas=1")
    wait_for(lambda: "created (server dry run)" in world.tried(good, enforced), seconds=60, what="pods are admitted again")
    assert "DJ386" not in [each["code"] for each in status(world.cluster)[1]["findings"]]
