"""The pages that go from nothing to an enclave's pod, each run from first command to last, with the answers that it shows.

The testbed stands in for the cloud or the rack; what needs one is in `pages.NOT_RUN`.
"""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from tests import pages
from tests.cluster.agents import NAMESPACE
from tests.cluster.conftest import Cluster
from tests.cluster.release import Release, installed
from tests.pages import PROJECT, Terminal

NO = 1
JOB = "docs/examples/attest-in-a-cluster.yaml"
REGISTRIES = {
    "from-nothing-on-aks.md": "vaults.azurecr.io/donjon",
    "from-nothing-on-metal.md": "registry.example/donjon",
    "from-nothing-on-alibaba.md": "registry.cn-beijing.aliyuncs.com/vaults/donjon",
}


@pytest.fixture(scope="module")
def release(cluster: Cluster) -> Iterator[Release]:
    yield from installed(cluster)


@pytest.fixture
def reader(cluster: Cluster, release: Release, tmp_path: Path) -> Iterator[Callable[[str], Terminal]]:
    """Who reads a page with nothing installed, in a folder that looks like a checkout and has the files that the page shows."""
    release.uninstall()
    cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
    for name in ("deploy", "testbed"):
        (tmp_path / name).symlink_to(PROJECT / name)
    shutil.copytree(PROJECT / "docs" / "examples", tmp_path / "docs" / "examples")
    shutil.copy(cluster.kubeconfig, tmp_path / "kubeconfig")

    def reading(page: str) -> Terminal:
        for name, text in files(page):
            (tmp_path / name).write_text(text)
        own = f"donjon.dev/donjon --set image.pullPolicy=Never --set node.hostRoot={cluster.host_root}"
        instead = {
            f"image.repository={REGISTRIES[page]}": f"image.repository={own}",
            REGISTRIES[page]: "donjon.dev/donjon",
            "NODE": cluster.sgx_nodes[0],
        }
        environment = {"KUBECONFIG": str(tmp_path / "kubeconfig")}
        if cluster.testbed is not None:
            environment["DONJON_HOST_ROOT"] = str(cluster.testbed.tree(cluster.sgx_nodes[0]))
        terminal = Terminal(folder=tmp_path, environment=environment, instead=instead)
        terminal.run("kubectl config set-context --current --namespace=default")
        return terminal

    yield reading
    ours = ("job/attest", "job/sgx-test", "configmap/attestation-evidence")
    cluster.kubectl("delete", *ours, "--ignore-not-found", "--wait=false")
    cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")


def files(page: str) -> list[tuple[str, str]]:
    """What a page tells its reader to write: each block of YAML, under the name that stands before it."""
    return re.findall(r"^`(\S+\.yaml)`.*?^```yaml\n(.*?)^```", pages.text(page), re.MULTILINE | re.DOTALL)


def name_the_service(cluster: Cluster, folder: Path) -> None:
    """There is no name server in the testbed."""
    address = cluster.get("service", "-n", NAMESPACE, "donjon-attestation")["spec"]["clusterIP"]
    file, yaml = folder / JOB, YAML(typ="safe")
    job = yaml.load(file)
    job["spec"]["template"]["spec"]["hostAliases"] = [{"ip": address, "hostnames": [f"donjon-attestation.{NAMESPACE}.svc"]}]
    yaml.dump(job, file)


def walk(cluster: Cluster, terminal: Terminal, page: str, commands: list[str]) -> dict[str, str]:
    """Each command in turn: what it said, which has every line that the page shows of it."""
    said = {}
    for command, lines in pages.answers(pages.text(page)):
        if command not in commands:
            continue
        if JOB in command:
            name_the_service(cluster, terminal.folder)
        said[command] = terminal.run(command, ok=(0, NO) if "donjon doctor" in command else (0,))
        missing = [line for line in lines if not pages.is_shown(terminal.typed(line), said[command])]
        assert not missing, f"{command}\n{said[command]}"
    assert list(said) == list(dict.fromkeys(commands))
    return said


def is_gone(cluster: Cluster, release: Release) -> bool:
    nodes = cluster.get("nodes")["items"]
    return not release.is_there() and not any("sgx.intel.com/capable" in node["metadata"]["labels"] for node in nodes)


def test_aks_from_an_empty_resource_group_to_a_token_and_back(
    cluster: Cluster, release: Release, reader: Callable[[str], Terminal]
) -> None:
    page = "from-nothing-on-aks.md"
    said = walk(cluster, reader(page), page, pages.shown("from-nothing-on-aks.md", __file__))
    assert "stand-in for oeciteam/sgx-test" in said["kubectl logs job/sgx-test"]
    assert '"vmSize": "Standard_DC2s_v3"' in (reader(page).folder / "pools.json").read_text()
    assert is_gone(cluster, release)


def test_metal_from_the_rack_to_a_token_and_back(cluster: Cluster, release: Release, reader: Callable[[str], Terminal]) -> None:
    page = "from-nothing-on-metal.md"
    terminal = reader(page)
    said = walk(cluster, terminal, page, pages.shown("from-nothing-on-metal.md", __file__))
    assert "stand-in for oeciteam/sgx-test" in said["kubectl logs job/sgx-test"]
    assert "udev" in said["donjon pool prepare --facts facts.json"]
    assert "--check" in (terminal.folder / "node" / "prepare.sh").read_text()
    assert "value: rack=1" in (terminal.folder / "join.yaml").read_text()
    assert is_gone(cluster, release)


def test_alibaba_from_an_account_to_a_token_and_back(
    cluster: Cluster, release: Release, reader: Callable[[str], Terminal]
) -> None:
    page = "from-nothing-on-alibaba.md"
    said = walk(cluster, reader(page), page, pages.shown("from-nothing-on-alibaba.md", __file__))
    assert "stand-in for oeciteam/sgx-test" in said["kubectl logs job/sgx-test"]
    assert is_gone(cluster, release)
