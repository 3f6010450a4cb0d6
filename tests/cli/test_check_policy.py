"""`donjon check --policy`: what a cluster would say of the enclaves in manifests' images, without one."""

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests import pages
from tests.adapters.dockerregistry import docker_registry
from tests.cli.calling import call
from tests.enclave.signers import sign, spoil
from tests.enclave.trust_documents import PEM, policy
from tests.enclave.vectors import SAMPLE
from tests.images.made import MadeImage, layer, write_docker_archive, write_layout
from tests.pages import DOCS, Terminal
from tests.signing.test_containers import PEM as COSIGN

from donjon.enclave.trust_reading import read_policy
from donjon.sgx.sigstruct import SigStruct

APP = "registry.example/team/app:1"
OURS = {"signers": [{"name": "ours", "mrSigner": sign("ours").mr_signer.hex(), "minSvn": 3}]}
ENFORCED = {**OURS, "mode": "enforce"}
AWAY = "127.0.0.1:1/app:1"
"""Where nobody listens."""


def container(name: str = "app", image: str = APP, *, asks: bool = True) -> dict[str, Any]:
    return {"name": name, "image": image, **({"resources": {"limits": {"sgx.intel.com/epc": "10Mi"}}} if asks else {})}


def pod(*containers: dict[str, Any], **metadata: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "app", **metadata}, "spec": {"containers": list(containers)}}


class Desk:
    """A folder with manifests, policies and images."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, *documents: dict[str, Any]) -> Path:
        (self.folder / name).write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(documents)}))
        return self.folder / name

    def image(self, name: str, *signatures: SigStruct) -> str:
        files = {f"opt/{number}.sig": each.raw for number, each in enumerate(signatures)}
        write_layout(self.folder / name, MadeImage(layer({"bin/sh": b"#!" * 2000, **files})))
        return f"oci:{self.folder / name}"

    def check(
        self, spec: dict[str, Any], *options: str, kind: str = "EnclavePolicy", of: dict[str, Any] | None = None, **images: str
    ) -> Any:
        manifests, policies = self.write("pod.json", of or pod(container())), self.write("policy.json", policy(kind, spec))
        places = [f"--image-from={APP}={place}" for place in images.values()]
        return call("check", manifests, "--policy", policies, *places, *options)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_listed_enclave_is_admitted(desk: Desk) -> None:
    done = desk.check(ENFORCED, "--strict", app=desk.image("good", sign("ours", svn=3)))
    assert (done.returncode, "admitted" in done.stdout) == (0, True), done.stdout


def test_a_sample_key_is_refused_by_its_name_at_the_line_of_the_image(desk: Desk) -> None:
    sample = desk.image("demo", SAMPLE)
    done = desk.check(ENFORCED, app=sample)
    assert done.returncode == 1
    assert (
        "pod.json:1: error: registry.example/team/app: enclave c50673624a6cb17c…: is signed with Intel SDK's sample key"
        in done.stdout
    )
    assert "EnclavePolicy default/p refuses it [DJ368]" in done.stdout
    assert "Pod app: refused" in done.stdout


def test_a_policy_that_warns_says_the_same_and_admits_but_for_strict(desk: Desk) -> None:
    sample = desk.image("demo", SAMPLE)
    done = desk.check(OURS, app=sample)
    assert (done.returncode, "refuses it, once it enforces [DJ368]" in done.stdout) == (0, True)
    assert desk.check(OURS, "--strict", app=sample).returncode == 1


def test_an_image_in_an_archive_of_docker_and_json_for_programs(desk: Desk) -> None:
    write_docker_archive(desk.folder / "app.tar", MadeImage(layer({"a.sig": spoil(sign("ours", svn=3)).raw})))
    done = desk.check(ENFORCED, "-o", "json", app=f"docker-archive:{desk.folder / 'app.tar'}")
    (checked,) = json.loads(done.stdout)["checked"]
    assert (done.returncode, checked["refused"]) == (1, True)
    assert [each["code"] for each in checked["findings"] if each["severity"] == "error"] == ["DJ366"]


def test_a_container_that_does_not_ask_may_have_no_enclave_and_a_pod_that_does_not_ask_is_not_looked_at(desk: Desk) -> None:
    beside = pod(container(), container("logs", "registry.example/logs", asks=False))
    good, plain = desk.image("good", sign("ours", svn=3)), desk.image("plain")
    done = desk.check(ENFORCED, f"--image-from=registry.example/logs={plain}", of=beside, app=good)
    assert done.returncode == 0, done.stdout
    assert desk.check(ENFORCED, of=pod(container(image=AWAY, asks=False))).returncode == 0
    done = desk.check(ENFORCED, app=plain)
    assert (done.returncode, "[DJ372]" in done.stdout) == (1, True)


def test_an_image_that_is_not_there_is_told_and_ends_with_3(desk: Desk) -> None:
    done = desk.check({**ENFORCED, "unreachable": "allow"}, of=pod(container(image=AWAY)))
    assert (done.returncode, "[DJ373]" in done.stdout) == (3, True), done.stdout


def test_a_place_of_an_image_that_no_pod_names_is_told_with_those_that_they_name(tmp_path: Path) -> None:
    (tmp_path / "pod.json").write_text(json.dumps(pod(container())))
    mistyped = call("check", tmp_path / "pod.json", "--image-from", f"{APP}x=oci:nowhere")
    assert f"--image-from {APP}x: no pod has an image of that very name; they have {APP}" in mistyped.stderr
    rightly = call("check", tmp_path / "pod.json", "--image-from", f"{APP}=oci:nowhere")
    assert "--image-from" not in rightly.stderr


def test_a_broken_image_is_refused(desk: Desk) -> None:
    (desk.folder / "app.tar").write_bytes(b"no archive")
    done = desk.check({**ENFORCED, "unreachable": "allow"}, app=f"docker-archive:{desk.folder / 'app.tar'}")
    assert (done.returncode, "[DJ373]" in done.stdout) == (1, True), done.stdout + done.stderr


def test_policies_hold_in_their_namespaces_and_where_none_does_that_is_said(desk: Desk) -> None:
    good = desk.image("good", sign("another"))
    done = desk.check(ENFORCED, of=pod(container(), namespace="elsewhere"), app=good)
    assert (done.returncode, "namespace elsewhere: none of the policies holds there" in done.stdout) == (0, True)
    dev = {**ENFORCED, "namespaceSelector": {"matchLabels": {"env": "dev"}}}
    for label, code in (("env=dev", 1), ("env=prod", 0)):
        assert desk.check(dev, "--namespace-label", label, kind="ClusterEnclavePolicy", app=good).returncode == code


@pytest.mark.parametrize(("keys", "code"), [([], 0), ([{"name": "cosign", "key": COSIGN}], 1)])
def test_an_image_in_a_real_registry_is_looked_into_there_and_its_signatures_too(
    desk: Desk, keys: list[dict[str, str]], code: int
) -> None:
    with docker_registry(desk.folder / "registry") as registry:
        registry.push(desk.image("good", sign("ours", svn=3)), "team/app:1")
        of_registry = pod(container(image=f"{registry.host}/team/app:1"))
        done = desk.check({**ENFORCED, "containerSignatures": keys}, of=of_registry)
    assert (done.returncode, "no signature of cosign was proved" in done.stdout) == (code, bool(keys)), done.stdout


def test_signatures_of_containers_are_said_to_be_looked_at_elsewhere(desk: Desk) -> None:
    signed_by = {**ENFORCED, "containerSignatures": [{"name": "cosign", "key": PEM}]}
    done = desk.check(signed_by, "--strict", app=desk.image("good", sign("ours", svn=3)))
    assert (done.returncode, "has to be signed by cosign, which was not looked at here" in done.stdout) == (0, True)


@pytest.mark.parametrize("spec", [{"mode": "x"}, {"signer": []}])
def test_a_policy_that_cannot_be_read_ends_with_2(desk: Desk, spec: dict[str, Any]) -> None:
    done = desk.check(spec)
    assert (done.returncode, "[DJ365]" in done.stderr) == (2, True)
    assert "policy.json: EnclavePolicy" in done.stderr, "which file it was is told"


def test_a_manifest_without_a_policy_is_none(desk: Desk) -> None:
    manifests = desk.write("pod.json", pod(container()))
    done = call("check", manifests, "--policy", manifests)
    assert (done.returncode, "no EnclavePolicy or ClusterEnclavePolicy" in done.stderr) == (2, True)
    assert call("check", manifests, "--image-from", "nothing").returncode == 2


# The page.

OFFLINE = "trusted-enclaves.md"


def test_the_page_goes_from_an_enclave_to_a_policy_and_back_to_an_image(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    (tmp_path / "app.sig").write_bytes(sign("ours", svn=3).raw)
    desk.image("app-image", sign("ours", svn=4))
    desk.image("demo-image", SAMPLE)
    lines = ["apiVersion: v1", "kind: Pod", "metadata: {name: app}", "spec:", "  containers:", "    - name: app"]
    limits = ["      resources:", "        limits: {sgx.intel.com/epc: 10Mi}"]
    (tmp_path / "pod.yaml").write_text("\n".join([*lines, *limits, f"      image: {APP}", ""]))
    reader = Terminal(folder=tmp_path, environment={}, instead={})
    offline = pages.shown("trusted-enclaves.md", __file__)
    for command, shown in pages.answers(pages.text(OFFLINE)):
        if command in offline:
            said = reader.run(command)
            assert [line for line in shown if not pages.is_shown(line, said)] == [], said


def test_the_pages_pair_of_policies_is_one() -> None:
    (example,) = pages.examples(OFFLINE, "yaml")
    assert example == (DOCS / "examples" / "enclaves" / "cluster.yaml").read_text(encoding="utf-8")
    everywhere, development = (read_policy(each) for each in YAML(typ="safe").load_all(example))
    assert (everywhere.holds_in("x", {}), everywhere.holds_in("x", {"env": "dev"})) == (True, False)
    assert (development.holds_in("x", {}), development.holds_in("x", {"env": "dev"})) == (False, True)
