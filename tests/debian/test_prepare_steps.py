"""Each step of a node's preparation by itself: what it changes, what it leaves alone, how it fails."""

import shutil
import stat
from pathlib import Path

import pytest
from tests.debian.nodes import StandInNode
from tests.debian.preparing import authority, instead, script, trusted

from donjon.node.preparation import texts


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


def test_who_signed_the_certificate_of_the_cache_is_trusted_afterwards(node: StandInNode, tmp_path: Path) -> None:
    script(node, tmp_path, "--authority", authority(tmp_path))
    assert node.run("sh", "/root/prepare.sh").returncode == 0
    assert trusted(node) in node.read("/etc/ssl/certs/ca-certificates.crt")
    assert node.run("sh", "/root/prepare.sh").stdout.splitlines()[-1] == "0 done"


def test_cri_o_has_a_file_of_its_own(debian: StandInNode, tmp_path: Path) -> None:
    (debian.root / "etc/containerd/config.toml").unlink()
    debian.write("/etc/crio/crio.conf.d/10-crio.conf", '[crio.runtime]\ndefault_runtime = "runc"\n')
    script(debian, tmp_path)
    assert "DJ009" in debian.findings()
    assert debian.run("sh", "/root/prepare.sh").returncode == 0
    assert "DJ009" not in debian.findings()
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
