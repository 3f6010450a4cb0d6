"""containerd's configuration, changed in its place: as packages, kubeadm and people write it, read by two versions."""

import shutil
from collections.abc import Iterator

import pytest
from testbed import binaries
from testbed.layout import here
from testbed.trouble import Lacking
from tests.cli.calling import call
from tests.debian import bare
from tests.debian.bare import DEBIAN
from tests.debian.nodes import StandInNode, held
from tests.debian.root import able

from donjon.adapters.linux.runtimes import read_runtimes
from donjon.node.runtimes import OWNERSHIP, device_ownership

CONFIGURATION = "/etc/containerd/config.toml"
NEW = "/usr/local/bin/containerd"
FACTS = '{"facts": [{"name": "epc", "source": "a test", "value": 1}], "findings": []}'

V1 = """\
[plugins]
  [plugins.cri]
    sandbox_image = "pause"
"""
V2 = """\
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "pause:3.9"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
"""
V3 = """\
version = 3
[plugins]
  [plugins.'io.containerd.cri.v1.images']
    snapshotter = 'overlayfs'
  [plugins.'io.containerd.cri.v1.runtime']
    enable_selinux = false
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandInNode]:
    try:
        able()
        root = bare.ensure(DEBIAN)
        binaries.ensure(here(), ("containerd",))
    except Lacking as error:
        pytest.skip(f"needs root, an archive and Go: {error}")
    folder = tmp_path_factory.mktemp("node")
    (folder / "facts.json").write_text(FACTS)
    done = call("pool", "prepare", "--facts", folder / "facts.json", "--runtime", "containerd", "--output", "script")
    (mounts := folder / "mounts").mkdir()
    with held(root, mounts) as node:
        node.write("/root/prepare.sh", done.stdout)
        yield node


@pytest.fixture(params=["1.7 of Debian", "2.4 of its makers"])
def node(request: pytest.FixtureRequest, shared: StandInNode) -> Iterator[StandInNode]:
    """Without a configuration, and with that version in the path."""
    new = shared.root / NEW.lstrip("/")
    if request.param.startswith("2"):
        shutil.copy(here().bin / "containerd", new)
    for file in (shared.root / "etc/containerd").iterdir():
        file.unlink()
    yield shared
    new.unlink(missing_ok=True)


def prepared(node: StandInNode, *options: str) -> tuple[int, str]:
    done = node.run("sh", "/root/prepare.sh", "--only", "containerd", *options)
    return done.returncode, done.stdout + done.stderr


def hands_over(node: StandInNode) -> bool | None:
    """As doctor reads it."""
    return device_ownership(read_runtimes(node.root)).value


def dump(node: StandInNode) -> str:
    return node.run("containerd", "--config", CONFIGURATION, "config", "dump").stdout


@pytest.mark.parametrize(
    "text",
    [
        "version = 2\n",
        V2,
        V2.rstrip("\n"),
        V2.replace('"pause:3.9"', f'"pause:3.9"\n  {OWNERSHIP} = false  # as it comes'),
        V2.replace('plugins."io.containerd.grpc.v1.cri"', "plugins.'io.containerd.grpc.v1.cri'"),
        V2.replace('[plugins."io.containerd.grpc.v1.cri"]', '[ plugins . "io.containerd.grpc.v1.cri" ] # kubelets'),
        'version=2\n[plugins."io.containerd.grpc.v1.cri".cni]\nbin_dir = "/usr/lib/cni"\n',
        f"version = 2\n# {OWNERSHIP} = true\n",
    ],
)
def test_the_option_is_set_where_containerd_and_doctor_read_it(text: str, node: StandInNode) -> None:
    node.write(CONFIGURATION, text)
    assert prepared(node, "--check")[0] == 1
    assert node.read(CONFIGURATION) == text
    assert prepared(node)[0] == 0
    assert hands_over(node) is True
    assert f"{OWNERSHIP} = true" in dump(node)
    assert f"{OWNERSHIP} = false" not in dump(node)
    assert node.read(f"{CONFIGURATION}.before-donjon") == text
    changed = node.read(CONFIGURATION)
    assert prepared(node)[1].startswith("ok")
    assert node.read(CONFIGURATION) == changed


def test_a_file_of_the_first_version_has_its_own_table(node: StandInNode) -> None:
    """Doctor reads it as containerd 1 does; what becomes of it in containerd 2 is not ours."""
    node.write(CONFIGURATION, V1)
    assert prepared(node)[0] == 0
    assert hands_over(node) is True
    assert f"    {OWNERSHIP} = true" in node.read(CONFIGURATION)


def test_a_file_of_the_third_version_is_for_containerd_2(shared: StandInNode, node: StandInNode) -> None:
    node.write(CONFIGURATION, V3)
    code, said = prepared(node)
    if not (shared.root / NEW.lstrip("/")).exists():
        assert code == 3
        assert "so it is as it was" in said
        assert node.read(CONFIGURATION) == V3
        return
    assert code == 0
    assert hands_over(node) is True
    assert f"{OWNERSHIP} = true" in dump(node)


def test_what_each_version_prints_as_its_default_is_taken(node: StandInNode) -> None:
    node.write(CONFIGURATION, node.run("containerd", "config", "default").stdout)
    assert prepared(node)[0] == 0
    assert hands_over(node) is True
    assert f"{OWNERSHIP} = true" in dump(node)


def test_where_there_is_no_configuration_one_is_made(node: StandInNode) -> None:
    assert prepared(node, "--check")[0] == 1
    assert not (node.root / CONFIGURATION.lstrip("/")).exists()
    assert prepared(node)[0] == 0
    assert hands_over(node) is True
    assert f"{OWNERSHIP} = true" in dump(node)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('disabled_plugins = ["cri"]\n', "as in Docker's package"),
        ("version = 2\n[[[\n", "containerd does not take it"),
        (f'version = 2\n[plugins]\n"io.containerd.grpc.v1.cri".{OWNERSHIP} = false\n', "so it is as it was"),
    ],
)
def test_what_cannot_be_changed_so_stays_as_it_is_and_is_said(text: str, words: str, node: StandInNode) -> None:
    node.write(CONFIGURATION, text)
    code, said = prepared(node)
    assert code == 3
    assert words in said
    assert node.read(CONFIGURATION) == text


def test_the_option_of_another_table_is_nobodys_business(node: StandInNode) -> None:
    other = f'version = 2\n[plugins."io.containerd.nri.v1.nri"]\n  disable = true\n# {OWNERSHIP} = false\n'
    node.write(CONFIGURATION, other)
    assert prepared(node)[0] == 0
    assert node.read(CONFIGURATION).startswith(other)
    assert hands_over(node) is True
