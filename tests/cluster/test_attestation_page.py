"""Every command of docs/attestation-in-a-cluster.md, run in the page's order as it stands there, and those of Helm's notes.

What the testbed lacks is stood in for: Intel, by collateral of a recorded
quote, which is served on the nodes' network and judged as of its own time, with the one status accepted that its platform had.
"""

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from testbed.layout import HOST_ADDRESS
from tests import pages
from tests.adapters import fakepccs
from tests.adapters.fakepccs import Pccs
from tests.cluster.agents import NAMESPACE
from tests.cluster.conftest import Cluster
from tests.cluster.release import Release, installed
from tests.ports import free_port

from donjon.collateral import bundle

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "attestation-in-a-cluster.md").read_text(encoding="utf-8")
QUOTE = PROJECT / "vectors" / "dcap-qvl" / "quotes" / "f8b81014b6e4_v3_sgx_00a067110000.bin"
COLLATERAL = PROJECT / "vectors" / "dcap-qvl" / "sgx_quote_collateral.json"
NAME = f"donjon-attestation.{NAMESPACE}.svc"
AS_OF_THEN = "donjon token verify"  # which sees by which clock the recorded quote was judged, and refuses that alone
RESTORE = ("pod/restore", "configmap/restore")
MANIFESTS = ("attest-in-a-cluster.yaml", "set-policy-in-a-cluster.yaml", "show-policy-in-a-cluster.yaml")


@pytest.fixture(scope="module")
def release(cluster: Cluster) -> Iterator[Release]:
    yield from installed(cluster)


@pytest.fixture
def reader(cluster: Cluster, release: Release, tmp_path: Path) -> Iterator["Reader"]:
    """Someone who reads the page, in a folder that looks like a checkout."""
    del release
    for name in ("deploy", "src"):
        (tmp_path / name).symlink_to(PROJECT / name)
    shutil.copytree(PROJECT / "docs" / "examples", tmp_path / "docs" / "examples")
    (settings,) = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    with recorded_intel() as intel:
        stand_in = f'upstream = "{intel.address}"\nunsafe-clock = "2025-06-20T00:00:00Z"\n'
        gate = '[instances.team.gate]\naccept = ["ConfigurationAndSWHardeningNeeded"]\n'
        (tmp_path / "donjon.toml").write_text(stand_in + settings + gate)
        shutil.copy(QUOTE, tmp_path / "quote.bin")
        reader = Reader(cluster, tmp_path)
        try:
            yield reader
        finally:
            reader.leave()


@contextmanager
def recorded_intel() -> Iterator[Pccs]:
    answers = fakepccs.collateral(bundle.parse(COLLATERAL.read_bytes()), "sgx")
    with fakepccs.serving(Pccs(answers), host=HOST_ADDRESS) as intel:
        yield intel


class Reader:
    """Runs commands one after the other, as a person with a terminal does."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        path = os.pathsep.join([str(PROJECT / ".venv" / "bin"), str(PROJECT / "testbed" / "bin"), os.environ["PATH"]])
        self._environment = {**os.environ, "PATH": path, "KUBECONFIG": str(cluster.kubeconfig)}
        self._cluster, self._folder = cluster, folder
        self._ports = {"9810": str(free_port()), "8443": str(free_port())}
        self._background: list[subprocess.Popen[bytes]] = []

    def run(self, command: str) -> str:
        """What it printed; one that ends in & goes on beside the others."""
        for shown, free in self._ports.items():
            command = command.replace(f" {shown} &", f" {free}:{shown} &").replace(f" {shown}:443 &", f" {free}:443 &")
            command = command.replace(f"localhost:{shown}", f"localhost:{free}")
        if command.endswith(" &"):
            words = ["bash", "-c", f"exec {command.removesuffix(' &')}"]
            self._background.append(subprocess.Popen(words, env=self._environment, stdout=subprocess.DEVNULL))
            return ""
        words = ["bash", "-o", "pipefail", "-c", command]
        done = subprocess.run(
            words, cwd=self._folder, env=self._environment, capture_output=True, text=True, check=False, timeout=240
        )
        assert done.returncode == command.startswith(AS_OF_THEN), (
            f"{command}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )
        return done.stdout + done.stderr

    def name_the_service(self) -> None:
        """There is no name server in the testbed: as the page's own command, which the notes leave out."""
        address = self._cluster.get("service", "-n", NAMESPACE, "donjon-attestation")["spec"]["clusterIP"]
        for name in MANIFESTS:
            file, yaml = self._folder / "docs" / "examples" / name, YAML(typ="safe")
            job = yaml.load(file)
            job["spec"]["template"]["spec"]["hostAliases"] = [{"ip": address, "hostnames": [NAME]}]
            yaml.dump(job, file)

    def leave(self) -> None:
        """What the page takes away itself is taken away also where it ended too soon."""
        for each in self._background:
            each.terminate()
            each.wait(30)
        gone = ("--ignore-not-found", "--wait=false")
        self._cluster.kubectl("delete", "job/attest", "job/sgx-test", "configmap/attestation-evidence", *gone)
        jobs = "job/set-policy", "job/show-policy"
        ours = (*jobs, "configmap/policy", "serviceaccount/policy-officer", "pvc/donjon-attestation", *RESTORE)
        secrets = ("secret/attestation-tls", "secret/attestation-keys", "secret/audit-keys")
        self._cluster.kubectl("delete", "-n", NAMESPACE, *ours, *secrets, *gone)


def claims(log: str) -> dict[str, Any]:
    """What the Job printed of the token, whose own bytes stand in the last line."""
    printed, _, token = log.rstrip().rpartition("\n")
    said: dict[str, Any] = json.loads(printed)
    body = token.split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))) == said
    return said


def test_the_page_holds_from_its_first_command_to_its_last(reader: Reader) -> None:
    printed = [(command, reader.run(command)) for command in pages.shown("attestation-in-a-cluster.md", __file__)]

    def told(part: str) -> list[str]:
        found = [text for command, text in printed if part in command]
        assert found, part
        return found

    rehearsed, attested, refused = (text for command, text in printed if command == "kubectl logs job/attest")
    assert claims(rehearsed)["x-donjon-simulated"] is True
    real = claims(attested)
    assert real["iss"] == f"https://{NAME}"
    assert "x-donjon-simulated" not in real
    assert real["x-ms-sgx-mrsigner"] == QUOTE.read_bytes()[48 + 128 : 48 + 160].hex()
    (verdict,) = told(AS_OF_THEN)
    assert "its signature holds" in verdict
    assert re.findall(r"error: .*\[(DJ\d+)\]", verdict) == ["DJ591"]
    assert "[DJ411]" in refused
    assert told("/readyz") == ["ok\n"]
    assert "Bound" in told("get pvc,pods")[0]
    assert "donjon/policy-officer" in told("audit show")[0]
    assert "refused attest team" in told("audit show")[0]
    assert "restored: " in told("restore.py")[0]
    (policy,) = told("show-policy -c policy")
    assert "authorizationrules" in policy
    assert "the instance is of mode AAD" in policy
    assert "none; the instance is of mode AAD" in told("show-policy -c signers")[0]
    _, again, back = told("logs job/set-policy")
    assert "svc: in force is hash" in again
    assert "svc: reset; in force is hash" in back
    assert "permits whatever the operator's gate lets in" in back
    assert "policy-set" in told("--kind policy-set")[0], "also after the copy was put back"
    assert "  next  " in told("keys list keys")[0]
    assert all(" 0 records" not in text for text in told("audit verify"))
    assert "persistentvolumeclaim" in printed[-1][1]


def notes(text: str) -> list[str]:
    """The commands of Helm's notes: what is set in by two spaces, and the manifest that the shell is to read to its EOF."""
    return [
        line or manifest
        for line, manifest in re.findall(
            r"^  ((?:donjon|kubectl|for) [^\n]+)$|^(kubectl [^\n]+ <<EOF\n.*?^EOF)$", text, re.MULTILINE | re.DOTALL
        )
    ]


def test_the_commands_of_the_notes_run_and_those_of_a_rehearsal_say_first_that_it_is_one(
    reader: Reader, release: Release
) -> None:
    release.uninstall()  # Those of an upgrade are shorter: tests/deploy/test_chart.py.
    release.upgrade('attestation={"enabled": true, "rehearsal": true}')
    text = release.run("get", "notes", "donjon")
    assert "simulated" in text.split("\n\n")[0]
    reader.name_the_service()
    said = {command: reader.run(command) for command in notes(text)}
    assert any("donjon doctor" in command and "SIMULATED" in told for command, told in said.items())
    assert any("-c rehearsal" in command and "attestation-evidence" in told for command, told in said.items())
    assert "stand-in for oeciteam/sgx-test" in said["kubectl logs job/sgx-test"]
