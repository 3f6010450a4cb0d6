"""Nodes to be prepared, and what `donjon pool prepare` writes down for them."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from testbed.trouble import Lacking
from tests.cli.calling import call
from tests.debian import bare
from tests.debian.bare import DEBIAN, Bare
from tests.debian.nodes import HERE, StandInNode, held
from tests.debian.root import able
from tests.pki.certs import made

from donjon.node.report import KERNEL_LINE
from donjon.simulation.host import host, write_host

INVENTORY = "localhost ansible_connection=local\n"
CACHE = "https://pccs.example:8081"
OF_KUBEADM = "containerd config default"
"""What a reader of kubeadm's pages runs to have a configuration."""
PACKAGES = ("--packages", "file:/srv/archive", "--aesm", "--registration", "--fingerprint")


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


def facts(node: StandInNode, folder: Path, *codes: str) -> Path:
    """What doctor says of it, and these findings, too, as somebody would carry it to a machine where donjon is."""
    document = node.doctor()
    document["findings"] += [{"code": code} for code in codes]
    if "DJ036" in codes:
        document["facts"] = [each | {"value": "5.10.0"} if each["name"] == KERNEL_LINE else each for each in document["facts"]]
    file = folder / "facts.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    return file


def script(node: StandInNode, folder: Path, *options: str | Path, codes: tuple[str, ...] = ()) -> None:
    file = facts(node, folder, *codes)
    done = call("pool", "prepare", "--facts", file, "--output", "script", "--cache", CACHE, *options)
    assert done.returncode == 0, done.stderr
    node.write("/root/prepare.sh", done.stdout)


def role(node: StandInNode, folder: Path, *options: str | Path, codes: tuple[str, ...] = ()) -> None:
    to = folder / "playbook"
    file = facts(node, folder, *codes)
    done = call("pool", "prepare", "--facts", file, "--output", "ansible", "--to", to, "--cache", CACHE, *options)
    assert done.returncode == 0, done.stderr
    shutil.copytree(to, node.root / "root/playbook")
    node.write("/root/nodes.ini", INVENTORY)


def play(node: StandInNode, *options: str) -> dict[str, int]:
    """How many tasks ended how."""
    done = node.run("sh", "-c", f"cd /root && ansible-playbook -i nodes.ini playbook/prepare.yml {' '.join(options)}")
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", done.stdout.splitlines()[-2])}


def archive(node: StandInNode) -> str:
    """An archive on the node that stands in for Intel's; the fingerprint of the key that signs it."""
    (codename,) = re.findall(r"^VERSION_CODENAME=(\w+)$", node.read("/etc/os-release"), re.MULTILINE)
    node.write("/root/archive", (HERE / "archive").read_text(encoding="utf-8"))
    done = node.run("sh", "/root/archive", codename)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def instead(node: StandInNode, program: str, text: str) -> None:
    """A program of the node's does that from now on."""
    node.write(f"/usr/local/sbin/{program}", f"#!/bin/sh\n{text}\n")
    (node.root / f"usr/local/sbin/{program}").chmod(0o755)


def authority(folder: Path) -> Path:
    """A certificate to be trusted, as an operator has it."""
    file = folder / "authority.pem"
    file.write_bytes(made().authority.pem)
    return file


def trusted(node: StandInNode) -> str:
    return node.read("/usr/local/share/ca-certificates/donjon-cache.crt").strip()
