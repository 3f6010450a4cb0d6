"""A node's preparation where systemd runs: what is restarted, by script and by role, and what comes at each start."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from testbed.trouble import Lacking
from tests.debian.nodes import BootedNode, StandInNode, booted
from tests.debian.preparing import authority, role, script, trusted

SERVICES = {"containerd": "/usr/bin/containerd", "aesmd": "/bin/sleep infinity"}
"""containerd itself, and one that stands in for AESM."""


@pytest.fixture
def node(debian: StandInNode) -> StandInNode:
    for name, program in SERVICES.items():
        text = f"[Unit]\nDefaultDependencies=no\n[Service]\nExecStart={program}\n"
        debian.write(f"/etc/systemd/system/{name}.service", text)
    return debian


@pytest.fixture
def running(node: StandInNode, tmp_path: Path) -> Iterator[BootedNode]:
    with ExitStack() as stack:
        try:
            running = stack.enter_context(booted(node, tmp_path))
        except Lacking as error:
            pytest.skip(f"needs root and cgroups: {error}")
        assert running.run("systemctl", "start", *SERVICES).returncode == 0
        yield running


def processes(running: BootedNode) -> dict[str, int]:
    found = {name: running.process_of(name) for name in SERVICES}
    assert all(found.values())
    return found


def test_the_script_restarts_what_it_changed_and_the_second_time_nothing(
    node: StandInNode, running: BootedNode, tmp_path: Path
) -> None:
    script(node, tmp_path)
    before = processes(running)
    assert running.run("sh", "prepare.sh", "--check").returncode == 1
    assert processes(running) == before
    done = running.run("sh", "prepare.sh")
    assert done.returncode == 0, done.stderr
    after = processes(running)
    assert set(before.values()).isdisjoint(after.values())
    assert node.findings() == {"DJ011", "DJ019"}
    assert running.run("sh", "prepare.sh").stdout.splitlines()[-1] == "0 done"
    assert processes(running) == after


def test_a_service_that_does_not_run_is_not_started(node: StandInNode, running: BootedNode, tmp_path: Path) -> None:
    script(node, tmp_path)
    assert running.run("systemctl", "stop", *SERVICES).returncode == 0
    assert running.run("sh", "prepare.sh").returncode == 0
    assert [running.process_of(name) for name in SERVICES] == [0, 0]


def test_the_role_restarts_what_it_changed_unless_it_is_told_not_to(
    node: StandInNode, running: BootedNode, tmp_path: Path
) -> None:
    role(node, tmp_path, "--authority", authority(tmp_path), codes=("DJ010",))
    assert running.run("sh", "-c", "mount --bind /dev /dev && mount -o remount,bind,noexec /dev").returncode == 0
    before = processes(running)
    play = ("ansible-playbook", "-i", "nodes.ini", "playbook/prepare.yml")
    done = running.run(*play, "-e", "donjon_sgx_node_restart=false")
    assert done.returncode == 0, done.stdout
    assert processes(running) == before
    assert running.run("systemctl", "is-enabled", "donjon-dev-exec").stdout == "enabled\n"
    assert trusted(node) in node.read("/etc/ssl/certs/ca-certificates.crt")
    for path in ("etc/sgx_default_qcnl.conf", "etc/containerd/config.toml"):
        (node.root / path).unlink()
    done = running.run(*play)
    assert done.returncode == 0, done.stdout
    assert set(before.values()).isdisjoint(processes(running).values())


def test_dev_is_without_noexec_at_each_start(node: StandInNode, running: BootedNode, tmp_path: Path) -> None:
    script(node, tmp_path, codes=("DJ010",))
    assert running.run("sh", "-c", "mount --bind /dev /dev && mount -o remount,bind,noexec /dev").returncode == 0
    done = running.run("sh", "prepare.sh")
    assert done.returncode == 0, done.stderr
    assert running.run("mount", "-o", "remount,bind,noexec", "/dev").returncode == 0
    assert running.run("sh", "prepare.sh", "--check", "--only", "dev-exec").returncode == 1
    assert running.run("systemctl", "is-enabled", "donjon-dev-exec").stdout == "enabled\n"
    assert running.run("systemctl", "start", "donjon-dev-exec").returncode == 0
    assert running.run("sh", "prepare.sh", "--check", "--only", "dev-exec").returncode == 0
