"""`donjon pool prepare`, run for real: its script and its role in root file systems of Debian and Ubuntu, twice each."""

import json
import re
import shutil
import stat
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
from tests.debian.nodes import HERE, StandInNode, held
from tests.debian.root import able
from tests.pages import Terminal
from tests.pki.certs import made

from donjon.node.preparation import texts
from donjon.node.report import KERNEL_LINE
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


PACKAGES = ("--packages", "file:/srv/archive", "--aesm", "--registration", "--fingerprint")


def archive(node: StandInNode) -> str:
    """An archive on the node that stands in for Intel's; the fingerprint of the key that signs it."""
    (codename,) = re.findall(r"^VERSION_CODENAME=(\w+)$", node.read("/etc/os-release"), re.MULTILINE)
    node.write("/root/archive", (HERE / "archive").read_text(encoding="utf-8"))
    done = node.run("sh", "/root/archive", codename)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


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


def test_what_is_printed_is_good_shell_and_good_rules(debian: StandInNode, tmp_path: Path) -> None:
    script(debian, tmp_path, *PACKAGES, "0" * 40)
    # What a node's os-release holds, it need not read; and awk's program is not the shell's.
    done = debian.run("shellcheck", "--severity=style", "--exclude=SC1091,SC2016", "/root/prepare.sh")
    assert done.stdout == ""
    for name in ("sgx", "sgx_prv", "rules"):
        assert debian.run("sh", "/root/prepare.sh", "--only", name).returncode == 0
    verified = debian.run("udevadm", "verify", "/etc/udev/rules.d/60-donjon-sgx.rules")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_the_role_is_good_ansible(debian: StandInNode, tmp_path: Path) -> None:
    """But for how its YAML is indented, and for try-restart, which no module does."""
    role(debian, tmp_path, *PACKAGES, "0" * 40)
    lint = "ansible-lint --offline --nocolor --profile production --skip-list yaml,command-instead-of-module prepare.yml"
    done = debian.run("sh", "-c", f"cd /root/playbook && {lint}")
    assert done.returncode == 0, done.stdout


def instead(node: StandInNode, program: str, text: str) -> None:
    """A program of the node's does that from now on."""
    node.write(f"/usr/local/sbin/{program}", f"#!/bin/sh\n{text}\n")
    (node.root / f"usr/local/sbin/{program}").chmod(0o755)


@pytest.mark.parametrize(
    ("does", "words"),
    [("exit 9", "failed: step sgx_prv"), ("exit 0", "failed: sgx_prv: done, and yet it is not so")],
)
def test_a_step_that_fails_or_does_nothing_ends_the_script_by_its_name(
    does: str, words: str, debian: StandInNode, tmp_path: Path
) -> None:
    script(debian, tmp_path)
    instead(debian, "groupadd", does)
    done = debian.run("sh", "/root/prepare.sh")
    assert (done.returncode, done.stderr) == (3, f"{words}\n")
    assert not (debian.root / "etc/udev/rules.d/60-donjon-sgx.rules").exists()


def test_who_is_not_root_can_look_and_change_nothing(debian: StandInNode, tmp_path: Path) -> None:
    script(debian, tmp_path)
    shutil.copy(debian.root / "root/prepare.sh", debian.root / "srv/prepare.sh")
    as_nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "/srv/prepare.sh")
    assert debian.run(*as_nobody, "--check").returncode == 1
    done = debian.run(*as_nobody)
    assert (done.returncode, done.stdout) == (3, "")
    assert "needs root" in done.stderr


@pytest.mark.parametrize("word", ["--chekc", "--only", "now"])
def test_a_word_that_it_does_not_know_changes_nothing(word: str, debian: StandInNode, tmp_path: Path) -> None:
    script(debian, tmp_path)
    done = debian.run("sh", "/root/prepare.sh", word)
    assert done.returncode == 2
    assert "usage: " in done.stderr
    assert debian.findings() >= {"DJ009"}


def test_a_step_that_is_none_is_said_to_be_none(debian: StandInNode, tmp_path: Path) -> None:
    script(debian, tmp_path)
    done = debian.run("sh", "/root/prepare.sh", "--only", "ruls")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "there is no step ruls here\n")


def test_a_restart_that_fails_is_said_for_the_next_call_sees_nothing_to_do(debian: StandInNode, tmp_path: Path) -> None:
    script(debian, tmp_path)
    instead(debian, "systemctl", "exit 1")
    (debian.root / "run/systemd/system").mkdir(parents=True)
    done = debian.run("sh", "/root/prepare.sh")
    assert done.returncode == 3
    assert done.stderr.startswith("failed: step containerd, which is done; what is to follow it failed")


def test_a_runtime_is_restarted_once_and_only_where_it_was_changed(debian: StandInNode, tmp_path: Path) -> None:
    """By a systemctl that writes down what it is told: no systemd runs in there."""
    script(debian, tmp_path)
    instead(debian, "systemctl", 'echo "$*" >>/root/told')
    (debian.root / "run/systemd/system").mkdir(parents=True)
    assert debian.run("sh", "/root/prepare.sh").returncode == 0
    assert debian.read("/root/told").splitlines() == ["try-restart containerd.service", "try-restart aesmd.service"]
    assert debian.run("sh", "/root/prepare.sh").returncode == 0
    (debian.root / "etc/containerd/config.toml").unlink()
    done = debian.run("sh", "/root/prepare.sh", "--no-restart")
    assert "not restarted: containerd.service" in done.stdout
    assert len(debian.read("/root/told").splitlines()) == 2


def test_a_device_that_more_may_open_and_a_link_stay_as_they_are(debian: StandInNode, tmp_path: Path) -> None:
    (debian.root / "dev/sgx_enclave").chmod(0o666)
    (debian.root / "dev/sgx_provision").chmod(0o660)  # The group's, and that is root's.
    (debian.root / "dev/sgx").mkdir()
    (debian.root / "dev/sgx/provision").symlink_to("../sgx_provision")
    script(debian, tmp_path)
    assert debian.run("sh", "/root/prepare.sh").returncode == 0
    assert stat.S_IMODE((debian.root / "dev/sgx_enclave").stat().st_mode) == 0o666
    (line,) = [each for each in debian.read("/etc/group").splitlines() if each.startswith("sgx_prv:")]
    status = (debian.root / "dev/sgx_provision").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_gid) == (0o660, int(line.split(":")[2]))
    assert (debian.root / "dev/sgx/provision").is_symlink()


def test_files_are_for_all_to_read_and_a_link_in_their_place_is_not_followed(debian: StandInNode, tmp_path: Path) -> None:
    debian.write("/root/settings", "another's")
    debian.write("/root/rules", texts.RULES_TEXT)
    (debian.root / "etc/sgx_default_qcnl.conf").symlink_to("/root/settings")
    (debian.root / "etc/udev/rules.d/60-donjon-sgx.rules").symlink_to("/root/rules")
    script(debian, tmp_path)
    assert debian.run("sh", "-c", "umask 077; sh /root/prepare.sh").returncode == 0
    assert debian.read("/root/settings") == "another's"
    for path in ("etc/sgx_default_qcnl.conf", "etc/udev/rules.d/60-donjon-sgx.rules"):
        status = (debian.root / path).lstat()
        assert (stat.S_ISREG(status.st_mode), stat.S_IMODE(status.st_mode)) == (True, 0o644)


def authority(folder: Path) -> Path:
    """A certificate to be trusted, as an operator has it."""
    file = folder / "authority.pem"
    file.write_bytes(made().authority.pem)
    return file


def test_who_signed_the_certificate_of_the_cache_is_trusted_afterwards(node: StandInNode, tmp_path: Path) -> None:
    script(node, tmp_path, "--authority", authority(tmp_path))
    assert node.run("sh", "/root/prepare.sh").returncode == 0
    assert trusted(node) in node.read("/etc/ssl/certs/ca-certificates.crt")
    assert node.run("sh", "/root/prepare.sh").stdout.splitlines()[-1] == "0 done"


def trusted(node: StandInNode) -> str:
    return node.read("/usr/local/share/ca-certificates/donjon-cache.crt").strip()


def test_cri_o_has_a_file_of_its_own(debian: StandInNode, tmp_path: Path) -> None:
    (debian.root / "etc/containerd/config.toml").unlink()
    debian.write("/etc/crio/crio.conf.d/10-crio.conf", '[crio.runtime]\ndefault_runtime = "runc"\n')
    script(debian, tmp_path)
    assert "DJ009" in debian.findings()
    assert debian.run("sh", "/root/prepare.sh").returncode == 0
    assert "DJ009" not in debian.findings()
    assert debian.run("sh", "/root/prepare.sh").stdout.splitlines()[-1] == "0 done"


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


def test_a_dev_without_exec_has_it_afterwards_and_at_each_start(debian: StandInNode, tmp_path: Path) -> None:
    script(debian, tmp_path, codes=("DJ010",))
    look = "mount -t tmpfs -o noexec donjon /dev && cd /root && sh prepare.sh --check --only dev-exec; echo $?;"
    done = debian.run("sh", "-c", f"{look} sh prepare.sh --only dev-exec && sh prepare.sh --check --only dev-exec; echo $?")
    codes = [line for line in done.stdout.splitlines() if line.isdecimal()]
    assert codes == ["1", "0"], done.stdout + done.stderr
    assert debian.run("sh", "/root/prepare.sh", "--only", "dev-exec-unit").returncode == 0
    assert (debian.root / "etc/systemd/system/multi-user.target.wants/donjon-dev-exec.service").is_symlink()
    assert debian.run("systemd-analyze", "verify", "/etc/systemd/system/donjon-dev-exec.service").stderr == ""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('GRUB_CMDLINE_LINUX="nosgx"', 'GRUB_CMDLINE_LINUX=""'),
        ('GRUB_CMDLINE_LINUX_DEFAULT="quiet nosgx splash"', 'GRUB_CMDLINE_LINUX_DEFAULT="quiet  splash"'),
        ("GRUB_CMDLINE_LINUX='nosgx quiet'", "GRUB_CMDLINE_LINUX=' quiet'"),
    ],
)
def test_nosgx_is_taken_out_of_the_boot_loaders_words_and_nothing_else(
    line: str, expected: str, debian: StandInNode, tmp_path: Path
) -> None:
    script(debian, tmp_path, codes=("DJ035",))
    others = '# nosgx keeps SGX off\nGRUB_DISTRIBUTOR="nosgx"\nGRUB_CMDLINE_XEN="nosgx-like xnosgx"\n'
    debian.write("/etc/default/grub", f"{others}{line}\n")
    assert debian.run("sh", "/root/prepare.sh", "--check", "--only", "nosgx").returncode == 1
    assert debian.run("sh", "/root/prepare.sh", "--only", "nosgx").returncode == 0
    assert debian.read("/etc/default/grub") == f"{others}{expected}\n"
    assert debian.read("/etc/default/grub.before-donjon") == f"{others}{line}\n"
    assert debian.run("sh", "/root/prepare.sh", "--check", "--only", "nosgx").returncode == 0
