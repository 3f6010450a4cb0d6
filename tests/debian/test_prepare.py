"""`donjon pool prepare`, run for real: its script and its role in root file systems of Debian and Ubuntu, twice each."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from testbed.trouble import Lacking
from tests import pages
from tests.cli.calling import call
from tests.debian import bare
from tests.debian.bare import DEBIAN, UBUNTU, Bare
from tests.debian.nodes import StandInNode, held
from tests.debian.root import able
from tests.pages import Terminal

from donjon.simulation.host import host, write_host

INVENTORY = "localhost ansible_connection=local\n"
CACHE = "https://pccs.example:8081"
OF_KUBEADM = "containerd config default"
"""What a reader of kubeadm's pages runs to have a configuration."""


@pytest.fixture(params=[DEBIAN, UBUNTU], ids=lambda each: each.name)
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StandInNode]:
    with machine(request.param, tmp_path) as node:
        yield node


@pytest.fixture
def debian(tmp_path: Path) -> Iterator[StandInNode]:
    with machine(DEBIAN, tmp_path) as node:
        yield node


@contextmanager
def machine(release: Bare, folder: Path) -> Iterator[StandInNode]:
    """One of two sockets as it comes: devices of root alone, containerd as its package or kubeadm's pages set it up."""
    try:
        able()
        root = bare.ensure(release)
    except Lacking as error:
        pytest.skip(f"needs root and an archive: {error}")
    (mounts := folder / "mounts").mkdir()
    with held(root, mounts) as node:
        was = node.read("/etc/containerd/config.toml") if release is DEBIAN else node.run(*OF_KUBEADM.split()).stdout
        write_host(node.root, replace(host("phoenixnap-d2"), containerd=was))
        for name in ("enclave", "provision"):
            (node.root / f"dev/sgx_{name}").chmod(0o600)
        yield node


def facts(node: StandInNode, folder: Path) -> Path:
    """What doctor says of it, as somebody would carry it to a machine where donjon is."""
    file = folder / "facts.json"
    file.write_text(call("doctor", "--host-root", node.root, "--output", "json").stdout, encoding="utf-8")
    return file


def script(node: StandInNode, folder: Path, *options: str) -> None:
    done = call("pool", "prepare", "--facts", facts(node, folder), "--output", "script", "--cache", CACHE, *options)
    assert done.returncode == 0, done.stderr
    node.write("/root/prepare.sh", done.stdout)


def test_the_script_ends_what_doctor_says_and_the_second_time_there_is_nothing_to_do(node: StandInNode, tmp_path: Path) -> None:
    assert {"DJ009"} <= node.findings()
    script(node, tmp_path)
    before = node.run("sh", "/root/prepare.sh", "--check")
    assert (before.returncode, before.stderr) == (1, "")
    assert not (node.root / "etc/udev/rules.d/60-donjon-sgx.rules").exists()
    first = node.run("sh", "/root/prepare.sh")
    assert (first.returncode, first.stderr) == (0, "")
    assert node.findings() == {"DJ011", "DJ019"}  # No AESM was asked for, and the processor is a stand-in.
    second = node.run("sh", "/root/prepare.sh")
    assert second.stdout.splitlines()[-1] == "0 done"
    after = node.run("sh", "/root/prepare.sh", "--check")
    assert (after.returncode, after.stdout.splitlines()[-1]) == (0, "0 to do")


def role(node: StandInNode, folder: Path, *options: str) -> None:
    made = folder / "playbook"
    done = call(
        "pool", "prepare", "--facts", facts(node, folder), "--output", "ansible", "--to", made, "--cache", CACHE, *options
    )
    assert done.returncode == 0, done.stderr
    shutil.copytree(made, node.root / "root/playbook")
    node.write("/root/nodes.ini", INVENTORY)


def play(node: StandInNode, *options: str) -> dict[str, int]:
    """How many tasks ended how."""
    done = node.run("sh", "-c", f"cd /root && ansible-playbook -i nodes.ini playbook/prepare.yml {' '.join(options)}")
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", done.stdout.splitlines()[-2])}


def test_the_role_ends_what_doctor_says_and_the_second_time_there_is_nothing_to_do(node: StandInNode, tmp_path: Path) -> None:
    role(node, tmp_path)
    script(node, tmp_path)
    before = play(node, "--check")
    assert before["changed"] > 3
    assert not (node.root / "etc/udev/rules.d/60-donjon-sgx.rules").exists()
    assert play(node)["failed"] == 0
    assert node.findings() == {"DJ011", "DJ019"}
    assert play(node)["changed"] == 0
    assert node.run("sh", "/root/prepare.sh", "--check").stdout.splitlines()[-1] == "0 to do"


def test_the_page_runs_as_it_stands(debian: StandInNode, tmp_path: Path) -> None:
    """What is for the node is run on it, as root; the rest beside it, on the node's facts."""
    reader = Terminal(folder=tmp_path, environment={"DONJON_HOST_ROOT": str(debian.root)}, instead={})
    said = []
    for command in pages.shown("prepare.md", __file__):
        if command.startswith("donjon "):
            said.append(reader.run(command, ok=(0,)))
            continue
        shutil.copytree(tmp_path, debian.root / "root", dirs_exist_ok=True, ignore=shutil.ignore_patterns("mounts"))
        debian.write("/root/nodes.ini", INVENTORY)
        done = debian.run("sh", "-c", f"cd /root && {command}")
        assert done.stderr == "" or "ansible" in command
        said.append(f"{done.returncode} {done.stdout}")
    doctor, plan, _, due, done_, again, _, check, playing = said
    assert doctor == ""
    assert "containerd: " in plan
    assert [each.splitlines()[-1] for each in (due, done_, again)] == ["6 to do", "6 done", "0 to do"]
    assert [each[:2] for each in (due, done_, again, check, playing)] == ["1 ", "0 ", "0 ", "0 ", "0 "]
    assert "changed=0" in playing
