"""Donjon's release on the testbed, by real Helm, and what it makes of a pod that asks."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from testbed import demo
from tests.cluster.agents import ENCLAVE, EPC, NAMESPACE, pod
from tests.cluster.conftest import ORDINARY_IMAGE, Cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Donjon's release, by Helm."""

    cluster: Cluster
    helm: str = "helm"  # or "helm3"

    def command(self, *arguments: str) -> list[str]:
        testbed = self.cluster.testbed
        assert testbed is not None
        where = ("--kubeconfig", str(self.cluster.kubeconfig), "--namespace", NAMESPACE)
        return [str(testbed.layout.program(self.helm)), *arguments, *where]

    def attempt(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*arguments), capture_output=True, text=True, check=False, timeout=120)

    def run(self, *arguments: str) -> str:
        done = self.attempt(*arguments)
        if done.returncode != 0:
            pytest.fail(f"helm {' '.join(arguments)}: {done.stderr.strip()}", pytrace=False)
        return done.stdout

    def upgrade_command(self, *settings: str, name: str = "donjon") -> list[str]:
        """Install or upgrade; a `setting` is as for --set-json."""
        testbed = self.cluster.testbed
        assert testbed is not None
        chart = str(testbed.layout.checkout / "deploy" / "chart")
        own = (f"node.hostRoot={self.cluster.host_root}", f"image.repository={demo.IMAGE}", "image.pullPolicy=Never")
        root = [part for value in own for part in ("--set", value)]
        options = [part for setting in settings for part in ("--set-json", setting)]
        return ["upgrade", "--install", name, chart, "--create-namespace", *root, *options]

    def change_command(self, *settings: str) -> list[str]:
        """Change some of its values, each as for --set-json; all others stay."""
        testbed = self.cluster.testbed
        assert testbed is not None
        options = [part for setting in settings for part in ("--set-json", setting)]
        return ["upgrade", "donjon", str(testbed.layout.checkout / "deploy" / "chart"), "--reuse-values", *options]

    def upgrade(self, *settings: str) -> str:
        return self.run(*self.upgrade_command(*settings), "--wait", "--timeout", "90s")

    def is_there(self) -> bool:
        return bool(json.loads(self.run("list", "--output", "json")))

    def uninstall(self) -> None:
        if self.is_there():
            self.run("uninstall", "donjon", "--timeout", "60s")


def installed(cluster: Cluster) -> Iterator[Release]:
    """The testbed's release for a module of tests that change it; put back as it is by default when they are through."""
    if cluster.testbed is None:
        pytest.skip("needs the testbed: the Donjon of another cluster is not changed for a test")
    demo.install(cluster.testbed.layout)
    release = Release(cluster=cluster)
    yield release
    # Other tests count on Donjon being there, and some of these end with it gone.
    release.upgrade()
    demo.wait_in_force(cluster.testbed.layout)


def outcome(cluster: Cluster) -> str:
    """What becomes of a pod that asks in the FAQ's unit: wired with its device, refused because nothing wired it, or unwired."""
    asks = pod("probe", image=ORDINARY_IMAGE, limits={"sgx.intel.com/sgx_epc_mem_in_MiB": "1"})
    create = ("create", "--dry-run=server", "-o", "json", "-n", "default", "-f", "-")
    tried = cluster.kubectl(*create, stdin=json.dumps(asks), check=False)
    if "[DJ102]" in tried or "[DJ101]" in tried:
        return "refused"
    limits: dict[str, str] = json.loads(tried)["spec"]["containers"][0]["resources"]["limits"]
    return "wired" if limits == {EPC: "1Mi", ENCLAVE: "1"} else "unwired"


def is_wired(cluster: Cluster) -> bool:
    return outcome(cluster) == "wired"
