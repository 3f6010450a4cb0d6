"""Packages and the driver of a node's preparation, from an archive on the node that stands in for Intel's."""

import json
from pathlib import Path

from tests.debian.nodes import StandInNode
from tests.debian.preparing import CACHE, PACKAGES, archive, play, role, script


def test_packages_come_from_the_source_that_is_named_by_the_key_that_is_meant(node: StandInNode, tmp_path: Path) -> None:
    script(node, tmp_path, *PACKAGES, archive(node))
    node.write("/etc/sgx_default_qcnl.conf", "somebody's, from before the package came")
    first = node.run("sh", "/root/prepare.sh")
    assert first.returncode == 0, first.stderr
    assert node.run("dpkg-query", "-W", "sgx-aesm-service", "sgx-ra-service").returncode == 0
    assert {"sgx", "sgx_prv"} <= set(node.run("id", "-nG", "aesmd").stdout.split())
    assert json.loads(node.read("/etc/sgx_default_qcnl.conf"))["pccs_url"].startswith(CACHE)
    assert node.read("/etc/sgx_default_qcnl.conf.before-donjon") == "somebody's, from before the package came"
    assert node.run("sh", "/root/prepare.sh").stdout.splitlines()[-1] == "0 done"


def test_a_key_that_is_another_is_not_taken_and_the_next_call_goes_on_from_there(debian: StandInNode, tmp_path: Path) -> None:
    fingerprint = archive(debian)
    script(debian, tmp_path, *PACKAGES, fingerprint[::-1])
    done = debian.run("sh", "/root/prepare.sh")
    assert done.returncode == 3
    assert f"has the fingerprint {fingerprint}, expected {fingerprint[::-1]}" in done.stderr
    assert list((debian.root / "etc/apt/keyrings").iterdir()) == []
    assert list((debian.root / "etc/apt/sources.list.d").iterdir()) == []
    assert debian.run("dpkg-query", "-W", "sgx-aesm-service").returncode == 1
    script(debian, tmp_path, *PACKAGES, fingerprint)
    on = debian.run("sh", "/root/prepare.sh")
    assert on.returncode == 0
    assert "ok      rules: " in on.stdout
    assert "doing   source: " in on.stdout


def test_the_role_installs_them_too(debian: StandInNode, tmp_path: Path) -> None:
    role(debian, tmp_path, *PACKAGES, archive(debian))
    assert play(debian, "--check")["failed"] == 0
    assert debian.run("dpkg-query", "-W", "sgx-aesm-service").returncode == 1
    play(debian)
    assert {"sgx", "sgx_prv"} <= set(debian.run("id", "-nG", "aesmd").stdout.split())
    assert json.loads(debian.read("/etc/sgx_default_qcnl.conf"))["pccs_url"].startswith(CACHE)


def test_a_driver_is_built_by_dkms_from_where_its_source_is(debian: StandInNode, tmp_path: Path) -> None:
    """By a dkms that builds nothing, which comes from the archive as the kernel's headers do."""
    fingerprint = archive(debian)
    options = ("--driver", "sgx/1.41", "--packages", "file:/srv/archive", "--fingerprint", fingerprint)
    script(debian, tmp_path, *options, codes=("DJ036",))
    assert debian.run("sh", "/root/prepare.sh", "--only", "source").returncode == 0
    without = debian.run("sh", "/root/prepare.sh")
    assert without.returncode == 3
    assert "put the driver's source in that folder first" in without.stderr
    debian.write("/usr/src/sgx-1.41/dkms.conf", 'PACKAGE_NAME="sgx"\nPACKAGE_VERSION="1.41"\n')
    done = debian.run("sh", "/root/prepare.sh")
    assert done.returncode == 0, done.stderr
    release = debian.run("uname", "-r").stdout.strip()
    assert debian.read("/var/lib/dkms-stand-in") == f"install -m sgx -v 1.41 -k {release}\n"
    assert debian.read("/etc/modules-load.d/donjon-sgx.conf").splitlines()[-1] == "intel_sgx"
    assert debian.run("sh", "/root/prepare.sh").stdout.splitlines()[-1] == "0 done"
